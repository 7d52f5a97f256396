"""Laws of cores with a torch module of one's own."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from qlogad import DeepLog, Experiment, documents, names, seeds
from qlogad.detect.detector import Detector
from qlogad.errors import DesignError, DocumentError, ResultError
from qlogad.nn.core.module import Module
from qlogad.nn.core.same_total import SameTotal

WINDOWS, LABELS = [[0, 1, 2], [2, 1], [0, 0, 1]] * 4, [0, 1, 0] * 4
LINEAR = "torch.nn:Linear"


def mlp(inputs: int, readouts: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 3), nn.Tanh(), nn.Linear(3, readouts))


def package(folder: Path, name: str, *, installed: bool) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text("from torch.nn import Linear as make\n")
    if installed:
        metadata = folder / f"{name}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (metadata / "RECORD").write_text(f"{name}.py,,\n{name}-1.dist-info/METADATA,,\n{name}-1.dist-info/RECORD,,\n")


@pytest.mark.parametrize("detector", ["deeplog", "vqc"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_module_runs_in_every_detector_and_is_given_again_to_load_it(detector: str, shared: bool, tmp_path: Path) -> None:
    core = Module(factory=mlp, inputs=2, readouts=3, hidden=4, shared=shared)
    fitted = names.find("detector", detector)(core=core, epochs=2).fit(WINDOWS, LABELS, validation=WINDOWS)
    fitted.save(tmp_path)
    assert Detector.load(tmp_path, core=core).score_samples(WINDOWS).tolist() == fitted.score_samples(WINDOWS).tolist()
    assert documents.read(tmp_path / "detector.toml")["params"]["core"]["factory"] == f"{__name__}:mlp"
    with pytest.raises(
        ResultError, match=r"code named in a saved file is never imported; import it yourself.*core=Module\(factory"
    ):
        Detector.load(tmp_path)
    with pytest.raises(ResultError):
        Detector.load(tmp_path, core=Module(factory=mlp, inputs=5, readouts=3, hidden=4))


def test_a_saved_file_imports_nothing_however_it_is_written(tmp_path: Path) -> None:
    core = Module(factory=LINEAR, hidden=4)
    DeepLog(core=SameTotal(of=core), epochs=1).fit(WINDOWS).save(tmp_path)
    with pytest.raises(ResultError, match="code named in a saved file is never imported"):
        Detector.load(tmp_path)


def test_gates_start_apart() -> None:
    state = Module(factory=mlp).map(6, 5, 4, seeds.torch_generator(0)).state_dict()
    firsts = [value for name, value in state.items() if name.endswith("0.weight")]
    assert len(firsts) == 4
    assert not any(torch.equal(firsts[0], other) for other in firsts[1:])


def test_an_installed_package_is_found_by_name_and_one_that_only_lies_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path / "site", "qlogad_installed_module", installed=True)
    package(tmp_path / "here", "qlogad_loose_module", installed=False)
    package(tmp_path / "here", "iniconfig", installed=False)  # hides an installed package
    monkeypatch.delitem(sys.modules, "iniconfig", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "here")
    for name in ("qlogad_loose_module", "iniconfig", "os", "qlogad_absent_module"):
        for refused in (Module(factory=f"{name}:make").check, lambda name=name: mapped(f"{name}:make")):
            with pytest.raises(DesignError, match="no installed package provides"):
                refused()
    content = {
        "data": {"dataset": "synthetic"},
        "contender": [{"name": "a", "detector": "deeplog", "core": {"kind": "module", "factory": "qlogad_installed_module:make"}}],
    }
    (contender,) = Experiment.from_document(content).contenders
    assert "qlogad_installed_module" not in sys.modules, "reading a document runs no code"
    assert contender.build().core.code() == ("qlogad_installed_module",)
    assert mapped("qlogad_installed_module:make")(torch.zeros(2, 3)).shape == (4, 2, 5)
    with pytest.raises(DesignError, match="cannot be imported"):
        mapped("qlogad_installed_module:absent")
    content["contender"][0]["core"]["factory"] = "qlogad_loose_module:make"
    with pytest.raises(DocumentError, match="no installed package provides 'qlogad_loose_module'"):
        Experiment.from_document(content)


def mapped(factory: object) -> nn.Module:
    return Module(factory=factory).map(3, 5, 4, seeds.torch_generator(0))


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("no colon", "package:function"),
        ("torch.nn:", "package:function"),
        (3, "factory must be a function"),
        (lambda inputs, readouts: 3, "must return a torch module"),
        (lambda inputs, readouts: nn.Linear(inputs, readouts + 1), r"two rows gave \(2, 5\)"),
        (lambda inputs, readouts: nn.LSTM(inputs, readouts), "two rows gave tuple"),
    ],
)
def test_what_is_no_factory_is_told(factory: object, said: str) -> None:
    with pytest.raises(DesignError, match=said):
        mapped(factory)
