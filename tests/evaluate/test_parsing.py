"""Laws of parsing accuracy: closed forms on small cases, and what the measures do not depend on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.evaluate.parsing import parsing

templates = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30)


@given(templates)
def test_measures_are_what_their_words_say(pairs) -> None:
    found, truth = [mine for mine, _ in pairs], [true for _, true in pairs]
    got = parsing(found, truth)
    messages = range(len(pairs))

    def same(names: list[str], m: int) -> set[int]:
        return {k for k in messages if names[k] == names[m]}

    right = [mine for mine in set(found) if {truth[m] for m in messages if found[m] == mine} == {mine}]
    assert got.ga == sum(same(found, m) == same(truth, m) for m in messages) / len(pairs)
    assert got.pa == sum(mine == true for mine, true in pairs) / len(pairs)
    assert (got.precision, got.recall) == (len(right) / len(set(found)), len(right) / len(set(truth)))
    assert got.fta == pytest.approx(2 * len(right) / (len(set(found)) + len(set(truth))))


@given(templates, st.randoms(use_true_random=False))
def test_renaming_groups_leaves_grouping_and_reordering_messages_leaves_everything(pairs, random) -> None:
    found, truth = [mine for mine, _ in pairs], [true for _, true in pairs]
    renamed = {mine: number for number, mine in enumerate(random.sample(sorted(set(found)), len(set(found))))}
    assert parsing([str(renamed[mine]) for mine in found], truth).ga == parsing(found, truth).ga
    assert parsing(found, truth, [renamed[mine] for mine in found]) == parsing(found, truth)
    random.shuffle(pairs)
    assert parsing([mine for mine, _ in pairs], [true for _, true in pairs]) == parsing(found, truth)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_the_truth_itself_has_all_and_one_group_has_what_a_single_template_gives(truth) -> None:
    whole = parsing(truth, truth)
    assert (whole.ga, whole.pa, whole.fta) == (1.0, 1.0, 1.0)
    assert parsing(["z"] * len(truth), truth).ga == (1.0 if len(set(truth)) == 1 else 0.0)
    assert parsing(["z"] * len(truth), truth).fta == 0.0


@pytest.mark.parametrize(("found", "truth"), [([], []), (["a"], []), (["a"], ["a", "a"])])
def test_messages_without_a_template_are_refused(found, truth) -> None:
    with pytest.raises(DataError, match="are needed per message"):
        parsing(found, truth)
