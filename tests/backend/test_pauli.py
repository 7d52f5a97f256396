"""Observables pushed back to the inputs, and readouts as products: the same means and slopes as states give, for any circuit they fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.exact.closed import Closed
from qlogad.backend.exact.pauli import Pauli, blocks, moved, moved_word
from qlogad.backend.exact.state import Gates
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.design import assemble
from qlogad.circuit.gates import GATES, matrix, pauli
from qlogad.circuit.readout import readout
from qlogad.seeds import torch_generator
from qlogad.testing import random_circuit

CLIFFORD = [name for name, kind in GATES.items() if kind.wires == 2 and not kind.angles]


def values(circuit, *, groups, rows, shared=False, seed=0, dtype=torch.float64):
    generator = torch_generator(seed, "pauli")
    weights_GP = 3 * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(1 if shared else groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def agree(method, circuit, given, tolerance):
    found = []
    for one in (method, Gates()):
        mean_GNK = one.bind(circuit, given[0])(given[1])
        cost = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
        found.append([mean_GNK, *torch.autograd.grad((cost * mean_GNK).sum(), given, materialize_grads=True)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=tolerance)


def without_late_inputs(circuit: Circuit) -> Circuit:
    """The same without gates that read inputs, behind rotations of every wire by an input of its own."""
    begun = assemble("angle-y", "identity", circuit.wires, 0).gates
    kept = tuple(gate for gate in circuit.gates if not gate.reads("input"))
    return replace(circuit, gates=begun + kept, inputs=circuit.wires)


@pytest.mark.parametrize("seed", range(24))
def test_observables_pushed_back_are_states_pushed_forward(seed):
    circuit = without_late_inputs(random_circuit(np.random.default_rng(seed), wires=1 + seed % 6, gates=30))
    given = values(circuit, groups=1 + seed % 3, rows=seed % 4, shared=seed % 2 == 0, seed=seed)
    agree(Pauli(), circuit, given, 1e-10)
    single = values(circuit, groups=1 + seed % 3, rows=seed % 4, shared=seed % 2 == 0, seed=seed, dtype=torch.float32)
    agree(Pauli(), circuit, single, 2e-4)


@pytest.mark.parametrize("spec", ["z", "x+y+z", "zz", "parity", "probabilities", "zeros+x"])
@pytest.mark.parametrize("encoding", names.designs("encoding"))
def test_every_readout_and_encoding_that_fits(encoding, spec):
    for ansatz in ("strongly-entangling", "sim14", "qulog"):
        circuit = assemble(encoding, ansatz, 4, 1, readout=spec)
        given = values(circuit, groups=2, rows=3)
        for method in (Pauli(), Closed()):
            if not method.unfit(circuit):
                agree(method, circuit, given, 1e-10)


@pytest.mark.parametrize("seed", range(12))
def test_clifford_gates_behind_single_wire_gates_give_products(seed):
    random = np.random.default_rng(seed)
    wires = 1 + seed % 7
    begun = without_late_inputs(assemble("angle-y", "separable", wires, 2))
    pairs = [tuple(random.permutation(wires)[:2].tolist()) for _ in range(12)] if wires > 1 else []
    entangled = begun.gates + tuple(Gate(str(random.choice(CLIFFORD)), pair) for pair in pairs)
    words = tuple({"".join(random.choice(list("IXYZ"), wires)) for _ in range(5)})
    circuit = replace(begun, gates=entangled, readout=words)
    agree(Closed(), circuit, values(circuit, groups=2, rows=3), 1e-10)


def test_products_reach_widths_that_states_do_not():
    """One layer of rotations and a CNOT ring, 100 wires, against the closed form of the QuLog circuit."""
    wires = 100
    circuit = assemble("angle-x", "qulog", wires, 1)
    weights_GP, inputs_GNI = values(circuit, groups=2, rows=3)
    a, b = weights_GP[:, None, :wires], weights_GP[:, None, wires:]
    z = torch.cos(b) * torch.cos(a) * torch.cos(inputs_GNI) - torch.sin(b) * torch.sin(inputs_GNI)
    expected = torch.cat([z[..., 1:].prod(-1, keepdim=True), z.cumprod(-1)[..., 1:]], dim=-1)
    torch.testing.assert_close(Closed().bind(circuit, weights_GP)(inputs_GNI), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [Pauli(), Closed()])
def test_second_derivatives(method):
    circuit = assemble("angle-y", "qulog", 3, 1, readout="x+zz")
    given = values(circuit, groups=2, rows=2)
    assert torch.autograd.gradgradcheck(lambda w, x: method.bind(circuit, w)(x), given)


@pytest.mark.parametrize("name", CLIFFORD)
def test_words_move_as_their_matrices_do(name):
    place, sign = moved([Gate(name, (0, 1))], 2)
    letters = [one + two for one in "IXYZ" for two in "IXYZ"]
    unitary = matrix(name)
    for number, word in enumerate(letters):
        np.testing.assert_allclose(
            unitary @ pauli(word) @ unitary.conj().T, sign[number] * pauli(letters[place[number]]), rtol=0, atol=1e-12
        )
        assert moved_word(letters[place[number]], [Gate(name, (0, 1))]) == (word, sign[number])


@pytest.mark.parametrize("seed", range(8))
def test_blocks_hold_every_gate_in_an_order_that_changes_nothing(seed):
    circuit = without_late_inputs(random_circuit(np.random.default_rng(seed), wires=4, gates=30))
    begun = tuple(gate for gates in split(circuit).start for gate in gates)
    ordered = replace(circuit, gates=begun + tuple(gate for block in blocks(circuit) for gate in block.gates))
    given = values(circuit, groups=2, rows=2)
    torch.testing.assert_close(
        Gates().bind(ordered, given[0])(given[1]), Gates().bind(circuit, given[0])(given[1]), rtol=0, atol=1e-12
    )


def test_what_does_not_fit_says_why():
    again = assemble("angle-y", "sim14", 3, 2, reupload=True)
    assert "again" in Pauli().unfit(again)
    assert "again" in Closed().unfit(again)
    assert "two angles" in Pauli().unfit(assemble("chen", "sim14", 3, 1))
    assert "wires" in Pauli().unfit(assemble("angle-y", "sim14", 12, 1))
    assert "entangles" in Closed().unfit(assemble("angle-y", "sim14", 3, 1))
    assert "basis states" in Closed().unfit(assemble("angle-y", "qulog", 3, 1, readout=readout("zeros", 3)))
