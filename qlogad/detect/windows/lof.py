"""Local outlier factor: a window is anomalous if its event counts lie in a sparser region than those of its nearest training windows.

Breunig et al., SIGMOD 2000, doi:10.1145/342009.335388.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from qlogad.arrays import Bools, Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import CELLS, WindowView, at_most, score_rows, training_rows
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["LOF"]

MOST = 20_000  # distinct training rows
SMALL = 1e-10  # added to mean distances, as in scikit-learn, so that densities are finite


@dataclass(kw_only=True)
class LOF(Detector):
    """The score is the local outlier factor, above 0: the mean density of the window's neighbours divided by its own; about 1 if usual.

    Each distinct training row counts once, however many windows it has: equal rows would have no distance, and a density without
    bound. The neighbours are all training rows up to the distance of the k-th nearest, as the paper has it; where several are at that
    distance, as is common with counts, scikit-learn takes some of them, depending on their order.

    >>> detector = LOF(neighbours=2).fit([[0], [0, 0], [0] * 3, [0] * 4, [1] * 50])
    >>> detector.score_samples([[0, 0], [0] * 30]).round(2).tolist()
    [0.89, 17.67]
    """

    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    neighbours: Annotated[int, Between(1, MOST)] = 20  # k; at most the number of other distinct training rows

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        rows_MD, _ = training_rows(features, self.view)
        at_most(len(rows_MD), MOST, "lof", "choose 'isolation-forest', or fewer training windows")
        self._rows_MD = rows_MD
        self._reach_M = self._in_blocks(rows_MD, _farthest, own=True)
        self._density_M = self._in_blocks(rows_MD, self._density, own=True)

    def _in_blocks(self, rows_UD: Floats, each: Callable[[Floats, Bools], Floats], *, own: bool = False) -> Floats:
        """A number for each row from its distances to the training rows and from which of them are its neighbours.

        Args:
            rows_UD: the rows.
            each: distances (B, M), neighbours (B, M) -> numbers (B,).
            own: the rows are the training rows, none of which is its own neighbour.
        """
        found_U, known = np.zeros(len(rows_UD)), len(self._rows_MD)
        k = min(self.neighbours, known - own)
        step = max(1, CELLS // known)
        for start in range(0, len(rows_UD), step):
            distance_BM = cdist(rows_UD[start : start + step], self._rows_MD)
            other_BM = distance_BM.copy()
            if own:
                other_BM[np.arange(len(other_BM)), np.arange(start, start + len(other_BM))] = np.inf
            farthest_B1 = np.partition(other_BM, k - 1, axis=1)[:, [k - 1]] if k else 0.0  # a single row has no other
            found_U[start : start + step] = each(distance_BM, other_BM <= farthest_B1)
        return found_U

    def _density(self, distance_BM: Floats, near_BM: Bools) -> Floats:
        """The inverse of the mean reachability distance from the neighbours."""
        total_B = np.where(near_BM, np.maximum(distance_BM, self._reach_M), 0.0).sum(axis=1)
        return np.asarray(1.0 / (total_B / np.maximum(near_BM.sum(axis=1), 1) + SMALL))

    def _factor(self, distance_BM: Floats, near_BM: Bools) -> Floats:
        around_B = np.where(near_BM, self._density_M, 0.0).sum(axis=1) / near_BM.sum(axis=1)
        return np.asarray(around_B / self._density(distance_BM, near_BM))

    def anomaly_score(self, features: Features) -> Floats:
        """The local outlier factor of each row among the training rows, (N,)."""
        return score_rows(features, self.view, lambda rows_UD: self._in_blocks(rows_UD, self._factor))

    def _state(self) -> State:
        return {"rows": self._rows_MD, "reach": self._reach_M, "density": self._density_M}

    def _restore(self, state: State) -> None:
        known = {
            "rows": Array("float64", ("rows", self.size_ + 1)),
            "reach": Array("float64", ("rows",), low=0),
            "density": Array("float64", ("rows",), low=0),
        }
        check_arrays(state, known)
        if len(state["rows"]) == 0:
            raise ResultError("'rows' must hold at least one row")
        self._rows_MD, self._reach_M, self._density_M = state["rows"], state["reach"], state["density"]


def _farthest(distance_BM: Floats, near_BM: Bools) -> Floats:
    """The k-distance of each row: that of its farthest neighbour."""
    return np.asarray(np.where(near_BM, distance_BM, 0.0).max(axis=1))
