"""Closed forms by light cones: against formulas, state vectors and PennyLane, and at widths that only a closed form reaches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.methods.closed import WIDEST, Closed
from qlogad.backend.exact.methods.gates import Gates
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import GATES
from qlogad.errors import DesignError
from qlogad.testing.circuits import random_circuit
from tests.backend.agreement import assert_close, assert_same, means_and_slopes, values


def random(seed, *, wires, singles, pairs):
    """Gates on single wires that read anything, then fixed gates that take Pauli words to Pauli words; random words."""
    generator = np.random.default_rng(seed)
    one = random_circuit(generator, wires=wires, gates=0)
    rotations = [name for name, kind in GATES.items() if kind.wires == 1]
    clifford = [
        name for name, kind in GATES.items() if kind.wires <= min(2, wires) and not kind.angles and name not in ("t", "tdg")
    ]

    def rotation():
        name = str(generator.choice(rotations))
        source = ("input", "weight", None)[int(generator.integers(3))]
        count = {"input": one.inputs, "weight": one.weights, None: 1}[source]
        angle = Angle(source, int(generator.integers(count)), float(generator.uniform(-2, 2)), float(generator.normal()))
        return Gate(name, (int(generator.integers(wires)),), (angle,) * GATES[name].angles)

    def fixed():
        name = str(generator.choice(clifford))
        return Gate(name, tuple(int(wire) for wire in generator.permutation(wires)[: GATES[name].wires]))

    gates = (*(rotation() for _ in range(singles)), *(fixed() for _ in range(pairs)))
    return replace(one, gates=gates, readout=tuple(word for word in one.readout if set(word) <= set("IXYZ")))


@pytest.mark.parametrize("seed", range(16))
def test_rotations_then_clifford_gates_are_pennylane(seed):
    circuit = random(seed, wires=1 + seed % 6, singles=4 * (1 + seed % 6), pairs=12)
    assert not Closed().unfit(circuit)
    arguments = values(circuit, groups=1, rows=2, seed=seed)
    assert_same(Closed().bind, open_backend("pennylane").bind, circuit, arguments)


@pytest.mark.parametrize("seed", range(30))
def test_rotations_then_clifford_gates_are_gate_by_gate(seed):
    circuit = random(seed, wires=1 + seed % 7, singles=3 * seed, pairs=2 * seed)
    arguments = values(circuit, groups=1 + seed % 4, rows=seed % 3, copies=None if seed % 2 else 1, seed=seed)
    assert_same(Closed().bind, Gates().bind, circuit, arguments)


def test_whatever_random_circuit_fits_is_gate_by_gate():
    fitting = 0
    for seed in range(80):
        circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 6, gates=4 + seed % 12)
        if not Closed().unfit(circuit):
            fitting += 1
            arguments = values(circuit, seed=seed)
            assert_same(Closed().bind, Gates().bind, circuit, arguments)
    assert fitting > 15


@pytest.mark.sample(16)
@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("ansatz", names.designs("ansatz"))
def test_every_ansatz_that_fits(ansatz, reupload):
    for encoding in ("angle-y", "chen", "su2"):
        try:
            circuit = assemble(encoding, ansatz, 5, 1, reupload=reupload, readout="z+xx")
        except DesignError:
            continue  # the ansatz needs another width
        if reupload and Closed().unfit(circuit):
            continue  # what comes before the first upload entangles
        arguments = values(circuit)
        assert_same(Closed().bind, Gates().bind, circuit, arguments)


@pytest.mark.parametrize("wires", [2, 3, 5, 26])
def test_the_qulog_circuit_is_a_product_of_cosines(wires):
    """z_i = cos b cos a cos x - sin b sin x; <Z_0> = prod_{i>=1} z_i, <Z_k> = prod_{i<=k} z_i."""
    circuit = assemble("angle-x", "qulog", wires, 1)
    weights_GP, inputs_GNI = values(circuit)
    a, b = weights_GP[:, None, :wires], weights_GP[:, None, wires:]
    z = torch.cos(b) * torch.cos(a) * torch.cos(inputs_GNI) - torch.sin(b) * torch.sin(inputs_GNI)
    expected = torch.cat([z[..., 1:].prod(-1, keepdim=True), z.cumprod(-1)[..., 1:]], dim=-1)
    torch.testing.assert_close(Closed().bind(circuit, weights_GP)(inputs_GNI), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wires", [4, 26])
@pytest.mark.parametrize("encoding", ["angle-y", "su2"])
def test_separable_wires_are_each_alone_at_any_depth(encoding, wires):
    circuit = assemble(encoding, "separable", wires, 5, reupload=True)
    weights_GP, inputs_GNI = values(circuit)
    mean_GNK = Closed().bind(circuit, weights_GP)(inputs_GNI)
    for wire in range(wires):
        own = tuple(replace(gate, wires=(0,)) for gate in circuit.gates if gate.wires == (wire,))
        alone = Gates().bind(Circuit(1, own, ("Z",), circuit.inputs, circuit.weights), weights_GP)(inputs_GNI)
        torch.testing.assert_close(mean_GNK[..., wire : wire + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", ["zeros", "probabilities", "probabilities+z"])
@pytest.mark.parametrize("ansatz", ["separable", "qulog", "strongly-entangling"])
def test_projectors(ansatz, readout):
    circuit = assemble("angle-y", ansatz, 4, 1, readout=readout)
    arguments = values(circuit)
    assert_same(Closed().bind, Gates().bind, circuit, arguments)


def test_a_shallow_circuit_of_any_width_sees_its_light_cones():
    """On 20 wires, a readout's mean is that of the few wires around it, cut out."""
    wires, around = 20, 3
    circuit = assemble("angle-y", "brick", wires, 1)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=2)
    mean_GNK = Closed().bind(circuit, weights_GP)(inputs_GNI)
    for wire in range(wires):
        low = max(0, wire - around)
        near = range(low, min(wires, wire + around + 1))
        own = tuple(
            replace(gate, wires=tuple(one - low for one in gate.wires)) for gate in circuit.gates if set(gate.wires) <= set(near)
        )
        word = z_each(len(near))[wire - low]
        cut = Gates().bind(Circuit(len(near), own, (word,), wires, circuit.weights), weights_GP)(inputs_GNI)
        torch.testing.assert_close(mean_GNK[..., wire : wire + 1], cut, rtol=0, atol=1e-12)


def test_what_does_not_fit_says_why():
    assert "entangled wires, and inputs enter" in Closed().unfit(assemble("angle-y", "qulog", 3, 2, reupload=True))
    wide = assemble("angle-y", "strongly-entangling", WIDEST + 1, 2)
    assert f"{WIDEST + 1} entangled wires" in Closed().unfit(wide)
    assert "reads 128 separate basis states" in Closed().unfit(assemble("angle-y", "separable", 7, 1, readout="probabilities"))


@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("reupload", [False, True])
def test_rows_are_independent_and_repeat_bit_by_bit(rows, reupload):
    circuit = assemble("angle-y", "separable" if reupload else "strongly-entangling", 5, 1 + reupload, reupload=reupload)
    weights_GP, inputs_GNI = values(circuit, groups=3, rows=rows, copies=1)
    run = Closed().bind(circuit, weights_GP)
    mean_GNK = run(inputs_GNI)
    assert mean_GNK.shape == (3, rows, 5)
    assert torch.equal(mean_GNK, Closed().bind(circuit, weights_GP)(inputs_GNI))
    torch.testing.assert_close(run(inputs_GNI.expand(3, -1, -1)), mean_GNK, rtol=0, atol=1e-12)
    for row in range(rows):
        torch.testing.assert_close(run(inputs_GNI[:, row : row + 1]), mean_GNK[:, row : row + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_single_precision_lies_near_double(seed):
    circuit = random(seed, wires=1 + seed % 5, singles=10, pairs=10)
    single = means_and_slopes(Closed().bind, circuit, *values(circuit, seed=seed, dtype=torch.float32))
    assert {one.dtype for one in single} == {torch.float32}
    assert_close(single, means_and_slopes(Closed().bind, circuit, *values(circuit, seed=seed)), tolerance=2e-4)


def test_gradients_of_gradients():
    circuit = assemble("su2", "separable", 2, 2, reupload=True)
    ring = replace(circuit, gates=(*circuit.gates, Gate("cx", (0, 1)), Gate("cx", (1, 0))))

    def run(weights_GP, inputs_GNI):
        return Closed().bind(ring, weights_GP)(inputs_GNI)

    assert torch.autograd.gradgradcheck(run, values(ring, groups=1, rows=1))


def test_nothing_to_multiply_is_one():
    bare = Circuit(2, (Gate("cx", (0, 1)),), ("II", "ZZ", "XI"), 0, 0)
    assert Closed().bind(bare, torch.zeros(3, 0))(torch.zeros(1, 5, 0)).tolist() == [[[1.0, 1.0, 0.0]] * 5] * 3


def test_cost_grows_with_width_and_not_with_its_power():
    def memory(wires):
        return Closed().effort(Task(assemble("angle-x", "qulog", wires, 1), groups=4, rows=64)).memory

    assert memory(8) < memory(16) < 5 * memory(8)
