"""Windows that somebody parsed before: one sequence of event ids a line, with or without identifier, label and time.

5 22 5 11 9                                            one sequence a line, as in DeepLog's HDFS files
blk_7,5 22 5 11 9                                      identifier and sequence
block_id,label,first_ts,last_ts,keys                   a header naming the columns, in any order and among others
blk_7,Normal,2008-11-09 20:35:30,2008-11-10 10:37,5 22
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, NamedTuple

from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, Intake, Record, label_of
from qlogad.logs.lines import RawLine, file_digest, pick_lines, read_lines

__all__ = ["Sequences"]

Role = Literal["train", "path", "normal", "anomalous"]
Files = str | tuple[str, ...] | None

_LABEL_OF_ROLE: dict[Role, int] = {"train": 0, "path": -1, "normal": 0, "anomalous": 1}
_COLUMNS = {  # spellings, in lower case without "_", "-" and spaces
    "id": {"id", "blockid", "sessionid", "windowid", "session", "window"},
    "keys": {"keys", "events", "sequence", "eventids"},
    "label": {"label"},
    "first": {"firstts", "first", "start", "starttime"},
    "last": {"lastts", "last", "end", "endtime"},
}


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
    """Pre-parsed windows. Each event id is a record; a line is a window, and lines are numbered on from file to file.

    With `train`, the source itself says what is training and what is test (`split = { by = "given" }`). A window without
    identifier is called by its role and line, "normal:17". Its first event has its first time, its last its last; others none.
    """

    train: Files = None  # training windows, normal unless a label column says otherwise
    path: Files = None  # windows with a label column (or of unknown label)
    normal: Files = None  # normal windows
    anomalous: Files = None  # anomalous windows

    parsed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self._files():
            raise DataError(
                "dataset 'sequences' needs a file (path, or train, normal, anomalous) with lines such as 'blk_7,5 22 5 11'; "
                "see: qlogad show sequences"
            )

    def records(self, intake: Intake) -> Iterator[Record]:
        """Every event of every window, file by file; `intake` counts the windows."""
        for window in self._windows(intake):
            last = len(window.tokens) - 1
            for place, token in enumerate(window.tokens):
                time = window.first if place == 0 else window.last if place == last else math.nan
                yield Record(window.line, window.offset, time, (window.key,), "", "", token, -1)

    def source_digest(self) -> str:
        """Of all files and their roles."""
        return digest("sequences", [[role, file_digest(path)] for role, path in self._files()])

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """Some windows by line number, read again."""
        return pick_lines([path for _, path in self._files()], lines)

    def session_labels(self) -> Mapping[str, int]:
        """Labels by window."""
        return {window.key: window.label for window in self._windows(Intake())}

    def given_split(self) -> Mapping[str, Literal["train", "test"]] | None:
        """What is in `train` is training, everything else test; None without `train`."""
        if not self.train:
            return None
        return {window.key: "train" if window.role == "train" else "test" for window in self._windows(Intake())}

    def _files(self) -> list[tuple[Role, str]]:
        given: dict[Role, Files] = {"train": self.train, "path": self.path, "normal": self.normal, "anomalous": self.anomalous}
        return [(role, path) for role, paths in given.items() for path in ([paths] if isinstance(paths, str) else paths or ())]

    def _windows(self, intake: Intake) -> Iterator[_Window]:
        seen: set[str] = set()
        for role, path in self._files():
            read: _Table | None = None
            for line in read_lines(path, intake):
                if read is None:
                    read = _Table(role, path, line.text)
                    if read.header:
                        intake.blank += 1
                        continue
                window = read(line)
                if not isinstance(window, str) and window.key in seen:
                    window = "window identifier met before"
                if isinstance(window, str):
                    intake.set_aside(line.number, line.offset, window)
                    continue
                seen.add(window.key)
                intake.records += 1
                yield window


class _Table:
    """How to read the lines of one file, decided by its first line."""

    def __init__(self, role: Role, path: str, first_line: str) -> None:
        self._role, self._path = role, path
        cells = _cells(first_line) or []
        self._column = _columns(cells)
        self.header = "keys" in self._column
        self._width = len(cells)
        if not self.header:
            if self._column or self._width > 2:
                raise DataError(f"{path} has {self._width} columns, none named 'keys'; name the columns in its first line")
            self._column = {"keys": 0} if self._width == 1 else {"id": 0, "keys": 1}

    def __call__(self, line: RawLine) -> _Window | str:
        """The window of a line, or why there is none."""
        cells = _cells(line.text)
        if cells is None or len(cells) != self._width:
            return f"not {self._width} columns"
        row = {name: cells[place].strip() for name, place in self._column.items()}
        tokens, key = row["keys"].split(), row.get("id") or f"{self._role}:{line.number}"
        first, last = _seconds(row.get("first", "")), _seconds(row.get("last", ""))
        if not tokens:
            return "no events"
        if first is None or last is None:
            return "no such time"
        return _Window(line.number, line.offset, key, self._role, self._label(row, key), first, last, tokens)

    def _label(self, row: Mapping[str, str], key: str) -> int:
        role_label = _LABEL_OF_ROLE[self._role]
        if "label" not in row:
            return role_label
        label = label_of(row["label"])
        if self._role in {"normal", "anomalous"} and label not in {-1, role_label}:
            raise DataError(
                f"{self._path} is given as '{self._role}', but window {key} is labelled '{row['label']}'; give it as 'path'"
            )
        return role_label if label < 0 and self._role != "train" else label


def _cells(text: str) -> list[str] | None:
    if '"' not in text:
        return text.split(",")  # also for sequences longer than csv's limit for a field
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        return None


def _columns(cells: list[str]) -> dict[str, int]:
    plain = [cell.strip().lower().translate({ord(mark): None for mark in "_- "}) for cell in cells]
    return {name: place for name, spellings in _COLUMNS.items() for place, cell in enumerate(plain) if cell in spellings}


def _seconds(text: str) -> float | None:
    """Seconds since 1970 of a number or an ISO time (UTC unless it says otherwise); NaN for nothing, None for no time at all."""
    if not text:
        return math.nan
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
