"""Statistics: intervals cover, corrections correct, planted differences are found with the stated power."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, false_discovery_control, wilcoxon

from qlogad.errors import DataError
from qlogad.evaluate.compare import (
    contrast,
    detectable,
    detectable_difference,
    holm,
    interval,
    resample,
    resample_confusion,
    sign_flip,
)
from qlogad.evaluate.metrics import confusion, effective_n, roc_auc

seeds = st.integers(0, 2**32 - 1)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def mcnemar_rejects(first_N: np.ndarray, second_N: np.ndarray, alpha: float) -> bool:
    wins, losses = int((first_N & ~second_N).sum()), int((second_N & ~first_N).sum())
    return wins + losses > 0 and binomtest(wins, wins + losses).pvalue <= alpha


@pytest.mark.parametrize(("n", "family"), [(100, 1), (100, 5), (400, 1)])
def test_the_detectable_difference_is_found_with_about_the_stated_power(n: int, family: int) -> None:
    d = detectable_difference(n, family=family)
    random = np.random.default_rng(n + family)
    trials, found = 400, 0
    for _ in range(trials):
        first_N, second_N = random.random((2, n)) < np.array([[0.5 + d / 2], [0.5 - d / 2]])  # independent: the stated discordance
        found += mcnemar_rejects(first_N, second_N, 0.05 / family)
    low, high = binom.interval(0.999, trials, 0.8)
    assert low - 0.06 * trials <= found <= high  # the exact test is a little conservative


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
    found = detectable(labels_N, weight_N, family=3)
    assert found.effective_anomalies == effective_n(weight_N[labels_N == 1])
    assert found.recall == detectable_difference(effective_n(weight_N[labels_N == 1]), family=3)
    assert found.false_positive_rate == detectable_difference(effective_n(weight_N[labels_N == 0]), family=3)


@settings(deadline=None)
@given(seeds)
def test_no_resample_lacks_a_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels_N = np.append(random.integers(0, 2, size=12), [0, 1])
    alarms_N, weight_N = random.integers(0, 2, size=14), random.integers(1, 9, size=14)
    for cluster in (None, random.integers(0, 4, size=14)):
        drawn = resample_confusion(alarms_N, labels_N, weight_N, cluster, resamples=50, seed=seed)
        assert not np.isnan(drawn.recall + drawn.specificity).any()


def test_resamples_have_the_mean_and_the_spread_of_drawing_clusters() -> None:
    random = np.random.default_rng(1)
    labels_N, alarms_N = np.repeat([0, 1], [150, 50]), random.random(200) < 0.4
    weight_N, cluster_N = (
        random.integers(1, 6, size=200).astype(float),
        np.concatenate([np.arange(150) // 3, 50 + np.arange(50) // 2]),
    )
    fast = resample_confusion(alarms_N, labels_N, weight_N, cluster_N, resamples=4000)
    slow = resample(lambda w_N: float(confusion(alarms_N, labels_N, w_N).recall), labels_N, weight_N, cluster_N, resamples=2000)
    assert fast.recall.mean() == pytest.approx(float(confusion(alarms_N, labels_N, weight_N).recall), abs=0.01)
    assert fast.recall.std() == pytest.approx(slow.std(), rel=0.1)
    windows = resample_confusion(alarms_N, labels_N, weight_N, resamples=4000)
    assert windows.recall.std() != pytest.approx(slow.std(), rel=0.01)  # clusters and rows are different units


def test_an_interval_of_a_share_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    trials, covered = 300, 0
    for trial in range(trials):
        alarms_N = random.random(120) < 0.6
        drawn = interval(resample_confusion(alarms_N, np.ones(120), resamples=400, seed=trial).recall)
        covered += drawn.low <= 0.6 <= drawn.high
    assert covered >= binom.ppf(0.001, trials, 0.92)


@settings(deadline=None)
@given(seeds)
def test_detectors_share_their_resamples(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels_N, alarms_KN = np.append(random.integers(0, 2, size=20), [0, 1]), random.integers(0, 2, size=(2, 22)).astype(bool)
    drawn = resample_confusion(np.stack([alarms_KN[0], alarms_KN[1], alarms_KN[0]]), labels_N, resamples=40, seed=seed)
    assert drawn.recall.shape == (40, 3)
    assert np.array_equal(drawn.recall[:, 0], drawn.recall[:, 2])
    again = resample_confusion(np.stack([alarms_KN[0], alarms_KN[1], alarms_KN[0]]), labels_N, resamples=40, seed=seed)
    assert np.array_equal(drawn.f1, again.f1, equal_nan=True)


def test_any_metric_can_be_resampled() -> None:
    random = np.random.default_rng(3)
    labels_N, scores_N = np.repeat([0, 1], 40), np.concatenate([random.normal(0, 1, 40), random.normal(1, 1, 40)])
    values_B = resample(lambda w_N: roc_auc(scores_N, labels_N, w_N), labels_N, resamples=200)
    bounds = interval(values_B)
    assert bounds.low < roc_auc(scores_N, labels_N) < bounds.high
    assert interval([math.nan, 1.0, 1.0]).low == 1.0
    assert math.isnan(interval([math.nan]).low)


def test_nothing_to_resample_is_refused() -> None:
    with pytest.raises(DataError):
        resample_confusion([], [])
    with pytest.raises(DataError):
        resample(lambda w_N: 0.0, [0, 1], [1.0])
    with pytest.raises(DataError):
        detectable_difference(10, family=0)


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


def test_a_contrast_without_difference_is_rejected_as_often_as_its_level_says() -> None:
    random = np.random.default_rng(5)
    trials = 200
    rejected = sum(contrast(random.normal(0, 1, (3, 10)), resamples=10).p <= 0.05 for _ in range(trials))
    assert rejected <= binom.ppf(0.99, trials, 0.05)  # 18 of 200


@settings(deadline=None)
@given(seeds)
def test_a_contrast_is_blind_to_the_order_of_its_cells_and_turns_with_its_sign(seed: int) -> None:
    difference_CS = np.random.default_rng(seed).normal(0.1, 0.1, (3, 6))
    one, other = contrast(difference_CS, resamples=200), contrast(-difference_CS, resamples=200)
    assert (one.mean, one.low, one.high, one.p) == pytest.approx((-other.mean, -other.high, -other.low, other.p))
    assert one.low <= one.mean <= one.high
    shuffled = contrast(difference_CS[::-1, ::-1], resamples=200)
    assert (shuffled.mean, shuffled.p, shuffled.between_cuts) == pytest.approx((one.mean, one.p, one.between_cuts))


def test_cuts_that_differ_widen_the_interval_more_than_seeds_that_differ() -> None:
    cuts_differ = contrast(np.repeat([[0.0], [0.1], [0.2]], 10, axis=1))
    seeds_differ = contrast(np.repeat([np.linspace(0, 0.2, 10)], 3, axis=0))
    assert cuts_differ.mean == pytest.approx(seeds_differ.mean)
    assert cuts_differ.high - cuts_differ.low > seeds_differ.high - seeds_differ.low
    assert (cuts_differ.between_seeds, seeds_differ.between_cuts) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_undefined_cells_are_left_out_and_counted() -> None:
    whole = contrast([[0.1, 0.2, 0.3], [0.1, 0.2, math.nan]])
    assert (whole.cells, whole.undefined) == (5, 1)
    assert whole.mean == pytest.approx((0.2 + 0.15) / 2)
    nothing = contrast([[math.nan, math.nan]])
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.p)
    assert (nothing.cells, nothing.undefined) == (0, 2)
