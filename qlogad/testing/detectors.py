"""Laws of every detector."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from qlogad import documents
from qlogad.arrays import Floats
from qlogad.detect.detector import EXPECTED, Detector
from qlogad.errors import DataError, NotFitted
from qlogad.features.features import Features, Labels
from qlogad.seeds import generator

__all__ = ["check_detector"]


def check_detector(cls: type[Detector], **settings: Any) -> None:
    """Hold a detector to its contract; an AssertionError says which law it breaks.

    Args:
        cls: the detector's class.
        settings: its parameters, small ones for a detector that trains long.

    >>> from qlogad.detect.length import Length
    >>> check_detector(Length)
    """
    with tempfile.TemporaryDirectory() as folder:
        for law in _DETECTOR_LAWS:
            law(partial(cls, **settings), Path(folder))


_SIZE = 6  # event types of the detectors' random windows
Make = Callable[[], Detector]


def _sessions(rows: int, *names: str) -> list[list[int]]:
    """Random windows with a grammar: each event is mostly followed by the next one; every event occurs."""
    random = generator(0, "check_detector", *names)
    starts_N = [list(range(_SIZE)) if n == 0 else [0] for n in range(rows)]
    for window in starts_N:
        for _ in range(int(random.integers(2, 9))):
            window.append((window[-1] + 1) % _SIZE if random.random() < 0.8 else int(random.integers(_SIZE)))
    return starts_N


def _odd() -> list[list[int]]:
    """Windows to be judged: ordinary, empty, of one event, of events not seen in training, long, and a repeated one."""
    ordinary = _sessions(12, "test")
    return [*ordinary, [], [3], [_SIZE], [0, _SIZE + 5, 1], [0] * 60, ordinary[4]]


def _labels(sessions: list[list[int]]) -> list[int]:
    """Labels to learn from: 1 where the first two events are out of turn or the window is long."""
    return [int(len(window) > 6 or window[1:2] != [(window[0] + 1) % _SIZE]) for window in sessions]


def _fitted(make: Make) -> Detector:
    train = _sessions(40, "train")
    return make().fit(train, _labels(train), validation=_sessions(30, "validation"))


def _scores_are_numbers(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    score_N, score_E = detector.anomaly_score(features), detector.event_score(features)
    assert score_N.shape == (len(features),), f"one score per row: {len(features)} rows, scores of shape {score_N.shape}"
    assert score_E.shape == features.ids_E.shape, f"one score per event: {len(features.ids_E)} events, shape {score_E.shape}"
    assert not np.isnan(score_N).any(), "a window's score is never NaN"
    assert np.isfinite(score_N[features.lengths_N == 0]).all(), "an empty window has a finite score"
    assert np.array_equal(detector.score_samples(_odd()), score_N), "lists of event ids and features score alike"


def _rows_are_judged_alone(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    order = generator(0, "check_detector", "order").permutation(len(features))
    score_N = detector.anomaly_score(features)
    _assert_close(detector.anomaly_score(features.take(order)), score_N[order], "order matters")
    single_N = np.concatenate([detector.anomaly_score(features.take([n])) for n in range(len(features))])
    _assert_close(single_N, score_N, "a row's score depends on its neighbours")


def _weight_is_repetition(make: Make, folder: Path) -> None:
    sessions, validation = _sessions(20, "train"), Features.from_sequences(_sessions(30, "validation"), size=_SIZE)
    times = generator(0, "check_detector", "times").integers(1, 4, size=len(sessions)).tolist()
    repeated = [window for window, many in zip(sessions, times, strict=True) for _ in range(many)]
    heavy = make().fit(Features.from_sequences(sessions, weight=times), _labels(sessions), validation=(validation, None))
    long = make().fit(Features.from_sequences(repeated), _labels(repeated), validation=(validation, None))
    message = "a row of weight 3 is to count as three equal rows"
    _assert_close(heavy.score_samples(_odd()), long.score_samples(_odd()), message)


def _fitting_repeats(make: Make, folder: Path) -> None:
    first, second = _fitted(make), _fitted(make)
    train = _sessions(40, "train")
    again = clone(first).fit(train, _labels(train), validation=_sessions(30, "validation"))
    assert clone(first).get_params() == make().get_params() == first.get_params(), (
        "fit does not change parameters, clone keeps them"
    )
    for other in (second, again):
        assert np.array_equal(first.score_samples(_odd()), other.score_samples(_odd())), "equal data and seed, equal scores"
        assert first.threshold_ == other.threshold_, "equal data and seed, equal threshold"


def _input_is_left_alone(make: Make, folder: Path) -> None:
    given = [Features.from_sequences(_sessions(20, name), size=_SIZE) for name in ("train", "validation")]
    labels = Labels(np.asarray(_labels(_sessions(20, "train"))))
    before = [documents.digest(f.ids_E, f.offsets_N1, f.weight_N, f.seen_N, f.row_W) for f in given]
    detector = make().fit(given[0], labels, validation=(given[1], None))
    detector.anomaly_score(given[1])
    detector.event_score(given[1])
    after = [documents.digest(f.ids_E, f.offsets_N1, f.weight_N, f.seen_N, f.row_W) for f in given]
    assert before == after, "fit and score do not write to their input"
    assert labels.window_N.tolist() == _labels(_sessions(20, "train")), "fit does not write to the labels"


def _labels_are_read_where_it_says_so(make: Make, folder: Path) -> None:
    train, validation = _sessions(40, "train"), _sessions(30, "validation")
    if make().supervised:
        _raises(DataError, lambda: make().fit(train, validation=validation), "a supervised detector without labels")
        for label in (0, 1):
            _raises(DataError, partial(make().fit, train, [label] * 40), f"only training windows of label {label}")
        flipped = make().fit(train, [1 - label for label in _labels(train)], validation=validation)
        assert not np.array_equal(flipped.score_samples(_odd()), _fitted(make).score_samples(_odd())), (
            "labels are what it learns from"
        )
    else:
        blind = make().fit(train, validation=validation)
        assert np.array_equal(blind.score_samples(_odd()), _fitted(make).score_samples(_odd())), "it does not read training labels"
        assert blind.threshold_ == _fitted(make).threshold_, "its threshold does not depend on training labels"


def _saved_is_same(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    detector.save(folder / "detector")
    loaded = type(detector).load(folder / "detector")
    features = Features.from_sequences(_odd(), size=_SIZE)
    assert type(loaded) is type(detector), f"saved {type(detector).__name__}, loaded {type(loaded).__name__}"
    assert loaded.get_params() == detector.get_params(), "parameters survive save and load"
    assert loaded.threshold_ == detector.threshold_, "the threshold survives save and load"
    assert loaded.weights_ == detector.weights_, "the weights survive save and load"
    assert loaded.anomaly_score(features).tobytes() == detector.anomaly_score(features).tobytes(), (
        "same scores bit for bit after load"
    )
    event_E = detector.event_score(features)
    assert np.array_equal(loaded.event_score(features), event_E, equal_nan=True), "same event scores after load"


def _alarm_is_above_threshold(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    assert detector.threshold_ is not None, "validation windows give a threshold"
    alarms_N = detector.predict(_odd())
    assert np.array_equal(alarms_N, (detector.score_samples(_odd()) > detector.threshold_.value).astype(int)), "alarm iff score > g"
    rate = detector.predict(_sessions(30, "validation")).mean()
    assert rate <= detector.fpr, f"at most a share {detector.fpr} of the validation windows raises an alarm, got {rate}"


def _alarms_name_their_events(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    event_N = detector.raised_by(features, detector.anomaly_score(features))
    inside_N = (event_N >= features.offsets_N1[:-1]) & (event_N < features.offsets_N1[1:])
    assert (inside_N | (event_N == -1)).all(), "what raised a row's score is one of its own events, or -1"
    assert (event_N == -1).all() or not np.isnan(detector.event_score(features)).all(), "no opinion on events, no event to blame"
    named_N = np.flatnonzero(event_N >= 0)
    expected = detector.expected(features, event_N[named_N])
    assert len(expected) == len(named_N), "one list of expected events for each event asked for"
    assert all(len(set(ids)) == len(ids) <= EXPECTED and set(ids) <= {*range(_SIZE)} for ids in expected), (
        "they are known event types"
    )


def _misuse_is_explained(make: Make, folder: Path) -> None:
    _raises(DataError, lambda: make().fit([]), "no training windows")
    _raises(NotFitted, lambda: make().score_samples([[0]]), "scoring before fit")
    _raises(NotFitted, lambda: make().save(folder / "unfitted"), "saving before fit")
    train = _sessions(20, "train")
    _raises(NotFitted, lambda: make().fit(train, _labels(train)).predict([[0]]), "alarms without a threshold")


def _assert_close(actual_N: Floats, expected_N: Floats, message: str) -> None:
    """Equal but for the order of additions."""
    np.testing.assert_allclose(actual_N, expected_N, rtol=1e-6, atol=1e-9, err_msg=message)


def _raises(error: type[Exception], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"{what}: expected {error.__name__}, nothing was raised")


_DETECTOR_LAWS: tuple[Callable[[Make, Path], None], ...] = (
    _scores_are_numbers,
    _rows_are_judged_alone,
    _weight_is_repetition,
    _fitting_repeats,
    _input_is_left_alone,
    _labels_are_read_where_it_says_so,
    _saved_is_same,
    _alarm_is_above_threshold,
    _alarms_name_their_events,
    _misuse_is_explained,
)
