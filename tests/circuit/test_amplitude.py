"""Amplitude encoding: the gates make the amplitudes, and the norm is not lost."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad.backend.exact import Exact
from qlogad.circuit import amplitude
from qlogad.circuit.circuit import Circuit, z_each
from qlogad.circuit.encoding import Encoding
from qlogad.errors import DesignError
from qlogad.seeds import generator


def states(wires, x_ND):
    encoding = Encoding.load("amplitude")
    circuit = encoding.circuit(x_ND.shape[1], wires)
    inputs_GNI = torch.from_numpy(encoding.inputs(x_ND, wires))[None]
    return Exact().bind(circuit, torch.zeros(1, 0, dtype=torch.float64)).states(inputs_GNI)[0].numpy()


@pytest.mark.parametrize("wires", range(1, 6))
def test_amplitudes_are_the_direction_and_the_norm(wires):
    for features in {1, 2 ** (wires - 1), 2**wires - 1}:
        x_ND = generator(wires, "amplitude", features).normal(size=(4, features))
        x_ND[0] = 0
        x_ND[0, -1] = -3  # all but one feature zero
        norm_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
        gap = np.zeros((4, 2**wires - 1 - features))
        expected = np.concatenate([x_ND / norm_N1, gap, norm_N1], axis=1) / np.sqrt(1 + norm_N1**2)
        np.testing.assert_allclose(states(wires, x_ND), expected, rtol=0, atol=1e-12)


def test_scaled_rows_are_told_apart_by_the_sink_and_agree_without_it():
    x_ND = generator(0, "amplitude").normal(size=(1, 7))
    one, two = states(3, np.concatenate([x_ND, 2 * x_ND]))
    assert abs(abs(np.vdot(one, two)) - 1) > 1e-3
    np.testing.assert_allclose(one[:-1] / np.linalg.norm(one[:-1]), two[:-1] / np.linalg.norm(two[:-1]), atol=1e-12)


@pytest.mark.parametrize("wires", range(1, 5))
def test_gates_make_any_real_state_as_pennylane_does(wires):
    vector_D = generator(wires, "state").normal(size=2**wires)
    circuit = Circuit(wires, amplitude.gates(wires), z_each(wires), 2**wires - 1, 0)
    angles_GNI = torch.from_numpy(amplitude.angles(vector_D[None]))[None]
    found = Exact().bind(circuit, torch.zeros(1, 0, dtype=torch.float64)).states(angles_GNI)[0, 0].numpy()

    @qml.qnode(qml.device("default.qubit", wires=wires))
    def template():
        qml.AmplitudeEmbedding(vector_D, wires=range(wires), normalize=True)
        return qml.state()

    np.testing.assert_allclose(found, template(), rtol=0, atol=1e-12)
    assert sum(gate.name == "ry" for gate in circuit.gates) == 2**wires - 1


def test_gradients_are_finite_where_features_are_zero():
    x_ND = torch.tensor([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    encoding = Encoding.load("amplitude")
    slopes = torch.autograd.grad(encoding.inputs(x_ND, 3).sum(), x_ND)[0]
    assert torch.isfinite(slopes).all()


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("size", [5e-324, 1e-200, 1e-10, 1.0, 1e10, 1e200, 1.7e308])
def test_rows_of_any_size_have_their_direction_and_their_norm(kind, size):
    """Against whole numbers of 1,100 digits, in which nothing overflows."""
    direction_D = [3, -4, 0, 12, 1]
    x_D = [float(part) * (size / 12) for part in direction_D] if size > 1e-300 else [size, 0.0, -size, 0.0, 0.0]
    exact_D = [Fraction(part) for part in x_D]
    square = sum(part * part for part in exact_D)
    with localcontext(prec=1_100):
        norm = (Decimal(square.numerator) / Decimal(square.denominator)).sqrt()
        root = (1 + norm * norm).sqrt()
        parts = [Decimal(part.numerator) / Decimal(part.denominator) / norm for part in exact_D]
        expected_D = [float(part / root) for part in (*parts, Decimal(0), Decimal(0), norm)]
    found = amplitude.amplitudes(kind(np.array([x_D])), 3)
    np.testing.assert_allclose(np.asarray(found)[0], expected_D, rtol=1e-12, atol=0)
    np.testing.assert_allclose(states(3, np.array([x_D]))[0], expected_D, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1e-200, 1e-10, 1.0, 1e10, 1e200])
def test_gradients_are_finite_at_any_size(size):
    x_ND = torch.tensor([[3.0, -4.0, 0.0, 12.0]], dtype=torch.float64).mul(size).requires_grad_()
    found_ND = amplitude.amplitudes(x_ND, 3)
    for place in range(8):
        slope = torch.autograd.grad(found_ND[0, place], x_ND, retain_graph=True)[0]
        assert torch.isfinite(slope).all()


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize(("row", "message"), [([0.0, 0.0], "row of zeros"), ([np.nan, 1.0], "finite"), ([1.0, -np.inf], "finite")])
def test_rows_without_a_direction_are_refused_in_one_line(kind, row, message):
    with pytest.raises(DesignError, match=message) as refusal:
        Encoding.load("amplitude").inputs(kind([[1.0, 2.0], row]))
    assert len(str(refusal.value).splitlines()) == 1
