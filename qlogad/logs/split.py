"""Split windows into training, validation (for the threshold), test and in flight (unused). All splitting happens here.

The time split takes an operator's view: train on windows that have ended, test on windows that start later. A window that is open at
the cut is in flight and in neither part.

    ─── train ───┬─ validation ─┤cut├───────── test ─────────►
                        └── in flight ──┘
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qlogad import documents
from qlogad.arrays import Ints
from qlogad.bounds import Share
from qlogad.errors import DataError, DocumentError
from qlogad.logs.events import Events
from qlogad.logs.windows import Windows

__all__ = ["Split", "SplitBy", "given_parts", "make_splits"]

Order = Literal["time", "order", "given"]


@dataclass(frozen=True)
class SplitBy:
    """How windows are split, as a document: `split = { by = "time", cuts = [0.4, 0.7] }`. Each cut is a separate experiment."""

    by: Order = "time"
    cuts: tuple[Share, ...] = (0.4, 0.55, 0.7)  # in (0, 1), fractions of the time span or of the windows; unused by "given"
    validation: Share = 0.25  # the share of past windows, the latest ones, held out for validation

    def __post_init__(self) -> None:
        documents.enforce(self)
        if not self.cuts:
            raise DocumentError("a split needs at least one cut, such as cuts = [0.4, 0.55, 0.7]")
        if len(set(self.cuts)) < len(self.cuts):
            raise DocumentError(f"each cut can be given only once, got {list(self.cuts)}")


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of one split as ascending window indices; they are disjoint and cover all windows."""

    name: str  # "0.40", or "given"
    time: float  # the cut in seconds; NaN unless split by time
    ordered_by: Order
    train: Ints
    validation: Ints
    test: Ints
    in_flight: Ints  # open at the cut; also windows of unknown time or part

    def __post_init__(self) -> None:
        documents.enforce(self)


def make_splits(windows: Windows, split: SplitBy, given_part_W: NDArray[np.str_] | None = None) -> list[Split]:
    """One split per cut, or the split that the source defines. Labels are not used: unlabelled windows are split like all others.

    Args:
        windows: the windows to split.
        split: "time" cuts the time span from the first to the last event: past windows end before the cut, test windows start after
        it, the rest are in flight. "order" cuts the sequence of windows; none is in flight. "given" uses `given_part_W`.
            Validation is the latest share of the past, by start time or by order.
        given_part_W: "train", "test" or "" for each window.

    Raises:
    DataError: no time is known, no parts are given, or a part is empty.
    """
    if split.by == "given":
        if given_part_W is None or not np.isin(given_part_W, ("train", "test")).any():
            raise DataError(
                "the source does not define which windows are for training; write split = { by = 'time' } or { by = 'order' }"
            )
        return [_given(given_part_W, split)]
    make = _by_time if split.by == "time" else _by_order
    return [make(windows, cut, split) for cut in split.cuts]


def given_parts(events: Events, windows: Windows) -> NDArray[np.str_] | None:
    """The part that the source assigns to each window ("train", "test" or ""); None if it assigns none.

    Where files define the split, a window with lines of both parts is in neither.
    """
    if events.intake.test_from is not None and len(windows):
        held_M = events.line_E[windows.event_M] >= events.intake.test_from
        any_W, all_W = (join.reduceat(held_M, windows.offsets_W1[:-1]) for join in (np.logical_or, np.logical_and))
        return np.where(all_W, "test", np.where(any_W, "", "train")).astype(np.str_)
    if events.given_part_S is None:
        return None
    part = dict(zip(events.sessions, events.given_part_S.tolist(), strict=True))
    return np.asarray([part.get(key, "") for key in windows.key_W.tolist()], dtype=np.str_)


def _by_time(windows: Windows, cut: float, split: SplitBy) -> Split:
    if np.isnan(windows.start_W).all():
        raise DataError("no window has a time, so they cannot be split by time; write split = { by = 'order' }")
    first = float(np.nanmin(windows.start_W))
    time = first + cut * (float(np.nanmax(windows.end_W)) - first)
    past = np.flatnonzero(windows.end_W < time)
    past = past[np.argsort(windows.start_W[past], kind="stable")]
    return _parts(_name(cut), "time", past, np.flatnonzero(windows.start_W > time), len(windows), split, time)


def _by_order(windows: Windows, cut: float, split: SplitBy) -> Split:
    place = round(cut * len(windows))
    return _parts(_name(cut), "order", np.arange(place), np.arange(place, len(windows)), len(windows), split)


def _given(part_W: NDArray[np.str_], split: SplitBy) -> Split:
    return _parts("given", "given", np.flatnonzero(part_W == "train"), np.flatnonzero(part_W == "test"), len(part_W), split)


def _parts(name: str, order: Order, past: Ints, test: Ints, count: int, split: SplitBy, time: float = float("nan")) -> Split:
    """Build a split from past windows, earliest first, and ascending test windows."""
    held = round(split.validation * len(past))
    train, validation = past[: len(past) - held], past[len(past) - held :]
    for part, indices in (("train", train), ("validation", validation), ("test", test)):
        if len(indices) == 0:
            raise DataError(f"cut '{name}' leaves no windows for {part}, of {count} in all; move the cut, or use more of the log")
    rest_W = np.ones(count, dtype=np.bool_)
    rest_W[past] = rest_W[test] = False
    return Split(name, time, order, np.sort(train), np.sort(validation), test, np.flatnonzero(rest_W))


def _name(cut: float) -> str:
    short = f"{cut:.2f}"
    return short if float(short) == cut else repr(cut)
