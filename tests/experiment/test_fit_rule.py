"""Laws of the fit rule, over every detector: who sees which validation windows, which labels and which seed."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from qlogad import names
from qlogad.detect.detector import Detector, State
from qlogad.experiment.data import Data
from qlogad.experiment.fit_rule import fit, is_random, track, validation_labels, validation_windows
from qlogad.experiment.ground import Ground, ground, open_source
from qlogad.features.features import Features, Labels
from qlogad.logs.windows import Window

TRAININGS = ("normals", "all")
VIEWS = names.known("view")


@pytest.fixture(scope="module")
def grounds() -> dict[str, Ground]:
    found = {}
    for training in TRAININGS:
        data = Data(source={"lines": 8000}, window=Window(by="count", size=20), training=training)
        found[training] = ground(data, open_source(data), sorted({"ids", *VIEWS}), cut=1)
    assert (found["normals"].validation.label_W == 1).any()
    return found


def small(name: str, rule: str) -> Detector:
    detector = names.find("detector", name)(threshold=rule)
    return detector.set_params(epochs=1) if "epochs" in detector.get_params(deep=False) else detector


@dataclass(kw_only=True)
class Witness(Detector):
    """Scores by length, and keeps what it was given."""

    seed: int = 0

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        self.given = features, labels, validation

    def anomaly_score(self, features: Features) -> np.ndarray:
        return features.lengths_N.astype(np.float64)

    def _state(self) -> State:
        return {}

    def _restore(self, state: State) -> None:
        pass


@dataclass(kw_only=True)
class Pupil(Witness):
    """The same, of labels."""

    supervised: ClassVar[bool] = True


@pytest.mark.parametrize(("cls", "rule", "training"), list(product((Witness, Pupil), ("fpr", "f1", 9.0), TRAININGS)))
def test_labels_reach_only_what_says_that_it_reads_them(
    cls: type[Witness], rule: str | float, training: str, grounds: dict[str, Ground]
) -> None:
    made = grounds["all"] if cls is Pupil else grounds[training]
    seed = int(np.random.default_rng().integers(2**31))
    detector = fit(cls(threshold=rule), made, training=training, seed=seed)
    features, labels, (held, held_labels) = detector.given
    assert detector.seed == seed
    assert features is made.train.features
    assert (labels is not None) == cls.supervised
    seen = track(detector, training)
    assert (held_labels is not None) == (seen in ("supervised", "normal-only, labelled validation"))
    only = made.validation.normals() if seen == "normal-only" else made.validation
    assert held.weight_N.sum() == len(only.label_W)
    turned = replace(made, test=None, in_flight=None)  # nothing else is looked at
    again = fit(cls(threshold=rule), turned, training=training, seed=seed)
    assert again.threshold_ == detector.threshold_


@pytest.mark.parametrize(("name", "rule"), list(product(names.known("detector"), ("fpr", "f1"))))
def test_a_threshold_fixed_anew_on_the_same_windows_is_the_same(name: str, rule: str, grounds: dict[str, Ground]) -> None:
    """As when a device recalibrates one: the windows are told by their number, and the labels by the rule."""
    detector = small(name, rule)
    training = "all" if detector.supervised else "normals"
    made = grounds[training].of(detector.reads)
    fit(detector, made, training=training, seed=0)
    assert detector.threshold_ is not None
    part = validation_windows(made, detector.threshold_.windows)
    anew = detector.threshold_on(part.features, validation_labels(detector, part.labels))
    assert anew.value == pytest.approx(detector.threshold_.value, rel=1e-6)
    assert is_random(detector) == ("seed" in detector.get_params(deep=False))
