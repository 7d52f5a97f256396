"""A threshold keeps the rate it promises, is as low as it can be, and knows multiplicities, ties and infinities."""

import ast
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.metrics import f1_score

import qlogad
from qlogad import documents, names
from qlogad.detect.floors.length import Length
from qlogad.detect.threshold import Threshold
from qlogad.errors import DataError, DocumentError

scores = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5, 8.0, np.inf]), min_size=1, max_size=40)
rates = st.floats(0, 0.99)


@settings(deadline=None)
@given(scores, rates)
def test_the_rate_is_kept_and_no_lower_threshold_keeps_it(values: list[float], fpr: float) -> None:
    threshold = Threshold.at_rate(values, fpr)
    assert threshold(values).mean() <= fpr + 1e-9
    lower = [value for value in values if value < threshold.value]
    if lower:
        assert (np.array(values) > max(lower)).mean() > fpr
    assert threshold.windows == len(values)


@settings(deadline=None)
@given(scores, rates)
def test_a_higher_rate_never_raises_the_threshold(values: list[float], fpr: float) -> None:
    assert Threshold.at_rate(values, fpr).value <= Threshold.at_rate(values, fpr / 2).value


@settings(deadline=None)
@given(scores, rates, st.integers(0, 2**32 - 1))
def test_a_weight_is_a_repetition(values: list[float], fpr: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    weight_N, labels_N = random.integers(1, 5, size=len(values)), random.integers(0, 2, size=len(values))
    labels_N[0] = 1
    long = np.repeat(values, weight_N)
    assert Threshold.at_rate(values, fpr, weight_N) == Threshold.at_rate(long, fpr)
    assert Threshold.best_f1(values, labels_N, weight_N) == Threshold.best_f1(long, np.repeat(labels_N, weight_N))


@settings(deadline=None)
@given(scores, st.integers(0, 2**32 - 1))
def test_best_f1_is_the_best_of_all_thresholds(values: list[float], seed: int) -> None:
    labels_N = np.random.default_rng(seed).integers(0, 2, size=len(values))
    labels_N[0] = 1
    threshold = Threshold.best_f1(values, labels_N)
    reached = f1_score(labels_N, threshold(values), zero_division=0.0)
    assert reached == pytest.approx(threshold.target)
    assert all(reached >= f1_score(labels_N, np.array(values) >= cut, zero_division=0.0) - 1e-12 for cut in values)


def test_an_equal_score_is_no_alarm_and_a_higher_one_is() -> None:
    threshold = Threshold.at_rate([1.0, 2.0], 0.0)
    assert threshold([1.0, 2.0, np.nextafter(2.0, 3.0), np.inf]).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: Threshold.at_rate([], 0.1),
        lambda: Threshold.at_rate([1.0], 1.0),
        lambda: Threshold.at_rate([1.0, np.nan], 0.1),
        lambda: Threshold.best_f1([1.0, 2.0], [0, 0]),
        lambda: Threshold.best_f1([1.0, 2.0], [1]),
    ],
)
def test_what_gives_no_threshold_is_refused(call: object) -> None:
    with pytest.raises(DataError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["length", "rarity", "knn", "deeplog"])
@pytest.mark.parametrize("value", [9, 2.5, -1.0])
def test_a_number_fixed_by_hand_is_the_threshold_whatever_the_windows(name: str, value: float, tmp_path: Path) -> None:
    cls = names.find("detector", name)
    windows, held = ([[0, 1, 2, 3, 4][: 1 + n % 5] * (1 + n % 3) for n in range(start, start + 20)] for start in (0, 7))
    labels = [n % 2 for n in range(20)] if cls.supervised else None
    few = {"epochs": 1} if name == "deeplog" else {}
    plain = cls(**few).fit(windows, labels, validation=held)
    for validation in (None, held, held[:1]):
        detector = cls(threshold=value, **few).fit(windows, labels, validation=validation)
        assert detector.threshold_ == Threshold.by_hand(value)
        assert_array_equal(detector.predict(held), detector.score_samples(held) > value)
        if validation is held:
            assert_array_equal(detector.score_samples(held), plain.score_samples(held))
    detector.save(tmp_path)
    assert cls.load(tmp_path).threshold_ == detector.threshold_
    assert documents.from_mapping(cls, documents.plain(detector.get_params(deep=False))) == detector


@pytest.mark.parametrize("value", ["f2", True, None, float("nan"), float("inf"), 1e13, [9]])
def test_what_is_no_rule_and_no_number_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="threshold"):
        Length(threshold=value).fit([[0]])
    fits = " must be from -1e" if isinstance(value, float) else ": got .*; known: 'fpr' or 'f1', or a number"
    with pytest.raises(DocumentError, match=f"^a test: threshold{fits}"):
        documents.from_mapping(Length, {"threshold": value}, "a test")


def test_a_threshold_alone_compares_scores_with_it() -> None:
    """Elsewhere nothing whose name says threshold is on either side of a < or >."""
    found = []
    for path in Path(qlogad.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                for sides, operator in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
                    said = " ".join(ast.unparse(side) for side in sides)
                    if isinstance(operator, ast.Gt | ast.GtE | ast.Lt | ast.LtE) and "threshold" in said:
                        found.append(f"{path.name}:{node.lineno} {said}")
    assert found == []


@given(scores, st.sampled_from([-np.inf, 0.5, 2.0, np.inf]))
def test_an_alarm_has_a_margin_above_0(values: list[float], value: float) -> None:
    threshold = Threshold(value, "fpr", 0.01, 1)
    assert ((threshold.margin(values) > 0) == threshold(values)).all()
    assert not np.isnan(threshold.margin(values)).any()
