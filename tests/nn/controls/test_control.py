"""Laws of controls."""

import dataclasses

import pytest
import torch

from qlogad import names, seeds
from qlogad.catalogue import listing
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.errors import DesignError, InputError, UnknownName
from qlogad.nn.controls.control import control
from qlogad.nn.core import Classical, Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.nn.matched import matched


def test_twins_and_their_controls_start_from_the_same_linear_maps() -> None:
    core = Quantum()
    twins = [
        core,
        SameWrapper(of=core),
        *(control(name, core) for name in ("frozen", "no-entanglement", "no-entanglement-matched", "dephased")),
    ]
    states = [twin.map(6, 5, 4, seeds.torch_generator(0)).state_dict() for twin in twins]
    for name in ("reduce.weight_GIO", "reduce.bias_G1O", "expand.weight_GIO", "expand.bias_G1O"):
        assert all(torch.equal(states[0][name], state[name]) for state in states[1:])


def test_controls_change_what_they_say_and_nothing_else() -> None:
    core = Quantum(wires=3, depth=2)
    assert control("frozen", core) == dataclasses.replace(core, frozen=True)
    lone = control("no-entanglement", core)
    assert isinstance(lone, Quantum)
    assert all(len(gate.wires) == 1 for gate in lone.circuit().gates)
    assert any(len(gate.wires) > 1 for gate in core.circuit().gates)
    assert lone.circuit().weights == core.circuit().weights
    assert control("same-wrapper", core) == SameWrapper(of=core)
    assert control("same-total", core) == SameTotal(of=core)


@pytest.mark.parametrize("ansatz", ["sim2", "sim6", "sim14", "strongly-entangling", "qcnn", "clifford", "permutation-equivariant"])
@pytest.mark.parametrize(("wires", "depth", "reupload"), [(2, 1, False), (3, 1, True), (3, 2, False)])
def test_the_matched_control_is_separable_and_has_as_many_live_weights(ansatz: str, wires: int, depth: int, reupload: bool) -> None:
    core = Quantum(ansatz=ansatz, wires=wires, depth=depth, reupload=reupload)
    circuit = (twin := control("no-entanglement-matched", core)).circuit()
    assert all(len(gate.wires) == 1 for gate in circuit.gates)
    assert twin.live() == core.live() == circuit.weights
    assert circuit.inputs == core.circuit().inputs
    assert circuit.readout == core.circuit().readout
    assert twin.circuit() == circuit


def test_the_matched_control_says_when_it_is_impossible() -> None:
    def deaf(uploads: int) -> Circuit:
        return assemble("angle-y", "separable", 2, 1)

    with pytest.raises(DesignError, match="reaches at most 4 live weights with any number of uploads, but 5 are needed"):
        matched(deaf, 5, Encoding.load("angle-y"))


@pytest.mark.parametrize("reupload", [False, True])
def test_the_dephased_control_has_the_same_gates_and_weights(reupload: bool) -> None:
    core = Quantum(ansatz="sim14", wires=3, depth=2, reupload=reupload, backend="pennylane")
    noisy = control("dephased", core)
    assert dataclasses.replace(noisy.circuit(), dephased=()) == core.circuit()
    assert noisy.backend == "exact"
    x_NI = torch.randn(20, 6, generator=seeds.torch_generator(1))
    with torch.no_grad():
        one, two = (twin.map(6, 5, 4, seeds.torch_generator(0))(x_NI) for twin in (core, noisy))
    assert not torch.allclose(one, two, atol=0.01)


@pytest.mark.parametrize("name", names.known("control"))
def test_a_control_is_another_core_and_is_listed_with_what_it_does(name: str) -> None:
    core = Quantum(wires=2, backend="pennylane")
    assert control(name, core) != core
    assert name == "same-total" or control(name, core).hidden == core.hidden
    assert any(row["name"] == name and row["what"] for row in listing.rows("controls"))


def test_unknown_controls_and_classical_cores_are_refused_with_the_next_step() -> None:
    with pytest.raises(UnknownName, match="did you mean 'frozen'"):
        control("frozn", Quantum())
    for name in names.known("control"):
        with pytest.raises(InputError, match="quantum core"):
            control(name, Classical())


@pytest.mark.parametrize("encoding", ["angle-y", "chen"])
def test_the_matched_control_stands_beside_an_identity_block(encoding: str) -> None:
    core = Quantum(encoding=encoding, ansatz="sim14", wires=3, init="identity-block")
    matched = control("no-entanglement-matched", core)
    assert matched.map(3, 2, 4, torch.Generator().manual_seed(0)).middle.weights_GP.shape == (4, core.live())


def test_the_wrapper_of_a_frozen_core_has_no_trained_middle() -> None:
    middle = control("same-wrapper", Quantum(wires=2, frozen=True)).map(3, 2, 4, torch.Generator().manual_seed(0)).middle
    assert sum(parameter.numel() for parameter in middle.parameters() if parameter.requires_grad) == 0
