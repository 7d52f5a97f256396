"""Live weights: what the readouts can see of the weights."""

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.exact import Exact
from qlogad.backend.exact.live_weights import jacobian, live_weights, random_rows
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit


def live(circuit):
    return live_weights(circuit, generator(0, "live"))


@pytest.mark.sample(40)
@pytest.mark.parametrize("ansatz", names.designs("ansatz"))
@pytest.mark.parametrize("depth", range(3))
def test_live_weights_are_weights(ansatz, depth):
    circuit = assemble("angle-y", ansatz, 4, depth)
    assert 0 <= live(circuit) <= circuit.weights
    assert live(circuit) == live(circuit)
    assert depth == 0 or (live(circuit) > 0) == (circuit.weights > 0)


@pytest.mark.parametrize("wires", range(1, 5))
@pytest.mark.parametrize("depth", range(1, 4))
def test_a_separable_circuit_has_two_live_weights_a_wire(wires, depth):
    """<Z> of one wire is r . (cos x, sin x): a vector in the plane of the encoding, of two free parts at most."""
    assert live(assemble("angle-y", "separable", wires, depth)) == 2 * wires


def test_dead_and_doubled_weights_do_not_count():
    def one(*angles, gate="ry"):
        gates = (Gate("rx", (0,), (Angle("input", 0),)), *(Gate(gate, (0,), (angle,)) for angle in angles))
        return Circuit(1, gates, ("Z",), 1, len(angles))

    assert live(one(Angle("weight", 0))) == 1
    assert live(one(Angle("weight", 0), Angle("weight", 1))) == 1  # only their sum is seen
    assert live(one(Angle("weight", 0), gate="rz")) == 0  # <Z> does not see it
    assert live(Circuit(1, (), ("Z",), 0, 0)) == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_jacobian_is_the_derivative(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=2)
    random = generator(seed, "jacobian")
    weights_P = torch.from_numpy(random.normal(size=circuit.weights))
    inputs_NI = torch.from_numpy(random.normal(size=(4, circuit.inputs)))
    expected = torch.autograd.functional.jacobian(lambda w: Exact().bind(circuit, w[None])(inputs_NI[None])[0], weights_P)
    torch.testing.assert_close(jacobian(circuit, weights_P, inputs_NI), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["chen", "amplitude", "zz"])
def test_the_jacobian_reaches_the_weights_of_an_encoding(name):
    encoding = Encoding.load(name, uploads=2, scaling=True)
    circuit = assemble(name, "qulog", 2, 2, reupload=True, scaling=True)
    weights_P = torch.from_numpy(generator(0, name).normal(size=circuit.weights + encoding.weights(2)))
    x_ND = random_rows(circuit, generator(1, name), 3, encoding)

    def means(weights_P):
        inputs_GNI = encoding.inputs(x_ND, 2, weights_P[None, circuit.weights :])
        return Exact().bind(circuit, weights_P[None, : circuit.weights])(inputs_GNI)[0]

    expected = torch.autograd.functional.jacobian(means, weights_P)
    torch.testing.assert_close(jacobian(circuit, weights_P, x_ND, encoding), expected, rtol=0, atol=1e-12)
