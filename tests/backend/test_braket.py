"""Laws of Braket's local simulators, and of the programs they share with its devices."""

import sys

import numpy as np
import pytest
import torch

from qlogad import seeds
from qlogad.backend.abilities import Key
from qlogad.backend.backend import open_backend
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import readout
from qlogad.errors import MissingExtra
from qlogad.testing.circuits import random_circuit


def values(circuit, rows=3):
    random = seeds.generator(0, "braket", circuit.digest())
    shapes = (2, circuit.weights), (2, rows, circuit.inputs)
    return [torch.from_numpy(random.uniform(-4, 4, shape)) for shape in shapes]


@pytest.mark.braket
@pytest.mark.parametrize("name", sorted(GATES))
def test_every_gate_is_ours(name):
    """Between random gates, read along every axis; with an angle from a weight, an input or none."""
    kind, random = GATES[name], seeds.generator(0, name)
    around = random_circuit(random, wires=3)
    angles = [Angle("weight", 0, 0.7, 0.2), Angle("input", 0, -1.3), Angle(None, shift=0.4)] if kind.angles else [None]
    for angle in angles:
        wires = tuple(random.permutation(3)[: kind.wires].tolist())
        gates = (*around.gates, Gate(name, wires, () if angle is None else (angle,)), *around.gates)
        circuit = Circuit(3, gates, readout("xyz+zeros+parity", 3), around.inputs, around.weights)
        weights_GP, inputs_GNI = values(circuit)
        found, expected = (open_backend(spec).bind(circuit, weights_GP)(inputs_GNI) for spec in ("braket", "exact"))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.braket
@pytest.mark.parametrize("rate", ["depolarizing", "depolarizing2", "amplitude_damping", "phase_damping", "bit_flip", "readout"])
def test_every_rate_is_that_of_the_exact_engine(rate):
    for strength in (0.0, *seeds.generator(0, rate).uniform(size=2).tolist(), 1.0):
        circuit = random_circuit(seeds.generator(1, rate, str(strength)), wires=3, gates=8)
        weights_GP, inputs_GNI = values(circuit)
        found, expected = (
            open_backend(f"{name}:{rate}={strength}").bind(circuit, weights_GP)(inputs_GNI) for name in ("braket", "exact")
        )
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.braket
def test_a_seed_fixes_shots_and_they_are_not_those_of_another():
    circuit = random_circuit(seeds.generator(0, "shots"), wires=3)
    weights_GP, inputs_GNI = values(circuit)
    runs = [open_backend("braket:shots=64").bind(circuit, weights_GP, key=Key(seed))(inputs_GNI).numpy() for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "qlogad.backend.braket", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"pip install 'qlogad\[braket\]'"):
        open_backend("braket")
