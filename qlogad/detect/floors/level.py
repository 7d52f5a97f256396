"""Level: an event is anomalous if its severity level is rare for its type in training. A baseline from severities alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qlogad.arrays import Floats
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Level"]


@dataclass(kw_only=True)
class Level(Detector):
    """The score is -ln p of the least likely level of a window, with p = (n_el + p_l) / (n_e + 1) for level l of event type e.

    n_e and n_el are training counts; p_l = (n_l + 1) / (n + L + 1) is the smoothed share of the level among all events, and applies to
    event types not seen in training.

    >>> train = Features.from_sequences([[0, 1]] * 9, levels=[["INFO", "WARN"]] * 9, views=["levels"])
    >>> test = Features.from_sequences([[0, 1], [1, 0]], levels=[["INFO", "WARN"]] * 2, views=train.views)
    >>> Level().fit(train).score_samples(test).round(2).tolist()
    [0.05, 3.04]
    """

    reads: ClassVar[tuple[str, ...]] = ("ids", "levels")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        level_EL = features.view("levels")
        weight_EL = level_EL * features.weight_N[features.row_E][:, None]
        count_VL = np.zeros((features.size + 1, level_EL.shape[1]))
        np.add.at(count_VL, features.ids_E, weight_EL)
        count_VL[-1] = 0.0  # the id V means "unseen"
        share_L = (weight_EL.sum(axis=0) + 1) / (weight_EL.sum() + level_EL.shape[1])
        self._surprise_VL = -np.log((count_VL + share_L) / (count_VL.sum(axis=1, keepdims=True) + 1))

    def event_score(self, features: Features) -> Floats:
        """-ln p of each event's level, (E,)."""
        column_E = features.view("levels").argmax(axis=1)
        return np.asarray(self._surprise_VL[features.ids_E, column_E])

    def anomaly_score(self, features: Features) -> Floats:
        """The highest of each row's event scores, (N,)."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        return {"surprise": self._surprise_VL}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"surprise": Array("float64", (self.size_ + 1, "levels"), low=0)})
        self._surprise_VL = state["surprise"]
