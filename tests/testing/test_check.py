"""Whatever is named is held to the laws of its kind; people outside see each law, and an exit code."""

import json
from pathlib import Path

import pytest

from qlogad.errors import InputError
from qlogad.logs.synthetic import Synthetic
from qlogad.testing.check import check, kinds
from qlogad.testing.laws import Outcome
from tests.command_line import qlogad

OWN = """
from dataclasses import dataclass
import numpy as np
from qlogad.detect.detector import Detector

@dataclass(kw_only=True)
class {name}(Detector):
    level: float = 0.0

    def _fit(self, features, labels, validation): pass
    def anomaly_score(self, features): return {score}
    def _state(self): return {{"nothing": np.zeros(1)}}
    def _restore(self, state): pass
"""


def test_every_kind_with_laws_is_checked_by_name() -> None:
    assert {"backend", "control", "core", "dataset", "design", "detector", "parser", "view"} <= set(kinds())
    for named, kind in (
        ("length", "detector"),
        ("drain", "parser"),
        ("separable", "design"),
        ("classical", "core"),
        ("frozen", "control"),
    ):
        told: list[Outcome] = []
        assert check(named, {}, told.append) == kind
        assert told
        assert not [outcome for outcome in told if outcome.broken]


def test_a_detector_of_ones_own_is_shown_every_law(tmp_path: Path) -> None:
    (tmp_path / "sound_one.py").write_text(OWN.format(name="Sound", score="np.full(len(features), self.level)"))
    (tmp_path / "broken_one.py").write_text(OWN.format(name="Broken", score="np.arange(len(features), dtype=float)"))
    sound = qlogad("check", "sound_one:Sound", "--set", "level=2.5", "--json", cwd=tmp_path)
    assert sound.returncode == 0, sound.stderr
    assert {row["result"] for row in json.loads(sound.stdout)} == {"holds"}
    broken = qlogad("check", "broken_one:Broken", cwd=tmp_path)
    assert broken.returncode == 1
    assert "order matters" in broken.stdout
    assert "scores are numbers" in broken.stdout
    assert broken.stderr.startswith("error: detector broken_one:Broken breaks")
    assert "rows are judged alone" in broken.stderr


@pytest.mark.parametrize(
    ("named", "settings", "says"),
    [
        ("lenght", {}, "did you mean 'length'"),
        ("no.such:Thing", {}, "cannot import"),
        ("json:dumps", {}, "not a class"),
        ("pathlib:Path", {}, "no laws apply to Path; inherit from one of: Backend, Control, Core, Dataset, Detector"),
        ("length", {"lenght": 3}, "lenght"),
        ("bgl", {}, "path: is required"),
        ("engine", {}, "a benchmark, a kind without public laws"),
        ("separable", {"wires": 3}, "no fields to set"),
    ],
)
def test_what_cannot_be_checked_is_told(named: str, settings: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        check(named, settings, lambda outcome: None)
    assert "\n" not in str(refused.value)


def test_a_name_of_two_things_asks_which() -> None:
    """The ansatz `identity` and the parser `identity`."""
    with pytest.raises(InputError, match="--kind parser"):
        check("identity", {}, lambda outcome: None)
    assert check("identity", {}, lambda outcome: None, kind="parser") == "parser"


def test_a_dataset_of_ones_own_is_checked_on_a_sample(tmp_path: Path) -> None:
    (tmp_path / "own_dataset.py").write_text("from qlogad.logs.bgl import Bgl\n\nclass Own(Bgl):\n    pass\n")
    Synthetic(lines=60).write(tmp_path / "sample.log")
    done = qlogad("check", "own_dataset:Own", "--set", f"path={tmp_path / 'sample.log'}", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["result"] for row in json.loads(done.stdout)} == {"holds"}
