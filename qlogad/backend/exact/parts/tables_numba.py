"""The weight-only layers of a circuit, multiplied into matrices and differentiated, compiled: see tables.py.

A state is a matrix (D, R) of real and imaginary parts, its columns innermost. The backward pass stores no states: it undoes the layers,
which are unitary, while it propagates the gradient lam (Jones, Gacon (2020), arXiv:2009.02823):

    psi = M x      gradient of M: lam x^+      of x: M^+ lam
    psi = exp(i phase) x                    of the phase: Im(lam psi*)

All computations are in double precision, regardless of the precision of the weights.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from qlogad.arrays import Numbers
from qlogad.jit import compiled

__all__ = ["DIAGONAL", "LOCAL", "PERMUTATION", "CircuitArrays", "backward", "forward"]


LOCAL = 0
PERMUTATION = 1
DIAGONAL = 2


class CircuitArrays(NamedTuple):
    """A circuit as arrays; C chains of rotations, one for each local layer and wire, S rotations in each."""

    wires: int
    layers: Numbers  # (layers, 2): the kind, and the number among those of its kind
    cuts: Numbers  # (segments + 1,): segment s consists of the layers from cuts[s] to cuts[s + 1]
    ends: Numbers  # the local layers that rotate the state to each measurement basis; -1 if none is needed
    start: Numbers  # (2, D, R): the argument of the first segment, real and imaginary parts; the others act on the identity
    touched: Numbers  # (C,): whether the chain has gates
    slope: Numbers  # (S C, P) and
    shift: Numbers  # (S C,): half the angles of the chains
    table: Numbers  # (C, 2^S, 8): each chain's matrix as a multilinear function of (cos, sin) of the halves
    sources: Numbers  # (permutations, D)
    angle_slope: Numbers  # (A, P) and
    angle_shift: Numbers  # (A,): angles of the diagonals
    energy: Numbers  # (diagonals, D, A) and
    fixed: Numbers  # (diagonals, D): their phases


@compiled
def _chains(program: Any, weights: Numbers) -> tuple[Numbers, Numbers]:
    """The products of (cos, sin) of every chain (C, 2^S), and its matrix (C, 8)."""
    count, size, _ = program.table.shape
    half = program.shift.copy()
    if len(half):
        half += np.dot(program.slope, weights)
    trig, matrices = np.empty((count, size)), np.zeros((count, 8))
    for c in range(count):
        trig[c, 0] = 1
        done = 1
        for s in range(len(half) // count - 1, -1, -1):
            cosine, sine = math.cos(half[s * count + c]), math.sin(half[s * count + c])
            for x in range(done):
                trig[c, done + x] = trig[c, x] * sine
                trig[c, x] *= cosine
            done *= 2
        for f in range(size):
            for e in range(8):
                matrices[c, e] += trig[c, f] * program.table[c, f, e]
    return trig, matrices


@compiled
def _phases(program: Any, weights: Numbers) -> Numbers:
    """(diagonals, D)"""
    phases: Numbers = program.fixed.copy()
    if program.energy.size > 0:
        angles = np.dot(program.angle_slope, weights) + program.angle_shift
        angles -= 4 * math.pi * np.floor(angles / (4 * math.pi))
        for d in range(len(phases)):
            phases[d] += np.dot(program.energy[d], angles)
    return phases


@compiled
def _turn(state: Numbers, matrix: Numbers, bit: int, back: bool) -> None:
    """Apply a matrix, or its inverse, to one wire."""
    a, b, c, d, e, f, g, h = matrix
    if back:
        b, c, d, e, f, h = -b, e, -f, c, -d, -h
    re, im = state
    for low in range(len(re)):
        if not low & bit:
            high = low | bit
            for r in range(re.shape[1]):
                x, y, z, w = re[low, r], im[low, r], re[high, r], im[high, r]
                re[low, r] = a * x - b * y + c * z - d * w
                im[low, r] = a * y + b * x + c * w + d * z
                re[high, r] = e * x - f * y + g * z - h * w
                im[high, r] = e * y + f * x + g * w + h * z


@partial(compiled, regroup=True)
def _outer(found: Numbers, lam: Numbers, state: Numbers, bit: int) -> None:
    """Add the gradient of a matrix on one wire."""
    (lre, lim), (re, im) = lam, state
    for low in range(len(re)):
        if not low & bit:
            high = low | bit
            for out, one in enumerate((low, high)):
                a, b, c, d = 0.0, 0.0, 0.0, 0.0
                for r in range(re.shape[1]):
                    a += lre[one, r] * re[low, r] + lim[one, r] * im[low, r]
                    b += lim[one, r] * re[low, r] - lre[one, r] * im[low, r]
                    c += lre[one, r] * re[high, r] + lim[one, r] * im[high, r]
                    d += lim[one, r] * re[high, r] - lre[one, r] * im[high, r]
                found[4 * out] += a
                found[4 * out + 1] += b
                found[4 * out + 2] += c
                found[4 * out + 3] += d


@compiled
def _local(program: Any, matrices: Numbers, layer: int, state: Numbers, back: bool) -> None:
    bit, wire = state.shape[1] // 2, 0
    while bit:
        chain = layer * program.wires + wire
        if program.touched[chain]:
            _turn(state, matrices[chain], bit, back)
        bit, wire = bit // 2, wire + 1


@compiled
def _local_slope(program: Any, matrices: Numbers, layer: int, state: Numbers, lam: Numbers, dmatrices: Numbers) -> None:
    """Undo a local layer, propagate the gradient, and add that of the matrices."""
    bit, wire = 1, program.wires - 1
    while wire >= 0:
        chain = layer * program.wires + wire
        if program.touched[chain]:
            _turn(state, matrices[chain], bit, True)
            _outer(dmatrices[chain], lam, state, bit)
            _turn(lam, matrices[chain], bit, True)
        bit, wire = 2 * bit, wire - 1


@compiled
def _shift(state: Numbers, phases: Numbers, sign: float) -> None:
    """Multiply by exp(i sign phase)."""
    re, im = state
    for b in range(len(re)):
        cosine, sine = math.cos(phases[b]), sign * math.sin(phases[b])
        for r in range(re.shape[1]):
            x, y = re[b, r], im[b, r]
            re[b, r], im[b, r] = x * cosine - y * sine, x * sine + y * cosine


@compiled
def _move(state: Numbers, source: Numbers, back: bool) -> None:
    old = state.copy()
    for part in range(2):
        for b in range(len(source)):
            if back:
                state[part, source[b]] = old[part, b]
            else:
                state[part, b] = old[part, source[b]]


@compiled
def _through(program: Any, matrices: Numbers, phases: Numbers, segment: int, state: Numbers) -> None:
    for layer in range(program.cuts[segment], program.cuts[segment + 1]):
        kind, which = program.layers[layer]
        if kind == LOCAL:
            _local(program, matrices, which, state, False)
        elif kind == PERMUTATION:
            _move(state, program.sources[which], False)
        else:
            _shift(state, phases[which], 1.0)


@compiled
def _back(
    program: Any,
    matrices: Numbers,
    phases: Numbers,
    segment: int,
    state: Numbers,
    lam: Numbers,
    dmatrices: Numbers,
    dphases: Numbers,
) -> None:
    for layer in range(program.cuts[segment + 1] - 1, program.cuts[segment] - 1, -1):
        kind, which = program.layers[layer]
        if kind == LOCAL:
            _local_slope(program, matrices, which, state, lam, dmatrices)
        elif kind == PERMUTATION:
            _move(state, program.sources[which], True)
            _move(lam, program.sources[which], True)
        else:
            for b in range(state.shape[1]):
                for r in range(state.shape[2]):
                    dphases[which, b] += lam[1, b, r] * state[0, b, r] - lam[0, b, r] * state[1, b, r]
            _shift(state, phases[which], -1.0)
            _shift(lam, phases[which], -1.0)


@compiled
def _begin(program: Any, segment: int) -> Numbers:
    start: Numbers = program.start
    if segment == 0:
        return start.copy()
    state = np.zeros((2, start.shape[1], start.shape[1]))
    for b in range(state.shape[1]):
        state[0, b, b] = 1
    return state


@compiled
def forward(program: Any, weights_GP: Numbers, first: Numbers, later: Numbers) -> None:
    """Fill the matrices, real and imaginary parts: first (G, 2, D or M, R) and later (segments - 1, G, 2, M, D).

    M: basis states of all measurement bases in turn if the segment is the last one; otherwise only D of them are filled.
    """
    size, segments = program.start.shape[1], len(program.cuts) - 1
    for g in range(len(weights_GP)):
        _, matrices = _chains(program, weights_GP[g])
        phases = _phases(program, weights_GP[g])
        for segment in range(segments):
            state = _begin(program, segment)
            _through(program, matrices, phases, segment, state)
            out = first[g] if segment == 0 else later[segment - 1, g]
            if segment < segments - 1:
                out[:, :size] = state
                continue
            for place, end in enumerate(program.ends):
                turned = state.copy()
                if end >= 0:
                    _local(program, matrices, end, turned, False)
                out[:, place * size : (place + 1) * size] = turned


@compiled
def backward(program: Any, weights_GP: Numbers, first: Numbers, later: Numbers) -> Numbers:
    """The gradients of the weights, from those of the matrices."""
    size, segments = program.start.shape[1], len(program.cuts) - 1
    count = len(program.touched)
    found = np.zeros(weights_GP.shape)
    for g in range(len(weights_GP)):
        trig, matrices = _chains(program, weights_GP[g])
        phases = _phases(program, weights_GP[g])
        dmatrices, dphases = np.zeros((count, 8)), np.zeros(phases.shape)
        for segment in range(segments):
            state = _begin(program, segment)
            _through(program, matrices, phases, segment, state)
            slope = first[g] if segment == 0 else later[segment - 1, g]
            lam = slope[:, :size].copy()
            if segment == segments - 1:
                for place, end in enumerate(program.ends):
                    part = slope[:, place * size : (place + 1) * size].copy()
                    if end >= 0:
                        _local(program, matrices, end, part, True)
                    lam = part if place == 0 else lam + part
            _back(program, matrices, phases, segment, state, lam, dmatrices, dphases)
        dhalf = _half_slopes(program.table, trig, dmatrices, len(program.shift))
        if len(dhalf):
            found[g] = np.dot(program.slope.T, dhalf)
        for d in range(len(phases)):
            found[g] += np.dot(program.angle_slope.T, np.dot(program.energy[d].T, dphases[d]))
    return found


@compiled
def _half_slopes(table: Numbers, trig: Numbers, dmatrices: Numbers, angles: int) -> Numbers:
    """The gradients of half the angles of all chains: cos -> -sin, sin -> cos."""
    count, size, _ = table.shape
    found, slopes = np.zeros(angles), np.empty(size)
    for c in range(count):
        for f in range(size):
            total = 0.0
            for e in range(8):
                total += table[c, f, e] * dmatrices[c, e]
            slopes[f] = total
        step = size
        for s in range(angles // count):
            step //= 2
            for high in range(0, size, 2 * step):
                for x in range(high, high + step):
                    found[s * count + c] += slopes[x + step] * trig[c, x] - slopes[x] * trig[c, x + step]
    return found
