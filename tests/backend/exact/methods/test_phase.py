"""Method `phase`, phases between unitaries, against gate by gate and PennyLane."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.methods.phase import Phase
from qlogad.backend.pennylane import PennyLane
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import readout
from qlogad.errors import DesignError
from qlogad.testing.circuits import random_circuit
from tests.backend.agreement import assert_same, means_and_slopes, values

READOUTS = ["z", "x", "y:0", "x+z", "xyz", "zz+x", "parity", "probabilities", "zeros", "z+zeros"]
CASES = [(groups, copies, rows) for groups, copies in ((1, 1), (4, 4), (3, 1)) for rows in (0, 1, 5)]


def circuits(wires, **settings):
    """Every encoding and every ansatz at a width, where they exist."""
    for encoding in names.designs("encoding"):
        for ansatz in names.designs("ansatz") if encoding == "angle-y" else ["strongly-entangling", "sim14", "sim7"]:
            with suppress(DesignError):
                yield assemble(encoding, ansatz, wires, 2, **settings)


@pytest.mark.sample(3)
@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("wires", range(1, 5))
def test_it_is_gate_by_gate(wires, reupload):
    for number, circuit in enumerate(circuits(wires, reupload=reupload)):
        assert_same(Phase().bind, Gates().bind, circuit, values(circuit, *CASES[number % len(CASES)]))


@pytest.mark.parametrize("seed", range(24))
def test_it_is_gate_by_gate_over_the_whole_gate_table(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 8, gates=25)
    assert_same(Phase().bind, Gates().bind, circuit, values(circuit, *CASES[seed % len(CASES)]))


@pytest.mark.parametrize("words", READOUTS)
def test_every_readout(words):
    circuit = replace(assemble("angle-x", "sim14", 3, 1), readout=readout(words, 3))
    assert_same(Phase().bind, Gates().bind, circuit, values(circuit))


@pytest.mark.parametrize(("wires", "depth"), [(6, 3), (8, 2), (10, 2)])
@pytest.mark.parametrize("encoding", ["angle-y", "chen"])
def test_it_is_pennylane(encoding, wires, depth):
    circuit = assemble(encoding, "strongly-entangling", wires, depth, reupload=True)
    assert_same(Phase().bind, PennyLane().bind, circuit, values(circuit, groups=1, copies=1, rows=2))


@pytest.mark.sample(1)
@pytest.mark.parametrize("wires", [2, 4])
def test_single_precision_lies_near_double(wires):
    for circuit in circuits(wires, reupload=True):
        weights_GP, inputs_GNI = values(circuit, dtype=torch.float32)
        single = means_and_slopes(Phase().bind, circuit, weights_GP, inputs_GNI)
        exact = [one.detach().double().requires_grad_() for one in (weights_GP, inputs_GNI)]
        for one, two in zip(single, means_and_slopes(Phase().bind, circuit, *exact), strict=True):
            torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoding", ["angle-y", "zz", "chen"])
@pytest.mark.parametrize("depth", [0, 2])
def test_gradients_of_gradients(encoding, depth):
    circuit = assemble(encoding, "strongly-entangling", 2, depth, reupload=depth > 0, readout="x+z")

    def run(weights_GP, inputs_GNI):
        return Phase().bind(circuit, weights_GP)(inputs_GNI)

    assert torch.autograd.gradcheck(run, values(circuit, 2, 1, 2))
    assert torch.autograd.gradgradcheck(run, values(circuit, 2, 1, 2))


def test_again_is_the_same_to_the_last_bit():
    for circuit in circuits(4, reupload=True):
        given = values(circuit, dtype=torch.float32)
        for one, two in zip(*(means_and_slopes(Phase().bind, circuit, *given) for _ in range(2)), strict=True):
            assert torch.equal(one, two)


def test_circuits_without_gates_inputs_or_weights():
    bell = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1))), ("XX", "YY", "ZZ", "ZI"), 0, 0)
    expected = torch.tensor([1.0, -1, 1, 0]).expand(3, 5, 4)
    torch.testing.assert_close(Phase().bind(bell, torch.zeros(3, 0))(torch.zeros(1, 5, 0)).expand(3, -1, -1), expected)
    bare = Circuit(2, (), ("ZZ", "XI", "01"), 0, 0)
    assert Phase().bind(bare, torch.zeros(1, 0))(torch.zeros(1, 1, 0)).tolist() == [[[1.0, 0.0, 0.0]]]


def test_costs_grow_with_the_work_and_need_no_tensor():
    circuit = assemble("angle-y", "strongly-entangling", 8, 2, reupload=True)
    task = Task(circuit, groups=4, rows=64, calls=10)
    whole, half = Phase().effort(task), Phase().effort(task.halved())
    assert half.operations < whole.operations
    assert half.memory < whole.memory
    wide, wider = (Phase().effort(Task(assemble("angle-y", "qulog", wires, 1))) for wires in (20, 21))
    assert 1e7 < wide.memory < wider.memory
