"""Every core and every control keeps its contract, a new one by existing."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from qlogad import names
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.errors import DocumentError
from qlogad.nn.controls.control import control
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.module import Module
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.nn.maps import Map
from qlogad.testing.cores import check_core
from qlogad.testing.laws import Outcome
from tests.nn.core.bent import Bent, Curve
from tests.testing.differences import differences

USUAL = ("basic-entangler", "identity", "qcnn", "qulog", "separable", "sim14", "strongly-entangling")
ENCODINGS = [name for name in names.designs("encoding") if not Design.load(name, "encoding").takes.integer]
QUANTUM = [
    *(Quantum(ansatz=name, wires=3, depth=2, hidden=4, shared=shared) for name in USUAL for shared in (False, True)),
    *(Quantum(encoding=name, wires=2, depth=2, hidden=4, reupload=reupload) for name in ENCODINGS for reupload in (False, True)),
    *(Quantum(encoding=name, wires=2, depth=2, hidden=4, reupload=True, scaling=True) for name in ("angle-y", "chen", "amplitude")),
    *(Quantum(wires=2, hidden=4, readout=readout) for readout in ("xyz", "probabilities", ("XX", "ZI", "00"))),
    Quantum(wires=2, hidden=4, init="identity-block", ansatz="sim14", backend="pennylane"),
    Quantum(wires=2, hidden=4, depth=0),
]


def mlp(inputs: int, readouts: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 3), nn.Tanh(), nn.Linear(3, readouts))


def plain(cls: type[Core]) -> list[Core]:
    """A core with its defaults; none where a field has to be given."""
    given = all(field.default is not field.default_factory for field in dataclasses.fields(cls))  # both MISSING: it has to be given
    return [cls()] if given else []


OTHERS: list[Core] = [
    Module(factory=mlp, inputs=2, readouts=3, hidden=4),
    Module(factory="torch.nn:Linear", inputs=2, readouts=3, shared=True),
    SameWrapper(of=Quantum(wires=3, depth=2, shared=True)),
    SameTotal(of=Quantum(wires=2, hidden=4, reupload=True)),
]
CONTROLS = [control(name, core) for name in names.known("control") for core in (QUANTUM[0], QUANTUM[-5], Quantum(ansatz="sim14"))]
DEFAULTS = [core for name in names.known("core") for core in plain(names.find("core", name))]
CORES = [*DEFAULTS, *OTHERS, *CONTROLS]


@pytest.mark.parametrize("core", CORES, ids=differences)
def test_a_core_keeps_its_contract(core: Core) -> None:
    check_core(core)


@pytest.mark.sample(5)
@pytest.mark.parametrize("core", QUANTUM, ids=differences)
def test_a_quantum_core_keeps_it_whatever_its_circuit(core: Core) -> None:
    check_core(core)


def test_every_kind_is_among_them() -> None:
    assert {type(core) for core in CORES} == {names.find("core", name) for name in names.known("core")}


def test_laws_go_by_what_a_core_declares() -> None:
    told: dict[str, set[str]] = {}
    for name, core in (("classical", Classical()), ("quantum", Quantum(wires=2)), ("code", Module(factory=mlp))):
        check_core(core, tell=lambda outcome, name=name: told.setdefault(name, set()).add(outcome.law))
    assert {"linear maps are linear", "without a backend it has no circuits"} <= told["classical"] - told["quantum"]
    assert {"runs of its circuits are counted", "features go in directly"} <= told["quantum"] - told["classical"]
    assert "it survives a document" not in told["code"]


def test_a_core_with_a_field_that_must_be_given_asks_for_it() -> None:
    with pytest.raises(DocumentError, match=r"the fields of SameTotal \(--set KEY=VALUE\): of: is required"):
        check_core(SameTotal)
    check_core(SameTotal, of={"kind": "quantum", "wires": 2})


def bent(name: str, bend: Callable[[Any, torch.Tensor], torch.Tensor], **more: Any) -> type[Core]:
    """A core whose maps end in another function."""
    curve = type(f"{name}Curve", (Curve,), {"bend": bend, "more": 0})

    def map_of(self: Core, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        made: Map = curve(in_features, out_features, gates, generator)
        return made

    return type(name, (Bent,), {"map": map_of, "__annotations__": {}, **more})


def _kept(self: Any, y: torch.Tensor) -> torch.Tensor:
    self.more += 1
    return y.sin() + self.more


class Careless(Curve):
    """Has weights that no module registers."""

    def __init__(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> None:
        super().__init__(in_features, out_features, gates, generator)
        self.scale = [1 + torch.rand((), generator=generator)]

    def bend(self, y: torch.Tensor) -> torch.Tensor:
        return self.scale[0] * y.sin()


class Idle(Curve):
    """Has a weight that nothing depends on."""

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.idle = nn.Parameter(torch.zeros(3))


class Borrowed(Curve):
    """Draws from torch's own generator."""

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.shift = nn.Parameter(torch.rand(1))

    def bend(self, y: torch.Tensor) -> torch.Tensor:
        return (y + self.shift).sin()


def making(curve: type[Map]) -> type[Core]:
    def map_of(self: Core, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        made: Map = curve(in_features, out_features, gates, generator)  # type: ignore[call-arg]
        return made

    return type(f"Making{curve.__name__}", (Bent,), {"map": map_of, "__annotations__": {}})


@dataclasses.dataclass(frozen=True)
class Halved(Bent):
    """Breaks the contract: a field is not what was given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", (self.hidden + 1) // 2)


@dataclasses.dataclass(frozen=True)
class Unbounded(Bent):
    """Breaks the contract: no hidden units are as good as any."""

    hidden: int = 4


@dataclasses.dataclass(frozen=True)
class Restless(Bent):
    """Breaks the contract: it grows whenever it is resolved."""

    def resolve(self, count: Callable[[Core], int]) -> Core:
        return dataclasses.replace(self, hidden=self.hidden + 1)


@dataclasses.dataclass(frozen=True)
class Claims(Bent):
    """Breaks the contract: it has circuits, and no backend."""

    def circuits(self) -> tuple[Any, ...]:
        return (assemble("angle-y", "sim14", 2, 1),)


@dataclasses.dataclass(frozen=True)
class Unready(Bent):
    """Breaks the contract: its check fails."""

    def check(self) -> None:
        raise DocumentError("it is not ready")


@dataclasses.dataclass(frozen=True)
class Other(Quantum):
    """Breaks the contract: it tells of other circuits than its maps have."""

    def circuits(self) -> tuple[Any, ...]:
        return (assemble("angle-y", "sim14", self.wires, 3),)


@dataclasses.dataclass(frozen=True)
class Lively(Quantum):
    """Breaks the contract: more weights are live than there are."""

    def live(self, values: int | None = None) -> int:
        return 1_000


@dataclasses.dataclass(frozen=True)
class Stuck(Quantum):
    """Breaks the contract: it stays on its backend."""

    def with_backend(self, backend: str) -> Any:
        return self


@dataclasses.dataclass(frozen=True)
class Elsewhere(Quantum):
    """Breaks the contract: its maps run on one backend, whatever it says."""

    def map(self, *given: Any) -> Any:
        return Quantum(wires=self.wires).map(*given)


@dataclasses.dataclass(frozen=True)
class Uncounted(Quantum):
    """Breaks the contract: nobody counts its circuits' runs."""

    def map(self, *given: Any) -> Any:
        made = super().map(*given)
        made.middle.count = lambda rows: None
        return made


@dataclasses.dataclass(frozen=True)
class Endless(Quantum):
    """Breaks the contract: features that no wire holds go in all the same."""

    def direct(self, in_features: int, *given: Any, **more: Any) -> Any:
        return super().direct(min(in_features, self.wires), *given, **more)


BROKEN: list[tuple[type[Core], str]] = [
    (Unready, "it builds"),
    (Halved, "it survives a document: it comes back changed"),
    (Unbounded, "what does not fit is refused: hidden = 0"),
    (Restless, "resolving twice changes nothing"),
    (bent("Wide", lambda self, y: torch.cat([y, y], dim=-1)), "a map has the shape asked for"),
    (bent("Flat", lambda self, y: y if y.dim() == 2 else y.flatten(1, -2)), "a map has the shape asked for"),
    (
        bent("Centred", lambda self, y: y.sin() - y.sin().mean(dim=1, keepdim=True) if y.shape[1] != 1 else y),
        "rows are mapped alone",
    ),
    (bent("Keeps", _kept), "rows are mapped alone|no state is kept between calls"),
    (bent("Detached", lambda self, y: y.detach().sin() + 0 * y), "gradients are true: the gradient of the inputs is zero"),
    (bent("Doubled", lambda self, y: 2 * y.sin() - y.sin().detach()), "gradients are true: the gradient is"),
    (bent("Rooted", lambda self, y: (y - y.detach()).abs().sqrt() + y), "gradients are true: .* not finite"),
    (bent("Single", lambda self, y: y.float().sin()), "gradients are true|precision is that of its weights"),
    (bent("Straight", lambda self, y: y.sin(), linear=True), "linear maps are linear"),
    (making(Careless), "all it has learnt is in its state"),
    (making(Idle), "gradients are true: no gradient reaches idle"),
    (making(Borrowed), "equal seeds give equal maps"),
    (Claims, "without a backend it has no circuits"),
    (Other, "its circuits are those of its maps: `circuits`"),
    (Lively, "its circuits are those of its maps: .* live"),
    (Stuck, "another backend gives the same map: with_backend"),
    (Elsewhere, "another backend gives the same map: the maps run elsewhere"),
    (Uncounted, "runs of its circuits are counted"),
    (Endless, "features go in directly: 10,000 features"),
]


def test_a_sound_core_of_anybody_s_keeps_it() -> None:
    check_core(Bent)


@pytest.mark.parametrize(("cls", "law"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_core_that_breaks_its_contract_is_found_out(cls: type[Core], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_core(cls)


def test_a_core_called_otherwise_than_its_file_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlogad.testing.cores.name_of", lambda kind, cls: "straight")
    with pytest.raises(AssertionError, match="its kind is the name of its file: kind = 'bent' in the file of 'straight'"):
        check_core(Bent)


def test_all_laws_are_asked_where_one_is_broken() -> None:
    outcomes: list[Outcome] = []
    check_core(Halved, tell=outcomes.append)
    assert [outcome.law for outcome in outcomes if outcome.broken is not None] == ["it survives a document"]
    assert len(outcomes) > 5
