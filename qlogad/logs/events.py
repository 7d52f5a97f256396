"""Every parsed line of a source as columns: the table from which windows, templates and features are made.

Letters: E events (parsed lines) in source order, M memberships (event in session), S sessions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.pieces import Piece, Places, Ragged, Words, pieces_of
from qlogad.logs.raw_lines import Lines, raw_lines
from qlogad.logs.times import EARLIEST, LATEST

__all__ = ["Events", "Mask", "Texts", "read_events"]


_COLUMNS = ("line_E", "offset_E", "time_E", "label_E", "kind_E", "level_E", "component_E", "text_E", "member_session_M")


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
    values_E: Sequence[tuple[str, ...]]  # the values masked in each message, in order
    member_event_M: Ints  # pairs (event, session) in source order: the event ...
    member_session_M: Ints  # ... and a position in `sessions`
    sessions: tuple[str, ...]
    session_label_S: NDArray[np.int8] | None  # None if labels belong to lines
    given_part_S: NDArray[np.str_] | None  # "train", "test" or "" where the source gives a split; else None
    intake: Intake
    parsed: bool  # messages are event ids already
    digest: str  # digest of everything the events depend on; "" for lines from another source

    def __len__(self) -> int:
        return len(self.line_E)


class Mask:
    """Masks variable parts of messages: each becomes `<:NAME:>` and is kept as a value. Earlier masks take precedence.

    A literal `<*>` or `<:WORD:>` in a message is masked as `<:ANY:>`, so that placeholders and values always correspond.

    >>> Mask([("NUM", r"[0-9]+")])("sent 12 of 40")
    ('sent <:NUM:> of <:NUM:>', ('12', '40'))

    Args:
        masks: (name, regular expression) pairs.
        starts: the characters a masked part can start with, as inside [...]; speeds up masking two to three times. "" if unknown.

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
    intake, words = Intake(), Words()
    records = dataset.records(intake) if lines is None else dataset.read(raw_lines(lines, intake), intake)
    pieces = []
    for piece in pieces_of(records, words, mask or Mask(dataset.masks, dataset.mask_starts)):
        _check_times(piece)
        pieces.append(piece)
        if progress:
            progress(intake.lines)
    if progress:
        progress(intake.lines)
    if not pieces:
        raise DataError(_nothing(dataset, intake))
    first_event = np.cumsum([0, *map(len, pieces)])
    return Events(
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _COLUMNS},
        values_E=Ragged.joined([piece.values_E for piece in pieces]),
        member_event_M=np.concatenate([piece.member_event_M + first for first, piece in zip(first_event, pieces, strict=False)]),
        kinds=tuple(words.kinds),
        levels=tuple(words.levels),
        components=tuple(words.components),
        texts=tuple(words.texts),
        sessions=tuple(words.sessions),
        session_label_S=_labels(words.sessions, dataset.session_labels() if lines is None else None),
        given_part_S=_parts(words.sessions, dataset.given_split() if lines is None else None),
        intake=intake,
        parsed=dataset.parsed,
        digest=_digest(dataset) if lines is None else "",
    )


def _digest(dataset: Dataset) -> str:
    return digest(type(dataset).__name__, dataset.source_digest(), [list(pair) for pair in dataset.masks], dataset.parsed)


def _check_times(piece: Piece) -> None:
    """Raise DataError for times outside the range of 64-bit nanoseconds, which could not be displayed or split later."""
    time_E = piece.time_E
    bad_E = ~(np.isnan(time_E) | ((time_E >= EARLIEST) & (time_E <= LATEST)))
    if bad_E.any():
        first = int(np.argmax(bad_E))
        raise DataError(
            f"line {piece.line_E[first]}: {time_E[first]:g} seconds since 1970 is not between the years 1677 and 2262; correct the time"
        )


def _labels(sessions: Places, labels: Mapping[str, int] | None) -> NDArray[np.int8] | None:
    if labels is None:
        return None
    return np.fromiter((labels.get(session, -1) for session in sessions), dtype=np.int8, count=len(sessions))


def _parts(sessions: Places, parts: Mapping[str, str] | None) -> NDArray[np.str_] | None:
    return None if parts is None else np.array([parts.get(session, "") for session in sessions], dtype=np.str_)


def _nothing(dataset: Dataset, intake: Intake) -> str:
    name = type(dataset).__name__.lower()
    reasons = ", ".join(f"{count} {reason}" for reason, count in list(intake.reasons().items())[:3])
    what = f"none of {intake.lines} lines could be parsed ({reasons or 'all blank'})"
    return f"{what}; is this a log for dataset '{name}'? see: qlogad show {name}"
