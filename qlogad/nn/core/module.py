"""A custom core: a torch module per gate between two linear maps, x ── linear ──► a ── module ──► b ── linear ──► out.

    def mlp(inputs: int, readouts: int) -> nn.Module: ...

    Module(factory=mlp)                                       in Python
    core = { kind = "module", factory = "package:mlp" }       in an experiment, for an installed package

An experiment file may name code of an installed package. Loading a saved detector or a record never imports code that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, ValidationInfo
from torch import Tensor, nn

from qlogad import documents
from qlogad.backend.abilities import CALLS
from qlogad.bounds import Between
from qlogad.errors import DesignError, shown
from qlogad.installed import check_factory, check_installed, imported
from qlogad.nn.core.core import Core
from qlogad.nn.layer import Prepared
from qlogad.nn.maps import Wrapped

__all__ = ["Module"]

Factory = Callable[[int, int], nn.Module]
Size = Annotated[int, Between(1, 8_192)]


def _unsaved(given: object, info: ValidationInfo) -> object:
    if info.mode == "json":  # read from a saved file
        raise ValueError(
            f"its module was made by {shown(given, 80)}, and code named in a saved file is never imported; import it yourself and pass it: "
            "load(folder, core=Module(factory=...))"
        )
    return given


@dataclass(frozen=True)
class Module(Core, documents.Written):
    """A custom torch module per gate, in place of a quantum core's circuit.

    `factory(inputs, readouts)` returns a module (N, inputs) -> (N, readouts) of unbounded features. It is called once per gate, with
    torch's global generator seeded from the network's. The module must treat rows independently, in training and scoring alike.

    >>> import torch
    >>> core = Module(factory=lambda inputs, readouts: torch.nn.Sequential(torch.nn.Linear(inputs, readouts), torch.nn.Tanh()))
    >>> core.map(6, 5, 4, torch.Generator().manual_seed(0))(torch.zeros(3, 6)).shape
    torch.Size([4, 3, 5])
    """

    factory: Annotated[str | Factory, BeforeValidator(_unsaved)]  # a function, or "package:function" of an installed package
    kind: Literal["module"] = "module"  # the name of this kind of core
    inputs: Size = 4  # input features of the module
    readouts: Size = 4  # output features of the module
    hidden: Size = 32  # H, hidden units of the cell
    shared: bool = False  # all gates share the linear maps in and out

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)
        check_factory(self.factory, "(inputs, readouts) -> torch module", DesignError)

    def table(self) -> dict[str, Any]:
        """Its fields, with a function replaced by its name."""
        table = {field.name: getattr(self, field.name) for field in fields(self)}
        return table | {
            "factory": self.factory if isinstance(self.factory, str) else f"{_place(self.factory)}:{_called(self.factory)}"
        }

    def code(self) -> tuple[str, ...]:
        place = _place(self.factory)
        return () if place.partition(".")[0] == torch.__name__ else (place,)  # torch is identified by its version, as everywhere

    def check(self) -> None:
        if isinstance(self.factory, str):
            check_installed(self.factory, DesignError)

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Wrapped:
        make = imported(self.factory, DesignError) if isinstance(self.factory, str) else self.factory

        def middle() -> _SideBySide:
            return _SideBySide(make, self.inputs, self.readouts, gates, generator)

        return Wrapped(
            in_features,
            out_features,
            gates,
            inputs=self.inputs,
            readouts=self.readouts,
            middle=middle,
            shared=self.shared,
            generator=generator,
        )


class _SideBySide(nn.Module):
    """G modules of one factory: (1|G, N, inputs) -> (G, N, readouts)."""

    def __init__(self, make: Factory, inputs: int, readouts: int, gates: int, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            self.modules_G = nn.ModuleList(_made(make, inputs, readouts) for _ in range(gates))

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        return self.forward

    def form(self, rows: int, *, calls: int) -> None:
        """None: a module has no tables."""

    def count(self, rows: int) -> None:
        """Does nothing: a module runs no circuits."""

    def forward(self, x_GNI: Tensor) -> Tensor:
        inputs_GNI = x_GNI.expand(len(self.modules_G), -1, -1)
        return torch.stack([module(x_NI) for module, x_NI in zip(self.modules_G, inputs_GNI, strict=True)])


def _made(make: Factory, inputs: int, readouts: int) -> nn.Module:
    """A new module, checked to be a torch module of the right width."""
    made: object = make(inputs, readouts)
    if not isinstance(made, nn.Module):
        raise DesignError(f"factory '{_called(make)}' must return a torch module, got {shown(made, 80)}")
    training = made.training
    with torch.no_grad():
        given: object = made.eval()(torch.zeros(2, inputs))
    made.train(training)
    if not isinstance(given, Tensor) or given.shape != (2, readouts):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise DesignError(
            f"factory '{_called(make)}' must return a module (N, {inputs}) -> (N, {readouts}), but two rows gave {shape}; "
            "set inputs and readouts"
        )
    return made


def _place(factory: str | Factory) -> str:
    """The dotted name of the module that defines a factory."""
    if isinstance(factory, str):
        return factory.partition(":")[0]
    return str(getattr(factory, "__module__", None) or type(factory).__module__)


def _called(make: Factory) -> str:
    return str(getattr(make, "__qualname__", type(make).__qualname__))
