"""Every control keeps its contract, a new one by existing; what breaks one law is told which."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, cast

import pytest
import torch

from qlogad import names
from qlogad.errors import InputError
from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.module import Module
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.nn.maps import Map
from qlogad.testing.check import check
from qlogad.testing.controls import check_control
from qlogad.testing.laws import Outcome
from tests.nn.core.bent import Bent, Curve

Derive = Callable[[Any], Any]


@pytest.mark.parametrize("name", names.known("control"))
def test_a_control_keeps_its_contract(name: str) -> None:
    cls = names.find("control", name)
    check_control(cls)
    check_control(cls())


@pytest.mark.parametrize("name", names.known("control"))
def test_it_is_shown_by_name(name: str) -> None:
    told: list[Outcome] = []
    assert check(name, {}, told.append, kind="control") == "control"
    assert told
    assert not [outcome for outcome in told if outcome.broken]


def control(of: Derive, doc: str | None = "Does it matter?") -> type[Control]:
    return type("Planted", (Control,), {"__doc__": doc, "of": lambda self, core: of(core)})


class Loud(Curve):
    """Keeps a weight that no module registers."""

    def __init__(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> None:
        super().__init__(in_features, out_features, gates, generator)
        self.scale = 1 + torch.rand((), generator=generator)

    def bend(self, y: torch.Tensor) -> torch.Tensor:
        return self.scale * y.sin()


@dataclass(frozen=True)
class LoudCore(Bent):
    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        return Loud(in_features, out_features, gates, generator)


@dataclass(frozen=True)
class Shifted(SameWrapper):
    """Draws its maps after a number that the quantum core does not draw."""

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        torch.rand((), generator=generator)
        return super().map(in_features, out_features, gates, generator)


def _of_any(core: Core) -> Core:
    return Bent(hidden=core.hidden)


def _of_quantum(core: Core) -> Core:
    return replace(cast(Quantum, core), frozen=True)  # a TypeError for a core without this field


def _said_in_two_lines(core: Core) -> Core:
    if not isinstance(core, Quantum):
        raise InputError("not a\nquantum core")
    return changed(core, frozen=True)


_numbers = count(1)

PLANTED: dict[str, tuple[type[Control], str]] = {
    "no question": (control(_of_any, None), "it says what it asks"),
    "the core itself": (control(lambda core: core), "it derives another core"),
    "no core": (control(lambda core: core.kind), "it derives another core"),
    "none at all": (control(lambda core: changed(core, nonsense=1)), "it derives another core"),
    "another each time": (
        control(lambda core: Quantum(wires=2, hidden=core.hidden, depth=next(_numbers) % 2)),
        "equal cores have equal controls",
    ),
    "a crash": (control(_of_quantum), "what it does not apply to is refused in a line"),
    "two lines": (control(_said_in_two_lines), "what it does not apply to is refused in a line"),
    "a core that breaks its contract": (control(lambda core: LoudCore(hidden=core.hidden)), "its cores keep the contract of cores"),
    "more weights": (
        control(lambda core: changed(core, reupload=False, depth=9, ansatz="strongly-entangling", wires=4)),
        "it is no larger",
    ),
    "narrower": (
        control(lambda core: Classical(hidden=core.hidden - 1)),
        "the width stays unless it goes by the weights",
    ),
    "another start": (
        control(lambda core: Shifted(of=core) if isinstance(core, Quantum) else Classical(hidden=core.hidden)),
        "linear maps it shares start alike",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_broken_law_is_named(fault: str) -> None:
    cls, law = PLANTED[fault]
    told: list[Outcome] = []
    check_control(cls, tell=told.append)
    assert law in {outcome.law for outcome in told if outcome.broken}
    with pytest.raises(AssertionError):
        check_control(cls)


def test_no_law_is_without_force() -> None:
    told: list[Outcome] = []
    check_control(names.find("control", "frozen"), tell=told.append)
    assert {outcome.law for outcome in told} == {law for _, law in PLANTED.values()}


def test_a_control_of_the_same_size_may_be_any_core() -> None:
    """As long as it is no larger: a factory of the user's own, say."""
    small = control(lambda core: Module(factory="torch.nn:Linear", inputs=1, readouts=1, hidden=core.hidden, shared=True))
    told: list[Outcome] = []
    check_control(small, tell=told.append)
    assert not [outcome for outcome in told if outcome.broken]
