"""Whole sequences of a recurrent cell as one autograd function, for maps whose circuits have tables (backend/form.py).

    inputs of all steps ── one product ──► drive ──► the loop (loops.py in torch, loops_numba.py compiled) ──► states of all steps

The derivatives of the first linear maps are one product over all steps and rows, after the loop's backward pass. The step loop in
recurrent.py is the reference implementation; this agrees with it to rounding, and has first derivatives only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from qlogad.errors import BackendError
from qlogad.jit import allowed, works
from qlogad.nn import loops
from qlogad.nn.loops import CellTrace, Kind, Live, Slopes, Tables, Trace

__all__ = ["Tabled", "Weights", "quickest", "run"]

AT_ONCE = 1 << 20  # largest number of terms computed at once before summation


class Loops(Protocol):
    """The loops over the steps: the module `loops`, `loops_numba` or `cuda_graphs`."""

    def blocks(self, rows: int) -> tuple[int, int]: ...

    def forward(self, kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]: ...

    def backward(
        self,
        kind: Kind,
        maps: Sequence[Tables],
        traces: Sequence[Trace],
        states: CellTrace,
        live: Live,
        hidden: Tensor,
        cell: Tensor,
    ) -> list[Slopes]: ...


class Weights(NamedTuple):
    """The weights of one map, as the autograd function takes them."""

    reduce: Tensor  # (R, I + H, A)
    reduce_bias: Tensor  # (R, 1, A)
    table: Tensor  # (G, F, J)
    signs: Tensor | None  # (J or M, K)
    energy: Tensor  # (L, D, A)
    fixed: Tensor  # (L, D)
    unitary: Tensor  # (L, G, M, 2 D)
    expand: Tensor  # (E, K, H)
    expand_bias: Tensor  # (E, 1, H)


class Tabled(NamedTuple):
    """The maps of a cell whose circuits all have tables."""

    maps: list[Weights]
    compiled: bool  # whether the loops over the steps may be compiled


def run(kind: Kind, tables: Tabled, x_NTI: Tensor, live: Live, through: Loops | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """All hidden states (N, T, H), the last one (N, H), and an LSTM's last cell (N, H), from the zero state.

    Args:
        kind: the kind of cell.
        tables: for an LSTM one map of four gates; for a GRU one of two gates and one for the candidate.
        x_NTI: the inputs (N, T, I).
        live: the number of leading rows that still run at each step; the others keep their state. None: all of them.
        through: the loops to use; None: the fastest available, compiled only if `tables` allows it.

    Raises:
        BackendError: inputs or weights are not finite; in the backward pass: second derivatives are requested.
    """
    tensors = [tensor for one in tables.maps for tensor in one]
    with allowed(tables.compiled):
        chosen = through or quickest(x_NTI)
    return cast(tuple[Tensor, Tensor, Tensor], _Sequence.apply(kind, live, chosen, x_NTI, *tensors))  # type: ignore[no-untyped-call]


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kind: Kind, live: Live, chosen: Loops, x_NTI: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        maps = _grouped(Weights, tensors)
        x_TBIn = _rows_last(x_NTI.detach(), *chosen.blocks(len(x_NTI)))
        tables = [_tables(one, _drive(one, x_TBIn)) for one in maps]
        states, traces = chosen.forward(kind, tables, live)
        if not torch.isfinite(states.hidden[-1].sum()):  # a non-finite value persists to the last step
            raise BackendError("inputs are not all finite; scale them before the circuit, or look for NaN in the features")
        ctx.kind, ctx.live, ctx.chosen, ctx.rows = kind, live, chosen, len(x_NTI)
        drives = [one.drive for one in tables]
        ctx.save_for_backward(x_TBIn, *states, *tensors, *drives, *(tensor for trace in traces for tensor in trace))
        ctx.set_materialize_grads(False)
        h_NTH, cell_N1H = _rows_first(states.hidden, len(x_NTI)), _rows_first(states.cell[-1:], len(x_NTI))
        return h_NTH, h_NTH[:, -1].clone(), cell_N1H[:, 0].clone()

    @staticmethod
    def backward(ctx: Any, every_NTH: Tensor | None, last_NH: Tensor | None, cell_NH: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise BackendError("a whole-sequence kernel has first derivatives only; take second ones through step_loop")
        x_TBIn, *saved = ctx.saved_tensors
        states, count = CellTrace(*saved[:4]), 2 if ctx.kind == "gru" else 1
        drive = 4 + len(Weights._fields) * count
        tensors, drives, kept = saved[4:drive], saved[drive : drive + count], saved[drive + count :]
        maps, traces = _grouped(Weights, tensors), _grouped(Trace, kept)
        blocks, _, size = states.hidden.shape[1:]
        hidden = torch.zeros_like(states.hidden) if every_NTH is None else _rows_last(every_NTH, blocks, size)
        if last_NH is not None:
            hidden = hidden.clone()  # do not modify the caller's gradient in place
            hidden[-1] += _rows_last(last_NH[:, None], blocks, size)[0]
        cell = torch.zeros_like(hidden[0]) if cell_NH is None else _rows_last(cell_NH[:, None], blocks, size)[0]
        tables = [_tables(one, drive) for one, drive in zip(maps, drives, strict=True)]
        slopes = ctx.chosen.backward(ctx.kind, tables, traces, states, ctx.live, hidden, cell)
        found: list[Tensor | None] = []
        dx = torch.zeros_like(x_TBIn) if ctx.needs_input_grad[3] else None
        for place, (one, slope) in enumerate(zip(maps, slopes, strict=True)):
            late = 1 - place  # an LSTM's map and a GRU's first map see the state after the previous step
            found += _weight_slopes(one, slope, x_TBIn, states.cell if place else states.hidden[:-1], late)
            if dx is not None:
                dx += torch.matmul(one.reduce[:, : dx.shape[2]].transpose(0, 1).flatten(1), slope.angles.flatten(2, 3))
        return None, None, None, None if dx is None else _rows_first(dx, ctx.rows), *found


def _weight_slopes(one: Weights, slope: Slopes, x_TBIn: Tensor, seen: Tensor, late: int) -> Sequence[Tensor | None]:
    """The derivatives in one map's weights; those in its first linear map are one product over all steps and rows."""
    reduce = torch.cat([_outer(x_TBIn, slope.angles), _outer(seen, slope.angles[late:])], dim=1)
    table, expand, bias, unitary = (part.sum(0) for part in slope[1:])
    if len(one.expand) == 1:
        expand, bias = expand.sum(0, keepdim=True), bias.sum(0, keepdim=True)
    return [reduce, slope.angles.sum((0, 1)).sum(-1)[:, None], table, None, None, None, unitary, expand, bias[:, None]]


def _outer(one_TBIn: Tensor, other_TBRAn: Tensor) -> Tensor:
    """Sum of outer products over steps and rows, (R, I, A)."""
    joined_TBCn = other_TBRAn.flatten(2, 3)
    if len(one_TBIn) * one_TBIn.shape[1] * one_TBIn.shape[2] * joined_TBCn.shape[2] <= AT_ONCE:
        total_IC = torch.matmul(one_TBIn, joined_TBCn.mT).sum((0, 1))
    else:
        total_IC = one_TBIn.new_zeros(one_TBIn.shape[2], joined_TBCn.shape[2])
        for one_In, other_Cn in zip(one_TBIn.flatten(0, 1), joined_TBCn.flatten(0, 1), strict=True):
            total_IC.addmm_(one_In, other_Cn.mT)
    return total_IC.view(len(total_IC), *other_TBRAn.shape[2:4]).transpose(0, 1)


def _drive(one: Weights, x_TBIn: Tensor) -> Tensor:
    """The contribution of inputs and bias to the angles of every step, (T, B, R, A, n)."""
    weight_FI = one.reduce[:, : x_TBIn.shape[2]].mT.flatten(0, 1)
    drive = one.reduce_bias.flatten()[:, None] + torch.matmul(weight_FI, x_TBIn)
    return drive.view(*drive.shape[:2], len(one.reduce), one.reduce.shape[2], drive.shape[3])


def _tables(one: Weights, drive: Tensor) -> Tables:
    units = one.expand.shape[2]
    hidden, bias = one.reduce[:, -units:], one.expand_bias[:, 0]
    return Tables(drive, hidden, one.table, one.signs, one.energy, one.fixed, one.unitary, one.expand, bias)


def _rows_last(x_NTI: Tensor, blocks: int, size: int) -> Tensor:
    """Transpose to (T, B, I, n), filling the last block with zero rows."""
    rows, steps, width = x_NTI.shape
    if rows < blocks * size:
        x_NTI = torch.cat([x_NTI, x_NTI.new_zeros(blocks * size - rows, steps, width)])
    return x_NTI.reshape(blocks, size, steps, width).permute(2, 0, 3, 1).contiguous()


def _rows_first(y_TBIn: Tensor, rows: int) -> Tensor:
    """Transpose back to (N, T, I)."""
    return y_TBIn.permute(1, 3, 0, 2).flatten(0, 1)[:rows]


def _grouped(kind: type[Any], tensors: Sequence[Tensor | None]) -> list[Any]:
    size, plain = len(kind._fields), [None if tensor is None else tensor.detach() for tensor in tensors]
    return [kind(*plain[place : place + size]) for place in range(0, len(plain), size)]


def quickest(like: Tensor) -> Loops:
    """Compiled loops on the CPU if numba works and compilation is allowed, else those in torch."""
    return _fast() if like.device.type == "cpu" and works() else loops


@cache
def _fast() -> Loops:
    from qlogad.nn import loops_numba

    return loops_numba
