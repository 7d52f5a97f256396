"""The shared input of all detectors: windows as ragged rows of event ids, with equal rows stored once and their multiplicity.

Letters: W windows, N distinct rows, E events of the rows end to end, V event types seen in training, D width of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from qlogad.arrays import Bools, Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError, counted, shown
from qlogad.features.frame import attributes_of, check_needs, windows_of
from qlogad.features.view import Columns, View, fit_views, view_of
from qlogad.logs.windows import spans

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Features", "Labels"]

T = TypeVar("T")

MAX_SIZE = 10**6  # event types


@dataclass(frozen=True, eq=False)
class Features:
    """Windows as rows of event ids. Ids are 0..V-1; V itself means "not seen in training".

    A row represents all windows with the same ids and the same label; detectors read rows, evaluation counts windows. For detectors that
    read more of an event than its id (times, levels, values: views with `apart`), every window is a row.
    """

    ids_E: Ints  # event ids of all rows, end to end
    offsets_N1: Ints  # row n is ids_E[offsets_N1[n]:offsets_N1[n + 1]]
    weight_N: Floats  # the number of windows that the row represents
    vocabulary: tuple[str, ...]  # V templates, by id
    row_W: Ints  # window -> row
    window_keys_W: Texts  # window -> its key (a session's identifier, or its position)
    event_line_E: Ints  # source line of each event in the row's first window; -1 if unknown
    seen_N: Bools  # whether the training part contains the same sequence of ids
    base: str = ""  # digest of data, parser state, split, windows and vocabulary: equal for all contenders of a comparison
    views: Mapping[str, View] = field(default_factory=lambda: MappingProxyType({}))  # fitted on training rows
    per_event: Columns | None = None  # other attributes of events; None if windows with equal ids are merged into one row
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
        """The attributes of each event besides its id.

        Raises:
            DataError: windows with equal ids are merged into one row, so their attributes are not unique.
        """
        if self.per_event is None:
            raise DataError(
                "windows with equal ids are merged into one row here, so their events have no unique time, level or value; "
                "keep windows apart: FeaturePipeline.transform(..., apart=True)"
            )
        return self.per_event

    def view(self, name: str) -> Floats:
        """A view as an array (V, D), (N, D) or (E, D), depending on its `of`. Computed on first use and cached: do not modify it.

        Raises:
            UnknownName: there is no such view.
            DataError: the view is not fitted, or it needs windows apart.
        """
        if name not in self._made:
            self._made[name] = view_of(self.views, name).make(self)
        return self._made[name]

    def take(self, rows: Sequence[int] | Ints) -> Features:
        """The features of a subset of rows, with the windows that they represent."""
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
        """A digest of one view; a quantum detector and its controls must have the same one."""
        found = view_of(self.views, name)
        return digest(name, found.state(), self.base, self.ids_E, self.offsets_N1, *(self._columns_of(found.apart)))

    def digest(self, reads: Sequence[str]) -> str:
        """A digest of everything that a detector reading these views sees."""
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
        texts: Sequence[Sequence[str]] | None = None,
        views: Sequence[str] | Mapping[str, View] = (),
    ) -> Features:
        """Features from lists of event ids, one row each (equal rows are not merged; pass `weight` for multiplicities).

        Args:
            sequences: N lists of ids, 0 or more.
            size: V; ids of V or more count as unseen. Default: the largest id + 1.
            weight: N multiplicities. Default: ones.
            times: seconds since 1970 of every event, N lists as long as the sequences. Default: NaN (unknown).
            levels: severity of every event, such as "INFO". Default: "".
            components: the component that wrote every event. Default: "".
            values: the variable parts of every event's message. Default: none.
            texts: the message of every event without them, such as "took <*> ms". Default: "".
            views: names of views to fit on these rows; or the fitted `views` of training features.

        Raises:
            DataError: a window is not a list of integers of 0 or more, or the attributes of events do not match the sequences.

        >>> features = Features.from_sequences([[0, 1, 1], [2]], times=[[0.0, 0.5, 2.0], [9.0]])
        >>> len(features), features.size, features.row(0).tolist(), features.columns.time_E.tolist()
        (2, 3, [0, 1, 1], [0.0, 0.5, 2.0, 9.0])
        """
        rows = [_ids(row) for row in sequences]
        ids_E = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        if len(ids_E) and int(ids_E.min()) < 0:
            raise DataError(f"event ids must be 0 or more, got {int(ids_E.min())}")
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
            _flat("texts", texts, lengths_N, ""),
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

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        window: str = "window",
        event: str = "event",
        time: str | None = None,
        level: str | None = None,
        component: str | None = None,
        values: str | None = None,
        text: str | None = None,
        size: int | None = None,
        views: Sequence[str] | Mapping[str, View] = (),
    ) -> Features:
        """Features from a DataFrame with one row per event, in order; windows are ordered by first appearance.

        Detectors take such a DataFrame as it is, if its columns have the names given here; this is for other names.

        Args:
            frame: the events.
            window: the column of the windows' identifiers, of any type.
            event: the column of event ids, 0 or more.
            time: the column of times: seconds since 1970, or datetimes (UTC where they have no time zone); NaN or NaT if unknown.
            level: the column of severities, such as "INFO".
            component: the column of components that wrote the events.
            values: the column of lists with the variable parts of the events' messages.
            text: the column of messages without them, such as "took <*> ms".
                Each of these five: None for a column of the attribute's own name ("time", ...) if there is one; else unknown.
            size: V; ids of V or more count as unseen. Default: the largest id + 1.
            views: names of views to fit on these rows; or the fitted `views` of training features.

        Raises:
            DataError: a column that is named, or that a view needs, is not there, or holds something else; a window or event is missing.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"block": ["a", "b", "a"], "event": [0, 1, 1], "ts": [0.5, 1.0, 2.0]})
        >>> features = Features.from_frame(frame, window="block", time="ts", views=["gaps"])
        >>> features.row(0).tolist(), features.view("gaps")[:, 0].tolist()
        ([0, 1], [nan, 1.5, nan])
        """
        named = {"time": time, "level": level, "component": component, "values": values, "text": text}
        columns = {key: name or key for key, name in named.items() if name is not None or key in frame}
        sequences = windows_of(frame, window, event)
        check_needs(frame, columns, views)
        said: dict[str, Any] = attributes_of(frame, columns, window)
        return cls.from_sequences(sequences, size=size, views=views, **said)


def _flat(name: str, given: Sequence[Sequence[T]] | None, lengths_N: Sequence[int], unknown: T) -> Sequence[T]:
    """An attribute of all events of all rows, end to end; `unknown` for each if it was not given."""
    if given is None:
        return [unknown] * sum(lengths_N)
    if [len(own) for own in given] != list(lengths_N):
        raise DataError(f"{name} must be lists as long as the windows, one item per event of {counted(len(lengths_N), 'window')}")
    return [item for own in given for item in own]


def _ids(row: Sequence[int]) -> Ints:
    """The event ids of one window."""
    expected = "a window must be a list of event ids, integers of 0 or more"
    try:
        found = np.asarray(row)
    except ValueError:  # nested lists of different lengths
        raise DataError(f"{expected}, got {shown(row)}") from None
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        hint = "; number the events first, for example with pandas.factorize" if found.dtype.kind in "UO" else ""
        raise DataError(f"{expected}, got {shown(row)}{hint}")
    return found.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of rows and, if known, of their events: 1 is an anomaly, 0 normal."""

    window_N: Ints
    event_E: Ints | None = None

    def __post_init__(self) -> None:
        values = set(np.unique(self.window_N).tolist())
        if not values <= {0, 1}:
            raise DataError(f"labels must be 0 (normal) or 1 (anomaly), got {sorted(values)}")
