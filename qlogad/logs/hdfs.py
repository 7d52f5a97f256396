"""HDFS: raw lines of a Hadoop file system, labelled by block.  Xu et al., SOSP 2009, doi:10.1145/1629575.1629587; as in loghub.

A line may name several blocks and then belongs to each of them once; lines without a block belong to no session.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, Intake, Record, label_of
from qlogad.logs.lines import file_digest, pick_lines, read_lines

__all__ = ["Hdfs"]

_LINE = re.compile(r"(\d{6} \d{6}) \d+ ([A-Z]+) ([^\s:]+): (.*)", re.ASCII)
_BLOCK = re.compile(r"blk_-?\d+", re.ASCII)
_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"


@dataclass(frozen=True)
class Hdfs(Dataset):
    """Raw HDFS lines: date, time (UTC), thread, level, component, message; sessions are blocks."""

    path: str  # the log, plain, gz or xz
    labels: str | None = None  # a csv with a block and a label column, as loghub's anomaly_label.csv

    masks: ClassVar[tuple[tuple[str, str], ...]] = (
        ("BLK", r"blk_-?\d+(?: blk_-?\d+)*"),  # a list of blocks is one value
        ("IP", rf"/?{_ADDRESS}(?:,? {_ADDRESS})*"),
        ("PATH", r"(?<![\w/])/[\w.$/-]+"),
        ("HEX", r"\b0x[0-9a-fA-F]+\b"),
        ("NUM", r"(?<![\w.])[-+]?\d+(?:\.\d+)*(?!\w|\.\d)"),
    )
    mask_starts: ClassVar[str] = "b/0-9+-"

    def records(self, intake: Intake) -> Iterator[Record]:
        """Every line in file order."""
        for number, offset, text in read_lines(self.path, intake):
            match = _LINE.fullmatch(text)
            if match is None:
                intake.set_aside(number, offset, "not an HDFS line")
                continue
            clock, level, component, message = match.groups()
            time = _seconds(clock)
            if time is None:
                intake.set_aside(number, offset, "no such time")
                continue
            intake.records += 1
            blocks = _BLOCK.findall(message)
            sessions = tuple(dict.fromkeys(blocks) if len(blocks) > 1 else blocks)
            yield Record(number, offset, time, sessions, level, component, message, -1)

    def source_digest(self) -> str:
        """Of the log and its label file."""
        return digest("hdfs", file_digest(self.path), file_digest(self.labels) if self.labels else "")

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """Some lines by number, read again from the log."""
        return pick_lines(self.path, lines)

    def session_labels(self) -> Mapping[str, int] | None:
        """Labels by block; empty without a label file, and then everything is unknown."""
        return _read_labels(self.labels) if self.labels else {}


@lru_cache(maxsize=1 << 14)
def _seconds(clock: str) -> float | None:
    """UTC seconds of `yymmdd hhmmss`; None where the calendar has no such time."""
    year, month, day, hour, minute, second = (int(clock[at : at + 2]) for at in (0, 2, 4, 7, 9, 11))
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _read_labels(path: str) -> dict[str, int]:
    rows = csv.reader(line.text for line in read_lines(path, Intake()))
    header = [name.strip().lower().replace("_", "") for name in next(rows, [])]
    if "blockid" not in header or "label" not in header:
        raise DataError(f"the label file {path} has no columns BlockId and Label, but: {', '.join(header) or 'nothing'}")
    block, label = header.index("blockid"), header.index("label")
    labels: dict[str, int] = {}
    for row in rows:
        if len(row) <= max(block, label):
            raise DataError(f"the label file {path} has {len(row)} columns in row {rows.line_num}, too few for its header")
        value = label_of(row[label])
        if labels.setdefault(row[block], value) != value:
            raise DataError(f"the label file {path} calls {row[block]} both normal and anomalous (row {rows.line_num})")
    return labels
