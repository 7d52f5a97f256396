"""Laws of blocks beyond those of every method: wide states, against gate by gate, and the parts it is made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad.backend.exact.methods.adjoint import Adjoint
from qlogad.backend.exact.methods.blocks import Blocks
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.parts.fused import through
from qlogad.backend.exact.parts.layers import block_sizes
from qlogad.backend.exact.parts.signs import TABLE, Signs
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import readout
from qlogad.errors import BackendError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

METHODS = [Blocks(), Adjoint()]
methods = pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])


def given(circuit, groups=2, copies=1, rows=2, dtype=torch.float64):
    generator = torch_generator(0, "blocks", circuit.digest())
    shapes = (groups, circuit.weights), (copies, rows, circuit.inputs)
    return [(2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_() for shape in shapes]


def found(method, circuit, weights_GP, inputs_GNI):
    mean_GNK = method.bind(circuit, weights_GP)(inputs_GNI)
    costs = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
    slopes = torch.autograd.grad((costs * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *slopes]


def wide(wires: int, seed: int) -> Circuit:
    """Random gates on many wires, read by words of every kind."""
    inner = random_circuit(np.random.default_rng(seed), wires=wires, gates=60)
    words = (*inner.readout, *readout("z:0,3+y:1+parity+zeros", wires))
    return Circuit(wires, inner.gates, words, inner.inputs, inner.weights)


@pytest.mark.sample(4)
@methods
@pytest.mark.parametrize(("wires", "groups", "rows"), [(TABLE, 3, 9), (TABLE + 1, 2, 3), (15, 1, 2), (18, 1, 1)])
def test_wide_random_circuits_are_gate_by_gate(method, wires, groups, rows):
    """Widths on either side of every switch: tables of signs in halves, indices made anew, few columns, states in pieces."""
    circuit = wide(wires, seed=wires)
    for one, two in zip(*(found(which, circuit, *given(circuit, groups, 1, rows)) for which in (method, Gates())), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


@methods
@pytest.mark.parametrize("wires", [12, 18])
def test_wide_designs_that_upload_again_are_gate_by_gate(method, wires):
    circuit = assemble("angle-y", "strongly-entangling", wires, 2, reupload=True)
    values = given(circuit, 1, 1, 1 if wires > 12 else 3)
    for one, two in zip(*(found(which, circuit, *values) for which in (method, Gates())), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


@methods
@pytest.mark.parametrize("first", [0, 7, 14])
def test_a_few_wires_of_many_are_gate_by_gate(method, first):
    """The others, whole pieces of states, are left alone."""
    inner = random_circuit(np.random.default_rng(first), wires=4, gates=40)
    gates = tuple(replace(gate, wires=tuple(first + wire for wire in gate.wires)) for gate in inner.gates)
    words = tuple("I" * first + word + "I" * (14 - first) for word in readout("z+xx", 4))
    circuit = Circuit(18, gates, words, inner.inputs, inner.weights)
    for one, two in zip(*(found(which, circuit, *given(circuit, 1, 1, 1)) for which in (method, Gates())), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


@methods
def test_a_graph_that_is_kept_gives_the_same_slopes_again(method):
    """The last states are saved, not spent: on wide states layers are undone in place."""
    circuit = assemble("angle-y", "strongly-entangling", 18, 2)
    weights_GP, inputs_GNI = given(circuit, 1, 1, 1, torch.float32)
    total = method.bind(circuit, weights_GP)(inputs_GNI).sum()
    first, second = (torch.autograd.grad(total, (weights_GP, inputs_GNI), retain_graph=True) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)


@methods
@pytest.mark.parametrize("reading", [(True, False), (False, True), (False, False)])
def test_what_needs_no_slope_has_none_and_changes_nothing(method, reading):
    circuit = random_circuit(np.random.default_rng(3), wires=4, gates=30)
    everything = given(circuit)
    full = found(method, circuit, *everything)
    some = [value.detach().requires_grad_(needed) for value, needed in zip(everything, reading, strict=True)]
    mean_GNK = method.bind(circuit, some[0])(some[1])
    assert torch.equal(mean_GNK.detach(), full[0])
    assert mean_GNK.requires_grad == any(reading)
    if any(reading):
        costs = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
        (costs * mean_GNK).sum().backward()
    for value, needed, slope in zip(some, reading, full[1:], strict=True):
        assert torch.equal(value.grad, slope) if needed else value.grad is None


@methods
@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("ansatz", ["sim14", "strongly-entangling"])
def test_the_largest_angles_have_finite_means_and_slopes(method, ansatz, reupload):
    circuit = assemble("angle-y", ansatz, 5, 2, reupload=reupload)
    most = torch.finfo(torch.float32).max
    weights_GP, inputs_GNI = (torch.full(value.shape, most, requires_grad=True) for value in given(circuit, dtype=torch.float32))
    mean_GNK, *slopes = found(method, circuit, weights_GP, inputs_GNI)
    assert mean_GNK.abs().max() <= 1 + 1e-5
    assert all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize("reupload", [False, True])
def test_blocks_have_derivatives_of_any_order(reupload):
    circuit = assemble("angle-y", "strongly-entangling", 2, 1, reupload=reupload, readout="x+z")
    values = given(circuit, 1, 1, 1)
    assert torch.autograd.gradgradcheck(lambda *both: Blocks().bind(circuit, both[0])(both[1]), values)


def test_adjoint_has_first_derivatives_only_and_says_what_has_more():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1)
    weights_GP, inputs_GNI = given(circuit)
    total = Adjoint().bind(circuit, weights_GP)(inputs_GNI).sum()
    with pytest.raises(BackendError, match="first derivatives only; use method 'blocks'"):
        torch.autograd.grad(total, weights_GP, create_graph=True)


def test_adjoint_keeps_one_batch_of_states_at_any_depth_and_blocks_one_a_layer():
    def kept(method, depth):
        circuit = assemble("angle-y", "strongly-entangling", 12, depth, reupload=True)
        weights_GP, inputs_GNI = given(circuit)
        shapes = []

        def see(tensor):
            shapes.append(tuple(tensor.shape))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
            method.bind(circuit, weights_GP)(inputs_GNI)
        return shapes.count((2, 2**12, 2))

    assert [kept(Adjoint(), depth) for depth in (1, 2, 4)] == [1, 1, 1]
    few, more, most = (kept(Blocks(), depth) for depth in (1, 2, 4))
    assert few < more < most


@pytest.mark.parametrize("wires", [1, 5, TABLE, TABLE + 1, 14])
def test_signs_are_those_of_the_words_and_spread_is_the_transpose(wires):
    random = np.random.default_rng(wires)
    masks = random.integers(0, 2**wires, size=7).tolist()
    factors = random.normal(size=7)
    like = torch.zeros(1, dtype=torch.float64)
    signs = Signs(masks, factors, wires, like)
    basis = np.arange(2**wires)
    table_DK = np.stack([f * (-1.0) ** np.bitwise_count(basis & mask) for mask, f in zip(masks, factors, strict=True)], axis=1)
    one_GDR = torch.from_numpy(random.normal(size=(2, 2**wires, 3)))
    two_GKR = torch.from_numpy(random.normal(size=(2, 7, 3)))
    torch.testing.assert_close(signs.sums(one_GDR), torch.from_numpy(table_DK).mT @ one_GDR, rtol=0, atol=1e-9)
    torch.testing.assert_close(signs.spread(two_GKR), torch.from_numpy(table_DK) @ two_GKR, rtol=0, atol=1e-9)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("idle", [0, 1, -1])
@pytest.mark.parametrize(("wires", "columns"), [(1, 3), (4, 1), (7, 5), (11, 1), (11, 9), (18, 1), (13, 33)])
def test_blocks_act_as_their_kronecker_product(wires, columns, idle, own):
    """On a product state each block acts on its own factor; one block is left alone."""
    generator = torch_generator(wires, "through")
    sizes = block_sizes(wires)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.complex128) / 2 ** (shape[-1].bit_length() / 2)

    blocks = [draw(1, 2**size, 2**size) for size in sizes]
    factors = [draw(2**size) for size in sizes]
    scale = draw(columns)

    def product(vectors):
        state = torch.ones(1, dtype=torch.complex128)
        for vector in vectors:
            state = torch.kron(state, vector)
        return (state[:, None] * scale)[None]

    given_blocks = [None if place == idle % len(sizes) and len(sizes) > 1 else block for place, block in enumerate(blocks)]
    expected = product([one if block is None else block[0] @ one for block, one in zip(given_blocks, factors, strict=True)])
    with torch.no_grad():
        torch.testing.assert_close(through(given_blocks, sizes, product(factors), own=own), expected, rtol=0, atol=1e-12)
