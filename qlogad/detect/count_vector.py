"""Count vector: the distance of a window's event counts to the nearest in training.  Landauer et al., FSE 2024, arXiv:2309.02854.

    d(x) = min over distinct training vectors y of  sum_e u_e |x_e - y_e| / sum_e u_e max(x_e, y_e)

With m = sum_e u_e min(x_e, y_e) and S = sum_e u_e (x_e + y_e) this is (S - 2m) / (S - m), and m is one sparse matrix product: each
count is encoded by the training counts of its event that it reaches, and the ones shared by two counts add up to their minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["CountVector"]

CELLS = 2**22  # largest number of elements in a dense block
EXACT = 2.0**30  # event weights are multiples of 1 / EXACT, so that sums are exact and equal vectors have distance 0


@dataclass(kw_only=True)
class CountVector(Detector):
    """The score is in [0, 1]: 0 for counts that occur in training (`score > 0` is the exact look-up), 1 for no event in common.

    >>> CountVector().fit([[0, 1, 1], [2]]).score_samples([[1, 0, 1], [0, 1], [3]]).round(3).tolist()
    [0.0, 0.333, 1.0]
    """

    idf: bool = False  # u_e = log10((1 + N) / N_e), with N_e of N training windows containing e, and 1 for unseen e; False: u_e = 1

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        blocks = [np.unique(block_BV, axis=0) for block_BV in _blocks(features)]
        known_MV = np.unique(np.concatenate(blocks), axis=0)
        self._learn(known_MV, self._event_weights(features) if self.idf else np.ones(features.size + 1))

    @staticmethod
    def _event_weights(features: Features) -> Floats:
        holding_V = np.zeros(features.size + 1)
        start = 0
        for block_BV in _blocks(features):
            holding_V += features.weight_N[start : start + len(block_BV)] @ (block_BV > 0)
            start += len(block_BV)
        idf_V = np.log10((1 + features.weight_N.sum()) / np.maximum(holding_V, 1e-300))
        return np.where(holding_V > 0, np.rint(idf_V * EXACT) / EXACT, 1.0)

    def _learn(self, known_MV: Floats, weight_V: Floats) -> None:
        self._known_MV, self._weight_V = known_MV, weight_V
        levels = [np.unique(column[column > 0]) for column in known_MV.T]  # for each event, its counts in training
        self._event_S = np.repeat(np.arange(len(levels)), [len(level) for level in levels])
        self._upper_S = np.concatenate(levels)
        self._lower_S = np.concatenate([np.concatenate([[0.0], level])[:-1] for level in levels])
        climbed_MS = sparse.csr_array(known_MV[:, self._event_S] >= self._upper_S, dtype=np.float64)
        self._climbed_SM = sparse.csr_array(climbed_MS.T)

    def anomaly_score(self, features: Features) -> Floats:
        """The distance of each row to its nearest training row, (N,), in [0, 1]."""
        blocks = [self._distance(block_BV) for block_BV in _blocks(features)]
        return np.concatenate([*blocks, np.zeros(0)])

    def _distance(self, counts_BV: Floats) -> Floats:
        distinct_CV, which_B = np.unique(counts_BV, axis=0, return_inverse=True)
        step = max(1, CELLS // max(len(self._known_MV), len(self._event_S)))
        nearest = [self._nearest(distinct_CV[start : start + step]) for start in range(0, len(distinct_CV), step)]
        return np.concatenate(nearest)[which_B.reshape(-1)]

    def _nearest(self, counts_CV: Floats) -> Floats:
        steps_CS = np.clip(counts_CV[:, self._event_S], self._lower_S, self._upper_S) - self._lower_S
        shared_CM = (sparse.csr_array(steps_CS * self._weight_V[self._event_S]) @ self._climbed_SM).toarray()
        sum_CM = (counts_CV @ self._weight_V)[:, None] + self._known_MV @ self._weight_V
        both_empty_CM = sum_CM == 0
        ratio_CM = (sum_CM - 2 * shared_CM) / np.where(both_empty_CM, 1.0, sum_CM - shared_CM)
        return np.asarray(ratio_CM.min(axis=1))

    def _state(self) -> State:
        return {"known": self._known_MV, "weight": self._weight_V}

    def _restore(self, state: State) -> None:
        size = self.size_ + 1
        known = {"known": Array("float64", ("windows", size), low=0, high=2**53), "weight": Array("float64", (size,), low=0)}
        check_arrays(state, known)
        self._learn(state["known"], state["weight"])


def _blocks(features: Features) -> list[Floats]:
    """Dense counts of all rows, in blocks of bounded size."""
    step = max(1, CELLS // (features.size + 1))
    rows = [np.arange(n, min(n + step, len(features))) for n in range(0, len(features), step)]
    return [features.take(rows_B).view("counts") for rows_B in rows]
