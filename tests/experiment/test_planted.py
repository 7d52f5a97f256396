"""Planted tasks: logs that need the part by construction. What reads order finds order; what counts stays at chance."""

from typing import Any

import numpy as np
import pytest

from qlogad.detect.detector import Detector
from qlogad.detect.threshold import Threshold
from qlogad.evaluate.metrics import Metrics, measure
from qlogad.experiment import Experiment
from qlogad.experiment.ground import Ground, ground, open_source

COUNTING = ["count-vector", "new-event", "length", "pca"]
QUICK = {"epochs": 60, "patience": 8, "lr": 0.03}  # the same optimum in a tenth of the epochs
SCHEDULES = [pytest.param(QUICK, id="quick"), pytest.param({}, id="as shipped", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def made() -> Ground:
    data = Experiment.load("order-grammar").data
    return ground(data, open_source(data), ("ids", "counts"), cut=1)


def named(name: str, **settings: Any) -> Detector:
    contenders = Experiment.load("order-grammar").contenders
    return next(contender for contender in contenders if contender.name == name).build().set_params(**settings)


def judged(detector: Detector, made: Ground) -> Metrics:
    detector.fit(made.train.features, validation=(made.validation.normals().features, None))
    assert detector.threshold_ is not None
    scores_N = detector.anomaly_score(made.test.features)
    return measure(scores_N, detector.threshold_(scores_N), made.test.labels.window_N, made.test.features.weight_N)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_lstm_learns_the_grammar(made: Ground, schedule: dict[str, Any]) -> None:
    """Recall at 1 % false alarms among test normals: the threshold itself knows only some 170 validation windows."""
    detector = named("lstm", **schedule)
    judged(detector, made)
    scores_N, label_N, weight_N = detector.anomaly_score(made.test.features), made.test.labels.window_N, made.test.features.weight_N
    at_one_percent = Threshold.at_rate(scores_N[label_N == 0], 0.01, weight_N[label_N == 0])
    assert measure(scores_N, at_one_percent(scores_N), label_N, weight_N).recall >= 0.95


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_quantum_twin_tells_order_too(made: Ground, schedule: dict[str, Any]) -> None:
    assert judged(named("quantum", **schedule), made).roc_auc >= 0.95


@pytest.mark.parametrize("name", COUNTING)
def test_a_floor_that_counts_stays_at_chance(made: Ground, name: str) -> None:
    result = judged(named(name), made)
    chance = 3 * np.sqrt(1 / (12 * result.n_anomalies))  # three standard errors of a rank sum, many normals
    assert abs(result.roc_auc - 0.5) <= chance
    assert result.recall <= 0.1


def test_the_anomalies_have_the_counts_of_normal_requests(made: Ground) -> None:
    counts_ND = made.test.features.view("counts")
    label_N = made.test.labels.window_N
    normal = {tuple(row) for row in counts_ND[label_N == 0]} | {tuple(row) for row in made.train.features.view("counts")}
    shared = [tuple(row) in normal for row in counts_ND[label_N == 1]]
    assert np.mean(shared) >= 0.9
    assert (made.test.features.ids_E < made.test.features.size).mean() > 0.999
