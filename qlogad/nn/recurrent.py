"""The long short-term memory cell over any map of a core.  Hochreiter, Schmidhuber (1997); gates in torch's order: i, f, g, o.

    [x_t, h] ── map ──► i f g o        c <- sigmoid(f) c + sigmoid(i) tanh(g)        h <- sigmoid(o) tanh(c)

`sequence` runs a whole sequence: torch's own kernel for the linear map, a step loop with the input part of the reduction done for
all steps at once for a wrapped middle, and the plain step loop for any other map. A law holds all three equal.
"""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor, nn

from qlogad.nn.core import Linear, Map, MapFactory, Wrapped

__all__ = ["LSTM", "sequence", "step_loop"]

States = tuple[Tensor, tuple[Tensor, Tensor]]


class LSTM(nn.Module):
    """One recurrent layer, (N, T, width) -> (N, T, hidden) and the last (h, c), each (N, hidden); every call starts from zeros.

    Args:
        width: features of a step.
        hidden: H, units of the cell.
        make: makes the map (width + hidden -> hidden, 4 gates); with the linear map this is torch.nn.LSTM, bias = b_ih + b_hh.
    """

    def __init__(self, width: int, hidden: int, *, make: MapFactory) -> None:
        super().__init__()
        self.hidden = hidden
        self.map = make(width + hidden, hidden, 4)

    def forward(self, x_NTI: Tensor) -> States:
        zero_NH = x_NTI.new_zeros(len(x_NTI), self.hidden)
        return sequence(self.map, x_NTI, zero_NH)


@singledispatch
def sequence(module: Map, x_NTI: Tensor, zero_NH: Tensor) -> States:
    """All hidden states and the last (h, c) of a cell with this map, from the zero state."""
    return step_loop(module, x_NTI, zero_NH)


def step_loop(module: Map, x_NTI: Tensor, zero_NH: Tensor) -> States:
    """The definition: the map is called on [x_t, h] step by step."""
    run = module.prepare()
    h_NH, c_NH = zero_NH, zero_NH
    outputs = []
    for x_NI in x_NTI.unbind(1):
        h_NH, c_NH = _update(run(torch.cat([x_NI, h_NH], dim=1)), c_NH)
        outputs.append(h_NH)
    return torch.stack(outputs, dim=1), (h_NH, c_NH)


@sequence.register
def _(module: Linear, x_NTI: Tensor, zero_NH: Tensor) -> States:
    weight_GIO, bias_G1O = module.linear.weight_GIO, module.linear.bias_G1O
    weight_FI = weight_GIO.transpose(1, 2).flatten(0, 1)
    width = x_NTI.shape[2]
    bias_F = bias_G1O.flatten()
    weights = [weight_FI[:, :width].contiguous(), weight_FI[:, width:].contiguous(), bias_F, torch.zeros_like(bias_F)]
    h_NTH, h_1NH, c_1NH = torch.lstm(
        x_NTI, (zero_NH[None], zero_NH[None]), weights, True, 1, 0.0, torch.is_grad_enabled(), False, True
    )
    return h_NTH, (h_1NH[0], c_1NH[0])


@sequence.register
def _(module: Wrapped, x_NTI: Tensor, zero_NH: Tensor) -> States:
    inner, reduce = module.inner(), module.reduce
    steps, width = x_NTI.shape[1:]
    weight_x_GIO, weight_h_GIO = reduce.weight_GIO[:, :width], reduce.weight_GIO[:, width:]
    gates = len(weight_h_GIO)
    x_MI = x_NTI.transpose(0, 1).reshape(-1, width)  # M = T * N, time first
    drive_GMI = torch.baddbmm(reduce.bias_G1O, x_MI.expand(gates, -1, -1), weight_x_GIO)
    h_NH, c_NH = zero_NH, zero_NH
    outputs = []
    for drive_GNI in drive_GMI.chunk(steps, dim=1):
        angles_GNI = torch.baddbmm(drive_GNI, h_NH.expand(gates, -1, -1), weight_h_GIO)
        h_NH, c_NH = _update(module.expand(inner(angles_GNI)), c_NH)
        outputs.append(h_NH)
    return torch.stack(outputs, dim=1), (h_NH, c_NH)


def _update(gates_4NH: Tensor, c_NH: Tensor) -> tuple[Tensor, Tensor]:
    i_NH, f_NH, g_NH, o_NH = gates_4NH.unbind(0)
    c_NH = torch.sigmoid(f_NH) * c_NH + torch.sigmoid(i_NH) * torch.tanh(g_NH)
    return torch.sigmoid(o_NH) * torch.tanh(c_NH), c_NH
