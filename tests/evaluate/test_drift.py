"""Laws of drift between two periods: nothing is new where nothing is, p values are scipy's, and equal rates are not told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from qlogad.errors import DataError
from qlogad.evaluate.compare import holm
from qlogad.evaluate.drift import drift

pairs = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=8)


@given(pairs)
def test_new_and_vanished_are_counted_and_p_values_are_those_of_g_tests(counts: list[tuple[int, int]]) -> None:
    before, after = [one for one, _ in counts], [other for _, other in counts]
    found = drift(before, after)
    assert found.new.tolist() == [place for place, (one, other) in enumerate(counts) if not one and other]
    assert found.vanished.tolist() == [place for place, (one, other) in enumerate(counts) if one and not other]
    both = [place for place, (one, other) in enumerate(counts) if one and other]
    tables = [[[before[place], sum(before) - before[place]], [after[place], sum(after) - after[place]]] for place in both]
    p = [
        chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue if np.all(np.sum(table, axis=0)) else 1.0
        for table in tables
    ]
    assert found.p_T[both] == pytest.approx(holm(p), abs=1e-9)
    assert np.isnan(np.delete(found.p_T, both)).all()
    assert found.changed.tolist() == [place for place in both if found.p_T[place] <= 0.05]


@given(pairs)
def test_it_is_the_same_backwards(counts: list[tuple[int, int]]) -> None:
    before, after = [one for one, _ in counts], [other for _, other in counts]
    there, back = drift(before, after), drift(after, before)
    assert there.new.tolist() == back.vanished.tolist()
    assert there.changed.tolist() == back.changed.tolist()


def test_equal_rates_are_rarely_told_apart_and_other_rates_are() -> None:
    random = np.random.default_rng(0)
    rates = random.dirichlet(np.full(30, 3.0))
    false = sum(len(drift(random.multinomial(4000, rates), random.multinomial(2000, rates)).changed) > 0 for _ in range(200))
    assert false <= 22, "a family of tests at .05 errs in one of twenty periods"
    other = rates.copy()
    other[[0, 1]] = rates[0] / 4, rates[1] + 3 * rates[0] / 4
    assert 0 in drift(random.multinomial(40_000, rates), random.multinomial(20_000, other)).changed


@pytest.mark.parametrize(("before", "after"), [([1], [1, 2]), ([-1], [1]), ([[1]], [[1]]), (1, 2)])
def test_counts_that_are_none_are_refused(before: object, after: object) -> None:
    with pytest.raises(DataError, match="two counts"):
        drift(before, after)
