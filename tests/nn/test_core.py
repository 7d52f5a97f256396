"""Laws of cores and controls."""

import dataclasses

import pytest
import torch

from qlogad import documents, seeds
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.errors import DesignError, DocumentError, InputError, UnknownName
from qlogad.nn.controls import control, controls
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.nn.maps import Diagonal
from qlogad.nn.matched import matched


@dataclasses.dataclass(frozen=True)
class Holder:
    core: Core = Classical()


CORES = [
    Classical(hidden=5),
    Quantum(ansatz="qulog", wires=3, depth=2, shared=True),
    Quantum(frozen=True, entangling=False, init="identity-block"),
    Quantum(ansatz="sim14", wires=2, matched=True),
    Quantum(ansatz="sim14", wires=2, depth=2, dephased=True),
    SameWrapper(of=Quantum(wires=2)),
    SameTotal(of=Quantum(reupload=True)),
]


@pytest.mark.parametrize("core", CORES)
def test_a_core_goes_through_a_document_and_back(core: Core) -> None:
    text = documents.dump(Holder(core))
    assert documents.from_mapping(Holder, documents.parse(text)) == Holder(core)


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "quantum", "depht": 2},
        {"kind": "quantum", "wires": 0},
        {"kind": "quantum", "init": "identity"},
        {"kind": "quantum", "depth": -1},
        {"kind": "quantum", "depth": "two"},
        {"kind": "classical", "hidden": 0},
        {"kind": "classical", "wires": 4},
        {"kind": "other"},
        {},
    ],
)
def test_a_core_that_is_not_one_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(DocumentError):
        documents.from_mapping(Holder, {"core": content})


@pytest.mark.parametrize("core", CORES[:-1])
@pytest.mark.parametrize("lead", [(), (7,), (2, 3)])
def test_a_map_takes_any_leading_axes(core: Core, lead: tuple[int, ...]) -> None:
    module = core.map(6, 5, 4, seeds.torch_generator(0))
    x = torch.randn(*lead, 6)
    y = module(x)
    assert y.shape == (4, *lead, 5)
    assert torch.allclose(y.reshape(4, -1, 5), module(x.reshape(-1, 6)), atol=1e-6)


def test_twins_and_their_controls_start_from_the_same_linear_maps() -> None:
    core = Quantum()
    twins = [
        core,
        SameWrapper(of=core),
        *(control(name, core) for name in ("frozen", "no-entanglement", "no-entanglement-matched", "dephased")),
    ]
    states = [twin.map(6, 5, 4, seeds.torch_generator(0)).state_dict() for twin in twins]
    for name in ("reduce.weight_GIO", "reduce.bias_G1O", "expand.weight_GIO", "expand.bias_G1O"):
        assert all(torch.equal(states[0][name], state[name]) for state in states[1:])


def test_a_shared_cell_has_one_linear_map_on_each_side_and_circuits_of_its_own() -> None:
    own, shared = (Quantum(shared=tied).map(6, 5, 4, seeds.torch_generator(0)) for tied in (False, True))
    assert own.reduce.weight_GIO.shape == (4, 6, 4)
    assert shared.reduce.weight_GIO.shape == (1, 6, 4)
    assert shared.expand.weight_GIO.shape == (1, 4, 5)
    assert shared.middle.weights_GP.shape == own.middle.weights_GP.shape
    y_GO = shared(torch.randn(6))
    assert not torch.allclose(y_GO[0], y_GO[1])


@pytest.mark.parametrize("shared", [False, True])
def test_any_backend_gives_the_same_map(shared: bool) -> None:
    exact, other = (
        Quantum(wires=2, depth=2, shared=shared, backend=backend).map(6, 5, 4, seeds.torch_generator(0))
        for backend in ("exact", "pennylane")
    )
    x_NI = torch.randn(3, 6, generator=seeds.torch_generator(1))
    for module in (exact, other):
        module(x_NI).sin().sum().backward()
    assert torch.allclose(exact(x_NI), other(x_NI), atol=1e-5)
    for mine, theirs in zip(exact.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-5)


@pytest.mark.parametrize("budget", range(10))
def test_the_diagonal_spends_at_most_its_budget_scales_first(budget: int) -> None:
    middle = Diagonal(3, 3, 4, budget, seeds.torch_generator(0))
    assert sum(p.numel() for p in middle.parameters()) == 4 * min(budget, 6)
    x_GNI = torch.randn(4, 2, 3)
    y_GNK = middle(x_GNI)
    plain_K = torch.arange(3) >= min(budget, 3)
    assert torch.equal(y_GNK[..., plain_K], torch.tanh(x_GNI)[..., plain_K])
    assert not torch.isclose(y_GNK[..., ~plain_K], torch.tanh(x_GNI)[..., ~plain_K]).any()


@pytest.mark.parametrize(("inputs", "readouts"), [(2, 5), (5, 2), (3, 3)])
def test_the_diagonal_fits_any_number_of_inputs_and_readouts(inputs: int, readouts: int) -> None:
    middle = Diagonal(inputs, readouts, 1, 0, seeds.torch_generator(0))
    x_GNI = torch.randn(1, 4, inputs)
    assert torch.equal(middle(x_GNI), torch.tanh(x_GNI[..., [k % inputs for k in range(readouts)]]))


@pytest.mark.parametrize("ansatz", ["strongly-entangling", "basic-entangler", "qulog", "separable"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_same_wrapper_has_no_more_weights_than_the_circuit_has_live_ones(ansatz: str, depth: int) -> None:
    core = Quantum(ansatz=ansatz, wires=3, depth=depth)
    middle = SameWrapper(of=core).map(6, 5, 4, seeds.torch_generator(0)).middle
    assert sum(p.numel() for p in middle.parameters()) <= 4 * core.live() <= 4 * core.circuit().weights


def test_same_total_takes_the_largest_size_that_fits() -> None:
    for total in range(11, 300, 7):
        found = SameTotal(of=Quantum()).resolve(
            lambda core, total=total: total if isinstance(core, Quantum) else 10 + core.hidden**2
        )
        assert 10 + found.hidden**2 <= total < 10 + (found.hidden + 1) ** 2
    with pytest.raises(InputError, match="one hidden unit"):
        SameTotal(of=Quantum()).resolve(lambda core: 5 if isinstance(core, Quantum) else 6)


def test_controls_change_what_they_say_and_nothing_else() -> None:
    core = Quantum(wires=3, depth=2)
    assert control("frozen", core) == dataclasses.replace(core, frozen=True)
    lone = control("no-entanglement", core)
    assert isinstance(lone, Quantum)
    assert all(len(gate.wires) == 1 for gate in lone.circuit().gates)
    assert any(len(gate.wires) > 1 for gate in core.circuit().gates)
    assert lone.circuit().weights == core.circuit().weights
    assert control("same-wrapper", core) == SameWrapper(of=core)
    assert control("same-total", core) == SameTotal(of=core)


@pytest.mark.parametrize("ansatz", ["sim2", "sim6", "sim14", "strongly-entangling", "qcnn", "clifford", "permutation-equivariant"])
@pytest.mark.parametrize(("wires", "depth", "reupload"), [(2, 1, False), (3, 1, True), (3, 2, False)])
def test_the_matched_control_is_separable_and_has_as_many_live_weights(ansatz: str, wires: int, depth: int, reupload: bool) -> None:
    core = Quantum(ansatz=ansatz, wires=wires, depth=depth, reupload=reupload)
    circuit = (twin := control("no-entanglement-matched", core)).circuit()
    assert all(len(gate.wires) == 1 for gate in circuit.gates)
    assert twin.live() == core.live() == circuit.weights
    assert circuit.inputs == core.circuit().inputs
    assert circuit.readout == core.circuit().readout
    assert twin.circuit() == circuit


def test_the_matched_control_says_when_it_is_impossible() -> None:
    def deaf(uploads: int) -> Circuit:
        return assemble("angle-y", "separable", 2, 1)

    with pytest.raises(DesignError, match="stays at 4 live weights however often it encodes, and 5 are wanted"):
        matched(deaf, 5, Encoding.load("angle-y"))


@pytest.mark.parametrize("reupload", [False, True])
def test_the_dephased_control_has_the_same_gates_and_weights(reupload: bool) -> None:
    core = Quantum(ansatz="sim14", wires=3, depth=2, reupload=reupload, backend="pennylane")
    noisy = control("dephased", core)
    assert dataclasses.replace(noisy.circuit(), dephased=()) == core.circuit()
    assert noisy.backend == "exact"
    x_NI = torch.randn(20, 6, generator=seeds.torch_generator(1))
    with torch.no_grad():
        one, two = (twin.map(6, 5, 4, seeds.torch_generator(0))(x_NI) for twin in (core, noisy))
    assert not torch.allclose(one, two, atol=0.01)


def test_how_the_weights_start_is_a_field_and_the_file_s_by_default() -> None:
    core = Quantum(ansatz="sim14", wires=3, depth=2)
    assert core.circuit().init == "uniform"
    assert dataclasses.replace(core, init="small-angle").circuit().init == "small-angle"
    block = dataclasses.replace(core, init="identity-block").circuit()
    assert (block.init, block.weights) == ("identity-block", 2 * core.circuit().weights)


def test_every_control_is_listed_with_what_it_does() -> None:
    known = {"same-wrapper", "same-total", "frozen", "no-entanglement", "no-entanglement-matched", "dephased"}
    assert set(controls()) == known
    assert all(controls().values())


def test_unknown_controls_and_classical_cores_are_refused_with_the_next_step() -> None:
    with pytest.raises(UnknownName, match="did you mean 'frozen'"):
        control("frozn", Quantum())
    with pytest.raises(InputError, match="quantum core"):
        control("frozen", Classical())


@pytest.mark.parametrize(
    ("encoding", "features"), [("angle-y", 3), ("chen", 3), ("dense-angle", 6), ("amplitude", 7), ("trotter", 2)]
)
def test_the_linear_map_reduces_to_the_encoding_s_features(encoding: str, features: int) -> None:
    core = Quantum(encoding=encoding, wires=3)
    for twin in (core, SameWrapper(of=core)):
        assert twin.map(6, 5, 4, seeds.torch_generator(0)).reduce.weight_GIO.shape == (4, 6, features)


@pytest.mark.parametrize("encoding", ["chebyshev", "chebyshev-tower"])
def test_a_tanh_brings_features_into_the_encoding_s_range(encoding: str) -> None:
    core = Quantum(encoding=encoding, wires=2, depth=2, reupload=True)
    for twin in (core, SameWrapper(of=core)):
        module = twin.map(6, 5, 4, seeds.torch_generator(0))
        x_NI = (1e4 * torch.randn(9, 6, generator=seeds.torch_generator(1))).requires_grad_()
        y_GNO = module(x_NI)
        slopes = torch.autograd.grad(y_GNO.sum(), [x_NI, *module.parameters()])
        assert torch.isfinite(y_GNO).all()
        assert all(torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("encoding", ["basis", "binary", "table"])
def test_encodings_of_integers_are_no_core(encoding: str) -> None:
    with pytest.raises(DesignError, match=f"'{encoding}' takes integers, and a core's linear map gives numbers; use angle-y"):
        Quantum(encoding=encoding).map(6, 5, 4, seeds.torch_generator(0))


@pytest.mark.parametrize(("readout", "values"), [("z", 3), ("xyz", 9), ("z:0", 1), ("probabilities", 8), (("XYZ", "000"), 2)])
def test_the_readout_is_a_field(readout: str | tuple[str, ...], values: int) -> None:
    core = Quantum(wires=3, readout=readout)
    module = core.map(6, 5, 4, seeds.torch_generator(0))
    assert module.expand.weight_GIO.shape == (4, values, 5)
    assert documents.from_mapping(Holder, documents.parse(documents.dump(Holder(core)))) == Holder(core)
    assert module(torch.randn(2, 6)).shape == (4, 2, 5)


def test_scaling_adds_weights_that_count_as_live_quantum_ones() -> None:
    core = Quantum(ansatz="qulog", wires=3, depth=2, reupload=True)
    scaled = dataclasses.replace(core, scaling=True)
    module = scaled.map(6, 5, 4, seeds.torch_generator(0))
    assert module.middle.encoding_GE.shape == (4, 2 * 3)
    assert scaled.circuit().weights == core.circuit().weights
    assert core.live() < scaled.live() <= core.circuit().weights + 6
    twin = control("no-entanglement-matched", scaled)
    assert twin.live() == scaled.live()
    assert sum(weight.numel() for weight in twin.map(6, 5, 4, seeds.torch_generator(0)).middle.parameters()) == 4 * scaled.live()


@pytest.mark.parametrize("encoding", ["angle-y", "chen"])
def test_the_matched_control_stands_beside_an_identity_block(encoding: str) -> None:
    core = Quantum(encoding=encoding, ansatz="sim14", wires=3, init="identity-block")
    matched = control("no-entanglement-matched", core)
    assert matched.map(3, 2, 4, torch.Generator().manual_seed(0)).middle.weights_GP.shape == (4, core.live())


def test_the_wrapper_of_a_frozen_core_has_no_trained_middle() -> None:
    middle = control("same-wrapper", Quantum(wires=2, frozen=True)).map(3, 2, 4, torch.Generator().manual_seed(0)).middle
    assert sum(parameter.numel() for parameter in middle.parameters() if parameter.requires_grad) == 0
