"""Gradient boosting: a supervised classifier of windows by their event counts, a sum of small trees that each mend what is left.

Friedman, Annals of Statistics 2001, doi:10.1214/aos/1013203451. Fitted by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from sklearn import ensemble

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.linear import examples
from qlogad.detect.parts.rows import labelled_rows, score_rows
from qlogad.detect.parts.trees import Trees
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["GradientBoosting"]


@dataclass(kw_only=True)
class GradientBoosting(Detector):
    """The score is the log odds of an anomaly, in nats; above 0, an anomaly is more likely.

    The loss is the logistic one over all training windows. TF-IDF, a factor for each event type, would change no split. An event type
    not seen in training is never split on: use `new-event` alongside this detector.

    >>> detector = GradientBoosting().fit([[0, 1], [0, 2], [0, 1, 1]] * 9, [0, 1, 0] * 9)
    >>> (detector.score_samples([[0, 1], [0, 2]]) > 0).tolist()
    [False, True]
    """

    trees: Annotated[int, Between(1, 10_000)] = 100  # number of trees
    depth: Annotated[int, Between(1, 100)] = 3  # the largest number of splits on a path
    rate: Annotated[float, Between(0, 10, "low")] = 0.1  # the share of each tree that is added

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")
    supervised: ClassVar[bool] = True

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        rows_UD, label_U, weight_U = examples(*labelled_rows(features, labels, "counts"))
        # the random state only orders the columns, of which the first of equally good ones is taken
        model = ensemble.GradientBoostingClassifier(
            n_estimators=self.trees, max_depth=self.depth, learning_rate=self.rate, min_samples_leaf=1, random_state=0
        )
        model.fit(rows_UD, label_U, sample_weight=weight_U)
        share = float(np.average(label_U, weights=weight_U))
        self._start = float(np.log(share / (1 - share)))
        trees = [one.tree_ for one in model.estimators_[:, 0]]
        self._trees = Trees.of(trees, [self.rate * tree.value[:, 0, 0] for tree in trees])

    def anomaly_score(self, features: Features) -> Floats:
        """The log odds of each row, (N,)."""
        return score_rows(features, "counts", lambda rows_UD: self._start + self._trees.sums(rows_UD))

    def _state(self) -> State:
        return {**self._trees.state(), "start": np.asarray([self._start])}

    def _restore(self, state: State) -> None:
        check_arrays({name: state[name] for name in ("start",) if name in state}, {"start": Array("float64", (1,))})
        self._start = float(state["start"][0])
        self._trees = Trees.from_state({name: array for name, array in state.items() if name != "start"}, self.size_ + 1)
