"""LogCluster: a window is anomalous by its distance from the representatives of clusters of training windows.

    counts ── weights ──► vectors ── agglomerative clustering, cosine distance ──► a representative of each cluster: the knowledge base

Lin et al., ICSE-SEIP 2016, doi:10.1145/2889160.2889232.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, squareform
from scipy.special import expit

from qlogad.arrays import Floats
from qlogad.bounds import Share
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import at_most, score_rows, training_rows
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["LogCluster"]

MOST = 10_000  # distinct training vectors


@dataclass(kw_only=True)
class LogCluster(Detector):
    """The score is the cosine distance to the nearest representative, in [0, 1]: 0 for a known direction, 1 for no event in common.

    An event type that N_e of N training windows contain has the weight s(ln(N / N_e)) / 2, with s(x) = 1 / (1 + exp(-x)); one not seen
    in training has s(inf) / 2 + 1 / 2 = 1, as the paper weights events that only production has. Clusters are merged while the largest
    distance between two of their vectors is at most `distance`; the representative is the vector with the smallest mean distance to
    the windows of its cluster.

    >>> detector = LogCluster().fit([[0, 1], [0, 1, 1], [2, 3]])
    >>> detector.clusters_, detector.score_samples([[0, 0, 1, 1], [3, 2], [0, 4]]).round(2).tolist()
    (2, [0.0, 0.0, 0.8])
    """

    distance: Share = 0.3  # largest cosine distance within a cluster

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    @property
    def clusters_(self) -> int:
        """The number of clusters found in training."""
        return len(self._known_KV)

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        counts_UV, times_U = training_rows(features, "counts")
        at_most(len(counts_UV), MOST, "logcluster", "choose 'count-vector', or fewer training windows")
        holding_V = (times_U[:, None] * (counts_UV > 0)).sum(axis=0)
        idf_V = np.log(times_U.sum() / np.maximum(holding_V, 1.0))
        self._weight_V = np.where(holding_V > 0, 0.5 * expit(idf_V), 1.0)
        self._weight_V[-1] = 1.0  # events not seen in training
        vectors_UV = self._directions(counts_UV)
        distance_UU = _cosine(vectors_UV, vectors_UV)
        cluster_U = np.ones(1)
        if len(vectors_UV) > 1:
            cluster_U = fcluster(linkage(squareform(distance_UU, checks=False), "complete"), self.distance, "distance")
        known = []
        for cluster in np.unique(cluster_U):
            member_C = np.flatnonzero(cluster_U == cluster)
            total_C = (distance_UU[np.ix_(member_C, member_C)] * times_U[member_C]).sum(axis=1)
            known.append(member_C[np.argmin(total_C)])
        self._known_KV = vectors_UV[known]

    def _directions(self, counts_UV: Floats) -> Floats:
        """Weighted counts as vectors of length 1; an empty window is 0."""
        vectors_UV = counts_UV * self._weight_V
        length_U1 = np.sqrt(np.square(vectors_UV).sum(axis=1, keepdims=True))
        return np.asarray(vectors_UV / np.where(length_U1 > 0, length_U1, 1.0))

    def anomaly_score(self, features: Features) -> Floats:
        """The cosine distance of each row to the nearest representative, (N,); that of an empty window to any other is 1."""

        def nearest(counts_UV: Floats) -> Floats:
            return np.asarray(_cosine(self._directions(counts_UV), self._known_KV).min(axis=1))

        return score_rows(features, "counts", nearest, table=len(self._known_KV))

    def _state(self) -> State:
        return {"weight": self._weight_V, "known": self._known_KV}

    def _restore(self, state: State) -> None:
        size = self.size_ + 1
        known = {"weight": Array("float64", (size,), low=0, high=1), "known": Array("float64", ("clusters", size), low=0, high=2)}
        check_arrays(state, known)
        if len(state["known"]) == 0:
            raise ResultError("'known' must hold at least one representative")
        self._weight_V, self._known_KV = state["weight"], state["known"]


def _cosine(one_UV: Floats, two_KV: Floats) -> Floats:
    """Cosine distances of vectors of length 1 or 0, (U, K): half the squared distance; 1 if one of them is 0, 0 if both are."""
    distance_UK = np.minimum(cdist(one_UV, two_KV, "sqeuclidean") / 2, 1.0)
    some_U, some_K = np.asarray(one_UV.any(axis=1)), np.asarray(two_KV.any(axis=1))
    return np.where(some_U[:, None] == some_K, distance_UK, 1.0)
