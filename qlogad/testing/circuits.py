"""Random circuits, and a plain reference simulator to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qlogad.arrays import Complexes, Floats
from qlogad.backend.backend import Backend
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.gates import GATES, matrix
from qlogad.circuit.readout import is_projector

__all__ = ["random_circuit", "reference_means"]


def random_circuit(random: np.random.Generator, *, wires: int, gates: int = 14, readouts: int = 3) -> Circuit:
    """A random circuit over the whole gate table, with an input and a weight at least; reads random words and a random basis state,
    then <Z> on every wire."""
    names = sorted(name for name, kind in GATES.items() if kind.wires <= wires)
    inputs, weights = int(random.integers(1, 4)), int(random.integers(1, 6))
    reads = (Gate("rx", (0,), (Angle("input", 0),)), Gate("ry", (wires - 1,), (Angle("weight", 0),)))
    chosen = reads + tuple(_random_gate(random, str(random.choice(names)), wires, inputs, weights) for _ in range(gates))
    words = tuple("".join(random.choice(list("IXYZ"), size=wires)) for _ in range(readouts))
    state = "".join(random.choice(list("01"), size=wires))
    return Circuit(wires, chosen, (*words, state, *z_each(wires)), inputs, weights)


def _random_gate(random: np.random.Generator, name: str, wires: int, inputs: int, weights: int) -> Gate:
    kind = GATES[name]
    on = tuple(int(wire) for wire in random.permutation(wires)[: kind.wires])
    return Gate(name, on, tuple(_random_angle(random, inputs, weights) for _ in range(kind.angles)))


def _random_angle(random: np.random.Generator, inputs: int, weights: int) -> Angle:
    scale, shift = (1.0, 0.0) if random.random() < 0.5 else (float(random.uniform(-2, 2)), float(random.uniform(-3, 3)))
    choice = random.random()
    if choice < 0.4:
        return Angle("input", int(random.integers(inputs)), scale, shift)
    if choice < 0.85:
        return Angle("weight", int(random.integers(weights)), scale, shift)
    return Angle(None, shift=float(random.uniform(-3, 3)))


def reference_means(circuit: Circuit, weights_GP: Floats, inputs_GNI: Floats) -> Floats:
    """The readouts (G, N, K) by definition: whole matrices, one circuit at a time. Slow and independent of every backend."""
    groups, rows = len(weights_GP), inputs_GNI.shape[1]
    inputs_GNI = np.broadcast_to(inputs_GNI, (groups, rows, circuit.inputs))
    means = [[_reference(circuit, weights_GP[g], inputs_GNI[g, n]) for n in range(rows)] for g in range(groups)]
    return np.array(means).reshape(groups, rows, len(circuit.readout))


def _reference(circuit: Circuit, weights_P: Floats, inputs_I: Floats) -> list[float]:
    psi = np.zeros([2] * circuit.wires, dtype=complex)
    psi[(0,) * circuit.wires] = 1
    for gate in circuit.gates:
        angles = [_angle(angle, weights_P, inputs_I) for angle in gate.angles]
        psi = _act(psi, matrix(gate.name, *angles), gate.wires)
    return [
        float(abs(psi[tuple(map(int, word))]) ** 2) if is_projector(word) else float(np.vdot(psi, _word(psi, word)).real)
        for word in circuit.readout
    ]


def _angle(angle: Angle, weights_P: Floats, inputs_I: Floats) -> float:
    if angle.source is None:
        return angle.shift
    return float(angle.scale * (inputs_I if angle.source == "input" else weights_P)[angle.index] + angle.shift)


def _act(psi: Complexes, unitary: Complexes, wires: tuple[int, ...]) -> Complexes:
    k = len(wires)
    moved = np.tensordot(unitary.reshape([2] * (2 * k)), psi, axes=(range(k, 2 * k), wires))
    return np.moveaxis(moved, range(k), wires)


def _word(psi: Complexes, word: str) -> Complexes:
    for wire, letter in enumerate(word):
        if letter != "I":
            psi = _act(psi, matrix(letter.lower()), (wire,))
    return psi


def random_values(circuit: Circuit, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    groups, rows = int(random.integers(1, 4)), int(random.integers(2, 5))
    sets = groups if random.random() < 0.5 else 1
    weights_GP, inputs_GNI = random.normal(size=(groups, circuit.weights)), random.normal(size=(sets, rows, circuit.inputs))
    return torch.from_numpy(weights_GP), torch.from_numpy(inputs_GNI)


def means_and_gradients(backend: Backend, circuit: Circuit, *, random_state: Any) -> list[torch.Tensor]:
    random = np.random.Generator(np.random.PCG64())
    random.bit_generator.state = random_state
    weights_GP, inputs_GNI = (values.requires_grad_() for values in random_values(circuit, random))
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    cost = torch.from_numpy(random.normal(size=tuple(mean_GNK.shape)))
    return [mean_GNK.detach(), *torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)]
