"""Decision tree: a supervised classifier of windows by their event counts.

Breiman et al., Classification and Regression Trees, 1984; for logs Chen et al., ICAC 2004, doi:10.1109/ICAC.2004.1301345, and LightAD
(Yu et al., ICSE 2024, doi:10.1145/3597503.3623308). Fitted by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from sklearn import tree

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.linear import examples
from qlogad.detect.parts.rows import labelled_rows, score_rows
from qlogad.detect.parts.trees import Trees
from qlogad.features.features import Features, Labels

__all__ = ["DecisionTree"]


@dataclass(kw_only=True)
class DecisionTree(Detector):
    """The score is the share of anomalies among the training windows in the same leaf, in [0, 1].

    TF-IDF, a factor for each event type, would change no split. An event type not seen in training is never split on: use `new-event`
    alongside this detector.

    >>> DecisionTree().fit([[0, 1], [0, 2], [0, 1, 1]], [0, 1, 0]).score_samples([[0, 1], [0, 2], [2, 2]]).tolist()
    [0.0, 1.0, 1.0]
    """

    depth: Annotated[int, Between(1, 1_000)] = 20  # the largest number of splits on a path
    leaf: Annotated[float, Between(0, 0.5)] = 0.0  # the smallest share of training windows in a leaf

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")
    supervised: ClassVar[bool] = True

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        rows_UD, label_U, weight_U = examples(*labelled_rows(features, labels, "counts"))
        # the random state only orders the columns, of which the first of equally good ones is taken
        model = tree.DecisionTreeClassifier(max_depth=self.depth, min_weight_fraction_leaf=self.leaf, random_state=0)
        model.fit(rows_UD, label_U, sample_weight=weight_U)
        value_MC = model.tree_.value[:, 0, :]
        self._trees = Trees.of([model.tree_], [value_MC[:, 1] / value_MC.sum(axis=1)])

    def anomaly_score(self, features: Features) -> Floats:
        """The share of anomalies in each row's leaf, (N,)."""
        return score_rows(features, "counts", self._trees.sums)

    def _state(self) -> State:
        return self._trees.state()

    def _restore(self, state: State) -> None:
        self._trees = Trees.from_state(state, self.size_ + 1)
