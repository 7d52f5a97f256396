"""Count vector: the distance of a window's event counts to the nearest in training.  Landauer et al., FSE 2024, arXiv:2309.02854.

    d(x) = min over distinct training vectors y of  sum_e u_e |x_e - y_e| / sum_e u_e max(x_e, y_e)

With L = sum_e u_e |x_e - y_e| and S = sum_e u_e (x_e + y_e) this is 2 L / (S + L), because max(a, b) = (a + b + |a - b|) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import score_rows, training_rows
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["CountVector"]


@dataclass(kw_only=True)
class CountVector(Detector):
    """The score is in [0, 1]: 0 for counts that occur in training (`score > 0` is the exact look-up), 1 for no event in common.

    >>> CountVector().fit([[0, 1, 1], [2]]).score_samples([[1, 0, 1], [0, 1], [3]]).round(3).tolist()
    [0.0, 0.333, 1.0]
    """

    idf: bool = False  # u_e = log10((1 + N) / N_e), with N_e of N training windows containing e, and 1 for unseen e; False: u_e = 1
    normalise: bool = False  # counts are divided by the window's length

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        counts_UV, times_U = training_rows(features, "counts")
        weight_V = np.ones(features.size + 1)
        if self.idf:
            holding_V = (times_U[:, None] * (counts_UV > 0)).sum(axis=0)
            weight_V = np.where(holding_V > 0, np.log10((1 + times_U.sum()) / np.maximum(holding_V, 1.0)), 1.0)
        self._weight_V, self._known_MV = weight_V, np.unique(self._compared(counts_UV), axis=0)

    def _compared(self, counts_UV: Floats) -> Floats:
        if not self.normalise:
            return counts_UV
        return np.asarray(counts_UV / np.maximum(counts_UV.sum(axis=1, keepdims=True), 1.0))

    def anomaly_score(self, features: Features) -> Floats:
        """The distance of each row to its nearest training row, (N,), in [0, 1]."""
        known_MV = self._known_MV * self._weight_V

        def nearest(counts_UV: Floats) -> Floats:
            given_UV = self._compared(counts_UV) * self._weight_V
            apart_UM = cdist(given_UV, known_MV, "cityblock")
            total_UM = given_UV.sum(axis=1)[:, None] + known_MV.sum(axis=1) + apart_UM
            ratio_UM = 2 * apart_UM / np.where(total_UM == 0, 1.0, total_UM)  # 0 between empty windows
            return np.asarray(ratio_UM.min(axis=1))

        return score_rows(features, "counts", nearest, table=len(known_MV))

    def _state(self) -> State:
        return {"known": self._known_MV, "weight": self._weight_V}

    def _restore(self, state: State) -> None:
        size = self.size_ + 1
        known = {"known": Array("float64", ("windows", size), low=0, high=2**53), "weight": Array("float64", (size,), low=0)}
        check_arrays(state, known)
        if len(state["known"]) == 0:
            raise ResultError("'known' must hold at least one vector")
        self._known_MV, self._weight_V = state["known"], state["weight"]
