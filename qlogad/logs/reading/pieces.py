"""Pieces of a log as it is read: consecutive parsed lines as columns, and the tables of distinct strings they refer to.

Letters: E events (parsed lines) of a piece, M memberships (event in session), V values of all events end to end, B bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Self, overload

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Floats, Ints

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlogad.logs.dataset import LogRecord

__all__ = ["LINES", "Piece", "Places", "Ragged", "StringTables", "pieces_of"]

LINES = 1 << 14  # events per piece made from records


class Ragged(Sequence[tuple[str, ...]]):
    """A list of strings per event, stored as UTF-8 bytes and decoded on access.

    >>> values = Ragged.of([("12", "a"), (), ("é",)])
    >>> values[0], values[-1], len(values), values.take([2, 0])[0]
    (('12', 'a'), ('é',), 3, ('é',))
    """

    def __init__(self, offsets_E1: Ints, ends_V1: Ints, text_B: NDArray[np.uint8]) -> None:
        """Wrap arrays without copying them.

        Args:
            offsets_E1: event e has the values `offsets_E1[e]:offsets_E1[e + 1]`.
            ends_V1: value v has the bytes `ends_V1[v]:ends_V1[v + 1]` of `text_B`.
            text_B: UTF-8 bytes of all values, end to end.
        """
        self.offsets_E1, self.ends_V1, self.text_B = offsets_E1, ends_V1, text_B

    @classmethod
    def of(cls, lists: Iterable[Sequence[str]]) -> Self:
        """Encode lists of strings, one per event."""
        counts, ends, text = array("q", [0]), array("q", [0]), bytearray()
        for own in lists:
            for value in own:
                text += value.encode("utf-8", "surrogatepass")
                ends.append(len(text))
            counts.append(len(ends) - 1)
        return cls(np.array(counts, np.int64), np.array(ends, np.int64), np.frombuffer(bytes(text), np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Self:
        """Concatenate several."""
        return cls(
            _end_to_end([one.offsets_E1 for one in parts]),
            _end_to_end([one.ends_V1 for one in parts]),
            np.concatenate([one.text_B for one in parts]) if parts else np.zeros(0, np.uint8),
        )

    def take(self, events: Sequence[int] | Ints) -> Ragged:
        """The lists of the given events, in the given order."""
        return Ragged.of(self[event] for event in np.asarray(events, np.int64).tolist())

    def __len__(self) -> int:
        return len(self.offsets_E1) - 1

    @overload
    def __getitem__(self, event: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, event: slice) -> Ragged: ...
    def __getitem__(self, event: int | slice) -> tuple[str, ...] | Ragged:
        if isinstance(event, slice):
            return self.take(range(*event.indices(len(self))))
        event = range(len(self))[event]
        first, last = int(self.offsets_E1[event]), int(self.offsets_E1[event + 1])
        ends = self.ends_V1[first : last + 1].tolist()
        text = self.text_B[ends[0] : ends[-1]].tobytes()
        cuts = pairwise(ends)
        return tuple(text[start - ends[0] : end - ends[0]].decode("utf-8", "surrogatepass") for start, end in cuts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ragged):
            return NotImplemented
        pairs = ((self.offsets_E1, other.offsets_E1), (self.ends_V1, other.ends_V1), (self.text_B, other.text_B))
        return all(np.array_equal(ours, theirs) for ours, theirs in pairs)

    __hash__ = None  # type: ignore[assignment]


def _end_to_end(parts: Sequence[Ints]) -> Ints:
    """Offsets of concatenated parts, from the offsets within each part, which start at 0."""
    whole, total = [np.zeros(1, np.int64)], 0
    for part in parts:
        whole.append(part[1:] + total)
        total += int(part[-1])
    return np.concatenate(whole)


class Places(dict[str, int]):
    """Indices of strings by first appearance: looking up a new string assigns the next index."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        super().__init__((word, place) for place, word in enumerate(words))

    def __missing__(self, word: str) -> int:
        place = self[word] = len(self)
        return place


class _Spaced(dict[str, int]):
    """Indices of strings, ignoring differences in white space."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, text: str) -> int:
        place = self[text] = self._places[" ".join(text.split())]
        return place


@dataclass
class StringTables:
    """The distinct strings of a log in order of first appearance; grows with every piece that is read."""

    kinds: Places = field(default_factory=lambda: Places([""]))  # the first is "", not an anomaly
    levels: Places = field(default_factory=Places)
    components: Places = field(default_factory=Places)
    texts: Places = field(default_factory=Places)  # masked messages
    sessions: Places = field(default_factory=Places)


@dataclass(frozen=True, eq=False)
class Piece:
    """Consecutive parsed lines as columns."""

    line_E: Ints  # 1-based line number in the source
    offset_E: Ints  # byte offset of the line in the uncompressed source
    time_E: Floats  # seconds since 1970-01-01 UTC; NaN unknown
    label_E: NDArray[np.int8]  # 1 anomaly, 0 normal, -1 unknown
    kind_E: NDArray[np.int32]  # a position in `StringTables.kinds`
    level_E: NDArray[np.int32]  # a position in `StringTables.levels`
    component_E: NDArray[np.int32]  # a position in `StringTables.components`
    text_E: Ints  # a position in `StringTables.texts`
    values_E: Ragged  # the values masked in each message, in order
    member_event_M: Ints  # pairs (event of this piece, session) in source order: the event ...
    member_session_M: Ints  # ... and a position in `StringTables.sessions`

    def __len__(self) -> int:
        return len(self.line_E)


def pieces_of(
    records: Iterable[LogRecord], words: StringTables, mask: Callable[[str], tuple[str, tuple[str, ...]]], size: int = LINES
) -> Iterator[Piece]:
    """Group records into pieces.

    Args:
        records: in source order.
        words: the tables of distinct strings; new strings are added.
        mask: returns the masked message and its values.
        size: largest number of events per piece.
    """
    left, spaced = iter(records), _Spaced(words.texts)
    while rows := list(islice(left, size)):
        masked = [mask(row.message) for row in rows]
        members = [(event, words.sessions[name]) for event, row in enumerate(rows) for name in row.sessions]
        member_2M = np.array(members, np.int64).reshape(-1, 2).T
        yield Piece(
            line_E=np.array([row.line for row in rows], np.int64),
            offset_E=np.array([row.offset for row in rows], np.int64),
            time_E=np.array([row.time for row in rows], np.float64),
            label_E=np.array([row.label for row in rows], np.int8),
            kind_E=np.array([words.kinds[row.kind] for row in rows], np.int32),
            level_E=np.array([words.levels[row.level] for row in rows], np.int32),
            component_E=np.array([words.components[row.component] for row in rows], np.int32),
            text_E=np.array([spaced[text] for text, _ in masked], np.int64),
            values_E=Ragged.of(values for _, values in masked),
            member_event_M=np.ascontiguousarray(member_2M[0]),
            member_session_M=np.ascontiguousarray(member_2M[1]),
        )
