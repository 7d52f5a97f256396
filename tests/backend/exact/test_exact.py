"""The exact simulator against PennyLane's templates, closed forms, and itself by other ways."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad import names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Circuit, Gate, z_each
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit, reference_means

ANSATZE = list(names.designs("ansatz"))


def values(circuit, *, groups=2, rows=3, seed=0, dtype=torch.float64):
    generator = torch_generator(seed, "exact")
    weights_GP = math.pi * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def means_and_gradients(backend, circuit, weights_GP, inputs_GNI):
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    cost = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
    slopes = torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *slopes]


def random(seed):
    return random_circuit(np.random.default_rng(seed), wires=1 + seed % 6, gates=25)


@pytest.mark.parametrize(
    ("ansatz", "template"), [("strongly-entangling", "StronglyEntanglingLayers"), ("basic-entangler", "BasicEntanglerLayers")]
)
@pytest.mark.parametrize("wires", range(1, 6))
@pytest.mark.parametrize("depth", range(1, 5))
def test_ansatz_is_pennylane_s_template(ansatz, template, wires, depth):
    template = getattr(qml, template)
    circuit = assemble("angle-y", ansatz, wires, depth)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=2)

    @qml.qnode(qml.device("default.qubit"))
    def node(inputs, weights):
        qml.AngleEmbedding(inputs, range(wires), rotation="Y")
        template(weights.reshape(template.shape(depth, wires)), range(wires))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(wires)]

    expected = torch.stack([torch.stack(node(row, weights_GP[0].detach())) for row in inputs_GNI[0].detach()])
    found = Exact().bind(circuit, weights_GP)(inputs_GNI)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wires", range(2, 7))
def test_the_qulog_circuit_is_a_product_of_cosines(wires):
    """z_i = cos b cos a cos x - sin b sin x; <Z_0> = prod_{i>=1} z_i, <Z_k> = prod_{i<=k} z_i."""
    circuit = assemble("angle-x", "qulog", wires, 1)
    weights_GP, inputs_GNI = values(circuit)
    a, b = weights_GP[:, None, :wires], weights_GP[:, None, wires:]
    z = torch.cos(b) * torch.cos(a) * torch.cos(inputs_GNI) - torch.sin(b) * torch.sin(inputs_GNI)
    expected = torch.cat([z[..., 1:].prod(-1, keepdim=True), z.cumprod(-1)[..., 1:]], dim=-1)
    torch.testing.assert_close(Exact().bind(circuit, weights_GP)(inputs_GNI), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", range(4))
def test_the_separable_circuit_reads_each_wire_s_own_input(depth):
    circuit = assemble("angle-y", "separable", 4, depth)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=1)
    bound = Exact().bind(circuit, weights_GP)
    slopes_KI = torch.autograd.functional.jacobian(lambda x: bound(x[None, None])[0, 0], inputs_GNI[0, 0])
    assert torch.all(slopes_KI[~torch.eye(4, dtype=torch.bool)].abs() < 1e-12)
    assert torch.all(slopes_KI.diagonal().abs() > 1e-6)
    assert circuit.without_entanglement() == circuit


@pytest.mark.parametrize("seed", range(8))
def test_single_precision_lies_near_double(seed):
    circuit = random(seed)
    double = means_and_gradients(Exact(), circuit, *values(circuit, seed=seed))
    single = means_and_gradients(Exact(), circuit, *values(circuit, seed=seed, dtype=torch.float32))
    for one, two in zip(single, double, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ansatz", ANSATZE)
def test_rows_are_independent(ansatz):
    circuit = assemble("angle-y", ansatz, 4, 2, reupload=True)
    weights_GP, inputs_GNI = values(circuit, rows=9)
    bound = Exact().bind(circuit, weights_GP)
    mean_GNK = bound(inputs_GNI)
    order = torch.randperm(9, generator=torch_generator(0, "order"))
    torch.testing.assert_close(bound(inputs_GNI[:, order]), mean_GNK[:, order], rtol=0, atol=1e-12)
    for cut in (0, 1, 4):
        parts = torch.cat([bound(inputs_GNI[:, :cut]), bound(inputs_GNI[:, cut:])], dim=1)
        torch.testing.assert_close(parts, mean_GNK, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_circuits_side_by_side_are_independent(seed):
    circuit = random(seed)
    weights_GP, inputs_GNI = values(circuit, groups=3, seed=seed)
    together = Exact().bind(circuit, weights_GP)(inputs_GNI)
    for g in range(3):
        alone = Exact().bind(circuit, weights_GP[g : g + 1])(inputs_GNI[g : g + 1])
        torch.testing.assert_close(together[g : g + 1], alone, rtol=0, atol=1e-12)
    shared = Exact().bind(circuit, weights_GP)(inputs_GNI[:1])
    repeated = Exact().bind(circuit, weights_GP)(inputs_GNI[:1].expand(3, -1, -1))
    torch.testing.assert_close(shared, repeated, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_states_are_normalised_undone_by_the_inverse_and_read_out(seed):
    circuit = random(seed)
    weights_GP, inputs_GNI = values(circuit, seed=seed)
    psi = Exact().bind(circuit, weights_GP).states(inputs_GNI)
    assert psi.shape == (2, 3, 2**circuit.wires)
    torch.testing.assert_close(psi.abs().square().sum(-1), torch.ones(2, 3, dtype=torch.float64), rtol=0, atol=1e-12)
    there_and_back = circuit.then(circuit.inverse(), shared=True)
    fidelity = Exact().bind(there_and_back, weights_GP).states(inputs_GNI)[..., 0].abs()
    torch.testing.assert_close(fidelity, torch.ones_like(fidelity), rtol=0, atol=1e-12)
    signs = torch.tensor(
        [[1 - 2 * (b >> (circuit.wires - 1 - w) & 1) for w in range(circuit.wires)] for b in range(2**circuit.wires)]
    )
    mean_GNK = Exact().bind(circuit, weights_GP)(inputs_GNI)
    torch.testing.assert_close(psi.abs().square() @ signs.double(), mean_GNK[..., -circuit.wires :], rtol=0, atol=1e-12)


def test_a_bound_circuit_is_used_many_times_under_one_graph():
    circuit = assemble("angle-y", "qulog", 3, 2)
    weights_GP, inputs_GNI = values(circuit)
    bound = Exact().bind(circuit, weights_GP)
    steps = [(number + 1) * bound(inputs_GNI * (number + 1)).sum() for number in range(3)]
    together = torch.autograd.grad(sum(steps), weights_GP)[0]
    fresh = [(number + 1) * Exact().bind(circuit, weights_GP)(inputs_GNI * (number + 1)).sum() for number in range(3)]
    torch.testing.assert_close(together, torch.autograd.grad(sum(fresh), weights_GP)[0], rtol=0, atol=1e-11)
    again = bound(inputs_GNI)
    torch.testing.assert_close(again, bound(inputs_GNI), rtol=0, atol=0)


@pytest.mark.parametrize("wires", [8, 9])
def test_wide_circuits_are_pennylane(wires):
    circuit = assemble("angle-y", "basic-entangler", wires, 1)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=2)
    found, other = (means_and_gradients(open_backend(spec), circuit, weights_GP, inputs_GNI) for spec in ("exact", "pennylane"))
    for one, two in zip(found, other, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def test_what_would_not_fit_is_refused_before_it_is_tried():
    with pytest.raises(BackendError, match="up to 26 wires, got 30"):
        Exact().bind(Design.load("separable", "ansatz").build(30, 0), torch.zeros(1, 0))
    circuit = assemble("angle-y", "strongly-entangling", 24, 2)
    bound = Exact(memory=0.1).bind(circuit, torch.zeros(4, circuit.weights))
    with pytest.raises(
        BackendError, match=r"one row of this circuit needs about \S+ GB, and 0\.1 GB are allowed; up to \d+ wires fit"
    ):
        bound(torch.zeros(1, 64, 24))
    with pytest.raises(BackendError, match=r"one row of this circuit needs about \S+ GB, and 0\.1 GB are allowed; up to \d+ wires"):
        bound.states(torch.zeros(1, 64, 24))
    narrow = assemble("angle-y", "strongly-entangling", 10, 2)
    with pytest.raises(BackendError, match=r"these states need about \S+ GB, and 0\.01 GB are allowed; use fewer rows"):
        Exact(memory=0.01).bind(narrow, torch.zeros(1, narrow.weights)).states(torch.zeros(1, 10_000, 10))


def test_a_circuit_without_gates_or_inputs():
    bare = Circuit(2, (), ("ZZ", "XI"), 0, 0)
    assert Exact().bind(bare, torch.zeros(3, 0))(torch.zeros(1, 5, 0)).tolist() == [[[1.0, 0.0]] * 5] * 3
    bell = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1))), ("XX", "YY", "ZZ", *z_each(2)), 0, 0)
    expected = torch.tensor([1.0, -1, 1, 0, 0]).expand(1, 2, 5)
    torch.testing.assert_close(Exact().bind(bell, torch.zeros(1, 0))(torch.zeros(1, 2, 0)), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(8))
def test_cuda_is_the_cpu(seed):
    circuit = random(seed)
    weights_GP, inputs_GNI = values(circuit, seed=seed)
    cpu = means_and_gradients(Exact(), circuit, weights_GP, inputs_GNI)
    moved = [tensor.detach().cuda().requires_grad_() for tensor in (weights_GP, inputs_GNI)]
    mean_GNK = Exact().bind(circuit, moved[0])(moved[1])
    assert mean_GNK.device.type == "cuda"
    cost = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape).cuda()
    slopes = torch.autograd.grad((cost * mean_GNK).sum(), moved, materialize_grads=True)
    for one, two in zip([mean_GNK.detach(), *slopes], cpu, strict=True):
        torch.testing.assert_close(one.cpu(), two, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_readouts_of_many_amplitudes_are_the_same_by_folding(seed):
    words = ("ZIXYZIIXYIZZI", "ZZZZZZZZZZZZZ", "YYIIIIIIIIIIY", "IIIIIIIIIIIIX")
    inner = random_circuit(np.random.default_rng(seed), wires=13, gates=40)
    circuit = Circuit(13, inner.gates, words, inner.inputs, inner.weights)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=1)
    expected = reference_means(circuit, weights_GP.detach().numpy(), inputs_GNI.detach().numpy())
    np.testing.assert_allclose(Exact().bind(circuit, weights_GP)(inputs_GNI).detach(), expected, rtol=0, atol=1e-12)
