"""Laws of windows: nothing is lost, nothing is invented, and time runs forward inside each."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.documents import from_mapping
from qlogad.errors import DataError, DocumentError
from qlogad.experiment.data import data_of
from qlogad.logs.dataset import Intake
from qlogad.logs.events import Events, read_events
from qlogad.logs.windows import Window, Windows, complete, longest_silence, make_windows

from .samples import SAMPLES


def table(times, sessions=(), labels=None, kinds=None, session_label=None):
    """Events with these times; `sessions` lists the sessions that each line names."""
    count = len(times)
    pairs = [(e, s) for e, named in enumerate(sessions) for s in sorted(named)]
    size = 1 + max((s for _, s in pairs), default=-1)
    return Events(
        line_E=np.arange(count) + 1,
        offset_E=np.arange(count) * 10,
        time_E=np.asarray(times, dtype=np.float64),
        label_E=np.asarray(labels if labels is not None else [-1] * count, dtype=np.int8),
        kind_E=np.asarray(kinds if kinds is not None else [0] * count, dtype=np.int16),
        kinds=("", "order", "latency"),
        level_E=np.zeros(count, dtype=np.int16),
        levels=("",),
        component_E=np.zeros(count, dtype=np.int32),
        components=("",),
        text_E=np.zeros(count, dtype=np.int64),
        texts=("a message",),
        values_E=((),) * count,
        member_event_M=np.asarray([e for e, _ in pairs], dtype=np.int64),
        member_session_M=np.asarray([s for _, s in pairs], dtype=np.int64),
        sessions=tuple(f"s{s}" for s in range(size)),
        session_label_S=None if session_label is None else np.asarray(session_label[:size], dtype=np.int8),
        given_part_S=None,
        intake=Intake(),
        parsed=False,
        digest="",
    )


moments = st.one_of(st.integers(0, 40).map(float), st.just(math.nan))
lines = st.lists(st.tuples(moments, st.sets(st.integers(0, 4), max_size=3), st.sampled_from([-1, 0, 1])), min_size=1, max_size=40)


def built(rows):
    times, sessions, labels = zip(*rows, strict=True)
    return table(times, sessions, labels)


def pairs_of(windows: Windows) -> list[tuple[str, int]]:
    return [(str(windows.key_W[w]), int(e)) for w in range(len(windows)) for e in windows.row(w)]


def check_shape(events: Events, windows: Windows):
    """What holds of windows of any kind."""
    assert windows.offsets_W1[0] == 0
    assert windows.offsets_W1[-1] == len(windows.event_M) == len(windows.time_M)
    assert (windows.lengths_W > 0).all()
    np.testing.assert_array_equal(windows.time_M, events.time_E[windows.event_M])
    for w in range(len(windows)):
        row = windows.row(w)
        times = events.time_E[row]
        known = times[~np.isnan(times)]
        assert (np.diff(known) >= 0).all()
        steps = [(t, e) for t, e in zip(times, row, strict=True) if not math.isnan(t)]
        assert steps == sorted(steps)
        expected = (known[0], known[-1]) if len(known) else (math.nan, math.nan)
        np.testing.assert_array_equal((windows.start_W[w], windows.end_W[w]), expected)
        if len(known) == 0:
            assert (np.diff(row) > 0).all()


@given(lines)
def test_sessions_hold_every_membership_once(rows):
    events = built(rows)
    if len(events.member_event_M) == 0:
        with pytest.raises(DataError, match="no line names a session"):
            make_windows(events, Window())
        return
    windows = make_windows(events, Window())
    check_shape(events, windows)
    members = zip(events.member_event_M.tolist(), events.member_session_M.tolist(), strict=True)
    assert sorted(pairs_of(windows)) == sorted((f"s{s}", e) for e, s in members)
    assert len(set(windows.key_W.tolist())) == len(windows)


@given(lines, st.integers(1, 12), st.integers(1, 12))
def test_count_windows(rows, size, stride):
    events = built(rows)
    windows = make_windows(events, Window(by="count", size=size, stride=stride))
    check_shape(events, windows)
    assert (windows.lengths_W[:-1] == size).all()
    assert windows.lengths_W[-1] <= size
    covered = set(windows.event_M.tolist())
    if stride <= size:
        assert covered == set(range(len(events)))
    for before, after in zip(range(len(windows) - 1), range(1, len(windows)), strict=True):
        shared = set(windows.row(before).tolist()) & set(windows.row(after).tolist())
        assert len(shared) == max(0, min(size - stride, len(windows.row(after))))
        assert set(windows.row(after).tolist()) - shared  # no window only repeats the tail of the one before


@given(lines, st.integers(1, 12))
def test_disjoint_count_windows_partition_the_events(rows, size):
    windows = make_windows(built(rows), Window(by="count", size=size))
    assert sorted(windows.event_M.tolist()) == list(range(len(rows)))
    assert len(windows) == math.ceil(len(rows) / size)


@given(lines, st.floats(0.1, 50), st.floats(0.1, 50))
def test_time_windows(rows, seconds, stride):
    events = built(rows)
    window = Window(by="time", seconds=seconds, stride=stride)
    if np.isnan(events.time_E).all():
        with pytest.raises(DataError, match="no line has a time"):
            make_windows(events, window)
        return
    windows = make_windows(events, window)
    check_shape(events, windows)
    assert (windows.end_W - windows.start_W <= seconds)[~np.isnan(windows.end_W)].all()
    if stride <= seconds:
        assert set(windows.event_M.tolist()) == set(range(len(events)))
    disjoint = make_windows(events, Window(by="time", seconds=seconds))
    assert sorted(disjoint.event_M.tolist()) == list(range(len(events)))


@given(lines.filter(lambda rows: not any(math.isnan(t) for t, _, _ in rows)), st.integers(1, 9), st.integers(1, 9))
def test_a_time_window_holds_exactly_the_events_of_its_seconds(rows, seconds, stride):
    events = built(rows)
    windows = make_windows(events, Window(by="time", seconds=seconds, stride=stride))
    first = events.time_E.min()
    found = {tuple(sorted(windows.row(w).tolist())) for w in range(len(windows))}
    every = [first + k * stride for k in range(60)]
    expected = [tuple(np.flatnonzero((events.time_E >= start) & (events.time_E < start + seconds)).tolist()) for start in every]
    assert found <= set(expected)
    assert all(any(set(other) <= set(row) for row in found) for other in expected if other)


@given(lines, st.lists(st.sampled_from([-1, 0, 1]), min_size=5, max_size=5))
def test_labels_come_from_their_owner(rows, session_label):
    times, sessions, labels = zip(*rows, strict=True)
    if not any(sessions):
        return
    by_line = make_windows(table(times, sessions, labels), Window())
    for w in range(len(by_line)):
        known = [labels[e] for e in by_line.row(w) if labels[e] >= 0]
        assert by_line.label_W[w] == (max(known) if known else -1)
    by_session = make_windows(table(times, sessions, labels, session_label=session_label), Window())
    assert by_session.label_W.tolist() == [session_label[int(key[1:])] for key in by_session.key_W]


def test_kind_is_that_of_the_first_anomalous_line():
    events = table([1, 2, 3, 4], labels=[0, 1, 1, 0], kinds=[0, 2, 1, 0])
    windows = make_windows(events, Window(by="count", size=3))
    assert windows.kind_W.tolist() == ["latency", ""]
    owned = make_windows(table([1, 2], [{0}, {1}], kinds=[1, 1], session_label=[0, 1]), Window())
    assert owned.kind_W.tolist() == ["", "order"]  # a normal window is of no kind


@given(lines, st.integers(1, 6), st.data())
def test_take_keeps_whole_windows_and_equal_content_has_an_equal_digest(rows, size, data):
    windows = make_windows(built(rows), Window(by="count", size=size))
    chosen = data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=6))
    taken = windows.take(chosen)
    assert taken.key_W.tolist() == [windows.key_W[w] for w in chosen]
    assert [taken.row(c).tolist() for c in range(len(taken))] == [windows.row(w).tolist() for w in chosen]
    assert windows.take(range(len(windows))).digest() == windows.digest()
    wide = replace(taken, key_W=taken.key_W.astype("U40"))
    assert wide.digest() == taken.digest()
    assert replace(taken, label_W=taken.label_W + np.int8(1)).digest() != taken.digest() or not chosen


def test_a_line_without_time_stays_behind_the_one_before_it():
    events = table([5, math.nan, 3], [{0}, {0}, {0}])
    assert make_windows(events, Window()).event_M.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"by": "count"}, "need size"),
        ({"by": "time"}, "need seconds"),
        ({"by": "session", "size": 3}, "have no size"),
        ({"by": "session", "stride": 3}, "have no stride"),
        ({"by": "count", "size": 3, "seconds": 2}, "have no seconds"),
        ({"by": "count", "size": 0}, "above 0"),
        ({"by": "count", "size": 3, "stride": 1.5}, "integer number of events"),
        ({"by": "time", "seconds": -1.0}, "above 0"),
        ({"by": "hour"}, "by"),
    ],
)
def test_documents_are_validated_in_one_line(content, message):
    with pytest.raises(DocumentError, match=message) as caught:
        from_mapping(Window, content, "data.window")
    assert "\n" not in str(caught.value)


def test_an_empty_log_has_no_windows():
    with pytest.raises(DataError, match="no events"):
        make_windows(table([]), Window(by="count", size=2))


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("bgl", Window("count", size=10, stride=7)),
        ("bgl", Window("count", size=30, stride=45)),
        ("bgl", Window("time", seconds=3000.0)),
        ("synthetic", Window("time", seconds=3000.0, stride=1100)),
        ("hdfs", Window()),
        ("sequences", Window()),
    ],
)
def test_complete_windows_stay_what_they_are_when_the_log_goes_on(name: str, window: Window, tmp_path: Path) -> None:
    sample = SAMPLES[name](tmp_path)
    dataset = data_of(sample.data, "sample").open()
    lines = sample.log.read_text().splitlines()
    whole = read_events(dataset, lines=lines)
    later = make_windows(whole, window)
    silence = longest_silence(later)
    for many in (2, len(lines) // 3, len(lines) // 2, len(lines)):
        events = read_events(dataset, lines=lines[:many])
        windows = make_windows(events, window)
        done_W = complete(events, windows, window, silence)
        assert len(done_W) == len(windows)
        assert done_W.mean() > 0.5 or many < 200
        assert not done_W[-1] or window.by == "count" or dataset.parsed
        key_W = {key: w for w, key in enumerate(later.key_W)}
        for w in np.flatnonzero(done_W):
            now, then = windows.row(w), later.row(key_W[windows.key_W[w]])
            assert events.line_E[now].tolist() == whole.line_E[then].tolist()
