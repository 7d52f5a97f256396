"""A DataFrame with a row per event is the lists it was made of, in whatever order windows alternate; else it is refused in one line."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad import Features, names
from qlogad.detect.floors.gap import Gap
from qlogad.errors import DataError
from qlogad.features.frame import ATTRIBUTES
from qlogad.features.view import Columns

EVENTS = st.fixed_dictionaries(
    {
        "event": st.integers(0, 6),
        "time": st.floats(-1e9, 1e10, width=32) | st.none(),
        "level": st.sampled_from(["", "INFO", "WARN", "Ärger"]),
        "component": st.text(max_size=3),
        "values": st.lists(st.text(max_size=3), max_size=3),
        "text": st.text(max_size=5),
    }
)
WINDOWS = st.lists(st.lists(EVENTS, min_size=1, max_size=5), min_size=1, max_size=6)


def frame_of(windows: list[list[dict[str, Any]]], mix: np.random.Generator, names_of: dict[str, str]) -> pd.DataFrame:
    """Rows of several windows interleaved, the order of windows and of events in each kept; row labels repeat."""
    turns = [number for number, row in enumerate(windows) for _ in row[1:]]
    waiting = [iter(row) for row in windows]
    order = [*range(len(windows)), *mix.permutation(turns)]
    rows = [{"window": f"w{99 - number}"} | next(waiting[number]) for number in order]
    table = pd.DataFrame(rows).rename(columns=names_of)
    return table.set_axis(np.zeros(len(table), dtype=int))


def lists_of(windows: list[list[dict[str, Any]]], key: str) -> list[list[Any]]:
    return [[np.nan if event[key] is None else event[key] for event in row] for row in windows]


@given(WINDOWS, st.integers(0, 2**32 - 1), st.sets(st.sampled_from(["window", "event", *ATTRIBUTES])))
def test_a_frame_is_the_lists_it_was_made_of(windows: list[list[dict[str, Any]]], seed: int, renamed: set[str]) -> None:
    called = {name: f"my {name}" for name in renamed}
    frame = frame_of(windows, np.random.default_rng(seed), called)
    before = frame.copy(deep=True)
    wanted = Features.from_sequences(
        lists_of(windows, "event"), **{argument: lists_of(windows, key) for key, argument in ATTRIBUTES.items()}
    )
    found = Features.from_frame(frame, **called)
    pd.testing.assert_frame_equal(frame, before)
    np.testing.assert_array_equal(found.ids_E, wanted.ids_E)
    np.testing.assert_array_equal(found.offsets_N1, wanted.offsets_N1)
    for field in dataclasses.fields(Columns):
        np.testing.assert_array_equal(getattr(found.columns, field.name), getattr(wanted.columns, field.name))


@given(st.lists(st.integers(-(10**9), 4 * 10**9) | st.none(), min_size=1, max_size=9), st.sampled_from(["s", "ms", "us", "ns"]))
def test_datetimes_are_seconds_since_1970(seconds: list[int | None], unit: str) -> None:
    frame = pd.DataFrame({"window": 0, "event": 0, "time": pd.Series(seconds, dtype="Int64").astype("Float64")})
    stamps = pd.Series(np.asarray([np.datetime64("NaT" if one is None else one, "s") for one in seconds]).astype(f"M8[{unit}]"))
    for times in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")):
        found = Features.from_frame(frame.assign(time=times)).columns.time_E
        np.testing.assert_array_equal(found, Features.from_frame(frame).columns.time_E)
        np.testing.assert_array_equal(found, [np.nan if one is None else one for one in seconds])


APART = [
    name for name in names.known("detector") if any(names.find("view", one).apart for one in names.find("detector", name).reads)
]


@pytest.mark.parametrize("name", APART)
def test_detectors_read_what_a_frame_says_of_events(name: str) -> None:
    """Those that read more of an event than its id: whole frames give the scores of the features they make, and not those of ids."""
    random = np.random.default_rng(0)
    windows = [
        [
            {
                "event": int(random.integers(3)),
                "time": float(random.random()),
                "level": str(random.choice(["INFO", "WARN"])),
                "component": "",
                "values": [str(random.integers(20))],
                "text": str(random.choice(["link is up", "disk is full", "took <*> ms"])),
            }
            for _ in range(random.integers(2, 7))
        ]
        for _ in range(60)
    ]
    odd = [
        [
            {**event, "time": 99.0 * place, "level": "FATAL", "values": ["10000"], "text": "no such words"}
            for place, event in enumerate(row)
        ]
        for row in windows
    ]
    train, test, late = (frame_of(part, random, {}) for part in (windows[:40], windows[40:], odd[40:]))
    cls = names.find("detector", name)
    labels = random.permutation([0, 1] * 20)  # read by supervised detectors alone
    framed = cls().fit(train, labels, validation=train)
    features = Features.from_frame(train, views=cls.reads)
    listed = cls().fit(features, labels, validation=(features, None))
    for part in (test, late):
        wanted = listed.score_samples(Features.from_frame(part, size=features.size, views=features.views))
        np.testing.assert_array_equal(framed.score_samples(part), wanted)
    assert not np.array_equal(framed.score_samples(test), framed.score_samples(late)), "it sees what is odd about events"


def changed(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"window": ["a", "a"], "event": [0, 1]} | columns)


BAD: dict[str, tuple[pd.DataFrame, dict[str, str], str]] = {
    "no such column": (changed(), {"time": "ts"}, "'ts' is not among"),
    "a near one": (changed(times=[0, 1]), {"time": "tims"}, "did you mean 'times'"),
    "times as text": (changed(time=["2020-01-01", "2020-01-02"]), {}, "pandas.to_datetime"),
    "truths": (changed(time=[True, False]), {}, "must hold times"),
    "no end": (changed(time=[0.0, np.inf]), {}, "infinite time"),
    "levels as numbers": (changed(level=[30, 40]), {}, "must hold text, got 30"),
    "components as lists": (changed(component=[["a"], ["b"]]), {}, "must hold text"),
    "values as text": (changed(values=["a", "b"]), {}, "must hold lists of text"),
    "values as numbers": (changed(values=[[1], [2]]), {}, "must hold lists of text"),
    "no windows": (pd.DataFrame({"event": [0]}), {}, "'window' is not among"),
    "a window twice": (pd.DataFrame([["a", "b", 0]], columns=["window", "window", "event"]), {}, "2 columns named 'window'"),
    "a time twice": (pd.DataFrame([["a", 0, 1, 2]], columns=["window", "event", "time", "time"]), {}, "2 columns named 'time'"),
    "an event is missing": (changed(event=[0, None]), {}, "lacks 1 value"),
}


@pytest.mark.parametrize(("frame", "columns", "says"), BAD.values(), ids=BAD)
def test_what_is_no_such_frame_is_refused_in_one_line(frame: pd.DataFrame, columns: dict[str, str], says: str) -> None:
    with pytest.raises(DataError) as caught:
        Features.from_frame(frame, **columns)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    if not columns:
        with pytest.raises(DataError):
            Gap().fit(frame)


@pytest.mark.parametrize("name", APART)
def test_a_frame_without_what_a_view_needs_is_refused(name: str) -> None:
    """When fitting and when scoring alike, with the column that is missing and the nearest that is there."""
    cls = names.find("detector", name)
    needs = [need for view in cls.reads for need in names.find("view", view).needs]
    said = {"time": [0.0, 1.0], "level": ["a", "b"], "component": ["c", "c"], "values": [["1"], ["2"]], "text": ["up", "down"]}
    whole = pd.DataFrame({"window": ["a", "b"], "event": [0, 1]} | said)
    detector = cls().fit(whole, [0, 1], validation=whole)
    for need in needs:
        frame = whole.rename(columns={need: f"my{need}"})
        for use in (cls().fit, detector.score_samples):
            with pytest.raises(DataError, match=rf"'{need}' is not among .*did you mean 'my{need}'.*from_frame\(frame, {need}="):
                use(frame)


def test_a_column_that_no_view_needs_is_not_looked_at() -> None:
    detector = names.find("detector", "markov")()
    detector.fit(changed(time=["yesterday", "today"], level=[1, 2]))
