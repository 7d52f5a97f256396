"""Linear support vector machine: a supervised classifier of windows by their event counts.

Cortes & Vapnik, Machine Learning 1995, doi:10.1007/BF00994018; for logs Liang et al., ICDM 2007, doi:10.1109/ICDM.2007.46. Fitted by
scikit-learn (LIBLINEAR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from sklearn import svm

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector
from qlogad.detect.parts.linear import LinearClassifier
from qlogad.detect.parts.rows import WindowView

__all__ = ["LinearSVM"]


@dataclass(kw_only=True)
class LinearSVM(LinearClassifier, Detector):
    """The score is an intercept plus a weight for each event; above 0 is the side of the anomalies, and training aims at -1 and 1.

    The loss is c times the sum of squared hinges over training windows, plus half the squared length of weights and intercept. An event
    type not seen in training has no weight: use `new-event` alongside this detector.

    >>> detector = LinearSVM().fit([[0, 1], [0, 2], [0, 1, 1]], [0, 1, 0])
    >>> (detector.score_samples([[0, 1], [0, 2]]) > 0).tolist()
    [False, True]
    """

    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    c: Annotated[float, Between(0, 1e9, "low")] = 1.0  # weight of the loss against the penalty

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")
    supervised: ClassVar[bool] = True

    def _solve(self, rows_UD: Floats, label_U: Floats, weight_U: Floats) -> tuple[Floats, float]:
        # of the primal problem, for which nothing is drawn
        machine = svm.LinearSVC(C=self.c, dual=False, tol=1e-8, max_iter=100_000, random_state=0)
        machine.fit(rows_UD, label_U, sample_weight=weight_U)
        return np.asarray(machine.coef_[0]), float(machine.intercept_[0])
