"""Thresholds: fitted on validation data by a stated rule, or fixed by hand, then frozen; alarm iff score > value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from qlogad import documents
from qlogad.arrays import Bools, Floats, Ints
from qlogad.detect.parts.event_scores import highest
from qlogad.errors import DataError

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """A frozen decision rule: alarm iff score > value."""

    value: float
    rule: Literal["fpr", "f1", "hand"]
    target: float  # the target false positive rate, or the F1 reached on validation; 0 if fixed by hand
    windows: int  # the number of validation windows it was fitted on; 0 if fixed by hand

    def __post_init__(self) -> None:
        documents.enforce(self)
        if math.isnan(self.value) or not 0 <= self.target <= 1 or self.windows < 0:
            raise DataError(
                f"a threshold must be a number or +inf, with a target in [0, 1] and 0 or more windows, got {self.value}, {self.target} "
                f"and {self.windows}"
            )

    def __call__(self, scores: ArrayLike) -> Bools:
        """Which scores raise an alarm."""
        return np.asarray(np.asarray(scores, dtype=np.float64) > self.value)

    def margin(self, scores: ArrayLike) -> Floats:
        """The scores minus the threshold; above 0 is an alarm.

        >>> Threshold(2.0, "fpr", 0.01, 9).margin([2.0, 5.0, -np.inf]).tolist()
        [0.0, 3.0, -inf]
        """
        scores_N = np.asarray(scores, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # inf - inf
            return np.asarray(np.where(scores_N == self.value, 0.0, scores_N - self.value))

    def raised_by(self, event_E: ArrayLike, offsets_N1: ArrayLike, scores_N: ArrayLike) -> Ints:
        """The position in `event_E` of the event that raised each window's score, (N,); -1 if no event did.

        If a window's score is that of its highest event, this is the first event above the threshold (events after an anomalous one
        often score higher still), else the first of the highest. An event with a score of 0 or less, or NaN, is never chosen.

        Args:
            event_E: event scores of all windows, end to end.
            offsets_N1: window n has event_E[offsets_N1[n]:offsets_N1[n + 1]].
            scores_N: the windows' scores.

        >>> Threshold(2.0, "fpr", 0.01, 9).raised_by([1.0, 3.0, 4.0, 0.0, 0.0, 1.0], [0, 3, 4, 6, 6], [4.0, 0.0, 1.0, 7.0]).tolist()
        [1, -1, 5, -1]
        """
        score_E, offsets_N1 = np.asarray(event_E, dtype=np.float64), np.asarray(offsets_N1, dtype=np.int64)
        row_E = np.repeat(np.arange(len(offsets_N1) - 1), np.diff(offsets_N1))
        top_N = np.full(len(offsets_N1) - 1, -np.inf)
        np.fmax.at(top_N, row_E, score_E)
        alone_N = top_N == np.asarray(scores_N, dtype=np.float64)
        return highest(np.where(alone_N[row_E] & (self(score_E) & (score_E > 0)), np.inf, score_E), offsets_N1)

    @classmethod
    def at_rate(cls, scores: ArrayLike, fpr: float, weight: ArrayLike | None = None) -> Self:
        """The smallest threshold at which at most a share `fpr` of the (normal) validation windows raise an alarm.

        Args:
            scores: N scores of normal validation windows, higher is more anomalous; +inf is allowed.
            fpr: the false positive rate in [0, 1).
            weight: N multiplicities; default ones.

        >>> Threshold.at_rate([1.0, 2.0, 3.0, 4.0], fpr=0.25).value
        3.0
        """
        scores_N, weight_N = _checked(scores, weight)
        if not 0 <= fpr < 1:
            raise DataError(f"the false positive rate must be in [0, 1), got {fpr}")
        values, inverse = np.unique(scores_N, return_inverse=True)
        above = weight_N.sum() - np.cumsum(np.bincount(inverse, weights=weight_N))  # weight strictly above each value
        allowed = np.flatnonzero(above <= fpr * weight_N.sum() + 1e-9)
        return cls(float(values[allowed[0]]), "fpr", float(fpr), int(weight_N.sum()))

    @classmethod
    def by_hand(cls, value: float) -> Self:
        """A number that was chosen beforehand, on nothing.

        >>> Threshold.by_hand(9)([9.0, 10.0]).tolist()
        [False, True]
        """
        return cls(float(value), "hand", 0.0, 0)

    @classmethod
    def best_f1(cls, scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> Self:
        """The threshold with the best F1 on labelled validation windows, the highest of equally good ones.

        This moves a contender into a labelled track.

        Raises:
            DataError: no label is an anomaly.
        """
        scores_N, weight_N = _checked(scores, weight)
        labels_N = np.asarray(labels)
        if len(labels_N) != len(scores_N) or not (labels_N == 1).any():
            raise DataError("the rule 'f1' needs labelled validation windows with at least one anomaly; use threshold = 'fpr'")
        values, inverse = np.unique(scores_N, return_inverse=True)
        positive = np.bincount(inverse, weights=weight_N * (labels_N == 1))
        alarms = np.bincount(inverse, weights=weight_N)
        true = positive[::-1].cumsum()[::-1]  # alarms iff score >= values[k]
        f1 = 2 * true / (alarms[::-1].cumsum()[::-1] + positive.sum())
        best = len(f1) - 1 - int(np.argmax(f1[::-1]))
        value = np.nextafter(values[best], -np.inf)
        return cls(float(value), "f1", float(f1[best]), int(weight_N.sum()))


def _checked(scores: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    scores_N = np.asarray(scores, dtype=np.float64)
    weight_N = np.ones(len(scores_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    if len(scores_N) == 0:
        raise DataError("a threshold needs at least one validation window; choose an earlier cut or more data")
    if np.isnan(scores_N).any():
        raise DataError("validation scores contain NaN; the detector's training diverged, or a window is empty")
    return scores_N, weight_N
