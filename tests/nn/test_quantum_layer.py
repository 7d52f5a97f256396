"""Laws of the layer that stands in anybody's network: it is a torch module, and its numbers are PennyLane's."""

import copy
import io
import pickle
import random
from itertools import product

import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qlogad import QuantumLayer, names
from qlogad.backend.backend import open_backend
from qlogad.backend.pennylane import to_qnode
from qlogad.circuit.encoding import Encoding
from qlogad.errors import QlogadError, WidthError

VALUES = 3  # event ids of encodings that take such
PAIRS = sorted(product(names.designs("ansatz"), names.designs("encoding")))
SAMPLED = random.Random(0).sample(PAIRS, 30)


def built(ansatz: str, encoding: str, seed: int = 0) -> QuantumLayer:
    """A layer on the least wires that both designs take."""
    dice = random.Random(f"{ansatz} {encoding} {seed}")
    integer = Encoding.load(encoding).design.takes.integer
    options = {"depth": dice.randint(1, 2), "readout": dice.choice(["z", "x+z", "zz"]), "values": VALUES if integer else None}
    for wires in range(2, 9):
        try:
            return QuantumLayer(wires, ansatz, encoding, seed=seed, reupload=dice.random() < 0.5, **options).double()
        except WidthError:
            continue
    raise AssertionError(f"no width up to 8 for {ansatz} behind {encoding}")


def features(layer: QuantumLayer, *shape: int, seed: int = 0) -> torch.Tensor:
    """Features that its encoding takes."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 + 0.8 * torch.rand(*shape, layer.in_features, generator=generator, dtype=torch.float64)
    if not layer.encoding.design.takes.integer:
        return x
    return (x * (min(layer.encoding.limits(layer.wires)[1], VALUES - 1) + 1)).floor()


def gradients(value: torch.Tensor, *leaves: torch.Tensor) -> list[torch.Tensor]:
    weighted = (value * torch.linspace(1, 2, value.shape[-1], dtype=value.dtype)).sum()
    return list(torch.autograd.grad(weighted, leaves, allow_unused=True, materialize_grads=True))


def equals_pennylane(ansatz: str, encoding: str) -> None:
    layer = built(ansatz, encoding)
    x = features(layer, 3).requires_grad_(not layer.encoding.design.takes.integer)
    inputs = layer.circuits.inputs(x[None])[0]
    weights = layer.circuits.weights_GP
    node = to_qnode(layer.circuit)
    if weights.numel():
        theirs = qml.qnn.TorchLayer(node, {"weights": (weights.numel(),)}).double()
        theirs.load_state_dict({"weights": weights[0].detach()})
        there, other = theirs(inputs), next(theirs.parameters())
    else:  # TorchLayer asks for weights
        other = weights[0]
        there = torch.stack(list(node(inputs, other)), -1)
    here = layer(x)
    assert torch.allclose(here, there.expand_as(here), atol=1e-12)
    leaves = [x] if x.requires_grad else []
    if not leaves and not weights.numel():
        return
    mine, expected = gradients(here, weights, *leaves), gradients(there.expand_as(here), other, *leaves)
    assert all(torch.allclose(one.reshape(two.shape), two, atol=1e-10) for one, two in zip(mine, expected, strict=True))


@pytest.mark.parametrize(("ansatz", "encoding"), SAMPLED)
def test_values_and_gradients_are_those_of_pennylanes_torch_layer(ansatz: str, encoding: str) -> None:
    equals_pennylane(ansatz, encoding)


@pytest.mark.slow
@pytest.mark.parametrize(("ansatz", "encoding"), PAIRS)
def test_every_pair_of_designs_equals_pennylanes_torch_layer(ansatz: str, encoding: str) -> None:
    equals_pennylane(ansatz, encoding)


@settings(deadline=None, max_examples=15)
@given(shape=st.lists(st.integers(0, 3), max_size=3), encoding=st.sampled_from(sorted(names.designs("encoding"))))
def test_any_leading_shape_is_the_flattened_call(shape: list[int], encoding: str) -> None:
    layer = built("sim14", encoding)
    x = features(layer, *shape).requires_grad_()
    mean = layer(x)
    assert mean.shape == (*shape, layer.out_features)
    assert torch.equal(mean.reshape(-1, layer.out_features), layer(x.reshape(-1, layer.in_features)))
    mean.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert all(weight.grad is not None for weight in layer.parameters())


@pytest.mark.parametrize("backend", ["exact", "exact:depolarizing=0.01", "pennylane", "pennylane:lightning.qubit", "qiskit"])
def test_it_copies_pickles_saves_and_moves_as_any_module(backend: str) -> None:
    layer = QuantumLayer(3, "sim14", backend=backend, seed=1)
    x = torch.rand(2, 3)
    stream = io.BytesIO()
    torch.save(layer.state_dict(), stream)
    stream.seek(0)
    other = QuantumLayer(3, "sim14", backend=backend, seed=2)
    assert not torch.equal(other(x), layer(x))
    other.load_state_dict(torch.load(stream, weights_only=True))
    for same in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.eval(), layer.train()):
        assert torch.equal(same(x), layer(x))
    assert torch.allclose(copy.deepcopy(layer).double()(x.double()).float(), layer(x), atol=1e-5)
    assert f"backend={layer.circuits.backend.name}" in repr(layer)
    assert "sim14" in repr(layer)


def test_a_backend_by_name_and_as_an_object_are_one() -> None:
    x = torch.rand(2, 4)
    assert torch.equal(QuantumLayer(backend="exact")(x), QuantumLayer(backend=open_backend("exact"))(x))


def test_derivatives_are_those_of_differences() -> None:
    layer = QuantumLayer(3, "sim14", "iqp", readout="x+z", scaling=True).double()
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    weights = tuple(weight.detach().requires_grad_() for weight in layer.parameters())
    named = [name for name, _ in layer.named_parameters()]

    def called(x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(zip(named, given, strict=True)), (x,))

    assert torch.autograd.gradcheck(called, (x, *weights))


def test_it_trains_inside_a_network_and_stays_where_it_is_frozen() -> None:
    torch.manual_seed(0)
    layer = QuantumLayer(wires=3, ansatz="sim14", seed=0)
    model = nn.Sequential(nn.Linear(5, 3), layer, nn.Linear(3, 1))
    x = torch.randn(40, 5)
    y = x[:, :1].sin()
    before, losses = copy.deepcopy(layer.state_dict()), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(40):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert not torch.equal(layer.circuits.weights_GP, before["circuits.weights_GP"])
    layer.requires_grad_(False)
    assert not layer(torch.zeros(1, 3)).requires_grad
    assert layer(torch.zeros(1, 3, requires_grad=True)).requires_grad


def test_the_seed_alone_sets_the_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, same, other = (QuantumLayer(seed=seed).circuits.weights_GP for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_integers_go_into_encodings_that_take_them_and_autocast_lowers_nothing() -> None:
    ids = QuantumLayer(2, encoding="binary")
    assert torch.equal(ids(torch.tensor([[3], [1]])), ids(torch.tensor([[3.0], [1.0]])))
    model = nn.Sequential(nn.Linear(4, 4), QuantumLayer(), nn.Linear(4, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(torch.rand(3, 4))
    assert torch.isfinite(low).all()


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_numbers() -> None:
    model = nn.Sequential(nn.Linear(4, 4), QuantumLayer(), nn.Linear(4, 1))
    x = torch.rand(3, 4)
    assert torch.equal(torch.compile(model, backend="eager")(x), model(x))


GOOD = torch.zeros(2, 4)
WRONG = {
    "a list": [0.0, 0.0, 0.0, 0.0],
    "an array": GOOD.numpy(),
    "text": "0 0 0 0",
    "none": None,
    "integers": GOOD.long(),
    "truth values": GOOD.bool(),
    "half precision": GOOD.half(),
    "other precision": GOOD.double(),
    "complex numbers": GOOD.cfloat(),
    "too few": torch.zeros(2, 3),
    "too many": torch.zeros(2, 500),
    "no features": torch.zeros(4, 0),
    "no dimension": torch.zeros(()),
    "NaN": GOOD * float("nan"),
    "infinite": GOOD + float("inf"),
    "sparse": GOOD.to_sparse(),
    "elsewhere": GOOD.to("meta"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_features_that_do_not_fit_are_refused_in_one_line(kind: str) -> None:
    with pytest.raises(QlogadError) as caught:
        QuantumLayer()(WRONG[kind])
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)  # what was met; the mend


@pytest.mark.parametrize(
    ("encoding", "wires"), [(name, wires) for name in ("angle-y", "dense-angle", "amplitude") for wires in (2, 3)]
)
def test_a_wrong_count_says_how_many_the_encoding_takes_and_the_mend(encoding: str, wires: int) -> None:
    layer = QuantumLayer(wires, encoding=encoding)
    other = QuantumLayer(wires + 1, encoding=encoding).in_features
    with pytest.raises(QlogadError, match=f"'{encoding}' takes {layer.in_features} features on {wires} .* use wires={wires + 1}$"):
        layer(torch.zeros(2, other))
    with pytest.raises(QlogadError, match=rf"put torch.nn.Linear\({2**20 + 1}, {layer.in_features}\) before it$"):
        layer(torch.zeros(1, 2**20 + 1))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_weights_in_a_precision_that_no_circuit_has_are_refused(precision: torch.dtype) -> None:
    with pytest.raises(QlogadError, match=r"call layer.float\(\)$"):
        QuantumLayer().to(precision)(GOOD.to(precision))


def test_transforms_that_it_does_not_follow_are_refused() -> None:
    layer = QuantumLayer()
    for transformed in (torch.func.vmap(layer), torch.func.jacrev(layer), torch.func.grad(lambda x: layer(x).sum())):
        with pytest.raises(QlogadError, match="pass all rows at once"):
            transformed(GOOD)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wires": "4"}, "wires is an integer, got '4'"),
        ({"wires": 4.0}, "wires is an integer"),
        ({"wires": 0}, "1 to 256 wires"),
        ({"wires": 40}, "at most 26 wires"),
        ({"depth": 1.5}, "depth is an integer"),
        ({"depth": -1}, "depth must be from 0"),
        ({"seed": "x"}, "seed is an integer"),
        ({"init": "small_angle"}, "did you mean 'small-angle'"),
        ({"ansatz": "sim144"}, "did you mean 'sim14'"),
        ({"encoding": "angle_y"}, "did you mean 'angle-y'"),
        ({"backend": "exakt"}, "did you mean 'exact'"),
        ({"backend": 3}, "backend must be a name"),
        ({"readout": "zed"}, "zed"),
        ({"values": "many"}, "values is an integer"),
        ({"encoding": "table"}, "give their number"),
    ],
)
def test_a_layer_that_cannot_be_is_refused_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(QlogadError, match=said) as caught:
        QuantumLayer(**options)
    assert "\n" not in str(caught.value)
