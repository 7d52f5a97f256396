"""Isolation forest: a window is anomalous if few random splits of its event counts isolate it from training windows.

Liu, Ting & Zhou, ICDM 2008, doi:10.1109/ICDM.2008.17. Fitted by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from sklearn import ensemble

from qlogad import seeds
from qlogad.arrays import Floats
from qlogad.bounds import Between, Seed
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import score_rows, training_rows
from qlogad.detect.parts.trees import Trees, depths
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["IsolationForest"]

POOL = 2**16  # training windows that subsamples are drawn from; of more, so many are drawn first


@dataclass(kw_only=True)
class IsolationForest(Detector):
    """The score is in (0, 1]: 2 ** (-h / c), with h the mean depth at which the trees isolate a window and c that of a random one.

    A training row counts as often as it has windows. TF-IDF, a factor for each event type, would change no split. An event that no
    training window holds is never split on, so it does not change the score: use `new-event` alongside this detector.

    >>> detector = IsolationForest().fit([[0, 1]] * 99 + [[0] * 9])
    >>> detector.score_samples([[0, 1], [0] * 9]).round(1).tolist()
    [0.5, 0.9]
    """

    trees: Annotated[int, Between(1, 10_000)] = 100  # number of trees
    samples: Annotated[int, Between(2, POOL)] = 256  # training windows drawn for each tree
    seed: Seed = 0  # for subsamples and splits

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        rows_UD, weight_U = training_rows(features, "counts")
        times_U = np.rint(weight_U).astype(np.int64)
        if times_U.sum() > POOL:
            times_U = seeds.generator(self.seed, "windows").multivariate_hypergeometric(times_U, POOL, method="marginals")
        windows_ND = np.repeat(rows_UD, times_U, axis=0)
        drawn = min(self.samples, len(windows_ND))
        state = int(seeds.generator(self.seed, "trees").integers(2**31))
        forest = ensemble.IsolationForest(n_estimators=self.trees, max_samples=drawn, random_state=state).fit(windows_ND)
        trees = [tree.tree_ for tree in forest.estimators_]
        self._trees = Trees.of(trees, [depths(tree) + _mean_depth(tree.n_node_samples) for tree in trees])
        self._usual = float(_mean_depth(np.asarray([drawn]))[0])

    def anomaly_score(self, features: Features) -> Floats:
        """The score of each row, (N,); about .5 for a usual window."""
        return score_rows(features, "counts", self._scores)

    def _scores(self, rows_UD: Floats) -> Floats:
        if self._usual == 0:  # trees of one window
            return np.full(len(rows_UD), 0.5)
        return np.asarray(2.0 ** (-self._trees.sums(rows_UD) / (len(self._trees.root_T) * self._usual)))

    def _state(self) -> State:
        return {**self._trees.state(), "usual": np.asarray([self._usual])}

    def _restore(self, state: State) -> None:
        check_arrays({name: state[name] for name in ("usual",) if name in state}, {"usual": Array("float64", (1,), low=0)})
        self._usual = float(state["usual"][0])
        self._trees = Trees.from_state({name: array for name, array in state.items() if name != "usual"}, self.size_ + 1)


def _mean_depth(rows_M: Floats) -> Floats:
    """c(n), the mean depth of an unsuccessful search in a binary tree of n rows: 2 (H(n - 1) - (n - 1) / n), with H(i) = ln i + gamma."""
    many_M = np.maximum(np.asarray(rows_M, dtype=np.float64), 3.0)
    found_M = 2 * (np.log(many_M - 1) + np.euler_gamma) - 2 * (many_M - 1) / many_M
    return np.where(rows_M <= 1, 0.0, np.where(rows_M == 2, 1.0, found_M))
