"""Statistics: intervals cover, corrections correct, planted differences are found with the stated power."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest, false_discovery_control, norm, ttest_1samp, wilcoxon
from scipy.stats import t as student

from qlogad.bench.coverage import EFFECTIVE, SHAPES, pairs, singles, weights
from qlogad.errors import DataError
from qlogad.evaluate.compare import (
    Paired,
    contrast,
    coverage,
    detectable,
    detectable_difference,
    difference,
    holm,
    interval,
    other_sequences,
    sign_flip,
)
from qlogad.evaluate.metrics import AREAS, METRICS, confusion, effective_n, measure

seeds = st.integers(0, 2**32 - 1)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=12)
FIVE = ["recall", "precision", "f1", "specificity", "mcc"]


def mcnemar_rejects(first_N: np.ndarray, second_N: np.ndarray, alpha: float) -> bool:
    wins, losses = int((first_N & ~second_N).sum()), int((second_N & ~first_N).sum())
    return wins + losses > 0 and binomtest(wins, wins + losses).pvalue <= alpha


# ---------------------------------------------------------------- what the data can show


@pytest.mark.parametrize(("n", "family", "base"), [(100, 1, None), (100, 5, None), (400, 1, None), (400, 1, 0.01), (2000, 5, 0.01)])
def test_the_detectable_difference_is_found_with_about_the_stated_power(n: int, family: int, base: float | None) -> None:
    d = detectable_difference(n, base=base, family=family)
    low = (1 - d) / 2 if base is None else base
    random = np.random.default_rng(n + family)
    trials, found = 400, 0
    for _ in range(trials):
        first_N, second_N = random.random((2, n)) < np.array([[low + d], [low]])  # independent: the stated discordance
        found += mcnemar_rejects(first_N, second_N, 0.05 / family)
    low, high = binom.interval(0.999, trials, 0.8)
    assert (
        low - (0.06 if base is None else 0.12) * trials <= found <= high
    )  # the exact test is conservative where few are told apart


def test_specificity_is_as_detectable_as_a_threshold_at_one_percent_makes_it() -> None:
    """.99 against .95 on 400 normal sequences: found by the judge's own interval with power .95, or .9 with nothing in common."""
    assert detectable([0] * 400 + [1] * 400, fpr=0.01).false_positive_rate < 0.04
    assert detectable([0] * 400 + [1] * 400, fpr=0.01, power=0.95).false_positive_rate == pytest.approx(0.043, abs=0.003)
    random = np.random.default_rng(0)
    found, trials = 0, 200
    for _ in range(trials):
        one = paired(random.random((1, 440)) < 0.01, random.random((1, 440)) < 0.05, [1] * 40 + [0] * 400)
        around = difference("specificity", [one], resamples=400).interval()
        found += around.low > 0
    assert found >= binom.ppf(0.001, trials, 0.91)


@settings(deadline=None)
@given(st.floats(0, 0.1), st.integers(100, 5000))
def test_a_known_base_rate_bounds_the_discordance(base: float, n: int) -> None:
    free, known = detectable_difference(n), detectable_difference(n, base=base)
    assert known <= max(free, 1 - base) + 1e-9
    assert detectable_difference(n, base=base / 2) <= known + 1e-9  # fewer false alarms, fewer that can be told apart


@settings(deadline=None)
@given(st.floats(20, 1e5), st.integers(1, 5))
def test_more_patterns_show_less_and_a_larger_family_shows_more(n: float, family: int) -> None:
    assert 0 < detectable_difference(2 * n, family=family) < detectable_difference(n, family=family)
    assert detectable_difference(n, family=family) < detectable_difference(n, family=family + 1)
    assert detectable_difference(n, power=0.8) < detectable_difference(n, power=0.9)


def test_too_few_patterns_show_nothing() -> None:
    assert detectable_difference(0) == detectable_difference(3) == math.inf
    assert detectable_difference(4) < 1


@settings(deadline=None)
@given(seeds)
def test_what_is_detectable_goes_by_effective_patterns_of_each_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels_N, weight_N = random.integers(0, 2, size=60), random.integers(1, 30, size=60)
    found = detectable(labels_N, weight_N, fpr=0.01, family=3)
    assert found.effective_anomalies == effective_n(weight_N[labels_N == 1])
    assert found.recall == detectable_difference(effective_n(weight_N[labels_N == 1]), family=3)
    assert found.false_positive_rate == detectable_difference(effective_n(weight_N[labels_N == 0]), base=0.01, family=3)


# ---------------------------------------------------------------- one detector


def test_without_weights_draws_are_those_of_the_exact_interval() -> None:
    """Even draws have the lower, odd ones the upper distribution of Clopper and Pearson."""
    n, k = 30, 7
    (drawn,) = other_sequences([[True] * k + [False] * (n - k) + [False] * 5], [1] * n + [0] * 5, draws=20_000)
    for part, law in ((drawn.recall[::2], beta(k, n - k + 1)), (drawn.recall[1::2], beta(k + 1, n - k))):
        assert np.quantile(part, [0.025, 0.5, 0.975]) == pytest.approx(law.ppf([0.025, 0.5, 0.975]), abs=0.012)
    assert (drawn.specificity == 1).mean() == 0.5  # no alarm: the lower end is no false alarm at all
    assert interval(drawn.specificity).low == pytest.approx(1 - (1 - 0.05 ** (1 / 5)), abs=0.06)


@pytest.mark.parametrize(("shape", "n"), [("equal", 50), ("hdfs-like", 10), ("hdfs-like", 50), ("adversarial", 20)])
def test_intervals_cover_as_often_as_they_say(shape: str, n: int) -> None:
    row = singles(shape, n, 0.6, 0.03, sets=1500)
    for metric in FIVE:
        assert 0.915 <= row[metric] <= 0.98, metric  # .93 to .97, three standard errors of the simulation beside


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", EFFECTIVE)
def test_intervals_cover_at_every_rate(shape: str, n: int) -> None:
    rows = [singles(shape, n, recall, fpr, sets=3000) for recall in (0.2, 0.5, 0.8, 0.9) for fpr in (0.01, 0.03, 0.1)]
    for metric in FIVE:
        assert 0.925 <= np.mean([row[metric] for row in rows]) <= (0.99 if (shape, n) in {("equal", 10), ("equal", 20)} else 0.975)
        assert min(row[metric] for row in rows) >= 0.905


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_draws_lie_around_what_was_seen_and_are_never_certain(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels_N = np.append(random.integers(0, 2, size=18), [0, 1])
    alarms_KN, weight_N = random.random((3, 20)) < random.random(), random.integers(1, 9, size=20)
    cluster = random.integers(0, 12, size=20) if seed % 2 else None
    several, alone = other_sequences([alarms_KN, alarms_KN[0]], labels_N, weight_N, cluster, draws=300, seed=seed)
    assert several.f1.shape == (300, 3)
    assert alone.f1.shape == (300,)
    for metric in ("recall", "specificity"):
        seen = float(getattr(confusion(alarms_KN[0], labels_N, weight_N), metric))
        around = interval(getattr(alone, metric))
        assert around.low <= seen <= around.high
        assert around.low < around.high
    copies, one = other_sequences([np.stack([alarms_KN[0]] * 4), alarms_KN[0]], labels_N, weight_N, cluster, draws=100, seed=seed)
    assert np.allclose(copies.recall, one.recall[:, None])  # seeds that agree are one piece of evidence


@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.95])
def test_the_mean_over_seeds_is_covered_however_they_agree(agreement: float) -> None:
    random = np.random.default_rng(3)
    labels_N, weight_N = np.repeat([1, 0], [600, 1200]), np.tile(weights("hdfs-like", 30), 3)
    chance_N, held, trials = np.where(labels_N == 1, 0.6, 0.05), 0, 150
    for trial in range(trials):
        common_N, own_KN = random.random(1800), random.random((5, 1800))
        alarms_KN = np.where(random.random((5, 1800)) < agreement, common_N, own_KN) < chance_N
        (drawn,) = other_sequences([alarms_KN], labels_N, weight_N, draws=200, seed=trial)
        around = interval(drawn.recall.mean(axis=1))
        held += around.low <= 0.6 <= around.high
    assert held >= binom.ppf(0.001, trials, 0.93)


def test_few_sequences_are_told_by_their_own_simulation() -> None:
    one = coverage(FIVE, [1, 1, 1, 0, 0, 0], [9, 1, 1, 5, 5, 5], recall=0.5, fpr=0.1, sets=300)
    assert set(one) == set(FIVE)
    assert all(0 <= share <= 1 for share in one.values())
    assert math.isnan(coverage(["precision"], [1, 0], recall=0.0, fpr=0.0, sets=20)["precision"])  # never an alarm


# ---------------------------------------------------------------- two contenders


def paired(left: object, right: object, labels: object, weight: object = None, cluster: object = None) -> Paired:
    n = len(np.asarray(labels))
    return Paired(left, right, labels, np.ones(n) if weight is None else weight, np.arange(n) if cluster is None else cluster)


def _one_more(metric: str, anomalies: int, normals: int, caught: int) -> np.ndarray:
    """Differences of a side that finds one anomaly more, without false alarms, when the anomalies are drawn with replacement."""
    share = [1 - (caught + 1) / anomalies, 1 / anomalies, caught / anomalies]
    drawn = np.random.default_rng(0).multinomial(anomalies, share, size=20_000)

    def value(true: np.ndarray) -> np.ndarray:
        missed = anomalies - true
        if metric == "recall":
            return true / anomalies
        return 2 * true / (2 * true + missed) if metric == "f1" else np.sqrt(true / anomalies * normals / (normals + missed))

    return np.asarray(value(drawn[:, 1] + drawn[:, 2]) - value(drawn[:, 2]))


@settings(deadline=None, max_examples=40)
@given(st.integers(30, 80), st.integers(30, 80), st.data())
def test_one_sequence_more_is_no_more_than_one_sequence(anomalies: int, normals: int, data: st.DataObject) -> None:
    """Found by one side alone, out of as many distinct ones: the interval begins at 0 and ends where a bootstrap in closed form does."""
    caught = data.draw(st.integers(anomalies // 4, anomalies - 2))
    labels_N = np.repeat([1, 0], [anomalies, normals])
    right_N = np.arange(anomalies + normals) < caught
    left_N = np.arange(anomalies + normals) <= caught
    for metric in ("recall", "f1", "mcc"):
        found = difference(metric, [paired(left_N[None], right_N[None], labels_N)], resamples=1000)
        around, back = found.interval(), difference(metric, [paired(right_N[None], left_N[None], labels_N)]).interval()
        assert around.low == pytest.approx(0, abs=1e-12)
        n = anomalies if metric == "recall" else min(anomalies, normals)
        end = norm.cdf(student.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)))  # what Hesterberg's table makes of .975
        ends = np.clip(end + np.array([-4, 4]) * np.sqrt(end * (1 - end) / 1000), 0, 1)  # four standard errors of 1,000 resamples
        low, high = np.quantile(_one_more(metric, anomalies, normals, caught), ends, method="closest_observation")
        assert 1.9 * found.mean <= around.high
        assert low - 1e-12 <= around.high <= high + 1e-12
        assert (back.low, back.high) == pytest.approx((-around.high, -around.low))
        assert found.told_apart == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([*METRICS, *AREAS]))
def test_equal_sides_differ_in_no_resample_whatever_the_cuts(seed: int, metric: str) -> None:
    random = np.random.default_rng(seed)
    cuts = []
    for size in (60, 40, 25):  # nested: later cuts hold the last sequences
        labels_N = np.append(random.integers(0, 2, size=size - 2), [0, 1])
        side_KN = random.integers(0, 9, size=(3, size)) if metric in AREAS else random.random((3, size)) < 0.4
        cuts.append(paired(side_KN, side_KN.copy(), labels_N, random.integers(1, 9, size=size), np.arange(60)[-size:]))
    found = difference(metric, cuts, resamples=60, seed=seed)
    assert (found.drawn_B[~np.isnan(found.drawn_B)] == 0).all()
    assert found.interval().low == found.interval().high == found.mean == 0


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([*METRICS, *AREAS]))
def test_one_draw_serves_both_sides_all_seeds_and_all_cuts(seed: int, metric: str) -> None:
    random = np.random.default_rng(seed)
    labels_N, weight_N = np.append(random.integers(0, 2, size=38), [0, 1]), random.integers(1, 9, size=40)
    cluster_N = random.integers(0, 25, size=40)
    left_KN, right_KN = random.integers(0, 9, size=(2, 4, 40)) if metric in AREAS else random.random((2, 4, 40)) < 0.4
    once = difference(metric, [paired(left_KN, right_KN, labels_N, weight_N, cluster_N)], resamples=50, seed=seed)
    turned = difference(metric, [paired(right_KN, left_KN, labels_N, weight_N, cluster_N)], resamples=50, seed=seed)
    again = paired(
        left_KN[:, ::-1], right_KN[:, ::-1], labels_N[::-1], weight_N[::-1], cluster_N[::-1] * 3
    )  # other names and order
    twice = difference(metric, [paired(left_KN, right_KN, labels_N, weight_N, cluster_N * 3), again], resamples=50, seed=seed)
    assert np.allclose(once.drawn_B, -turned.drawn_B, equal_nan=True)
    assert np.allclose(once.drawn_B, twice.drawn_B, equal_nan=True)
    if metric not in ("precision", "mcc"):  # undefined at a seed, they leave it out on both sides
        each = [
            difference(metric, [paired(left_KN[[k]], right_KN, labels_N, weight_N, cluster_N)], resamples=50, seed=seed)
            for k in range(4)
        ]
        assert np.allclose(once.drawn_B, np.mean([one.drawn_B for one in each], axis=0), equal_nan=True)
        assert not np.isnan(once.drawn_B).any()  # no resample of one cut lacks a class


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([*METRICS, *AREAS]))
def test_the_mean_is_the_difference_of_the_metric_itself(seed: int, metric: str) -> None:
    random = np.random.default_rng(seed)
    labels_N, weight_N = np.append(random.integers(0, 2, size=28), [0, 1]), random.integers(1, 9, size=30)
    scores_SN = random.integers(0, 9, size=(2, 30)).astype(float)
    sides = scores_SN if metric in AREAS else scores_SN > 5
    left, right = (getattr(measure(scores_N, scores_N > 5, labels_N, weight_N), metric) for scores_N in scores_SN)
    found = difference(metric, [paired(sides[0][None], sides[1][None], labels_N, weight_N)], resamples=10)
    assert found.mean == pytest.approx(left - right, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from(METRICS), st.integers(2, 40))
def test_only_what_moves_the_metric_counts_as_told_apart(seed: int, metric: str, times: int) -> None:
    """Four anomalies and many normals are judged differently; the rarer class weighs what it weighs in the metric."""
    random, of = np.random.default_rng(seed), {"recall": (4, 4), "specificity": (60, 60)}
    labels_N = np.repeat([1, 0], [40, 60 * times])
    left_N = random.random(len(labels_N)) < 0.3
    apart_N = np.zeros(len(labels_N), dtype=bool)
    apart_N[random.permutation(40)[:4]] = apart_N[40 + random.permutation(60 * times)[:60]] = True
    weight_N = np.ones(len(labels_N))
    found = difference(metric, [paired(left_N[None], (left_N ^ apart_N)[None], labels_N)], resamples=10).told_apart
    low, high = of.get(metric, (1, 64))
    assert low - 1e-6 <= found <= high + 1e-6
    if metric == "balanced_accuracy":  # alarms weigh 1 / 40 and 1 / (60 times)
        assert found == pytest.approx(effective_n([1 / 40] * 4 + [1 / (60 * times)] * 60), rel=1e-3)
    one = difference(metric, [paired(left_N[None], (left_N ^ apart_N)[None], labels_N, 7 * weight_N)], resamples=10).told_apart
    assert one == pytest.approx(found)  # the unit of weights says nothing


@pytest.mark.parametrize("metric", AREAS)
def test_areas_of_few_anomalies_are_told_apart_as_seldom_as_their_level_says(metric: str) -> None:
    random, labels_N, told, trials = np.random.default_rng(3), np.repeat([1, 0], [6, 60]), 0, 200
    for seed in range(trials):
        scores_2N = random.normal(size=(2, 66)) + 1.5 * labels_N
        found = difference(metric, [paired(scores_2N[:1], scores_2N[1:], labels_N)], resamples=200, seed=seed)
        around = found.interval()
        told += (around.low > 0 or around.high < 0) and not 2.0 ** (1 - found.evidence) > 0.05
        assert found.evidence == 6
    assert told <= binom.ppf(0.999, trials, 0.05)


def test_what_cannot_be_compared_is_undefined() -> None:
    silent, loud = np.zeros((1, 6), dtype=bool), np.ones((1, 6), dtype=bool)
    labels = [1, 1, 0, 0, 0, 0]
    assert math.isnan(difference("precision", [paired(silent, loud, labels)]).mean)
    assert math.isnan(difference("precision", [paired(silent, loud, labels)]).interval().low)
    assert math.isnan(difference("f1", [paired(silent, loud, [1] * 6)]).interval().low)  # one class
    one = difference("recall", [paired(silent, loud, [1, 0, 0, 0, 0, 0])])  # one distinct anomaly: nothing to draw from
    assert math.isnan(one.interval().low)
    assert one.mean == -1
    with pytest.raises(DataError):
        other_sequences([[]], [])
    with pytest.raises(DataError):
        other_sequences([[True, False]], [0, 1], [1.0])


def test_resamples_of_whole_clusters_have_their_spread() -> None:
    random = np.random.default_rng(1)
    labels_N, weight_N = np.repeat([0, 1], [150, 50]), random.integers(1, 6, size=200).astype(float)
    cluster_N = np.concatenate([np.arange(150) // 3, 50 + np.arange(50) // 2])
    left_N = random.random(200) < 0.4
    found = difference("recall", [paired(left_N[None], np.zeros((1, 200)), labels_N, weight_N, cluster_N)], resamples=4000)
    of_C, hit_C = (np.bincount(cluster_N[150:] - 50, weights=(weight_N * own_N)[150:]) for own_N in (labels_N, left_N))
    linear_C = (hit_C - hit_C.sum() / of_C.sum() * of_C) / of_C.sum()  # of a ratio of sums over clusters
    assert found.drawn_B.std() == pytest.approx(math.sqrt(float(np.square(linear_C).sum())), rel=0.1)


def rejections(trials: int, *, spread: float = 0.0) -> int:
    """How often two contenders are told apart on shuffled labels: scores of no meaning, every metric, weights of every shape in turn."""
    random = np.random.default_rng(7)
    found = 0
    for trial in range(trials):
        metric, shape = (*METRICS, *AREAS)[trial % 8], SHAPES[trial % 3]
        weight_N = np.concatenate([weights(shape, 20), 3 * weights(shape, 60)])
        labels_N = random.permutation(np.arange(len(weight_N)) < len(weight_N) // 3)
        scores_SN = random.normal(size=(2, len(weight_N)))
        sides = scores_SN if metric in AREAS else scores_SN > 0.5
        one = difference(metric, [paired(sides[0][None] + spread, sides[1][None], labels_N, weight_N)], resamples=300, seed=trial)
        around = one.interval()
        found += (around.low > 0 or around.high < 0) and not 2.0 ** (1 - one.told_apart) > 0.05
    return found


def test_shuffled_labels_tell_nothing_apart() -> None:
    assert rejections(200) <= binom.ppf(0.99, 200, 0.05)  # 18


@pytest.mark.slow
def test_two_thousand_shuffled_comparisons_tell_nothing_apart() -> None:
    assert rejections(2000) <= binom.ppf(0.99, 2000, 0.05)  # 123


def test_a_planted_difference_is_found_with_the_stated_power() -> None:
    """In recall, as large as `detectable` prints, by the judge's own interval."""
    labels_N = np.repeat([1, 0], [150, 150])
    d = detectable(labels_N).recall
    random, trials, found = np.random.default_rng(6), 200, 0
    for _ in range(trials):
        left_N, right_N = random.random((2, 300)) < np.array([[0.5 + d / 2], [0.5 - d / 2]])
        found += difference("recall", [paired(left_N[None], right_N[None], labels_N)], resamples=400).interval().low > 0
    low, high = binom.interval(0.999, trials, 0.8)
    assert low <= found <= high


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", EFFECTIVE)
def test_intervals_of_differences_cover_where_enough_is_told_apart(shape: str, n: int) -> None:
    row = pairs(shape, n, 0.8, 0.5, 0.02, 0.3, sets=400)
    assert row["f1 difference"] >= (0.93 if row["judged differently"] >= 10 else 0.88) - 0.03


# ---------------------------------------------------------------- families


@settings(deadline=None)
@given(shares)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1.0, np.array(p) * len(p)) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted >= false_discovery_control(p) - 1e-12).all()


@settings(deadline=None)
@given(shares, st.floats(0.001, 0.2))
def test_holm_rejects_what_its_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    rejected = set()
    for step, k in enumerate(np.argsort(p, kind="stable")):
        if p[k] * (len(p) - step) > alpha:
            break
        rejected.add(int(k))
    assert set(np.flatnonzero(holm(p) <= alpha).tolist()) == rejected


def test_an_undefined_p_counts_in_its_family() -> None:
    assert holm([0.01, math.nan])[0] == 0.02
    assert math.isnan(holm([0.01, math.nan])[1])


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_sign_flip_is_symmetric_and_no_smaller_than_its_least_value(differences: list[float]) -> None:
    p = sign_flip(differences)
    assert 2.0 ** (1 - len(differences)) <= p <= 1
    assert p == sign_flip([-d for d in differences])


@settings(deadline=None)
@given(st.permutations(range(1, 9)), st.lists(st.sampled_from([-1, 1]), min_size=8, max_size=8))
def test_sign_flip_of_ranks_is_the_exact_wilcoxon_test(ranks: list[int], signs: list[int]) -> None:
    differences = [rank * sign for rank, sign in zip(ranks, signs, strict=True)]
    assert sign_flip(differences) == pytest.approx(wilcoxon(differences, method="exact").pvalue)


def test_many_pairs_are_judged_by_random_signs() -> None:
    random = np.random.default_rng(4)
    noise = random.normal(0, 1, 30)
    assert sign_flip(noise + 2) < 1e-4
    assert sign_flip(noise - noise.mean()) > 0.99


# ---------------------------------------------------------------- seeds


def test_a_contrast_without_difference_is_rejected_as_often_as_its_level_says() -> None:
    random = np.random.default_rng(5)
    trials = 200
    rejected = sum(contrast(random.normal(0, 1, (3, 10))).p <= 0.05 for _ in range(trials))
    assert rejected <= binom.ppf(0.99, trials, 0.05)  # 18 of 200


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_an_interval_over_few_seeds_covers_as_often_as_it_says(count: int) -> None:
    random = np.random.default_rng(count)
    trials = 2000
    held = sum(told.low <= 0 <= told.high for told in map(contrast, random.normal(0, 1, (trials, 2, count))))
    assert 0.93 <= held / trials <= 0.97


@settings(deadline=None)
@given(seeds)
def test_a_contrast_is_blind_to_the_order_of_its_cells_and_turns_with_its_sign(seed: int) -> None:
    difference_CS = np.random.default_rng(seed).normal(0.1, 0.1, (3, 6))
    one, other = contrast(difference_CS), contrast(-difference_CS)
    assert (one.mean, one.low, one.high, one.p) == pytest.approx((-other.mean, -other.high, -other.low, other.p))
    assert one.low <= one.mean <= one.high
    around = ttest_1samp(difference_CS.mean(axis=0), 0).confidence_interval()
    assert (one.low, one.high) == pytest.approx((around.low, around.high))
    shuffled = contrast(difference_CS[::-1, ::-1])
    assert (shuffled.low, shuffled.p, shuffled.between_cuts) == pytest.approx((one.low, one.p, one.between_cuts))


def test_cuts_and_seeds_that_differ_are_told_from_one_another() -> None:
    cuts_differ = contrast(np.repeat([[0.0], [0.1], [0.2]], 10, axis=1))
    seeds_differ = contrast(np.repeat([np.linspace(0, 0.2, 10)], 3, axis=0))
    assert cuts_differ.mean == pytest.approx(seeds_differ.mean)
    assert cuts_differ.high - cuts_differ.low == pytest.approx(0)  # it speaks of new seeds on these very cuts
    assert cuts_differ.between_cuts > 0.05
    assert (cuts_differ.between_seeds, seeds_differ.between_cuts) == pytest.approx((0.0, 0.0), abs=1e-12)


@settings(deadline=None)
@given(seeds)
def test_a_missing_cell_takes_no_cuts_share_away(seed: int) -> None:
    """Differences between cuts change nothing of what seeds say, whichever cells are missing."""
    random = np.random.default_rng(seed)
    cells_CS, of_cut_C1 = random.normal(0.1, 0.1, (3, 6)), random.normal(0, 5, (3, 1))
    cells_CS[random.integers(3), 1:3] = math.nan
    one, other = contrast(cells_CS), contrast(cells_CS + of_cut_C1 - of_cut_C1.mean())
    assert (one.mean, one.low, one.high, one.p) == pytest.approx((other.mean, other.low, other.high, other.p))
    assert (one.seeds, one.undefined) == (6, 2)


def test_undefined_cells_are_left_out_and_counted() -> None:
    whole = contrast([[0.1, 0.2, 0.3], [0.1, 0.2, math.nan]])
    assert (whole.cells, whole.undefined) == (5, 1)
    assert whole.mean == pytest.approx((0.2 + 0.15) / 2)
    nothing = contrast([[math.nan, math.nan]])
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.p)
    assert (nothing.cells, nothing.undefined) == (0, 2)
    assert math.isnan(contrast([[0.1]]).low)  # one seed says nothing of others
