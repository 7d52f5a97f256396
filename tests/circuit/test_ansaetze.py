"""What the published ansaetze are known for: counts of the papers, templates of other packages, symmetries and classical ease."""

import itertools
import math

import numpy as np
import pytest
import torch
from qiskit.circuit import library
from qiskit.quantum_info import Operator

from qlogad import names
from qlogad.backend.exact import Exact
from qlogad.backend.exact.live_weights import live_weights
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import pauli
from qlogad.seeds import generator

SIM = {  # circuit: weights of one layer (10: with those before it) and two-wire gates, for n wires; Sim et al. (2019), table of costs
    1: ("2*n", "0"),
    2: ("2*n", "n-1"),
    3: ("3*n-1", "n-1"),
    4: ("3*n-1", "n-1"),
    5: ("n*n+3*n", "n*(n-1)"),
    6: ("n*n+3*n", "n*(n-1)"),
    7: ("5*n-1", "n-1"),
    8: ("5*n-1", "n-1"),
    9: ("n", "n-1"),
    10: ("2*n", "n"),
    11: ("4*n-4", "n-1"),
    12: ("4*n-4", "n-1"),
    13: ("4*n", "2*n"),
    14: ("4*n", "2*n"),
    15: ("2*n", "2*n"),
    16: ("3*n-1", "n-1"),
    17: ("3*n-1", "n-1"),
    18: ("3*n", "n"),
    19: ("3*n", "n"),
}


def build(name: str, wires: int, depth: int = 1) -> Circuit:
    return Design.load(name, "ansatz").build(wires, depth)


def unitary(circuit: Circuit, weights_P: np.ndarray) -> np.ndarray:
    """The circuit's matrix: its states for every basis state, which RX(pi) on its wires makes of |0...0> up to a known phase."""
    flips = tuple(Gate("rx", (wire,), (Angle("input", wire),)) for wire in range(circuit.wires))
    first = Circuit(circuit.wires, flips, circuit.readout, circuit.wires, 0)
    bits_NI = torch.tensor(list(itertools.product((0, 1), repeat=circuit.wires)), dtype=torch.float64)
    weights_GP = torch.from_numpy(np.asarray(weights_P, dtype=float))[None]
    states_ND = Exact().bind(first.then(circuit), weights_GP).states(math.pi * bits_NI[None])[0].numpy()
    return (states_ND * (1j) ** bits_NI.sum(1).numpy()[:, None]).T


def random_weights(circuit: Circuit, *names: str) -> np.ndarray:
    return generator(0, "ansatz", *names).uniform(-math.pi, math.pi, circuit.weights)


@pytest.mark.parametrize("number", SIM)
@pytest.mark.parametrize("n", range(3, 7))
def test_the_circuits_of_sim_cost_what_the_paper_says(number, n):
    weights, pairs = (eval(formula, {"n": n}) for formula in SIM[number])
    circuit = build(f"sim{number}", n)
    assert circuit.weights == weights
    assert sum(len(gate.wires) == 2 for gate in circuit.gates) == pairs
    assert {gate.wires for gate in circuit.gates if len(gate.wires) == 1} == {(wire,) for wire in range(n)}


@pytest.mark.parametrize("number", [13, 14, 15])
@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
def test_both_readings_of_the_second_ring(number, n):
    back, on = build(f"sim{number}", n), build(f"sim{number}-step3", n)
    rings = [[gate.wires for gate in circuit.gates if len(gate.wires) == 2][n:] for circuit in (back, on)]
    assert len(rings[0]) == n
    assert len(rings[1]) == n // math.gcd(n, 3)
    assert all((target - control) % n == n - 1 for control, target in rings[0])
    assert all((target - control) % n == 3 % n for control, target in rings[1])
    assert rings[1][0][0] == n - 1
    assert (rings[0] == rings[1]) == (n == 4)


@pytest.mark.parametrize("n", range(2, 6))
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("real-amplitudes", lambda n, reps: library.real_amplitudes(n, reps=reps)),
        ("efficient-su2", lambda n, reps: library.efficient_su2(n, reps=reps)),
        ("two-local", lambda n, reps: library.n_local(n, "ry", "cz", reps=reps)),
    ],
)
def test_templates_are_those_of_qiskit_by_unitary(name, template, n, depth):
    ours, theirs = build(name, n, depth), template(n, depth)
    weights_P = random_weights(ours, name)
    assert theirs.num_parameters == ours.weights
    bound = theirs.assign_parameters(dict(zip(theirs.parameters, weights_P, strict=True)))
    np.testing.assert_allclose(unitary(ours, weights_P), Operator(bound.reverse_bits()).data, atol=1e-12)


@pytest.mark.parametrize("wires", [2, 3, 5])
@pytest.mark.parametrize("depth", [1, 3])
def test_permuting_the_wires_permutes_the_readouts(wires, depth):
    circuit = assemble("angle-y", "permutation-equivariant", wires, depth)
    random = generator(0, "permutation", wires, depth)
    weights_GP = torch.from_numpy(random.uniform(-math.pi, math.pi, (1, circuit.weights)))
    inputs_GNI = torch.from_numpy(random.uniform(-math.pi, math.pi, (1, 4, wires)))
    bound = Exact().bind(circuit, weights_GP)
    for _ in range(4):
        order = random.permutation(wires)
        torch.testing.assert_close(bound(inputs_GNI[..., order]), bound(inputs_GNI)[..., order], rtol=0, atol=1e-12)
    assert bound(inputs_GNI).std() > 0.01


def majoranas(wires: int) -> list[np.ndarray]:
    """The 2 W Majorana operators in the Jordan-Wigner picture."""
    words = ["Z" * wire + letter + "I" * (wires - wire - 1) for wire in range(wires) for letter in "XY"]
    return [pauli(word) for word in words]


def outside(operator: np.ndarray, basis: list[np.ndarray]) -> float:
    """How far an operator lies outside the span of orthogonal unitaries."""
    size = len(operator)
    inside = sum(np.trace(one.conj().T @ operator) / size * one for one in basis)
    return float(np.abs(operator - inside).max())


@pytest.mark.parametrize(("name", "free"), [("matchgate", True), ("sim2", False), ("strongly-entangling", False)])
def test_matchgates_keep_free_fermions_free(name, free):
    circuit = build(name, 4, 2)
    u, basis = unitary(circuit, random_weights(circuit, name)), majoranas(4)
    moved = [outside(u.conj().T @ one @ u, basis) for one in basis]
    assert (max(moved) < 1e-12) == free


@pytest.mark.parametrize(("name", "easy"), [("clifford", True), ("identity", True), ("sim9", False)])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_clifford_circuits_turn_pauli_words_into_pauli_words(name, easy, depth):
    circuit = build(name, 3, depth)
    u = unitary(circuit, random_weights(circuit, name))
    words = [pauli("".join(letters)) for letters in itertools.product("IXYZ", repeat=3)]
    shares = np.array([[abs(np.trace(one @ u.conj().T @ pauli(word) @ u)) / 8 for one in words] for word in z_each(3)])
    assert np.allclose(np.sort(shares, axis=1)[:, -1], 1, atol=1e-12) == easy
    assert name != "clifford" or not np.allclose(u, np.eye(8))


@pytest.mark.parametrize(
    ("name", "real"), [("real-amplitudes", True), ("sim15", True), ("two-local", True), ("efficient-su2", False)]
)
def test_real_amplitudes_stay_real(name, real):
    circuit = build(name, 3, 2)
    assert (np.abs(unitary(circuit, random_weights(circuit, name)).imag).max() < 1e-12) == real


@pytest.mark.parametrize("wires", range(2, 8))
@pytest.mark.parametrize(("name", "root"), [("tree-ttn", 0), ("qcnn", 0), ("mps", -1)])
def test_the_root_of_a_tree_sees_every_input(name, root, wires):
    circuit = assemble("angle-y", name, wires, 1)
    inputs_GNI = torch.from_numpy(generator(0, "root", wires).normal(size=(1, 8, wires))).requires_grad_()
    mean_GNK = Exact().bind(circuit, torch.from_numpy(random_weights(circuit, name))[None])(inputs_GNI)
    (slope_GNI,) = torch.autograd.grad(mean_GNK[..., root].sum(), inputs_GNI)
    assert (slope_GNI.abs().amax((0, 1)) > 1e-4).all()


@pytest.mark.parametrize("wires", range(2, 9))
def test_a_qcnn_shares_its_blocks_within_a_level(wires):
    active, expected = wires, 0
    while active > 1:
        expected += 9 if active > 2 else 6  # convolution on even and odd pairs, pooling: 3 weights each
        active = (active + 1) // 2
    assert build("qcnn", wires).weights == expected


@pytest.mark.parametrize("name", names.designs("ansatz"))
def test_reading_x_too_brings_dead_weights_to_life(name):
    """All of them, but for two designs that have more weights than directions (behind one encoding)."""
    design = Design.load(name, "ansatz")
    circuit = assemble(design.check.encoding, name, 4, 1)
    found, alive = (live_weights(one, generator(0, "alive")) for one in (circuit, circuit.alive()))
    assert found <= alive <= circuit.weights
    assert (alive == circuit.weights) == (name not in {"sim5", "qcnn"})
