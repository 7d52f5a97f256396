"""Windows as plain lists or as a DataFrame: the same detector, the same scores; what is neither is refused in one line."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad import names
from qlogad.detect.detector import Detector
from qlogad.detect.floors.markov import Markov
from qlogad.errors import DataError

SMALL = {"epochs": 1}
WINDOWS = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=6), min_size=1, max_size=8)


def frame(windows: list[list[int]], *, keys: str = "text", mix: np.random.Generator | None = None) -> pd.DataFrame:
    """One row per event; with `mix`, rows of several windows are interleaved, each window's own order and first event kept."""
    number_E = np.repeat(np.arange(len(windows)), [len(row) for row in windows])
    named_E = pd.Series([f"w{99 - number}" for number in number_E], dtype="object") if keys == "text" else pd.Series(number_E * -3)
    if keys == "category":
        named_E = named_E.astype("category")
    unknown = {"time": np.nan, "level": "", "values": None, "text": ""}  # as in lists of ids
    table = pd.DataFrame({"other": 0.5, "window": named_E, "event": [event for row in windows for event in row]} | unknown)
    if mix is None:
        return table
    first_E = ~table["window"].duplicated().to_numpy()
    later_E = np.flatnonzero(~first_E)
    number_L = mix.permutation(number_E[later_E])  # whose turn it is
    turns = {number: iter(np.flatnonzero((number_E == number) & ~first_E)) for number in range(len(windows))}
    return table.iloc[[*np.flatnonzero(first_E), *(next(turns[number]) for number in number_L)]]


def small(name: str) -> Detector:
    cls = names.find("detector", name)
    detector: Detector = cls(**{key: value for key, value in SMALL.items() if key in cls.__dataclass_fields__})
    return detector


@pytest.mark.parametrize("name", names.known("detector"))
@pytest.mark.parametrize("keys", ["text", "number", "category"])
def test_a_frame_is_the_lists_it_was_made_of(name: str, keys: str) -> None:
    random = np.random.default_rng(0)
    train, held, test = ([random.integers(5, size=size).tolist() for size in random.integers(1, 9, size=12)] for _ in range(3))
    labels = random.permutation([0, 1] * 6)  # read by supervised detectors alone
    lists = small(name).fit(train, labels, validation=held)
    framed = small(name).fit(frame(train, keys=keys, mix=random), labels, validation=frame(held, keys=keys))
    for windows in (test, frame(test, keys=keys, mix=random)):
        np.testing.assert_array_equal(framed.score_samples(windows), lists.score_samples(test))
        np.testing.assert_array_equal(framed.predict(windows), lists.predict(test))


@given(WINDOWS, st.integers(0, 2**32 - 1))
def test_windows_come_in_the_order_in_which_they_are_met(windows: list[list[int]], seed: int) -> None:
    detector = Markov().fit([[0, 1, 2, 3]])
    mixed = frame(windows, mix=np.random.default_rng(seed))
    np.testing.assert_array_equal(detector.score_samples(mixed), detector.score_samples(windows))


BAD: dict[str, tuple[Any, str]] = {
    "no window column": (pd.DataFrame({"windows": [1], "event": [1]}), "did you mean 'windows'"),
    "no event column": (pd.DataFrame({"window": [1], "events": [[1]]}), "did you mean 'events'"),
    "a missing event": (pd.DataFrame({"window": [1, 1], "event": [1, None]}), "lacks 1 value"),
    "missing windows": (pd.DataFrame({"window": [None, None], "event": [1, 2]}), "lacks 2 values"),
    "names for events": (pd.DataFrame({"window": [1], "event": ["a"]}), "pandas.factorize"),
    "a part of an event": (pd.DataFrame({"window": [1], "event": [1.5]}), "integers of 0 or more"),
    "an event below 0": (pd.DataFrame({"window": [1], "event": [-1]}), "0 or more"),
    "nothing": (pd.DataFrame({"window": [], "event": []}), "no training windows"),
    "lists of names": ([["a", "b"]], "pandas.factorize"),
    "lists of parts": ([[0.5]], "integers of 0 or more"),
    "one flat list": ([1, 2, 3], "a window must be a list"),
    "lists of lists": ([[[1], [2, 3]]], "a window must be a list"),
    "truths": ([[True]], "integers of 0 or more"),
    "a text": ("abc", "a window must be a list"),
    "ids without end": ([[10**12]], "number the events from 0"),
    "ids beyond any number": ([[10**30]], "integers of 0 or more"),
}


@pytest.mark.parametrize(("windows", "says"), BAD.values(), ids=BAD)
def test_what_are_no_windows_is_refused_in_one_line(windows: Any, says: str) -> None:
    with pytest.raises(DataError) as caught:
        Markov().fit(windows)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
