"""BGL: alerts and events of a BlueGene/L machine.  Oliner and Stearley, DSN 2007, doi:10.1109/DSN.2007.103; lines as in loghub.

    LABEL EPOCH      DATE       NODE                DATETIME                   NODE                TYPE COMPONENT LEVEL MESSAGE
    -     1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS  KERNEL    INFO  text ...

Time is read from DATETIME, to the microsecond, as the machine's clock showed it (EPOCH counts UTC: seven or eight hours later).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.raw_lines import file_digest, pick_lines, read_lines
from qlogad.logs.times import calendar

__all__ = ["Bgl", "format_line", "parse_line"]

_CLOCK = re.compile(r"(\d{4}-\d\d-\d\d-\d\d\.\d\d)\.([0-5]\d)\.(\d{6})", re.ASCII)
_EPOCH = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class Bgl(Dataset):
    """Raw BGL lines; a line whose first field is not '-' is an alert of that category. Sessions are nodes."""

    path: File  # the log, plain, gz, bz2 or xz

    default_window = "count"
    masks: ClassVar[tuple[tuple[str, str], ...]] = (
        ("IP", r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"),
        ("NODE", r"\bR\d\d-M[\dL](?:-[A-Z0-9]+)*(?::J\d+(?:-[A-Z]\d+)?)*\b"),
        ("PATH", r"(?<![\w/])(?:/[\w.+-]+)+/?"),
        ("CORE", r"\bcore\.\d+\b"),
        ("HEX", r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b"),
        ("NUM", r"(?<![\w.])[-+]?\d+(?!\w)"),
    )

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in file order; a line that ends before its message has an empty message, and no line is dropped for it."""
        yield from self.read(read_lines(self.path, intake), intake)
        if intake.quarantine and not intake.records:
            raise DataError(f"no line of {self.path} is a BGL line (LABEL EPOCH DATE NODE DATETIME ...); is the dataset right?")

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Each line by itself."""
        for number, offset, text in lines:
            found = parse_line(text, number, offset)
            if isinstance(found, str):
                intake.set_aside(number, offset, found)
                continue
            intake.records += 1
            yield found

    def source_digest(self) -> str:
        """Digest of the log file."""
        return digest("bgl", file_digest(self.path))

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The text of the given line numbers, reread from the log."""
        return pick_lines(self.path, lines)


def parse_line(text: str, number: int = 1, offset: int = 0) -> LogRecord | str:
    """One line in BGL's format as a record, or why it is none.

    LABEL to DATETIME are required; later fields default to "". The session is the node; lines without a node say NULL.

    >>> line = parse_line("KERNDTLB 1 1970.01.01 R30-M0-N9 1970-01-01-00.00.01.500000 R30-M0-N9 RAS KERNEL FATAL data TLB error")
    >>> line.time, line.sessions, line.level, line.label, line.kind, line.message
    (1.5, ('R30-M0-N9',), 'FATAL', 1, 'KERNDTLB', 'data TLB error')
    """
    fields = text.split(" ", 9)
    if len(fields) < 5 or not fields[0] or not fields[3] or not _EPOCH.fullmatch(fields[1]):
        return "not a BGL line"
    clock = _CLOCK.fullmatch(fields[4])
    minute = _minute(clock[1]) if clock else None
    if clock is None or minute is None:
        return "no such time"
    fields += [""] * (10 - len(fields))
    category, _, _, node, _, _, _, component, level, message = fields
    alert = category != "-"
    time = (minute + int(clock[2]) * 1_000_000 + int(clock[3])) / 1e6
    return LogRecord(number, offset, time, (node,), level, component, message, int(alert), category if alert else "")


def format_line(time: int, node: str, facility: str, component: str, level: str, message: str, category: str = "-") -> str:
    """Format a line in BGL's format; `time` is in microseconds since 1970, and the clock shows UTC.

    >>> format_line(1_500_000, "R30-M0-N9", "RAS", "KERNEL", "FATAL", "data TLB error", "KERNDTLB")
    'KERNDTLB 1 1970.01.01 R30-M0-N9 1970-01-01-00.00.01.500000 R30-M0-N9 RAS KERNEL FATAL data TLB error'
    """
    second, micro = divmod(time, 1_000_000)
    day, clock = _second(second)
    return f"{category} {second} {day} {node} {clock}.{micro:06d} {node} {facility} {component} {level} {message}"


@lru_cache(maxsize=1 << 12)
def _minute(text: str) -> int | None:
    """`2005-06-03-15.42` in microseconds since 1970."""
    seconds = calendar(f"{text[:10]}T{text[11:13]}:{text[14:]}")
    return None if seconds is None else int(seconds) * 1_000_000


@lru_cache(maxsize=1 << 12)
def _second(second: int) -> tuple[str, str]:
    day, clock = datetime.fromtimestamp(second, UTC).strftime("%Y.%m.%d %Y-%m-%d-%H.%M.%S").split(" ")
    return day, clock
