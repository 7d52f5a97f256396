"""Length: a window is anomalous when it is shorter or longer than any in training.  Landauer et al., FSE 2024, arXiv:2309.02854."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Length"]


@dataclass(kw_only=True)
class Length(Detector):
    """The score is the distance of the window's length from the range of training lengths, in events: 0 inside.

    >>> Length().fit([[0, 1], [0, 1, 2]]).score_samples([[0, 1], [0], [0, 1, 2, 2, 2]]).tolist()
    [0.0, 1.0, 2.0]
    """

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        self._range = np.asarray([features.lengths_N.min(), features.lengths_N.max()], dtype=np.int64)

    def anomaly_score(self, features: Features) -> Floats:
        """The distance of each row's length from the training range, in events, (N,)."""
        shortest, longest = self._range
        length_N = features.lengths_N
        return np.asarray(np.maximum(0, np.maximum(shortest - length_N, length_N - longest)), dtype=np.float64)

    def _state(self) -> State:
        return {"range": self._range}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"range": Array("int64", (2,), low=0)})
        self._range = state["range"]
