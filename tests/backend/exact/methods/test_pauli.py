"""Observables pushed back in the Pauli basis: against state vectors, PennyLane, and the algebra of Pauli words."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.methods.pauli import MOST_WIRES, Pauli
from qlogad.backend.exact.parts.transfer import LETTERS, Chain, Chains, mean_of, pulled, transfer_of_kraus
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import GATES, matrix, pauli
from qlogad.circuit.readout import readout
from qlogad.errors import DesignError
from qlogad.testing.circuits import random_circuit, reference_means
from tests.backend.agreement import assert_close, assert_same, means_and_slopes, values


def random(seed, *, wires, gates=25):
    """Up to four gates on each wire that read inputs or nothing, then gates of the whole table that read weights or nothing."""
    generator = np.random.default_rng(seed)
    one = random_circuit(generator, wires=wires, gates=gates)
    singles = [name for name, kind in GATES.items() if kind.wires == 1]

    def starting(wire):
        name = str(generator.choice(singles))
        angle = Angle("input", int(generator.integers(one.inputs)), float(generator.uniform(-2, 2)), float(generator.normal()))
        return Gate(name, (wire,), (angle,) * GATES[name].angles)

    start = [starting(wire) for wire in range(wires) for _ in range(int(generator.integers(5)))]
    moved = [
        replace(gate, angles=tuple(Angle("weight", 0, a.scale, a.shift) if a.source == "input" else a for a in gate.angles))
        for gate in one.gates
    ]
    return replace(one, gates=(*start, *moved))


def starts_with_inputs(circuit):
    moved = set()  # wires that a weight or another wire has acted on
    for gate in circuit.gates:
        if gate.reads("input") and (len(gate.wires) > 1 or gate.wires[0] in moved):
            return False
        if gate.reads("weight") or len(gate.wires) > 1:
            moved |= set(gate.wires)
    return True


@pytest.mark.parametrize("seed", range(24))
def test_pauli_is_pennylane(seed):
    circuit = random(seed, wires=1 + seed % 6)
    arguments = values(circuit, groups=1, rows=2, seed=seed)
    assert_same(Pauli().bind, open_backend("pennylane").bind, circuit, arguments)


@pytest.mark.parametrize("seed", range(40))
def test_pauli_is_gate_by_gate(seed):
    circuit = random(seed, wires=1 + seed % 5, gates=10 + seed)
    arguments = values(circuit, groups=1 + seed % 4, rows=seed % 3, copies=None if seed % 2 else 1, seed=seed)
    assert_same(Pauli().bind, Gates().bind, circuit, arguments)


@pytest.mark.parametrize("wires", range(7, MOST_WIRES + 1))
def test_wide_circuits(wires):
    circuit = assemble("angle-y", "strongly-entangling", wires, 2, readout="z:0,3+parity")
    arguments = values(circuit, groups=1, rows=2)
    assert_same(Pauli().bind, Gates().bind, circuit, arguments)


@pytest.mark.sample(5)
@pytest.mark.parametrize("encoding", names.designs("encoding"))
def test_every_encoding_and_ansatz(encoding):
    fitting = 0
    for ansatz in names.designs("ansatz"):
        try:
            circuit = assemble(encoding, ansatz, 4, 2, readout="z+parity")
        except DesignError:
            continue  # the ansatz, or the encoding, needs another width
        enters_once = starts_with_inputs(circuit)
        assert bool(Pauli().unfit(circuit)) != enters_once
        if enters_once:
            fitting += 1
            arguments = values(circuit)
            assert_same(Pauli().bind, Gates().bind, circuit, arguments)
    assert fitting > 30 or encoding in ("amplitude", "iqp", "trotter", "zz")


@pytest.mark.parametrize(
    "spec", ["x", "y", "z", "xyz", "xx+yy+zz", "parity", "probabilities", "zeros+z:1", "probabilities+xyz+parity"]
)
@pytest.mark.parametrize("ansatz", ["strongly-entangling", "sim14", "brick", "identity"])
def test_every_readout(spec, ansatz):
    circuit = assemble("chen", ansatz, 4, 1, readout=readout(spec, 4))
    arguments = values(circuit)
    assert_same(Pauli().bind, Gates().bind, circuit, arguments)


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("encoding", ["angle-y", "chen", "basis"])
def test_rows_are_independent_and_repeat_bit_by_bit(rows, groups, encoding):
    circuit = assemble(encoding, "strongly-entangling", 5, 2)
    weights_GP, inputs_GNI = values(circuit, groups=groups, rows=rows, copies=1)
    run = Pauli().bind(circuit, weights_GP)
    mean_GNK = run(inputs_GNI)
    assert mean_GNK.shape == (groups, rows, 5)
    assert torch.equal(mean_GNK, Pauli().bind(circuit, weights_GP)(inputs_GNI))
    repeated = run(inputs_GNI.expand(groups, -1, -1))
    torch.testing.assert_close(repeated, mean_GNK, rtol=0, atol=1e-12)
    for row in range(rows):
        torch.testing.assert_close(run(inputs_GNI[:, row : row + 1]), mean_GNK[:, row : row + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_single_precision_lies_near_double(seed):
    circuit = random(seed, wires=1 + seed % 5)
    single = means_and_slopes(Pauli().bind, circuit, *values(circuit, seed=seed, dtype=torch.float32))
    assert {one.dtype for one in single} == {torch.float32}
    assert_close(single, means_and_slopes(Pauli().bind, circuit, *values(circuit, seed=seed)), tolerance=2e-4)


@pytest.mark.parametrize(("encoding", "ansatz"), [("angle-y", "strongly-entangling"), ("chen", "sim13")])
def test_gradients_of_gradients(encoding, ansatz):
    circuit = assemble(encoding, ansatz, 3, 1)

    def run(weights_GP, inputs_GNI):
        return Pauli().bind(circuit, weights_GP)(inputs_GNI)

    assert torch.autograd.gradgradcheck(run, values(circuit, groups=1, rows=1))


@pytest.mark.parametrize("encoding", ["angle-x", "angle-y", "chebyshev-tower", "basis"])
@pytest.mark.parametrize("wires", [1, 3, 5])
def test_the_form_is_the_table_of_a_call(encoding, wires):
    circuit = assemble(encoding, "strongly-entangling", wires, 2)
    weights_GP, inputs_GNI = values(circuit)
    form = Pauli().form(circuit, weights_GP)
    assert form is not None
    assert form.kind == "trig"
    features = torch.ones(2, 3, 1, dtype=torch.float64)
    for angle in form.angles:
        a = (angle.scale * inputs_GNI[..., angle.index] + angle.shift)[..., None]
        features = (features[..., None] * torch.cat([torch.ones_like(a), a.cos(), a.sin()], -1)[..., None, :]).flatten(-2)
    torch.testing.assert_close(features @ form.table, Pauli().bind(circuit, weights_GP)(inputs_GNI), rtol=0, atol=1e-12)


def test_what_does_not_fit_says_why():
    weights_GP = torch.zeros(1, 24)
    uploads = assemble("angle-y", "strongly-entangling", 4, 2, reupload=True)
    assert "re-uploading" in Pauli().unfit(uploads)
    assert Pauli().form(uploads, weights_GP) is None
    assert Pauli().form(assemble("chen", "strongly-entangling", 4, 2), weights_GP) is None
    assert "9 wires" in Pauli().unfit(assemble("angle-y", "strongly-entangling", MOST_WIRES + 1, 1))


def test_circuits_without_gates_inputs_or_weights():
    bare = Circuit(2, (), ("ZZ", "XI", "00", "01"), 0, 0)
    assert Pauli().bind(bare, torch.zeros(3, 0))(torch.zeros(1, 5, 0)).tolist() == [[[1.0, 0.0, 1.0, 0.0]] * 5] * 3
    swapped = replace(bare, gates=(Gate("x", (0,)), Gate("swap", (0, 1)), Gate("cx", (1, 0))))
    assert Pauli().bind(swapped, torch.zeros(1, 0))(torch.zeros(1, 1, 0)).tolist() == [[[1.0, 0.0, 0.0, 0.0]]]


@pytest.mark.parametrize("wires", [4, 6])
@pytest.mark.parametrize("gradient", [False, True])
def test_costs_count_what_is_held(wires, gradient):
    circuit = assemble("angle-y", "strongly-entangling", wires, 2)
    weights_GP, inputs_GNI = values(circuit, groups=4, rows=64, dtype=torch.float32)
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.set_grad_enabled(gradient), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = Pauli().bind(circuit, weights_GP)(inputs_GNI)
    held = sum(tensor.untyped_storage().nbytes() for tensor in saved.values()) + kept.numel() * 4
    task = Task(circuit, groups=4, rows=64, gradient=gradient)
    assert held < 1.5 * Pauli().effort(task).memory
    assert Pauli().effort(task).memory < 10 * held or not gradient
    more = Pauli().effort(replace(task, calls=10))
    assert more.operations > Pauli().effort(task).operations
    assert more.dispatches > Pauli().effort(task).dispatches


@pytest.mark.parametrize("seed", range(8))
def test_transfer_matrices_multiply_and_keep_the_trace(seed):
    random = np.random.default_rng(seed)
    size = 2 + 2 * (seed % 2)
    unitaries = [np.linalg.qr(random.normal(size=(size, size)) + 1j * random.normal(size=(size, size)))[0] for _ in range(3)]
    one, two, three = (transfer_of_kraus([unitary]) for unitary in unitaries)
    np.testing.assert_allclose(transfer_of_kraus([unitaries[0] @ unitaries[1]]), one @ two, atol=1e-12)
    np.testing.assert_allclose(one @ one.T, np.eye(size**2), atol=1e-12)
    chances = random.dirichlet(np.ones(3))  # a channel that does one of three things
    mixed = transfer_of_kraus([math.sqrt(chance) * unitary for chance, unitary in zip(chances, unitaries, strict=True)])
    np.testing.assert_allclose(mixed, chances[0] * one + chances[1] * two + chances[2] * three, atol=1e-12)
    np.testing.assert_allclose(mixed[0], np.eye(size**2)[0], atol=1e-12)


def test_amplitude_damping_shrinks_the_vector_towards_zero():
    """Nielsen and Chuang, equation 8.97: (x sqrt(1-g), y sqrt(1-g), g + z (1-g))."""
    for damped in (0.0, 0.3, 1.0):
        kraus = [np.diag([1, math.sqrt(1 - damped)]).astype(complex), np.array([[0, math.sqrt(damped)], [0, 0]], dtype=complex)]
        root = math.sqrt(1 - damped)
        expected = np.array([[1, 0, 0, 0], [0, root, 0, 0], [0, 0, root, 0], [damped, 0, 0, 1 - damped]])
        np.testing.assert_allclose(transfer_of_kraus(kraus), expected, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_pulled_is_conjugation(name):
    kind = GATES[name]
    for shift in (0.7, math.pi / 2, math.pi):
        angles = (Angle(None, shift=shift),) * kind.angles
        unitary = matrix(name, shift)
        for letters in product(LETTERS, repeat=kind.wires):
            before = unitary.conj().T @ pauli("".join(letters)) @ unitary
            shares = {
                "".join(word): np.trace(before @ pauli("".join(word))).real / len(before)
                for word in product(LETTERS, repeat=kind.wires)
            }
            single = {word: round(share) for word, share in shares.items() if abs(abs(share) - 1) < 1e-9}
            found = pulled("".join(letters), Gate(name, tuple(range(kind.wires)), angles))
            assert (dict([found]) if found else {}) == single
        for bits in product("01", repeat=kind.wires):
            row = abs(unitary[int("".join(bits), 2)]) ** 2
            found = pulled("".join(bits), Gate(name, tuple(range(kind.wires)), angles))
            assert (found is None) == (row.max() < 1 - 1e-9)
            assert found is None or row[int(found[0], 2)] > 1 - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_is_the_product_of_its_gates(seed):
    random = np.random.default_rng(seed)
    wires = (0,) if seed % 2 else (2, 5)
    weights = random.uniform(-3, 3, (2, 4))

    def gate():
        name = str(random.choice([name for name, kind in GATES.items() if kind.wires <= len(wires)]))
        on = tuple(int(wire) for wire in random.permutation(wires)[: GATES[name].wires])
        return Gate(name, on, (Angle("weight", int(random.integers(4)), 1.5, 0.2),) * GATES[name].angles)

    gates = tuple(gate() for _ in range(8))
    (found,) = Chains([Chain(wires, gates)], torch.empty(0, dtype=torch.float64))(torch.from_numpy(weights))
    named = tuple(replace(gate, wires=tuple(map(wires.index, gate.wires))) for gate in gates)
    words = tuple("".join(letters) for letters in product(LETTERS, repeat=len(wires)))
    means = reference_means(Circuit(len(wires), named, words, 0, 4), weights, np.zeros((2, 1, 0)))[:, 0]
    begin = np.array([math.prod(mean_of("0")[LETTERS.index(letter)] * 2 for letter in word) for word in words])
    np.testing.assert_allclose(found.numpy() @ begin, means, atol=1e-10)
    np.testing.assert_allclose(
        found.numpy() @ found.numpy().swapaxes(1, 2), np.broadcast_to(np.eye(len(words)), found.shape), atol=1e-10
    )
