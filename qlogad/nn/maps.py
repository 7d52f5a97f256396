"""The maps that a core makes: a linear map per gate, or a narrow middle (a circuit, or its replacement) between two linear maps.

A map takes (..., in) to (gates, ..., out); `prepare` does the work that depends on the weights only, once for all time steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from qlogad.backend.abilities import CALLS
from qlogad.backend.form import Form, Later
from qlogad.nn.layer import Prepared
from qlogad.nn.whole_sequence import Tabled, Weights

__all__ = ["Diagonal", "Direct", "GateLinear", "Linear", "Map", "MapFactory", "Middle", "Wrapped", "tabled"]


class Map(nn.Module, ABC):
    """A module from features to the G gates of a cell, (..., in) -> (gates, ..., out)."""

    @abstractmethod
    def prepare(self, *, calls: int = CALLS) -> Prepared:
        """Do the work that depends on the weights only; returns a function (..., in) -> (gates, ..., out) for about `calls` steps."""

    def forward(self, x: Tensor) -> Tensor:
        return self.prepare()(x)


class MapFactory(Protocol):
    """A function that makes a map of the sizes a cell needs."""

    def __call__(self, in_features: int, out_features: int, gates: int) -> Map: ...


class GateLinear(nn.Module):
    """G linear maps side by side, or one shared by all gates: (1|G, N, in) -> (G, N, out). Initialised like torch.nn.Linear."""

    def __init__(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight_GIO = nn.Parameter((2 * torch.rand(gates, in_features, out_features, generator=generator) - 1) * bound)
        self.bias_G1O = nn.Parameter((2 * torch.rand(gates, 1, out_features, generator=generator) - 1) * bound)

    def forward(self, x_GNI: Tensor) -> Tensor:
        gates = self.weight_GIO.shape[0]
        if gates == 1:
            return x_GNI @ self.weight_GIO[0] + self.bias_G1O
        return torch.baddbmm(self.bias_G1O, x_GNI.expand(gates, -1, -1), self.weight_GIO)


class Linear(Map):
    """The classical map: one linear map per gate, (..., in) -> (gates, ..., out)."""

    def __init__(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = GateLinear(in_features, out_features, gates, generator)

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        return lambda x: _batched(self.linear, x)


class Middle(Protocol):
    """The module between two linear maps: a torch module, (1|G, N, I) -> (G, N, K)."""

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        """As in `Map.prepare`, for (1|G, N, I) -> (G, N, K)."""

    def form(self, rows: int, *, calls: int) -> Form | None:
        """The module as tables for a whole-sequence kernel; None if it has none."""

    def count(self, rows: int) -> None:
        """Count `rows` rows as run."""


class Diagonal(nn.Module):
    """The replacement of a circuit in `same-wrapper`: readout k is tanh(s_k x_k + b_k), with at most `budget` weights per gate.

    Weights are assigned to the scales first (without one, s = 1), then to the shifts (without one, b = 0). If the numbers of inputs
    and readouts differ, readout k takes input k modulo the number of inputs.
    """

    def __init__(self, inputs: int, readouts: int, gates: int, budget: int, generator: torch.Generator) -> None:
        super().__init__()
        self.readouts = readouts
        self.register_buffer("source_K", torch.arange(readouts) % inputs, persistent=False)
        scales = min(budget, readouts)
        shifts = min(budget - scales, readouts)
        self.scale_GS = nn.Parameter(0.5 + torch.rand(gates, scales, generator=generator))
        self.shift_GS = nn.Parameter(torch.rand(gates, shifts, generator=generator) - 0.5)

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        scale_G1K = nn.functional.pad(self.scale_GS, (0, self.readouts - self.scale_GS.shape[1]), value=1.0)[:, None]
        shift_G1K = nn.functional.pad(self.shift_GS, (0, self.readouts - self.shift_GS.shape[1]))[:, None]
        source_K = self.get_buffer("source_K")
        if source_K.equal(torch.arange(len(source_K), device=source_K.device)):
            return lambda x_GNI: torch.tanh(torch.addcmul(shift_G1K, scale_G1K, x_GNI[..., : self.readouts]))
        return lambda x_GNI: torch.tanh(torch.addcmul(shift_G1K, scale_G1K, x_GNI[..., source_K]))

    def form(self, rows: int, *, calls: int) -> None:
        """None: it is not a circuit and has no tables."""

    def count(self, rows: int) -> None:
        """Does nothing: it runs no circuits."""

    def forward(self, x_GNI: Tensor) -> Tensor:
        return self.prepare()(x_GNI)


class Wrapped(Map):
    """A narrow middle between two linear maps, (..., in) -> (gates, ..., out): reduce to I, (1|G, N, I) -> (G, N, K), expand.

    Args:
        middle: makes the middle; called last, so that controls start from the same linear maps.
        limits: the range into which a tanh maps the reduced features, short of its ends by a thousandth, so that derivatives of
            square roots stay finite. None: no tanh.
        shared: all gates share one linear map on each side.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        gates: int,
        *,
        inputs: int,
        readouts: int,
        middle: Callable[[], Middle],
        shared: bool,
        generator: torch.Generator,
        limits: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.limits = limits
        linears = 1 if shared else gates
        self.reduce = GateLinear(in_features, inputs, linears, generator)
        self.expand = GateLinear(readouts, out_features, linears, generator)
        self.middle = middle()

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        inner = self.inner(calls)
        return lambda x: _batched(lambda x_1NI: self.expand(inner(self.reduce(x_1NI))), x)

    def inner(self, calls: int = CALLS) -> Prepared:
        """The middle, preceded by the tanh if there are limits: (1|G, N, I) -> (G, N, K)."""
        middle = self.middle.prepare(calls=calls)
        if self.limits is None:
            return middle
        center, reach = (self.limits[1] + self.limits[0]) / 2, 0.999 * (self.limits[1] - self.limits[0]) / 2
        return lambda x_GNI: middle(center + reach * torch.tanh(x_GNI))

    def form(self, rows: int, calls: int = CALLS) -> Form | None:
        """The middle as tables for a whole-sequence kernel over `rows` rows in `calls` calls; None if it has no tables."""
        return self.middle.form(rows, calls=calls) if self.limits is None else None


class Direct(Map):
    """A middle that takes the features directly, followed by a linear map: (..., in) -> (gates, ..., out).

    Args:
        inputs: number of features the middle takes; missing ones are filled with 0.
        middle: makes the middle; called last, so that controls start from the same linear map.
        shared: all gates share one linear map.
    """

    def __init__(
        self,
        out_features: int,
        gates: int,
        *,
        inputs: int,
        readouts: int,
        middle: Callable[[], Middle],
        shared: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.expand = GateLinear(readouts, out_features, 1 if shared else gates, generator)
        self.middle = middle()

    def prepare(self, *, calls: int = CALLS) -> Prepared:
        middle = self.middle.prepare(calls=calls)
        return lambda x: _batched(lambda x_1ND: self.expand(middle(nn.functional.pad(x_1ND, (0, self.inputs - x.shape[-1])))), x)


def _batched(function: Prepared, x: Tensor) -> Tensor:
    """Lift (1, N, in) -> (G, N, out) to (..., in) -> (G, ..., out)."""
    y_GNO = function(x.reshape(1, -1, x.shape[-1]))
    return y_GNO.reshape(y_GNO.shape[0], *x.shape[:-1], y_GNO.shape[-1])


def tabled(maps: Sequence[Map], rows: int, steps: int = CALLS) -> Tabled | None:
    """The weights of a cell's maps, if all of their circuits have tables; their rows are then counted as run. None otherwise.

    Args:
        maps: as `whole_sequence.run` takes them.
        rows: total number of rows that each circuit runs.
        steps: the number of steps in which they run.
    """
    found = []
    for module in maps:
        form = module.form(rows, steps) if isinstance(module, Wrapped) else None
        if form is None or not isinstance(module, Wrapped):
            return None
        found.append((module, form))
    for module, _ in found:
        module.middle.count(rows)
    return Tabled([_weights(module, form) for module, form in found], all(form.compiled for _, form in found))


def _weights(module: Wrapped, form: Form) -> Weights:
    """The weights of one map, with the angles' scales and shifts merged into its first linear map."""
    reduce, bias = cast(Tensor, module.reduce.weight_GIO), cast(Tensor, module.reduce.bias_G1O)
    index, scale, shift = ([getattr(angle, name) for angle in form.angles] for name in ("index", "scale", "shift"))
    if index != list(range(reduce.shape[2])):
        reduce, bias = reduce[..., index], bias[..., index]
    if any(one != 1 for one in scale) or any(shift):
        scale_A = reduce.new_tensor(scale)
        reduce, bias = reduce * scale_A, bias * scale_A + bias.new_tensor(shift)
    none = reduce.new_zeros(0, 0)
    later = form.later or Later(none[..., None], none, none[..., None, None])
    return Weights(reduce, bias, form.table, form.signs_DK, *later, module.expand.weight_GIO, module.expand.bias_G1O)
