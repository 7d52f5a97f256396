"""Laws of every control: the core it derives differs from the quantum core in one respect, is no larger, and starts from the same maps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from qlogad import seeds
from qlogad.errors import InputError
from qlogad.nn.controls.control import Control
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.core.quantum import Quantum
from qlogad.nn.maps import Linear, Map
from qlogad.testing.cores import GATES, IN, OUT, check_core, count
from qlogad.testing.laws import Laws, Tell

__all__ = ["check_control"]

LAWS = Laws["Subject"]()
CORES = (
    Quantum(wires=2, hidden=4),
    Quantum(ansatz="sim14", wires=3, depth=2, hidden=4),
    Quantum(wires=2, hidden=3, reupload=True, shared=True),
)


def check_control(control: Control | type[Control], *, tell: Tell | None = None) -> None:
    """Check a control against its contract.

    It is applied to quantum cores of several sizes, to cores without circuits, and to a core without any of the usual fields. A core that
    it derives has to keep the contract of cores as well (`check_core`).

    Args:
        control: a control, or its class, which is called without arguments.
        tell: called with the outcome of each law; None: the first broken law raises an error.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> from qlogad.nn.controls.frozen import FrozenControl
    >>> check_control(FrozenControl)
    """
    LAWS.hold(Subject(control() if isinstance(control, type) else control), tell)


@dataclass(frozen=True)
class Bare(Core):
    """A core with no field but its size."""

    kind: str = "bare"
    hidden: int = 3

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        return Linear(in_features, out_features, gates, generator)


class Subject:
    """A control, and what it derives from the quantum cores that it applies to."""

    def __init__(self, control: Control) -> None:
        self.control = control

    @cached_property
    def pairs(self) -> list[tuple[Quantum, Core]]:
        """Quantum cores, each with its control; a control may refuse some cores, not all."""
        found = list(self._applied())
        assert found, "it refuses every quantum core"
        return found

    def _applied(self) -> Iterator[tuple[Quantum, Core]]:
        for core in CORES:
            try:
                made: Any = self.control.of(core)
            except InputError:
                continue
            assert isinstance(made, Core), f"of({core.kind} core) is a qlogad.nn.core.core.Core, got {type(made).__name__}"
            yield core, made


def wrapper(core: Core) -> dict[str, torch.Tensor]:
    """The weights, before any training, of the linear maps before and after a core's circuit, by name."""
    made = core.resolve(count).map(IN, OUT, GATES, seeds.torch_generator(0, "check_control"))
    return {name: weight for name, weight in made.named_parameters() if name.startswith(("reduce.", "expand."))}


@LAWS.law()
def it_says_what_it_asks(it: Subject) -> None:
    said = (inspect.getdoc(type(it.control)) or "").split("\n", 1)[0]
    assert said, "the docstring of its class is the question that it answers, such as: Does entanglement matter?"
    assert said != inspect.getdoc(Control), "it has no docstring of its own: the question that it answers"


@LAWS.law()
def it_derives_another_core(it: Subject) -> None:
    for core, made in it.pairs:
        assert made != core, f"it changes nothing in {core}"


@LAWS.law()
def equal_cores_have_equal_controls(it: Subject) -> None:
    for core, made in it.pairs:
        again = it.control.of(core)
        assert again == made, f"of one core it derives {made}, then {again}"
        assert hash(again) == hash(made), "equal cores have equal hashes"


@LAWS.law()
def what_it_does_not_apply_to_is_refused_in_a_line(it: Subject) -> None:
    for core in (Classical(hidden=3), Bare()):
        try:
            made: Any = it.control.of(core)
        except Exception as error:
            said = error if isinstance(error, InputError) else None
            found = f"{type(error).__name__}: {error}"
        else:
            assert isinstance(made, Core), f"of a {core.kind} core it derives {type(made).__name__}"
            continue
        assert said is not None, f"a {core.kind} core: expected a core or an InputError, got {found}"
        assert len(str(said).splitlines()) == 1, f"a {core.kind} core: an error is one line, got {said}"


@LAWS.law()
def its_cores_keep_the_contract_of_cores(it: Subject) -> None:
    check_core(it.pairs[0][1])


@LAWS.law()
def it_is_no_larger(it: Subject) -> None:
    """Else a better score could be due to the weights."""
    for core, made in it.pairs:
        own, others = count(made.resolve(count)), count(core)
        assert own <= others, f"a network with it has {own} weights, with the quantum core {others}"
        if made.circuits():
            assert made.live() <= core.live(), f"{made.live()} live weights; the quantum core has {core.live()}"


@LAWS.law()
def the_width_stays_unless_it_goes_by_the_weights(it: Subject) -> None:
    for core, made in it.pairs:
        if made.resolve(count) is made:
            assert made.hidden == core.hidden, f"hidden = {made.hidden}; the quantum core has {core.hidden}"


@LAWS.law()
def linear_maps_it_shares_start_alike(it: Subject) -> None:
    """Equal seeds: what a circuit is embedded in starts from the same weights."""
    for core, made in it.pairs:
        own, others = wrapper(made), wrapper(core)
        if {name: weight.shape for name, weight in own.items()} == {name: weight.shape for name, weight in others.items()}:
            for name, weight in own.items():
                assert torch.equal(weight, others[name]), f"{name} starts from other weights than that of the quantum core"
