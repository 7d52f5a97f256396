"""Every detector keeps its contract, a new one by existing."""

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlogad import names
from qlogad.detect.detector import Detector
from qlogad.testing.detectors import check_detector
from qlogad.testing.laws import Outcome


@pytest.mark.parametrize("name", names.known("detector"))
def test_a_detector_keeps_its_contract(name: str) -> None:
    check_detector(names.find("detector", name))


SCORE = """
import json, sys
from qlogad.detect.detector import Detector
folders, windows = json.loads(sys.stdin.read())
print(json.dumps([Detector.load(folder).score_samples(windows).tobytes().hex() for folder in folders]))
"""


def test_saved_detectors_score_the_same_in_a_new_process(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).integers(5, size=(40, 6)).tolist()
    labels = [int(len(set(window)) < 4) for window in windows[:20]]
    odd = [*windows, [], [7], [0] * 50]
    here = {}
    for name in names.known("detector"):
        cls = names.find("detector", name)
        short = {"epochs": 2} if "epochs" in {field.name for field in dataclasses.fields(cls)} else {}
        detector = cls(**short).fit(windows[:20], labels, validation=windows[20:])
        detector.save(tmp_path / name)
        here[name] = detector.score_samples(odd).tobytes().hex()
    given = json.dumps([[str(tmp_path / name) for name in here], odd])
    done = subprocess.run([sys.executable, "-c", SCORE], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert dict(zip(here, json.loads(done.stdout), strict=True)) == here


@dataclasses.dataclass(kw_only=True)
class ByPosition(Detector):
    """Breaks the contract: a row's score is its place in the table."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        pass

    def anomaly_score(self, features: Any) -> Any:
        return np.arange(len(features), dtype=np.float64)

    def _state(self) -> Any:
        return {"nothing": np.zeros(1)}

    def _restore(self, state: Any) -> None:
        pass


class Dice(ByPosition):
    """Breaks the contract: the score is random."""

    def anomaly_score(self, features: Any) -> Any:
        return np.random.default_rng().random(len(features))


class Careless(ByPosition):
    """Breaks the contract: an empty row has no score."""

    def anomaly_score(self, features: Any) -> Any:
        return np.where(features.lengths_N == 0, np.nan, 1.0)


@dataclasses.dataclass(kw_only=True)
class Constant(ByPosition):
    """Keeps the contract; what inherits from it breaks one law."""

    def anomaly_score(self, features: Any) -> Any:
        return np.full(len(features), float(self._learnt()))

    def _learnt(self) -> float:
        return 0.0


@dataclasses.dataclass(kw_only=True)
class Borrower(Constant):
    """Breaks the contract: it draws from a generator that is everybody's."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        random.random()


@dataclasses.dataclass(kw_only=True)
class Writer(Constant):
    """Breaks the contract: it writes to what it is given."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        features.weight_N[:] = 1 + features.weight_N


@dataclasses.dataclass(kw_only=True)
class Peeping(Constant):
    """Breaks the contract: it is not supervised, and reads labels."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        self._found = 0.0 if labels is None else 1.0 + labels.window_N.sum()

    def _learnt(self) -> float:
        return self._found

    def _state(self) -> Any:
        return {"found": np.asarray([self._found])}

    def _restore(self, state: Any) -> None:
        self._found = float(state["found"][0])


@dataclasses.dataclass(kw_only=True)
class Deaf(Constant):
    """Breaks the contract: it says it is supervised, and reads no labels."""

    supervised = True


@dataclasses.dataclass(kw_only=True)
class Headless(Constant):
    """Breaks the contract: it has a seed, and does not read it."""

    seed: int = 0


@dataclasses.dataclass(kw_only=True)
class Light(Peeping):
    """Breaks the contract: it counts rows, not windows."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        self._found = float(len(features))


@dataclasses.dataclass(kw_only=True)
class Forgetful(Peeping):
    """Breaks the contract: what it learnt is not what it saves."""

    def _fit(self, features: Any, labels: Any, validation: Any) -> None:
        self._found = 1.0

    def _restore(self, state: Any) -> None:
        self._found = 2.0


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (ByPosition, "rows are judged alone"),
        (Dice, "rows are judged alone"),
        (Careless, "scores are numbers"),
        (Borrower, "what is given is left alone: .* generators of their own"),
        (Writer, "what is given is left alone: .* write to their input"),
        (Peeping, "labels of training windows are not read"),
        (Deaf, "labels are learnt from"),
        (Headless, "another seed is another training"),
        (Light, "weight is repetition"),
        (Forgetful, "saved is the same"),
    ],
)
def test_a_detector_that_breaks_its_contract_is_found_out(cls: type[Detector], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_detector(cls)


def test_a_detector_that_keeps_it_is_asked_what_it_declares() -> None:
    said: dict[str, list[str]] = {}
    for name in ("length", "deeplog", "vqc"):
        check_detector(names.find("detector", name), tell=lambda outcome, name=name: said.setdefault(name, []).append(outcome.law))
    assert set(said["length"]) < set(said["deeplog"])
    assert "labels are learnt from" in said["vqc"]
    assert {"events are judged in their own row", "either core stands in it"} <= set(said["deeplog"]) - set(said["length"])


def test_all_laws_are_asked_where_somebody_is_told() -> None:
    outcomes: list[Outcome] = []
    check_detector(Careless, tell=outcomes.append)
    broken = {outcome.law for outcome in outcomes if outcome.broken is not None}
    assert {"scores are numbers"} <= broken < {outcome.law for outcome in outcomes}
