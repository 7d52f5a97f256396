"""Template look-up: an event is anomalous if the training windows with its template are. A supervised baseline without a model.

It is exact where labels were given to messages by rules: Yu et al., ICSE 2024, doi:10.1145/3597503.3623308.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["TemplateLookup"]


@dataclass(kw_only=True)
class TemplateLookup(Detector):
    """The score is the highest, over a window's events, share of anomalies among the training windows that contain the event, in [0, 1].

    >>> detector = TemplateLookup().fit([[0, 1], [0, 1], [0, 2]], [0, 1, 1])
    >>> detector.score_samples([[0, 0], [1], [1, 2], []]).round(2).tolist()
    [0.67, 0.5, 1.0, 0.0]
    """

    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training: a share of 1, or none

    supervised: ClassVar[bool] = True

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        width = features.size + 1
        pair_P = np.unique(features.row_E * width + features.ids_E)  # distinct pairs of row and event type
        row_P, event_P = pair_P // width, pair_P % width
        weight_P = features.weight_N[row_P]
        all_V = np.bincount(event_P, weights=weight_P, minlength=width)
        bad_V = np.bincount(event_P, weights=weight_P * labels.window_N[row_P], minlength=width)
        self._share_V = bad_V / np.maximum(all_V, 1e-300)
        self._share_V[all_V == 0] = self._share_V[-1] = 1.0 if self.unseen == "anomaly" else 0.0

    def event_score(self, features: Features) -> Floats:
        """The share of anomalies among the training windows that contain each event's type, (E,)."""
        return np.asarray(self._share_V[features.ids_E])

    def anomaly_score(self, features: Features) -> Floats:
        """The highest event score of each row, (N,); 0 for an empty row."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        return {"share": self._share_V}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"share": Array("float64", (self.size_ + 1,), low=0, high=1)})
        self._share_V = state["share"]
