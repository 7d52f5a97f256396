"""Lists of strings kept as bytes are the lists they were made of, whole, in parts and one after another."""

from hypothesis import given
from hypothesis import strategies as st

from qlogad.logs.reading.pieces import Ragged

lists = st.lists(st.lists(st.text(alphabet=st.characters(codec=None), max_size=4), max_size=3).map(tuple), max_size=6)


@given(lists, lists, st.data())
def test_ragged_lists_are_the_lists_they_were_made_of(
    first: list[tuple[str, ...]], second: list[tuple[str, ...]], data: st.DataObject
) -> None:
    whole = Ragged.joined([Ragged.of(first), Ragged.of(second)])
    assert list(whole) == first + second
    assert whole == Ragged.of(first + second)
    cut = data.draw(st.slices(len(whole)))
    assert list(whole[cut]) == (first + second)[cut]
    if first:
        assert whole[-len(whole)] == first[0]
    assert list(Ragged.joined([])) == []
