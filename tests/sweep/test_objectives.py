"""Laws of objectives: an entry of OBJECTIVES is all there is to one."""

from typing import Any

import pytest

from qlogad.catalogue import listing
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import DocumentError
from qlogad.nn.core import Quantum
from qlogad.sweep.objectives import OBJECTIVES, Fitted, Objective, objective


def test_a_new_objective_is_listed_and_can_be_aimed_at(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentError, match="there is no objective 'idleness'"):
        make(objectives=["idleness"])
    monkeypatch.setitem(OBJECTIVES, "idleness", Objective("idleness", "minimize", "nothing", lambda fitted: 0.0))
    assert make(objectives=["idleness"]).objectives[0].name == "idleness"
    assert {"name": "idleness", "aim": "minimize", "what": "nothing"} in listing.rows("objectives")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_goes_by_its_name_and_none_is_of_test_windows(name: str) -> None:
    assert objective(name).name == name
    with pytest.raises(DocumentError, match="no choice may use"):
        objective("test-" + name)


@pytest.mark.parametrize("name", [name for name, aim in OBJECTIVES.items() if aim.reads == "circuit"])
def test_what_a_circuits_objective_does_not_depend_on_changes_nothing(name: str) -> None:
    aim, base = OBJECTIVES[name], {"wires": 3, "depth": 1, "ansatz": "real-amplitudes"}

    def value(**changed: object) -> float:
        return aim.measure(Fitted(DeepLog(core=Quantum(**{**base, **changed})), None, ""))

    idle = {"hidden": 7, "shared": True, "frozen": True, "init": "uniform", "backend": "pennylane"}
    assert {value(**{key: other}) for key, other in idle.items()} == {value()}
    assert not any(aim.depends(f"core.{key}") for key in idle)
    assert not any(aim.depends(axis) for axis in ("lr", "epochs", "history", "embedding", "cell"))
    changing = {"wires": [4], "depth": [2], "ansatz": ["sim14", "strongly-entangling", "sim19"], "entangling": [False]}
    for key, others in changing.items():
        assert aim.depends(f"core.{key}")
        assert any(value(**{key: other}) != value() for other in others), key
    assert aim.depends("design.gates")
