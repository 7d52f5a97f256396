"""A circuit in layers is the same circuit, in fewer pieces."""

import math
from dataclasses import replace
from itertools import chain, product

import numpy as np
import pytest

from qlogad import names
from qlogad.backend.exact.parts.layers import BLOCK, NARROW, ROTATIONS, WIDE_BLOCK, block_sizes, in_layers, layers
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import GATES, matrix
from qlogad.testing.circuits import random_circuit, reference_means


def means(circuit, seed=0):
    random = np.random.default_rng(seed)
    return reference_means(circuit, random.normal(size=(1, circuit.weights)), 2 * random.normal(size=(1, 2, circuit.inputs)))


def regrouped(circuit):
    return replace(circuit, gates=tuple(chain.from_iterable(layer.gates for layer in layers(circuit.gates, circuit.wires))))


@pytest.mark.parametrize("seed", range(24))
def test_layers_are_the_circuit(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=30)
    np.testing.assert_allclose(means(regrouped(circuit)), means(circuit), rtol=0, atol=1e-12)


@pytest.mark.parametrize("source", ["input", "weight", None])
@pytest.mark.parametrize("name", GATES)
def test_every_gate_is_layers(name, source):
    wires, count = GATES[name].wires, GATES[name].angles
    angles = tuple(Angle(source, 0, 1.3, 0.4) for _ in range(count))
    begin = tuple(Gate(rotation, (wire,), (Angle(None, shift=0.3 + wire),)) for wire in range(wires) for rotation in ("rx", "rz"))
    words = tuple(map("".join, product("IXYZ", repeat=wires)))
    circuit = Circuit(wires, (*begin, Gate(name, tuple(range(wires)), angles)), words, 1, 1)
    np.testing.assert_allclose(means(regrouped(circuit)), means(circuit), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_every_layer_holds_its_kind(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=60)
    for layer in layers(circuit.gates, circuit.wires):
        assert layer.gates
        assert all(gate.reads("input") == (layer.kind == "upload") for gate in layer.gates)
        found = [matrix(gate.name, *([0.7] * len(gate.angles))) for gate in layer.gates]
        if layer.kind in ("diagonal", "upload"):
            assert all(np.count_nonzero(one - np.diag(one.diagonal())) == 0 for one in found)
        if layer.kind == "permutation":
            assert all(np.isin(one, (0, 1)).all() for one in found)
        if layer.kind == "local":
            turned = [gate.wires for gate in layer.gates if gate.angles]
            assert all(len(gate.wires) == 1 for gate in layer.gates)
            assert max(map(turned.count, turned), default=0) <= ROTATIONS


@pytest.mark.parametrize("depth", range(1, 4))
def test_an_entangler_of_cnots_is_one_permutation_a_layer(depth):
    circuit = assemble("angle-y", "strongly-entangling", 5, depth)
    kept = in_layers(circuit, circuit.gates[5:])
    assert [layer.kind for layer in kept.layers] == ["local", *["permutation", "local"] * (depth - 1)]
    assert [len(layer.gates) for layer in kept.moved] == [5]
    assert kept.kinds() == [["permutation", "local"] * (depth - 1)]


@pytest.mark.parametrize("encoding", names.designs("encoding"))
def test_a_cut_has_one_segment_more_than_uploads_and_begins_with_local_gates(encoding):
    circuit = assemble(encoding, "sim14", 3, 2, reupload=encoding != "amplitude")
    kept = in_layers(circuit, circuit.gates)
    assert kept.layers[0].kind == "local"
    assert len(kept.kinds()) == 1 + sum(layer.kind == "upload" for layer in kept.layers)
    assert sum(map(len, kept.kinds())) + len(kept.kinds()) == len(kept.layers)


def test_blocks_cover_all_wires():
    for wires in range(1, 30):
        sizes = block_sizes(wires)
        assert sum(sizes) == wires
        most = BLOCK if wires <= NARROW else WIDE_BLOCK
        assert max(sizes) <= most
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == math.ceil(wires / most)
