"""Laws of the shared base and of the views on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad import names
from qlogad.errors import DataError
from qlogad.features.features import Features, Labels

sequences = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=12)


def with_views(rows, size):
    features = Features.from_sequences(rows, size=size)
    for name in names.known("view"):
        features = names.find("view", name)().add(features)
    return features


def test_views_are_found_by_their_file_names():
    assert {"ids", "counts"} <= set(names.known("view"))


@given(sequences, st.integers(1, 7))
def test_counts_count_and_the_last_column_is_the_unseen(rows, size):
    features = with_views(rows, size)
    counts_NV = features.view("counts")
    assert counts_NV.shape == (len(rows), size + 1)
    np.testing.assert_array_equal(counts_NV.sum(axis=1), features.lengths_N)
    for row, counts in zip(rows, counts_NV, strict=True):
        assert counts[size] == sum(v >= size for v in row)
        assert all(counts[v] == row.count(v) for v in range(size))


@given(sequences, st.integers(1, 7), st.randoms(use_true_random=False))
def test_counts_forget_the_order(rows, size, random):
    shuffled = [random.sample(row, len(row)) for row in rows]
    np.testing.assert_array_equal(with_views(rows, size).view("counts"), with_views(shuffled, size).view("counts"))


@given(sequences, st.integers(1, 7), st.data())
def test_a_view_is_a_function_of_its_row(rows, size, data):
    """Taking rows and adding views commute."""
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, unique=True))
    taken = with_views(rows, size).take(chosen)
    alone = with_views([rows[n] for n in chosen], size)
    np.testing.assert_array_equal(taken.ids_E, alone.ids_E)
    np.testing.assert_array_equal(taken.offsets_N1, alone.offsets_N1)
    for name in taken.views:
        np.testing.assert_array_equal(taken.view(name), alone.view(name))


@given(sequences, st.integers(1, 7))
def test_ids_are_the_base_itself(rows, size):
    features = Features.from_sequences(rows, size=size)
    assert names.find("view", "ids")().add(features) is features
    assert [row.tolist() for row in features.rows()] == [[min(v, size) for v in row] for row in rows]


def test_view_digests_tell_rows_and_views_apart():
    one, same, other = with_views([[0, 1]], 2), with_views([[0, 1]], 2), with_views([[1, 0]], 2)
    assert one.view_digest("counts") == same.view_digest("counts")
    assert one.view_digest("ids") != other.view_digest("ids")
    assert one.view_digest("ids") != one.view_digest("counts")


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="no view 'counts'"):
        Features.from_sequences([[0]]).view("counts")
    with pytest.raises(DataError, match="0 or more"):
        Features.from_sequences([[0, -1]])
    with pytest.raises(DataError, match="labels are 0"):
        Labels(np.asarray([0, -1]))
