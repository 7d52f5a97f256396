"""Laws of splits: parts are disjoint and complete, and training never sees what lies behind the cut."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.documents import from_mapping
from qlogad.errors import DataError, DocumentError
from qlogad.logs.dataset import Dataset, LogRecord
from qlogad.logs.events import read_events
from qlogad.logs.split import Split, SplitBy, given_parts, make_splits
from qlogad.logs.windows import Window, Windows, make_windows


def intervals(pairs, labels=None):
    """Windows of two events each, from a start to an end; NaN for no time."""
    time_M = np.asarray(pairs, dtype=np.float64).reshape(-1)
    count = len(pairs)
    return Windows(
        event_M=np.arange(2 * count),
        time_M=time_M,
        offsets_W1=np.arange(count + 1) * 2,
        key_W=np.asarray([str(w) for w in range(count)]),
        start_W=time_M[::2],
        end_W=time_M[1::2],
        label_W=np.asarray(labels if labels is not None else [0] * count, dtype=np.int8),
        kind_W=np.full(count, ""),
    )


stretches = st.tuples(st.integers(0, 1000), st.integers(0, 200)).map(lambda pair: (float(pair[0]), float(sum(pair))))
no_time = st.just((math.nan, math.nan))
many = st.lists(st.one_of(stretches, stretches, stretches, no_time), min_size=4, max_size=60)


def check_parts(split: Split, count: int):
    parts = [split.train, split.validation, split.test, split.in_flight]
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    for part in parts:
        assert (np.diff(part) > 0).all()


@given(many, st.floats(0.05, 0.95), st.floats(0.05, 0.6))
def test_a_time_split_keeps_the_future_out_of_training(pairs, cut, validation):
    windows = intervals(pairs)
    try:
        (split,) = make_splits(windows, SplitBy(cuts=(cut,), validation=validation))
    except DataError as error:
        assert "leaves no windows for" in str(error) or "no window has a time" in str(error)  # noqa: PT017
        return
    check_parts(split, len(pairs))
    past = np.concatenate([split.train, split.validation])
    assert all((windows.time_M.reshape(-1, 2)[w] < split.time).all() for w in past)
    assert all((windows.time_M.reshape(-1, 2)[w] > split.time).all() for w in split.test)
    assert windows.start_W[split.train].max() <= windows.start_W[split.validation].min()
    assert len(split.validation) == round(validation * len(past))
    assert all(math.isnan(windows.start_W[w]) or windows.start_W[w] <= split.time <= windows.end_W[w] for w in split.in_flight)


@given(st.lists(stretches, min_size=20, max_size=60), st.randoms(use_true_random=False))
def test_a_time_split_does_not_depend_on_the_order_of_windows(pairs, random):
    pairs = [(start + 0.001 * w, end + 0.001 * w) for w, (start, end) in enumerate(pairs)]  # no ties
    pairs += [(0.5, 0.6), (1.5, 1.6), (1300.5, 1300.6)]
    shuffled = list(range(len(pairs)))
    random.shuffle(shuffled)
    (one,) = make_splits(intervals(pairs), SplitBy(cuts=(0.5,), validation=0.5))
    (two,) = make_splits(intervals([pairs[w] for w in shuffled]), SplitBy(cuts=(0.5,), validation=0.5))
    for part in ("train", "validation", "test", "in_flight"):
        assert sorted(shuffled[w] for w in getattr(two, part)) == getattr(one, part).tolist()


@given(st.integers(20, 100), st.floats(0.3, 0.7))
def test_an_order_split_has_nothing_in_flight(count, cut):
    (split,) = make_splits(intervals([(math.nan, math.nan)] * count), SplitBy(by="order", cuts=(cut,)))
    check_parts(split, count)
    assert len(split.in_flight) == 0
    assert math.isnan(split.time)
    assert split.train.max() < split.validation.min() <= split.validation.max() < split.test.min()


@given(st.lists(st.sampled_from(["train", "test", ""]), min_size=0, max_size=40))
def test_a_given_split_is_taken_as_it_is(parts):
    parts = ["train"] * 4 + ["test"] + parts
    (split,) = make_splits(intervals([(0.0, 1.0)] * len(parts)), SplitBy(by="given"), np.asarray(parts))
    check_parts(split, len(parts))
    assert split.name == "given"
    assert {parts[w] for w in np.concatenate([split.train, split.validation])} == {"train"}
    assert {parts[w] for w in split.test} == {"test"}
    assert {parts[w] for w in split.in_flight} <= {""}


@dataclass(frozen=True)
class Parted(Dataset):
    """One line per session; the source says where some of them belong."""

    parts: tuple[str, ...]

    def records(self, intake):
        for s in range(len(self.parts)):
            intake.lines += 1
            intake.records += 1
            yield LogRecord(s + 1, 0, math.nan, (f"s{s}",), "", "", "a message", -1)

    def source_digest(self):
        return ""

    def text(self, lines):
        return dict.fromkeys(lines, "a message")

    def given_split(self):
        return {f"s{s}": part for s, part in enumerate(self.parts) if part} or None


@given(st.lists(st.sampled_from(["train", "test", ""]), min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_given_parts_follow_their_sessions(parts, random):
    events = read_events(Parted(tuple(parts)))
    order = random.sample(range(len(parts)), len(parts))
    found = given_parts(events, make_windows(events, Window()).take(order))
    assert (None if found is None else found.tolist()) == ([parts[s] for s in order] if any(parts) else None)


def test_unlabelled_windows_are_split_like_all_others():
    pairs = [(float(t), float(t)) for t in range(20)]
    (one,) = make_splits(intervals(pairs, [-1] * 20), SplitBy(cuts=(0.5,)))
    (two,) = make_splits(intervals(pairs, [0, 1] * 10), SplitBy(cuts=(0.5,)))
    assert one.train.tolist() == two.train.tolist()
    assert one.test.tolist() == two.test.tolist()


def test_every_cut_has_a_name_of_its_own():
    windows = intervals([(float(t), float(t)) for t in range(100)])
    names = [split.name for split in make_splits(windows, SplitBy(cuts=(0.4, 0.55, 0.555)))]
    assert names == ["0.40", "0.55", "0.555"]


def test_errors_tell_the_next_step():
    with pytest.raises(DataError, match="by = 'order'"):
        make_splits(intervals([(math.nan, math.nan)] * 9), SplitBy())
    with pytest.raises(DataError, match="by = 'time'"):
        make_splits(intervals([(0.0, 1.0)] * 9), SplitBy(by="given"))
    with pytest.raises(DataError, match=r"cut '0\.40' leaves no windows for train"):
        make_splits(intervals([(0.0, 9.0)] * 9), SplitBy())
    with pytest.raises(DataError, match="leaves no windows for test"):
        make_splits(intervals([(float(t), float(t)) for t in range(9)] + [(0.0, 100.0)]), SplitBy())
    with pytest.raises(DataError, match="leaves no windows for validation"):
        make_splits(intervals([(0.0, 0.0), (10.0, 10.0)]), SplitBy())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"cuts": [0.0]}, "between 0 and 1"),
        ({"cuts": [1.5]}, "between 0 and 1"),
        ({"cuts": []}, "at least one cut"),
        ({"cuts": [0.5, 0.5]}, "once"),
        ({"validation": 1.0}, "validation must be between 0 and 1"),
        ({"by": "random"}, "by"),
    ],
)
def test_documents_are_validated_in_one_line(content, message):
    with pytest.raises(DocumentError, match=message) as caught:
        from_mapping(SplitBy, content, "data.split")
    assert "\n" not in str(caught.value)
