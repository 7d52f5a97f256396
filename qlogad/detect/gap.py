"""Gap: an event is anomalous if its time since the previous event is outside the training range. A baseline from times alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.event_scores import largest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Gap"]

NONE = 1e-3  # shorter gaps, in seconds, count as this long


@dataclass(kw_only=True)
class Gap(Detector):
    """The score is the largest log ratio of a gap to the range of gaps of its event type in training, 0 inside the range.

    Gaps below a millisecond count as a millisecond; event types without a gap in training use the range of all gaps. Without times,
    the score is 0.

    >>> windows = Features.from_sequences([[0, 1, 1]], times=[[0, 1, 3]])
    >>> late = Features.from_sequences([[0, 1, 1], [0, 1, 1]], times=[[0, 2, 3], [0, 1, 61]], size=2)
    >>> Gap().fit(windows).score_samples(late).round(3).tolist()
    [0.0, 3.401]
    """

    reads: ClassVar[tuple[str, ...]] = ("ids", "gaps")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        size, log_E = features.size + 1, _logs(features)
        self._low_V, self._high_V = np.full(size, np.inf), np.full(size, -np.inf)
        known_E = ~np.isnan(log_E)
        np.minimum.at(self._low_V, features.ids_E[known_E], log_E[known_E])
        np.maximum.at(self._high_V, features.ids_E[known_E], log_E[known_E])
        low, high = (float(log_E[known_E].min()), float(log_E[known_E].max())) if known_E.any() else (0.0, 0.0)
        without_V = np.isinf(self._low_V)
        self._low_V[without_V], self._high_V[without_V] = low, high

    def event_score(self, features: Features) -> Floats:
        """The absolute log ratio of each event's gap to the training range, (E,); 0 if inside, or if the time is unknown."""
        log_E, ids_E = _logs(features), features.ids_E
        outside_E = np.maximum(log_E - self._high_V[ids_E], self._low_V[ids_E] - log_E)
        return np.asarray(np.nan_to_num(np.maximum(outside_E, 0.0)))

    def anomaly_score(self, features: Features) -> Floats:
        """The highest of each row's event scores, (N,)."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        return {"low": self._low_V, "high": self._high_V}

    def _restore(self, state: State) -> None:
        check_arrays(state, {name: Array("float64", (self.size_ + 1,)) for name in ("low", "high")})
        self._low_V, self._high_V = state["low"], state["high"]


def _logs(features: Features) -> Floats:
    """The natural logarithm of the gap in seconds before each event, (E,); NaN if unknown."""
    return np.log(np.maximum(features.view("gaps")[:, 0], NONE))
