"""Jaccard: an event is anomalous if the training messages with the most similar words are. A supervised baseline from text alone.

LightAD: Yu et al., ICSE 2024, doi:10.1145/3597503.3623308: the nearest training line by the words that two lines share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from qlogad.arrays import Floats, Ints
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.event_scores import largest
from qlogad.detect.parts.rows import CELLS
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.features.words import Words
from qlogad.files import Array, check_arrays

__all__ = ["Jaccard"]


@dataclass(kw_only=True)
class Jaccard(Detector):
    """The score is the highest, over a window's events, share of anomalies among the training lines with the nearest words, in [0, 1].

    Two sets of words have the distance 1 - |common| / |all|. Training lines with the same words are one neighbour, whose vote is the
    share of anomalies among them; several nearest ones vote alike. A line has the label of its window, unless lines have labels.

    >>> train = Features.from_sequences([[0], [1]], texts=[["link is up"], ["disk is full"]], views=["words"])
    >>> test = Features.from_sequences([[0], [7]], size=2, texts=[["link is up"], ["disk sda1 is nearly full"]], views=train.views)
    >>> Jaccard().fit(train, [0, 1]).score_samples(test).tolist()
    [0.0, 1.0]
    """

    reads: ClassVar[tuple[str, ...]] = ("ids", "words")
    supervised: ClassVar[bool] = True

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        self._known_MD, place_E = _sets(features)
        label_E = labels.window_N[features.row_E] if labels.event_E is None else labels.event_E
        weight_E, many = features.weight_N[features.row_E], len(self._known_MD)
        all_M = np.bincount(place_E, weights=weight_E, minlength=many)
        self._vote_M = np.bincount(place_E, weights=weight_E * label_E, minlength=many) / np.maximum(all_M, 1e-300)

    def event_score(self, features: Features) -> Floats:
        """The mean vote of the training lines nearest to each event's message, (E,)."""
        sets_UD, place_E = _sets(features)
        width = 1 + int(max(self._known_MD[:, 1:].max(initial=0), sets_UD[:, 1:].max(initial=0)))
        known_WM, step = _members(self._known_MD, width).T, max(1, CELLS // max(len(self._known_MD), 1))
        vote_U = np.zeros(len(sets_UD))
        for start in range(0, len(sets_UD), step):
            part_BD = sets_UD[start : start + step]
            common_BM = (_members(part_BD, width) @ known_WM).toarray()
            all_BM = part_BD[:, [0]] + self._known_MD[:, 0] - common_BM
            alike_BM = np.where(all_BM == 0, 1.0, common_BM / np.maximum(all_BM, 1))
            near_BM = alike_BM == alike_BM.max(axis=1, keepdims=True, initial=0.0)
            total_B = np.where(near_BM, self._vote_M, 0.0).sum(axis=1)
            vote_U[start : start + step] = total_B / np.maximum(near_BM.sum(axis=1), 1)
        return vote_U[place_E]

    def anomaly_score(self, features: Features) -> Floats:
        """The highest event score of each row, (N,); 0 for an empty row."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        return {"known": self._known_MD, "vote": self._vote_M}

    def _restore(self, state: State) -> None:
        known = {"known": Array("int64", ("sets", "words"), low=-1), "vote": Array("float64", ("sets",), low=0, high=1)}
        check_arrays(state, known)
        words = self.views_["words"]
        assert isinstance(words, Words)
        if state["known"].shape[1] != 1 + words.most or state["known"][:, 1:].max(initial=-1) >= len(words.words):
            raise ResultError("'known' must hold numbers of the words of its view")
        self._known_MD, self._vote_M = state["known"], state["vote"]


def _sets(features: Features) -> tuple[Ints, Ints]:
    """The distinct sets of words, as in the view but -1 for none, (U, D), and the one of each event, (E,)."""
    rows_ED = np.nan_to_num(features.view("words"), nan=-1.0).astype(np.int64)
    sets_UD, place_E = distinct(rows_ED + 1)
    return sets_UD - 1, place_E


def _members(sets_UD: Ints, width: int) -> sparse.csr_array:
    """Which words a set has, (U, words), 0 or 1, as integers, whose products are exact."""
    row_X, column_X = np.nonzero(sets_UD[:, 1:] >= 0)
    ones_X = np.ones(len(row_X), dtype=np.int64)
    return sparse.csr_array((ones_X, (row_X, sets_UD[:, 1:][row_X, column_X])), shape=(len(sets_UD), width))
