"""Markov chain: a window is anomalous if an event is unlikely after the `order` events before it.

Ye, IEEE SMC Workshop 2000; scored as DeepLog scores (Du et al., CCS 2017, doi:10.1145/3133956.3134015): the rank of the true event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.bounds import Between
from qlogad.detect.detector import EXPECTED, Detector, State
from qlogad.detect.floors.ngram import grams, match
from qlogad.detect.parts.event_scores import largest
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["Markov"]


@dataclass(frozen=True, eq=False)
class _Chain:
    """The transitions of order k: which events followed which k events, with counts."""

    pairs_Pk: Ints  # distinct tuples of k events and the next one, in lexicographic order
    count_P: Floats
    contexts_Ck: Ints
    total_C: Floats
    rank_P: Floats  # rank of the next event within its context; ties count against it

    @classmethod
    def of(cls, pairs_Pk: Ints, count_P: Floats) -> _Chain:
        contexts_Ck, context_P = np.unique(pairs_Pk[:, :-1], axis=0, return_inverse=True)
        context_P = context_P.reshape(-1)
        keys = np.stack([context_P, -count_P])
        _, tie_P, size_T = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
        before_C = np.searchsorted(context_P, np.arange(len(contexts_Ck)))  # number of pairs with an earlier context
        rank_P = np.cumsum(size_T)[tie_P.reshape(-1)] - before_C[context_P]
        total_C = np.bincount(context_P, weights=count_P, minlength=len(contexts_Ck)).astype(np.float64)
        return cls(pairs_Pk, count_P, contexts_Ck, total_C, rank_P.astype(np.float64))


@dataclass(kw_only=True)
class Markov(Detector):
    """Event score: rank of the true event (1 is best, ties count against it, an unseen event has V + 1); window score: the maximum.

    The first events of a window have padding as their context. An unseen context falls back to its last events, ultimately to the
    overall frequencies; an event that never followed a seen context has rank V. An empty window scores 0.

    >>> Markov().fit([[0, 1, 2], [0, 1, 1]]).score_samples([[0, 1], [0, 2], [9]]).tolist()
    [1.0, 3.0, 4.0]
    """

    order: Annotated[int, Between(0, 1_000)] = 1  # the number of preceding events in a context
    score: Literal["rank", "nll"] = "rank"  # or the negative log likelihood, in nats, with additive smoothing
    smoothing: Annotated[float, Between(0, 1e9, "low")] = 1.0  # for "nll": added to each of the V + 1 counts of a context

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        grams_Ek, row_E, _ = grams(features, self.order + 1, left=self.order, right=0)
        known_E = grams_Ek[:, -1] < features.size
        self._chains = []
        for order in range(self.order + 1):
            pairs_Pk, pair_E = np.unique(grams_Ek[known_E, self.order - order :], axis=0, return_inverse=True)
            weight_E = features.weight_N[row_E[known_E]]
            count_P = np.bincount(pair_E.reshape(-1), weights=weight_E, minlength=len(pairs_Pk)).astype(np.float64)
            self._chains.append(_Chain.of(pairs_Pk, count_P))

    def event_score(self, features: Features) -> Floats:
        """Rank or negative log likelihood (nats) of each event, (E,)."""
        grams_Ek, _, _ = grams(features, self.order + 1, left=self.order, right=0)
        score_E = self._score(np.zeros(len(grams_Ek)), np.full(len(grams_Ek), np.inf), np.zeros(len(grams_Ek)))
        for order, chain in enumerate(self._chains):  # the longest seen context overrides shorter ones
            context_E = match(chain.contexts_Ck, grams_Ek[:, self.order - order : -1])
            pair_E = match(chain.pairs_Pk, grams_Ek[:, self.order - order :])
            count_E = np.where(pair_E < 0, 0.0, np.append(chain.count_P, 0.0)[pair_E])
            rank_E = np.where(pair_E < 0, np.inf, np.append(chain.rank_P, 0.0)[pair_E])
            seen_E = self._score(count_E, rank_E, np.append(chain.total_C, 0.0)[context_E])
            score_E = np.where(context_E < 0, score_E, seen_E)
        return np.where(grams_Ek[:, -1] == self.size_, self.size_ + 1.0, score_E) if self.score == "rank" else score_E

    def _score(self, count_E: Floats, rank_E: Floats, total_E: Floats) -> Floats:
        if self.score == "rank":
            return np.minimum(rank_E, self.size_)
        return -np.log((count_E + self.smoothing) / (total_E + self.smoothing * (self.size_ + 1)))

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """The event types that most often followed the longest seen context."""
        grams_Ak = grams(features, self.order + 1, left=self.order, right=0)[0][event_A]
        found = []
        for gram_k in grams_Ak:
            for order in range(self.order, -1, -1):
                chain = self._chains[order]
                after_P = np.flatnonzero((chain.pairs_Pk[:, :-1] == gram_k[self.order - order : -1]).all(axis=1))
                if len(after_P):
                    break
            ranked_P = after_P[np.argsort(-chain.count_P[after_P], kind="stable")]
            found.append(chain.pairs_Pk[ranked_P[:EXPECTED], -1].tolist())
        return found

    def anomaly_score(self, features: Features) -> Floats:
        """The highest event score of each row, (N,); 0 for an empty row."""
        return largest(self.event_score(features), features.offsets_N1)

    def _state(self) -> State:
        tables = [{f"pairs_{order}": chain.pairs_Pk, f"count_{order}": chain.count_P} for order, chain in enumerate(self._chains)]
        return {name: array for table in tables for name, array in table.items()}

    def _restore(self, state: State) -> None:
        known = {}
        for order in range(min(self.order, len(state)) + 1):
            known[f"pairs_{order}"] = Array("int64", (f"pairs of order {order}", order + 1), low=-1, high=self.size_)
            known[f"count_{order}"] = Array("float64", (f"pairs of order {order}",), low=0)
        check_arrays(state, known)
        for order in range(self.order + 1):
            pairs_Pk = state[f"pairs_{order}"]
            if not np.array_equal(pairs_Pk, np.unique(pairs_Pk, axis=0)):
                raise ResultError(f"'pairs_{order}' must have distinct rows in lexicographic order")
        self._chains = [_Chain.of(state[f"pairs_{order}"], state[f"count_{order}"]) for order in range(self.order + 1)]
