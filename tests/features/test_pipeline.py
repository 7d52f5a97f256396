"""Laws of the pipeline: what it learns comes from training windows alone, and no window is lost in the distinct rows."""

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.errors import DataError, NotFitted, UnknownName
from qlogad.features.pipeline import FeaturePipeline
from qlogad.logs.dataset import Intake
from qlogad.logs.events import Events, read_events
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.split import SplitBy, make_splits
from qlogad.logs.windows import Window, Windows, make_windows

WORDS = ("open file", "close file now", "send block to disk", "verify", "done with all of it", "retry later please or not")


def log(rows):
    """Events and session windows of (words, label) rows, one session each; lines of sessions are interleaved."""
    places = sorted((i, s) for s, (row, _) in enumerate(rows) for i in range(len(row)))
    order = list(dict.fromkeys(rows[s][0][i] for i, s in places))
    count = len(places)
    events = Events(
        line_E=np.arange(count) * 2 + 5,
        offset_E=np.arange(count) * 10,
        time_E=np.arange(count, dtype=np.float64),
        label_E=np.full(count, -1, dtype=np.int8),
        kind_E=np.zeros(count, dtype=np.int16),
        kinds=("",),
        level_E=np.zeros(count, dtype=np.int16),
        levels=("",),
        component_E=np.zeros(count, dtype=np.int32),
        components=("",),
        text_E=np.asarray([order.index(rows[s][0][i]) for i, s in places], dtype=np.int64),
        texts=tuple(WORDS[v] for v in order),
        values_E=((),) * count,
        member_event_M=np.arange(count),
        member_session_M=np.asarray([s for _, s in places], dtype=np.int64),
        sessions=tuple(f"s{s}" for s in range(len(rows))),
        session_label_S=np.asarray([label for _, label in rows], dtype=np.int8),
        given_part_S=None,
        intake=Intake(),
        parsed=False,
        digest="a log",
    )
    return events, make_windows(events, Window())


rows = st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 1)), min_size=2, max_size=15)
parsers = st.sampled_from([Drain, Identity])


def fitted(events, windows, parser=Drain, views=("ids", "counts"), context=""):
    return FeaturePipeline(views, parser=parser()).fit(events, windows, context)


def sequences_of(pipeline: FeaturePipeline, events: Events, windows: Windows) -> list[tuple[int, ...]]:
    ids = pipeline.event_ids(events)
    return [tuple(ids[windows.row(w)].tolist()) for w in range(len(windows))]


@given(rows, parsers, st.data())
def test_rows_are_distinct_and_give_every_window_back(sessions, parser, data):
    events, windows = log(sessions)
    train = data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, unique=True).map(sorted))
    pipeline = fitted(events, windows.take(train), parser)
    features, labels = pipeline.transform(events, windows)
    expected = list(zip(sequences_of(pipeline, events, windows), windows.label_W.tolist(), strict=True))
    found = [(tuple(row.tolist()), int(labels.window_N[n])) for n, row in enumerate(features.rows())]
    assert [found[n] for n in features.row_W] == expected
    assert found == list(dict.fromkeys(expected))  # distinct, in order of the first window
    assert features.weight_N.sum() == len(windows)
    np.testing.assert_array_equal(features.weight_N, np.bincount(features.row_W))
    assert features.window_keys_W.tolist() == windows.key_W.tolist()
    np.testing.assert_array_equal(features.view("counts").sum(axis=1), features.lengths_N)
    trained, _ = pipeline.transform(events, windows.take(train))
    assert not trained.view("counts")[:, -1].any()


@given(rows, parsers)
def test_rows_apart_are_the_windows_and_what_their_events_say(sessions, parser):
    events, windows = log(sessions)
    events = replace(events, level_E=np.arange(len(events), dtype=np.int32) % 2, levels=("INFO", "ERROR"))
    windows = replace(windows, time_M=windows.time_M + 60)  # as a delay would
    pipeline = fitted(events, windows, parser)
    (apart, labels), (merged, of_merged) = pipeline.transform(events, windows, apart=True), pipeline.transform(events, windows)
    assert [row.tolist() for row in apart.rows()] == [merged.row(n).tolist() for n in merged.row_W]
    assert labels.window_N.tolist() == of_merged.window_N[merged.row_W].tolist() == windows.label_W.tolist()
    assert apart.base == merged.base
    assert apart.seen_N.tolist() == merged.seen_N[merged.row_W].tolist()
    np.testing.assert_array_equal(apart.row_W, np.arange(len(windows)))
    np.testing.assert_array_equal(apart.weight_N, 1)
    np.testing.assert_array_equal(apart.event_line_E, events.line_E[windows.event_M])
    np.testing.assert_array_equal(apart.columns.time_E, windows.time_M)
    np.testing.assert_array_equal(apart.columns.level_E, windows.event_M % 2)
    with pytest.raises(DataError, match="keep windows apart"):
        _ = merged.columns


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_columns_hold_the_variable_parts_of_each_message(numbers, random):
    """Whether a mask cut them out or the parser found them to vary; put into the template they give the message back."""
    events, _ = log([([random.randrange(6) for _ in row], 0) for row in numbers])
    texts = tuple(f"{text} <:NUM:> of {word}" for text in events.texts for word in ("one", "two"))
    values = [str(n) for n in np.random.default_rng(0).integers(0, 99, size=len(events))]
    events = replace(
        events, texts=texts, text_E=2 * events.text_E + np.arange(len(events)) % 2, values_E=tuple((value,) for value in values)
    )
    windows = make_windows(events, Window())
    features, _ = fitted(events, windows).transform(events, windows, apart=True)
    columns = features.columns
    for e, event in enumerate(windows.event_M):
        found = [columns.values[p] for p in columns.value_P[columns.value_offsets_E1[e] : columns.value_offsets_E1[e + 1]]]
        template = re.sub(r"<\*>|<:\w+:>", "{}", features.vocabulary[features.ids_E[e]])
        assert template.format(*found) == texts[events.text_E[event]].replace("<:NUM:>", values[event])


@given(rows, st.data())
def test_event_lines_are_those_of_the_first_window(sessions, data):
    events, windows = log(sessions)
    features, _ = fitted(events, windows).transform(events, windows)
    n = data.draw(st.integers(0, len(features) - 1))
    first = int(np.flatnonzero(features.row_W == n)[0])
    lines = features.event_line_E[features.offsets_N1[n] : features.offsets_N1[n + 1]]
    assert lines.tolist() == events.line_E[windows.row(first)].tolist()


@given(rows, st.randoms(use_true_random=False))
def test_shuffling_windows_gives_the_same_rows_and_weights(sessions, random):
    events, windows = log(sessions)
    order = list(range(len(windows)))
    random.shuffle(order)
    pipeline = fitted(events, windows)

    def contents(some):
        features, labels = pipeline.transform(events, some)
        return Counter(
            {(tuple(row.tolist()), int(labels.window_N[n])): int(features.weight_N[n]) for n, row in enumerate(features.rows())}
        )

    assert contents(windows.take(order)) == contents(windows)


@given(rows, parsers, st.data())
def test_the_vocabulary_is_what_training_windows_show(sessions, parser, data):
    events, windows = log(sessions)
    train = data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, unique=True))
    pipeline = fitted(events, windows.take(train), parser)
    shown = np.unique(windows.take(train).event_M)
    texts = [events.texts[events.text_E[e]] for e in range(len(events))]
    assert pipeline.vocabulary_ == tuple(
        dict.fromkeys(texts[e] for e in shown)
    )  # source order; these texts are their own templates
    for text, v in zip(texts, pipeline.event_ids(events).tolist(), strict=True):
        assert v == (pipeline.vocabulary_.index(text) if text in pipeline.vocabulary_ else len(pipeline.vocabulary_))


@given(rows, st.data())
def test_seen_marks_the_sequences_of_training(sessions, data):
    events, windows = log(sessions)
    train = windows.take(data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, unique=True)))
    pipeline = fitted(events, train)
    known = set(sequences_of(pipeline, events, train))
    features, _ = pipeline.transform(events, windows)
    assert features.seen_N.tolist() == [tuple(row.tolist()) in known for row in features.rows()]
    assert pipeline.transform(events, train)[0].seen_N.all()


@given(rows, parsers, st.data())
def test_state_restores_the_pipeline(sessions, parser, data):
    events, windows = log(sessions)
    train = windows.take(data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, unique=True)))
    pipeline = fitted(events, train, parser)
    again = FeaturePipeline.from_state(json.loads(json.dumps(pipeline.state())))
    (one, one_labels), (two, two_labels) = pipeline.transform(events, windows), again.transform(events, windows)
    assert one.base == two.base
    assert one.vocabulary == two.vocabulary
    for name in ("ids", "counts"):
        assert one.view_digest(name) == two.view_digest(name)
    np.testing.assert_array_equal(one.seen_N, two.seen_N)
    np.testing.assert_array_equal(one_labels.window_N, two_labels.window_N)
    assert again.state() == pipeline.state()


@given(rows)
def test_the_base_digest_covers_everything_and_nothing_else(sessions):
    events, windows = log([*sessions, ([0, 1], 0)])
    base = fitted(events, windows).base_
    assert fitted(*log([*sessions, ([0, 1], 0)])).base_ == base
    assert fitted(events, windows, views=("ids",)).base_ == base  # views do not enter: contenders with other views share the base
    longer = replace(windows, key_W=windows.key_W.astype("U99"))
    changed = {
        "data": fitted(replace(events, digest="another log"), windows),
        "parser": fitted(events, windows, Identity),
        "windows": fitted(events, windows.take(range(len(windows) - 1))),
        "order of windows": fitted(events, windows.take(range(len(windows))[::-1])),
        "labels": fitted(events, replace(windows, label_W=1 - windows.label_W)),
        "times": fitted(events, replace(windows, time_M=windows.time_M + 1)),
        "vocabulary": fitted(replace(events, texts=tuple(text.upper() for text in events.texts)), windows),
        "context": fitted(events, windows, context="another split"),
    }
    assert fitted(events, longer).base_ == base
    assert [name for name, other in changed.items() if other.base_ == base] == []


def test_a_line_in_several_windows_is_parsed_once_and_in_source_order():
    events, _ = log([([2, 0, 1, 0], 0)])
    overlapping = make_windows(events, Window(by="count", size=3, stride=1))
    backwards = overlapping.take(range(len(overlapping))[::-1])
    assert fitted(events, backwards).vocabulary_ == tuple(WORDS[v] for v in (2, 0, 1))


def test_no_windows_no_rows():
    events, windows = log([([0, 1], 0)])
    features, labels = fitted(events, windows).transform(events, windows.take([]))
    assert len(features) == len(labels.window_N) == 0
    assert features.view("counts").shape == (0, 3)


def test_errors_tell_the_next_step():
    events, windows = log([([0, 1], 0), ([1], 0)])
    with pytest.raises(UnknownName, match="did you mean 'counts'"):
        FeaturePipeline(("count",), parser=Drain())
    with pytest.raises(NotFitted, match="call fit"):
        FeaturePipeline(parser=Drain()).transform(events, windows)
    with pytest.raises(DataError, match="no training windows"):
        FeaturePipeline(parser=Drain()).fit(events, windows.take([]))
    with pytest.raises(DataError, match="1 of 2 windows have no label"):
        fitted(events, windows).transform(events, replace(windows, label_W=np.asarray([0, -1], dtype=np.int8)))


@pytest.mark.real
def test_real_hdfs_at_three_cuts():
    from qlogad.logs.hdfs import Hdfs

    folder = Path(os.environ["QLOGAD_DATA"]) / "hdfs"
    stem = "hdfs_raw_2pct_early"
    events = read_events(Hdfs(str(folder / f"{stem}.log.xz"), str(folder / f"{stem}.labels_and_keys.csv.xz")))
    windows = make_windows(events, Window())
    assert sorted(windows.event_M.tolist()) == sorted(events.member_event_M.tolist())
    assert (windows.label_W >= 0).all()
    for split in make_splits(windows, SplitBy()):
        past = np.concatenate([split.train, split.validation])
        assert windows.end_W[past].max() < split.time < windows.start_W[split.test].min()
        normal = windows.label_W == 0
        open_share = normal[split.in_flight].sum() / (normal[split.in_flight].sum() + normal[past].sum())
        assert 0.2 < open_share < 0.5  # so many sessions are open at once that a split by lines would train on the future
        train = windows.take(split.train[normal[split.train]])
        pipeline = FeaturePipeline(("ids", "counts"), parser=Drain()).fit(events, train, split.name)
        features, labels = pipeline.transform(events, windows.take(split.test))
        assert len(features) < len(split.test)
        assert features.weight_N.sum() == len(split.test)
        assert features.weight_N[labels.window_N == 1].sum() == (windows.label_W[split.test] == 1).sum()
