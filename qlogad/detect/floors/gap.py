"""Gap: an event is anomalous if its time since the previous event is outside the training range. A baseline from times alone.

The inter-arrival time of Landauer et al., FSE 2024, arXiv:2309.02854.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Gap"]

NONE = 1e-3  # shorter gaps, in seconds, count as this long


@dataclass(kw_only=True)
class Gap(Detector):
    """The score is the largest log ratio of a gap to the range of gaps of its event type in training, 0 inside the range.

    With `per = "pair"`, every pair of an event type and the one before it has a range of its own. Gaps below a millisecond count as a
    millisecond; pairs without a gap in training use the range of the event type, and event types without one that of all gaps. Without
    times, the score is 0.

    >>> windows = Features.from_sequences([[0, 1, 1]], times=[[0, 1, 3]])
    >>> late = Features.from_sequences([[0, 1, 1], [0, 1, 1]], times=[[0, 2, 3], [0, 1, 61]], size=2)
    >>> Gap().fit(windows).score_samples(late).round(3).tolist()
    [0.0, 3.401]
    >>> Gap(per="pair").fit(windows).score_samples(late).round(3).tolist()
    [0.693, 3.401]
    """

    per: Literal["event", "pair"] = "event"  # what has a range of its own: an event type, or it and the one before it

    reads: ClassVar[tuple[str, ...]] = ("ids", "gaps")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        size, log_E = features.size + 1, _logs(features)
        known_E = np.flatnonzero(~np.isnan(log_E))
        low, high = (float(log_E[known_E].min()), float(log_E[known_E].max())) if len(known_E) else (0.0, 0.0)
        event_P, low_P, high_P = _ranges(features.ids_E[known_E], log_E[known_E])
        self._low_V, self._high_V = np.full(size, low), np.full(size, high)
        self._low_V[event_P], self._high_V[event_P] = low_P, high_P
        known_E = known_E if self.per == "pair" else known_E[:0]
        self._pair_P, self._low_P, self._high_P = _ranges(_pairs(features)[known_E], log_E[known_E])

    def event_score(self, features: Features) -> Floats:
        """The absolute log ratio of each event's gap to the training range, (E,); 0 if inside, or if the time is unknown."""
        log_E, low_E, high_E = _logs(features), self._low_V[features.ids_E], self._high_V[features.ids_E]
        if len(self._pair_P):
            pair_E = _pairs(features)
            place_E = np.minimum(np.searchsorted(self._pair_P, pair_E), len(self._pair_P) - 1)
            seen_E = self._pair_P[place_E] == pair_E
            low_E = np.where(seen_E, self._low_P[place_E], low_E)
            high_E = np.where(seen_E, self._high_P[place_E], high_E)
        return np.asarray(np.nan_to_num(np.maximum(np.maximum(log_E - high_E, low_E - log_E), 0.0)))

    def anomaly_score(self, features: Features) -> Floats:
        """The highest of each row's event scores, (N,)."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        pairs = {"pair": self._pair_P, "pair_low": self._low_P, "pair_high": self._high_P} if self.per == "pair" else {}
        return {"low": self._low_V, "high": self._high_V} | pairs

    def _restore(self, state: State) -> None:
        known = {name: Array("float64", (self.size_ + 1,)) for name in ("low", "high")}
        if self.per == "pair":
            known |= {name: Array("float64", ("pairs",)) for name in ("pair_low", "pair_high")}
            known["pair"] = Array("int64", ("pairs",), low=0, high=(self.size_ + 1) ** 2 - 1)
        check_arrays(state, known)
        self._low_V, self._high_V = state["low"], state["high"]
        none = np.zeros(0)
        self._pair_P = state.get("pair", none.astype(np.int64))
        self._low_P, self._high_P = state.get("pair_low", none), state.get("pair_high", none)
        if (np.diff(self._pair_P) <= 0).any():
            raise ResultError("'pair' must be ascending")


def _logs(features: Features) -> Floats:
    """The natural logarithm of the gap in seconds before each event, (E,); NaN if unknown."""
    return np.log(np.maximum(features.view("gaps")[:, 0], NONE))


def _pairs(features: Features) -> Ints:
    """The event before each event and the event itself as one number, (E,); a row's first event has no gap, so its pair is not used."""
    before_E = np.concatenate([features.ids_E[:1], features.ids_E[:-1]])
    return before_E * (features.size + 1) + features.ids_E


def _ranges(code_E: Ints, log_E: Floats) -> tuple[Ints, Floats, Floats]:
    """The distinct codes in ascending order, and the smallest and the largest value of each."""
    code_P, place_E = np.unique(code_E, return_inverse=True)
    low_P, high_P = np.full(len(code_P), np.inf), np.full(len(code_P), -np.inf)
    np.minimum.at(low_P, place_E, log_E)
    np.maximum.at(high_P, place_E, log_E)
    return code_P, low_P, high_P
