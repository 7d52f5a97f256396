"""Dephased circuits: the definition by density matrices, PennyLane's mixed states, and what full dephasing must do."""

from dataclasses import replace

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Circuit, Gate, z_each
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import matrix, pauli
from qlogad.errors import BackendError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit


def values(circuit: Circuit, *, groups: int = 2, copies: int = 1, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = generator(0, "dephased", circuit.digest())
    weights_GP, inputs_GNI = random.normal(size=(groups, circuit.weights)), random.normal(size=(copies, rows, circuit.inputs))
    return torch.from_numpy(weights_GP), torch.from_numpy(inputs_GNI)


def embedded(name: str, angles: list[float], on: tuple[int, ...], wires: int) -> np.ndarray:
    """A gate's matrix on all wires, entry by entry."""
    small, size = matrix(name, *angles), 2**wires
    whole = np.zeros((size, size), dtype=complex)
    for column in range(size):
        bits = [column >> (wires - 1 - wire) & 1 for wire in range(wires)]
        before = int("".join(str(bits[wire]) for wire in on), 2)
        for after in range(len(small)):
            for place, wire in enumerate(on):
                bits[wire] = after >> (len(on) - 1 - place) & 1
            whole[int("".join(map(str, bits)), 2), column] = small[after, before]
    return whole


def by_definition(circuit: Circuit, weights_P: np.ndarray, inputs_I: np.ndarray) -> list[float]:
    rho = np.zeros((2**circuit.wires, 2**circuit.wires), dtype=complex)
    rho[0, 0] = 1
    given = {"input": inputs_I, "weight": weights_P}
    for place in range(len(circuit.gates) + 1):
        if place in circuit.dephased:
            rho = np.diag(np.diag(rho))
        if place < len(circuit.gates):
            gate = circuit.gates[place]
            angles = [a.scale * given[a.source][a.index] + a.shift if a.source else a.shift for a in gate.angles]
            u = embedded(gate.name, angles, gate.wires, circuit.wires)
            rho = u @ rho @ u.conj().T
    return [
        float(rho[int(word, 2), int(word, 2)].real) if set(word) <= set("01") else float(np.trace(pauli(word) @ rho).real)
        for word in circuit.readout
    ]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_density_matrices_say(seed):
    random = np.random.default_rng(seed)
    circuit = random_circuit(random, wires=1 + seed % 3)
    ends = random.choice(len(circuit.gates) + 1, size=int(random.integers(1, 5)), replace=False)
    circuit = replace(circuit, dephased=tuple(sorted(map(int, ends))))
    weights_GP, inputs_GNI = values(circuit, copies=1 + seed % 2)
    expected = [
        [by_definition(circuit, weights_P, inputs_I) for inputs_I in inputs_GNI.expand(2, -1, -1)[g].numpy()]
        for g, weights_P in enumerate(weights_GP.numpy())
    ]
    found_GNK = Exact().bind(circuit, weights_GP)(inputs_GNI)
    torch.testing.assert_close(found_GNK, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("ansatz", "reupload"), [("sim14", False), ("real-amplitudes", True), ("strongly-entangling", True)])
def test_it_is_what_pennylane_says_of_phase_flips(ansatz, reupload):
    circuit = assemble("angle-y", ansatz, 3, 2, reupload=reupload, dephased=True).alive()
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=1)

    def value(angle):
        source = {"input": inputs_GNI[0, 0], "weight": weights_GP[0]}
        return float(angle.scale * source[angle.source][angle.index] + angle.shift)

    @qml.qnode(qml.device("default.mixed", wires=3))
    def mixed():
        operations = {"ry": qml.RY, "rz": qml.RZ, "crx": qml.CRX, "cx": qml.CNOT}
        for place, gate in enumerate([*circuit.gates, None]):
            if place in circuit.dephased:
                for wire in range(3):
                    qml.PhaseFlip(0.5, wires=wire)
            if gate is not None:
                operations[gate.name](*map(value, gate.angles), wires=gate.wires)
        return [qml.expval(qml.pauli.string_to_pauli_word(word)) for word in circuit.readout]

    found_K = Exact().bind(circuit, weights_GP)(inputs_GNI)[0, 0]
    np.testing.assert_allclose(found_K.numpy(), np.array(mixed(), dtype=float), atol=1e-10)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("reupload", [False, True])
def test_gradients_are_true_and_executions_counted(depth, reupload):
    circuit = assemble("angle-y", "sim4", 2, depth, reupload=reupload, dephased=True)
    weights_GP, inputs_GNI = (given.requires_grad_() for given in values(circuit, rows=2))
    assert torch.autograd.gradcheck(lambda w, x: Exact().bind(circuit, w)(x), (weights_GP, inputs_GNI))
    assert Exact().bind(circuit, weights_GP).estimate(inputs_GNI).executions == 4


@pytest.mark.parametrize("ansatz", ["sim14", "sim19", "strongly-entangling", "basic-entangler"])
def test_coherence_is_lost_and_only_that(ansatz):
    """Phases that are lost at the end change no <Z>; lost in between they do."""
    circuit = assemble("angle-y", ansatz, 3, 2)
    weights_GP, inputs_GNI = values(circuit)
    plain, last, between = (
        Exact().bind(replace(circuit, dephased=places), weights_GP)(inputs_GNI)
        for places in ((), (len(circuit.gates),), (3, len(circuit.gates)))
    )
    torch.testing.assert_close(last, plain, rtol=0, atol=1e-12)
    assert (between - plain).abs().max() > 0.05
    assert between.abs().max() <= 1


def test_a_classical_circuit_does_not_notice():
    swaps = tuple(Gate("cx", wires) for wires in ((0, 1), (2, 0), (1, 2), (0, 2)))
    circuit = assemble("angle-y", "identity", 3, 0).then(Circuit(3, swaps, z_each(3), 0, 0))
    weights_GP, inputs_GNI = values(circuit)
    plain, noisy = (Exact().bind(replace(circuit, dephased=places), weights_GP)(inputs_GNI) for places in ((), (3, 4, 5, 6)))
    torch.testing.assert_close(noisy, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ansatz", ["sim14", "real-amplitudes", "hamiltonian-variational"])
def test_each_encoding_and_each_layer_but_the_last_gate_end_in_dephasing(ansatz):
    design = Design.load(ansatz, "ansatz")
    before, after = (len(replace(design, **{part: ()}).build(3, 0).gates) for part in ("after", "before"))
    layer = len(design.build(3, 1).gates) - before - after
    once, again = (assemble("angle-y", ansatz, 3, 2, reupload=reupload, dephased=True) for reupload in (False, True))
    ends = {3, 3 + before + layer, 3 + before + 2 * layer}
    assert set(once.dephased) == ends - {len(once.gates)}
    assert set(again.dephased) == {before + 3, before + 3 + layer, before + 6 + layer, before + 6 + 2 * layer} - {len(again.gates)}
    assert len(once.gates) == max(ends) + after


@pytest.mark.parametrize("ansatz", ["sim14", "strongly-entangling"])
def test_dephasing_leaves_x_readouts_alive(ansatz):
    circuit = assemble("angle-y", ansatz, 3, 2, readout="x", dephased=True)
    weights_GP, inputs_GNI = values(circuit)
    assert Exact().bind(circuit, weights_GP)(inputs_GNI).abs().max() > 0.01


def test_it_takes_no_rows_and_refuses_what_it_cannot_do():
    circuit = assemble("angle-y", "sim4", 3, 2, reupload=True, dephased=True)
    weights_GP, inputs_GNI = values(circuit)
    assert Exact().bind(circuit, weights_GP)(inputs_GNI[:, :0]).shape == (2, 0, 3)
    assert Exact().bind(circuit, weights_GP.float())(inputs_GNI.float()).dtype == torch.float32
    with pytest.raises(BackendError, match="use the backend 'exact'"):
        open_backend("pennylane").bind(circuit, weights_GP)
    with pytest.raises(BackendError, match=r"up to \d wires? fit"):
        Exact(memory=1e-5).bind(circuit, weights_GP)(inputs_GNI)
    with pytest.raises(BackendError, match="no state vectors"):
        Exact().bind(circuit, weights_GP).states(inputs_GNI)
    many_GNI, little = inputs_GNI.repeat(1, 100, 1), Exact(memory=1e-4)
    torch.testing.assert_close(little.bind(circuit, weights_GP)(many_GNI), Exact().bind(circuit, weights_GP)(many_GNI))
    assert circuit.readout == z_each(3)
