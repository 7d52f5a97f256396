"""Laws of every core."""

import dataclasses
from pathlib import Path

import pytest

from qlogad import documents, names
from qlogad.detect.detector import Detector
from qlogad.errors import DocumentError, ResultError
from qlogad.nn.core import Classical, Core
from tests.nn.core.bent import Bent


@dataclasses.dataclass(frozen=True)
class Holder:
    core: Core = Classical()


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "quantum", "depht": 2},
        {"kind": "quantum", "wires": 0},
        {"kind": "quantum", "init": "identity"},
        {"kind": "quantum", "depth": -1},
        {"kind": "quantum", "depth": "two"},
        {"kind": "classical", "hidden": 0},
        {"kind": "classical", "wires": 4},
        {"kind": "other"},
        {},
    ],
)
def test_a_core_that_is_not_one_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(DocumentError):
        documents.from_mapping(Holder, {"core": content})


@pytest.mark.parametrize("detector", ["deeplog", "vqc"])
def test_a_core_of_another_package_runs_wherever_ours_do(detector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site" / "mine-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[qlogad.cores]\nbent = {Bent.__module__}:Bent\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    windows, labels = [[0, 1, 2], [2, 1], [0, 0, 1]] * 4, [0, 1, 0] * 4
    fitted = documents.from_mapping(names.find("detector", detector), {"epochs": 2, "core": {"kind": "bent", "hidden": 3}})
    fitted.fit(windows, labels, validation=windows).save(tmp_path / "saved")
    assert fitted.core == Bent(hidden=3)
    assert fitted.weights_["live"] == fitted.weights_["quantum"] == 0
    assert Detector.load(tmp_path / "saved").score_samples(windows).tolist() == fitted.score_samples(windows).tolist()
    with pytest.raises(ResultError, match="no backend to change"):
        Detector.load(tmp_path / "saved", backend="exact")
    with pytest.raises(DocumentError, match=r"unknown key 'core.hiden' \(did you mean 'hidden'\?\); known: hidden, kind"):
        documents.from_mapping(Holder, {"core": {"kind": "bent", "hiden": 3}})
    with pytest.raises(DocumentError, match="did you mean 'bent'"):
        documents.from_mapping(Holder, {"core": {"kind": "bend"}})
