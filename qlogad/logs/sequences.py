"""Pre-parsed windows: one sequence of event ids per line, with or without identifier, label and time.

5 22 5 11 9                                            one sequence per line, as in DeepLog's HDFS files
blk_7,5 22 5 11 9                                      identifier and sequence
block_id,label,first_ts,last_ts,keys                   a header naming the columns, in any order; others are ignored
blk_7,Normal,2008-11-09 20:35:30,2008-11-10 10:37,5 22
BlockId;Label;EventSequence                            also tab, semicolon or bar; sequences as lists; other label words
blk_7;Fail;"['E5', 'E22', 'E5']"
blk_7: 5 22 5 11 9                                     a colon or an arrow after the identifier
{"block_id": "blk_7", "label": 0, "keys": [5, 22, 5]}  JSON Lines
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from qlogad import documents
from qlogad.documents import digest
from qlogad.errors import DataError, shown
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.reading.raw_lines import file_digest, pick_lines, read_lines
from qlogad.logs.reading.tables import TableRow, items_of, read_label, rows_of
from qlogad.logs.reading.times import Times, Unit

__all__ = ["Sequences"]

Role = Literal["train", "path", "normal", "anomalous"]
Files = File | tuple[File, ...] | None

_LABEL_OF_ROLE: dict[Role, int] = {"train": 0, "path": -1, "normal": 0, "anomalous": 1}
_ID = re.compile(r"\w(?:[\w.:/+-]{0,62}\w)?", re.ASCII)  # the form of an event id; one with blanks is a template
_FREE = 0.02  # events count as words if at least this share of them do not look like ids
_RARE, _MANY = 0.5, 200  # at least this many events also count as words if this share of them is distinct


class _Window(NamedTuple):
    line: int
    offset: int
    key: str
    role: Role
    label: int
    first: float
    last: float
    tokens: list[str]


@dataclass(frozen=True)
class Sequences(Dataset):
    """Pre-parsed windows. Each event id is a record; a line is a window; line numbers continue from file to file.

    With `train`, the source defines the split into training and test (`split = { by = "given" }`). A window without
    identifier is named by role and line, "normal:17". Only its first and last events have times: the window's start and end.
    """

    train: Files = None  # training windows, normal unless a label column says otherwise
    path: Files = None  # windows with a label column (otherwise labels are unknown)
    normal: Files = None  # normal windows
    anomalous: Files = None  # anomalous windows
    time_unit: Unit | None = None  # of numeric times: "s", "ms", "us" or "ns"; None: inferred from their size

    parsed = True

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
        if not self._files():
            raise DataError(
                "dataset 'sequences' needs a file (path, or train, normal, anomalous) with lines such as 'blk_7,5 22 5 11'; "
                "see: qlogad show sequences"
            )

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every event of every window, file by file; `intake` counts the windows."""
        return _records(self._windows(intake), intake)

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Every event of every window; a window without identifier is named after its line, "path:17"."""
        return _records(self._windows_of("path", "the lines", lines, intake, set(), Times(self.time_unit)), intake)

    def source_digest(self) -> str:
        """Digest of all files and their roles, and of the unit of times if one is given."""
        unit = [] if self.time_unit is None else [self.time_unit]
        return digest("sequences", [[role, file_digest(path)] for role, path in self._files()], *unit)

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The text of the given line numbers, reread from the files."""
        return pick_lines([path for _, path in self._files()], lines)

    def session_labels(self) -> Mapping[str, int]:
        """Labels by window."""
        return {window.key: window.label for window in self._windows(Intake())}

    def given_split(self) -> Mapping[str, Literal["train", "test"]] | None:
        """The part of each window: "train" for the file `train`, "test" for all others; None without `train`."""
        if not self.train:
            return None
        return {window.key: "train" if window.role == "train" else "test" for window in self._windows(Intake())}

    def _files(self) -> list[tuple[Role, str]]:
        given: dict[Role, Files] = {"train": self.train, "path": self.path, "normal": self.normal, "anomalous": self.anomalous}
        return [(role, path) for role, paths in given.items() for path in ([paths] if isinstance(paths, str) else paths or ())]

    def _windows(self, intake: Intake) -> Iterator[_Window]:
        seen: set[str] = set()
        times = Times(self.time_unit)
        for role, path in self._files():
            yield from self._windows_of(role, path, read_lines(path, intake), intake, seen, times)

    @staticmethod
    def _windows_of(
        role: Role, name: str, lines: Iterator[RawLine], intake: Intake, seen: set[str], times: Times
    ) -> Iterator[_Window]:
        for row in rows_of(name, lines, intake, ("keys",), ("id", "label", "first", "last"), (("keys",), ("id", "keys"))):
            window = _window(role, name, row, times)
            if not isinstance(window, str) and window.key in seen:
                window = "duplicate window identifier"
            if isinstance(window, str):
                intake.set_aside(row.line.number, row.line.offset, window)
                continue
            seen.add(window.key)
            intake.records += 1
            yield window


def _records(windows: Iterator[_Window], intake: Intake) -> Iterator[LogRecord]:
    events: Counter[str] = Counter()
    for window in windows:
        last = len(window.tokens) - 1
        events.update(window.tokens)
        for place, token in enumerate(window.tokens):
            time = window.first if place == 0 else window.last if place == last else math.nan
            yield LogRecord(window.line, window.offset, time, (window.key,), "", "", token, -1)
    if doubt := _doubt(events):
        intake.warnings.append(doubt)


def _window(role: Role, path: str, row: TableRow, times: Times) -> _Window | str:
    """The window of a row, or the reason why it is not one."""
    line, cells = row.line, row.cells
    tokens, key = items_of(cells["keys"]), cells.get("id") or f"{role}:{line.number}"
    if isinstance(tokens, str):
        return tokens
    if not tokens:
        return "no events"
    if len(tokens) > 1 and tokens[0].endswith(":") and not tokens[-1].endswith(":"):
        return "an identifier before a colon, unlike other lines"
    if isinstance(key, list):
        return "an identifier that is a list"
    first, last = times(cells.get("first", "")), times(cells.get("last", ""))
    if isinstance(first, str):
        return first
    if isinstance(last, str):
        return last
    if last < first:
        return "ends before it starts"
    return _Window(line.number, line.offset, key, role, _label(role, path, row, key), first, last, tokens)


def _label(role: Role, path: str, row: TableRow, key: str) -> int:
    role_label = _LABEL_OF_ROLE[role]
    if "label" not in row.cells:
        return role_label
    where = f"{path}, line {row.place}"
    label = read_label(row.cells["label"], where)
    if role in {"normal", "anomalous"} and label not in {-1, role_label}:
        given = shown(row.cells["label"])
        raise DataError(f"{where}: window {shown(key)} is labelled {given}, but the file is given as '{role}'; give it as 'path'")
    return role_label if label < 0 and role != "train" else label


def _doubt(events: Counter[str]) -> str | None:
    """A warning if the events look like words of a log rather than ids; else None."""
    total = events.total()
    odd = {event: count for event, count in events.items() if " " not in event and not _ID.fullmatch(event)}  # " ": a template
    if sum(odd.values()) <= _FREE * total and not (total >= _MANY and len(events) > _RARE * total):
        return None
    return (
        f"the events look like free text, not like event ids: {len(events):,} distinct ones among {total:,}, such as "
        f"{shown(min(odd or events))}; read a raw log with the data set of its format (qlogad list datasets)"
    )
