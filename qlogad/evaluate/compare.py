"""Statistics of comparisons: intervals over sequences, paired contrasts over sequences and seeds, Holm's correction, power analysis.

The sampling unit is the pattern (a distinct sequence, test or episode), never the window: Dror et al., ACL 2018, doi:10.18653/v1/P18-1128.

Letters: N rows of one cut, C clusters (patterns), K detectors or seeds, B draws, T simulated test sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from qlogad.arrays import Bools, Floats, Ints
from qlogad.errors import DataError
from qlogad.evaluate.metrics import AREAS, Confusion, area, effective_n
from qlogad.seeds import generator

__all__ = [
    "Contrast",
    "Detectable",
    "Difference",
    "Interval",
    "Paired",
    "contrast",
    "coverage",
    "detectable",
    "detectable_difference",
    "difference",
    "holm",
    "interval",
    "other_sequences",
    "rates",
    "sign_flip",
]

BLOCK = 2**22  # largest number of array elements in a block of draws
EXACT_SIGNS = 16  # up to this many pairs, all 2^n sign patterns are enumerated
_CAUTION = 5.0  # prior weight, in effective sequences, on full agreement between seeds


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True)
class Detectable:
    """Minimum detectable differences; inf if even a difference of 1 is not detectable."""

    recall: float  # between two detectors on the same anomalies
    false_positive_rate: float  # between two detectors on the same normals
    effective_anomalies: float
    effective_normals: float
    family: int  # number of contrasts in Holm's correction
    alpha: float
    power: float


def detectable(
    labels: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    fpr: float | None = None,
    family: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Detectable:
    """Minimum detectable differences of a test set, from its labels and multiplicities; available before training.

    Args:
        labels: N labels of the distinct test rows, 1 is an anomaly.
        weight: N multiplicities; default ones.
        fpr: the false positive rate that thresholds are set to, in [0, 1); None if thresholds are set otherwise.
        family: number of declared contrasts; the first step of Holm's procedure tests at alpha / family.
        alpha: two-sided significance level of the family, in (0, 1).
        power: the desired probability of detecting the difference, in (0, 1).

    >>> found = detectable([1] * 400 + [0] * 1600, fpr=0.01)
    >>> round(found.recall, 2), round(found.false_positive_rate, 3)
    (0.1, 0.013)
    """
    anomaly_N = np.asarray(labels) == 1
    weight_N = np.ones(len(anomaly_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    anomalies, normals = effective_n(weight_N[anomaly_N]), effective_n(weight_N[~anomaly_N])
    recall = detectable_difference(anomalies, family=family, alpha=alpha, power=power)
    rate = detectable_difference(normals, base=fpr, family=family, alpha=alpha, power=power)
    return Detectable(recall, rate, anomalies, normals, family, alpha, power)


def detectable_difference(
    n: float, *, base: float | None = None, family: int = 1, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest difference d of two paired proportions that n pairs detect with the given power; inf if there is none.

    Solves n d^2 = (z_{1 - alpha / 2} sqrt(psi) + z_power sqrt(psi - d^2))^2 for d: the sample size of McNemar's test (Connor,
    Biometrics 1987, doi:10.2307/2531961). The share psi of discordant pairs is not known beforehand; it is taken as that of two
    detectors with independent alarms, p (1 - q) + q (1 - p) at rates p and q = p + d. With `base`, p is known, as is the false
    positive rate that a threshold allows; without, p = (1 - d) / 2, where psi is largest. This is conservative: detectors that agree
    more often can show a smaller difference. It is a normal approximation, and rough below about 20 patterns or n psi of about 5.

    >>> round(detectable_difference(400), 3), round(detectable_difference(400, base=0.01), 3)
    (0.099, 0.031)
    """
    if not (0 < alpha < 1 and 0 < power < 1 and family >= 1 and (base is None or 0 <= base < 1)):
        raise DataError(
            f"alpha and power must be in (0, 1), base in [0, 1) and family at least 1, got {alpha}, {power}, {base}, {family}"
        )
    z_alpha, z_power = norm.ppf(1 - alpha / family / 2), norm.ppf(power)

    def excess(d: float) -> float:
        low = (1 - d) / 2 if base is None else base
        psi = low * (1 - low - d) + (low + d) * (1 - low)
        return float((z_alpha * math.sqrt(psi) + z_power * math.sqrt(psi - d * d)) ** 2 - n * d * d)

    most = 1.0 if base is None else 1.0 - base
    if excess(most) > 0:
        return math.inf
    return float(brentq(excess, 1e-12, most))


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The central percentile interval of draws, ignoring undefined (NaN) ones; NaN if all are undefined."""
    values_B = np.asarray(values, dtype=np.float64)
    values_B = values_B[~np.isnan(values_B)]
    low, high = np.quantile(values_B, [(1 - level) / 2, (1 + level) / 2]) if len(values_B) else (math.nan, math.nan)
    return Interval(float(low), float(high), level)


# ---------------------------------------------------------------- one detector on other sequences


def other_sequences(
    sides: Sequence[ArrayLike],
    labels: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> list[Confusion]:
    """Draws of the confusion counts that detectors would have on a test set of other sequences with the same frequencies.

    The model: a sequence of a class raises an alarm with probability p, independent of its frequency, so the weight of alarms has a known
    distribution for every p. A draw of p is a draw from the fiducial distribution: every sequence gets a uniform number, and p is the
    number at which, in ascending order, the observed weight of alarms is reached (even draws) or exceeded (odd draws). This inverts the
    test of p exactly, by the mid-P rule (Lancaster, JASA 1961; Hannig, Statistica Sinica 2009): without weights, quantiles of the draws
    are the mid-P version of the Clopper-Pearson interval, and the interval has nonzero width even if no sequence or every sequence raised
    an alarm. The two classes are drawn independently; class sizes are fixed.

    Args:
        sides: one array per contender: (N,) decisions, or (K, N) for its K seeds, whose draws share what the seeds agree on.
        labels: N labels, 1 is an anomaly.
        weight: N multiplicities; default ones.
        cluster: N cluster names or numbers; default: every row (a distinct sequence) is its own cluster.
        draws: B, the number of draws.
        seed: equal seeds give equal draws.

        Returns:
            Counts of shape (B,) or (B, K) for each side.

    >>> (drawn,) = other_sequences([[True, True, False, False] * 9], [1, 1, 1, 0] * 9)
    >>> interval(drawn.specificity).low > 0.6, interval(drawn.specificity).high
    (True, 1.0)
    """
    labels_N, weight_N, cluster_N = _rows(labels, weight, cluster)
    alarms_KN = np.concatenate([np.atleast_2d(np.asarray(side, dtype=np.bool_)) for side in sides])
    side_K = np.repeat(np.arange(len(sides)), [len(np.atleast_2d(np.asarray(side))) for side in sides])
    random = generator(seed, "sequences")
    drawn = []
    for number, of_class in enumerate((labels_N, ~labels_N)):
        weight_C, hit_KC = _by_cluster(weight_N * of_class, alarms_KN, cluster_N)
        rate_BK = rates(hit_KC.sum(axis=1), weight_C, draws, number, random)
        for side in range(len(sides)):
            own = side_K == side
            rate_BK[:, own] = _shared(rate_BK[:, own], hit_KC[own], weight_C)
        drawn.append((rate_BK * weight_C.sum(), weight_C.sum()))
    (true_BK, anomalies), (false_BK, normals) = drawn
    counts = (true_BK, false_BK, normals - false_BK, anomalies - true_BK)
    own = [side_K == side if np.ndim(given) == 2 else int(np.argmax(side_K == side)) for side, given in enumerate(sides)]
    return [Confusion(*(each_BK[:, columns] for each_BK in counts)) for columns in own]


def rates(total_T: Floats, weight_C: Floats, draws: int, turn: int, random: np.random.Generator) -> Floats:
    """(B, T) draws of the probability of an alarm, given T observed weights of alarms among clusters of these weights.

    The draw's number decides whether it takes the lower or the upper end, in a pattern that differs for each `turn`.
    """
    size, slack = len(weight_C), 1e-9 * weight_C.sum()
    found_BT = np.full((draws, len(total_T)), np.nan)
    if not size:
        return found_BT
    for start in range(0, draws, step := max(1, BLOCK // size)):
        uniform_bC = random.random((min(step, draws - start), size))
        order_bC = np.argsort(uniform_bC, axis=1)
        edge_bC = np.concatenate([np.take_along_axis(uniform_bC, order_bC, axis=1), np.ones((len(order_bC), 1))], axis=1)
        for b, reached_C in enumerate(np.cumsum(weight_C[order_bC], axis=1), start):
            if b >> turn & 1:
                found_BT[b] = edge_bC[b - start][np.searchsorted(reached_C, total_T + slack)]
            else:
                place_T = np.searchsorted(reached_C, total_T - slack)
                found_BT[b] = np.where(total_T > slack, edge_bC[b - start][place_T], 0.0)
    return found_BT


def _shared(rate_BK: Floats, hit_KC: Floats, weight_C: Floats) -> Floats:
    """Draws for several seeds whose errors are only partly on the same sequences, so that their mean varies less than one seed.

    The ratio of the mean's variance to a seed's is estimated from the agreement of alarms, shrunk towards 1 if there are few.
    """
    total = weight_C.sum()
    if len(hit_KC) == 1 or not total:
        return rate_BK
    own_K = hit_KC.sum(axis=1) / total
    share_KC = hit_KC / weight_C
    one = float(np.mean(np.square(share_KC - own_K[:, None]) @ weight_C)) / total
    mean = float(np.square(share_KC.mean(axis=0) - own_K.mean()) @ weight_C) / total
    shown = effective_n(weight_C) * min(own_K.mean(), 1 - own_K.mean())
    ratio = min(mean / one, 1.0) if one > 0 else 1.0
    shrink = math.sqrt((shown * ratio + _CAUTION) / (shown + _CAUTION))
    return np.asarray(own_K + shrink * (rate_BK - own_K))


def coverage(
    metrics: Sequence[str],
    labels: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    recall: float,
    fpr: float,
    sets: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Coverage of the 95 % intervals of metrics, in [0, 1], simulated on test sets with these labels and multiplicities.

    In each simulated set, an anomaly raises an alarm with probability `recall`, a normal row with probability `fpr`.

    >>> 0.93 < coverage(["f1"], [1] * 50 + [0] * 200, recall=0.7, fpr=0.02)["f1"] < 0.97
    True
    """
    labels_N, weight_N, _ = _rows(labels, weight, None)
    random = generator(seed, "coverage")
    sizes, seen, drawn = [], [], []
    for number, (of_class, chance) in enumerate(((labels_N, recall), (~labels_N, fpr))):
        weight_C = weight_N[of_class]
        step = max(1, BLOCK // max(1, len(weight_C)))
        blocks = [random.random((min(step, sets - start), len(weight_C))) < chance for start in range(0, sets, step)]
        seen.append(np.concatenate([alarms @ weight_C for alarms in blocks]))
        drawn.append(rates(seen[-1], weight_C, sets, number, random) * weight_C.sum())
        sizes.append(weight_C.sum())

    def counts(true: Floats, false: Floats) -> Confusion:
        return Confusion(true, false, sizes[1] - false, sizes[0] - true)

    truth = counts(np.array(recall * sizes[0]), np.array(fpr * sizes[1]))
    seen_T, drawn_BT = counts(*seen), counts(*drawn)
    return {metric: _held(*(np.asarray(getattr(each, metric)) for each in (truth, seen_T, drawn_BT))) for metric in metrics}


def _held(truth: Floats, seen_T: Floats, drawn_BT: Floats) -> float:
    """The share of simulated sets whose interval contains the truth, among those where the metric is defined."""
    whole_BT = drawn_BT[:, ~np.isnan(seen_T)]
    if not whole_BT.shape[1]:
        return math.nan
    quantile = np.nanquantile if np.isnan(whole_BT).any() else np.quantile
    low_T, high_T = quantile(whole_BT, [0.025, 0.975], axis=0)
    return float(np.mean((low_T - 1e-9 <= truth) & (truth <= high_T + 1e-9)))


def _rows(labels: ArrayLike, weight: ArrayLike | None, cluster: ArrayLike | None) -> tuple[Bools, Floats, Ints]:
    """Checked labels, weights, and cluster numbers from 0."""
    labels_N = np.asarray(labels) == 1
    weight_N = np.ones(len(labels_N)) if weight is None else np.asarray(weight, dtype=np.float64)
    named_N = np.arange(len(labels_N)) if cluster is None else np.asarray(cluster)
    if not len(named_N) == len(labels_N) == len(weight_N) or len(labels_N) == 0:
        raise DataError(
            f"one label, weight and cluster are needed per row, got {len(labels_N)}, {len(weight_N)} and {len(named_N)}"
        )
    return labels_N, weight_N, np.unique(named_N, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _by_cluster(weight_N: Floats, alarms_KN: Bools, cluster_N: Ints) -> tuple[Floats, Floats]:
    """The weight of each cluster with a positive one, and the part of it for which each detector raises an alarm."""
    weight_C, *hits = (_sums(cluster_N, weight_N * own_N, int(cluster_N.max()) + 1) for own_N in (1.0, *alarms_KN))
    return weight_C[weight_C > 0], np.stack(hits)[:, weight_C > 0]


def _sums(cluster_N: Ints, values_N: Floats, clusters: int) -> Floats:
    """The sum of the values in each cluster, (C,)."""
    return np.bincount(cluster_N, weights=values_N, minlength=clusters).astype(np.float64)


# ---------------------------------------------------------------- two contenders on the same sequences


@dataclass(frozen=True, eq=False)
class Paired:
    """Two contenders on the rows of one cut. A cluster number means the same sequence in all cuts."""

    left: ArrayLike  # (K, N) alarms per seed, or scores if the metric is an area; one row for a deterministic contender
    right: ArrayLike
    labels: ArrayLike
    weight: ArrayLike
    cluster: ArrayLike


@dataclass(frozen=True, eq=False)
class Difference:
    """A difference of two contenders, averaged over seeds and cuts, with its bootstrap draws over sequences."""

    mean: float
    drawn_B: Floats
    effective_n: float  # of the smaller class, among those that the metric depends on
    told_apart: float  # effective number of sequences judged differently, weighted by their effect on the metric; NaN for areas

    @property
    def evidence(self) -> float:
        """The effective number of sequences that bear on the difference: those judged differently; for areas, all."""
        return self.effective_n if math.isnan(self.told_apart) else self.told_apart

    def interval(self, level: float = 0.95) -> Interval:
        """Bootstrap percentile interval, its quantiles widened for small samples by Student's t (Hesterberg, Am. Stat. 2015)."""
        n = self.effective_n
        if not n > 1:
            return Interval(math.nan, math.nan, level)
        out = float(norm.cdf(student.ppf((1 + level) / 2, n - 1) * math.sqrt(n / (n - 1))))
        found = interval(self.drawn_B, 2 * out - 1)
        return Interval(found.low, found.high, level)


def difference(metric: str, cuts: Sequence[Paired], *, resamples: int = 1000, seed: int = 0) -> Difference:
    """The difference left - right of a metric, bootstrapped over whole sequences with seeds and cuts fixed.

    A resample draws sequences once for both sides, all seeds and all cuts, and the difference is computed within it. Sequences that are
    an anomaly at some cut form one stratum, all others another; a resample in which a cut lacks one of the classes is discarded. Seeds
    at which the metric is undefined are left out on both sides; within a resample, an undefined MCC counts as 0 (chance).

    Args:
        metric: one of METRICS or AREAS of evaluate.metrics.
        cuts: the contenders on every cut.
        resamples: B, the number of resamples.
        seed: equal seeds and cuts give equal resamples, independent of the contenders.

    >>> labels, ones, numbers = [1] * 50 + [0] * 50, [1.0] * 100, list(range(100))
    >>> one = Paired([[True] * 26 + [False] * 74], [[True] * 25 + [False] * 75], labels, ones, numbers)
    >>> found = difference("recall", [one])
    >>> round(found.mean, 3), found.interval().low, round(found.told_apart)
    (0.02, 0.0, 1)
    """
    _, cluster = np.unique(np.concatenate([np.asarray(cut.cluster) for cut in cuts]), return_inverse=True)
    cluster_XN = np.split(cluster.reshape(-1), np.cumsum([len(np.asarray(cut.labels)) for cut in cuts])[:-1])
    tables = [_Table(metric, cut, own_N, int(cluster.max()) + 1) for cut, own_N in zip(cuts, cluster_XN, strict=True)]
    stratum_C = _strata(np.sum([table.holds_2C for table in tables], axis=0) > 0)
    drawn_B = np.concatenate(
        [np.stack([table.difference(times_bC) for table in tables]).mean(axis=0) for times_bC in _times(stratum_C, resamples, seed)]
        if all(table.sound for table in tables)
        else [np.full(resamples, np.nan)]
    )
    ones_1C = np.ones((1, len(stratum_C)))
    mean = float(np.mean([table.difference(ones_1C)[0] for table in tables]))
    weight_2C, otherwise_C = np.sum([table.weight_2C for table in tables], axis=0), np.sum([t.otherwise_C for t in tables], axis=0)
    read = [kind for kind, blind in ((1, "specificity"), (0, "recall")) if metric != blind]
    fewest = min(effective_n(weight_2C[kind]) for kind in read)
    return Difference(mean, drawn_B, fewest, math.nan if metric in AREAS else effective_n(otherwise_C))


class _Table:
    """The data of one cut, prepared for resampling."""

    def __init__(self, metric: str, cut: Paired, cluster_N: Ints, clusters: int) -> None:
        self.metric, self.cluster_N = metric, cluster_N
        self.labels_N, self.weight_N, _ = _rows(cut.labels, cut.weight, cluster_N)
        self.left_KN, self.right_KN = (np.atleast_2d(np.asarray(side)) for side in (cut.left, cut.right))
        per_class = [self.weight_N * of_class for of_class in (~self.labels_N, self.labels_N)]
        self.weight_2C = np.stack([_sums(cluster_N, own_N, clusters) for own_N in per_class])
        self.holds_2C = self.weight_2C > 0
        self.otherwise_C = np.zeros(clusters)
        self.counts_CX = np.zeros((clusters, 0))
        if metric not in AREAS:
            fired_KN = np.concatenate([self.left_KN, self.right_KN]).astype(np.bool_)
            sums = [_sums(cluster_N, own_N * f_N, clusters) for own_N in per_class for f_N in fired_KN]
            self.counts_CX = np.stack([*self.weight_2C, *sums], axis=1)
            apart_N = np.mean(self.left_KN.astype(np.bool_) != self.right_KN.astype(np.bool_), axis=0)
            apart_2C = np.stack([_sums(cluster_N, own_N * apart_N, clusters) for own_N in per_class])
            self.otherwise_C = _pull(metric, np.mean([own_N @ fired_KN.T for own_N in per_class], axis=1), per_class) @ apart_2C
        left_1K, right_1K = self._sides(np.ones((1, clusters)), soft=False)
        self.defined_K = ~np.isnan(left_1K[0] - right_1K[0])
        self.sound = bool(self.defined_K.any() and self.holds_2C.any(axis=1).all())

    def difference(self, times_BC: Floats) -> Floats:
        """left - right, averaged over seeds, (B,); NaN where a class is missing."""
        left_BK, right_BK = self._sides(times_BC, soft=True)
        both_BK = (left_BK - right_BK)[:, self.defined_K]
        lacking_B = (times_BC @ self.weight_2C.T == 0).any(axis=1)
        mean_B = both_BK.mean(axis=1) if both_BK.shape[1] else np.full(len(times_BC), np.nan)
        return np.where(lacking_B, np.nan, mean_B)

    def _sides(self, times_BC: Floats, *, soft: bool) -> tuple[Floats, Floats]:
        """The metric of each side, (B, K); with `soft`, an undefined MCC is 0."""
        if self.metric in AREAS:
            weight_BN = times_BC[:, self.cluster_N] * self.weight_N
            left, right = (
                np.stack([area(self.metric, scores_N, self.labels_N, weight_BN) for scores_N in side_KN], axis=1)
                for side_KN in (self.left_KN, self.right_KN)
            )
            return left, right
        total_BX = times_BC @ self.counts_CX
        normals_B1, anomalies_B1, hits_BX = total_BX[:, :1], total_BX[:, 1:2], total_BX[:, 2:]
        false_BK, true_BK = np.split(hits_BX, 2, axis=1)
        values_BK = np.asarray(getattr(Confusion(true_BK, false_BK, normals_B1 - false_BK, anomalies_B1 - true_BK), self.metric))
        if soft and self.metric == "mcc":
            values_BK = np.nan_to_num(values_BK)
        return values_BK[:, : len(self.left_KN)], values_BK[:, len(self.left_KN) :]


def _pull(metric: str, hit_2: Floats, per_class: Sequence[Floats]) -> Floats:
    """Sensitivity (2,) of a metric to the weight of alarms on normals and on anomalies, at the given weights."""
    size_2 = np.array([own_N.sum() for own_N in per_class])
    ends = []
    for factor in (0.999, 1.001):
        moved_22 = np.where(np.eye(2, dtype=np.bool_), np.minimum(hit_2 * factor, size_2), hit_2)
        (false_2, true_2), (normals, anomalies) = moved_22.T, size_2
        ends.append((np.diag(moved_22), getattr(Confusion(true_2, false_2, normals - false_2, anomalies - true_2), metric)))
    (low_2, before_2), (high_2, after_2) = ends
    moves_2 = high_2 > low_2
    pull_2 = np.divide(np.abs(after_2 - before_2), high_2 - low_2, out=np.zeros(2), where=moves_2)
    return np.asarray(np.nan_to_num(pull_2))


def _strata(holds_2C: Bools) -> Ints:
    """The stratum of each cluster, with as few strata as keep both classes in every resample of one cut.

    The strata are the clusters with an anomaly and those without. Clusters with both labels are not a stratum of their own: their
    frequency would then be fixed, and intervals too short. Only if every cluster contains an anomaly are mixed clusters separated
    from pure ones.
    """
    return np.asarray(holds_2C[0] if holds_2C[1].all() else holds_2C[1]).astype(np.int64)


def _times(stratum_C: Ints, resamples: int, seed: int) -> Iterator[Floats]:
    """Multiplicities of clusters in resamples, in blocks (b, C); they depend only on the strata and the seed."""
    random = generator(seed, "bootstrap")
    members = [np.flatnonzero(stratum_C == stratum) for stratum in np.unique(stratum_C)]
    for start in range(0, resamples, step := max(1, BLOCK // len(stratum_C))):
        count = min(step, resamples - start)
        times_bC = np.zeros((count, len(stratum_C)))
        for own in members:
            place = random.integers(len(own), size=(count, len(own))) + len(own) * np.arange(count)[:, None]
            times_bC[:, own] = np.bincount(place.ravel(), minlength=count * len(own)).reshape(count, len(own))
        yield times_bC


# ---------------------------------------------------------------- two contenders over seeds


@dataclass(frozen=True)
class Contrast:
    """A paired difference over seeds on the given cuts. It supports no claim about other sequences or other times."""

    mean: float
    low: float  # lower end of Student's interval over the seeds' means; NaN with one seed
    high: float
    p: float  # two-sided, sign-flip test over seeds (of each seed's mean over cuts)
    between_cuts: float  # standard deviation of the cuts' means
    between_seeds: float  # standard deviation over seeds inside a cut, averaged (root mean square)
    cells: int
    undefined: int  # cells left out because they are missing or their metric is undefined
    seeds: int  # seeds with at least one defined cell


def contrast(difference: ArrayLike, *, level: float = 0.95) -> Contrast:
    """Statistics of a paired difference of two contenders over seed x cut cells.

    Cuts are not resampled: their training windows overlap, and resampling two or three of them would not give valid intervals.

    Args:
        difference: (cuts, seeds) differences, NaN where undefined; a column is the same seed in every cut.
        level: confidence level of the interval, in (0, 1).

    >>> contrast([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2]] * 3).p
    0.03125
    """
    cells_CS = np.atleast_2d(np.asarray(difference, dtype=np.float64))
    defined_CS = ~np.isnan(cells_CS)
    cuts = [row[keep] for row, keep in zip(cells_CS, defined_CS, strict=True) if keep.any()]
    count = int(defined_CS.sum())
    if not count:
        return Contrast(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, cells_CS.size, 0)
    mean = float(np.mean([row.mean() for row in cuts]))
    own_CS = cells_CS - np.array(
        [[row[keep].mean() if keep.any() else 0.0] for row, keep in zip(cells_CS, defined_CS, strict=True)]
    )
    means = mean + np.nanmean(own_CS[:, defined_CS.any(axis=0)], axis=0)  # a missing cell does not change the cuts' weights
    seeds = len(means)
    half = float(student.ppf((1 + level) / 2, seeds - 1) * means.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.nan
    return Contrast(
        mean=mean,
        low=mean - half,
        high=mean + half,
        p=sign_flip(means),
        between_cuts=float(np.std([row.mean() for row in cuts], ddof=1)) if len(cuts) > 1 else math.nan,
        between_seeds=math.sqrt(float(np.mean([row.var(ddof=1) for row in cuts]))) if min(map(len, cuts)) > 1 else math.nan,
        cells=count,
        undefined=cells_CS.size - count,
        seeds=seeds,
    )


def sign_flip(differences: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p value of the sign-flip test that paired differences are symmetric about zero (Fisher, 1935).

    Enumerates all 2^n sign patterns up to n = 16, and samples 2^16 beyond. The smallest possible p is 2^(1 - n): 5 pairs cannot reach .05.

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
        flips_FN[0] = 0  # the observed signs are one of the patterns
    sums_F = np.abs((1 - 2 * flips_FN) @ pairs_N)
    return float(np.mean(sums_F >= sums_F[0] - 1e-9 * np.abs(pairs_N).sum()))


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p values, in the given order (Scand. J. Statistics 1979). NaN stays NaN and counts towards the family.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p_M = np.asarray(p, dtype=np.float64)
    order_M = np.argsort(p_M, kind="stable")  # NaN last
    steps_M = np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1))
    adjusted_M = np.empty(len(p_M))
    adjusted_M[order_M] = np.minimum(steps_M, 1.0)
    return adjusted_M
