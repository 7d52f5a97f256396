"""Method `real`, one real matrix product, against gate by gate and PennyLane."""

from dataclasses import replace

import pytest
import torch

from qlogad import names
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.methods.real import Real
from qlogad.backend.pennylane import PennyLane
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import readout
from qlogad.errors import DesignError
from tests.backend.agreement import assert_same, means_and_slopes, values

READOUTS = ["z", "x", "y:0", "x+z", "xyz", "zz+x", "parity", "probabilities", "zeros", "z+zeros"]
CASES = [(groups, copies, rows) for groups, copies in ((1, 1), (4, 4), (3, 1)) for rows in (0, 1, 5)]


def fitting(wires, **settings):
    """Every encoding and every ansatz at a width, where they exist and the inputs enter once."""
    found = []
    for number, encoding in enumerate(names.designs("encoding")):
        for ansatz in names.designs("ansatz") if encoding == "angle-y" else ["strongly-entangling", "sim14", "sim7"]:
            try:
                circuit = assemble(encoding, ansatz, wires, 1 + number % 2, **settings)
            except DesignError:
                continue
            if not Real().unfit(circuit):
                found.append(circuit)
    return found


@pytest.mark.sample(2)
@pytest.mark.parametrize("wires", range(1, 6))
def test_it_is_gate_by_gate(wires):
    for number, circuit in enumerate(fitting(wires)):
        read = replace(circuit, readout=readout(READOUTS[number % len(READOUTS)], wires)) if wires > 1 else circuit
        assert_same(Real().bind, Gates().bind, read, values(read, *CASES[number % len(CASES)]))


@pytest.mark.parametrize("words", READOUTS)
def test_every_readout(words):
    circuit = replace(assemble("angle-x", "sim14", 3, 1), readout=readout(words, 3))
    assert_same(Real().bind, Gates().bind, circuit, values(circuit))


@pytest.mark.parametrize(("wires", "depth"), [(6, 3), (8, 2), (10, 1)])
def test_it_is_pennylane(wires, depth):
    circuit = assemble("angle-y", "strongly-entangling", wires, depth)
    assert_same(Real().bind, PennyLane().bind, circuit, values(circuit, groups=1, copies=1, rows=2))


@pytest.mark.sample(1)
@pytest.mark.parametrize("wires", [2, 4])
def test_single_precision_lies_near_double(wires):
    for circuit in fitting(wires):
        weights_GP, inputs_GNI = values(circuit, dtype=torch.float32)
        single = means_and_slopes(Real().bind, circuit, weights_GP, inputs_GNI)
        exact = [one.detach().double().requires_grad_() for one in (weights_GP, inputs_GNI)]
        for one, two in zip(single, means_and_slopes(Real().bind, circuit, *exact), strict=True):
            torch.testing.assert_close(one.double(), two, rtol=2e-5, atol=2e-5)


def test_its_form_is_the_circuit():
    for circuit in fitting(3):
        weights_GP, inputs_GNI = values(circuit)
        form = Real().form(circuit, weights_GP)
        halves = [(angle.scale * inputs_GNI[..., angle.index] + angle.shift) / 2 for angle in form.angles]
        r_GNR = inputs_GNI.new_ones(*inputs_GNI.shape[:2], 1)
        for half in halves:
            trig = torch.stack([torch.cos(half), torch.sin(half)], dim=-1)
            r_GNR = (r_GNR[..., :, None] * trig[..., None, :]).flatten(-2)
        expected = (r_GNR @ form.table).square() @ form.signs_DK
        torch.testing.assert_close(Real().bind(circuit, weights_GP)(inputs_GNI), expected, rtol=0, atol=1e-12)


def test_gradients_of_gradients():
    circuit = assemble("angle-y", "strongly-entangling", 2, 2, readout="x+z")

    def run(weights_GP, inputs_GNI):
        return Real().bind(circuit, weights_GP)(inputs_GNI)

    assert torch.autograd.gradcheck(run, values(circuit, 2, 1, 2))
    assert torch.autograd.gradgradcheck(run, values(circuit, 2, 1, 2))


def test_again_is_the_same_to_the_last_bit():
    for circuit in fitting(4):
        given = values(circuit, dtype=torch.float32)
        for one, two in zip(*(means_and_slopes(Real().bind, circuit, *given) for _ in range(2)), strict=True):
            assert torch.equal(one, two)


def test_inputs_that_come_again_do_not_fit():
    assert Real().unfit(assemble("angle-y", "strongly-entangling", 3, 2, reupload=True)).startswith("it reads inputs again")
    assert Real().unfit(assemble("chen", "strongly-entangling", 3, 1)).startswith("a wire's state depends on two angles")


def test_circuits_without_gates_inputs_or_weights():
    bell = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1))), ("XX", "YY", "ZZ", "ZI"), 0, 0)
    expected = torch.tensor([1.0, -1, 1, 0]).expand(3, 5, 4)
    torch.testing.assert_close(Real().bind(bell, torch.zeros(3, 0))(torch.zeros(1, 5, 0)).expand(3, -1, -1), expected)
    bare = Circuit(2, (), ("ZZ", "XI", "01"), 0, 0)
    assert Real().bind(bare, torch.zeros(1, 0))(torch.zeros(1, 1, 0)).tolist() == [[[1.0, 0.0, 0.0]]]


def test_costs_grow_with_the_work_and_need_no_tensor():
    circuit = assemble("angle-y", "strongly-entangling", 8, 2)
    task = Task(circuit, groups=4, rows=64, calls=10)
    whole, half = Real().effort(task), Real().effort(task.halved())
    assert half.operations < whole.operations
    assert half.memory < whole.memory
    wide, wider = (Real().effort(Task(assemble("angle-y", "qulog", wires, 1))) for wires in (20, 21))
    assert 1e12 < wide.memory < wider.memory
