"""Whole sequences of a recurrent cell as one autograd function, for maps whose circuit is a table of functions of its angles.

    inputs of all steps ── one product ──► drive ──► the loop (loops.py in torch, fast.py compiled) ──► states of all steps

The weights' derivatives are one product over all steps and rows each, after the loop's backward pass. The step loop in recurrent.py is
the definition; this gives the same to rounding, with first derivatives only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from qlogad.errors import BackendError
from qlogad.nn import loops
from qlogad.nn.loops import Kind, Live, Slopes, States, Tables, Trace
from qlogad.nn.maps import Map, Wrapped

__all__ = ["Weights", "quickest", "run", "tabled"]

COMPILED_UP_TO = 32768  # entries of one gate's table: beyond, torch's own matrix products are quicker than compiled loops


class Loops(Protocol):
    """The loops over the steps: the module `loops`, or the compiled one."""

    def blocks(self, rows: int) -> tuple[int, int]: ...

    def forward(self, kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[States, list[Trace]]: ...

    def backward(
        self,
        kind: Kind,
        maps: Sequence[Tables],
        traces: Sequence[Trace],
        states: States,
        live: Live,
        hidden: Tensor,
        cell: Tensor,
    ) -> list[Slopes]: ...


class Weights(NamedTuple):
    """The weights of one map, as the autograd function takes them."""

    reduce: Tensor  # (R, I + H, A)
    reduce_bias: Tensor  # (R, 1, A)
    table: Tensor  # (G, F, J)
    signs: Tensor | None  # (J, K)
    expand: Tensor  # (E, K, H)
    expand_bias: Tensor  # (E, 1, H)


def tabled(module: Map, rows: int) -> Weights | None:
    """The weights of a map, if its circuit is a table; the angles' scales and shifts go into the first linear map.

    Args:
        module: the map.
        rows: how many rows the circuit will run in all, since circuits are counted.
    """
    form = module.form(rows) if isinstance(module, Wrapped) else None
    if form is None or not isinstance(module, Wrapped):
        return None
    reduce, bias = cast(Tensor, module.reduce.weight_GIO), cast(Tensor, module.reduce.bias_G1O)
    index, scale, shift = ([getattr(angle, name) for angle in form.angles] for name in ("index", "scale", "shift"))
    if index != list(range(reduce.shape[2])):
        reduce, bias = reduce[..., index], bias[..., index]
    if any(one != 1 for one in scale) or any(shift):
        scale_A = reduce.new_tensor(scale)
        reduce, bias = reduce * scale_A, bias * scale_A + bias.new_tensor(shift)
    return Weights(reduce, bias, form.table, form.signs_DK, module.expand.weight_GIO, module.expand.bias_G1O)


def run(
    kind: Kind, maps: Sequence[Weights], x_NTI: Tensor, live: Live, through: Loops | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All hidden states (N, T, H), the last one (N, H), and an LSTM's last cell (N, H), from the zero state.

    Args:
        kind: of the cell.
        maps: of an LSTM one of four gates; of a GRU one of two and one of one, the candidate's.
        x_NTI: the inputs.
        live: how many rows, the first ones, still run at each step; the others keep their state. None: all of them.
        through: the loops; else the quickest there are.

    Raises:
        BackendError: inputs or weights are not finite; and, in the backward pass, where second derivatives are asked for.
    """
    tensors = [tensor for one in maps for tensor in one]
    return cast(tuple[Tensor, Tensor, Tensor], _Sequence.apply(kind, live, through or quickest(maps, x_NTI), x_NTI, *tensors))


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kind: Kind, live: Live, chosen: Loops, x_NTI: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        maps = _grouped(Weights, tensors)
        x_IM = _rows_last(x_NTI, *chosen.blocks(len(x_NTI)))
        tables = [_tables(one, _drive(one, x_IM)) for one in maps]
        states, traces = chosen.forward(kind, tables, live)
        ctx.kind, ctx.live, ctx.chosen, ctx.rows = kind, live, chosen, len(x_NTI)
        drives = [one.drive for one in tables]
        ctx.save_for_backward(x_IM, *states, *tensors, *drives, *(tensor for trace in traces for tensor in trace))
        ctx.set_materialize_grads(False)
        h_NTH, cell_NTH = (_rows_first(kept, len(x_NTI)) for kept in (states.hidden, states.cell))
        return h_NTH, h_NTH[:, -1].clone(), cell_NTH[:, -1].clone()

    @staticmethod
    def backward(ctx: Any, every_NTH: Tensor | None, last_NH: Tensor | None, cell_NH: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():
            raise BackendError("a whole-sequence kernel has first derivatives only; take second ones through step_loop")
        x_IM, *saved = ctx.saved_tensors
        states, count = States(*saved[:4]), 2 if ctx.kind == "gru" else 1
        tensors, drives, kept = saved[4 : 4 + 6 * count], saved[4 + 6 * count : 4 + 7 * count], saved[4 + 7 * count :]
        maps, traces = _grouped(Weights, tensors), _grouped(Trace, kept)
        rows = ctx.rows
        hidden_HM = torch.zeros_like(states.hidden) if every_NTH is None else _rows_last(every_NTH, *states.hidden.shape[2:])
        if last_NH is not None:
            hidden_HM[:, -1].flatten(1)[:, :rows] += last_NH.T
        cell_HM = torch.zeros_like(states.cell[:, -1])
        if cell_NH is not None:
            cell_HM.flatten(1)[:, :rows] = cell_NH.T
        tables = [_tables(one, drive) for one, drive in zip(maps, drives, strict=True)]
        slopes = ctx.chosen.backward(ctx.kind, tables, traces, states, ctx.live, hidden_HM, cell_HM)
        found: list[Tensor | None] = []
        dx_IM = torch.zeros_like(x_IM)
        for place, (one, trace, slope) in enumerate(zip(maps, traces, slopes, strict=True)):
            seen = (states.cell, 0) if place else (states.hidden, 1)  # what the map saw of the state, and how many steps before
            found += _weight_slopes(one, trace, slope, x_IM, *seen)
            dx_IM += _mixed(one.reduce[:, : len(x_IM)], slope.angles).view_as(x_IM)
        return None, None, None, _rows_first(dx_IM, rows), *found


def _weight_slopes(one: Weights, trace: Trace, slope: Slopes, x_IM: Tensor, state_HM: Tensor, late: int) -> Weights:
    """The derivatives in one map's weights, each a product over all steps and rows."""
    angles_RAM, values_GJM, gates_GHM = (tensor.flatten(2) for tensor in slope)
    features_RFM, means_GKM = trace.features.flatten(2), trace.means.flatten(2)
    skip = late * state_HM[0, 0].numel()
    size = state_HM[0].numel()
    parts = [(x_IM.flatten(1), angles_RAM), (state_HM.flatten(1)[:, : size - skip], angles_RAM[..., skip:])]
    reduce = torch.cat([_outer(seen[None], angles) for seen, angles in parts], dim=1)
    bias_EH = gates_GHM.sum(2)[:, None]
    expand = _outer(means_GKM, gates_GHM)
    if len(one.expand) == 1:
        expand, bias_EH = expand.sum(0, keepdim=True), bias_EH.sum(0, keepdim=True)
    return Weights(reduce, angles_RAM.sum(2)[:, None], _outer(features_RFM, values_GJM), None, expand, bias_EH)


def _outer(one_RAM: Tensor, other_GBM: Tensor) -> Tensor:
    """(G, A, B): the sum over the last axis, `one` for each g where there is one of each."""
    if len(one_RAM) == len(other_GBM):
        return torch.bmm(one_RAM, other_GBM.mT)
    groups, size = other_GBM.shape[:2]
    return (one_RAM[0] @ other_GBM.flatten(0, 1).T).view(-1, groups, size).transpose(0, 1)


def _mixed(weight_RIA: Tensor, angles: Tensor) -> Tensor:
    """(I, M): the sum over R and A."""
    return weight_RIA.transpose(0, 1).flatten(1) @ angles.flatten(2).flatten(0, 1)


def _drive(one: Weights, x_IM: Tensor) -> Tensor:
    """(R, A, T, B, n): what the inputs and the bias add to the angles of every step."""
    weight_FI = one.reduce[:, : len(x_IM)].transpose(1, 2).flatten(0, 1)
    drive_FM = torch.addmm(one.reduce_bias.flatten()[:, None], weight_FI, x_IM.flatten(1))
    if not torch.isfinite(drive_FM).all():
        raise BackendError("inputs are not all finite; scale them before the circuit, or look for NaN in the features")
    return drive_FM.view(len(one.reduce), one.reduce.shape[2], *x_IM.shape[1:])


def _tables(one: Weights, drive: Tensor) -> Tables:
    units = one.expand.shape[2]
    return Tables(drive, one.reduce[:, -units:], one.table, one.signs, one.expand, one.expand_bias[:, 0])


def _rows_last(x_NTI: Tensor, blocks: int, size: int) -> Tensor:
    """(I, T, B, n), zeros in rows that there are not."""
    rows, steps, width = x_NTI.shape
    if rows == blocks * size:
        return x_NTI.permute(2, 1, 0).contiguous().view(width, steps, blocks, size)
    found = x_NTI.new_zeros(width, steps, blocks, size)
    found.flatten(2)[..., :rows] = x_NTI.permute(2, 1, 0)
    return found


def _rows_first(y_HM: Tensor, rows: int) -> Tensor:
    return y_HM.flatten(2)[..., :rows].permute(2, 1, 0)


def _grouped(kind: type[Any], tensors: Sequence[Tensor | None]) -> list[Any]:
    size = len(kind._fields)
    return [kind(*tensors[place : place + size]) for place in range(0, len(tensors), size)]


def quickest(maps: Sequence[Weights], like: Tensor) -> Loops:
    """Compiled loops where there is numba, a processor, and tables small enough."""
    small = all(one.table[0].numel() <= COMPILED_UP_TO for one in maps)
    return _fast() if small and like.device.type == "cpu" and find_spec("numba") is not None else loops


@cache
def _fast() -> Loops:
    from qlogad.nn import fast

    return fast
