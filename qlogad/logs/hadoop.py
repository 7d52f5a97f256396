"""Hadoop: logs of MapReduce jobs with injected failures, by application or container.  Lin et al., ICSE 2016, doi:10.1145/2889160.2889232.

Files are `application_ID/container_ID.log`, as in loghub; or one file with the path before each line, as `grep -r "" FOLDER` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from qlogad import documents
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File, Intake
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.raw_lines import read_lines
from qlogad.logs.reading.tables import read_labels

__all__ = ["Hadoop"]

_LINES = Layout("hadoop").complete()
_APPLICATION = r"application_\d+_\d+"
_SESSION = {"application": _APPLICATION, "container": rf"{_APPLICATION}/container_\w+"}


@dataclass(frozen=True)
class Hadoop(LineFiles, Dataset):
    """Log4j lines of containers; a stack trace belongs to the event above it. Sessions are applications, or their containers."""

    path: Files  # "Hadoop.zip/*/container*.log", "hadoop/*/*.log", or one file with paths before its lines
    labels: File | None = None  # loghub's abnormal_label.txt, or a table of applications (id) and labels
    by: Literal["application", "container"] = "application"  # what a session is; a container has the label of its application

    masks = masks_of("hadoop")

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def layout(self) -> Layout:
        """That of Hadoop's logs, after a path or not."""
        line = rf"(?:(?P<Source>[^:\s]*{_APPLICATION}[^:\s]*):)?{_LINES.expression}"
        return replace(_LINES, format=None, pattern=line, session=("Source", "file"), session_pattern=_SESSION[self.by])

    def session_labels(self) -> Mapping[str, int]:
        """Labels by session; empty without a label file: all labels are then unknown."""
        if self.labels is None:
            return {}
        known = _labels(self.labels)
        if self.by == "application":
            return known
        named = {session for record in self.records(Intake()) for session in record.sessions}
        return {session: known.get(session.partition("/")[0], -1) for session in named}


def _labels(path: str) -> dict[str, int]:
    """Labels by application: of a table, or of lists under headings, of which "Normal:" is one."""
    lines = [line.text.strip() for line in read_lines(path, Intake())]
    if any(mark in lines[0] for mark in ",;\t|") if lines else True:
        return read_labels(path)
    found, heading = dict[str, int](), ""
    for line in lines:
        named = re.findall(_APPLICATION, line, re.ASCII)
        heading = line if not named else heading
        for application in named:
            if not heading.endswith(":"):
                raise DataError(f"{path}: {application} stands under no heading such as 'Normal:' or 'Disk full:'; add one")
            found[application] = int(not heading.lower().startswith("normal"))
    return found
