"""HDFS: raw lines of a Hadoop file system, labelled by block.  Xu et al., SOSP 2009, doi:10.1145/1629575.1629587; as in loghub.

A line that names several blocks belongs to each of them once; a line without a block belongs to no session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from qlogad import documents
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles

__all__ = ["Hdfs"]


@dataclass(frozen=True)
class Hdfs(LineFiles, Dataset):
    """Raw HDFS lines: date, time (UTC), thread, level, component, message; sessions are blocks."""

    path: Files  # the log, plain, gz, bz2 or xz
    labels: File | None = None  # a table with a block and a label column, as loghub's anomaly_label.csv
    format: Literal["hdfs", "loghub-csv"] = "hdfs"  # "loghub-csv": the log as loghub's table (HDFS.log_structured.csv)

    masks = masks_of("hdfs")
    mask_starts = "b/0-9+-"

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def layout(self) -> Layout:
        """That of the raw log, or of the table."""
        return _layout(self.format)


@cache
def _layout(name: str) -> Layout:
    raw = Layout("hdfs").complete()
    if name == "hdfs":
        return raw
    return replace(Layout(name).complete(), time_format=raw.time_format, session_pattern=raw.session_pattern)
