"""New event: a window is anomalous if it contains events not seen in training.  Landauer et al., FSE 2024, arXiv:2309.02854."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["NewEvent"]


@dataclass(kw_only=True)
class NewEvent(Detector):
    """The score is the number of events whose id does not occur in the training rows.

    >>> NewEvent().fit([[0, 1], [0, 2]]).score_samples([[0, 1, 2], [0, 7, 7]]).tolist()
    [0.0, 2.0]
    """

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        self._seen_V1 = np.bincount(features.ids_E, minlength=features.size + 1) > 0
        self._seen_V1[-1] = False  # the id V means "unseen"

    def event_score(self, features: Features) -> Floats:
        """1 where the event was not seen in training, else 0, (E,)."""
        return (~self._seen_V1[features.ids_E]).astype(np.float64)

    def anomaly_score(self, features: Features) -> Floats:
        """The number of unseen events in each row, (N,)."""
        return np.bincount(features.row_E, weights=self.event_score(features), minlength=len(features)).astype(np.float64)

    def _state(self) -> State:
        return {"seen": self._seen_V1}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"seen": Array("bool", (self.size_ + 1,))})
        self._seen_V1 = state["seen"]
