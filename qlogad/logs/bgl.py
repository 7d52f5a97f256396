"""BGL: alerts and events of a BlueGene/L machine.  Oliner and Stearley, DSN 2007, doi:10.1109/DSN.2007.103; lines as in loghub.

    LABEL EPOCH      DATE       NODE                DATETIME                   NODE                TYPE COMPONENT LEVEL MESSAGE
    -     1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS  KERNEL    INFO  text ...

Time is read from DATETIME, to the microsecond, as the machine's clock showed it (EPOCH is in UTC, seven or eight hours later).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from qlogad.logs.dataset import Dataset, LogRecord, RawLine
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.line_reader import LineReader

__all__ = ["Bgl", "format_line", "parse_line"]


@dataclass(frozen=True)
class Bgl(LineFiles, Dataset):
    """Raw BGL lines; a line whose first field is not '-' is an alert of that category. Sessions are nodes.

    A line that ends before its message has an empty message, and no line is dropped for it.
    """

    path: Files  # the log, plain, gz, bz2 or xz

    layout = Layout("bgl").complete()
    default_window = "count"
    masks = masks_of("bgl")


_READER = LineReader(Bgl.layout)


def parse_line(text: str, number: int = 1, offset: int = 0) -> LogRecord | str:
    """Parse a line in BGL's format; returns the record, or the reason why it is not one.

    LABEL to DATETIME are required; later fields default to "". The session is the node; lines without a node have NULL.

    >>> line = parse_line("KERNDTLB 1 1970.01.01 R30-M0-N9 1970-01-01-00.00.01.500000 R30-M0-N9 RAS KERNEL FATAL data TLB error")
    >>> line.time, line.sessions, line.level, line.label, line.kind, line.message
    (1.5, ('R30-M0-N9',), 'FATAL', 1, 'KERNDTLB', 'data TLB error')
    """
    found = _READER.record(RawLine(number, offset, text))
    assert found is not None  # as the header of a table is
    return found


def format_line(time: int, node: str, facility: str, component: str, level: str, message: str, category: str = "-") -> str:
    """Format a line in BGL's format; `time` is in microseconds since 1970, and the clock shows UTC.

    >>> format_line(1_500_000, "R30-M0-N9", "RAS", "KERNEL", "FATAL", "data TLB error", "KERNDTLB")
    'KERNDTLB 1 1970.01.01 R30-M0-N9 1970-01-01-00.00.01.500000 R30-M0-N9 RAS KERNEL FATAL data TLB error'
    """
    second, micro = divmod(time, 1_000_000)
    day, clock = _second(second)
    return f"{category} {second} {day} {node} {clock}.{micro:06d} {node} {facility} {component} {level} {message}"


@lru_cache(maxsize=1 << 12)
def _second(second: int) -> tuple[str, str]:
    day, clock = datetime.fromtimestamp(second, UTC).strftime("%Y.%m.%d %Y-%m-%d-%H.%M.%S").split(" ")
    return day, clock
