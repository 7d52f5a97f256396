"""The loops over the steps of a sequence, compiled by numba for the CPU; the same computation as loops.py in torch.

Rows are innermost everywhere, so that every inner loop is a vector operation over the rows of a block. The result of a block depends
neither on other blocks nor on the number of threads. The first call compiles, which takes some seconds; the result is cached on disk.

    tanh x = x / (1 + x^2 / (3 + x^2 / (5 + ...)))      Lambert's continued fraction (DLMF 4.39.1), truncated where it is exact to rounding
    sin, cos: Taylor series within pi/4 (DLMF 4.19), in double precision

Arrays over all steps have shape (T, B, ..., n): steps, blocks, ..., rows of a block. Other letters as in loops.py.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import zip_longest
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from qlogad.arrays import Numbers
from qlogad.jit import compiled
from qlogad.nn.loops import CellTrace, Kind, Live, Slopes, Tables, Trace, new_slopes, new_states, new_trace

__all__ = ["backward", "blocks", "forward"]

_log = logging.getLogger(__name__)

BLOCK = 64  # largest number of rows in a block
SLOW = 2.0  # seconds of compilation beyond which the user is told
LANES = 16  # the rows of a block are a multiple of this: one vector register


class Constants(NamedTuple):
    """Constants in the precision of the arrays."""

    half: Any
    one: Any
    top: Any  # tanh is 1 to rounding above this
    over: tuple[Any, ...]  # tanh(x) / x is over / under, polynomials in x^2, highest power first
    under: tuple[Any, ...]


SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))
TWICE = 4 * math.pi  # the period of every gate
QUARTERS = tuple(map(float.fromhex, ("0x1.921fb54p+0", "0x1.10b4611p-30", "0x1.4c4c6628b80dcp-59")))
# pi / 2 in three parts, the first two of 29 bits, so that up to 2^24 multiples are exact even without fused multiply-add


@compiled
def _tanh(x: Any, constants: Constants) -> Any:
    x = constants.top if x > constants.top else x
    x = -constants.top if x < -constants.top else x
    square = x * x
    over, under = constants.over[0], constants.under[0]
    for k in range(1, len(constants.over)):
        over = over * square + constants.over[k]
        under = under * square + constants.under[k]
    return x * over / under


@compiled
def _turn(cosines: Numbers, sines: Numbers, angles: Numbers, scale: float, rows: int) -> None:
    """Cosine and sine of the first scaled angles, as many as `cosines` holds."""
    for r in range(cosines.shape[0]):
        for a in range(cosines.shape[1]):
            for n in range(rows):
                x = scale * np.float64(angles[r, a, n])
                turns = math.floor(x * (2 / math.pi) + 0.5)
                x = x - turns * QUARTERS[0] - turns * QUARTERS[1] - turns * QUARTERS[2]
                square = x * x
                sine, cosine = SINE[7], COSINE[8]
                for k in range(6, -1, -1):
                    sine = sine * square + SINE[k]
                for k in range(7, -1, -1):
                    cosine = cosine * square + COSINE[k]
                sine = sine * x
                quarter = turns - 4 * math.floor(turns * 0.25)
                odd = quarter == 1.0 or quarter == 3.0
                first, second = (sine, cosine) if odd else (cosine, sine)
                cosines[r, a, n] = -first if quarter == 1.0 or quarter == 2.0 else first
                sines[r, a, n] = -second if quarter >= 2.0 else second


@compiled
def _fill(out: Numbers, rows: int) -> None:
    for o in range(out.shape[0]):
        for i in range(out.shape[1]):
            for n in range(rows):
                out[o, i, n] = 0


@compiled
def _features(features: Numbers, cosines: Numbers, sines: Numbers, real: bool, rows: int) -> None:
    for r in range(features.shape[0]):
        size = 1
        for n in range(rows):
            features[r, 0, n] = 1
        for a in range(cosines.shape[1] - 1, -1, -1):  # the first angle varies slowest
            for x in range(size):
                for n in range(rows):
                    first = features[r, x, n]
                    if real:
                        features[r, x, n] = first * cosines[r, a, n]
                        features[r, size + x, n] = first * sines[r, a, n]
                    else:
                        features[r, size + x, n] = first * cosines[r, a, n]
                        features[r, 2 * size + x, n] = first * sines[r, a, n]
            size *= 2 if real else 3


@compiled
def _uploads(tables: Any, trace: Any, states: Numbers, angles: Numbers, t: int, b: int, rows: int) -> None:
    """Apply every later upload to the states (G, 2 D, n); the final states go into the trace."""
    energy, fixed, unitary = tables[6], tables[7], tables[8]
    values, turns, turned = trace[1][t, b], trace[3][t, b], trace[4][t, b]
    size = fixed.shape[1]
    phases = np.empty((1, size, angles.shape[2]), angles.dtype)
    for r in range(len(angles)):
        for a in range(angles.shape[1]):
            for n in range(rows):
                angles[r, a, n] -= TWICE * math.floor(np.float64(angles[r, a, n]) / TWICE)
        for k in range(len(fixed)):
            np.dot(energy[k], angles[r], phases[0])
            for d in range(size):
                for n in range(rows):
                    phases[0, d, n] += fixed[k, d]
            _turn(turns[r, k : k + 1, :size], turns[r, k : k + 1, size:], phases, 1.0, rows)
    for g in range(len(states)):
        state = states[g]
        for k in range(len(fixed)):
            _rotate(turned[g, k], state, turns[g if len(turns) > 1 else 0, k], 1, rows)
            if k < len(fixed) - 1:
                np.dot(unitary[k, g, : 2 * size], turned[g, k], state)
            else:
                np.dot(unitary[k, g], turned[g, k], values[g])


@compiled
def _uploads_backward(tables: Any, trace: Any, slopes: Any, dlast: Numbers, dfirst: Numbers, t: int, b: int, rows: int) -> None:
    """Derivatives in the first values, given those in the last; those in the angles and the unitaries are accumulated."""
    energy, unitary = tables[6], tables[8]
    turns, turned = trace[3][t, b], trace[4][t, b]
    dangles, dunitary = slopes[0][t, b], slopes[4][b]
    size = energy.shape[1]
    dphases, dvalues = np.zeros((size, dangles.shape[2]), dangles.dtype), np.zeros((2 * size, dangles.shape[2]), dangles.dtype)
    for g in range(len(dfirst)):
        r = g if len(turns) > 1 else 0
        for k in range(len(energy) - 1, -1, -1):
            if k == len(energy) - 1:
                dstates = np.dot(unitary[k, g].T, dlast[g])
                dunitary[k, g] += np.dot(dlast[g], turned[g, k].T)
            else:
                dstates = np.dot(unitary[k, g, : 2 * size].T, dvalues)
                dunitary[k, g, : 2 * size] += np.dot(dvalues, turned[g, k].T)
            for d in range(size):
                for n in range(rows):
                    dphases[d, n] = dstates[size + d, n] * turned[g, k, d, n] - dstates[d, n] * turned[g, k, size + d, n]
            dangles[r] += np.dot(energy[k].T, dphases)
            _rotate(dvalues if k else dfirst[g], dstates, turns[r, k], -1, rows)


@compiled
def _rotate(out: Numbers, states: Numbers, turns: Numbers, sign: int, rows: int) -> None:
    """exp(i phase) psi or, for a negative sign, exp(-i phase) psi."""
    size = len(turns) // 2
    for d in range(size):
        for n in range(rows):
            cosine, sine, real, imaginary = turns[d, n], sign * turns[size + d, n], states[d, n], states[size + d, n]
            out[d, n] = real * cosine - imaginary * sine
            out[size + d, n] = real * sine + imaginary * cosine


@compiled
def _forward(real: bool, tables: Any, trace: Any, state: Numbers, gates: Numbers, t: int, b: int, rows: int) -> None:
    """One map's gates before activation, given a state (1, H, n); fills the trace."""
    drive, hidden, table, signs, expand, bias, _, fixed, _ = tables
    copies = drive.shape[2]
    features, values, means = trace[0][t, b], trace[1][t, b], trace[2][t, b]
    angles = drive[t, b] + np.dot(hidden.T, state[0]).reshape(drive.shape[2:])
    first = _first(real, angles, features)
    cosines = np.empty((copies, first, angles.shape[2]), angles.dtype)
    sines = np.empty_like(cosines)
    _turn(cosines, sines, angles, 0.5 if real else 1.0, rows)
    _features(features, cosines, sines, real, rows)
    begun = np.empty((len(table), table.shape[2], angles.shape[2]), angles.dtype) if len(fixed) else values
    for g in range(len(table)):
        np.dot(table[g].T, features[g if copies > 1 else 0], begun[g])  # for a form without signs these are the means
    if len(fixed):
        _uploads(tables, trace, begun, angles, t, b, rows)
    for g in range(len(table)):
        if real:
            np.dot(signs[0].T, values[g] * values[g], means[g])
        e = g if len(expand) > 1 else 0
        np.dot(expand[e].T, means[g], gates[g])
        for u in range(gates.shape[1]):
            for n in range(rows):
                gates[g, u, n] += bias[e, u]


@compiled
def _first(real: bool, angles: Numbers, features: Numbers) -> int:
    """The number of angles that the features are computed from."""
    if not real:
        return len(angles[0])
    count = 0
    while 1 << count < features.shape[1]:
        count += 1
    return count


@compiled
def _backward(
    real: bool, tables: Any, trace: Any, slopes: Any, dgates: Numbers, dstate: Numbers, t: int, b: int, rows: int
) -> None:
    """Derivatives in one map's angles, given those in its gates (G, H, n); those in its weights and in the state (1, H, n) are
    accumulated. Derivatives of rows that have ended are 0."""
    drive, hidden, table, signs, expand, _, _, fixed, _ = tables
    copies, ones = drive.shape[2], np.ones(dstate.shape[2], dstate.dtype)
    features, values, means = trace[0][t, b], trace[1][t, b], trace[2][t, b]
    dangles, dtable, dexpand, dbias = slopes[0][t, b], slopes[1][b], slopes[2][b], slopes[3][b]
    dfeatures = np.zeros_like(features)
    _fill(dangles, dangles.shape[2])
    dvalues = np.zeros((len(table), table.shape[2], dstate.shape[2]), dstate.dtype)
    dlast = np.empty_like(values) if len(fixed) else dvalues
    for g in range(len(table)):
        dexpand[g] += np.dot(means[g], dgates[g].T)
        dbias[g] += np.dot(dgates[g], ones)
        dmeans = np.dot(expand[g if len(expand) > 1 else 0], dgates[g])
        if real:
            np.dot(signs[0], dmeans, dlast[g])
            for j in range(dlast.shape[1]):
                for n in range(rows):
                    dlast[g, j, n] *= values[g, j, n] + values[g, j, n]
        else:
            dlast[g] = dmeans
    if len(fixed):
        _uploads_backward(tables, trace, slopes, dlast, dvalues, t, b, rows)
    for g in range(len(table)):
        r = g if copies > 1 else 0
        dfeatures[r] += np.dot(table[g], dvalues[g])
        dtable[g] += np.dot(features[r], dvalues[g].T)
    if real:
        _half_angles(dangles, features, dfeatures, rows)
    else:
        _whole_angles(dangles, features, dfeatures, rows)
    dstate[0] += np.dot(hidden, dangles.reshape(-1, dangles.shape[2]))


@compiled
def _half_angles(dangles: Numbers, features: Numbers, slopes: Numbers, rows: int) -> None:
    """Accumulate derivatives in angles, given those in products of (cos, sin) of half the angles: cos -> -sin / 2, sin -> cos / 2."""
    half = dangles.dtype.type(0.5)
    for r in range(dangles.shape[0]):
        size, a = features.shape[1] // 2, 0
        while size:
            for high in range(0, features.shape[1], 2 * size):
                for x in range(high, high + size):
                    y = x + size
                    for n in range(rows):
                        turned = slopes[r, y, n] * features[r, x, n] - slopes[r, x, n] * features[r, y, n]
                        dangles[r, a, n] += half * turned
            size, a = size // 2, a + 1


@compiled
def _whole_angles(dangles: Numbers, features: Numbers, slopes: Numbers, rows: int) -> None:
    """The same for products of (1, cos, sin), one angle after the other; `slopes` is overwritten."""
    for r in range(dangles.shape[0]):
        size = features.shape[1]
        for a in range(dangles.shape[1]):
            size //= 3
            for x in range(size):
                c, s = size + x, 2 * size + x
                for n in range(rows):
                    turned = slopes[r, s, n] * features[r, size, n] - slopes[r, c, n] * features[r, 2 * size, n]
                    dangles[r, a, n] += features[r, x, n] * turned
            for x in range(size):
                c, s = size + x, 2 * size + x
                for n in range(rows):
                    slopes[r, x, n] += slopes[r, c, n] * features[r, size, n] + slopes[r, s, n] * features[r, 2 * size, n]


@compiled
def _sigmoid(gates: Numbers, g: int, constants: Constants, rows: int) -> None:
    half = constants.half
    for u in range(gates.shape[1]):
        for n in range(rows):
            gates[g, u, n] = half + half * _tanh(half * gates[g, u, n], constants)


@compiled
def _squash(gates: Numbers, g: int, constants: Constants, rows: int) -> None:
    for u in range(gates.shape[1]):
        for n in range(rows):
            gates[g, u, n] = _tanh(gates[g, u, n], constants)


@compiled
def _stay(new: Numbers, old: Numbers, rows: int) -> None:
    """Rows that have ended keep their previous state."""
    for u in range(new.shape[1]):
        for n in range(rows, new.shape[2]):
            new[0, u, n] = old[0, u, n]


@compiled
def _lstm_forward(b: int, n: int, live: Numbers, constants: Constants, real: bool, tables: Any, trace: Any, states: Any) -> None:
    hidden_T, gates_T, cell_T, squashed_T = states
    state = cell = np.zeros_like(hidden_T[0, b])
    for t in range(len(live)):
        rows = min(max(live[t] - b * n, 0), n)
        gates, squashed, new_state, new_cell = gates_T[t, b], squashed_T[t, b], hidden_T[t, b], cell_T[t, b]
        _forward(real, tables, trace, state, gates, t, b, rows)
        for g in (0, 1, 3):
            _sigmoid(gates, g, constants, rows)
        _squash(gates, 2, constants, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                new_cell[0, u, m] = gates[1, u, m] * cell[0, u, m] + gates[0, u, m] * gates[2, u, m]
            for m in range(rows):
                squashed[0, u, m] = _tanh(new_cell[0, u, m], constants)
            for m in range(rows):
                new_state[0, u, m] = gates[3, u, m] * squashed[0, u, m]
        _stay(new_state, state, rows)
        _stay(new_cell, cell, rows)
        state, cell = new_state, new_cell


@compiled
def _lstm_backward(
    b: int,
    n: int,
    live: Numbers,
    constants: Constants,
    real: bool,
    tables: Any,
    trace: Any,
    states: Any,
    hidden_T: Numbers,
    cell: Numbers,
    slopes: Any,
) -> None:
    _, gates_T, cell_T, squashed_T = states
    one, dcell, dstate = constants.one, cell[b].copy(), np.zeros_like(cell[b])
    zero, dgates = np.zeros_like(dstate), np.zeros_like(gates_T[0, b])
    for t in range(len(live) - 1, -1, -1):
        rows = min(max(live[t] - b * n, 0), n)
        gates, squashed, hidden = gates_T[t, b], squashed_T[t, b], hidden_T[t, b]
        before = cell_T[t - 1, b] if t else zero
        for u in range(gates.shape[1]):
            for m in range(n):
                dstate[0, u, m] += hidden[0, u, m]
            for m in range(rows):
                o, q = gates[3, u, m], squashed[0, u, m]
                dcell[0, u, m] += dstate[0, u, m] * o * (one - q * q)
            for m in range(rows):
                o = gates[3, u, m]
                dgates[3, u, m] = dstate[0, u, m] * squashed[0, u, m] * o * (one - o)
            for m in range(rows):
                i = gates[0, u, m]
                dgates[0, u, m] = dcell[0, u, m] * gates[2, u, m] * i * (one - i)
            for m in range(rows):
                f = gates[1, u, m]
                dgates[1, u, m] = dcell[0, u, m] * before[0, u, m] * f * (one - f)
            for m in range(rows):
                g = gates[2, u, m]
                dgates[2, u, m] = dcell[0, u, m] * gates[0, u, m] * (one - g * g)
            for m in range(rows):
                dcell[0, u, m] *= gates[1, u, m]
        _fill(dstate, rows)
        _backward(real, tables, trace, slopes, dgates, dstate, t, b, rows)


@compiled
def _gru_forward(
    b: int,
    n: int,
    live: Numbers,
    constants: Constants,
    real: bool,
    both: Any,
    trace: Any,
    other: bool,
    candidate: Any,
    other_trace: Any,
    states: Any,
) -> None:
    hidden_T, gates_T, reset_T, _ = states
    state = np.zeros_like(hidden_T[0, b])
    for t in range(len(live)):
        rows = min(max(live[t] - b * n, 0), n)
        gates, reset, new_state = gates_T[t, b], reset_T[t, b], hidden_T[t, b]
        _forward(real, both, trace, state, gates[:2], t, b, rows)
        _sigmoid(gates, 0, constants, rows)
        _sigmoid(gates, 1, constants, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                reset[0, u, m] = gates[0, u, m] * state[0, u, m]
        _forward(other, candidate, other_trace, reset, gates[2:], t, b, rows)
        _squash(gates, 2, constants, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                new_state[0, u, m] = gates[2, u, m] + gates[1, u, m] * (state[0, u, m] - gates[2, u, m])
        _stay(new_state, state, rows)
        state = new_state


@compiled
def _gru_backward(
    b: int,
    n: int,
    live: Numbers,
    constants: Constants,
    real: bool,
    both: Any,
    trace: Any,
    other: bool,
    candidate: Any,
    other_trace: Any,
    states: Any,
    hidden_T: Numbers,
    cell: Numbers,
    slopes: Any,
    other_slopes: Any,
) -> None:
    state_T, gates_T, _, _ = states
    one, dstate, dreset = constants.one, np.zeros_like(cell[b]), np.zeros_like(cell[b])
    zero, dgates, dnew = np.zeros_like(dstate), np.zeros_like(gates_T[0, b, :2]), np.zeros_like(gates_T[0, b, 2:])
    for t in range(len(live) - 1, -1, -1):
        rows = min(max(live[t] - b * n, 0), n)
        gates, hidden = gates_T[t, b], hidden_T[t, b]
        before = state_T[t - 1, b] if t else zero
        for u in range(gates.shape[1]):
            for m in range(n):
                dstate[0, u, m] += hidden[0, u, m]
            for m in range(rows):
                z, new = gates[1, u, m], gates[2, u, m]
                dnew[0, u, m] = dstate[0, u, m] * (one - z) * (one - new * new)
            for m in range(rows):
                z = gates[1, u, m]
                dgates[1, u, m] = dstate[0, u, m] * (before[0, u, m] - gates[2, u, m]) * z * (one - z)
        _fill(dreset, rows)
        _backward(other, candidate, other_trace, other_slopes, dnew, dreset, t, b, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                r = gates[0, u, m]
                dgates[0, u, m] = dreset[0, u, m] * before[0, u, m] * r * (one - r)
            for m in range(rows):
                dstate[0, u, m] = dstate[0, u, m] * gates[1, u, m] + dreset[0, u, m] * gates[0, u, m]
        _backward(real, both, trace, slopes, dgates, dstate, t, b, rows)


def blocks(rows: int) -> tuple[int, int]:
    """The number of blocks and the rows per block."""
    count = max(1, -(-rows // BLOCK))
    return count, -(-max(rows, 1) // (count * LANES)) * LANES


def forward(kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[CellTrace, list[Trace]]:
    """Run a cell from the zero state: see loops.py."""
    states, traces = new_states(kind, maps[0], live), [new_trace(one, live) for one in maps]
    _every_block(_FORWARD[kind], maps, live, *_parts(maps, traces), _states(states))
    return states, traces


def backward(
    kind: Kind, maps: Sequence[Tables], traces: Sequence[Trace], states: CellTrace, live: Live, hidden: Tensor, cell: Tensor
) -> list[Slopes]:
    """The derivatives inside every map: see loops.py."""
    slopes = [new_slopes(one) for one in maps]
    given = _arrays((hidden[:, :, None], cell[:, None]))
    _every_block(_BACKWARD[kind], maps, live, *_parts(maps, traces), _states(states), *given, *(_arrays(one) for one in slopes))
    return slopes


_FORWARD: dict[Kind, Any] = {"lstm": _lstm_forward, "gru": _gru_forward}
_BACKWARD: dict[Kind, Any] = {"lstm": _lstm_backward, "gru": _gru_backward}


def _every_block(kernel: Any, maps: Sequence[Tables], live: Live, *arguments: Any) -> None:
    """Run a kernel on every block, with as many threads as torch uses."""
    steps, count, _, _, rows = maps[0].drive.shape
    live_T = np.full(steps, count * rows) if live is None else np.array(live, dtype=np.int64)
    constants, known, began = _constants(maps[0].drive.dtype), len(kernel.signatures), time.perf_counter()

    def run(block: int) -> None:
        kernel(block, rows, live_T, constants, *arguments)

    with _SINGLE:
        run(0)
        if (threads := min(torch.get_num_threads(), count - 1)) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(1, count)))
        else:
            for block in range(1, count):
                run(block)
    if len(kernel.signatures) > known and (seconds := time.perf_counter() - began) > SLOW:
        _log.warning("compiled a sequence kernel in %.0f s; it is cached on disk for later runs", seconds)


def _parts(maps: Sequence[Tables], traces: Sequence[Trace]) -> list[Any]:
    """The kernel arguments of every map: whether its form is `real`, its weights and its trace."""
    found: list[Any] = []
    for one, trace in zip(maps, traces, strict=True):
        signs = one.table.new_empty(1, 0, 0) if one.signs is None else one.signs[None]
        hidden = one.hidden.transpose(0, 1).flatten(1)
        weights = (one.drive, hidden, one.table, signs, one.expand, one.bias, one.energy, one.fixed, one.unitary)
        found += [one.signs is not None, _arrays(weights), _arrays(trace)]
    return found


def _states(states: CellTrace) -> tuple[Numbers, ...]:
    squashed = states.cell[:0] if states.squashed is None else states.squashed
    return _arrays((states.hidden[:, :, None], states.gates, states.cell[:, :, None], squashed[:, :, None]))


def _arrays(tensors: Sequence[Tensor]) -> tuple[Numbers, ...]:
    return tuple(one.contiguous().numpy() for one in tensors)


class _Single:
    """Context that limits BLAS to one thread: threads are spread over blocks, not over single products.

    The limit is process-wide: the first thread to enter sets it, the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = [(one, count) for one in _blas() if (count := one.get_num_threads()) > 1]
                for one, _ in self._before:
                    one.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for one, count in self._before:
                    one.set_num_threads(count)


_SINGLE = _Single()


@cache
def _blas() -> list[Any]:
    """The BLAS libraries that may compute the products."""
    import_module("scipy.linalg.cython_blas")  # used by numba's matrix products
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@cache
def _constants(dtype: torch.dtype) -> Constants:
    of: Any = np.float32 if dtype == torch.float32 else np.float64
    top, terms = (9.1, 13) if dtype == torch.float32 else (19.1, 28)
    over, under = ([of(one) for one in reversed(polynomial)] for polynomial in _convergent(terms))
    return Constants(of(0.5), of(1), of(top), tuple(over), tuple(under))


def _convergent(terms: int) -> tuple[list[float], list[float]]:
    """tanh(x) / x = 1 / (1 + x^2 / (3 + x^2 / (5 + ...))) truncated after `terms` terms, as a ratio of two polynomials in x^2."""
    over, under = [[0], [1]], [[1], [1]]
    for odd in range(3, 2 * terms, 2):
        for found in (over, under):
            found.append([odd * one + two for one, two in zip_longest(found[-1], [0, *found[-2]], fillvalue=0)])
    scale = under[-1][0]
    return [one / scale for one in over[-1]], [one / scale for one in under[-1]]
