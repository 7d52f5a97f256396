"""k nearest neighbours: a window is anomalous if the nearest labelled training windows are, by event counts.

LightAD: Yu et al., ICSE 2024, doi:10.1145/3597503.3623308.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from scipy.spatial.distance import cdist

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import WindowView, labelled_rows, score_rows
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["KNN"]


@dataclass(kw_only=True)
class KNN(Detector):
    """The score is the mean vote of the neighbours, weighted by 1 / distance, in [0, 1]; above .5 is their majority.

    Training windows with equal counts are one neighbour, whose vote is the share of anomalies among them. A window with known counts has
    the score of these counts alone. Neighbours at the same distance as the k-th nearest vote too.

    >>> detector = KNN().fit([[0, 1], [0, 1], [0, 1], [0] * 9], [0, 0, 1, 1])
    >>> detector.score_samples([[1, 0], [0] * 8, [0] * 5 + [1]]).round(3).tolist()
    [0.333, 1.0, 0.333]
    """

    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    neighbours: Annotated[int, Between(1, 10_000)] = 1  # k; at most the number of distinct training rows
    metric: Literal["euclidean", "cityblock"] = "euclidean"  # the distance

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")
    supervised: ClassVar[bool] = True

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        self._rows_MD, weight_M2 = labelled_rows(features, labels, self.view)
        self._vote_M = weight_M2[:, 1] / weight_M2.sum(axis=1)

    def anomaly_score(self, features: Features) -> Floats:
        """The weighted mean vote of each row's neighbours, (N,)."""
        return score_rows(features, self.view, self._votes, table=len(self._rows_MD))

    def _votes(self, rows_UD: Floats) -> Floats:
        distance_UM = cdist(rows_UD, self._rows_MD, self.metric)
        k = min(self.neighbours, len(self._rows_MD))
        near_UM = distance_UM <= np.partition(distance_UM, k - 1, axis=1)[:, [k - 1]]
        exact_UM = distance_UM == 0
        near_UM = np.where(exact_UM.any(axis=1, keepdims=True), exact_UM, near_UM)
        weight_UM = np.where(near_UM, 1.0 / np.where(exact_UM, 1.0, distance_UM), 0.0)
        return np.asarray((weight_UM * self._vote_M).sum(axis=1) / weight_UM.sum(axis=1))

    def _state(self) -> State:
        return {"rows": self._rows_MD, "vote": self._vote_M}

    def _restore(self, state: State) -> None:
        known = {"rows": Array("float64", ("rows", self.size_ + 1)), "vote": Array("float64", ("rows",), low=0, high=1)}
        check_arrays(state, known)
        if len(state["rows"]) == 0:
            raise ResultError("'rows' must hold at least one row")
        self._rows_MD, self._vote_M = state["rows"], state["vote"]
