"""Laws of injections: each alters what it says and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.inject import inject, parse_spec
from qlogad.logs.windows import Windows
from qlogad.seeds import generator


def normals(rows, *, timed=True):
    """Normal windows of these event types, one event per type and place, and the types by event."""
    id_E = np.asarray([v for row in rows for v in row], dtype=np.int64)
    offsets_W1 = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    time_M = np.arange(len(id_E), dtype=np.float64) if timed else np.full(len(id_E), math.nan)
    windows = Windows(
        event_M=np.arange(len(id_E)),
        time_M=time_M,
        offsets_W1=offsets_W1,
        key_W=np.asarray([f"w{w}" for w in range(len(rows))]),
        start_W=time_M[offsets_W1[:-1]],
        end_W=time_M[offsets_W1[1:] - 1],
        label_W=np.zeros(len(rows), dtype=np.int8),
        kind_W=np.full(len(rows), ""),
    )
    return windows, id_E


sequences = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=12)
seeds = st.integers(0, 2**32)
specs = st.sampled_from(["swap:1", "swap:3", "move:1", "move:3", "repeat:1", "repeat:2", "delay:60", "delay:0.5"])


def altered_pairs(windows, id_E, spec, seed):
    """(types before, types after, window) of the altered windows, after checking what holds of every injection."""
    result = inject(windows, id_E, spec, generator(seed))
    assert result.key_W.tolist() == windows.key_W.tolist()
    assert len(result.event_M) == len(result.time_M) == result.offsets_W1[-1]
    assert set(result.label_W.tolist()) <= {0, 1}
    found = []
    for w in range(len(windows)):
        assert result.kind_W[w] == (spec if result.label_W[w] else "")
        if result.label_W[w]:
            found.append((id_E[windows.row(w)].tolist(), id_E[result.row(w)].tolist(), w))
        else:
            assert result.row(w).tolist() == windows.row(w).tolist()
    return result, found


@given(sequences, seeds, st.integers(1, 4))
def test_swap(rows, seed, steps):
    windows, id_E = normals(rows)
    result, found = altered_pairs(windows, id_E, f"swap:{steps}", seed)
    np.testing.assert_array_equal(result.time_M, windows.time_M)
    for before, after, _ in found:
        assert sorted(before) == sorted(after)
        first, second = (i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
        assert second - first == steps


@given(sequences, seeds, st.integers(1, 4))
def test_move(rows, seed, steps):
    windows, id_E = normals(rows)
    result, found = altered_pairs(windows, id_E, f"move:{steps}", seed)
    np.testing.assert_array_equal(result.time_M, windows.time_M)
    for before, after, w in found:
        assert sorted(before) == sorted(after)
        assert before != after
        moved = [int(e) - int(windows.row(w)[i]) for i, e in enumerate(result.row(w))]
        assert sum(abs(step) for step in moved) == 2 * steps  # one event goes `steps` places, `steps` others give way by one


@given(sequences, seeds, st.integers(1, 4))
def test_repeat(rows, seed, more):
    windows, id_E = normals(rows)
    _, found = altered_pairs(windows, id_E, f"repeat:{more}", seed)
    for before, after, _ in found:
        extra = np.bincount(after, minlength=4) - np.bincount(before, minlength=4)
        assert sorted(extra.tolist()) == [0, 0, 0, more]
        assert any(before[:i] + [before[i]] * more + before[i:] == after for i in range(len(before)))


@given(sequences, seeds, st.sampled_from([0.5, 60.0]))
def test_delay(rows, seed, seconds):
    windows, id_E = normals(rows)
    result, found = altered_pairs(windows, id_E, f"delay:{seconds}", seed)
    np.testing.assert_array_equal(result.event_M, windows.event_M)
    np.testing.assert_array_equal(result.start_W, windows.start_W)
    for _, _, w in found:
        stretch = slice(windows.offsets_W1[w], windows.offsets_W1[w + 1])
        late = (result.time_M - windows.time_M)[stretch]
        assert late[0] == 0
        assert late[-1] == seconds == result.end_W[w] - windows.end_W[w]
        assert set(late.tolist()) == {0.0, seconds}
        assert (np.diff(late) >= 0).all()
    kept = result.label_W == 0
    np.testing.assert_array_equal(result.end_W[kept], windows.end_W[kept])


@given(sequences, seeds, specs)
def test_the_same_seed_gives_the_same_bytes(rows, seed, spec):
    windows, id_E = normals(rows)
    assert inject(windows, id_E, spec, generator(seed)).digest() == inject(windows, id_E, spec, generator(seed)).digest()


@pytest.mark.parametrize("spec", ["swap:3", "move:3", "repeat:2", "delay:60"])
def test_about_half_are_altered_and_every_place_can_be(spec):
    windows, id_E = normals([[0, 1, 2, 3, 4, 5]] * 4000)
    result = inject(windows, id_E, spec, generator(0))
    assert abs(int(result.label_W.sum()) - 2000) < 5 * math.sqrt(1000)
    if spec != "delay:60":
        variants = {tuple(id_E[result.row(w)].tolist()) for w in np.flatnonzero(result.label_W)}
        assert len(variants) == {"swap:3": 3, "move:3": 6, "repeat:2": 6}[spec]


@given(seeds, st.integers(1, 3))
def test_what_cannot_be_altered_stays_normal(seed, steps):
    alike, id_E = normals([[1] * 6, [2]])
    for spec in (f"swap:{steps}", f"move:{steps}"):
        assert inject(alike, id_E, spec, generator(seed)).label_W.tolist() == [0, 0]
    timeless, id_E = normals([[0, 1, 2]] * 8, timed=False)
    assert not inject(timeless, id_E, "delay:60", generator(seed)).label_W.any()
    short, id_E = normals([[0, 1]] * 8)
    assert not inject(short, id_E, "swap:2", generator(seed)).label_W.any()


def test_only_normals_are_taken():
    windows, id_E = normals([[0, 1], [1, 0]])
    anomalous = inject(windows, id_E, "swap:1", generator(3))
    assert anomalous.label_W.any()
    with pytest.raises(AssertionError):
        inject(anomalous, id_E, "swap:1", generator(0))


@pytest.mark.parametrize(
    "spec", ["", "swap", "swap:0", "swap:x", "swap:1.5", "turn:3", "delay:-1", "delay:nan", "repeat:inf", "swap:1e30"]
)
def test_a_wrong_spec_is_refused(spec):
    with pytest.raises(DataError, match="an injection must be written"):
        parse_spec(spec)
