"""The shared base of every detector: windows as ragged rows of event ids, equal rows stored once with their multiplicity.

Letters: W windows, N distinct rows, E events of the rows end to end, V event types seen in training, D width of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from qlogad.arrays import Bools, Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError, counted, shown
from qlogad.features.view import Columns, View, fit_views, view_of
from qlogad.logs.windows import spans

__all__ = ["Features", "Labels"]

T = TypeVar("T")

MAX_SIZE = 10**6  # event types


@dataclass(frozen=True, eq=False)
class Features:
    """Windows as rows of event ids. Ids are 0..V-1; V itself means "not seen in training".

    A row stands for all windows with the same ids and the same label; a detector reads rows, the judge counts windows. For a detector
    that reads more of an event than its id (times, levels, values: views that are `apart`) every window is a row.
    """

    ids_E: Ints  # event ids of all rows, end to end
    offsets_N1: Ints  # row n is ids_E[offsets_N1[n]:offsets_N1[n + 1]]
    weight_N: Floats  # how many windows the row stands for
    vocabulary: tuple[str, ...]  # V templates, by id
    row_W: Ints  # window -> row
    window_keys_W: Texts  # window -> its key (a session's identifier, or its position)
    event_line_E: Ints  # source line of each event of the row's first window; -1 where there is none
    seen_N: Bools  # an equal sequence of ids was in the training part
    base: str = ""  # digest of data, parser state, split, windows and vocabulary: equal for all contenders of a comparison
    views: Mapping[str, View] = field(default_factory=lambda: MappingProxyType({}))  # fitted on training rows
    per_event: Columns | None = None  # what events say beside their ids; None where windows of equal ids are one row
    _made: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.weight_N)

    @property
    def size(self) -> int:
        """V, the number of event types seen in training; also the id of an unseen event."""
        return len(self.vocabulary)

    @property
    def lengths_N(self) -> Ints:
        """Events in each row."""
        return np.diff(self.offsets_N1)

    @property
    def row_E(self) -> Ints:
        """The row of each event."""
        return np.repeat(np.arange(len(self)), self.lengths_N)

    def row(self, n: int) -> Ints:
        """The event ids of one row."""
        return self.ids_E[self.offsets_N1[n] : self.offsets_N1[n + 1]]

    def rows(self) -> Iterator[Ints]:
        """The event ids of every row in turn."""
        return (self.row(n) for n in range(len(self)))

    @property
    def columns(self) -> Columns:
        """What each event says beside its id.

        Raises:
            DataError: windows of equal ids are one row here, so it is not known which of them would be meant.
        """
        if self.per_event is None:
            raise DataError(
                "these rows stand for all windows of equal ids, so their events have no one time, level or value; "
                "take windows apart: FeaturePipeline.transform(..., apart=True)"
            )
        return self.per_event

    def view(self, name: str) -> Floats:
        """One view: (V, D), (N, D) or (E, D), as its `of` says. Made when it is first asked for; do not write to it.

        Raises:
            UnknownName: there is no such view.
            DataError: it is fitted on training rows, and none was; or it needs rows apart.
        """
        if name not in self._made:
            self._made[name] = view_of(self.views, name).make(self)
        return self._made[name]

    def take(self, rows: Sequence[int] | Ints) -> Features:
        """The features of some rows, with the windows that belong to them."""
        rows_R = np.asarray(rows, dtype=np.int64)
        new_N = np.full(len(self), -1, dtype=np.int64)
        new_N[rows_R] = np.arange(len(rows_R))
        lengths_R = self.lengths_N[rows_R]
        place_E = spans(self.offsets_N1[:-1][rows_R], lengths_R)
        keep_W = new_N[self.row_W] >= 0
        return replace(
            self,
            ids_E=self.ids_E[place_E],
            offsets_N1=np.concatenate([[0], np.cumsum(lengths_R)]).astype(np.int64),
            weight_N=self.weight_N[rows_R],
            row_W=new_N[self.row_W[keep_W]],
            window_keys_W=self.window_keys_W[keep_W],
            event_line_E=self.event_line_E[place_E],
            seen_N=self.seen_N[rows_R],
            per_event=None if self.per_event is None else self.per_event.take(place_E),
        )

    def view_digest(self, name: str) -> str:
        """A digest of one view; a twin and its controls must agree on it."""
        found = view_of(self.views, name)
        return digest(name, found.state(), self.base, self.ids_E, self.offsets_N1, *(self._columns_of(found.apart)))

    def digest(self, reads: Sequence[str]) -> str:
        """A digest of all that a detector sees that reads these views."""
        found = {name: view_of(self.views, name) for name in sorted(reads)}
        states = {name: view.state() for name, view in found.items()}
        some_apart = any(view.apart for view in found.values())
        return digest(states, self.base, self.ids_E, self.offsets_N1, self.weight_N, *(self._columns_of(some_apart)))

    def _columns_of(self, apart: bool) -> list[object]:
        return [getattr(self.columns, field.name) for field in fields(Columns)] if apart else []

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequence[Sequence[int]],
        *,
        size: int | None = None,
        weight: Sequence[float] | None = None,
        times: Sequence[Sequence[float]] | None = None,
        levels: Sequence[Sequence[str]] | None = None,
        components: Sequence[Sequence[str]] | None = None,
        values: Sequence[Sequence[Sequence[str]]] | None = None,
        views: Sequence[str] | Mapping[str, View] = (),
    ) -> Features:
        """Features of plain lists of event ids, one row each (equal rows stay apart; give `weight` for multiplicities).

        Args:
            sequences: N lists of ids >= 0.
            size: V; ids of V and above are unseen. Default: the largest id + 1.
            weight: N multiplicities. Default: ones.
            times: seconds since 1970 of every event, in N lists as long as the sequences. Default: unknown, NaN.
            levels: "INFO" say, of every event. Default: "".
            components: the writer of every event. Default: "".
            values: the variable parts of every event's message. Default: none.
            views: names of views, which are then fitted on these rows; or the `views` of training rows.

        Raises:
            DataError: a window is no list of whole numbers from 0, or what is said of its events does not go with it.

        >>> features = Features.from_sequences([[0, 1, 1], [2]], times=[[0.0, 0.5, 2.0], [9.0]])
        >>> len(features), features.size, features.row(0).tolist(), features.columns.time_E.tolist()
        (2, 3, [0, 1, 1], [0.0, 0.5, 2.0, 9.0])
        """
        rows = [_ids(row) for row in sequences]
        ids_E = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        if len(ids_E) and int(ids_E.min()) < 0:
            raise DataError(f"event ids are 0 or more, got {int(ids_E.min())}")
        if size is None:
            size = int(ids_E.max()) + 1 if len(ids_E) else 0
            if size > MAX_SIZE:
                raise DataError(f"the largest event id is {size - 1}; number the events from 0 on, below {MAX_SIZE}")
        lengths_N = [len(row) for row in rows]
        offsets_N1 = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int64)
        columns = Columns.of_events(
            _flat("times", times, lengths_N, float("nan")),
            _flat("levels", levels, lengths_N, ""),
            _flat("components", components, lengths_N, ""),
            _flat("values", values, lengths_N, ()),
        )
        features = cls(
            ids_E=np.minimum(ids_E, size),
            offsets_N1=offsets_N1,
            weight_N=np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64),
            vocabulary=tuple(str(v) for v in range(size)),
            row_W=np.arange(len(rows)),
            window_keys_W=np.asarray([str(n) for n in range(len(rows))], dtype=np.object_),
            event_line_E=np.full(len(ids_E), -1, dtype=np.int64),
            seen_N=np.zeros(len(rows), dtype=np.bool_),
            base=digest(ids_E, offsets_N1, size),
            per_event=columns,
        )
        fitted = views if isinstance(views, Mapping) else fit_views(views, features)
        return replace(features, views=MappingProxyType(dict(fitted)))


def _flat(name: str, given: Sequence[Sequence[T]] | None, lengths_N: Sequence[int], unknown: T) -> Sequence[T]:
    """What is given of each event of each row, end to end; or `unknown` for all."""
    if given is None:
        return [unknown] * sum(lengths_N)
    if [len(own) for own in given] != list(lengths_N):
        raise DataError(f"{name} are lists as long as the windows, one item for each event: {counted(len(lengths_N), 'window')}")
    return [item for own in given for item in own]


def _ids(row: Sequence[int]) -> Ints:
    """The event ids of one window."""
    expected = "a window is a list of event ids, whole numbers from 0"
    try:
        found = np.asarray(row)
    except ValueError:  # lists of several lengths
        raise DataError(f"{expected}, got {shown(row)}") from None
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        hint = "; number the events first, as pandas.factorize does" if found.dtype.kind in "UO" else ""
        raise DataError(f"{expected}, got {shown(row)}{hint}")
    return found.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of each row: 1 is an anomaly, 0 normal."""

    window_N: Ints
    event_E: Ints | None = None

    def __post_init__(self) -> None:
        values = set(np.unique(self.window_N).tolist())
        if not values <= {0, 1}:
            raise DataError(f"labels are 0 (normal) and 1 (anomaly), got {sorted(values)}")
