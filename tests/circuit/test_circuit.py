"""Circuits are data: hashable, composable, undoable, and refused where they do not fit."""

import dataclasses
import itertools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.errors import DesignError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit, reference_means

SEEDS = range(12)


def some(seed, wires=3):
    return random_circuit(generator(seed, "circuit"), wires=wires)


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_content_is_equal_hash_and_digest(seed):
    circuit = some(seed)
    again = pickle.loads(pickle.dumps(circuit))
    assert (again, hash(again), again.digest()) == (circuit, hash(circuit), circuit.digest())
    others = [dataclasses.replace(circuit, gates=circuit.gates[:-1]), dataclasses.replace(circuit, weights=circuit.weights + 1)]
    for one, two in itertools.combinations([circuit, *others], 2):
        assert one != two
        assert one.digest() != two.digest()


def test_a_circuit_that_was_a_key_is_one_in_another_process():
    """Hashes of texts differ between processes, so none may travel with a circuit."""
    circuits = [some(seed) for seed in SEEDS]
    known = set(circuits)
    code = "import pickle, sys; known = pickle.load(sys.stdin.buffer); again = pickle.loads(pickle.dumps(known))\n"
    code += "from dataclasses import replace; print(all(replace(one) in known for one in again))"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        said = subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps(known), stdout=subprocess.PIPE, env=environment, check=True
        )
        assert said.stdout.split() == [b"True"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_circuit_then_its_inverse_is_all_zeros(seed):
    circuit = some(seed)
    random = generator(seed, "values")
    weights, inputs = random.normal(size=(1, circuit.weights)), random.normal(size=(1, 2, circuit.inputs))
    there_and_back = dataclasses.replace(circuit.then(circuit.inverse(), shared=True), readout=z_each(3))
    np.testing.assert_allclose(reference_means(there_and_back, weights, inputs), 1, atol=1e-12)
    twice = dataclasses.replace(circuit.then(circuit.inverse()), readout=z_each(3))
    assert (twice.inputs, twice.weights) == (2 * circuit.inputs, 2 * circuit.weights)
    doubled = np.concatenate([weights, weights], axis=-1), np.concatenate([inputs, inputs], axis=-1)
    np.testing.assert_allclose(reference_means(twice, *doubled), 1, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_entanglement_is_a_product_with_every_weight_still_used(seed):
    circuit = some(seed)
    alone = circuit.without_entanglement()
    assert all(len(gate.wires) == 1 for gate in alone.gates)
    assert [gate.angles for gate in alone.gates if gate.angles] == [gate.angles for gate in circuit.gates if gate.angles]
    assert alone.without_entanglement() == alone
    words = ("ZII", "IXI", "IIY", "ZXI", "ZXY")
    random = generator(seed, "values")
    values = random.normal(size=(1, circuit.weights)), random.normal(size=(1, 2, circuit.inputs))
    z, x, y, zx, zxy = np.moveaxis(reference_means(dataclasses.replace(alone, readout=words), *values), -1, 0)
    np.testing.assert_allclose(zx, z * x, atol=1e-12)
    np.testing.assert_allclose(zxy, z * x * y, atol=1e-12)


def test_what_does_not_fit_is_refused():
    good = {"wires": 2, "gates": (), "readout": ("ZZ",), "inputs": 1, "weights": 1}
    bad = [
        ({"wires": 0}, "1 to 256 wires, got 0"),
        ({"wires": 10**9}, "1 to 256 wires"),
        ({"readout": ()}, "at least one readout"),
        ({"readout": ("Z",)}, "not a Pauli word of 2 letters"),
        ({"readout": ("ZQ",)}, "not a Pauli word"),
        ({"weights": -1}, "-1 weights"),
        ({"gates": (Gate("ryy1", (0, 1)),)}, "did you mean 'ryy'"),
        ({"gates": (Gate("cx", (0, 0)),)}, "2 distinct wires"),
        ({"gates": (Gate("cx", (0,)),)}, "2 distinct wires"),
        ({"gates": (Gate("h", (2,)),)}, "wires 0 to 1"),
        ({"gates": (Gate("rx", (0,)),)}, "takes 1 angles, got 0"),
        ({"gates": (Gate("rx", (0,), (Angle("input", 1),)),)}, "reads input 1, but there are 1"),
        ({"gates": (Gate("rx", (0,), (Angle("weight", -1),)),)}, "reads weight -1"),
        ({"gates": (Gate("rx", (0,), (Angle(None, shift=float("nan")),)),)}, "not finite"),
    ]
    Circuit(**good)
    for change, message in bad:
        with pytest.raises(DesignError, match=message):
            Circuit(**{**good, **change})
    with pytest.raises(DesignError, match="cannot be followed"):
        some(0, wires=2).then(some(0, wires=3))


def test_places_and_twins_move_with_the_gates():
    """What a circuit says of its gates and weights stays true when circuits are joined or lose their entanglement."""
    rotate = Gate("ry", (0,), (Angle("weight", 0),))
    undo = Gate("ry", (0,), (Angle("weight", 1, -1.0),))
    cross = Gate("cx", (0, 1))
    one = Circuit(2, (rotate, cross, cross, undo), ("ZI",), 0, 2, "identity-block", ((0, 1),), (1, 2, 4))
    both = one.then(one)
    assert (both.init, both.twins, both.dephased) == ("identity-block", ((0, 1), (2, 3)), (1, 2, 4, 5, 6, 8))
    assert one.then(one, shared=True).twins == ((0, 1),)
    alone = one.without_entanglement()
    assert (alone.gates, alone.dephased) == ((rotate, undo), (1, 2))
    with pytest.raises(DesignError, match="has no inverse"):
        one.inverse()
    for wrong in ({"dephased": (2, 1)}, {"dephased": (5,)}, {"twins": ((0, 2),)}):
        with pytest.raises(DesignError, match="got"):
            dataclasses.replace(one, **wrong)


def test_alive_reads_x_too():
    assert Circuit(2, (), ("ZI", "IZ"), 0, 0).alive().readout == ("XI", "IX", "ZI", "IZ")
