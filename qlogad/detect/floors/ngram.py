"""Unseen n-grams (STIDE): a window is anomalous by its share of n-grams not seen in training.

Forrest et al., IEEE S&P 1996, doi:10.1109/SECPRI.1996.502675, as in Landauer et al., FSE 2024, arXiv:2309.02854: a window is padded
with one mark at each end, so a wrong first or last event counts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from qlogad.arrays import Bools, Floats, Ints
from qlogad.bounds import Between
from qlogad.detect.detector import EXPECTED, Detector, State
from qlogad.detect.parts.event_scores import highest
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["NGram", "grams", "match"]

PAD = -1


@dataclass(kw_only=True)
class NGram(Detector):
    """The score is in [0, 1]: the share of the window's n-grams not seen in training; 0 for a window too short for one.

    >>> NGram().fit([[0, 1, 2], [0, 2]]).score_samples([[0, 1, 2], [1, 2], [2, 1, 0]]).round(3).tolist()
    [0.0, 0.333, 1.0]
    """

    n: Annotated[int, Between(1, 1_000)] = 2  # events in an n-gram, including padding

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        self._known_Kn = np.unique(grams(features, self.n, left=1, right=1)[0], axis=0)

    def _unseen(self, features: Features) -> tuple[Bools, Ints, Ints]:
        grams_Gn, row_G, event_G = grams(features, self.n, left=1, right=1)
        return match(self._known_Kn, grams_Gn) < 0, row_G, event_G

    def event_score(self, features: Features) -> Floats:
        """1 where an unseen n-gram ends, 0 where a seen one ends, NaN at a row's first n - 2 events, where none ends, (E,)."""
        unseen_G, _, event_G = self._unseen(features)
        score_E = np.full(len(features.ids_E), np.nan)
        inside_G = event_G >= 0
        score_E[event_G[inside_G]] = unseen_G[inside_G]
        return score_E

    def raised_by(self, features: Features, scores_N: Floats) -> Ints:
        """The last event of each row's first unseen n-gram, (N,), because the n-gram before it was seen; -1 if that is the end mark.

        If the row's first n-gram is unseen, any of its events may be the cause: the one with the highest share of unseen n-grams is taken.
        """
        unseen_G, row_G, event_G = self._unseen(features)
        gram_N = np.full(len(features), -1, dtype=np.int64)
        gram_N[row_G[unseen_G][::-1]] = np.flatnonzero(unseen_G)[::-1]  # the first of several is written last
        first_N = np.searchsorted(row_G, np.arange(len(features)))
        found_N = np.where(gram_N < 0, -1, event_G[gram_N]) if len(event_G) else gram_N
        return np.where((gram_N == first_N) & (self.n > 2), self._among_the_first(features, unseen_G, row_G, event_G), found_N)

    def _among_the_first(self, features: Features, unseen_G: Bools, row_G: Ints, event_G: Ints) -> Ints:
        begin_G, end_G = features.offsets_N1[row_G], features.offsets_N1[row_G + 1]
        held_E, unseen_E = np.zeros(len(features.ids_E)), np.zeros(len(features.ids_E))
        for back in range(self.n):
            place_G = np.where(event_G < 0, end_G, event_G) - back
            inside_G = (place_G >= begin_G) & (place_G < np.minimum(end_G, begin_G + self.n - 1))
            np.add.at(held_E, place_G[inside_G], 1.0)
            np.add.at(unseen_E, place_G[inside_G], unseen_G[inside_G].astype(np.float64))
        return highest(unseen_E / np.maximum(held_E, 1.0) * (1 + unseen_E / 2**20), features.offsets_N1)

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """Event types that followed the preceding n - 1 events in training, ordered by id."""
        grams_Gn, _, event_G = grams(features, self.n, left=1, right=1)
        gram_E = np.full(len(features.ids_E), -1, dtype=np.int64)
        gram_E[event_G[event_G >= 0]] = np.flatnonzero(event_G >= 0)
        found = []
        for gram in gram_E[event_A]:
            known_K = self._known_Kn[(self._known_Kn[:, :-1] == grams_Gn[gram, :-1]).all(axis=1), -1] if gram >= 0 else event_A[:0]
            found.append(known_K[(known_K >= 0) & (known_K < self.size_)][:EXPECTED].tolist())
        return found

    def anomaly_score(self, features: Features) -> Floats:
        """The share of unseen n-grams in each row, (N,)."""
        unseen_G, row_G, _ = self._unseen(features)
        all_N = np.bincount(row_G, minlength=len(features))
        return np.bincount(row_G, weights=unseen_G, minlength=len(features)) / np.maximum(all_N, 1)

    def _state(self) -> State:
        return {"known": self._known_Kn}

    def _restore(self, state: State) -> None:
        check_arrays(state, {"known": Array("int64", ("n-grams", self.n), low=PAD, high=self.size_)})
        self._known_Kn = np.unique(state["known"], axis=0)


def grams(features: Features, n: int, *, left: int, right: int) -> tuple[Ints, Ints, Ints]:
    """All n-grams of all rows, with the rows padded by `left` and `right` marks (-1).

    Returns:
        grams_Gn; row_G, the row of each; event_G, the position in `ids_E` of its last event, -1 if that is padding.
    """
    length_N = features.lengths_N + left + right
    start_N = np.concatenate([[0], np.cumsum(length_N)])[:-1]
    event_P = np.full(int(length_N.sum()), -1, dtype=np.int64)  # position in the padded rows -> position in ids_E
    row_E = features.row_E
    event_E = np.arange(len(row_E))
    event_P[(start_N + left - features.offsets_N1[:-1])[row_E] + event_E] = event_E
    padded_P = np.where(event_P < 0, PAD, np.append(features.ids_E, PAD)[event_P])

    many_N = np.maximum(length_N - n + 1, 0)
    row_G = np.repeat(np.arange(len(features)), many_N)
    first_G = (start_N - np.cumsum(many_N) + many_N)[row_G] + np.arange(len(row_G))
    place_Gn = first_G[:, None] + np.arange(n)
    return padded_P[place_Gn], row_G, event_P[place_Gn[:, -1]]


def match(known_Kn: Ints, given_Gn: Ints) -> Ints:
    """For each given row, the index of the equal known row; -1 if there is none.

    Args:
        known_Kn: distinct rows in lexicographic order, as returned by `np.unique(..., axis=0)`; entries >= -1.
        given_Gn: rows to look up; entries >= -1.
    """
    if len(known_Kn) == 0:
        return np.full(len(given_Gn), -1, dtype=np.int64)
    base = 2 + max(int(known_Kn.max(initial=0)), int(given_Gn.max(initial=0)))
    known_K = np.zeros(len(known_Kn), dtype=np.int64)
    given_G = np.zeros(len(given_Gn), dtype=np.int64)
    for known_column, given_column in zip(known_Kn.T, given_Gn.T, strict=True):  # prefixes are renumbered, so that codes stay small
        prefixes, known_K = np.unique(known_K * base + known_column + 1, return_inverse=True)
        code_G = given_G * base + given_column + 1
        given_K = np.minimum(np.searchsorted(prefixes, code_G), len(prefixes) - 1)
        given_G = np.where(prefixes[given_K] == code_G, given_K, -1)  # once -1, the code stays below 0
    return given_G
