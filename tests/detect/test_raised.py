"""Laws of alarms: the event that is named is the odd one wherever a detector can see it, and none where it judges windows as a whole."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import names
from qlogad.detect.detector import EXPECTED, Detector
from qlogad.detect.floors.markov import Markov
from qlogad.detect.floors.new_event import NewEvent
from qlogad.detect.floors.ngram import NGram
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.sequences.loganomaly import LogAnomaly
from qlogad.detect.threshold import Threshold
from qlogad.features.features import Features
from qlogad.nn.core import Classical

SIZE = 6
NORMAL = [[place % SIZE for place in range(length)] for length in (10, 11, 12, 13)] * 10  # every event has one successor

SMALL = {"epochs": 300, "lr": 0.03, "history": 3, "embedding": 8}
MAKERS = {
    "new-event": NewEvent,
    "2-gram": lambda: NGram(n=2),
    "3-gram": lambda: NGram(n=3),
    "4-gram": lambda: NGram(n=4),
    "markov": Markov,
    "markov of order 2, nll": lambda: Markov(order=2, score="nll"),
    "deeplog": lambda: DeepLog(core=Classical(hidden=12), **SMALL),
    "loganomaly": lambda: LogAnomaly(core=Classical(hidden=12), epochs=300, lr=0.03, history=3, counted="history"),
    "deeplog, nll": lambda: DeepLog(core=Classical(hidden=12), score="nll", **SMALL),
}


def reads_apart(detector: type[Detector]) -> bool:
    """Whether it reads more of events than their ids; such floors have laws of their own (test_apart_floors.py)."""
    return any(names.find("view", view).apart for view in detector.reads)


def short(name: str) -> Detector:
    cls: type[Detector] = names.find("detector", name)
    return cls(**({"epochs": 2} if "epochs" in cls.__dataclass_fields__ else {}))


KNOWN = {name: cls for name in names.known("detector") if not reads_apart(cls := names.find("detector", name))}
WHOLE = {name: partial(short, name) for name, cls in KNOWN.items() if cls.event_score is Detector.event_score}
BY_TYPE = [name for name in KNOWN if name not in WHOLE and KNOWN[name] not in {type(make()) for make in MAKERS.values()}]


@cache
def fitted(name: str) -> Detector:
    return (MAKERS | WHOLE)[name]().fit(NORMAL, [0, 1] * 20, validation=NORMAL)


def raised(name: str, windows: list[list[int]]) -> tuple[Features, np.ndarray]:
    features = Features.from_sequences(windows, size=SIZE)
    return features, fitted(name).raised_by(features, fitted(name).anomaly_score(features))


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(10, 13), st.integers(0, 12), st.integers(1, SIZE)), min_size=1, max_size=6))
def test_the_one_odd_event_is_named_and_what_training_had_in_its_place(name: str, plants: list[tuple[int, int, int]]) -> None:
    windows, odd = [], []
    for length, place, shift in plants:
        window = [at % SIZE for at in range(length)]
        place = min(place, length - 1)
        window[place] = SIZE if shift == SIZE or name == "new-event" else (window[place] + shift) % SIZE
        windows.append(window)
        odd.append(place)
    features, event_N = raised(name, windows)
    assert (event_N - features.offsets_N1[:-1]).tolist() == odd
    expected = fitted(name).expected(features, event_N)
    for ids, place in zip(expected, odd, strict=True):
        assert len(ids) <= EXPECTED
        assert ids[:1] in ([], [place % SIZE])
        assert ids or name == "new-event" or (name in ("3-gram", "4-gram") and place < 2)  # no n-gram ends there


@pytest.mark.parametrize("name", [*MAKERS, *WHOLE])
def test_windows_without_an_event_to_blame_name_none(name: str) -> None:
    windows = [[], [0, 1, 2], [SIZE] * 40, [5, 4, 3, 2, 1, 0]]
    features, event_N = raised(name, windows)
    inside = (event_N >= features.offsets_N1[:-1]) & (event_N < features.offsets_N1[1:])
    assert (inside | (event_N == -1)).all()
    assert event_N[0] == -1
    if name in WHOLE:
        assert (event_N == -1).all()


@pytest.mark.parametrize("name", BY_TYPE)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_who_judges_events_by_their_type_names_the_one_of_a_type_that_normal_windows_lack(
    name: str, places: list[int], seed: int
) -> None:
    windows = [np.random.default_rng(seed + n).permutation([0, 0, 1, 2, 3, 4]).tolist() for n in range(len(places))]
    for window, place in zip(windows, places, strict=True):
        window.insert(place, 5)
    features = Features.from_sequences(windows, size=SIZE, views=told_apart(name).views_)
    event_N = told_apart(name).raised_by(features, told_apart(name).anomaly_score(features))
    assert (event_N - features.offsets_N1[:-1]).tolist() == places


@cache
def told_apart(name: str) -> Detector:
    """Fitted on windows of equal counts, those with an event of type 5 being the anomalies that a supervised detector sees."""
    normal = [[0, 0, 1, 2, 3, 4]] * 20
    anomalies = [[5, *window] for window in normal] if KNOWN[name].supervised else []
    train = [*normal, *anomalies]
    labels = [0] * len(normal) + [1] * len(anomalies)
    features = Features.from_sequences(train, size=SIZE, views=KNOWN[name].reads)
    return short(name).fit(features, labels, validation=normal)


scores = st.one_of(st.sampled_from([np.nan, -1.0, 0.0, np.inf]), st.integers(1, 4).map(float))


@given(st.lists(st.lists(scores, max_size=5), max_size=6), st.sampled_from([-1.0, 0.0, 1.0, 2.5, np.inf]), st.booleans())
def test_the_first_event_that_alone_raises_the_alarm_is_named_else_the_first_of_the_highest(
    rows: list[list[float]], value: float, tops: bool
) -> None:
    def score(row: list[float]) -> float:
        return max((s for s in row if s == s), default=0.0) + (0 if tops else 7)

    def named(row: list[float]) -> int:
        opinions = [0.0 if s != s else s for s in row]
        best = max(opinions, default=0.0)
        alone = [place for place, s in enumerate(opinions) if s > max(value, 0.0) and best == score(row)]
        return -1 if best <= 0 else alone[0] if alone else opinions.index(best)

    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    threshold = Threshold(value, "fpr", 0.01, 1)
    found = threshold.raised_by([s for row in rows for s in row], offsets, [score(row) for row in rows])
    expected = [-1 if (place := named(row)) < 0 else place + int(start) for row, start in zip(rows, offsets, strict=False)]
    assert found.tolist() == expected
