"""Metrics of scores and alarms, as defined by Fawcett, Pattern Recognition Letters 2006, doi:10.1016/j.patrec.2005.10.010.

A row counts `weight` times (to judge all windows) or once (to judge distinct windows: omit the weight). Undefined values, such as the
precision without alarms, are NaN, without a warning. A metric of alarms is a property of `Confusion`; as a field of `Metrics` it becomes
a column of runs.csv, and with an entry in `HEADINGS` also a column of tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from qlogad.arrays import Bools, Floats
from qlogad.errors import DataError

__all__ = [
    "AREAS",
    "HEADINGS",
    "METRICS",
    "Compared",
    "Confusion",
    "Metrics",
    "area",
    "confusion",
    "effective_n",
    "measure",
    "pr_auc",
    "pr_curve",
    "roc_auc",
]

AREAS = ("pr_auc", "roc_auc")  # metrics of scores, over all thresholds
Compared = Literal["f1", "recall", "mcc", "pr_auc", "roc_auc"]  # metrics that contrasts may compare
HEADINGS = {  # column headings of tables, in order
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "mcc": "MCC",
    "pr_auc": "PR-AUC",
    "roc_auc": "ROC-AUC",
}


@dataclass(frozen=True, eq=False)
class Confusion:
    """Confusion counts, scalars or arrays of one shape, and metrics of the same shape.

    >>> float(Confusion(true_positive=3, false_positive=1, true_negative=5, false_negative=0).precision)
    0.75
    """

    true_positive: Floats | float
    false_positive: Floats | float
    true_negative: Floats | float
    false_negative: Floats | float

    @property
    def precision(self) -> Floats:
        """The share of alarms that are anomalies; NaN without alarms."""
        return _ratio(self.true_positive, np.add(self.true_positive, self.false_positive))

    @property
    def recall(self) -> Floats:
        """The share of anomalies that raise an alarm; NaN without anomalies."""
        return _ratio(self.true_positive, np.add(self.true_positive, self.false_negative))

    @property
    def specificity(self) -> Floats:
        """The share of normals that raise no alarm; NaN without normals."""
        return _ratio(self.true_negative, np.add(self.true_negative, self.false_positive))

    @property
    def f1(self) -> Floats:
        """The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); depends on the base rate."""
        double = 2 * self.true_positive
        return _ratio(double, double + self.false_positive + self.false_negative)

    @property
    def balanced_accuracy(self) -> Floats:
        """The mean of recall and specificity; 0.5 is chance."""
        return np.asarray((self.recall + self.specificity) / 2)

    @property
    def mcc(self) -> Floats:
        """Matthews' correlation in [-1, 1]; 0 is chance; NaN if all labels or all decisions are equal."""
        tp, fp, tn, fn = self.true_positive, self.false_positive, self.true_negative, self.false_negative
        return _ratio(tp * tn - fp * fn, np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn))


METRICS = tuple(name for name, one in vars(Confusion).items() if isinstance(one, property))  # metrics of alarms, at one threshold


@dataclass(frozen=True)
class Metrics:
    """One row of a results table. Shares are in [0, 1]; undefined values are NaN."""

    precision: float
    recall: float
    f1: float
    specificity: float
    mcc: float
    balanced_accuracy: float
    pr_auc: float  # average precision
    roc_auc: float
    base_rate: float  # the share of anomalies; also the PR-AUC of random scores
    all_positive_f1: float  # the F1 of raising an alarm for every window
    n: float  # windows
    n_anomalies: float
    distinct: int  # rows
    distinct_anomalies: int
    effective_n: float  # effective number of distinct anomalies
    false_alarms: float


def measure(scores: ArrayLike, alarms: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """All metrics on one set of windows.

    Args:
        scores: N scores, higher is more anomalous; +inf is allowed.
        alarms: N decisions.
        labels: N labels, 1 is an anomaly.
        weight: N multiplicities, 0 or more. Default: ones, to judge distinct windows.

    Raises:
        DataError: lengths differ, a score is NaN, a label is not 0 or 1, or a weight is negative.

    >>> result = measure([0.1, 0.9, 0.8], [False, True, True], [0, 1, 0], [8, 1, 1])
    >>> result.recall, result.precision, round(result.specificity, 3), result.base_rate
    (1.0, 0.5, 0.889, 0.1)
    """
    scores_N, labels_N, weight_N = _checked(scores, labels, weight)
    table = confusion(alarms, labels_N, weight_N)
    total, anomalies = float(weight_N.sum()), float(weight_N[labels_N].sum())
    base_rate = float(_ratio(anomalies, total))
    return Metrics(
        **{name: float(getattr(table, name)) for name in METRICS},
        **{name: float(area(name, scores_N, labels_N, weight_N[None])[0]) for name in AREAS},
        base_rate=base_rate,
        all_positive_f1=2 * base_rate / (1 + base_rate),
        n=total,
        n_anomalies=anomalies,
        distinct=int((weight_N > 0).sum()),
        distinct_anomalies=int((weight_N[labels_N] > 0).sum()),
        effective_n=effective_n(weight_N[labels_N]),
        false_alarms=float(np.asarray(table.false_positive)),
    )


def confusion(alarms: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> Confusion:
    """Confusion counts of N decisions and N labels (1 is an anomaly), each row counted `weight` times."""
    alarms_N, labels_N, weight_N = _checked(alarms, labels, weight)
    fired_N = alarms_N.astype(np.bool_)
    sums = [float(weight_N[fired_N == fired][labels_N[fired_N == fired] == label].sum()) for fired, label in CELLS]
    return Confusion(*sums)


CELLS = ((True, True), (True, False), (False, False), (False, True))  # (alarm, label) of TP, FP, TN, FN


def effective_n(weight: ArrayLike) -> float:
    """Kish's effective sample size (1965): 1 / sum p^2 over patterns with shares p; 0 without patterns.

    >>> effective_n([5, 5, 5]), round(effective_n([98, 1, 1]), 2)
    (3.0, 1.04)
    """
    weight_N = np.asarray(weight, dtype=np.float64)
    square = float(np.square(weight_N).sum())
    return float(weight_N.sum()) ** 2 / square if square else 0.0


def roc_auc(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> float:
    """The probability that an anomaly scores above a normal window, ties counted half; NaN unless both occur."""
    scores_N, labels_N, weight_N = _checked(scores, labels, weight)
    return float(area("roc_auc", scores_N, labels_N, weight_N[None])[0])


def pr_auc(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Average precision, sum over thresholds of (R_k - R_{k-1}) P_k; NaN without anomalies."""
    scores_N, labels_N, weight_N = _checked(scores, labels, weight)
    return float(area("pr_auc", scores_N, labels_N, weight_N[None])[0])


def area(name: str, scores: ArrayLike, labels: ArrayLike, weight_BN: Floats) -> Floats:
    """The areas (B,) of one set of scores under B sets of weights; `name` is one of AREAS.

    >>> area("roc_auc", [0.1, 0.9, 0.5], [0, 1, 0], np.array([[1.0, 1, 1], [2, 1, 0]])).tolist()
    [1.0, 1.0]
    """
    scores_N, labels_N = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(np.bool_)
    order_N = np.argsort(-scores_N, kind="stable")  # highest first; equal scores are one threshold
    starts_G = np.flatnonzero(np.append(True, scores_N[order_N][1:] != scores_N[order_N][:-1]))[: len(order_N)]
    sorted_BN = weight_BN[:, order_N]
    if not len(starts_G):
        return np.full(len(weight_BN), np.nan)
    anomalies_BG, normals_BG = (np.add.reduceat(sorted_BN * own_N[order_N], starts_G, axis=1) for own_N in (labels_N, ~labels_N))
    anomalies_B, normals_B = anomalies_BG.sum(axis=1), normals_BG.sum(axis=1)
    if name == "roc_auc":
        below_BG = normals_B[:, None] - np.cumsum(normals_BG, axis=1) + normals_BG / 2
        return _ratio((anomalies_BG * below_BG).sum(axis=1), anomalies_B * normals_B)
    true_BG = np.cumsum(anomalies_BG, axis=1)
    precision_BG = np.nan_to_num(
        _ratio(true_BG, true_BG + np.cumsum(normals_BG, axis=1))
    )  # without weight so far: contributes nothing
    return _ratio((anomalies_BG * precision_BG).sum(axis=1), anomalies_B)


def pr_curve(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Precision and recall (G,) at every threshold, from the highest score down; recall is NaN without anomalies."""
    anomalies_G, normals_G = _by_score(scores, labels, weight)
    true_G = np.cumsum(anomalies_G)
    return _ratio(true_G, true_G + np.cumsum(normals_G)), _ratio(true_G, anomalies_G.sum())


def _by_score(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats]:
    """The weight of anomalies and of normals at each distinct score, highest first; infinities are scores like any other."""
    scores_N, labels_N, weight_N = _checked(scores, labels, weight)
    _, group_N = np.unique(-scores_N[weight_N > 0], return_inverse=True)
    labels_N, weight_N = labels_N[weight_N > 0], weight_N[weight_N > 0]
    normals_G = np.bincount(group_N, weights=weight_N * ~labels_N)
    return np.bincount(group_N, weights=weight_N * labels_N).astype(np.float64), normals_G.astype(np.float64)


def _ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """part / whole, NaN where the whole is zero."""
    parts, wholes = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    result: Floats = np.divide(parts, wholes, out=np.full(wholes.shape, np.nan), where=wholes > 0)
    return result


def _checked(values: ArrayLike, labels: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Bools, Floats]:
    values_N, labels_N = np.asarray(values, dtype=np.float64), np.asarray(labels)
    weight_N = np.ones(len(labels_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not len(values_N) == len(labels_N) == len(weight_N):
        raise DataError(
            f"one label and one weight are needed per row, got {len(values_N)} rows, {len(labels_N)} labels, {len(weight_N)} weights"
        )
    if np.isnan(values_N).any():
        raise DataError("scores contain NaN; the detector's training probably diverged, check its loss")
    if not np.isin(labels_N, (0, 1)).all() or (weight_N < 0).any():
        raise DataError("labels must be 0 (normal) or 1 (anomaly), and weights 0 or more")
    return values_N, labels_N.astype(np.bool_), weight_N
