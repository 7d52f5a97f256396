"""HDFS: raw lines of a Hadoop file system, labelled by block.  Xu et al., SOSP 2009, doi:10.1145/1629575.1629587; as in loghub.

A line that names several blocks belongs to each of them once; a line without a block belongs to no session.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from qlogad.documents import digest
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.raw_lines import file_digest, pick_lines, read_lines
from qlogad.logs.tables import read_labels
from qlogad.logs.times import calendar

__all__ = ["Hdfs"]

_LINE = re.compile(r"(\d{6} \d{6}) \d+ ([A-Z]+) ([^\s:]+): (.*)", re.ASCII)
_BLOCK = re.compile(r"blk_-?\d+", re.ASCII)
_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"


@dataclass(frozen=True)
class Hdfs(Dataset):
    """Raw HDFS lines: date, time (UTC), thread, level, component, message; sessions are blocks."""

    path: File  # the log, plain, gz, bz2 or xz
    labels: File | None = None  # a table with a block and a label column, as loghub's anomaly_label.csv

    masks: ClassVar[tuple[tuple[str, str], ...]] = (
        ("BLK", r"blk_-?\d+(?: blk_-?\d+)*"),  # a list of addresses is one value
        ("IP", rf"/?{_ADDRESS}(?:,? {_ADDRESS})*"),
        ("PATH", r"(?<![\w/])/[\w.$/-]+"),
        ("HEX", r"\b0x[0-9a-fA-F]+\b"),
        ("NUM", r"(?<![\w.])[-+]?\d+(?:\.\d+)*(?!\w|\.\d)"),
    )
    mask_starts: ClassVar[str] = "b/0-9+-"

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in file order."""
        return self.read(read_lines(self.path, intake), intake)

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Each line by itself."""
        for number, offset, text in lines:
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
            yield LogRecord(number, offset, time, sessions, level, component, message, -1)

    def source_digest(self) -> str:
        """Digest of the log and its label file."""
        return digest("hdfs", file_digest(self.path), file_digest(self.labels) if self.labels else "")

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The text of the given line numbers, reread from the log."""
        return pick_lines(self.path, lines)

    def session_labels(self) -> Mapping[str, int] | None:
        """Labels by block; empty without a label file: all labels are then unknown."""
        return read_labels(self.labels) if self.labels else {}


@lru_cache(maxsize=1 << 14)
def _seconds(clock: str) -> float | None:
    """UTC seconds of `yymmdd hhmmss`; None if there is no such time."""
    return calendar(f"20{clock[:6]}T{clock[7:]}")
