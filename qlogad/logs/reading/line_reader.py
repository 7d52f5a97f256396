"""Lines to records, as a layout says: the reference that any faster way of reading has to equal.

line ─► taken apart (an expression, JSON, logfmt, a table) ─► time, level, component, message, sessions, label ─► LogRecord
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from qlogad.errors import DataError, counted, shown
from qlogad.logs.dataset import Intake, LogRecord, RawLine, label_of
from qlogad.logs.reading.layout import FILE, LINE, Layout, Role
from qlogad.logs.reading.line_times import LineTimes

__all__ = [
    "EARLY",
    "MOST_JOINED",
    "NOT_OF_LAYOUT",
    "NO_LABEL",
    "NO_SUCH_LABEL",
    "TOLERATED",
    "Doubt",
    "LineReader",
    "entries",
    "read_records",
]

TOLERATED = 0.5  # of a log's lines may be set aside; beyond it the layout is the wrong one
MOST_JOINED = 1 << 16  # characters of a message with the lines that go on with it; the rest is counted and not kept
EARLY = 1 << 16  # lines after which a wrong layout is told without reading on
_EXAMPLES = 3
NOT_OF_LAYOUT = "not a line of this layout"
NO_SUCH_LABEL = "no such label"
_PAIR = re.compile(r'\s*([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|(\S*)))?(?=\s|$)')
_SEVERITIES = ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")  # RFC 5424, 6.2.1

Taken = Callable[[str], Any]  # a line's fields, whatever they are held in, or a reason
Got = Callable[[Any, str], str | None]  # the text of a role, from a line's fields and the line


class LineReader:
    """Reads the lines of a log in order. It remembers the header of a table, and the last time where times have no year.

    >>> reader = LineReader(Layout("<date> <time> <level> <component>: <message>", time_format="iso").complete())
    >>> record = reader.record(RawLine(1, 0, "2008-11-09 20:35:30 INFO api: started"))
    >>> record.time, record.level, record.component, record.message
    (1226262930.0, 'INFO', 'api', 'started')
    >>> reader.record(RawLine(2, 37, "2008-11-31 20:35:30 INFO api: started"))
    'not a valid time'

    Args:
        layout: complete.
        file: the name of the file that the lines are in.
    """

    def __init__(self, layout: Layout, file: str = "") -> None:
        self.layout, self.file = layout, file
        self.times = LineTimes(layout.time_format, layout.time_zone or "UTC", layout.year)
        self._header: list[str] | None = None
        self._delimiter = ","
        self._index = dict[str, int]()
        self._expression = re.compile(layout.expression, re.ASCII) if layout.expression else None
        self._take: Taken = {"json": _json, "logfmt": _logfmt, "csv": self._row}.get(layout.syntax or "text", self._match)
        self._time, self._level, self._component = self._got("time"), self._got("level"), self._got("component")
        self._message, self._session, self._kind = self._got("message"), self._got("session"), self._got("kind")
        self._label = self._got("label")
        self._sessions_in = None if layout.session_pattern is None else re.compile(layout.session_pattern, re.ASCII).findall
        self._level_of = _Levels(layout.levels)
        self._label_of = _Labels(layout.normal, layout.anomalous, told=layout.label is not None)
        self._left_out = frozenset(layout.without or ())
        go_on = layout.continuation
        self._goes_on = re.compile(go_on, re.ASCII) if isinstance(go_on, str) else None

    def record(self, line: RawLine) -> LogRecord | str | None:
        """One line as a record; None: it is the header of the table; or the reason why it is neither."""
        number, offset, text = line
        found = self._take(text)
        if found is None or isinstance(found, str):
            return found
        if self._message is None:
            return "no message"
        message = self._message(found, text)
        if message is None:
            if self._expression is None:
                return "no message"
            message = ""
        time = self.times(self._time(found, text) or "") if self._time else _NAN
        if isinstance(time, str):
            return time
        sessions: tuple[str, ...] = ()
        if self._session is not None:
            place = self._session(found, text)
            if place:
                sessions = (place,) if self._sessions_in is None else _named(self._sessions_in(place))
        label, kind = -1, ""
        if self._label is not None:
            label = self._label_of[self._label(found, text) or ""]
            if label is NO_LABEL:
                return NO_SUCH_LABEL
            if label == 1 and self._kind is not None:
                kind = self._kind(found, text) or ""
        level = self._level_of[(self._level(found, text) or "") if self._level else ""]
        component = (self._component(found, text) or "") if self._component else ""
        return LogRecord(number, offset, time, sessions, level, component, message, label, kind)

    def goes_on(self, text: str) -> str | None:
        """What a line adds to the message above if it is no event of its own; None: nothing goes on."""
        if self._goes_on is None:
            return text if self.layout.continuation is True else None
        match = self._goes_on.fullmatch(text)
        return None if match is None else match["message"] if "message" in self._goes_on.groupindex else text

    def level_of(self, word: str) -> str:
        """The level that a word of a line means."""
        return self._level_of[word]

    def label_of(self, word: str) -> int:
        """The label that a word of a line means; `NO_LABEL` if it means none."""
        return self._label_of[word]

    def leaves_out(self, record: LogRecord) -> bool:
        """Whether the layout leaves lines of this level out."""
        return record.level in self._left_out

    def _got(self, role: Role) -> Got | None:
        """How the text of a role is taken from a line's fields."""
        ways = self.layout.fields(role)
        if not ways:
            return None
        if self._expression is None:
            return lambda found, text: self._first(ways, found, text)
        if len(ways) == 1 and not {LINE, FILE} & set(ways[0]):
            place = {group: number - 1 for group, number in self._expression.groupindex.items()}
            first, *others = (place[group] for group in ways[0])
            if not others:
                return lambda groups, text: groups[first]
            last = first + len(others)
            if [first, *others] == [*range(first, last + 1)]:
                return lambda groups, text: None if None in (parts := groups[first : last + 1]) else " ".join(parts)
        names = {number - 1: group for group, number in self._expression.groupindex.items()}
        return lambda groups, text: self._first(ways, {names[place]: groups[place] for place in names}, text)

    def _first(self, ways: tuple[tuple[str, ...], ...], found: Mapping[str, Any], text: str) -> str | None:
        """The first of several ways that a line has all parts of."""
        for way in ways:
            parts = [text if part == LINE else self.file if part == FILE else _value(found, part) for part in way]
            if None not in parts:
                return parts[0] if len(parts) == 1 else " ".join(map(str, parts))
        return None

    def _match(self, text: str) -> Any:
        assert self._expression is not None
        match = self._expression.fullmatch(text)
        return NOT_OF_LAYOUT if match is None else match.groups()

    def _row(self, text: str) -> Any:
        """A row of a table as a mapping; None: its header."""
        if self._header is None:
            self._delimiter = max(",\t;|", key=text.count)
            self._header = [name.strip().lower() for name in _cells(text, self._delimiter) or []]
            return None
        cells = _cells(text, self._delimiter)
        if cells is None or len(cells) != len(self._header):
            return f"not {counted(len(self._header), 'column')}"
        return dict(zip(self._header, cells, strict=True))


_NAN = float("nan")
NO_LABEL = 2


def read_records(layout: Layout, files: Iterable[tuple[str, Iterator[RawLine]]], intake: Intake) -> Iterator[LogRecord]:
    """The records of files, one after another.

    A line that goes on with the event above joins its message, whatever else it has, and is counted as joined.

    Args:
        layout: complete.
        files: name and lines of each.
        intake: counts what becomes of every line.

    Raises:
        DataError: most lines of the log are not of this layout; the message shows some of them.
    """
    reader, doubt = LineReader(layout), Doubt(layout)
    for file, lines in files:
        reader.file = file
        if layout.syntax == "csv":
            reader._header = None
        yield from entries(reader, lines, intake, doubt)
    doubt.settle(intake)
    intake.warnings.extend(reader.times.warnings())


def entries(reader: LineReader, lines: Iterator[RawLine], intake: Intake, doubt: Doubt | None = None) -> Iterator[LogRecord]:
    """The records of lines of one file; without `doubt`, nobody asks whether the layout is the right one."""
    return (_joined if reader.layout.continuation else _single)(reader, lines, intake, doubt)


def _single(reader: LineReader, lines: Iterator[RawLine], intake: Intake, doubt: Doubt | None) -> Iterator[LogRecord]:
    for line in lines:
        found = reader.record(line)
        if isinstance(found, LogRecord):
            if reader.leaves_out(found):
                intake.left_out += 1
                continue
            intake.records += 1
            yield found
        elif found is None:
            intake.blank += 1
        else:
            intake.set_aside(line.number, line.offset, found)
            if doubt is not None:
                doubt.of(line, intake)


def _joined(reader: LineReader, lines: Iterator[RawLine], intake: Intake, doubt: Doubt | None) -> Iterator[LogRecord]:
    above: LogRecord | None = None
    more, length = list[str](), 0
    for line in lines:
        goes_on = reader.goes_on(line.text) if reader.layout.continuation is not True else None
        found = reader.record(line) if goes_on is None else ""
        if isinstance(found, LogRecord):
            if above is not None:
                yield from _done(above, more, reader, intake)
            above, more, length = found, [], len(found.message)
            continue
        if goes_on is None and reader.layout.continuation is True:
            goes_on = line.text
        if goes_on is None or above is None:
            intake.set_aside(line.number, line.offset, found or NOT_OF_LAYOUT)
            if doubt is not None:
                doubt.of(line, intake)
            continue
        intake.joined += 1
        if length < MOST_JOINED:
            more.append(goes_on.strip()[: MOST_JOINED - length])
            length += len(more[-1]) + 1
    if above is not None:
        yield from _done(above, more, reader, intake)


def _done(above: LogRecord, more: list[str], reader: LineReader, intake: Intake) -> Iterator[LogRecord]:
    if reader.leaves_out(above):
        intake.left_out += 1
        return
    intake.records += 1
    yield above._replace(message=" ".join([above.message, *more])) if more else above


class Doubt:
    """Whether the layout is the right one: lines that were set aside, of all lines with content."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lines = list[RawLine]()

    def of(self, line: RawLine, intake: Intake) -> None:
        """Another line was set aside.

        Raises:
            DataError: most of many lines were.
        """
        self.note(line)
        if intake.lines % EARLY == 0:
            self.settle(intake)

    def note(self, line: RawLine) -> None:
        """Keep one of the first such lines for the message."""
        if len(self._lines) < _EXAMPLES:
            self._lines.append(line)

    def settle(self, intake: Intake) -> None:
        """Say that the layout is the wrong one, where it is.

        Raises:
            DataError: most lines were set aside.
        """
        read = intake.lines - intake.blank
        if self._lines and len(intake.quarantine) > TOLERATED * read:
            reason, _ = next(iter(intake.reasons().items()))
            lines = "; ".join(f"line {line.number}: {shown(line.text, 100)}" for line in self._lines)
            raise DataError(
                f"{len(intake.quarantine)} of {counted(read, 'line')} cannot be read (mostly: {reason}); expected "
                f"{self._layout.expected()[:300]}; found {lines}; is this the format of the log? see: qlogad list formats"
            )


def _value(found: Mapping[str, Any], name: str) -> str | None:
    """The text of a field; None if there is none. A name with dots is a key, or leads into tables."""
    value = found.get(name)
    if value is None and name not in found:
        value = found.get(name.lower()) if "." not in name else None
    if value is None and "." in name:
        for place, character in enumerate(name):
            if character == "." and isinstance(found.get(name[:place]), Mapping):
                inner = _value(found[name[:place]], name[place + 1 :])
                if inner is not None:
                    return inner
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(type(one) is int and 0 <= one < 256 for one in value):
        return bytes(value).decode("utf-8", "backslashreplace").replace("\0", "\\x00")  # how journald writes what is no UTF-8
    return json.dumps(value, ensure_ascii=False)


def _json(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "not JSON"
    return found if isinstance(found, dict) else "not a JSON object"


def _logfmt(text: str) -> Any:
    found, end = dict[str, str](), 0
    text = text.strip()
    while end < len(text):
        match = _PAIR.match(text, end)
        if match is None:
            return "not logfmt"
        name, quoted, bare = match.groups()
        found[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare if bare is not None else "true"
        end = match.end()
    return found if "=" in text else "not logfmt"


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), None)
    except csv.Error:
        return None


def _named(found: list[Any]) -> tuple[str, ...]:
    """Sessions in order of appearance, each once; of several groups of an expression the first that matched."""
    if found and isinstance(found[0], tuple):
        found = [next(filter(None, groups), "") for groups in found]
    return tuple(dict.fromkeys(filter(None, found))) if len(found) != 1 else (found[0],) if found[0] else ()


class _Levels(dict[str, str]):
    """Levels as they are called, by their words."""

    def __init__(self, levels: str | Mapping[str, str] | None) -> None:
        super().__init__({} if levels is None or isinstance(levels, str) else levels)
        self._numbered = levels == "syslog"

    def __missing__(self, word: str) -> str:
        level = _SEVERITIES[int(word) % 8] if self._numbered and word.isdecimal() else word
        if len(self) < 1 << 10:
            self[word] = level
        return level


class _Labels(dict[str, int]):
    """Labels by their words: 1 anomaly, 0 normal, -1 unknown; `NO_LABEL` if the word is none, and the field was told to be a label."""

    def __init__(self, normal: str | None, anomalous: str | None, *, told: bool) -> None:
        super().__init__()
        self._none = NO_LABEL if told else -1
        self._normal = None if normal is None else re.compile(normal, re.ASCII)
        self._anomalous = None if anomalous is None else re.compile(anomalous, re.ASCII)

    def __missing__(self, word: str) -> int:
        label = self._found(word)
        if len(self) < 1 << 12:
            self[word] = label
        return label

    def _found(self, word: str) -> int:
        if self._anomalous is not None and self._anomalous.fullmatch(word):
            return 1
        if self._normal is not None:
            return 0 if self._normal.fullmatch(word) else -1 if self._anomalous is not None else 1
        if self._anomalous is not None:
            return 0
        try:
            return label_of(word)
        except DataError:
            return self._none
