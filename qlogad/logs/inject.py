"""Labelled anomalies injected into held-out normal windows: semi-synthetic data, never mixed with real labels.

A swap or a move changes only the order of events, so detectors of event types, lengths or counts cannot detect it; any detection
is due to order. Injection into real sequences: Zhang et al. (LogRobust), ESEC/FSE 2019,
doi:10.1145/3338906.3338931.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

import numpy as np

from qlogad.arrays import Bools, Ints
from qlogad.errors import DataError, shown
from qlogad.logs.windows import Windows

__all__ = ["inject", "parse_spec"]

Kind = Literal["swap", "move", "repeat", "delay"]
_KINDS = ("swap", "move", "repeat", "delay")


def parse_spec(spec: str) -> tuple[Kind, float]:
    """Parse the kind and the amount of an injection such as "swap:3".

    >>> parse_spec("swap:3"), parse_spec("delay:0.5")
    (('swap', 3.0), ('delay', 0.5))

    Raises:
        DataError: the spec is malformed, or the amount is out of range.
    """
    kind, _, text = spec.partition(":")
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if kind not in _KINDS or not 0 < amount < 1e9 or (kind != "delay" and amount != int(amount)):
        raise DataError(f"an injection must be written as swap:3, move:3, repeat:2 or delay:60 (seconds), got {shown(spec)}")
    return cast(Kind, kind), amount


def inject(windows: Windows, id_E: Ints, spec: str, generator: np.random.Generator) -> Windows:
    """Alter each window with probability 1/2, replacing the original.

    An altered window gets label 1 and the kind `spec`; all others, including those that cannot be altered (too short, all events
    equal, no time), are unchanged, as are keys and the order of windows. The position is uniform over all valid ones.

    - `swap:k` exchanges two events of different types that are k positions apart; the times keep their positions.
    - `move:k` moves one event k positions forward or back so that the order of types changes; the times keep their positions.
    - `repeat:k` repeats one event k more times, with its own time.
    - `delay:s` delays all events from a random one on, never the first, by s seconds.

    Args:
        windows: normal windows only (the caller drops the others).
        id_E: the event type of each event of the log.
        spec: what to inject.
        generator: draws windows and positions; equal generators give equal results.

    Raises:
        DataError: `spec` is malformed.
    """
    kind, amount = parse_spec(spec)
    assert (windows.label_W == 0).all(), "only normal windows can take a labelled injection"
    if len(windows) == 0:
        return windows
    chosen_W = generator.random(len(windows)) < 0.5
    draw_M = generator.random(len(windows.event_M))
    forward_W = generator.random(len(windows)) < 0.5
    steps = int(amount)
    can_M = _can(kind, steps, windows, id_E[windows.event_M])
    draw_M[~can_M] = -1.0
    best_W = np.maximum.reduceat(draw_M, windows.offsets_W1[:-1])
    altered_W = chosen_W & (best_W >= 0)
    window_M = np.repeat(np.arange(len(windows)), windows.lengths_W)
    hit_M = np.flatnonzero(altered_W[window_M] & (draw_M == best_W[window_M]))
    place_A = hit_M[np.unique(window_M[hit_M], return_index=True)[1]]  # one position for each altered window
    labelled = replace(
        windows,
        label_W=altered_W.astype(np.int8),
        kind_W=np.where(altered_W, spec, windows.kind_W),
    )
    if kind == "repeat":
        return _repeated(labelled, place_A, steps)
    if kind == "delay":
        return _delayed(labelled, window_M, place_A, amount)
    reach_AK = place_A[:, None] + (np.arange(steps + 1) if kind == "move" else np.array([0, steps]))
    turned_AK = np.where(forward_W[altered_W][:, None], np.roll(reach_AK, -1, axis=1), np.roll(reach_AK, 1, axis=1))
    event_M = windows.event_M.copy()
    event_M[reach_AK] = windows.event_M[turned_AK]
    return replace(labelled, event_M=event_M)


def _can(kind: Kind, steps: int, windows: Windows, id_M: Ints) -> Bools:
    """The valid positions in a window: for swap and move, the first position of the affected range."""
    place_M = np.arange(len(id_M))
    can_M = np.ones(len(id_M), dtype=np.bool_)
    if kind == "repeat":
        return can_M
    if kind == "delay":
        known_M = np.isfinite(windows.time_M)
        can_M[1:] = known_M[1:] & known_M[:-1]
        can_M[windows.offsets_W1[:-1]] = False
        return can_M
    inside_M: Bools = place_M + steps < np.repeat(windows.offsets_W1[1:], windows.lengths_W)
    far_M = np.minimum(place_M + steps, len(id_M) - 1)
    if kind == "swap":
        differs_M: Bools = id_M != id_M[far_M]
    else:  # moving within a run of one event type changes nothing
        changes_M = np.concatenate([[0], np.cumsum(id_M[1:] != id_M[:-1])])
        differs_M = changes_M[far_M] > changes_M
    return inside_M & differs_M


def _repeated(windows: Windows, place_A: Ints, more: int) -> Windows:
    count_M = np.ones(len(windows.event_M), dtype=np.int64)
    count_M[place_A] += more
    ends_W = np.cumsum(count_M)[windows.offsets_W1[1:] - 1]
    return replace(
        windows,
        event_M=np.repeat(windows.event_M, count_M),
        time_M=np.repeat(windows.time_M, count_M),
        offsets_W1=np.concatenate([[0], ends_W]).astype(np.int64),
    )


def _delayed(windows: Windows, window_M: Ints, place_A: Ints, seconds: float) -> Windows:
    from_W = np.full(len(windows), len(window_M))
    from_W[window_M[place_A]] = place_A
    late_M = np.arange(len(window_M)) >= from_W[window_M]
    time_M = windows.time_M + seconds * late_M
    return replace(windows, time_M=time_M, end_W=np.fmax.reduceat(time_M, windows.offsets_W1[:-1]))
