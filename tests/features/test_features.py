"""Laws of the shared base and of the views on it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad import names
from qlogad.errors import DataError, QlogadError
from qlogad.features.features import Features, Labels

sequences = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=12)
sizes = st.integers(1, 7)
VIEWS = names.known("view")


def facts(seed, rows):
    """What every event of some rows says beside its id, much of it unknown."""
    random = np.random.default_rng(seed)
    return {
        "times": [np.where(random.random(len(row)) < 0.2, np.nan, np.cumsum(random.exponential(5, len(row)))) for row in rows],
        "levels": [random.choice(["INFO", "WARN", "ERROR", ""], size=len(row)).tolist() for row in rows],
        "components": [random.choice(["a", "b"], size=len(row)).tolist() for row in rows],
        "values": [
            [random.choice(["7", "12.5", "-3", "blk", ""], size=random.integers(0, 4)).tolist() for _ in row] for row in rows
        ],
        "texts": [random.choice(["took <*> ms", "done", "disk sda1 done", ""], size=len(row)).tolist() for row in rows],
    }


bases = st.builds(
    lambda rows, size, seed: (rows, size, facts(seed, rows)), sequences, sizes, st.integers(0, 99)
)  # sequences, V, what their events say


def made(base, views=VIEWS):
    rows, size, known = base
    return Features.from_sequences(rows, size=size, **known, views=views)


def test_views_are_found_by_their_file_names():
    assert {"ids", "counts"} <= set(VIEWS)


@given(sequences, sizes)
def test_counts_count_and_the_last_column_is_the_unseen(rows, size):
    features = Features.from_sequences(rows, size=size)
    counts_NV = features.view("counts")
    assert counts_NV.shape == (len(rows), size + 1)
    np.testing.assert_array_equal(counts_NV.sum(axis=1), features.lengths_N)
    for row, counts in zip(rows, counts_NV, strict=True):
        assert counts[size] == sum(v >= size for v in row)
        assert all(counts[v] == row.count(v) for v in range(size))


@given(sequences, sizes, st.randoms(use_true_random=False))
def test_counts_forget_the_order(rows, size, random):
    shuffled = [random.sample(row, len(row)) for row in rows]
    one, other = (Features.from_sequences(given, size=size).view("counts") for given in (rows, shuffled))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", VIEWS)
@given(base=bases)
def test_a_view_has_the_rows_that_it_says(name, base):
    features = made(base)
    kind = names.find("view", name)
    rows = {"template": features.size, "row": len(features), "event": len(features.ids_E)}[kind.of]
    assert features.view(name).ndim == 2
    assert len(features.view(name)) == rows
    assert features.view(name).dtype == np.float64
    assert not np.isinf(features.view(name)).any()


@pytest.mark.parametrize("name", VIEWS)
@given(base=bases, data=st.data())
def test_a_view_is_a_function_of_its_row(name, base, data):
    """Taking rows and making views commute."""
    features = made(base)
    chosen = data.draw(st.lists(st.integers(0, len(features) - 1), min_size=1, unique=True))
    taken, whole = features.take(chosen), features.view(name)
    if names.find("view", name).of == "event":
        whole = np.concatenate([whole[features.offsets_N1[n] : features.offsets_N1[n + 1]] for n in chosen])
    elif names.find("view", name).of == "row":
        whole = whole[chosen]
    np.testing.assert_array_equal(taken.view(name), whole)


@pytest.mark.parametrize("name", VIEWS)
@given(train=bases, test=bases)
def test_a_fitted_view_comes_back_from_its_state(name, train, test):
    fitted = made(train).views
    again = {one: type(view).from_state(json.loads(json.dumps(view.state()))) for one, view in fitted.items()}
    other = (test[0], train[1], test[2])
    assert again == fitted
    np.testing.assert_array_equal(made(other, again).view(name), made(other, fitted).view(name))
    assert made(other, again).digest([name]) == made(other, fitted).digest([name])


@pytest.mark.parametrize("name", VIEWS)
@given(train=bases, seed=st.integers(0, 9))
def test_only_an_apart_view_reads_more_than_ids(name, train, seed):
    rows, size, said = train
    told = facts(1000 + seed, rows)
    one, other = made(train), made((rows, size, told), made(train).views)
    if not names.find("view", name).apart:
        np.testing.assert_array_equal(one.view(name), other.view(name))
        assert one.digest([name]) == other.digest([name])
    elif repr(told) != repr(said):
        assert one.digest([name]) != other.digest([name])


@given(base=bases, data=st.data())
def test_columns_of_taken_rows_are_those_of_the_rows(base, data):
    features = made(base, ())
    _, _, known = base
    chosen = data.draw(st.lists(st.integers(0, len(features) - 1), min_size=1, unique=True))
    taken = features.take(chosen).columns
    offsets = taken.value_offsets_E1.tolist()
    values = [[taken.values[p] for p in taken.value_P[a:b]] for a, b in pairwise(offsets)]
    np.testing.assert_array_equal(taken.time_E, np.concatenate([known["times"][n] for n in chosen]))
    assert [taken.levels[p] for p in taken.level_E] == [level for n in chosen for level in known["levels"][n]]
    assert [taken.components[p] for p in taken.component_E] == [one for n in chosen for one in known["components"][n]]
    assert [taken.texts[p] for p in taken.text_E] == [one for n in chosen for one in known["texts"][n]]
    assert values == [own for n in chosen for own in known["values"][n]]


@given(sequences, sizes)
def test_ids_are_the_base_itself(rows, size):
    features = Features.from_sequences(rows, size=size)
    np.testing.assert_array_equal(features.view("ids")[:, 0], features.ids_E)
    assert [row.tolist() for row in features.rows()] == [[min(v, size) for v in row] for row in rows]


def test_digests_tell_rows_and_views_apart():
    one, same, other = (Features.from_sequences([row], size=2) for row in ([0, 1], [0, 1], [1, 0]))
    for digest in (Features.view_digest, lambda features, name: features.digest([name])):
        assert digest(one, "counts") == digest(same, "counts")
        assert digest(one, "ids") != digest(other, "ids")
        assert digest(one, "ids") != digest(one, "counts")


def test_wrong_input_is_refused():
    with pytest.raises(QlogadError, match="did you mean 'counts'"):
        Features.from_sequences([[0]]).view("count")
    with pytest.raises(DataError, match="0 or more"):
        Features.from_sequences([[0, -1]])
    with pytest.raises(DataError, match="labels must be 0"):
        Labels(np.asarray([0, -1]))
    with pytest.raises(DataError, match="times must be lists as long as the windows"):
        Features.from_sequences([[0, 1]], times=[[0.0]])
