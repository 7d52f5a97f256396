"""All positive: every window has the same score; an alarm for each has F1 = 2 p / (1 + p) at a share p of anomalies, which is a floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["AllPositive"]


@dataclass(kw_only=True)
class AllPositive(Detector):
    """The score is 1 for every window. With `threshold = "f1"` every window raises an alarm; with "fpr", which allows few, none does.

    >>> AllPositive().fit([[0], [1]]).score_samples([[0, 1], []]).tolist()
    [1.0, 1.0]
    """

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        """Learns nothing."""

    def anomaly_score(self, features: Features) -> Floats:
        """1 for every row, (N,)."""
        return np.ones(len(features))

    def _state(self) -> State:
        return {"score": np.ones(1)}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"score": Array("float64", (1,), low=1, high=1)})
