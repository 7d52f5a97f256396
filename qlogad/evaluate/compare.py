"""What a difference is worth: intervals over clusters, a paired contrast over seeds and cuts, Holm's correction, power beforehand.

The unit is the pattern (distinct sequence, test, episode), never the window: see Dror et al., ACL 2018, doi:10.18653/v1/P18-1128.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from qlogad.errors import DataError
from qlogad.evaluate.metrics import CELLS, Confusion, effective_n
from qlogad.seeds import generator

__all__ = [
    "Contrast",
    "Detectable",
    "Interval",
    "contrast",
    "detectable",
    "detectable_difference",
    "holm",
    "interval",
    "resample",
    "resample_confusion",
    "sign_flip",
]

Floats = NDArray[np.float64]
BLOCK = 2**22  # cells of the largest block of draws
EXACT_SIGNS = 16  # up to this many pairs every one of the 2^n sign patterns is tried


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True)
class Detectable:
    """The smallest differences that the data can be expected to show; inf where not even 1 would."""

    recall: float  # between two detectors on the same anomalies
    false_positive_rate: float  # between two detectors on the same normals
    effective_anomalies: float
    effective_normals: float
    family: int  # contrasts that Holm corrects for
    alpha: float
    power: float


def detectable(
    labels: ArrayLike, weight: ArrayLike | None = None, *, family: int = 1, alpha: float = 0.05, power: float = 0.8
) -> Detectable:
    """What the test windows can tell, from labels and multiplicities alone: to be printed before training.

    Args:
        labels: N labels of the distinct test rows, 1 is an anomaly.
        weight: N multiplicities; default ones.
        family: how many contrasts are declared; the first step of Holm's procedure tests at alpha / family.
        alpha: two-sided level of the family.
        power: the chance wanted of finding the difference.

    >>> found = detectable([1] * 400 + [0] * 1600)
    >>> round(found.recall, 2), round(found.false_positive_rate, 2)
    (0.1, 0.05)
    """
    anomaly_N = np.asarray(labels) == 1
    weight_N = np.ones(len(anomaly_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    anomalies, normals = effective_n(weight_N[anomaly_N]), effective_n(weight_N[~anomaly_N])
    recall = detectable_difference(anomalies, family=family, alpha=alpha, power=power)
    rate = detectable_difference(normals, family=family, alpha=alpha, power=power)
    return Detectable(recall, rate, anomalies, normals, family, alpha, power)


def detectable_difference(n: float, *, family: int = 1, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest difference d of two paired proportions that n pairs show with the wanted power; inf if not even 1.

    Solves n d^2 = (z_{1 - alpha / 2} sqrt(psi) + z_power sqrt(psi - d^2))^2 for d: the sample size of McNemar's test (Connor,
    Biometrics 1987, doi:10.2307/2531961). The share psi of pairs that the two detectors judge differently is not known beforehand;
    taken is (1 + d^2) / 2, the largest that two detectors reach who do not err against each other. Twins that agree more can show
    a smaller difference: this is the conservative side. A normal approximation: below some twenty patterns it is a rough guide.
    """
    if not (0 < alpha < 1 and 0 < power < 1 and family >= 1):
        raise DataError(f"alpha and power lie in (0, 1) and a family has a member, got {alpha}, {power}, {family}")
    z_alpha, z_power = norm.ppf(1 - alpha / family / 2), norm.ppf(power)

    def excess(d: float) -> float:
        return float((z_alpha * math.sqrt((1 + d * d) / 2) + z_power * math.sqrt((1 - d * d) / 2)) ** 2 - n * d * d)

    return float(brentq(excess, 0.0, 1.0)) if excess(1.0) <= 0 else math.inf


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The central percentile interval of bootstrap values; undefined (NaN) values are left out, NaN if all are."""
    values_B = np.asarray(values, dtype=np.float64)
    values_B = values_B[~np.isnan(values_B)]
    low, high = np.quantile(values_B, [(1 - level) / 2, (1 + level) / 2]) if len(values_B) else (math.nan, math.nan)
    return Interval(float(low), float(high), level)


def resample_confusion(
    alarms: ArrayLike,
    labels: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Confusion:
    """Confusion counts of bootstrap resamples of whole clusters, stratified so that no resample lacks a class.

    Args:
        alarms: (N,) decisions, or (K, N) of K detectors, which then share every resample: their difference is paired.
        labels: N labels, 1 is an anomaly.
        weight: N multiplicities; default ones.
        cluster: N cluster names or numbers; default every row (a distinct sequence) its own.
        resamples: B.
        seed: equal seeds, equal resamples.

    Returns:
        counts of shape (B,) or (B, K).

    >>> resampled = resample_confusion([True, True, False, False] * 9, [1, 1, 1, 0] * 9)
    >>> interval(resampled.specificity)
    Interval(low=1.0, high=1.0, level=0.95)
    """
    alarms_KN = np.atleast_2d(np.asarray(alarms, dtype=np.bool_))
    strata_C, cluster_N, labels_N, weight_N = _strata(labels, weight, cluster)
    columns = [weight_N * (fired_N == fired) * (labels_N == label) for fired_N in alarms_KN for fired, label in CELLS]
    table_CX = np.stack([np.bincount(cluster_N, weights=column, minlength=len(strata_C)) for column in columns], axis=1)
    random = generator(seed, "bootstrap")
    total_BX = np.zeros((resamples, table_CX.shape[1]))
    for stratum in np.unique(strata_C):
        equal_GX, many_G = np.unique(table_CX[strata_C == stratum], axis=0, return_counts=True)  # equal clusters are drawn as one
        clusters = int(many_G.sum())
        for start in range(0, resamples, step := max(1, BLOCK // len(many_G))):
            drawn_BG = random.multinomial(clusters, many_G / clusters, size=min(step, resamples - start))
            total_BX[start : start + step] += drawn_BG @ equal_GX
    total_BKX = total_BX.reshape(resamples, len(alarms_KN), len(CELLS))
    total_BKX = total_BKX if np.ndim(alarms) == 2 else total_BKX[:, 0]
    return Confusion(*np.moveaxis(total_BKX, -1, 0))


def resample(
    metric: Callable[[Floats], float],
    labels: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """Any metric on the same kind of resamples, (B,): `metric` is given the N weights that the rows have in a resample.

    >>> from qlogad.evaluate.metrics import roc_auc
    >>> scores, labels = [0.1, 0.4, 0.3, 0.8], [0, 0, 1, 1]
    >>> resample(lambda weight_N: roc_auc(scores, labels, weight_N), labels, resamples=3).shape
    (3,)
    """
    strata_C, cluster_N, _, weight_N = _strata(labels, weight, cluster)
    random = generator(seed, "bootstrap")
    members = [np.flatnonzero(strata_C == stratum) for stratum in np.unique(strata_C)]
    values = []
    for _ in range(resamples):
        times_C = np.zeros(len(strata_C))
        for clusters in members:
            times_C[clusters] = random.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)))
        values.append(metric(weight_N * times_C[cluster_N]))
    return np.asarray(values, dtype=np.float64)


def _strata(
    labels: ArrayLike, weight: ArrayLike | None, cluster: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], Floats]:
    """The stratum of each cluster, the cluster of each row, labels and weights.

    Strata are as few as keep both classes in every resample: clusters with an anomaly, and those without. (Clusters holding both
    labels are no stratum of their own: what nobody can tell apart would then be as frequent in every resample, and intervals too
    short.) Where every cluster holds an anomaly, the mixed ones must be told from the pure.
    """
    labels_N = np.asarray(labels) == 1
    weight_N = np.ones(len(labels_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    named_N = np.arange(len(labels_N)) if cluster is None else np.asarray(cluster)
    if not len(named_N) == len(labels_N) == len(weight_N) or len(labels_N) == 0:
        raise DataError(f"one label, weight and cluster per row, got {len(labels_N)}, {len(weight_N)} and {len(named_N)}")
    cluster_N = np.unique(named_N, return_inverse=True)[1].reshape(-1)
    holds_C2 = np.stack([np.bincount(cluster_N, weights=which_N) > 0 for which_N in (~labels_N, labels_N)], axis=1)
    anomalous_C = holds_C2[:, 1]
    strata_C = holds_C2[:, 0] if anomalous_C.all() else anomalous_C
    return strata_C.astype(np.int64), cluster_N, labels_N, weight_N


@dataclass(frozen=True)
class Contrast:
    """A paired difference over cuts and seeds. It speaks of new seeds on these cuts; few cuts support no claim on other times."""

    mean: float
    low: float  # of the hierarchical bootstrap interval
    high: float
    p: float  # two-sided, exact sign flip over seeds (each seed's mean over cuts)
    between_cuts: float  # standard deviation of the cuts' means
    between_seeds: float  # standard deviation over seeds inside a cut, averaged (root mean square)
    cells: int
    undefined: int  # cells left out because the metric is undefined there


def contrast(difference: ArrayLike, *, resamples: int = 10_000, level: float = 0.95, seed: int = 0) -> Contrast:
    """Judge a paired difference of two contenders over seed x cut cells.

    Args:
        difference: (cuts, seeds) differences, NaN where undefined; the same column is the same seed in every cut.
        resamples: of the hierarchical bootstrap, which draws cuts as blocks and then seeds inside each.
        level: of the interval.
        seed: of the bootstrap.

    >>> contrast([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2]] * 3).p
    0.03125
    """
    cells_CS = np.atleast_2d(np.asarray(difference, dtype=np.float64))
    defined_CS = ~np.isnan(cells_CS)
    cuts = [row[keep] for row, keep in zip(cells_CS, defined_CS, strict=True) if keep.any()]
    seeds = [column[keep] for column, keep in zip(cells_CS.T, defined_CS.T, strict=True) if keep.any()]
    count = int(defined_CS.sum())
    if not count:
        return Contrast(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, cells_CS.size)
    random = generator(seed, "contrast")
    mean_BC = np.stack(
        [row[random.integers(len(row), size=(resamples * len(cuts), len(row)))].mean(axis=1) for row in cuts], axis=1
    )
    drawn_BC = random.integers(len(cuts), size=(resamples * len(cuts), 1))  # each draw of a cut has seeds of its own
    bounds = interval(np.take_along_axis(mean_BC, drawn_BC, axis=1).reshape(resamples, len(cuts)).mean(axis=1), level)
    return Contrast(
        mean=float(np.mean([row.mean() for row in cuts])),
        low=bounds.low,
        high=bounds.high,
        p=sign_flip([column.mean() for column in seeds]),
        between_cuts=float(np.std([row.mean() for row in cuts], ddof=1)) if len(cuts) > 1 else math.nan,
        between_seeds=math.sqrt(float(np.mean([row.var(ddof=1) for row in cuts]))) if min(map(len, cuts)) > 1 else math.nan,
        cells=count,
        undefined=cells_CS.size - count,
    )


def sign_flip(differences: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p of a zero mean, if each paired difference were as likely with either sign (Fisher, 1935).

    All 2^n sign patterns up to n = 16, a random 2^16 of them beyond. The smallest p of n pairs is 2^(1 - n): five cannot reach .05.

    >>> sign_flip([1.0, 2.0, 0.5]), sign_flip([0.0, 0.0])
    (0.25, 1.0)
    """
    pairs_N = np.asarray(differences, dtype=np.float64)
    n = len(pairs_N)
    if n == 0 or np.isnan(pairs_N).any():
        return math.nan
    if n <= EXACT_SIGNS:
        flips_FN = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        flips_FN = generator(seed, "signs").integers(2, size=(2**EXACT_SIGNS, n))
        flips_FN[0] = 0  # what was observed is one of the patterns
    sums_F = np.abs((1 - 2 * flips_FN) @ pairs_N)
    return float(np.mean(sums_F >= sums_F[0] - 1e-9 * np.abs(pairs_N).sum()))


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p values, in the order given (Scand. J. Statistics 1979). NaN stays NaN and counts in the family.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p_M = np.asarray(p, dtype=np.float64)
    order_M = np.argsort(p_M, kind="stable")  # NaN last
    steps_M = np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1))
    adjusted_M = np.empty(len(p_M))
    adjusted_M[order_M] = np.minimum(steps_M, 1.0)
    return adjusted_M
