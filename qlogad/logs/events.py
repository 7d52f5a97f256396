"""Every parsed line of a source as columns: the table from which windows, templates and features are made.

Letters: E events (parsed lines) in source order, M memberships (event in session), S sessions.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.raw_lines import Lines, raw_lines
from qlogad.logs.times import EARLIEST, LATEST

__all__ = ["Events", "Mask", "Texts", "read_events"]


_EVERY = 1 << 14  # lines between two reports of progress


@dataclass(frozen=True, eq=False)
class Events:
    """Parsed lines as columns. Equal messages (after masking) are stored once, in order of first appearance."""

    line_E: Ints  # 1-based line number in the source
    offset_E: Ints  # byte offset of the line in the uncompressed source
    time_E: Floats  # seconds since 1970-01-01 UTC; NaN unknown
    label_E: NDArray[np.int8]  # 1 anomaly, 0 normal, -1 unknown
    kind_E: NDArray[np.int32]  # kind of anomaly: a position in `kinds`
    kinds: tuple[str, ...]  # kinds[0] is "", not an anomaly
    level_E: NDArray[np.int32]  # a position in `levels`
    levels: tuple[str, ...]
    component_E: NDArray[np.int32]  # a position in `components`
    components: tuple[str, ...]
    text_E: Ints  # a position in `texts`
    texts: tuple[str, ...]  # distinct masked messages
    values_E: tuple[tuple[str, ...], ...]  # the values masked in each message, in order
    member_event_M: Ints  # pairs (event, session) in source order: the event ...
    member_session_M: Ints  # ... and a position in `sessions`
    sessions: tuple[str, ...]
    session_label_S: NDArray[np.int8] | None  # None if labels belong to lines
    given_part_S: NDArray[np.str_] | None  # "train", "test" or "" where the source gives a split; else None
    intake: Intake
    parsed: bool  # messages are event ids already
    digest: str  # of everything the events depend on; "" for lines from elsewhere

    def __len__(self) -> int:
        return len(self.line_E)


class Mask:
    """Cuts variable parts out of messages: each becomes `<:NAME:>` and is kept as a value. Earlier masks go first.

    A message's own `<*>` and `<:WORD:>` are cut out as `<:ANY:>`, so that placeholders and values always correspond.

    >>> Mask([("NUM", r"[0-9]+")])("sent 12 of 40")
    ('sent <:NUM:> of <:NUM:>', ('12', '40'))

    Args:
        masks: (name, regular expression) pairs.
        starts: the characters a masked part can start with, as inside [...]; makes it two to three times as fast. "" if unknown.

    Raises:
        DataError: a mask is not a regular expression, or its name is not a word.
    """

    def __init__(self, masks: Sequence[tuple[str, str]], starts: str = "") -> None:
        self._cut = _cutter(masks, starts) if masks else None
        self._cut_with_own = _cutter([("ANY", r"<\*>|<:\w+:>"), *masks], f"<{starts}" if starts or not masks else "")

    def __call__(self, message: str) -> tuple[str, tuple[str, ...]]:
        """The masked message and its values, in order of position."""
        if "<" in message and ("<*>" in message or "<:" in message):
            return self._cut_with_own(message)
        return self._cut(message) if self._cut else (message, ())


def _cutter(masks: Sequence[tuple[str, str]], starts: str) -> Callable[[str], tuple[str, tuple[str, ...]]]:
    any_mask = "|".join(f"(?P<{name}>{expression})" for name, expression in masks)
    try:
        pattern = re.compile(f"(?=[{starts}])(?:{any_mask})" if starts else any_mask)
    except re.error as error:
        raise DataError(f"the masks {', '.join(name for name, _ in masks)} cannot be used: {error}") from error
    substitute, placeholders = pattern.sub, {name: f"<:{name}:>" for name, _ in masks}

    def cut(message: str) -> tuple[str, tuple[str, ...]]:
        values: list[str] = []

        def placeholder(match: re.Match[str]) -> str:
            if not match[0]:
                return ""
            values.append(match[0])
            return placeholders[match.lastgroup or ""]

        return substitute(placeholder, message), tuple(values)

    return cut


def read_events(
    dataset: Dataset, progress: Callable[[int], None] | None = None, *, lines: Lines | None = None, mask: Mask | None = None
) -> Events:
    """Read a whole source into columns and mask its messages.

    Args:
        dataset: the source.
        progress: called with the number of lines read so far, periodically and at the end.
        lines: lines of another log in the same format, to read instead of the source; labels and parts in other files are unknown.
        mask: replaces the data set's own masks.

    Raises:
        DataError: the source cannot be read, or none of its lines could be parsed.
    """
    intake = Intake()
    mask = mask or Mask(dataset.masks, dataset.mask_starts)
    records = dataset.records(intake) if lines is None else dataset.read(raw_lines(lines, intake), intake)
    line_E, offset_E, time_E, label_E = array("q"), array("q"), array("d"), array("b")
    kind_E, level_E, component_E, text_E = array("q"), array("q"), array("q"), array("q")
    kinds, levels, components, texts = _Places([""]), _Places(), _Places(), _Places()
    sessions, spaced = _Places(), _Spaced(texts)
    member_event_M, member_session_M = array("q"), array("q")
    values_E: list[tuple[str, ...]] = []
    for event, record in enumerate(records):
        masked, values = mask(record.message)
        line_E.append(record.line)
        offset_E.append(record.offset)
        time_E.append(record.time)
        label_E.append(record.label)
        kind_E.append(kinds[record.kind])
        level_E.append(levels[record.level])
        component_E.append(components[record.component])
        text_E.append(spaced[masked])
        values_E.append(values)
        for session in record.sessions:
            member_event_M.append(event)
            member_session_M.append(sessions[session])
        if progress and not event % _EVERY:
            progress(intake.lines)
    if progress:
        progress(intake.lines)
    if not values_E:
        raise DataError(_nothing(dataset, intake))
    _check_times(np.array(time_E, dtype=np.float64), line_E)
    return Events(
        line_E=np.array(line_E, dtype=np.int64),
        offset_E=np.array(offset_E, dtype=np.int64),
        time_E=np.array(time_E, dtype=np.float64),
        label_E=np.array(label_E, dtype=np.int8),
        kind_E=np.array(kind_E, dtype=np.int32),
        kinds=tuple(kinds),
        level_E=np.array(level_E, dtype=np.int32),
        levels=tuple(levels),
        component_E=np.array(component_E, dtype=np.int32),
        components=tuple(components),
        text_E=np.array(text_E, dtype=np.int64),
        texts=tuple(texts),
        values_E=tuple(values_E),
        member_event_M=np.array(member_event_M, dtype=np.int64),
        member_session_M=np.array(member_session_M, dtype=np.int64),
        sessions=tuple(sessions),
        session_label_S=_labels(sessions, dataset.session_labels() if lines is None else None),
        given_part_S=_parts(sessions, dataset.given_split() if lines is None else None),
        intake=intake,
        parsed=dataset.parsed,
        digest=_digest(dataset) if lines is None else "",
    )


def _digest(dataset: Dataset) -> str:
    return digest(type(dataset).__name__, dataset.source_digest(), [list(pair) for pair in dataset.masks], dataset.parsed)


class _Places(dict[str, int]):
    """Indices of words by first appearance: looking up a new word assigns the next index."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        super().__init__((word, place) for place, word in enumerate(words))

    def __missing__(self, word: str) -> int:
        place = self[word] = len(self)
        return place


class _Spaced(dict[str, int]):
    """Maps texts to their indices, ignoring differences in white space."""

    def __init__(self, places: _Places) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, text: str) -> int:
        place = self[text] = self._places[" ".join(text.split())]
        return place


def _check_times(time_E: Floats, line_E: Sequence[int]) -> None:
    """Refuse times outside the range of 64-bit nanoseconds, which could not be shown or split later."""
    bad_E = ~(np.isnan(time_E) | ((time_E >= EARLIEST) & (time_E <= LATEST)))
    if bad_E.any():
        first = int(np.argmax(bad_E))
        raise DataError(
            f"line {line_E[first]}: {time_E[first]:g} seconds since 1970 is not between the years 1677 and 2262; correct the time"
        )


def _labels(sessions: _Places, labels: Mapping[str, int] | None) -> NDArray[np.int8] | None:
    if labels is None:
        return None
    return np.fromiter((labels.get(session, -1) for session in sessions), dtype=np.int8, count=len(sessions))


def _parts(sessions: _Places, parts: Mapping[str, str] | None) -> NDArray[np.str_] | None:
    return None if parts is None else np.array([parts.get(session, "") for session in sessions], dtype=np.str_)


def _nothing(dataset: Dataset, intake: Intake) -> str:
    name = type(dataset).__name__.lower()
    reasons = ", ".join(f"{count} {reason}" for reason, count in list(intake.reasons().items())[:3])
    what = f"none of {intake.lines} lines could be parsed ({reasons or 'all blank'})"
    return f"{what}; is this a log for dataset '{name}'? see: qlogad show {name}"
