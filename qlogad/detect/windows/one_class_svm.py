"""One-class SVM: a window is anomalous if its event counts lie outside the region that holds most training windows.

Schölkopf et al., Neural Computation 2001, doi:10.1162/089976601750264965. Fitted by scikit-learn (LIBSVM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import svm

from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import WindowView, at_most, score_rows, training_rows
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["OneClassSVM"]

MOST = 20_000  # distinct training rows


@dataclass(kw_only=True)
class OneClassSVM(Detector):
    """The score is the signed distance from the region's boundary in feature space: above 0 outside, below 0 inside.

    The kernel is exp(-gamma |x - y|^2). A training row's slack is weighted by the number of its windows.

    >>> detector = OneClassSVM().fit([[0, 1, 0], [0, 1, 1], [1, 0]] * 20)
    >>> normal, odd = detector.score_samples([[0, 1, 0], [0] * 9])
    >>> bool(normal < odd)
    True
    """

    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    nu: Annotated[float, Between(0, 1, "low")] = 0.05  # largest share of training windows outside
    gamma: Annotated[float, Between(0, 1e9)] = 0.0  # of the kernel; 0: 1 / (D x variance of all training values)

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        rows_UD, weight_U = training_rows(features, self.view)
        at_most(len(rows_UD), MOST, "one-class-svm", "choose 'isolation-forest', or fewer training windows")
        mean = np.average(rows_UD.mean(axis=1), weights=weight_U)
        variance = float(np.average(np.square(rows_UD - mean).mean(axis=1), weights=weight_U))
        self._gamma = self.gamma or 1.0 / (rows_UD.shape[1] * (variance or 1.0))
        machine = svm.OneClassSVM(nu=self.nu, gamma=self._gamma, tol=1e-6)
        machine.random_state = 0  # without it, LIBSVM is seeded from numpy's global generator, although nothing is drawn
        machine.fit(rows_UD, sample_weight=weight_U)
        self._vectors_SD, self._dual_S = rows_UD[machine.support_], np.asarray(machine.dual_coef_[0])
        self._offset = -float(machine.intercept_[0])

    def anomaly_score(self, features: Features) -> Floats:
        """The signed distance of each row from the boundary, (N,)."""
        return score_rows(features, self.view, self._scores, table=len(self._dual_S))

    def _scores(self, rows_UD: Floats) -> Floats:
        kernel_US = np.exp(-self._gamma * cdist(rows_UD, self._vectors_SD, "sqeuclidean"))
        return np.asarray(self._offset - (kernel_US * self._dual_S).sum(axis=1))

    def _state(self) -> State:
        return {"vectors": self._vectors_SD, "dual": self._dual_S, "offset": np.asarray([self._offset, self._gamma])}

    def _restore(self, state: State) -> None:
        known = {
            "vectors": Array("float64", ("vectors", self.size_ + 1)),
            "dual": Array("float64", ("vectors",)),
            "offset": Array("float64", (2,)),
        }
        check_arrays(state, known)
        self._vectors_SD, self._dual_S = state["vectors"], state["dual"]
        self._offset, self._gamma = state["offset"].tolist()
