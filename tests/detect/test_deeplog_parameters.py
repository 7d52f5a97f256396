"""Laws of DeepLog's second model: it finds numbers and latencies that are odd only after those before them, and nothing else does."""

from copy import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.special import log_ndtr, ndtri

from qlogad import names, seeds
from qlogad.detect.detector import Detector
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.sequences.deeplog_parameters import DeepLogParameters
from qlogad.features.features import Features
from qlogad.features.view import any_apart
from qlogad.nn.core import Classical

VIEWS = ("ids", "values", "gaps")
PARTS = ("values", "times")
Said = dict[str, list[list[Any]]]
OTHERS = [
    name
    for name in names.known("detector")
    if name != "deeplog-parameters"
    and not names.find("detector", name).supervised
    and name not in ("autoencoder", "loganomaly", "vqc")
]


def windows(rows: int, seed: int) -> tuple[list[list[int]], Said]:
    """Two types in turn; the numbers and the latencies of each are high and low in turn, wherever they begin."""
    rng = seeds.generator(seed, "turns")
    ids = [[0, 1] * int(rng.integers(5, 8)) for _ in range(rows)]
    said: Said = {"values": [], "times": []}
    for row in ids:
        high = [(n // 2 + start) % 2 for start in (int(rng.integers(2)),) for n in range(len(row))]
        late = [(n // 2 + start) % 2 for start in (int(rng.integers(2)),) for n in range(len(row))]
        said["values"].append([[str(100 + 50 * one + int(rng.integers(5)))] for one in high])
        said["times"].append(np.cumsum([10.0**one * rng.uniform(1, 1.1) for one in late]).tolist())
    return ids, said


def planted(said: Said, part: str, place: int) -> Said:
    """In every window, the event at a place has the number, or the latency, that it should have had one turn earlier."""
    changed = {name: [list(row) for row in rows] for name, rows in said.items()}
    for row in changed[part]:
        if part == "values":
            row[place] = row[place - 2]
        else:
            shift = (row[place - 2] - row[place - 3]) - (row[place] - row[place - 1])
            row[place:] = [time + shift for time in row[place:]]
    return changed


def of(ids: list[list[int]], said: Said, views: Any = VIEWS) -> Features:
    return Features.from_sequences(ids, size=2, **said, views=views)


@cache
def train() -> Features:
    every = sorted({view for name in (*OTHERS, "deeplog-parameters") for view in names.find("detector", name).reads})
    return of(*windows(60, 0), views=every)


@cache
def held() -> Features:
    return of(*windows(30, 1), views=train().views)


@cache
def fitted() -> DeepLogParameters:
    detector = DeepLogParameters(core=Classical(hidden=8), epochs=50, lr=0.02, history=2, parameter_history=2, threshold=2)
    return detector.fit(train(), validation=(held(), None))


@pytest.mark.parametrize("part", PARTS)
def test_what_is_odd_only_after_what_was_before_it_is_found_where_it_is(part: str) -> None:
    ids, said = windows(40, 2)
    before, after = (of(ids, one, train().views) for one in (said, planted(said, part, 6)))
    detector = fitted()
    assert detector.predict(before).mean() <= 0.05
    assert detector.predict(after).mean() >= 0.95
    event_N = detector.raised_by(after, detector.anomaly_score(after))
    assert np.mean(event_N == after.offsets_N1[:-1] + 6) >= 0.95
    assert detector.expected(after, event_N[event_N >= 0])[0] == [], "another event would have been no better"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_without_the_second_model_finds_it(name: str, part: str) -> None:
    few = {"epochs": 2} if name == "deeplog" else {}
    detector: Detector = names.find("detector", name)(**few).fit(train(), validation=(held(), None))
    ids, said = windows(40, 2)
    before, after = (of(ids, one, train().views) for one in (said, planted(said, part, 6)))
    found_N, alarms_N = detector.anomaly_score(before), detector.predict(after)
    if not any_apart(detector.reads):
        assert_array_equal(found_N, detector.anomaly_score(after))
    assert alarms_N.mean() <= 0.25


@pytest.mark.parametrize("score", ["rank", "nll"])
def test_the_score_is_the_key_models_or_that_of_parameters_outside_the_interval(score: str) -> None:
    detector = copy(fitted()).set_params(score=score)
    ids, said = windows(20, 3)
    said = planted(planted(said, "values", 4), "times", 7)
    ids[0][3] = 2  # unseen
    features = of(ids, said, train().views)
    key_E = DeepLog.event_score(detector, features)
    distance_E = (detector._errors(features) - detector._error_mean_V[features.ids_E]) / detector._error_deviation_V[features.ids_E]
    end = ndtri(detector.interval)
    worst_E = 3 - end / distance_E if score == "rank" else -log_ndtr(-distance_E)
    outside_E = distance_E > end
    assert 20 < outside_E.sum() < len(outside_E) / 2
    assert_array_equal(detector.event_score(features), np.where(outside_E, np.fmax(key_E, worst_E), key_E))
    assert (worst_E[outside_E] > (2 if score == "rank" else 6.9)).all()
    assert np.isnan(distance_E[3])
    assert detector.event_score(features)[3] == (3 if score == "rank" else np.inf)


def test_without_times_and_numbers_it_is_the_key_model() -> None:
    rng = seeds.generator(0, "rows")
    rows = [rng.integers(4, size=rng.integers(9)).tolist() for _ in range(60)]
    plain, both = (cls(epochs=3, history=3).fit(rows[:40], validation=rows[40:]) for cls in (DeepLog, DeepLogParameters))
    odd = [*rows, [], [7], [0] * 30]
    assert_array_equal(plain.score_samples(odd), both.score_samples(odd))
    assert plain.threshold_ == both.threshold_


def test_numbers_without_end_are_outside(recwarn: pytest.WarningsRecorder) -> None:
    ids, said = windows(3, 4)
    for row, word in zip(said["values"], ("1e99", "-" + "9" * 300, "9" * 300 + "e99"), strict=True):
        row[4] = [word]
    scores_N = fitted().anomaly_score(of(ids, said, train().views))
    assert ((scores_N > 2.9) & (scores_N <= 3)).all()
    assert not list(recwarn)
