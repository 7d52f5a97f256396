"""Rarity: an event is anomalous if its type is rare in training.  LogLead: Mäntylä et al., SANER 2024, arXiv:2311.11809."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Rarity"]


@dataclass(kw_only=True)
class Rarity(Detector):
    """The event score is -ln p with p = (n_e + 1) / (n + V + 1): n training events, n_e of the type, 0 if not seen; higher is rarer.

    >>> Rarity().fit([[0, 0, 0, 0, 0, 1]]).score_samples([[0, 0], [0, 1], [0, 7]]).round(2).tolist()
    [0.41, 1.5, 2.2]
    """

    window: Literal["max", "mean"] = "max"  # the window's score: its highest event score, or the mean of its events

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        count_V = np.bincount(features.ids_E, weights=features.weight_N[features.row_E], minlength=features.size + 1)
        count_V[-1] = 0.0  # the id V means "unseen"
        self._rarity_V = -np.log((count_V + 1) / (count_V.sum() + features.size + 1))

    def event_score(self, features: Features) -> Floats:
        """-ln p of each event's type, in nats, (E,)."""
        return np.asarray(self._rarity_V[features.ids_E])

    def anomaly_score(self, features: Features) -> Floats:
        """The highest or the mean event score of each row, (N,); 0 for an empty row."""
        if self.window == "max":
            return largest(self.event_score(features), features.offsets_N1)
        total_N = np.bincount(features.row_E, weights=self.event_score(features), minlength=len(features))
        return total_N / np.maximum(features.lengths_N, 1)

    def _state(self) -> State:
        return {"rarity": self._rarity_V}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"rarity": Array("float64", (self.size_ + 1,), low=0)})
        self._rarity_V = state["rarity"]
