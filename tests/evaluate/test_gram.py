"""Laws of fidelity kernels: a kernel, that of the inverse circuit, in whatever blocks it is computed."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError, DesignError
from qlogad.evaluate.gram import MOST_ROWS, gram
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

CIRCUITS = {
    **{f"random {seed}": random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=20) for seed in range(6)},
    "iqp": assemble("iqp", "identity", 3, 0),
    "re-uploading": assemble("angle-y", "strongly-entangling", 4, 2, reupload=True),
}
circuits = pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)


def given(circuit, *rows, dtype=torch.float64):
    generator = torch_generator(0, "gram", circuit.digest())
    shapes = [(circuit.weights,), *((count, circuit.inputs) for count in rows)]
    return [(2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype) for shape in shapes]


def pair(circuit: Circuit) -> Circuit:
    """The circuit of one row, then undone for another: its state is |0...0> as often as the two are alike."""
    other = circuit.inverse()
    moved = [
        tuple(Angle(a.source, a.index + circuit.inputs, a.scale, a.shift) if a.source == "input" else a for a in gate.angles)
        for gate in other.gates
    ]
    gates = tuple(Gate(gate.name, gate.wires, angles) for gate, angles in zip(other.gates, moved, strict=True))
    return Circuit(circuit.wires, circuit.gates + gates, ("0" * circuit.wires,), 2 * circuit.inputs, circuit.weights)


@circuits
def test_it_is_how_often_the_inverse_circuit_returns_to_zero(circuit):
    weights_P, inputs_NI, others_MI = given(circuit, 7, 5)
    both = torch.cat([inputs_NI[:, None].expand(7, 5, -1), others_MI[None].expand(7, 5, -1)], dim=-1).reshape(1, 35, -1)
    expected = Exact("gates").bind(pair(circuit), weights_P[None])(both).view(7, 5)
    torch.testing.assert_close(gram(circuit, weights_P, inputs_NI, others_MI), expected, rtol=0, atol=1e-12)


@circuits
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_is_a_kernel(circuit, dtype, close):
    weights_P, inputs_NI = given(circuit, 20, dtype=dtype)
    found_NN = gram(circuit, weights_P, inputs_NI)
    assert found_NN.dtype == dtype
    assert torch.equal(found_NN, found_NN.mT)
    assert torch.all(found_NN.diagonal() == 1)
    assert torch.all((found_NN >= 0) & (found_NN <= 1))
    assert torch.linalg.eigvalsh(found_NN.double()).min() > -20 * close
    torch.testing.assert_close(found_NN, gram(circuit, weights_P, inputs_NI, inputs_NI), rtol=0, atol=close)


def test_it_is_pennylane_s_kernel():
    circuit = assemble("angle-y", "strongly-entangling", 3, 2)
    weights_P, inputs_NI = given(circuit, 4)
    shaped = weights_P.reshape(2, 3, 3).numpy()

    def prepare(row):
        qml.AngleEmbedding(row, range(3), rotation="Y")
        qml.StronglyEntanglingLayers(shaped, range(3))

    @qml.qnode(qml.device("default.qubit"))
    def node(one, two):
        prepare(one)
        qml.adjoint(prepare)(two)
        return qml.probs(range(3))

    expected = qml.kernels.square_kernel_matrix(inputs_NI.numpy(), lambda one, two: node(one, two)[0])
    np.testing.assert_allclose(gram(circuit, weights_P, inputs_NI).numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("memory", [1e-5, 3e-5, 1e-4, 1.0])
@pytest.mark.parametrize("alone", [True, False])
def test_blocks_do_not_show(memory, alone):
    circuit = CIRCUITS["re-uploading"]
    weights_P, inputs_NI, others_MI = given(circuit, 23, 17)
    others = None if alone else others_MI
    seen = []
    found = gram(circuit, weights_P, inputs_NI, others, memory=memory, progress=lambda done, total: seen.append((done, total)))
    torch.testing.assert_close(found, gram(circuit, weights_P, inputs_NI, others), rtol=0, atol=1e-12)
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert (len(seen) > 1) == (memory < 1e-4)


def test_more_rows_than_one_block_holds():
    circuit = assemble("angle-y", "identity", 1, 0)
    inputs_NI = torch.linspace(0, math.pi, MOST_ROWS + 3, dtype=torch.float64)[:, None]
    expected = torch.cos((inputs_NI - inputs_NI.mT) / 2).square()
    torch.testing.assert_close(gram(circuit, torch.zeros(0, dtype=torch.float64), inputs_NI), expected, rtol=0, atol=1e-12)


def test_no_rows_give_no_pairs():
    circuit = CIRCUITS["re-uploading"]
    weights_P, inputs_NI, none = given(circuit, 3, 0)
    assert gram(circuit, weights_P, none).shape == (0, 0)
    assert gram(circuit, weights_P, inputs_NI, none).shape == (3, 0)


def test_what_has_no_states_or_does_not_fit_is_refused():
    circuit = CIRCUITS["re-uploading"]
    weights_P, inputs_NI = given(circuit, 3)
    with pytest.raises(DesignError, match="use the circuit it was made from"):
        gram(Circuit(1, (), ("Z",), 1, 0, dephased=(0,)), torch.zeros(0), torch.zeros(2, 1))
    with pytest.raises(BackendError, match=r"a state of 4 wires needs about .* raise it"):
        gram(circuit, weights_P, inputs_NI, memory=1e-7)
    with pytest.raises(BackendError, match="inputs of shape"):
        gram(circuit, weights_P, inputs_NI[:, :2])
