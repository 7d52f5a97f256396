"""Readouts by name give the words they say, and bases serve every word."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Circuit, Gate, z_each
from qlogad.circuit.gates import pauli
from qlogad.circuit.readout import bases, is_projector, readout
from qlogad.errors import DesignError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit, reference_means

SPECS = ["x", "y", "z", "z:0", "xyz", "x+z", "xx", "yy", "zz", "parity", "probabilities", "zeros", "z+zz+parity+zeros"]


def _words(wires):
    kinds = [st.text(letters, min_size=wires, max_size=wires) for letters in ("IXYZ", "01")]
    return st.lists(st.one_of(kinds), min_size=1)


WORDS = st.integers(1, 4).flatmap(_words)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("wires", range(2, 6))
def test_every_name_is_what_its_matrices_say(spec, wires):
    """Against matrices on the states of `exact`."""
    random = generator(0, "readout", spec, wires)
    circuit = random_circuit(random, wires=wires)
    circuit = Circuit(wires, circuit.gates, readout(spec, wires), circuit.inputs, circuit.weights)
    weights_GP, inputs_GNI = (
        torch.from_numpy(random.normal(size=shape)) for shape in ((2, circuit.weights), (1, 3, circuit.inputs))
    )
    bound = Exact().bind(circuit, weights_GP)
    psi = bound.states(inputs_GNI).numpy()
    expected = [np.einsum("gni,ij,gnj->gn", psi.conj(), _matrix(word), psi).real for word in circuit.readout]
    np.testing.assert_allclose(bound(inputs_GNI).numpy(), np.stack(expected, axis=-1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        reference_means(circuit, weights_GP.numpy(), inputs_GNI.numpy()), bound(inputs_GNI), rtol=0, atol=1e-12
    )
    other = open_backend("pennylane").bind(circuit, weights_GP)
    np.testing.assert_allclose(other(inputs_GNI), bound(inputs_GNI), rtol=0, atol=1e-9)
    executions = 2 * 3 * len(bases(circuit.readout))
    assert other.estimate(inputs_GNI).executions == bound.estimate(inputs_GNI).executions == executions


def _matrix(word):
    if not is_projector(word):
        return pauli(word)
    return np.diag(np.eye(2 ** len(word))[int(word, 2)])


@pytest.mark.parametrize("wires", range(1, 7))
def test_how_many_values_each_readout_has(wires):
    assert readout("z", wires) == z_each(wires)
    assert len(readout("xyz", wires)) == 3 * wires
    assert len(set(readout("x+z", wires))) == 2 * wires
    assert len(readout("probabilities", wires)) == 2**wires
    assert readout("zeros", wires) == ("0" * wires,)
    assert readout("parity", wires) == ("Z" * wires,)
    if wires > 1:
        assert len(readout("zz", wires)) == wires * (wires - 1) // 2
        assert readout(f"z:{wires - 1},0", wires) == (z_each(wires)[-1], z_each(wires)[0])


@pytest.mark.parametrize("wires", range(1, 5))
def test_probabilities_sum_to_one_and_a_uniform_state_is_uniform(wires):
    circuit = Circuit(wires, tuple(Gate("h", (wire,)) for wire in range(wires)), readout("probabilities+zeros", wires), 0, 0)
    for spec in ("exact", "pennylane"):
        mean_GNK = open_backend(spec).bind(circuit, torch.zeros(1, 0, dtype=torch.float64))(
            torch.zeros(1, 2, 0, dtype=torch.float64)
        )
        torch.testing.assert_close(mean_GNK, torch.full_like(mean_GNK, 2.0**-wires))
        assert mean_GNK.shape == (1, 2, 2**wires)  # the zeros are the first of them, and read once


@given(WORDS)
def test_every_word_is_read_in_one_of_few_bases(words):
    found = bases(words)
    axes = ["Z" * len(word) if is_projector(word) else word for word in words]
    for axis in axes:
        assert any(all(one in ("I", two) for one, two in zip(axis, basis, strict=True)) for basis in found)
    for basis in found:
        assert basis in _joins(axes, basis)
    assert len(found) <= len(set(axes))


def _joins(axes, basis):
    """The join of the words that a basis serves."""
    served = [axis for axis in axes if all(one in ("I", two) for one, two in zip(axis, basis, strict=True))]
    return ["".join(max(letters) for letters in zip(*served, strict=True))]


def test_known_numbers_of_bases():
    counts = {"z": 1, "zz": 1, "parity": 1, "probabilities": 1, "zeros": 1, "xyz": 3, "x+z": 2}
    for wires in range(2, 6):
        assert {spec: len(bases(readout(spec, wires))) for spec in counts} == counts
    every = ["".join(word) for word in itertools.product("XYZ", repeat=3)]
    assert len(bases(every)) == 27


@pytest.mark.parametrize(
    ("spec", "wires", "message"),
    [
        ("zeroes", 2, "did you mean 'zeros'"),
        ("z+q", 2, "no readout 'q'"),
        ("", 2, "no readout ''"),
        ("z:5", 2, "at least 6 wires, got 2"),
        ("zz", 1, "at least 2 wires, got 1"),
        ("zz:1", 3, "at least 2 wires"),
        ("probabilities", 30, "at most 12 wires"),
        ("z:" + "9" * 4000, 2, "no readout"),
    ],
)
def test_what_is_no_readout_is_refused(spec, wires, message):
    with pytest.raises(DesignError, match=message) as caught:
        readout(spec, wires)
    assert len(str(caught.value).splitlines()) == 1


def test_lists_of_words_are_checked_by_the_circuit():
    Circuit(2, (), readout(["ZX", "01", "ZX"], 2), 0, 0)
    for word in ("ZXX", "Z0", "0", "02", ""):
        with pytest.raises(DesignError, match="not a Pauli word of 2 letters"):
            Circuit(2, (), readout([word], 2), 0, 0)


@given(st.lists(st.sampled_from(SPECS[:12]), min_size=1, max_size=4), st.integers(2, 4), st.booleans())
def test_a_list_of_names_is_refused_with_the_text_that_does_it(named, wires, mixed):
    with pytest.raises(DesignError, match="is a name; write names as one string") as caught:
        readout([*named, *["Z" * wires] * mixed], wires)
    assert str(caught.value).endswith("'" + "+".join(named) + "'")
    assert readout("+".join(named), wires)
