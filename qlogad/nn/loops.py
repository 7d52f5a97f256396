"""The loops over the steps of a sequence in torch, forward and backward, for cells whose maps are tables: see whole_sequence.py.

One map of a cell at one step:

    angles = drive + hidden h      features = products of functions of the angles      values = table features
    means = values, or signs values^2 (in a form with signs)      gates = expand means + bias

With data re-uploading, the values psi (real and imaginary parts) go through one more step per upload before they are squared:

    turned = exp(i (energy angles + fixed)) psi      psi <- unitary turned

The backward pass is hand-written reverse-mode differentiation.

Letters: A angles, F features, J values, K means, H hidden units; D amplitudes, L later uploads, M rows of their unitaries; G gates;
R and E linear maps before and after the circuits, G or 1 of each. Arrays over all steps have shape (T, B, ..., n): steps, blocks, ...,
rows of a block, longest rows first. Here all rows form one block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "CellTrace",
    "Kind",
    "Live",
    "Slopes",
    "Tables",
    "Trace",
    "backward",
    "blocks",
    "forward",
    "new_slopes",
    "new_states",
    "new_trace",
]

Kind = Literal["lstm", "gru"]
Live = Sequence[int] | None  # rows still running at each step; None: all of them


class Tables(NamedTuple):
    """One map of a cell."""

    drive: Tensor  # (T, B, R, A, n), radians: the inputs' contribution to the angles
    hidden: Tensor  # (R, H, A)
    table: Tensor  # (G, F, J)
    signs: Tensor | None  # (J or M, K), with F = 2^A for the first angles; None: J = K and F = 3^A
    energy: Tensor  # (L, D, A)
    fixed: Tensor  # (L, D), radians
    unitary: Tensor  # (L, G, M, 2 D); only the last may have M > 2 D
    expand: Tensor  # (E, K, H)
    bias: Tensor  # (E, H)


class Trace(NamedTuple):
    """What the forward pass of one map saves for the backward pass."""

    features: Tensor  # (T, B, R, F, n)
    values: Tensor  # (T, B, G, J or M, n), after the last upload
    means: Tensor  # (T, B, G, K, n); without signs, the values themselves
    turns: Tensor  # (T, B, R, L, 2 D, n), cosines and sines
    turned: Tensor  # (T, B, G, L, 2 D, n)


class CellTrace(NamedTuple):
    """What the cell itself saves for the backward pass."""

    hidden: Tensor  # (T, B, H, n), after every step
    gates: Tensor  # (T, B, G, H, n), activated, in torch's order: i f g o, or r z n
    cell: Tensor  # (T, B, H, n), after every step; for a GRU: r * h, the state seen by its candidate
    squashed: Tensor | None = None  # tanh of the cell; None for a GRU


class Slopes(NamedTuple):
    """Derivatives of the loss inside one map: in the angles (0 for rows that have ended) and, summed over steps and rows, the weights."""

    angles: Tensor  # (T, B, R, A, n)
    table: Tensor  # (B, G, F, J)
    expand: Tensor  # (B, G, K, H)
    bias: Tensor  # (B, G, H)
    unitary: Tensor  # (B, L, G, M, 2 D)


def blocks(rows: int) -> tuple[int, int]:
    """The number of blocks and the rows per block: here one block of all rows."""
    return 1, rows


def new_states(kind: Kind, tables: Tables, live: Live) -> CellTrace:
    """Uninitialised states of a cell."""
    units, gates = tables.hidden.shape[1], 4 if kind == "lstm" else 3
    sizes = [(units,), (gates, units), (units,), *([(units,)] if kind == "lstm" else [])]
    return CellTrace(*(_blank(tables.drive, live, *size) for size in sizes))


def new_trace(tables: Tables, live: Live) -> Trace:
    """The uninitialised trace of one map."""
    groups, features, values = tables.table.shape
    uploads, states = tables.fixed.shape
    means = _blank(tables.drive, live, groups, tables.expand.shape[1])
    last = tables.unitary.shape[2] if uploads else values
    return Trace(
        _blank(tables.drive, live, len(tables.hidden), features),
        means if tables.signs is None else _blank(tables.drive, live, groups, last),
        means,
        _blank(tables.drive, live, len(tables.hidden), uploads, 2 * states),
        _blank(tables.drive, live, groups, uploads, 2 * states),
    )


def new_slopes(tables: Tables) -> Slopes:
    """Derivatives inside one map, initialised to zero."""
    blocks, groups = tables.drive.shape[1], len(tables.table)
    expand = tables.drive.new_zeros(blocks, groups, *tables.expand.shape[1:])
    table, unitary = (tables.drive.new_zeros(blocks, *one.shape) for one in (tables.table, tables.unitary))
    return Slopes(tables.drive.new_zeros(tables.drive.shape), table, expand, torch.zeros_like(expand[:, :, 0]), unitary)


def forward(kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]:
    """Run a cell from the zero state: an LSTM has one map, a GRU two, the second for its candidate."""
    return (_lstm_forward if kind == "lstm" else _gru_forward)(maps, live)


def backward(
    kind: Kind, maps: Sequence[Tables], traces: Sequence[Trace], states: CellTrace, live: Live, hidden: Tensor, cell: Tensor
) -> list[Slopes]:
    """The derivatives inside every map, given those in all hidden states (T, B, H, n) and in the last cell (B, H, n)."""
    if kind == "lstm":
        return _lstm_backward(maps, traces, states, live, hidden, cell)
    return _gru_backward(maps, traces, states, live, hidden)


def _lstm_forward(maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]:
    (tables,) = maps
    states, trace = new_states("lstm", tables, live), new_trace(tables, live)
    assert states.squashed is not None
    h_HN = c_HN = _zero(tables)
    for t, rows in enumerate(_rows(tables, live)):
        i, f, g, o = _forward(tables, trace, t, h_HN[:, :rows])
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = f * c_HN[:, :rows] + i * g
        squashed = torch.tanh(c)
        torch.stack([i, f, g, o], out=states.gates[t, 0, ..., :rows])
        states.squashed[t, 0, :, :rows] = squashed
        c_HN, h_HN = _keep(states.cell, t, c, c_HN), _keep(states.hidden, t, o * squashed, h_HN)
    return states, [trace]


def _lstm_backward(
    maps: Sequence[Tables], traces: Sequence[Trace], states: CellTrace, live: Live, hidden: Tensor, cell: Tensor
) -> list[Slopes]:
    ((tables,), (trace,)) = maps, traces
    assert states.squashed is not None
    slopes = new_slopes(tables)
    dh_HN, dc_HN = _zero(tables), cell[0]
    for t, rows in reversed(list(enumerate(_rows(tables, live)))):
        dh_HN = dh_HN + hidden[t, 0]
        i, f, g, o = states.gates[t, 0, ..., :rows]
        squashed, before, dh = states.squashed[t, 0, :, :rows], _before(states.cell, t)[:, :rows], dh_HN[:, :rows]
        dc = dc_HN[:, :rows] + dh * o * (1 - squashed * squashed)
        gates = torch.stack([dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * squashed * o * (1 - o)])
        dh_HN = _carry(_backward(tables, trace, slopes, t, gates), dh_HN)
        dc_HN = _carry(dc * f, dc_HN)
    return [slopes]


def _gru_forward(maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]:
    both, candidate = maps
    states, traces = new_states("gru", both, live), [new_trace(tables, live) for tables in maps]
    h_HN = _zero(both)
    for t, rows in enumerate(_rows(both, live)):
        h = h_HN[:, :rows]
        r, z = torch.sigmoid(_forward(both, traces[0], t, h))
        reset = r * h
        n = torch.tanh(_forward(candidate, traces[1], t, reset)[0])
        torch.stack([r, z, n], out=states.gates[t, 0, ..., :rows])
        states.cell[t, 0, :, :rows] = reset
        h_HN = _keep(states.hidden, t, n + z * (h - n), h_HN)
    return states, traces


def _gru_backward(maps: Sequence[Tables], traces: Sequence[Trace], states: CellTrace, live: Live, hidden: Tensor) -> list[Slopes]:
    both, candidate = maps
    slopes = [new_slopes(tables) for tables in maps]
    dh_HN = _zero(both)
    for t, rows in reversed(list(enumerate(_rows(both, live)))):
        dh_HN = dh_HN + hidden[t, 0]
        r, z, n = states.gates[t, 0, ..., :rows]
        before, dh = _before(states.hidden, t)[:, :rows], dh_HN[:, :rows]
        dreset = _backward(candidate, traces[1], slopes[1], t, (dh * (1 - z) * (1 - n * n))[None])
        gates = torch.stack([dreset * before * r * (1 - r), dh * (before - n) * z * (1 - z)])
        dh_HN = _carry(dh * z + dreset * r + _backward(both, traces[0], slopes[0], t, gates), dh_HN)
    return slopes


def _forward(tables: Tables, trace: Trace, t: int, h_HN: Tensor) -> Tensor:
    """The gates (G, H, N) before activation."""
    rows, real = h_HN.shape[1], tables.signs is not None
    angles = torch.baddbmm(tables.drive[t, 0, ..., :rows], tables.hidden.mT, h_HN.expand(len(tables.hidden), -1, -1))
    features = _features(angles[:, : _first(tables)], real)
    means = values = torch.matmul(tables.table.mT, features)
    for place, (energy, fixed, unitary) in enumerate(zip(tables.energy, tables.fixed, tables.unitary, strict=True)):
        phases = fixed[:, None] + energy @ torch.remainder(angles, 4 * math.pi)
        turns = torch.cat([torch.cos(phases), torch.sin(phases)], dim=1)
        turned = _turned(values[:, : turns.shape[1]], turns)
        values = unitary @ turned
        trace.turns[t, 0, :, place, :, :rows], trace.turned[t, 0, :, place, :, :rows] = turns, turned
    if tables.signs is not None:
        means = torch.matmul(tables.signs.T, values * values)
        trace.values[t, 0, ..., :rows] = values
    trace.features[t, 0, ..., :rows] = features
    trace.means[t, 0, ..., :rows] = means
    return tables.bias[..., None] + torch.matmul(tables.expand.mT, means)


def _backward(tables: Tables, trace: Trace, slopes: Slopes, t: int, gates: Tensor) -> Tensor:
    """The derivative (H, N) in the state, given that in the gates (G, H, N)."""
    rows = gates.shape[2]
    slopes.expand[0].baddbmm_(trace.means[t, 0, ..., :rows], gates.mT)
    slopes.bias[0] += gates.sum(2)
    values = torch.matmul(tables.expand, gates)
    if tables.signs is not None:
        values = 2 * trace.values[t, 0, ..., :rows] * torch.matmul(tables.signs, values)
    angles = torch.zeros_like(tables.drive[t, 0, ..., :rows])
    for place in reversed(range(len(tables.fixed))):
        turns, turned = trace.turns[t, 0, :, place, :, :rows], trace.turned[t, 0, :, place, :, :rows]
        slopes.unitary[0, place, :, : values.shape[1]] += values @ turned.mT
        values = tables.unitary[place, :, : values.shape[1]].mT @ values
        (real, imaginary), (dreal, dimaginary) = turned.chunk(2, dim=1), values.chunk(2, dim=1)
        angles += tables.energy[place].T @ (dimaginary * real - dreal * imaginary).sum_to_size(len(angles), *real.shape[1:])
        values = _turned(values, turns, back=True)
    features, found = trace.features[t, 0, ..., :rows], torch.matmul(tables.table, values)
    slopes.table[0].baddbmm_(features.expand(len(values), -1, -1), values.mT)
    if len(features) == 1:
        found = found.sum(0, keepdim=True)
    first = _first(tables)
    angles[:, :first] += _angles(features, found, first, tables.signs is not None)
    slopes.angles[t, 0, ..., :rows] = angles
    return torch.matmul(tables.hidden, angles).sum(0)


def _first(tables: Tables) -> int:
    """The number of angles that the features are computed from."""
    return tables.hidden.shape[2] if tables.signs is None else tables.table.shape[1].bit_length() - 1


def _turned(values: Tensor, turns: Tensor, *, back: bool = False) -> Tensor:
    """Real and imaginary parts, multiplied by exp(i phase) or, if `back`, exp(-i phase)."""
    (real, imaginary), (cosine, sine) = values.chunk(2, dim=1), turns.chunk(2, dim=1)
    sine = -sine if back else sine
    return torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=1)


def _features(angles_RAN: Tensor, real: bool) -> Tensor:
    """Products over the angles of (cos, sin) of half the angle, or of (1, cos, sin): (R, F, N), the first angle varying slowest."""
    if not angles_RAN.shape[1]:
        return angles_RAN.new_ones(len(angles_RAN), 1, angles_RAN.shape[2])
    angles_RAN = angles_RAN / 2 if real else angles_RAN
    functions = [torch.cos(angles_RAN), torch.sin(angles_RAN)]
    digits_RADN = torch.stack(functions if real else [torch.ones_like(angles_RAN), *functions], dim=2)
    features_RFN = digits_RADN[:, 0]
    for digit_RDN in digits_RADN.unbind(1)[1:]:
        features_RFN = (features_RFN[:, :, None] * digit_RDN[:, None]).flatten(1, 2)
    return features_RFN


def _angles(features_RFN: Tensor, slopes_RFN: Tensor, angles: int, real: bool) -> Tensor:
    """The derivative (R, A, N) in the angles, given that in the features: cos becomes -sin, and sin becomes cos."""
    base, found = 2 if real else 3, []
    if not angles:
        return features_RFN[:, :0]
    for a in range(angles):
        shape = (len(features_RFN), base**a, base, base ** (angles - 1 - a), features_RFN.shape[2])
        cosine, sine = features_RFN.reshape(shape)[:, :, -2:].unbind(2)
        dcosine, dsine = slopes_RFN.reshape(shape)[:, :, -2:].unbind(2)
        found.append((dsine * cosine - dcosine * sine).sum((1, 2)))
    return torch.stack(found, dim=1) / (2 if real else 1)


def _rows(tables: Tables, live: Live) -> Sequence[int]:
    return [tables.drive.shape[-1]] * len(tables.drive) if live is None else live


def _zero(tables: Tables) -> Tensor:
    return tables.drive.new_zeros(tables.hidden.shape[1], tables.drive.shape[-1])


def _blank(like: Tensor, live: Live, *size: int) -> Tensor:
    """An array for all steps; zeroed if rows end early, because entries after their end are never written."""
    shape = (*like.shape[:2], *size, like.shape[-1])
    return like.new_empty(shape) if live is None else like.new_zeros(shape)


def _before(kept_TBHN: Tensor, t: int) -> Tensor:
    return kept_TBHN[t - 1, 0] if t else torch.zeros_like(kept_TBHN[0, 0])


def _keep(kept_TBHN: Tensor, t: int, new_HM: Tensor, old_HN: Tensor) -> Tensor:
    """The state after a step; rows that have ended keep their previous state."""
    new_HN = _carry(new_HM, old_HN)
    kept_TBHN[t, 0] = new_HN
    return new_HN


def _carry(new_HM: Tensor, old_HN: Tensor) -> Tensor:
    rows = new_HM.shape[1]
    return new_HM if rows == old_HN.shape[1] else torch.cat([new_HM, old_HN[:, rows:]], dim=1)
