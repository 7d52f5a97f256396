"""Logistic regression: a supervised classifier of windows by their event counts.

As compared by He et al., ISSRE 2016, doi:10.1109/ISSRE.2016.21. Fitted by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from sklearn import linear_model

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector
from qlogad.detect.parts.linear import LinearClassifier
from qlogad.detect.parts.rows import WindowView

__all__ = ["LogisticRegression"]


@dataclass(kw_only=True)
class LogisticRegression(LinearClassifier, Detector):
    """The score is the log odds of an anomaly, in nats: an intercept plus a weight for each event; above 0, an anomaly is more likely.

    The loss is the sum over training windows plus |w|^2 / (2 c). An event type not seen in training has no weight: use `new-event`
    alongside this detector.

    >>> detector = LogisticRegression().fit([[0, 1], [0, 2], [0, 1, 1]], [0, 1, 0])
    >>> (detector.score_samples([[0, 1], [0, 2]]) > 0).tolist()
    [False, True]
    """

    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    c: Annotated[float, Between(0, 1e9, "low")] = 1.0  # weight of the loss against the penalty

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")
    supervised: ClassVar[bool] = True

    def _solve(self, rows_UD: Floats, label_U: Floats, weight_U: Floats) -> tuple[Floats, float]:
        model = linear_model.LogisticRegression(C=self.c, solver="newton-cholesky", tol=1e-8, max_iter=1_000)
        model.fit(rows_UD, label_U, sample_weight=weight_U)
        return np.asarray(model.coef_[0]), float(model.intercept_[0])
