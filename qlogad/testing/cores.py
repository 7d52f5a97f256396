"""Laws of every core: its maps have the shape asked for, are drawn from their generator, and every weight is trained and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor

from qlogad import documents, seeds
from qlogad.circuit.readout import bases
from qlogad.detect.sequences.deeplog import Network
from qlogad.errors import BackendError, DesignError, InputError
from qlogad.names import name_of
from qlogad.nn.core.core import Core, Encoded
from qlogad.nn.layer import GateCircuits
from qlogad.nn.maps import Map
from qlogad.testing.detectors import generators
from qlogad.testing.laws import Laws, Tell, assert_refused, refusal

__all__ = ["check_core"]

LAWS = Laws["Subject"]()
IN, OUT, GATES, ROWS = 6, 5, 4, 8
SHAPES: Sequence[tuple[int, ...]] = ((), (1,), (7,), (2, 3), (0,), (2, 0))  # leading axes
STEP = 1e-5  # of difference quotients, in float64


def check_core(core: Core | type[Core], *, tell: Tell | None = None, **settings: Any) -> None:
    """Check a core against its contract.

    Laws are chosen by what it declares: circuits, a backend, a size that depends on the network (`resolve`), linear maps, an encoding that
    takes features directly, code of others. Values are compared only where the backend is exact.

    Args:
        core: a core, or its class.
        tell: called with the outcome of each law; None: the first broken law raises an error.
        settings: its fields; small ones, since a map is run some thirty times.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.
        InputError: the settings do not fit.

    >>> from qlogad.nn.core import Classical
    >>> check_core(Classical, hidden=4)
    """
    if isinstance(core, type):
        made = documents.from_mapping(core, settings, f"the fields of {core.__name__} (--set KEY=VALUE)")
    else:
        made = cast(Core, replace(cast(Any, core), **settings))
    LAWS.hold(Subject(made), tell)


@dataclass(frozen=True)
class Holder:
    """A document with a core of any kind."""

    core: Core


class Subject:
    """A core, and the map that most laws share."""

    def __init__(self, core: Core) -> None:
        self.core, self.cls = core, type(core)

    @cached_property
    def resolved(self) -> Core:
        """The core that makes maps."""
        return self.core.resolve(count)

    def map(self, core: Core | None = None, seed: int = 0) -> Map:
        made: Map = (core or self.resolved).map(IN, OUT, GATES, seeds.torch_generator(seed, "check_core"))
        return made.eval()

    @cached_property
    def made(self) -> Map:
        return self.map()

    @property
    def layers(self) -> list[GateCircuits]:
        return layers_of(self.made)

    @property
    def exact(self) -> bool:
        """Whether equal inputs give equal numbers: no shots are drawn."""
        return not any(layer.backend.abilities.shots for layer in self.layers)

    @property
    def encoded(self) -> Encoded:
        assert isinstance(self.core, Encoded)
        return self.core

    @cached_property
    def document(self) -> documents.Document:
        return documents.parse(documents.dump(self.core))


def inputs(*lead: int, name: str = "inputs", width: int = IN) -> Tensor:
    return torch.randn(*lead, width, generator=seeds.torch_generator(0, "check_core", name))


def layers_of(module: torch.nn.Module) -> list[GateCircuits]:
    return [one for one in module.modules() if isinstance(one, GateCircuits)]


def count(core: Core) -> int:
    """The weights of a small network with this core."""
    return Network(7, IN, core, seed=0).total


def trained(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad and weight.numel()}


# ---------------------------------------------------------------- of the core


@LAWS.law()
def it_builds(it: Subject) -> None:
    it.core.check()
    assert isinstance(it.made, Map), f"a core makes a qlogad.nn.maps.Map, got {type(it.made).__name__}"
    hidden: object = it.resolved.hidden
    assert isinstance(hidden, int), f"hidden is an integer, got {hidden!r}"
    assert hidden >= 1, f"hidden is 1 or more, got {hidden}"
    code = it.core.code()
    assert isinstance(code, tuple), "code is a tuple of dotted names"
    assert all(part.isidentifier() for name in code for part in name.split(".")), f"a module has a dotted name, got {code}"


@LAWS.law(when=lambda it: name_of("core", it.cls) is not None)
def its_kind_is_the_name_of_its_file(it: Subject) -> None:
    assert it.core.kind == name_of("core", it.cls), f"kind = '{it.core.kind}' in the file of '{name_of('core', it.cls)}'"
    assert Core.of_kind(it.core.kind) is it.cls, "its kind leads to its class"


@LAWS.law(when=lambda it: not it.core.code())  # a document can only name other people's code
def it_survives_a_document(it: Subject) -> None:
    again = documents.from_mapping(it.cls, it.document)
    assert again == it.core, f"it comes back changed: {again}"
    assert hash(again) == hash(it.core), "equal cores have equal hashes"
    if name_of("core", it.cls) is not None:
        text = documents.dump(Holder(it.core))
        assert documents.from_mapping(Holder, documents.parse(text)) == Holder(it.core), "a table finds its core by its kind"


@LAWS.law()
def what_does_not_fit_is_refused(it: Subject) -> None:
    wrong: dict[str, object] = {"no such key": 1}
    if "hidden" in {field.name for field in fields(cast(Any, it.core))}:
        wrong["hidden"] = 0
    for key, value in wrong.items():
        table = it.document | {key: value}
        assert_refused(partial(documents.from_mapping, it.cls, table), InputError, f"{key} = {value!r}")


@LAWS.law()
def resolving_twice_changes_nothing(it: Subject) -> None:
    assert it.resolved.resolve(count) == it.resolved, "`resolve` of a resolved core is the core itself"
    if it.resolved is not it.core:
        assert_refused(partial(it.map, it.core), InputError, "a map before its size is known")


# ---------------------------------------------------------------- of its maps


@LAWS.law()
def a_map_has_the_shape_asked_for(it: Subject) -> None:
    """(..., in) -> (gates, ..., out), with any leading axes, zero rows among them."""
    for lead in SHAPES:
        found = it.made(inputs(*lead)).shape
        assert found == (GATES, *lead, OUT), f"({(*lead, IN)}) -> {(GATES, *lead, OUT)} is expected, got {tuple(found)}"
    for sizes in ((3, 7, 1), (1, 1, 3)):
        narrow = it.resolved.map(*sizes, seeds.torch_generator(0, "check_core"))
        found = narrow(inputs(2, width=sizes[0])).shape
        assert found == (sizes[2], 2, sizes[1]), f"map{sizes} of two rows gives {(sizes[2], 2, sizes[1])}, got {tuple(found)}"


@LAWS.law(when=lambda it: it.exact)
def rows_are_mapped_alone(it: Subject) -> None:
    x_ND = inputs(ROWS)
    y_GNO = it.made(x_ND)
    alone = torch.stack([it.made(x_D) for x_D in x_ND], dim=1)
    _close(alone, y_GNO, "a row depends on the others")
    _close(it.made(x_ND.flip(0)).flip(1), y_GNO, "the order of rows matters")
    _close(it.made(x_ND.reshape(2, -1, IN)).reshape(GATES, ROWS, OUT), y_GNO, "leading axes matter")


@LAWS.law(when=lambda it: it.exact)
def no_state_is_kept_between_calls(it: Subject) -> None:
    first = it.made(inputs(ROWS))
    it.made(2 * inputs(ROWS))
    assert torch.equal(it.made(inputs(ROWS)), first), "equal inputs give other outputs after another call"


@LAWS.law()
def equal_seeds_give_equal_maps(it: Subject) -> None:
    assert it.made  # what the first map imports may draw numbers of its own
    before = generators()
    one, two, other = it.map(), it.map(), it.map(seed=1)
    assert generators() == before, "weights are drawn from the generator that is given, not from torch's own"
    states = [module.state_dict() for module in (one, two, other)]
    assert states[0].keys() == states[1].keys() == states[2].keys(), "equal sizes, equal names of weights"
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), "equal seeds, equal weights"
    if it.exact:
        assert torch.equal(one(inputs(ROWS)), two(inputs(ROWS))), "equal seeds, equal outputs"
    assert not states[0] or any(not torch.equal(states[0][name], states[2][name]) for name in states[0]), (
        "other seeds, other weights"
    )


@LAWS.law(when=lambda it: it.exact)
def all_it_has_learnt_is_in_its_state(it: Subject) -> None:
    named = dict(it.made.named_parameters())
    assert named.keys() <= it.made.state_dict().keys(), "every weight is saved"
    assert all(weight.dtype == torch.float32 for weight in named.values()), "weights are made in float32"
    other = it.map(seed=1)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.3)
    other.load_state_dict(it.made.state_dict())
    assert torch.equal(other(inputs(ROWS)), it.made(inputs(ROWS))), "a map with the state of another gives other outputs"


@LAWS.law(when=lambda it: it.exact)
def gradients_are_true(it: Subject) -> None:
    """Of inputs and weights, against difference quotients in float64."""
    module = it.map().double()
    x_ND = inputs(ROWS).double().requires_grad_()
    weights = trained(module)
    cost = inputs(GATES, ROWS, name="cost", width=OUT).double()
    values = [x_ND, *weights.values()]
    slopes = torch.autograd.grad((cost * module(x_ND)).sum(), values, allow_unused=True)
    for name, slope in zip(("the inputs", *weights), slopes, strict=True):
        assert slope is not None, f"no gradient reaches {name}"
        assert torch.isfinite(slope).all(), f"the gradient of {name} is not finite"
        assert slope.any(), f"the gradient of {name} is zero everywhere"
    ways = [
        torch.randn(value.shape, dtype=value.dtype, generator=seeds.torch_generator(0, "check_core", "way")) for value in values
    ]

    def end(step: float) -> float:
        with torch.no_grad():
            kept = [value.clone() for value in values]
            for value, way in zip(values, ways, strict=True):
                value.add_(step * way)
            cost_of = float((cost * module(x_ND)).sum())
            for value, before in zip(values, kept, strict=True):
                value.copy_(before)
        return cost_of

    found = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True) if slope is not None)
    expected = (end(STEP) - end(-STEP)) / (2 * STEP)
    assert abs(found - expected) <= 1e-4 * (1 + abs(expected)), f"the gradient is {found}, the difference quotient {expected}"


@LAWS.law(when=lambda it: it.exact)
def precision_is_that_of_its_weights(it: Subject) -> None:
    single, double = it.made(inputs(ROWS)), it.map().double()(inputs(ROWS).double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64), (
        f"float32 and float64 are expected, got {single.dtype} and {double.dtype}"
    )
    _close(single.double(), double, "float32 and float64 differ by more than rounding", 1e-3)


@LAWS.law(when=lambda it: it.cls.linear)
def linear_maps_are_linear(it: Subject) -> None:
    module = it.map().double()
    one, two = inputs(ROWS).double(), inputs(ROWS, name="others").double()
    _close(module(0.3 * one + 0.7 * two), 0.3 * module(one) + 0.7 * module(two), "it says that its maps are linear")


# ---------------------------------------------------------------- of its circuits


@LAWS.law(when=lambda it: it.core.backend is None)
def without_a_backend_it_has_no_circuits(it: Subject) -> None:
    assert it.core.circuits() == (), "circuits run on a backend, and it names none"
    assert it.core.live() == 0, "only circuits have live weights"
    assert it.core.with_backend("exact") == it.core, "there is no backend to change"


@LAWS.law(when=lambda it: it.core.backend is not None)
def its_circuits_are_those_of_its_maps(it: Subject) -> None:
    circuits = it.resolved.circuits()
    assert {layer.circuit for layer in it.layers} == set(circuits), "`circuits` are other ones than those of its maps"
    assert len(set(circuits)) == len(circuits), "a circuit is named once"
    for layer in it.layers:
        assert layer.gates == GATES, f"each of {GATES} gates has a circuit, got {layer.gates}"
    weights = sum(weight.numel() for layer in it.layers for weight in layer.parameters())
    live = GATES * it.resolved.live()
    assert 0 <= live <= weights, f"{live} live weights of {weights}"
    assert (live > 0) == (weights > 0), f"{live} live weights of {weights}"


@LAWS.law(when=lambda it: it.core.backend is not None)
def runs_of_its_circuits_are_counted(it: Subject) -> None:
    module = it.map()
    module(inputs(ROWS))
    for layer in layers_of(module):
        wanted = GATES * ROWS * len(bases(layer.circuit.readout))
        assert layer.executions == wanted, f"{GATES} gates ran {ROWS} rows, {wanted} executions, and {layer.executions} are counted"


@LAWS.law(when=lambda it: it.core.backend is not None)
def another_backend_gives_the_same_map(it: Subject) -> None:
    spec = "exact" if str(it.core.backend).startswith("pennylane") else "pennylane"
    moved = it.core.with_backend(spec)
    assert moved.backend == spec, f"with_backend('{spec}') has the backend {moved.backend}"
    assert moved.circuits() == it.core.circuits(), "another backend, other circuits"
    assert moved.with_backend(str(it.core.backend)) == it.core, "with_backend changes more than the backend"
    if refusal(lambda: it.map(moved)(inputs(3)), BackendError) is not None:
        return  # not every backend runs every circuit
    module = it.map(moved)
    assert {layer.backend.name for layer in layers_of(module)} == {spec}, "the maps run elsewhere than `backend` says"
    if it.exact:
        _close(module(inputs(3)), it.made(inputs(3)), f"{it.core.backend} and {spec} differ")


# ---------------------------------------------------------------- of features that go in directly


@LAWS.law(when=lambda it: isinstance(it.core, Encoded) and not it.encoded.encoding_on()[0].design.takes.integer)
def features_go_in_directly(it: Subject) -> None:
    encoding, wires = it.encoded.encoding_on()
    width = encoding.features(wires)
    limits = encoding.limits(wires) or (-1.0, 1.0)
    middle, reach = (limits[1] + limits[0]) / 2, 0.99 * (limits[1] - limits[0]) / 2
    generator = seeds.torch_generator(0, "check_core")
    said = refusal(lambda: it.encoded.direct(width, OUT, GATES, generator), DesignError)
    if said is None:
        module = it.encoded.direct(width, OUT, GATES, generator)
        for lead in SHAPES:
            found = module(middle + reach * torch.tanh(inputs(*lead, width=width))).shape
            assert found == (GATES, *lead, OUT), f"{(*lead, width)} -> {(GATES, *lead, OUT)} is expected, got {tuple(found)}"
    assert_refused(lambda: it.encoded.direct(10_000, OUT, GATES, generator), DesignError, f"10,000 features on {wires} wires")
    rows = inputs(ROWS, width=width).double().numpy()
    assert isinstance(it.encoded.aliases(rows), str), "what cannot be told apart is said as text"


def _close(one: Tensor, two: Tensor, what: str, near: float = 1e-5) -> None:
    torch.testing.assert_close(one, two, rtol=near, atol=near, msg=lambda text: f"{what}: {text}")
