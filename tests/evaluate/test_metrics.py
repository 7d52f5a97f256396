"""Metrics against scikit-learn's on random data, and what holds where scikit-learn has no answer."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from qlogad.errors import DataError
from qlogad.evaluate.metrics import Confusion, Metrics, confusion, effective_n, measure, pr_curve

seeds = st.integers(0, 2**32 - 1)


def windows(seed: int, *, infinite: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, alarms, labels of both classes, weights."""
    random = np.random.default_rng(seed)
    n = int(random.integers(4, 60))
    scores_N = random.integers(-3, 9, size=n).astype(float)
    if infinite:
        scores_N[scores_N == 8] = np.inf
        scores_N[scores_N == -3] = -np.inf
    labels_N = np.concatenate([[0, 1], random.integers(0, 2, size=n - 2)])
    return scores_N, scores_N > 2, labels_N, random.integers(1, 9, size=n).astype(float)


@settings(deadline=None)
@given(seeds)
def test_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed)
    found = measure(scores_N, alarms_N, labels_N, weight_N)
    weighted = {"sample_weight": weight_N}
    assert found.pr_auc == pytest.approx(reference.average_precision_score(labels_N, scores_N, **weighted))
    assert found.roc_auc == pytest.approx(reference.roc_auc_score(labels_N, scores_N, **weighted))
    assert found.recall == pytest.approx(reference.recall_score(labels_N, alarms_N, **weighted))
    assert found.specificity == pytest.approx(reference.recall_score(labels_N, alarms_N, pos_label=0, **weighted))
    assert found.f1 == pytest.approx(reference.f1_score(labels_N, alarms_N, **weighted))
    assert found.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels_N, alarms_N, **weighted))
    assert found.all_positive_f1 == pytest.approx(reference.f1_score(labels_N, np.ones(len(labels_N)), **weighted))
    if alarms_N.any():
        assert found.precision == pytest.approx(reference.precision_score(labels_N, alarms_N, **weighted))
    if 0 < alarms_N.sum() < len(alarms_N):
        assert found.mcc == pytest.approx(reference.matthews_corrcoef(labels_N, alarms_N, **weighted))


@settings(deadline=None)
@given(seeds)
def test_a_weight_is_a_repetition(seed: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed, infinite=True)
    again = np.repeat(np.arange(len(scores_N)), weight_N.astype(int))
    heavy = dataclasses.asdict(measure(scores_N, alarms_N, labels_N, weight_N))
    long = dataclasses.asdict(measure(scores_N[again], alarms_N[again], labels_N[again]))
    for about_rows in ("distinct", "distinct_anomalies", "effective_n"):
        del heavy[about_rows], long[about_rows]
    assert heavy == pytest.approx(long, nan_ok=True)


@settings(deadline=None)
@given(seeds)
def test_ranking_metrics_depend_on_the_order_of_scores_alone(seed: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed, infinite=True)
    ranks_N = np.unique(scores_N, return_inverse=True)[1] ** 3.0
    infinite, finite = measure(scores_N, alarms_N, labels_N, weight_N), measure(ranks_N, alarms_N, labels_N, weight_N)
    assert (infinite.pr_auc, infinite.roc_auc) == (finite.pr_auc, finite.roc_auc)
    reverse = measure(-scores_N, alarms_N, labels_N, weight_N)
    assert infinite.roc_auc + reverse.roc_auc == pytest.approx(1.0)


@settings(deadline=None)
@given(seeds, st.sampled_from([0, 1]))
def test_one_class_leaves_metrics_undefined_and_warns_of_nothing(seed: int, label: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed)
    found = measure(scores_N, alarms_N, np.full_like(labels_N, label), weight_N)
    undefined = ["roc_auc", "mcc", "balanced_accuracy", "specificity" if label else "recall"]
    assert all(math.isnan(getattr(found, name)) for name in undefined)
    assert (found.base_rate, found.all_positive_f1) == (label, label)


def test_no_windows_and_no_alarms_are_undefined_rather_than_errors() -> None:
    empty = measure([], [], [])
    assert (empty.n, empty.distinct, empty.false_alarms, empty.effective_n) == (0, 0, 0, 0)
    assert math.isnan(empty.f1)
    assert math.isnan(empty.pr_auc)
    silent = measure([1.0, 2.0], [False, False], [0, 1])
    assert math.isnan(silent.precision)
    assert math.isnan(silent.mcc)
    assert (silent.recall, silent.f1, silent.specificity) == (0, 0, 1)


@settings(deadline=None)
@given(seeds)
def test_weightless_rows_do_not_exist(seed: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed)
    with_ghosts = measure(
        np.append(scores_N, [np.inf, -5.0]),
        np.append(alarms_N, [True, False]),
        np.append(labels_N, [0, 1]),
        np.append(weight_N, [0, 0]),
    )
    without = measure(scores_N, alarms_N, labels_N, weight_N)
    assert dataclasses.asdict(with_ghosts) == pytest.approx(dataclasses.asdict(without), nan_ok=True)


@settings(deadline=None)
@given(seeds)
def test_confusion_counts_every_window_once_and_works_on_arrays(seed: int) -> None:
    _, alarms_N, labels_N, weight_N = windows(seed)
    one = confusion(alarms_N, labels_N, weight_N)
    cells = [one.true_positive, one.false_positive, one.true_negative, one.false_negative]
    assert sum(cells) == weight_N.sum()
    assert measure(alarms_N, alarms_N, labels_N, weight_N).false_alarms == one.false_positive
    two = Confusion(*[np.array([cell, 2 * cell]) for cell in cells])
    for name in ("precision", "recall", "f1", "specificity", "mcc", "balanced_accuracy"):
        np.testing.assert_allclose(getattr(two, name), [getattr(one, name)] * 2, rtol=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(2, 5))
def test_effective_n_lies_between_one_and_the_number_of_patterns(weight: list[int], factor: int) -> None:
    found = effective_n(weight)
    assert 1 - 1e-9 <= found <= len(weight) + 1e-9
    assert effective_n([factor * w for w in weight]) == pytest.approx(found)
    assert effective_n(weight * factor) == pytest.approx(factor * found)


@settings(deadline=None)
@given(seeds)
def test_the_curve_ends_at_the_base_rate_with_everything_recalled(seed: int) -> None:
    scores_N, alarms_N, labels_N, weight_N = windows(seed)
    precision_G, recall_G = pr_curve(scores_N, labels_N, weight_N)
    assert (np.diff(recall_G) >= 0).all()
    assert recall_G[-1] == 1
    assert precision_G[-1] == pytest.approx(measure(scores_N, alarms_N, labels_N, weight_N).base_rate)


@pytest.mark.parametrize(
    ("scores", "labels", "weight"), [([1.0], [0, 1], None), ([np.nan], [0], None), ([1.0], [2], None), ([1.0], [1], [-1.0])]
)
def test_what_cannot_be_judged_is_refused(scores: list[float], labels: list[int], weight: list[float] | None) -> None:
    with pytest.raises(DataError):
        measure(scores, [True] * len(scores), labels, weight)


def test_every_metric_is_a_plain_number() -> None:
    found = measure([1.0, 2.0], [False, True], [0, 1], [3, 1])
    assert all(type(getattr(found, field.name)) in (int, float) for field in dataclasses.fields(Metrics))
