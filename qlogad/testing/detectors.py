"""Laws of every detector. Most share one fit; labels, a seed, a core or event scores, if declared, bring laws of their own."""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from qlogad import documents
from qlogad.arrays import Floats
from qlogad.detect.detector import EXPECTED, WEIGHTS, Detector
from qlogad.errors import DataError, NotFitted
from qlogad.features.features import Features, Labels
from qlogad.features.view import View, fit_views
from qlogad.seeds import generator
from qlogad.testing.laws import Laws, Tell, assert_refused

__all__ = ["check_detector"]

Sequences = list[list[int]]
SIZE = 6  # event types of the random windows
WORDS = ("up", "down", "unknown")  # of their messages
EPOCHS = 2  # default for a detector that trains in epochs
LAWS = Laws["Subject"]()


def check_detector(cls: type[Detector], *, tell: Tell | None = None, **settings: Any) -> None:
    """Check a detector against its contract: the laws of all detectors, and those of what it declares.

    Args:
        cls: the detector's class.
        tell: called with the outcome of each law; None: the first broken law raises an error.
        settings: its parameters; small ones for a detector that trains long. `epochs` is 2 by default.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> from qlogad.detect.floors.length import Length
    >>> check_detector(Length)
    """
    with tempfile.TemporaryDirectory() as folder:
        LAWS.hold(Subject(cls, settings, Path(folder)), tell)


class Subject:
    """A detector's class with its settings, random windows with a grammar, and the fits that laws share."""

    def __init__(self, cls: type[Detector], settings: dict[str, Any], folder: Path) -> None:
        self.declared = {field.name for field in fields(cls)}
        self.cls, self.folder = cls, folder
        self._settings = {"epochs": EPOCHS} | settings if "epochs" in self.declared else settings
        self.before: list[str] = []
        self.after: list[str] = []

    def make(self, **changes: Any) -> Detector:
        return self.cls(**self._settings | changes)

    def features(self, sequences: Sequences, weight: list[int] | None = None) -> Features:
        """Windows with the views that the detector reads."""
        return Features.from_sequences(sequences, size=SIZE, weight=weight, views=self.views, **said_of(sequences))

    @cached_property
    def views(self) -> dict[str, View]:
        """Those of its views that learn, fitted on the training windows."""
        train = sessions(40, "train")
        return fit_views(self.cls.reads, Features.from_sequences(train, size=SIZE, **said_of(train)))

    def fit(self, detector: Detector) -> Detector:
        """Fit on features with labels, which only a supervised detector may read."""
        detector.fit(self.train, self.labels, validation=(self.validation, None))
        return detector

    @cached_property
    def train(self) -> Features:
        return self.features(sessions(40, "train"))

    @cached_property
    def labels(self) -> Labels:
        return Labels(np.asarray(labels_of(sessions(40, "train"))))

    @cached_property
    def validation(self) -> Features:
        return self.features(sessions(30, "validation"))

    @cached_property
    def odd(self) -> Features:
        """Windows to score: ordinary, empty, single-event, with unseen events, long, and a duplicate."""
        ordinary = sessions(12, "test")
        return self.features([*ordinary, [], [3], [SIZE], [0, SIZE + 5, 1], [0] * 60, ordinary[4]])

    @cached_property
    def fitted(self) -> Detector:
        """The fit that most laws share."""
        self.before = self._surroundings()
        detector = self.fit(self.make())
        detector.anomaly_score(self.validation)
        detector.event_score(self.validation)
        self.after = self._surroundings()
        return detector

    @cached_property
    def again(self) -> Detector:
        """A second fit in which everything differs that must not matter."""
        scramble()
        labels = self.labels if self.cls.supervised else None
        again: Detector = clone(self.fitted)
        return again.fit(self.train, labels, validation=(self.validation, None))

    @cached_property
    def heavy(self) -> Detector:
        """A fit on fewer windows, weighted, without validation windows."""
        windows = sessions(20, "train")
        return self.make().fit(self.features(windows, self.times), labels_of(windows))

    @property
    def times(self) -> list[int]:
        return [int(many) for many in generator(0, "check_detector", "times").integers(1, 4, size=20)]

    def score(self, detector: Detector) -> Floats:
        return detector.score_samples(self.odd)

    def _surroundings(self) -> list[str]:
        """Digests of what a fit must not change: its inputs and the global random generators."""
        given = (self.train, self.validation)
        tables = [
            documents.digest(f.ids_E, f.offsets_N1, f.weight_N, f.seen_N, f.row_W, *map(f.view, self.cls.reads)) for f in given
        ]
        return [*tables, documents.digest(self.labels.window_N), *generators()]


def sessions(rows: int, *names: str) -> Sequences:
    """Random windows with a grammar: each event is mostly followed by the next one; every event occurs."""
    rng = generator(0, "check_detector", *names)
    starts_N = [list(range(SIZE)) if n == 0 else [0] for n in range(rows)]
    for window in starts_N:
        for _ in range(int(rng.integers(2, 9))):
            window.append((window[-1] + 1) % SIZE if rng.random() < 0.8 else int(rng.integers(SIZE)))
    return starts_N


def said_of(windows: Sequences) -> dict[str, Any]:
    """What the events of windows say beside their ids; equal windows say the same, so that they can be merged into one row."""
    rngs = [generator(0, "check_detector", "said", *map(str, window)) for window in windows]
    return {
        "times": [np.cumsum(rng.exponential(2.0, len(window))) for rng, window in zip(rngs, windows, strict=True)],
        "levels": [rng.choice(["INFO", "WARN"], len(window)).tolist() for rng, window in zip(rngs, windows, strict=True)],
        "values": [[[str(rng.integers(99))] for _ in window] for rng, window in zip(rngs, windows, strict=True)],
        "texts": [
            [f"{chr(97 + event)} is {rng.choice(WORDS)}" for event in window] for rng, window in zip(rngs, windows, strict=True)
        ],
        "components": [rng.choice(["kernel", "disk"], len(window)).tolist() for rng, window in zip(rngs, windows, strict=True)],
    }


def labels_of(windows: Sequences) -> list[int]:
    """Learnable labels: 1 if the first two events are out of order or the window is long."""
    return [int(len(window) > 6 or window[1:2] != [(window[0] + 1) % SIZE]) for window in windows]


def generators() -> list[str]:
    """Digests of the states of the global random generators (random, numpy, torch)."""
    torch = sys.modules.get("torch")
    states = [random.getstate(), np.random.get_state(legacy=True), torch and torch.get_rng_state().tolist()]  # noqa: NPY002
    return [documents.digest(repr(state)) for state in states]


def scramble() -> None:
    """Advance the global random generators."""
    random.random()
    np.random.random()  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        torch.rand(1)


# ---------------------------------------------------------------- of one fitted detector


@LAWS.law()
def scores_are_numbers(it: Subject) -> None:
    score_N, score_E = it.fitted.anomaly_score(it.odd), it.fitted.event_score(it.odd)
    assert score_N.shape == (len(it.odd),), f"one score per row: {len(it.odd)} rows, scores of shape {score_N.shape}"
    assert score_E.shape == it.odd.ids_E.shape, f"one score per event: {len(it.odd.ids_E)} events, shape {score_E.shape}"
    assert not np.isnan(score_N).any(), "a window's score is never NaN"
    assert np.isfinite(score_N[it.odd.lengths_N == 0]).all(), "an empty window has a finite score"
    passes_N = it.fitted.passes(it.odd)
    assert passes_N.shape == score_N.shape, "a number of passes for each row"
    assert (passes_N >= 0).all(), "a number of passes is no less than none"


@LAWS.law()
def rows_are_judged_alone(it: Subject) -> None:
    order = generator(0, "check_detector", "order").permutation(len(it.odd))
    score_N = it.fitted.anomaly_score(it.odd)
    _assert_close(it.fitted.anomaly_score(it.odd.take(order)), score_N[order], "order matters")
    single_N = np.concatenate([it.fitted.anomaly_score(it.odd.take([n])) for n in range(len(it.odd))])
    assert np.array_equal(single_N, score_N), f"a row's score depends on its neighbours: {single_N} alone, {score_N} together"


@LAWS.law(when=lambda it: it.cls.reads == ("ids",))
def lists_of_event_ids_score_as_features_do(it: Subject) -> None:
    windows = [row.tolist() for row in it.odd.rows()]
    assert np.array_equal(it.fitted.score_samples(windows), it.fitted.anomaly_score(it.odd)), "lists and features score alike"


@LAWS.law(when=lambda it: it.cls.event_score is not Detector.event_score)
def events_are_judged_in_their_own_row(it: Subject) -> None:
    rows = np.split(it.fitted.event_score(it.odd), it.odd.offsets_N1[1:-1])
    order = generator(0, "check_detector", "order").permutation(len(it.odd))
    turned = it.fitted.event_score(it.odd.take(order))
    _assert_close(turned, np.concatenate([rows[n] for n in order]), "an event's score depends on other rows")
    assert not np.isnan(np.concatenate(rows)).all(), "who scores events has an opinion on some"


@LAWS.law()
def what_is_given_is_left_alone(it: Subject) -> None:
    assert it.fitted, "the fit that most laws share"
    inputs = len(it.before) - len(generators())
    assert it.before[:inputs] == it.after[:inputs], "fit and score do not write to their input"
    assert it.before[inputs:] == it.after[inputs:], "fit and score draw from generators of their own: seeds.generator(seed, name)"


@LAWS.law()
def saved_is_the_same(it: Subject) -> None:
    it.fitted.save(it.folder / "saved")
    loaded = it.cls.load(it.folder / "saved")
    assert type(loaded) is it.cls, f"saved {it.cls.__name__}, loaded {type(loaded).__name__}"
    assert loaded.get_params() == it.fitted.get_params(), "parameters survive save and load"
    assert loaded.threshold_ == it.fitted.threshold_, "the threshold survives save and load"
    assert loaded.weights_ == it.fitted.weights_, "the weights survive save and load"
    assert it.score(loaded).tobytes() == it.score(it.fitted).tobytes(), "same scores bit for bit after load"
    event_E = it.fitted.event_score(it.odd)
    assert np.array_equal(loaded.event_score(it.odd), event_E, equal_nan=True), "same event scores after load"


@LAWS.law()
def weights_are_counted(it: Subject) -> None:
    counted = it.fitted.weights_
    assert counted["total"] == counted["quantum"] + counted["classical"], "a weight is quantum or classical"
    assert (counted["quantum"] > 0) <= bool(it.fitted.circuits()), "there are quantum weights where there are circuits"


@LAWS.law()
def an_alarm_is_a_score_above_the_threshold(it: Subject) -> None:
    threshold = it.fitted.threshold_
    assert threshold is not None, "validation windows give a threshold"
    assert np.array_equal(it.fitted.predict(it.odd), threshold(it.score(it.fitted)).astype(int)), "alarm iff score > g"
    rate = it.fitted.predict(it.validation).mean()
    assert rate <= it.fitted.fpr, f"at most a share {it.fitted.fpr} of the validation windows raises an alarm, got {rate}"


@LAWS.law()
def alarms_name_their_events(it: Subject) -> None:
    event_N = it.fitted.raised_by(it.odd, it.fitted.anomaly_score(it.odd))
    inside_N = (event_N >= it.odd.offsets_N1[:-1]) & (event_N < it.odd.offsets_N1[1:])
    assert (inside_N | (event_N == -1)).all(), "what raised a row's score is one of its own events, or -1"
    assert (event_N == -1).all() or not np.isnan(it.fitted.event_score(it.odd)).all(), "no opinion on events, no event to blame"
    named_N = np.flatnonzero(event_N >= 0)
    expected = it.fitted.expected(it.odd, event_N[named_N])
    assert len(expected) == len(named_N), "one list of expected events for each event asked for"
    known = set(range(SIZE))
    assert all(len(set(ids)) == len(ids) <= EXPECTED and set(ids) <= known for ids in expected), "they are known event types"


# ---------------------------------------------------------------- of a second fit


@LAWS.law()
def fitting_repeats(it: Subject) -> None:
    params = it.fitted.get_params()
    assert clone(it.fitted).get_params() == it.make().get_params() == params, "fit changes no parameter, clone keeps them"
    if not _same(it, it.again):  # because of what else differs in it?
        assert _same(it, it.fit(it.make())), "equal data and seed, equal scores and threshold"


@LAWS.law(when=lambda it: not it.cls.supervised)
def labels_of_training_windows_are_not_read(it: Subject) -> None:
    assert _same(it, it.again), "who is not supervised learns nothing from labels"


@LAWS.law(when=lambda it: it.cls.supervised)
def labels_are_learnt_from(it: Subject) -> None:
    for label in (0, 1):
        assert_refused(
            partial(it.make().fit, it.train, [label] * len(it.train)), DataError, f"training windows of label {label} alone"
        )
    assert_refused(partial(it.make().fit, it.train), DataError, "a supervised detector without labels")
    flipped = it.make().fit(it.train, Labels(1 - it.labels.window_N), validation=(it.validation, None))
    assert not np.array_equal(it.score(flipped), it.score(it.fitted)), "other labels, other scores"


@LAWS.law()
def weight_is_repetition(it: Subject) -> None:
    repeated = [window for window, many in zip(sessions(20, "train"), it.times, strict=True) for _ in range(many)]
    long = it.make().fit(it.features(repeated), labels_of(repeated))
    _assert_close(it.score(it.heavy), it.score(long), "a row of weight 3 is to count as three equal rows")


@LAWS.law(when=lambda it: "seed" in it.declared)
def another_seed_is_another_training(it: Subject) -> None:
    windows = sessions(20, "train")
    other = it.make(seed=it.heavy.get_params()["seed"] + 1).fit(it.features(windows, it.times), labels_of(windows))
    for name, detector in (("one", it.heavy), ("other", other)):
        detector.save(it.folder / name)
    one, two = ((it.folder / name / WEIGHTS).read_bytes() for name in ("one", "other"))
    assert one != two, "what is learnt goes by the seed"


@LAWS.law(when=lambda it: "core" in it.declared)
def either_core_stands_in_it(it: Subject) -> None:
    from qlogad.nn.core import Classical, Quantum

    windows = sessions(20, "train")
    for core in (Classical(hidden=4), Quantum(wires=2, hidden=4)):
        detector = it.make(core=core)
        detector.check()
        detector.fit(it.features(windows, it.times), labels_of(windows))
        quantum = core.kind == "quantum"
        assert (bool(detector.circuits()), detector.weights_["quantum"] > 0) == (quantum, quantum), "a quantum core has circuits"
        assert np.isfinite(it.score(detector)[it.odd.lengths_N == 0]).all(), "whatever its core, an empty window has a finite score"


# ---------------------------------------------------------------- of misuse


@LAWS.law()
def misuse_is_explained(it: Subject) -> None:
    assert_refused(lambda: it.make().fit([]), DataError, "no training windows")
    assert_refused(lambda: it.make().score_samples([[0]]), NotFitted, "scoring before fit")
    assert_refused(lambda: it.make().save(it.folder / "unfitted"), NotFitted, "saving before fit")
    assert_refused(lambda: it.heavy.predict(it.odd), NotFitted, "alarms without a threshold")


def _same(it: Subject, other: Detector) -> bool:
    return np.array_equal(it.score(it.fitted), it.score(other)) and it.fitted.threshold_ == other.threshold_


def _assert_close(actual_N: Floats, expected_N: Floats, message: str) -> None:
    """Equal up to the order of additions."""
    np.testing.assert_allclose(actual_N, expected_N, rtol=1e-6, atol=1e-9, err_msg=message)
