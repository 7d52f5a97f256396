"""What the lines of a log look like: every format is tried on a sample; that which understands most wins, of equals that which says most.

A layout derived from the lines themselves (`derive`) is tried beside the formats, and taken where they understand less or say less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from math import isnan
from typing import Any

from qlogad import names
from qlogad.errors import DataError
from qlogad.logs.dataset import Intake, LogRecord, RawLine
from qlogad.logs.guess.derive import LEVELS, PLAIN, derive, goes_on
from qlogad.logs.reading.layout import Layout
from qlogad.logs.reading.line_reader import LineReader
from qlogad.logs.reading.tables import items_of, rows_of

__all__ = ["Guess", "Tried", "guess"]

TRIED = 450  # lines on which formats are compared
_RUNS = 15  # of neighbours that these are
_FIRST = 30  # lines after which a layout that understood none of them is given up
_BEGINNING = (
    160  # characters in which the fields of a line are found, or it is of another layout: a long line is never searched whole
)
CLOSE = 0.02  # shares of understood lines that count as equal
LEAST = 0.5  # of the lines have to be understood
_BETTER = 0.4  # by this much a derived layout says more than a format, or the format is taken
_OWN = "derived from its lines"
_LETTERS = frozenset("VDIWEFN")


@dataclass(frozen=True)
class Tried:
    """How a layout did on the sample."""

    name: str  # of the format
    understood: float  # share of the lines that are events, or go on with one
    says: float  # mean number of its lines' time, level, component and session that are there and look like one
    fields: float  # mean number of fields that are not empty


@dataclass(frozen=True)
class Guess:
    """What a log is."""

    name: str  # of the format or dataset, or that it was derived
    data: Mapping[str, Any]  # keys of [data], without the path
    understood: float
    tried: tuple[Tried, ...] = field(default=())  # the formats that understand something, the best first

    @property
    def derived(self) -> bool:
        """Whether no format fits, so that the layout is the log's own."""
        return self.name == _OWN


def guess(texts: Sequence[str]) -> Guess:
    """What the lines of a log look like.

    >>> guess([f"2015-10-18 18:01:{n:02},978 INFO [main] org.Task: task {n} is done" for n in range(60)]).name
    'hadoop'

    Args:
        texts: of lines in order; the first is the first of the log. At least one.
    """
    other = _otel(texts) or _sequences(texts)
    if other is not None:
        return other
    chosen = _spread(texts, TRIED)
    found = list[tuple[Tried, Layout, dict[str, Any]]]()
    for name in names.formats():
        layout = Layout(name).complete()
        if layout.format is None and name in _ALIASES:
            continue
        tried = _try(name, layout, chosen)
        if tried.understood > 0:
            found.append((tried, layout, {"format": name}))
    own = derive(chosen)
    if own is not None:
        own = _going_on(own.complete(), chosen)
        found.append((_try(_OWN, own, chosen), own, _said(own)))
    found.sort(key=lambda one: _rank(one[0]), reverse=True)
    good = [one for one in found if one[0].understood >= LEAST]
    if not good:
        return Guess(_OWN, {"format": PLAIN.format}, 1.0, tuple(one for one, _, _ in found))
    most = max(one.understood for one, _, _ in good)
    near = [one for one in good if one[0].understood >= most - CLOSE]
    formats = [one for one in near if one[0].name != _OWN]
    best = max(near, key=lambda one: _telling(one[0]))
    if best[0].name == _OWN and formats:
        rival = max(formats, key=lambda one: _telling(one[0]))
        best = rival if rival[0].says > best[0].says - _BETTER else best
    tried, layout, said = best
    if (more := _going_on(layout, chosen)) is not layout:
        said, tried = {**said, "continuation": True}, _try(tried.name, more, chosen)
    return Guess(tried.name, said, tried.understood, tuple(one for one, _, _ in found if one.name != _OWN))


_ALIASES = frozenset(("windows-cbs",))


def _going_on(layout: Layout, texts: Sequence[str]) -> Layout:
    """The same, with `continuation` if most lines that are no events look as if they went on with one."""
    if layout.continuation is not None or layout.syntax is not None:
        return layout
    reader, expression = LineReader(layout), _expression(layout)
    lonely = [text for text in texts if not (_may(layout, expression, text) and _read(reader, text))]
    return replace(layout, continuation=True) if lonely and sum(map(goes_on, lonely)) >= 0.5 * len(lonely) else layout


def _said(layout: Layout) -> dict[str, Any]:
    """The keys of a layout that say something."""
    return {one.name: value for one in fields(Layout) if (value := getattr(layout, one.name)) is not None}


def _telling(tried: Tried) -> tuple[float, float, float]:
    return (round(tried.says, 1), round(tried.fields, 1), tried.understood)


def _rank(tried: Tried) -> tuple[float, float, float]:
    return (round(tried.understood, 2), tried.says, tried.fields)


def _spread(texts: Sequence[str], most: int) -> list[str]:
    """At most so many lines: runs of neighbours, the first from the beginning, the last from the end."""
    if len(texts) <= most:
        return list(texts)
    run = most // _RUNS
    starts = [place * (len(texts) - run) // (_RUNS - 1) for place in range(_RUNS)]
    return [text for start in starts for text in texts[start : start + run]]


def _read(reader: LineReader, text: str) -> LogRecord | None:
    found = reader.record(RawLine(1, 0, text))
    return found if isinstance(found, LogRecord) else None


def _expression(layout: Layout) -> re.Pattern[str] | None:
    return re.compile(layout.expression, re.ASCII) if layout.expression else None


def _may(layout: Layout, expression: re.Pattern[str] | None, text: str) -> bool:
    """Whether a line can be of a layout of fields, judged by its beginning: a search through all of it can take minutes."""
    if layout.format is None or expression is None or len(text) <= _BEGINNING:
        return True
    return expression.fullmatch(text[:_BEGINNING]) is not None


def _try(name: str, layout: Layout, texts: Sequence[str]) -> Tried:
    reader = LineReader(layout)
    events = list[LogRecord]()
    header = joined = filled = 0
    groups = _expression(layout)
    step = max(1, len(texts) // _FIRST)
    first = texts[::step] if layout.syntax != "csv" else ()
    if first and not any(_may(layout, groups, text) and _read(reader, text) for text in first):
        return Tried(name, 0.0, 0.0, 0.0)
    reader = LineReader(layout)
    for text in texts:
        if not _may(layout, groups, text):
            joined += layout.continuation is True and bool(events) and goes_on(text)
            continue
        if isinstance(layout.continuation, str) and reader.goes_on(text) is not None:
            joined += 1
            continue
        found = reader.record(RawLine(1, 0, text))
        if isinstance(found, LogRecord):
            events.append(found)
            if groups is not None and (match := groups.fullmatch(text)) is not None:
                filled += sum(bool(part) for part in match.groups())
        elif found is None:
            header += 1
        elif layout.continuation is True and events and goes_on(text):
            joined += 1
    lines = len(texts) - header
    if not events or lines <= 0:
        return Tried(name, 0.0, 0.0, 0.0)
    many = len(events)
    says = sum(not isnan(one.time) for one in events) / many
    says += sum(one.level.lower() in LEVELS or one.level in _LETTERS for one in events) / many
    says += sum(bool(one.component) and " " not in one.component.strip() for one in events) / many
    says += 0.25 * sum(bool(one.sessions) for one in events) / many
    if layout.fields("label"):
        normal = sum(one.label == 0 for one in events) / many
        says += 0.5 if normal > 0 else -2.0
    return Tried(name, (many + joined) / lines, says, filled / many)


def _otel(texts: Sequence[str]) -> Guess | None:
    """OTLP: requests, or records, as JSON."""
    good = 0
    for text in texts[:200]:
        if '"resourceLogs"' in text or ('"timeUnixNano"' in text and '"body"' in text):
            try:
                good += isinstance(json.loads(text), dict)
            except (ValueError, RecursionError):
                continue
    share = good / len(texts[:200])
    return Guess("otel", {"dataset": "otel"}, share) if share >= LEAST else None


def _sequences(texts: Sequence[str]) -> Guess | None:
    """Windows that are parsed already: a table with a column of event sequences, or numbers alone."""
    head = list(texts[:200])
    if all(len(words := text.split()) > 1 and all(map(str.isdecimal, words)) for text in head):
        return Guess("sequences", {"dataset": "sequences"}, 1.0)
    intake = Intake()
    try:
        rows = list(
            islice(rows_of("the log", (RawLine(n, 0, text) for n, text in enumerate(head, 1)), intake, ("keys",)), len(head))
        )
    except DataError:
        return None
    good = sum(not isinstance(items_of(row.cells["keys"]), str) for row in rows)
    lines = len(head) - intake.blank
    if (
        lines <= 0
        or good < 0.9 * lines
        or (head[0].startswith("{") and not all(isinstance(row.cells["keys"], list) for row in rows))
    ):
        return None
    return Guess("sequences", {"dataset": "sequences"}, good / lines)
