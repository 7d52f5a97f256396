"""Invariant mining: a window is anomalous if its event counts break a linear equation that training windows hold, such as opened = closed.

Lou et al., USENIX ATC 2010, "Mining Invariants from Console Logs for System Problem Detection".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb
from typing import Annotated, ClassVar

import numpy as np

from qlogad.arrays import Bools, Floats, Ints
from qlogad.bounds import Between
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import CELLS, score_rows, training_rows
from qlogad.errors import DataError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["InvariantMining"]

MOST = 5_000_000  # sets of event types that are tried
BATCH = 2**14  # of them at a time
FIRST = 64  # distinct training rows that are looked at first


@dataclass(kw_only=True)
class InvariantMining(Detector):
    """The score is the number of invariants that a window breaks: equations sum_e a_e x_e = 0 among its event counts x.

    The coefficients a are integers from -`coefficient` to `coefficient`, few of them not 0, and at least a share `support` of the training
    windows hold the equation. Sets of one, two, ... up to `terms` event types are tried in this order; for each, the integers nearest to
    the direction in which its training counts vary least. A set that contains the event types of an invariant found earlier is left
    out, and so is an invariant that follows from earlier ones. An event type that (almost) no training window contains is an invariant of
    one term, and so is one not seen in training. `invariants_` has a row of V + 1 coefficients for each invariant.

    >>> detector = InvariantMining().fit([[0, 1, 2], [0, 2, 1, 0, 1, 2, 2], [2]])
    >>> detector.invariants_.tolist(), detector.score_samples([[0, 1], [0, 0, 1], [0, 7]]).tolist()
    ([[0, 0, 0, 1], [1, -1, 0, 0]], [0.0, 1.0, 2.0])
    """

    terms: Annotated[int, Between(1, 10)] = 3  # the largest number of event types in an invariant
    coefficient: Annotated[int, Between(1, 100)] = 3  # the largest coefficient
    support: Annotated[float, Between(0.5, 1)] = 0.98  # the share of training windows that must hold an invariant

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    @property
    def invariants_(self) -> Ints:
        """The coefficients of each invariant, (I, V + 1)."""
        return self._invariants_IV

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        counts_UV, times_U = training_rows(features, "counts")
        needed = self.support * times_U.sum() - 1e-9
        absent_V = (times_U[:, None] * (counts_UV == 0)).sum(axis=0) >= needed
        found = [np.eye(features.size + 1, dtype=np.int64)[event] for event in np.flatnonzero(absent_V)]
        event_C = np.flatnonzero(~absent_V)
        tried = sum(comb(len(event_C), size) for size in range(2, self.terms + 1))
        if tried > MOST:
            raise DataError(
                f"invariant-mining would try {tried:,} sets of up to {self.terms} of {len(event_C)} event types, at most {MOST:,}; "
                "lower terms"
            )
        order_U = np.argsort(-times_U, kind="stable")
        counts_UV, times_U = counts_UV[order_U], times_U[order_U]
        length_U1 = np.sqrt(np.square(counts_UV).sum(axis=1, keepdims=True))
        shares_UV = counts_UV / np.maximum(length_U1, 1.0)  # so that long windows weigh no more than others
        spread_VV = (shares_UV * times_U[:, None]).T @ shares_UV
        together_VV = ((counts_UV > 0) * times_U[:, None]).T @ (counts_UV > 0)  # windows with both event types
        mined, independent = _Sets(features.size + 1), _Independent(len(event_C))
        for size in range(2, self.terms + 1):
            for set_Sk in _sets(event_C, size):
                set_Sk = set_Sk[~mined.inside(set_Sk)]
                set_Sk = set_Sk[_alone(set_Sk, together_VV) <= times_U.sum() - needed]
                set_Sk, term_Sk = self._candidates(set_Sk, spread_VV)
                held_S = _held(counts_UV, times_U, set_Sk, term_Sk, times_U.sum() - needed)
                for set_k, term_k in zip(set_Sk[held_S], term_Sk[held_S], strict=True):
                    invariant_V = np.zeros(features.size + 1, dtype=np.int64)
                    invariant_V[set_k] = term_k
                    if independent.add(invariant_V[event_C]):
                        mined.add(set_k)
                        found.append(invariant_V)
        self._learn(np.asarray(found, dtype=np.int64).reshape(-1, features.size + 1))

    def _candidates(self, set_Sk: Ints, spread_VV: Floats) -> tuple[Ints, Ints]:
        """Sets of event types, and integer coefficients near the direction in which the counts of each vary least; small ones first."""
        if len(set_Sk) == 0:
            return set_Sk, set_Sk
        _, axes_Skk = np.linalg.eigh(spread_VV[set_Sk[:, :, None], set_Sk[:, None, :]])
        direction_Sk = axes_Skk[:, :, 0]  # of the smallest eigenvalue
        size_Sk = np.abs(direction_Sk)
        smallest_S = size_Sk.min(axis=1)
        good_S = smallest_S > size_Sk.max(axis=1) / (2 * self.coefficient)
        direction_Sk, set_Sk = (direction_Sk / np.where(good_S, smallest_S, 1.0)[:, None])[good_S], set_Sk[good_S]
        sets, terms = [], []
        for scale in range(1, self.coefficient + 1):  # the smallest coefficient
            term_Sk = np.rint(direction_Sk * scale).astype(np.int64)
            term_Sk *= np.sign(term_Sk[:, :1])
            allowed_S = (np.abs(term_Sk).max(axis=1) <= self.coefficient) & (np.gcd.reduce(term_Sk, axis=1) == 1)
            sets.append(set_Sk[allowed_S])
            terms.append(term_Sk[allowed_S])
        return np.concatenate(sets), np.concatenate(terms)

    def _learn(self, invariants_IV: Ints) -> None:
        self._invariants_IV = invariants_IV
        self._terms = [(event_K := np.flatnonzero(own_V), own_V[event_K].astype(np.float64)) for own_V in invariants_IV]

    def _broken(self, counts_UV: Floats) -> Bools:
        """Which invariants each row breaks, (U, I)."""
        columns = [(counts_UV[:, event_K] * term_K).sum(axis=1) != 0 for event_K, term_K in self._terms]
        return np.asarray(columns, dtype=np.bool_).reshape(len(columns), len(counts_UV)).T

    def anomaly_score(self, features: Features) -> Floats:
        """The number of invariants that each row breaks, (N,)."""
        table = max(len(self._terms), 1)
        return score_rows(features, "counts", lambda rows_UV: self._broken(rows_UV).sum(axis=1).astype(np.float64), table=table)

    def event_score(self, features: Features) -> Floats:
        """The number of broken invariants of its row that contain each event's type, (E,)."""
        score_E = np.zeros(len(features.ids_E))
        holds_IV = self._invariants_IV != 0
        step = max(1, CELLS // (features.size + 1 + len(holds_IV)))
        for start in range(0, len(features), step):
            rows_B = np.arange(start, min(start + step, len(features)))
            part = features.take(rows_B)
            broken_BI = self._broken(part.view("counts"))
            row_X, invariant_X = np.nonzero(broken_BI)
            touched_BV = np.zeros((len(rows_B), features.size + 1))
            for invariant, (event_K, _) in enumerate(self._terms):
                rows_R = row_X[invariant_X == invariant]
                touched_BV[np.ix_(rows_R, event_K)] += 1.0
            score_E[features.offsets_N1[start] : features.offsets_N1[rows_B[-1] + 1]] = touched_BV[part.row_E, part.ids_E]
        return score_E

    def _state(self) -> State:
        return {"invariants": self._invariants_IV}

    def _restore(self, state: State) -> None:
        known = {"invariants": Array("int64", ("invariants", self.size_ + 1), low=-self.coefficient, high=self.coefficient)}
        check_arrays(state, known)
        self._learn(state["invariants"])


class _Sets:
    """The sets of event types of the invariants found so far, as numbers."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._codes: dict[int, list[int]] = {}  # by number of event types

    def add(self, set_k: Ints) -> None:
        self._codes.setdefault(len(set_k), []).append(int(self._code(set_k[None])[0]))

    def inside(self, set_Sk: Ints) -> Bools:
        """Which sets contain one of them, (S,)."""
        inside_S = np.zeros(len(set_Sk), dtype=np.bool_)
        for size, codes in self._codes.items():
            for columns in combinations(range(set_Sk.shape[1]), size):
                inside_S |= np.isin(self._code(set_Sk[:, columns]), codes)
        return inside_S

    def _code(self, set_Sk: Ints) -> Ints:
        code_S = np.zeros(len(set_Sk), dtype=np.int64)
        for column_S in set_Sk.T:
            code_S = code_S * self._width + column_S
        return code_S


class _Independent:
    """Integer equations, of which only those are added that do not follow from earlier ones."""

    def __init__(self, width: int) -> None:
        self._rows_RC = np.zeros((0, width))  # orthonormal

    def add(self, row_C: Ints) -> bool:
        rest_C = row_C / np.linalg.norm(row_C)
        for _ in range(2):  # a second time for rounding errors
            rest_C = rest_C - self._rows_RC.T @ (self._rows_RC @ rest_C)
        length = float(np.linalg.norm(rest_C))
        if length < 1e-6:
            return False
        self._rows_RC = np.concatenate([self._rows_RC, rest_C[None] / length])
        return True


def _sets(event_C: Ints, size: int) -> Iterator[Ints]:
    """All sets of so many event types, (S, size), a batch at a time."""
    every = combinations(event_C.tolist(), size)
    while batch := list(islice(every, BATCH)):
        yield np.asarray(batch, dtype=np.int64)


def _alone(set_Sk: Ints, together_VV: Floats) -> Floats:
    """A lower bound of the windows with one event type of a set and no other, all of which break its equations, (S,)."""
    alone_S = np.zeros(len(set_Sk))
    for one, other in product(range(set_Sk.shape[1]), repeat=2):  # m (2 - m) <= 1 for m event types in a window
        alone_S += (1 if one == other else -1) * together_VV[set_Sk[:, one], set_Sk[:, other]]
    return alone_S


def _held(counts_UV: Floats, times_U: Floats, set_Sk: Ints, term_Sk: Ints, most: float) -> Bools:
    """Which equations at most so many windows break, (S,); rows are ordered by multiplicity, so that the first of them decide most."""
    broken_S, alive_S = np.zeros(len(set_Sk)), np.arange(len(set_Sk))
    for start in (0, FIRST):
        rows_UV, rows_U = (table[:FIRST] if start == 0 else table[FIRST:] for table in (counts_UV, times_U))
        step = max(1, CELLS // (len(rows_UV) * set_Sk.shape[1] + 1))
        for first in range(0, len(alive_S), step):
            some_A = alive_S[first : first + step]
            sum_UA = (rows_UV[:, set_Sk[some_A]] * term_Sk[some_A]).sum(axis=2)
            broken_S[some_A] += (rows_U[:, None] * (sum_UA != 0)).sum(axis=0)
        alive_S = alive_S[broken_S[alive_S] <= most]
    return broken_S <= most
