"""Recurrent cells with the maps of any core, in torch's conventions. All states start at zero.

    LSTM   [x_t, h] ── map ──► i f g o      c <- sigmoid(f) c + sigmoid(i) tanh(g)      h <- sigmoid(o) tanh(c)
    GRU    [x_t, h] ── map ──► r z          n = tanh(candidate([x_t, sigmoid(r) h]))    h <- (1 - sigmoid(z)) n + sigmoid(z) h

Hochreiter, Schmidhuber (1997); Cho et al. (2014), arXiv:1406.1078. The GRU applies the reset gate to the state before the candidate's
map, as Cho et al. do, because a circuit is not linear in the state; torch.nn.GRU applies it after the map. The two agree where r = 1.

`sequence` runs a whole sequence of an LSTM: with torch's own kernel for the linear map, with one autograd function if the circuit has
tables (whole_sequence.py), with a step loop after one reduction of the inputs of all steps for other wrapped middles, and with the plain
step loop otherwise. Tests hold all of them equal. `gru_sequence` does the same for a GRU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor, nn

from qlogad.errors import InputError
from qlogad.nn.maps import Linear, Map, MapFactory, Wrapped, tabled
from qlogad.nn.whole_sequence import run

__all__ = ["GRU", "LSTM", "gru_sequence", "gru_step_loop", "sequence", "step_loop"]

Live = Sequence[int] | None  # the number of leading rows that still run at each step; None: all of them
States = tuple[Tensor, tuple[Tensor, Tensor]]
GruStates = tuple[Tensor, tuple[Tensor]]


class LSTM(nn.Module):
    """One LSTM layer, (N, T, width) -> (N, T, hidden) and the last (h, c), each (N, hidden).

    Args:
        width: features per step.
        hidden: H, hidden units of the cell.
        make: makes the map (width + hidden -> hidden, 4 gates); with the linear map this is torch.nn.LSTM, bias = b_ih + b_hh.

    >>> from functools import partial
    >>> from qlogad import Quantum
    >>> cell = LSTM(3, 5, make=partial(Quantum(wires=2).map, generator=torch.Generator().manual_seed(0)))
    >>> h_NTH, (h_NH, c_NH) = cell(torch.randn(2, 4, 3), torch.tensor([4, 1]))
    >>> torch.equal(h_NTH[1, 3], h_NTH[1, 0]), torch.equal(h_NTH[:, -1], h_NH)
    (True, True)
    """

    def __init__(self, width: int, hidden: int, *, make: MapFactory) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        self.map = make(width + hidden, hidden, 4)

    def forward(self, x_NTI: Tensor, lengths_N: Tensor | None = None) -> States:
        """All hidden states and the last (h, c); row n keeps its state after `lengths_N[n]` steps, from 0 to T.

        Raises:
            InputError: the inputs are not (N, T, width) with T of at least 1, or not of the weights' precision and device; or the
                lengths are not N integers from 0 to T.
        """
        _check(self, self.width, x_NTI)
        zero_NH = x_NTI.new_zeros(len(x_NTI), self.hidden)
        order_N, back_N, live = (None, None, None) if lengths_N is None else _order(x_NTI, lengths_N)
        if not (len(x_NTI) if live is None else live[0]):
            h_NTH = _untouched(self, x_NTI, self.hidden)
            return h_NTH, (h_NTH[:, -1], h_NTH[:, -1])
        if order_N is None:
            return sequence(self.map, x_NTI, zero_NH)
        h_NTH, (h_NH, c_NH) = sequence(self.map, _unpadded(x_NTI, lengths_N)[order_N], zero_NH, live)
        return h_NTH[back_N], (h_NH[back_N], c_NH[back_N])


class GRU(nn.Module):
    """One GRU layer, (N, T, width) -> (N, T, hidden) and the last state (h,), (N, hidden).

    Args:
        width: features per step.
        hidden: H, hidden units of the cell.
        make: makes two maps, one for the gates r and z and one for the candidate; maps shared by all gates are shared by r and z.
    """

    def __init__(self, width: int, hidden: int, *, make: MapFactory) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        self.map = make(width + hidden, hidden, 2)
        self.candidate = make(width + hidden, hidden, 1)

    def forward(self, x_NTI: Tensor, lengths_N: Tensor | None = None) -> GruStates:
        """All hidden states and the last one; see `LSTM.forward`."""
        _check(self, self.width, x_NTI)
        zero_NH = x_NTI.new_zeros(len(x_NTI), self.hidden)
        order_N, back_N, live = (None, None, None) if lengths_N is None else _order(x_NTI, lengths_N)
        if not (len(x_NTI) if live is None else live[0]):
            h_NTH = _untouched(self, x_NTI, self.hidden)
            return h_NTH, (h_NTH[:, -1],)
        if order_N is None:
            return gru_sequence(self.map, self.candidate, x_NTI, zero_NH)
        h_NTH, (h_NH,) = gru_sequence(self.map, self.candidate, _unpadded(x_NTI, lengths_N)[order_N], zero_NH, live)
        return h_NTH[back_N], (h_NH[back_N],)


@singledispatch
def sequence(module: Map, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> States:
    """All hidden states and the last (h, c) of an LSTM with this map, from the zero state."""
    return step_loop(module, x_NTI, zero_NH, live)


def step_loop(module: Map, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> States:
    """The reference implementation: calls the map on [x_t, h] step by step, with the rows that still run."""
    gates = module.prepare(calls=x_NTI.shape[1])
    h_NH, c_NH = zero_NH, zero_NH
    outputs = []
    for x_NI, rows in zip(x_NTI.unbind(1), _rows(x_NTI, live), strict=True):
        h_MH, c_MH = _update(gates(torch.cat([x_NI[:rows], h_NH[:rows]], dim=1)), c_NH[:rows])
        h_NH, c_NH = _carry(h_MH, h_NH), _carry(c_MH, c_NH)
        outputs.append(h_NH)
    return torch.stack(outputs, dim=1), (h_NH, c_NH)


@sequence.register
def _(module: Linear, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> States:
    weight_GIO, bias_G1O = module.linear.weight_GIO, module.linear.bias_G1O
    weight_FI = weight_GIO.transpose(1, 2).flatten(0, 1)
    width = x_NTI.shape[2]
    bias_F = bias_G1O.flatten()
    weights = [weight_FI[:, :width].contiguous(), weight_FI[:, width:].contiguous(), bias_F, torch.zeros_like(bias_F)]
    train = torch.is_grad_enabled()
    if live is None:
        states = (zero_NH[None], zero_NH[None])
        h_NTH, h_1NH, c_1NH = torch.lstm(x_NTI, states, weights, True, 1, 0.0, train, False, True)
        return h_NTH, (h_1NH[0], c_1NH[0])
    steps = [rows for rows in live if rows]
    x_MI = torch.cat([x_NTI[:rows, t] for t, rows in enumerate(steps)])  # packed, M = their sum
    states = (zero_NH[None, : steps[0]], zero_NH[None, : steps[0]])
    h_MH, h_1NH, c_1NH = torch.lstm(x_MI, torch.tensor(steps), states, weights, True, 1, 0.0, train, False)
    h_NH, c_NH = _carry(h_1NH[0], zero_NH), _carry(c_1NH[0], zero_NH)
    outputs = [_carry(h, h_NH) for h in torch.split(h_MH, steps)] + [h_NH] * (len(live) - len(steps))
    return torch.stack(outputs, dim=1), (h_NH, c_NH)


@sequence.register
def _(module: Wrapped, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> States:
    if (weights := tabled([module], sum(_rows(x_NTI, live)), x_NTI.shape[1])) is not None:
        h_NTH, h_NH, c_NH = run("lstm", weights, x_NTI, live)
        return h_NTH, (h_NH, c_NH)
    inner, reduce = module.inner(x_NTI.shape[1]), module.reduce
    steps, width = x_NTI.shape[1:]
    weight_x_GIO, weight_h_GIO = reduce.weight_GIO[:, :width], reduce.weight_GIO[:, width:]
    gates = len(weight_h_GIO)
    x_MI = x_NTI.transpose(0, 1).reshape(-1, width)  # M = T * N, time first
    drive_GMI = torch.baddbmm(reduce.bias_G1O, x_MI.expand(gates, -1, -1), weight_x_GIO)
    h_NH, c_NH = zero_NH, zero_NH
    outputs = []
    for drive_GNI, rows in zip(drive_GMI.chunk(steps, dim=1), _rows(x_NTI, live), strict=True):
        angles_GMI = torch.baddbmm(drive_GNI[:, :rows], h_NH[:rows].expand(gates, -1, -1), weight_h_GIO)
        h_MH, c_MH = _update(module.expand(inner(angles_GMI)), c_NH[:rows])
        h_NH, c_NH = _carry(h_MH, h_NH), _carry(c_MH, c_NH)
        outputs.append(h_NH)
    return torch.stack(outputs, dim=1), (h_NH, c_NH)


def gru_sequence(module: Map, candidate: Map, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> GruStates:
    """All hidden states and the last one of a GRU with these maps, from the zero state."""
    if (weights := tabled([module, candidate], sum(_rows(x_NTI, live)), x_NTI.shape[1])) is not None:
        h_NTH, h_NH, _ = run("gru", weights, x_NTI, live)
        return h_NTH, (h_NH,)
    return gru_step_loop(module, candidate, x_NTI, zero_NH, live)


def gru_step_loop(module: Map, candidate: Map, x_NTI: Tensor, zero_NH: Tensor, live: Live = None) -> GruStates:
    """The reference implementation of the GRU, step by step."""
    gates, new = (one.prepare(calls=x_NTI.shape[1]) for one in (module, candidate))
    h_NH = zero_NH
    outputs = []
    for x_NI, rows in zip(x_NTI.unbind(1), _rows(x_NTI, live), strict=True):
        x_MI, h_MH = x_NI[:rows], h_NH[:rows]
        r_MH, z_MH = torch.sigmoid(gates(torch.cat([x_MI, h_MH], dim=1)))
        n_MH = torch.tanh(new(torch.cat([x_MI, r_MH * h_MH], dim=1))[0])
        h_NH = _carry(n_MH + z_MH * (h_MH - n_MH), h_NH)
        outputs.append(h_NH)
    return torch.stack(outputs, dim=1), (h_NH,)


def _update(gates_4NH: Tensor, c_NH: Tensor) -> tuple[Tensor, Tensor]:
    i_NH, f_NH, g_NH, o_NH = gates_4NH.unbind(0)
    c_NH = torch.sigmoid(f_NH) * c_NH + torch.sigmoid(i_NH) * torch.tanh(g_NH)
    return torch.sigmoid(o_NH) * torch.tanh(c_NH), c_NH


def _rows(x_NTI: Tensor, live: Live) -> Sequence[int]:
    return [len(x_NTI)] * x_NTI.shape[1] if live is None else live


def _carry(new_MH: Tensor, old_NH: Tensor) -> Tensor:
    """The states after a step; rows that have ended keep their previous state."""
    return new_MH if len(new_MH) == len(old_NH) else torch.cat([new_MH, old_NH[len(new_MH) :]])


def _check(module: nn.Module, width: int, x_NTI: Tensor) -> None:
    if x_NTI.ndim != 3 or x_NTI.shape[2] != width or not x_NTI.shape[1]:
        raise InputError(
            f"inputs must have shape (N, T, {width}) with T of at least 1, got {tuple(x_NTI.shape)}; give empty rows the length 0"
        )
    weight = next(module.parameters())
    if x_NTI.dtype != weight.dtype or x_NTI.device != weight.device:
        got, want = f"{x_NTI.dtype} on {x_NTI.device}", f"{weight.dtype} on {weight.device}"
        raise InputError(f"the inputs are {got} but the cell's weights are {want}; use x.to(weights)")


def _untouched(module: nn.Module, x_NTI: Tensor, hidden: int) -> Tensor:
    """The states if no row takes a step: zeros, with zero derivatives."""
    read = torch.cat([tensor.flatten()[:0] for tensor in (x_NTI, *module.parameters())])
    return x_NTI.new_zeros(*x_NTI.shape[:2], hidden) + read.sum()


def _unpadded(x_NTI: Tensor, lengths_N: Tensor | None) -> Tensor:
    """The inputs with their padding set to zero: it may hold NaN, and 0 times NaN is NaN."""
    if lengths_N is None:
        return x_NTI
    beyond_NT = lengths_N[:, None] <= torch.arange(x_NTI.shape[1], device=lengths_N.device)
    return x_NTI.masked_fill(beyond_NT[..., None].to(x_NTI.device), 0)


def _order(x_NTI: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Rows sorted by length, longest first, so that no circuit sees padding; the inverse permutation; and the rows running at each step."""
    rows, steps = x_NTI.shape[:2]
    if lengths_N.shape != (rows,) or lengths_N.is_floating_point() or ((lengths_N < 0) | (lengths_N > steps)).any():
        raise InputError(
            f"lengths must be {rows} integers from 0 to {steps}, one for each row; got {lengths_N.dtype} {lengths_N.tolist()!s:.60}"
        )
    order_N = torch.argsort(lengths_N, descending=True, stable=True)
    live_T = (lengths_N[:, None] > torch.arange(steps, device=lengths_N.device)).sum(0)
    return order_N, torch.argsort(order_N), live_T.tolist()
