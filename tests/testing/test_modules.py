"""Laws of quantum cores in networks: depth does something, controls keep the linear maps, sizes and executions are counted."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from qlogad import names, seeds
from qlogad.circuit.design import Design
from qlogad.circuit.readout import bases
from qlogad.detect.sequences.deeplog import DeepLog, Network
from qlogad.nn.controls.control import control
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.layer import GateCircuits
from qlogad.nn.recurrent import LSTM
from tests.testing.differences import differences

USUAL = {
    "basic-entangler",
    "identity",
    "qcnn",
    "qulog",
    "separable",
    "sim14",
    "strongly-entangling",
}  # the others are for the slow run
ANSAETZE = [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in names.designs("ansatz")]
ENCODINGS = [name for name in names.designs("encoding") if not Design.load(name, "encoding").takes.integer]
QUANTUM = [
    *(Quantum(ansatz=name, wires=3, depth=2, hidden=4, shared=shared) for name in sorted(USUAL) for shared in (False, True)),
    *(Quantum(encoding=name, wires=2, depth=2, hidden=4, reupload=reupload) for name in ENCODINGS for reupload in (False, True)),
    *(Quantum(encoding=name, wires=2, depth=2, hidden=4, reupload=True, scaling=True) for name in ("angle-y", "chen", "amplitude")),
    *(Quantum(wires=2, hidden=4, readout=readout) for readout in ("xyz", "probabilities", ("XX", "ZI", "00"))),
]

quantum = pytest.mark.parametrize("core", QUANTUM, ids=differences)


def cell(core: Core, width: int = 3) -> LSTM:
    return LSTM(width, core.hidden, make=partial(core.map, generator=seeds.torch_generator(0, "contract")))


def steps(rows: int = 8) -> torch.Tensor:
    return torch.randn(rows, 5, 3, generator=seeds.torch_generator(0, "inputs"))


@pytest.mark.parametrize("ansatz", ANSAETZE)
@pytest.mark.parametrize("shared", [False, True])
def test_depth_adds_weights_and_changes_what_is_computed(ansatz: str, shared: bool) -> None:
    modules = [cell(Quantum(ansatz=ansatz, wires=4, depth=depth, hidden=4, shared=shared)) for depth in range(4)]
    counts = [sum(layer.weights_GP.numel() for layer in m.modules() if isinstance(layer, GateCircuits)) for m in modules]
    added = [after - before for before, after in pairwise(counts)]
    fixed = ansatz in {"clifford", "identity"}  # no weights, and some depths give equal <Z>
    assert (added[0] > 0) != fixed
    assert added == [added[0]] * 3
    with torch.no_grad():
        outputs = [module(steps())[0] for module in modules]
    assert any(torch.allclose(before, after, atol=1e-4) for before, after in pairwise(outputs)) == fixed


@pytest.mark.sample(30)
@quantum
@pytest.mark.parametrize("name", sorted(set(names.known("control")) - {"same-total"}))
def test_controls_keep_the_wrapper(core: Quantum, name: str) -> None:
    def shapes(one: Core) -> dict[str, torch.Size]:
        return {key: value.shape for key, value in cell(one).state_dict().items() if "middle" not in key}

    assert shapes(core) == shapes(control(name, core))


@pytest.mark.sample(15)
@quantum
def test_same_total_is_as_large_as_fits(core: Quantum) -> None:
    def total(one: Core) -> int:
        return Network(7, 3, one, seed=0).weights()["total"]

    found = control("same-total", core).resolve(total)
    assert total(found) <= total(core) < total(Classical(hidden=found.hidden + 1))


@pytest.mark.sample(15)
@quantum
def test_the_circuits_work_is_counted(core: Quantum) -> None:
    windows = [[0, 1, 2, 3, 0, 1]] * 3
    detector = DeepLog(core=core, history=3, embedding=3, epochs=2).fit(windows)
    assert detector.executions == 4 * 3 * 2 * 6 * len(bases(core.circuit().readout))  # gates x steps x epochs x distinct histories
    assert detector.weights_["quantum"] == 4 * (core.circuit().weights + core.encoder().weights(core.wires))
