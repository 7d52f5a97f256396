"""Windows: the event sequences that detectors score, grouped by session, by count or by time.

The three groupings of the field: He et al., ISSRE 2016, doi:10.1109/ISSRE.2016.21 (session, sliding and fixed windows).

Letters: E events of a log, M members of all windows end to end (an event can be a member of several windows), W windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from qlogad import documents
from qlogad.arrays import Floats, Ints, Texts
from qlogad.bounds import Between, room
from qlogad.errors import DataError, DocumentError
from qlogad.logs.dataset import WindowKind
from qlogad.logs.events import Events

__all__ = ["Window", "Windows", "complete", "default_window", "longest_silence", "make_windows", "spans"]


@dataclass(frozen=True)
class Window:
    """How events are grouped, as a document: `window = { by = "count", size = 20 }`.

    Windows by count or time start at the first event and then every `stride`; the last one ends with the log and may be
    shorter (it is kept, so no event is lost unless the stride exceeds the window). Empty windows are omitted.
    """

    by: Literal["session", "count", "time"] = "session"
    size: Annotated[int, Between(0, 1e9, "low")] | None = None  # events per window, by = "count"
    stride: Annotated[int | float, Between(0, 1e12, "low")] | None = None  # between starts, in events or seconds; None: disjoint
    seconds: Annotated[float, Between(0, 1e12, "low")] | None = None  # length of a window, by = "time"

    def __post_init__(self) -> None:
        documents.enforce(self)
        needed = {"session": None, "count": "size", "time": "seconds"}[self.by]
        for name in ("size", "seconds"):
            if name != needed and getattr(self, name) is not None:
                raise DocumentError(f"windows by {self.by} have no {name}; remove it, or write by = '{_OWNER[name]}'")
        if needed is None:
            if self.stride is not None:
                raise DocumentError("windows by session have no stride; remove it")
        elif getattr(self, needed) is None:
            raise DocumentError(f"windows by {self.by} need {needed}, such as {needed} = {20 if needed == 'size' else 3600}")
        if self.by == "count" and self.stride is not None and self.stride != int(self.stride):
            raise DocumentError(f"the stride of windows by count must be an integer number of events, got {self.stride}")


_OWNER = {"size": "count", "seconds": "time"}


def default_window(kind: WindowKind) -> Window:
    """The window rule of a data set if the experiment does not define one."""
    return {"session": Window(), "count": Window("count", size=100), "time": Window("time", seconds=3600.0)}[kind]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows as ragged rows of positions in an `Events`; none is empty."""

    event_M: Ints  # positions in Events, windows end to end; inside a window by (time, line)
    time_M: Floats  # seconds; the events' own times unless a delay was injected; NaN unknown
    offsets_W1: Ints  # window w is event_M[offsets_W1[w]:offsets_W1[w + 1]]
    key_W: Texts  # session identifier, or position of the window
    start_W: Floats  # the first known time; NaN if none is known
    end_W: Floats  # the last known time; NaN if none is known
    label_W: NDArray[np.int8]  # 1 anomaly, 0 normal, -1 unknown
    kind_W: Texts  # kind of anomaly: that of its first anomalous line, or of an injection; "" normal or unknown

    def __len__(self) -> int:
        return len(self.key_W)

    @property
    def lengths_W(self) -> Ints:
        """Events in each window."""
        return np.diff(self.offsets_W1)

    def row(self, w: int) -> Ints:
        """The positions of one window's events."""
        return self.event_M[self.offsets_W1[w] : self.offsets_W1[w + 1]]

    def take(self, indices: Sequence[int] | Ints) -> Windows:
        """The given windows, in the given order."""
        chosen_C = np.asarray(indices, dtype=np.int64)
        lengths_C = self.lengths_W[chosen_C]
        place_M = spans(self.offsets_W1[:-1][chosen_C], lengths_C)
        return Windows(
            event_M=self.event_M[place_M],
            time_M=self.time_M[place_M],
            offsets_W1=_offsets(lengths_C),
            key_W=self.key_W[chosen_C],
            start_W=self.start_W[chosen_C],
            end_W=self.end_W[chosen_C],
            label_W=self.label_W[chosen_C],
            kind_W=self.kind_W[chosen_C],
        )

    def digest(self) -> str:
        """A digest of all contents; equal contents have equal digests."""
        columns = (self.event_M, self.time_M, self.offsets_W1, self.label_W)
        return documents.digest(
            *columns, self.key_W.tolist(), self.kind_W.tolist()
        )  # as lists: an array of strings has no canonical bytes


def make_windows(events: Events, window: Window) -> Windows:
    """Group events into windows.

    Sessions are in the order of `events.sessions`, other windows in order of time. Within a window, events are ordered by
    (time, line); an event without a time follows the line before it. A session has its own label if labels belong to
    sessions. Any other window is anomalous if one of its lines is, else normal if the label of one is known, else unknown (-1).

    Raises:
        DataError: there are no events to group, or no sessions or times to group them by.
    """
    if len(events.line_E) == 0:
        raise DataError("there are no events to group into windows; to see why lines were set aside, run: qlogad data describe")
    if window.by == "session":
        if len(events.member_event_M) == 0:
            raise DataError(
                "no line names a session; write window = { by = 'count', size = 20 } or { by = 'time', seconds = 3600 }"
            )
        return _grouped(events, events.member_event_M, events.member_session_M, sessions=True)
    return _grouped(events, *_sliced(events, window), sessions=False)


def complete(events: Events, windows: Windows, window: Window, silence: float) -> NDArray[np.bool_]:
    """Whether each window is complete, (W,): no later line can belong to it, provided that lines arrive in order of time.

    A window by count is complete with its last event, a window by time once the log's clock is past its end. A session has no defined
    end: it counts as complete when it has been silent for longer than any gap within earlier sessions. A pre-parsed sequence is one
    line and complete.

    Args:
        events: all events of the log.
        windows: all its windows, see `make_windows`.
        window: the window rule.
        silence: seconds, see `longest_silence`.
    """
    if window.by == "count":
        return np.asarray(windows.lengths_W == window.size)
    if window.by == "session":
        return np.asarray(_last(events) - windows.end_W > silence) | events.parsed
    assert window.seconds is not None
    begins_W = np.unique(_sliced(events, window)[1]) * (window.stride or window.seconds)
    return np.asarray(begins_W + window.seconds <= _last(events) - np.nanmin(events.time_E))


def longest_silence(windows: Windows) -> float:
    """The longest time in seconds between consecutive events of a window; infinite if no two have times."""
    inside_M = np.ones(len(windows.time_M), dtype=np.bool_)
    inside_M[windows.offsets_W1[:-1]] = False
    gap_M = np.diff(windows.time_M, prepend=np.nan)[inside_M]
    return float(np.nanmax(gap_M)) if np.isfinite(gap_M).any() else np.inf


def _last(events: Events) -> float:
    """The last known time of a log; NaN if none is known."""
    return float(np.fmax.reduce(events.time_E))


def _sliced(events: Events, window: Window) -> tuple[Ints, Ints]:
    """(event, slice) pairs of windows by count or by time, see `_slices`."""
    clock_E = _carried(events.time_E, np.zeros(len(events.time_E), dtype=np.int64))
    order_E = np.argsort(clock_E, kind="stable")
    if window.by == "count":
        assert window.size is not None
        slices = _slices(np.arange(len(order_E), dtype=np.float64), window.size, window.stride or window.size)
    else:
        assert window.seconds is not None
        if np.isnan(events.time_E).all():
            raise DataError("no line has a time, so events cannot be grouped by time; write window = { by = 'count', size = 20 }")
        since_E = np.maximum(clock_E[order_E] - np.nanmin(events.time_E), 0.0)
        slices = _slices(since_E, window.seconds, window.stride or window.seconds)
    return order_E[slices[0]], slices[1]


def spans(starts_C: Ints, lengths_C: Ints) -> Ints:
    """The positions of several slices of a ragged array, concatenated.

    >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    offsets_C1 = _offsets(lengths_C)
    return np.repeat(starts_C - offsets_C1[:-1], lengths_C) + np.arange(int(offsets_C1[-1]))


def _offsets(lengths_C: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths_C)]).astype(np.int64)


def _carried(time_P: Floats, group_P: Ints) -> Floats:
    """Sort keys: an unknown time becomes the last known one before it in its group (groups are contiguous), else -inf."""
    place_P = np.arange(len(time_P))
    first_P = np.searchsorted(group_P, group_P)
    last_P = np.maximum.accumulate(np.where(np.isnan(time_P), -1, place_P)) if len(time_P) else place_P
    return np.where(last_P >= first_P, time_P[last_P], -np.inf)


def _slices(place_E: Floats, length: float, stride: float) -> tuple[Ints, Ints]:
    """(event, slice) pairs: events at ascending positions, and the slices [k * stride, k * stride + length) that contain them.

    Slices after the first that contains the last event are omitted: they would only repeat its tail.
    """
    with np.errstate(all="ignore"):  # a tiny stride overflows to infinite counts, which `room` refuses
        last_E, rest_E = np.divmod(place_E, stride)
        first_E = np.maximum(last_E - np.ceil((length - rest_E) / stride) + 1, 0)
        if first_E[-1] <= last_E[-1]:
            last_E = np.minimum(last_E, first_E[-1])
        count_E = np.maximum(last_E - first_E + 1, 0)
        total = float(count_E.sum())
    room(
        32 * total,
        f"overlapping windows (length {length:g}, stride {stride:g}) with {total:,.0f} events in total",
        "use a larger stride",
    )
    count_E = count_E.astype(np.int64)
    return np.repeat(np.arange(len(place_E)), count_E), spans(first_E.astype(np.int64), count_E)


def _grouped(events: Events, event_P: Ints, group_P: Ints, *, sessions: bool) -> Windows:
    """Build windows from (event, group) pairs: one per non-empty group, in ascending order of group."""
    source = np.lexsort((event_P, group_P))
    event_M, group_M = event_P[source], group_P[source]
    order = np.lexsort((_carried(events.time_E[event_M], group_M), group_M))  # stable: equal times keep the order of lines
    event_M = event_M[order]
    groups_W, start_W = np.unique(group_M, return_index=True)
    time_M = events.time_E[event_M]
    given_S = events.session_label_S if sessions else None
    line_label_W = np.maximum.reduceat(events.label_E[event_M], start_W)  # -1 unknown < 0 normal < 1 anomaly
    label_W = line_label_W if given_S is None else given_S[groups_W]
    return Windows(
        event_M=event_M,
        time_M=time_M,
        offsets_W1=np.append(start_W, len(event_M)).astype(np.int64),
        key_W=np.asarray(
            [events.sessions[g] for g in groups_W] if sessions else [str(w) for w in range(len(groups_W))], dtype=np.object_
        ),
        start_W=np.fmin.reduceat(time_M, start_W),
        end_W=np.fmax.reduceat(time_M, start_W),
        label_W=label_W.astype(np.int8),
        kind_W=np.where(label_W == 1, _first_kind(events, event_M, start_W), ""),
    )


def _first_kind(events: Events, event_M: Ints, start_W: Ints) -> Texts:
    """The kind of the first line with a kind, for each window."""
    none = len(event_M)
    place_W = np.minimum.reduceat(np.where(events.kind_E[event_M] > 0, np.arange(none), none), start_W)
    kind_W = np.where(place_W < none, events.kind_E[event_M[np.minimum(place_W, none - 1)]], 0)
    return np.asarray(events.kinds, dtype=np.object_)[kind_W]
