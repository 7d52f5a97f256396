"""PennyLane as a backend: broadcasting, any device, and the same numbers as the exact simulator."""

import numpy as np
import pytest
import torch

from qlogad.backend.abilities import Key
from qlogad.backend.backend import open_backend
from qlogad.circuit.encoding import assemble
from qlogad.testing.circuits import random_circuit


def means_and_gradients(spec, circuit, seed):
    random = np.random.default_rng(seed)
    weights_GP = torch.from_numpy(random.normal(size=(2, circuit.weights))).requires_grad_()
    inputs_GNI = torch.from_numpy(random.normal(size=(1, 3, circuit.inputs))).requires_grad_()
    mean_GNK = open_backend(spec).bind(circuit, weights_GP, key=Key(1).at("test"))(inputs_GNI)
    slopes = torch.autograd.grad(mean_GNK.square().sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *slopes]


@pytest.mark.parametrize("seed", range(12))
def test_random_circuits_over_the_whole_gate_table(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 4, gates=20)
    for one, two in zip(*(means_and_gradients(spec, circuit, seed) for spec in ("exact", "pennylane")), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_a_batch_is_one_execution_of_the_device():
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    bound = open_backend("pennylane").bind(circuit, torch.zeros(2, 2))
    import pennylane as qml

    with qml.Tracker(bound.device) as tracker:
        bound(torch.zeros(1, 50, 2))
    assert tracker.totals["simulations"] == 2  # one for each of the two circuits
    estimate = bound.estimate(torch.zeros(1, 50, 2))
    assert (estimate.executions, estimate.shots) == (100, None)
    assert estimate.provenance["device"] == "default.qubit"
