"""The loops over the steps of a sequence, compiled by numba: what loops.py does in torch, for processors.

Rows are innermost everywhere, so that every inner loop is a vector operation over the rows of a block. What a block gives depends
neither on the other blocks nor on the threads that share the blocks. The first call compiles, which takes some seconds; the result
is kept on disk.

    tanh x = x / (1 + x^2 / (3 + x^2 / (5 + ...)))      Lambert's continued fraction (DLMF 4.39.1), cut where it is exact to rounding
    sin, cos: Taylor's series within pi/4 (DLMF 4.19), in double precision

Arrays end in (T, B, n): steps, blocks, rows of a block. Other letters as in loops.py.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlogad.nn.loops import Kind, Live, Slopes, States, Tables, Trace, new_slopes, new_states, new_trace

__all__ = ["backward", "blocks", "forward"]

_log = logging.getLogger(__name__)

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

BLOCK = 64  # rows of a block, at most
SLOW = 2.0  # seconds of compiling that are worth a word
LANES = 16  # rows of a block are a multiple of it: one vector register


def _compiled(function: F) -> F:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:  # there is nowhere to keep the result
        return cast(F, numba.njit(function, **options))


class Numbers(NamedTuple):
    """Constants in the precision of the arrays."""

    half: Any
    one: Any
    top: Any  # where tanh is 1 to rounding
    over: tuple[Any, ...]  # tanh(x) / x is over / under, polynomials in x^2, highest power first
    under: tuple[Any, ...]


class Work(NamedTuple):
    """One step of one map and block."""

    angles: Array  # (R, A, n)
    cosines: Array  # (R, A, n)
    sines: Array  # (R, A, n)
    features: Array  # (R, F, n)
    slopes: Array  # (R, F, n)
    values: Array  # (G, J, n)
    means: Array  # (G, K, n)
    gates: Array  # (G, H, n)


SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))
QUARTER, REST = math.pi / 2, 6.123233995736766e-17  # of a turn: pi / 2 in two parts


@_compiled
def _tanh(x: Any, numbers: Numbers) -> Any:
    x = numbers.top if x > numbers.top else x
    x = -numbers.top if x < -numbers.top else x
    square = x * x
    over, under = numbers.over[0], numbers.under[0]
    for k in range(1, len(numbers.over)):
        over = over * square + numbers.over[k]
        under = under * square + numbers.under[k]
    return x * over / under


@_compiled
def _turn(cosines: Array, sines: Array, angles: Array, scale: float, rows: int) -> None:
    """Cosine and sine of scaled angles."""
    for r in range(angles.shape[0]):
        for a in range(angles.shape[1]):
            for n in range(rows):
                x = scale * np.float64(angles[r, a, n])
                turns = math.floor(x * (1 / QUARTER) + 0.5)
                x = x - turns * QUARTER - turns * REST
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


@_compiled
def _fill(out: Array, o: int, rows: int) -> None:
    for i in range(out.shape[1]):
        for n in range(rows):
            out[o, i, n] = 0


@_compiled
def _copy(out: Array, kept: Array, t: int, b: int, rows: int) -> None:
    """out = kept[..., t, b, :]"""
    for o in range(out.shape[0]):
        for i in range(out.shape[1]):
            for n in range(rows):
                out[o, i, n] = kept[o, i, t, b, n]


@_compiled
def _keep(kept: Array, new: Array, t: int, b: int, rows: int) -> None:
    """kept[..., t, b, :] = new"""
    for o in range(new.shape[0]):
        for i in range(new.shape[1]):
            for n in range(rows):
                kept[o, i, t, b, n] = new[o, i, n]


@_compiled
def _add(out: Array, o: int, a: Array, g: int, b: Array, h: int, rows: int) -> None:
    """out[o] += a[g] @ b[h], four terms at a time."""
    size = a.shape[2]
    for i in range(out.shape[1]):
        for k in range(0, size - 3, 4):
            a0, a1, a2, a3 = a[g, i, k], a[g, i, k + 1], a[g, i, k + 2], a[g, i, k + 3]
            for n in range(rows):
                out[o, i, n] += a0 * b[h, k, n] + a1 * b[h, k + 1, n] + a2 * b[h, k + 2, n] + a3 * b[h, k + 3, n]
        for k in range(size - size % 4, size):
            a0 = a[g, i, k]
            for n in range(rows):
                out[o, i, n] += a0 * b[h, k, n]


@_compiled
def _work(tables: Any, n: int) -> Work:
    drive, hidden, table, _, expand, _ = tables
    (copies, units, angles), (groups, features, values) = hidden.shape, table.shape
    one, like = (copies, angles, n), drive.dtype
    return Work(
        np.empty(one, like),
        np.empty(one, like),
        np.empty(one, like),
        np.empty((copies, features, n), like),
        np.empty((copies, features, n), like),
        np.empty((groups, values, n), like),
        np.empty((groups, expand.shape[1], n), like),
        np.empty((groups, units, n), like),
    )


@_compiled
def _features(features: Array, cosines: Array, sines: Array, real: bool, rows: int) -> None:
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


@_compiled
def _forward(real: bool, tables: Any, trace: Any, work: Work, state: Array, t: int, b: int, rows: int) -> None:
    """One map's gates, before they are activated, into `work`; what the backward pass needs into the trace."""
    drive, hidden, table, signs, expand, bias = tables
    features_M, values_M, means_M = trace
    copies, groups = hidden.shape[0], table.shape[0]
    _copy(work.angles, drive, t, b, rows)
    for r in range(copies):
        _add(work.angles, r, hidden.transpose(0, 2, 1), r, state, 0, rows)
    _turn(work.cosines, work.sines, work.angles, 0.5 if real else 1.0, rows)
    _features(work.features, work.cosines, work.sines, real, rows)
    _keep(features_M, work.features, t, b, rows)
    values = work.values if real else work.means
    for g in range(groups):
        _fill(values, g, rows)
        _add(values, g, table.transpose(0, 2, 1), g, work.features, g if copies > 1 else 0, rows)
    if real:
        _keep(values_M, values, t, b, rows)
        for g in range(groups):
            for j in range(values.shape[1]):
                for n in range(rows):
                    values[g, j, n] = values[g, j, n] * values[g, j, n]
            _fill(work.means, g, rows)
            _add(work.means, g, signs.transpose(0, 2, 1), 0, values, g, rows)
    _keep(means_M, work.means, t, b, rows)
    for g in range(groups):
        e = g if expand.shape[0] > 1 else 0
        for u in range(expand.shape[2]):
            for n in range(rows):
                work.gates[g, u, n] = bias[e, u]
        _add(work.gates, g, expand.transpose(0, 2, 1), e, work.means, g, rows)


@_compiled
def _backward(real: bool, tables: Any, trace: Any, slopes: Any, work: Work, state: Array, t: int, b: int, rows: int) -> None:
    """From the derivatives in one map's gates, in `work`, those in the state, added to it; all of them into the slopes."""
    _, hidden, table, signs, expand, _ = tables
    features_M, values_M, _ = trace
    angles_M, dvalues_M, gates_M = slopes
    copies, groups = hidden.shape[0], table.shape[0]
    _keep(gates_M, work.gates, t, b, rows)
    values = work.values if real else work.means
    for g in range(groups):
        _fill(work.means, g, rows)
        _add(work.means, g, expand, g if expand.shape[0] > 1 else 0, work.gates, g, rows)
        if real:
            _fill(values, g, rows)
            _add(values, g, signs, 0, work.means, g, rows)
            for j in range(values.shape[1]):
                for n in range(rows):
                    values[g, j, n] = values[g, j, n] * (values_M[g, j, t, b, n] + values_M[g, j, t, b, n])
    _keep(dvalues_M, values, t, b, rows)
    _copy(work.features, features_M, t, b, rows)
    for r in range(copies):
        _fill(work.slopes, r, rows)
    for g in range(groups):
        _add(work.slopes, g if copies > 1 else 0, table, g, values, g, rows)
    for r in range(copies):
        _fill(work.angles, r, rows)
    if real:
        _half_angles(work.angles, work.features, work.slopes, rows)
    else:
        _whole_angles(work.angles, work.features, work.slopes, rows)
    _keep(angles_M, work.angles, t, b, rows)
    for r in range(copies):
        _add(state, 0, hidden, r, work.angles, r, rows)


@_compiled
def _half_angles(angles: Array, features: Array, slopes: Array, rows: int) -> None:
    """From derivatives in products of (cos, sin) of half the angles to derivatives in the angles: cos -> -sin / 2, sin -> cos / 2."""
    for r in range(angles.shape[0]):
        size = features.shape[1]
        for a in range(angles.shape[1]):
            size //= 2
            for high in range(0, features.shape[1], 2 * size):
                for x in range(high, high + size):
                    y = x + size
                    for n in range(rows):
                        angles[r, a, n] += slopes[r, y, n] * features[r, x, n] - slopes[r, x, n] * features[r, y, n]
            for n in range(rows):
                angles[r, a, n] *= 0.5


@_compiled
def _whole_angles(angles: Array, features: Array, slopes: Array, rows: int) -> None:
    """The same for products of (1, cos, sin), one angle after the other; `slopes` is used up."""
    for r in range(angles.shape[0]):
        size = features.shape[1]
        for a in range(angles.shape[1]):
            size //= 3
            for x in range(size):
                c, s = size + x, 2 * size + x
                for n in range(rows):
                    angles[r, a, n] += features[r, x, n] * (
                        slopes[r, s, n] * features[r, size, n] - slopes[r, c, n] * features[r, 2 * size, n]
                    )
            for x in range(size):
                c, s = size + x, 2 * size + x
                for n in range(rows):
                    slopes[r, x, n] += slopes[r, c, n] * features[r, size, n] + slopes[r, s, n] * features[r, 2 * size, n]


@_compiled
def _sigmoid(gates: Array, g: int, numbers: Numbers, rows: int) -> None:
    half = numbers.half
    for u in range(gates.shape[1]):
        for n in range(rows):
            gates[g, u, n] = half + half * _tanh(half * gates[g, u, n], numbers)


@_compiled
def _squash(out: Array, o: int, x: Array, g: int, numbers: Numbers, rows: int) -> None:
    for u in range(out.shape[1]):
        for n in range(rows):
            out[o, u, n] = _tanh(x[g, u, n], numbers)


@_compiled
def _lstm_forward(b: int, n: int, live: Array, numbers: Numbers, real: bool, tables: Any, trace: Any, states: Any) -> None:
    hidden_M, gates_M, cell_M, squashed_M = states
    work = _work(tables, n)
    gates, one = work.gates, (1, gates_M.shape[1], n)
    state, cell, squashed = np.zeros(one, gates.dtype), np.zeros(one, gates.dtype), np.zeros(one, gates.dtype)
    for t in range(len(live)):
        rows = min(max(live[t] - b * n, 0), n)
        _forward(real, tables, trace, work, state, t, b, rows)
        for g in (0, 1, 3):
            _sigmoid(gates, g, numbers, rows)
        _squash(gates, 2, gates, 2, numbers, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                cell[0, u, m] = gates[1, u, m] * cell[0, u, m] + gates[0, u, m] * gates[2, u, m]
        _squash(squashed, 0, cell, 0, numbers, rows)
        for u in range(gates.shape[1]):
            for m in range(rows):
                state[0, u, m] = gates[3, u, m] * squashed[0, u, m]
        _keep(gates_M, gates, t, b, rows)
        _keep(squashed_M, squashed, t, b, rows)
        _keep(cell_M, cell, t, b, n)
        _keep(hidden_M, state, t, b, n)


@_compiled
def _lstm_backward(
    b: int,
    n: int,
    live: Array,
    numbers: Numbers,
    real: bool,
    tables: Any,
    trace: Any,
    states: Any,
    hidden: Array,
    cell: Array,
    slopes: Any,
) -> None:
    _, gates_M, cell_M, squashed_M = states
    work = _work(tables, n)
    gates, one, size = work.gates, numbers.one, (1, gates_M.shape[1], n)
    before, squashed = np.zeros(size, gates.dtype), np.zeros(size, gates.dtype)
    dstate, dcell = np.zeros(size, gates.dtype), np.zeros(size, gates.dtype)
    _copy(dcell, cell, 0, b, n)
    for t in range(len(live) - 1, -1, -1):
        rows = min(max(live[t] - b * n, 0), n)
        for u in range(size[1]):
            for m in range(n):
                dstate[0, u, m] += hidden[0, u, t, b, m]
        _copy(gates, gates_M, t, b, rows)
        _copy(squashed, squashed_M, t, b, rows)
        if t:
            _copy(before, cell_M, t - 1, b, rows)
        else:
            _fill(before, 0, rows)
        for u in range(size[1]):
            for m in range(rows):
                o, q = gates[3, u, m], squashed[0, u, m]
                dcell[0, u, m] += dstate[0, u, m] * o * (one - q * q)
                gates[3, u, m] = dstate[0, u, m] * q * o * (one - o)
            for m in range(rows):
                i, f, g, d = gates[0, u, m], gates[1, u, m], gates[2, u, m], dcell[0, u, m]
                gates[0, u, m] = d * g * i * (one - i)
                gates[1, u, m] = d * before[0, u, m] * f * (one - f)
                gates[2, u, m] = d * i * (one - g * g)
                dcell[0, u, m] = d * f
            for m in range(rows):
                dstate[0, u, m] = 0
        _backward(real, tables, trace, slopes, work, dstate, t, b, rows)


@_compiled
def _gru_forward(
    b: int,
    n: int,
    live: Array,
    numbers: Numbers,
    real: bool,
    both: Any,
    trace: Any,
    other: bool,
    candidate: Any,
    other_trace: Any,
    states: Any,
) -> None:
    hidden_M, gates_M, reset_M, _ = states
    work, other_work = _work(both, n), _work(candidate, n)
    gates, squashed, size = work.gates, other_work.gates, (1, gates_M.shape[1], n)
    state, reset, kept = np.zeros(size, gates.dtype), np.zeros(size, gates.dtype), np.empty((3, size[1], n), gates.dtype)
    for t in range(len(live)):
        rows = min(max(live[t] - b * n, 0), n)
        _forward(real, both, trace, work, state, t, b, rows)
        _sigmoid(gates, 0, numbers, rows)
        _sigmoid(gates, 1, numbers, rows)
        for u in range(size[1]):
            for m in range(rows):
                reset[0, u, m] = gates[0, u, m] * state[0, u, m]
        _forward(other, candidate, other_trace, other_work, reset, t, b, rows)
        _squash(squashed, 0, squashed, 0, numbers, rows)
        for u in range(size[1]):
            for m in range(rows):
                new = squashed[0, u, m]
                state[0, u, m] = new + gates[1, u, m] * (state[0, u, m] - new)
            for m in range(rows):
                kept[0, u, m], kept[1, u, m], kept[2, u, m] = gates[0, u, m], gates[1, u, m], squashed[0, u, m]
        _keep(gates_M, kept, t, b, rows)
        _keep(reset_M, reset, t, b, rows)
        _keep(hidden_M, state, t, b, n)


@_compiled
def _gru_backward(
    b: int,
    n: int,
    live: Array,
    numbers: Numbers,
    real: bool,
    both: Any,
    trace: Any,
    other: bool,
    candidate: Any,
    other_trace: Any,
    states: Any,
    hidden: Array,
    cell: Array,
    slopes: Any,
    other_slopes: Any,
) -> None:
    hidden_M, gates_M, _, _ = states
    work, other_work = _work(both, n), _work(candidate, n)
    gates, squashed, one, size = work.gates, other_work.gates, numbers.one, (1, gates_M.shape[1], n)
    kept, before = np.empty((3, size[1], n), gates.dtype), np.zeros(size, gates.dtype)
    dstate, dreset = np.zeros(size, gates.dtype), np.zeros(size, gates.dtype)
    for t in range(len(live) - 1, -1, -1):
        rows = min(max(live[t] - b * n, 0), n)
        for u in range(size[1]):
            for m in range(n):
                dstate[0, u, m] += hidden[0, u, t, b, m]
        _copy(kept, gates_M, t, b, rows)
        if t:
            _copy(before, hidden_M, t - 1, b, rows)
        else:
            _fill(before, 0, rows)
        _fill(dreset, 0, rows)
        for u in range(size[1]):
            for m in range(rows):
                new = kept[2, u, m]
                squashed[0, u, m] = dstate[0, u, m] * (one - kept[1, u, m]) * (one - new * new)
        _backward(other, candidate, other_trace, other_slopes, other_work, dreset, t, b, rows)
        for u in range(size[1]):
            for m in range(rows):
                r, z, d = kept[0, u, m], kept[1, u, m], dstate[0, u, m]
                gates[0, u, m] = dreset[0, u, m] * before[0, u, m] * r * (one - r)
                gates[1, u, m] = d * (before[0, u, m] - kept[2, u, m]) * z * (one - z)
                dstate[0, u, m] = d * z + dreset[0, u, m] * r
        _backward(real, both, trace, slopes, work, dstate, t, b, rows)


def blocks(rows: int) -> tuple[int, int]:
    """How many blocks, and of how many rows."""
    count = max(1, -(-rows // BLOCK))
    return count, -(-max(rows, 1) // (count * LANES)) * LANES


def forward(kind: Kind, maps: Sequence[Tables], live: Live) -> tuple[States, list[Trace]]:
    """Run a cell from the zero state: see loops.py."""
    states, traces = new_states(kind, maps[0], live), [new_trace(one, live) for one in maps]
    _every_block(_FORWARD[kind], maps, live, *_parts(maps, traces), _states(states))
    return states, traces


def backward(
    kind: Kind, maps: Sequence[Tables], traces: Sequence[Trace], states: States, live: Live, hidden: Tensor, cell: Tensor
) -> list[Slopes]:
    """The derivatives inside every map: see loops.py."""
    slopes = [new_slopes(one, trace, live) for one, trace in zip(maps, traces, strict=True)]
    given = (hidden[None].numpy(), cell[None, :, None].numpy())
    _every_block(_BACKWARD[kind], maps, live, *_parts(maps, traces), _states(states), *given, *(_arrays(one) for one in slopes))
    return slopes


_FORWARD: dict[Kind, Any] = {"lstm": _lstm_forward, "gru": _gru_forward}
_BACKWARD: dict[Kind, Any] = {"lstm": _lstm_backward, "gru": _gru_backward}


def _every_block(kernel: Any, maps: Sequence[Tables], live: Live, *arguments: Any) -> None:
    """Run a kernel on every block, in as many threads as torch uses."""
    steps, count, rows = maps[0].drive.shape[2:]
    live_T = np.full(steps, count * rows) if live is None else np.array(live, dtype=np.int64)
    numbers, known, began = _numbers(maps[0].drive.dtype), len(kernel.signatures), time.perf_counter()

    def run(block: int) -> None:
        kernel(block, rows, live_T, numbers, *arguments)

    run(0)
    if len(kernel.signatures) > known and (seconds := time.perf_counter() - began) > SLOW:
        _log.warning("compiled a sequence kernel in %.0f s; it is kept on disk for the next time", seconds)
    if (threads := min(torch.get_num_threads(), count - 1)) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(1, count)))
    else:
        for block in range(1, count):
            run(block)


def _parts(maps: Sequence[Tables], traces: Sequence[Trace]) -> list[Any]:
    """Every map as kernels take it: whether its form is `real`, its weights, its trace."""
    found: list[Any] = []
    for one, trace in zip(maps, traces, strict=True):
        signs = one.table.new_empty(1, 0, 0) if one.signs is None else one.signs[None]
        weights = (one.drive, one.hidden, one.table, signs, one.expand, one.bias)
        found += [one.signs is not None, _arrays(weights), _arrays(trace)]
    return found


def _states(states: States) -> tuple[Array, ...]:
    squashed = states.cell[:0] if states.squashed is None else states.squashed
    return _arrays((states.hidden[None], states.gates, states.cell[None], squashed[None]))


def _arrays(tensors: Sequence[Tensor]) -> tuple[Array, ...]:
    return tuple(one.detach().contiguous().numpy() for one in tensors)


@cache
def _numbers(dtype: torch.dtype) -> Numbers:
    of: Any = np.float32 if dtype == torch.float32 else np.float64
    top, terms = (9.1, 13) if dtype == torch.float32 else (19.1, 28)
    over, under = ([of(one) for one in reversed(polynomial)] for polynomial in _convergent(terms))
    return Numbers(of(0.5), of(1), of(top), tuple(over), tuple(under))


def _convergent(terms: int) -> tuple[list[float], list[float]]:
    """tanh(x) / x = 1 / (1 + x^2 / (3 + x^2 / (5 + ...))) up to so many terms, as a ratio of two polynomials in x^2."""
    over, under = [[0], [1]], [[1], [1]]
    for odd in range(3, 2 * terms, 2):
        for found in (over, under):
            found.append([odd * one + two for one, two in zip_longest(found[-1], [0, *found[-2]], fillvalue=0)])
    scale = under[-1][0]
    return [one / scale for one in over[-1]], [one / scale for one in under[-1]]
