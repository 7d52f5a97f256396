"""Laws of the quantum layer."""

import math

import pytest
import torch

from qlogad import names, seeds
from qlogad.backend.backend import open_backend
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.nn.layer import GateCircuits, start

DESIGNS = [("angle-y", "strongly-entangling", 3, 2), ("angle-x", "qulog", 4, 1), ("angle-y", "basic-entangler", 2, 1)]


def layer(design: tuple[str, str, int, int], seed: int = 0, gates: int = 3, frozen: bool = False) -> GateCircuits:
    generator = seeds.torch_generator(seed, "weights")
    return GateCircuits(assemble(*design), gates=gates, backend=open_backend("exact"), generator=generator, frozen=frozen)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("copies", [1, 3])
def test_it_is_the_backend_with_its_weights(design: tuple[str, str, int, int], copies: int) -> None:
    module = layer(design)
    inputs_GNI = torch.randn(copies, 5, module.circuit.inputs)
    direct = open_backend("exact").bind(module.circuit, module.weights_GP, calls=1)(inputs_GNI)
    assert torch.equal(module(inputs_GNI), direct)
    assert direct.shape == (3, 5, len(module.circuit.readout))


def test_one_binding_serves_many_steps_and_gathers_their_gradients() -> None:
    module = layer(DESIGNS[0])
    steps = [torch.randn(1, 4, module.circuit.inputs) for _ in range(3)]
    run = module.prepare()
    sum(run(inputs).sin().sum() for inputs in steps).backward()
    together, module.weights_GP.grad = module.weights_GP.grad, None
    for inputs in steps:
        module(inputs).sin().sum().backward()
    assert torch.allclose(together, module.weights_GP.grad, atol=1e-5)


def test_initial_weights_come_from_the_generator_alone_and_fill_the_circle() -> None:
    first, again, other = (layer(DESIGNS[0], seed=seed, gates=40).weights_GP for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= math.pi
    assert first.min() < -0.9 * math.pi
    assert first.max() > 0.9 * math.pi


PLAIN = [name for name in names.designs("ansatz") if name != "hamiltonian-variational"]  # its H come before each encoding


@pytest.mark.parametrize(
    ("ansatz", "reupload"), [*((name, True) for name in PLAIN), *((name, False) for name in names.designs("ansatz"))]
)
def test_an_identity_block_starts_as_the_encoding_alone(ansatz: str, reupload: bool) -> None:
    """Up to the gates before and after the layers, whose weights start at 0."""
    wires, depth = 2 + 2 * reupload, 2
    circuit = assemble("angle-y", ansatz, wires, depth, reupload=reupload, init="identity-block").alive()
    bare = assemble("angle-y", ansatz, wires, 0).alive()  # RY twice is RY of the sum
    module = GateCircuits(circuit, gates=3, backend=open_backend("exact"), generator=seeds.torch_generator(0)).double()
    inputs_GNI = torch.randn(1, 5, wires, dtype=torch.float64)
    expected = open_backend("exact").bind(bare, torch.zeros(3, bare.weights, dtype=torch.float64))
    torch.testing.assert_close(module(inputs_GNI), expected((depth if reupload else 1) * inputs_GNI), rtol=0, atol=1e-5)
    layers = [index for pair in circuit.twins for index in pair]
    assert len(layers) == 0 or module.weights_GP[:, layers].abs().max() > 1


@pytest.mark.parametrize("init", ["small-angle", "identity-block"])
def test_every_start_moves_freely_and_follows_from_the_generator(init: str) -> None:
    circuit = assemble("angle-y", "sim14", 3, 2, init=init)
    first, again, other = (start(circuit, 3, seeds.torch_generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    module = GateCircuits(circuit, gates=3, backend=open_backend("exact"), generator=seeds.torch_generator(0))
    module(torch.randn(1, 20, 3)).sin().sum().backward()
    assert (module.weights_GP.grad.abs() > 0).float().mean() > 0.5
    for one, two in circuit.twins:
        assert not torch.allclose(module.weights_GP.grad[:, one], module.weights_GP.grad[:, two])


def test_small_angles_have_a_deviation_of_a_tenth() -> None:
    circuit = assemble("angle-y", "sim14", 4, 3, init="small-angle")
    drawn = start(circuit, 500, seeds.torch_generator(0))
    assert drawn.std().item() == pytest.approx(0.1, rel=0.02)
    assert drawn.mean().item() == pytest.approx(0, abs=0.002)


def test_a_frozen_layer_saves_its_weights_but_passes_gradients_on() -> None:
    module = layer(DESIGNS[0], frozen=True)
    inputs = torch.randn(1, 4, module.circuit.inputs, requires_grad=True)
    module(inputs).sum().backward()
    assert module.weights_GP.grad is None
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0
    assert list(module.state_dict()) == ["weights_GP"]


def test_executions_are_counted_and_not_saved() -> None:
    module = layer(DESIGNS[0])
    run = module.prepare()
    run(torch.zeros(1, 5, module.circuit.inputs))
    run(torch.zeros(3, 2, module.circuit.inputs))
    assert module.executions == 3 * (5 + 2)
    assert set(module.state_dict()) == {"weights_GP"}


ENCODED = [
    (name, scaling) for name in names.designs("encoding") for scaling in (False, True) if name not in ("binary", "basis", "table")
]
ENCODED = [(name, scaling) for name, scaling in ENCODED if not (scaling and name.startswith("chebyshev"))]


def encoded(name: str, *, scaling: bool = False, values: int | None = None, frozen: bool = False) -> GateCircuits:
    circuit = assemble(name, "strongly-entangling", 3, 2, reupload=True, scaling=scaling, readout="x+z")
    encoding = Encoding.load(name, uploads=2, scaling=scaling, values=values)
    parts = {"backend": open_backend("exact"), "generator": seeds.torch_generator(0), "frozen": frozen}
    return GateCircuits(circuit, gates=2, encoding=encoding, **parts).double()


@pytest.mark.parametrize(("name", "scaling"), ENCODED)
def test_a_layer_computes_its_encoding_and_its_gradients(name: str, scaling: bool) -> None:
    module = encoded(name, scaling=scaling)
    features = Encoding.load(name).features(3)
    x_GND = (torch.rand(1, 4, features, generator=seeds.torch_generator(1), dtype=torch.float64) - 0.4).requires_grad_()
    mean_GNK = module(x_GND)
    assert mean_GNK.shape == (2, 4, 6)
    assert module.executions == 2 * 4 * 2  # circuits, rows, bases of x+z
    inputs = Encoding.load(name, uploads=2, scaling=scaling).inputs(x_GND, 3, module.encoding_GE)
    torch.testing.assert_close(mean_GNK, module.backend.bind(module.circuit, module.weights_GP)(inputs))
    weights = [x_GND, *module.parameters()]
    assert len(weights) == 2 + scaling
    slopes = torch.autograd.grad(mean_GNK.sin().sum(), weights)
    for values, slope in zip(weights, slopes, strict=True):
        way = torch.randn(values.shape, generator=seeds.torch_generator(2), dtype=torch.float64)
        ends = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                values += step * way
                ends.append(float(module(x_GND).sin().sum()))
            values += 1e-5 * way
        assert float((slope * way).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", names.designs("encoding"))
def test_scalings_start_at_one_and_frozen_ones_stay(name: str) -> None:
    if Encoding.load(name).design.takes.range is not None:
        return
    module, plain = encoded(name, scaling=True), encoded(name)
    x_GND = torch.rand(1, 4, Encoding.load(name).features(3), dtype=torch.float64)
    torch.testing.assert_close(module(x_GND), plain(x_GND))
    assert set(module.state_dict()) == {"weights_GP", "encoding_GE"}
    assert set(plain.state_dict()) == {"weights_GP"}
    assert not any(weight.requires_grad for weight in encoded(name, scaling=True, frozen=True).parameters())


def test_a_table_of_event_angles_is_trained_where_its_events_occur() -> None:
    module = encoded("table", values=5)
    assert module.encoding_GE.shape == (2, 3 * 5)
    assert module.encoding_GE.abs().max() > 1
    ids_GN1 = torch.tensor([[[0.0], [3.0], [3.0]]], dtype=torch.float64)
    module(ids_GN1).sin().sum().backward()
    moved = module.encoding_GE.grad.reshape(2, 3, 5).abs() > 0
    assert moved[..., [0, 3]].all()
    assert not moved[..., [1, 2, 4]].any()
    torch.testing.assert_close(module(ids_GN1)[:, 1], module(ids_GN1)[:, 2])


def test_shots_go_by_the_seed_of_the_layer() -> None:
    circuit, x_1ND = assemble("angle-y", "basic-entangler", 2, 1), torch.full((1, 3, 2), 0.8)
    layers = [
        GateCircuits(circuit, backend=open_backend("aer:shots=500"), generator=seeds.torch_generator(seed, "core"))
        for seed in (0, 0, 1)
    ]
    for layer in layers:
        torch.nn.init.constant_(layer.weights_GP, 0.4)
    one, two, other = (layer(x_1ND) for layer in layers)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
