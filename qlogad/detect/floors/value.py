"""Value: an event is anomalous if a number in its message is outside its training range. A baseline from parameters alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Value"]


@dataclass(kw_only=True)
class Value(Detector):
    """The score is the largest distance of a number from its training range, in standard deviations; 0 inside.

    Each variable part of each template has its own range; parts that were not always numbers in training are ignored.

    >>> train = Features.from_sequences([[0, 0]], values=[[["10"], ["12"]]], views=["values"])
    >>> test = Features.from_sequences([[0], [0]], values=[[["11"]], [["22"]]], views=train.views)
    >>> Value().fit(train).score_samples(test).tolist()
    [0.0, 10.0]
    """

    reads: ClassVar[tuple[str, ...]] = ("ids", "values")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        values_ED = features.view("values")
        width = values_ED.shape[1]
        self._low_VD, self._high_VD = np.zeros((features.size + 1, width)), np.zeros((features.size + 1, width))
        for column in range(width):  # the mean is 0 on this scale, so every range contains 0
            known_E = ~np.isnan(values_ED[:, column])
            np.minimum.at(self._low_VD[:, column], features.ids_E[known_E], values_ED[known_E, column])
            np.maximum.at(self._high_VD[:, column], features.ids_E[known_E], values_ED[known_E, column])

    def event_score(self, features: Features) -> Floats:
        """The largest distance of each event's numbers from their ranges, (E,); 0 if all are inside, or there are none."""
        values_ED, ids_E = features.view("values"), features.ids_E
        outside_ED = np.maximum(values_ED - self._high_VD[ids_E], self._low_VD[ids_E] - values_ED)
        return np.asarray(np.nan_to_num(np.maximum(outside_ED, 0.0)).max(axis=1, initial=0.0))

    def anomaly_score(self, features: Features) -> Floats:
        """The highest of each row's event scores, (N,)."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        return {"low": self._low_VD, "high": self._high_VD}

    def _restore(self, state: State) -> None:
        check_arrays(state, {name: Array("float64", (self.size_ + 1, "columns")) for name in ("low", "high")})
        self._low_VD, self._high_VD = state["low"], state["high"]
