"""A linear classifier of windows: the score is a weighted sum of event counts, so every event has its own share in it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import WindowView, labelled_rows, score_rows
from qlogad.features.features import Features, Labels
from qlogad.features.tf_idf import TfIdf
from qlogad.features.view import view_of
from qlogad.files import Array, check_arrays

__all__ = ["LinearClassifier", "examples"]


class LinearClassifier(Detector, ABC):
    """A supervised detector with a weight for each event type and an intercept. A concrete one implements `_solve`."""

    view: WindowView

    @abstractmethod
    def _solve(self, rows_UD: Floats, label_U: Floats, weight_U: Floats) -> tuple[Floats, float]:
        """The weights (D,) and the intercept, from rows, their labels and multiplicities."""

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        weight_D, intercept = self._solve(*examples(*labelled_rows(features, labels, self.view)))
        if self.view == "tf-idf":  # counts times a weight: the same model, told in counts
            view = view_of(features.views, "tf-idf")
            assert isinstance(view, TfIdf)
            weight_D = weight_D * np.asarray(view.idf)
        self._weight_V, self._intercept = weight_D, intercept

    def anomaly_score(self, features: Features) -> Floats:
        """The intercept plus the weights of all events of each row, (N,)."""
        return score_rows(features, "counts", lambda counts_UV: (counts_UV * self._weight_V).sum(axis=1) + self._intercept)

    def event_score(self, features: Features) -> Floats:
        """What each event adds to its row's score, the weight of its type, (E,); below 0, it speaks for a normal window."""
        return np.asarray(self._weight_V[features.ids_E])

    def _state(self) -> State:
        return {"weight": self._weight_V, "intercept": np.asarray([self._intercept])}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"weight": Array("float64", (self.size_ + 1,)), "intercept": Array("float64", (1,))})
        self._weight_V, self._intercept = state["weight"], float(state["intercept"][0])


def examples(rows_UD: Floats, weight_U2: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows, labels and multiplicities as scikit-learn takes them: a row once for each label that its windows have."""
    row_X, label_X = np.nonzero(weight_U2)
    return rows_UD[row_X], label_X.astype(np.float64), weight_U2[row_X, label_X]
