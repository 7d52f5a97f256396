"""Edit distance: a window is anomalous by the share of it that must change to make it a training window.

    d(x) = min over distinct training sequences y of  Levenshtein(x, y) / max(|x|, |y|)

Landauer et al., FSE 2024, arXiv:2309.02854.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from qlogad.arrays import Floats, Ints
from qlogad.detect.detector import Detector, State
from qlogad.errors import DataError, ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["EditDistance"]

CELLS = 2**22  # largest number of elements of a table
MOST = 10**12  # largest number of pairs of events that one call compares: about an hour


@dataclass(kw_only=True)
class EditDistance(Detector):
    """The score is in [0, 1]: 0 for a sequence that occurs in training, 1 if every event would have to change.

    An event not seen in training equals no training event. Distinct sequences are compared once; training sequences whose length or
    event counts alone put them further away than the nearest one found are skipped.

    >>> EditDistance().fit([[0, 1, 2], [2, 2]]).score_samples([[0, 1, 2], [0, 2], [3], []]).round(3).tolist()
    [0.0, 0.333, 1.0, 1.0]
    """

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        known = sorted({tuple(row.tolist()) for row in features.rows()})
        ids = np.asarray([event for row in known for event in row], dtype=np.int64)
        self._learn(ids, np.cumsum([0, *map(len, known)]))

    def _learn(self, ids_E: Ints, offsets_M1: Ints) -> None:
        self._ids_E, self._offsets_M1 = ids_E, offsets_M1
        self._length_M = np.diff(offsets_M1)
        cell_E = np.repeat(np.arange(len(self._length_M)), self._length_M) * (self.size_ + 1) + ids_E
        self._counts_MV = np.bincount(cell_E, minlength=len(self._length_M) * (self.size_ + 1)).reshape(-1, self.size_ + 1) * 1.0

    def anomaly_score(self, features: Features) -> Floats:
        """The distance of each row to the nearest training sequence, (N,)."""
        longest = int(self._length_M.max())
        cost = float(features.lengths_N.sum()) * len(self._length_M) * longest
        if cost > MOST:
            raise DataError(
                f"edit-distance would compare {cost:.1e} pairs of events, {len(features):,} rows with {len(self._length_M):,} training "
                f"sequences of up to {longest:,} events, and compares at most {MOST:.0e}; choose 'ngram', or shorter windows"
            )
        found: dict[bytes, float] = {}
        scores_N = np.zeros(len(features))
        for n, row_T in enumerate(features.rows()):
            key = row_T.tobytes()
            if key not in found:
                found[key] = self._nearest(row_T)
            scores_N[n] = found[key]
        return scores_N

    def _nearest(self, row_T: Ints) -> float:
        """The distance of one sequence to its nearest training sequence, from the ones of similar counts to the others."""
        most_M = np.maximum(np.maximum(self._length_M, len(row_T)), 1)
        bound_M = self._least(row_T) / most_M
        order_M = np.argsort(bound_M, kind="stable")
        nearest, start, step = 1.0, 0, 16
        while start < len(order_M) and bound_M[order_M[start]] < nearest:
            some_B = order_M[start : start + step]
            some_B = some_B[bound_M[some_B] < nearest]
            start, step = start + step, min(2 * step, max(16, CELLS // (int(self._length_M[some_B].max()) + 1)))
            nearest = min(nearest, float((self._levenshtein(row_T, some_B) / most_M[some_B]).min()))
        return nearest

    def _least(self, row_T: Ints) -> Floats:
        """Fewest changes that make the events of a sequence, in any order, those of each training sequence, (M,)."""
        counts_V = np.bincount(row_T, minlength=self.size_ + 1).astype(np.float64)
        counts_V[-1] = 0.0  # the id V equals no other event
        common_M = (self._length_M + counts_V.sum() - cdist(counts_V[None], self._counts_MV, "cityblock")[0]) / 2
        return np.asarray(np.maximum(self._length_M, len(row_T)) - common_M)

    def _levenshtein(self, row_T: Ints, known_B: Ints) -> Ints:
        """The Levenshtein distance of a sequence to some training sequences, (B,)."""
        length_B = self._length_M[known_B]
        place_J = np.arange(int(length_B.max()) + 1)
        begin_B = self._offsets_M1[known_B]
        inside_BJ = place_J[1:] <= length_B[:, None]
        events_BJ = np.full(inside_BJ.shape, -1, dtype=np.int64)
        events_BJ[inside_BJ] = self._ids_E[(begin_B[:, None] + place_J[:-1])[inside_BJ]]
        table_BJ = np.repeat(place_J[None], len(known_B), axis=0)  # changes from an empty row to the first j events
        for done, event in enumerate(row_T.tolist(), start=1):
            other_BJ = (events_BJ != event) | (event >= self.size_)
            next_BJ = np.empty_like(table_BJ)
            next_BJ[:, 0] = done
            next_BJ[:, 1:] = np.minimum(table_BJ[:, :-1] + other_BJ, table_BJ[:, 1:] + 1)
            table_BJ = np.minimum.accumulate(next_BJ - place_J, axis=1) + place_J  # insertions
        return np.asarray(table_BJ[np.arange(len(known_B)), length_B])

    def _state(self) -> State:
        return {"ids": self._ids_E, "offsets": self._offsets_M1}

    def _restore(self, state: State) -> None:
        known = {"ids": Array("int64", ("events",), low=0, high=self.size_), "offsets": Array("int64", ("sequences + 1",))}
        check_arrays(state, known)
        offsets = state["offsets"]
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(state["ids"]) or (np.diff(offsets) < 0).any():
            raise ResultError("'offsets' must increase from 0 to the number of ids")
        self._learn(state["ids"], offsets)
