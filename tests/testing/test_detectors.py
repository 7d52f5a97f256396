"""Every detector keeps its contract, a new one by existing."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlogad import names
from qlogad.detect.detector import Detector
from qlogad.testing.detectors import check_detector

SMALL = {"epochs": 2}  # where a detector trains, it trains shortly


def small(cls: type[Detector]) -> dict[str, Any]:
    return {key: value for key, value in SMALL.items() if key in inspect.signature(cls).parameters}


@pytest.mark.parametrize("name", names.known("detector"))
def test_a_detector_keeps_its_contract(name: str) -> None:
    cls = names.find("detector", name)
    check_detector(cls, **small(cls))


@pytest.mark.parametrize("name", names.known("detector"))
def test_a_saved_detector_scores_the_same_in_a_new_process(name: str, tmp_path: Path) -> None:
    cls = names.find("detector", name)
    windows = np.random.default_rng(0).integers(5, size=(40, 6)).tolist()
    labels = [int(len(set(window)) < 4) for window in windows[:20]]
    detector = cls(**small(cls)).fit(windows[:20], labels, validation=windows[20:])
    detector.save(tmp_path / "detector")
    code = (
        "import sys, json; from qlogad.detect.detector import Detector\n"
        "detector = Detector.load(sys.argv[1])\n"
        "print(detector.score_samples(json.loads(sys.argv[2])).tobytes().hex())"
    )
    odd = [*windows, [], [7], [0] * 50]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "detector"), repr(odd)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == detector.score_samples(odd).tobytes().hex()


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


@pytest.mark.parametrize("cls", [ByPosition, Dice, Careless])
def test_a_detector_that_breaks_its_contract_is_found_out(cls: type[Detector]) -> None:
    with pytest.raises(AssertionError):
        check_detector(cls)
