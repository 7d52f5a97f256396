"""Layers as tensors acting on states (G, D, R), with about one torch operation per layer.

All local matrices of a circuit are one matrix product: a chain of three rotations is multilinear in (cos, sin) of their half angles. Local
layers act as Kronecker blocks of a few wires, a permutation is a gather whose derivative is the inverse gather, a diagonal is
exp(i phase) with phases linear in the angles.

Letters beyond the usual: L layers, S rotations in a chain, d = 2^(wires of a block), R columns: basis states, or rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate, pairwise
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Complexes, Floats, Ints
from qlogad.backend.exact.parts.layers import Kind, Layer, block_sizes, in_layers
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import matrix, terms
from qlogad.circuit.readout import bases, is_projector

__all__ = [
    "Affine",
    "Fused",
    "Locals",
    "Phases",
    "Step",
    "Weighted",
    "block_sizes",
    "chain",
    "columns_pair",
    "columns_slopes",
    "kron_tree",
    "matrix_pair",
    "pieces",
    "serving",
    "source",
    "stretches",
    "through",
    "touched",
    "turn",
    "vector_pair",
]

NARROW = 8  # columns: with fewer, a product is computed on transposed states
PIECE = 2**16  # amplitudes that fit in a cache together with their results
LINE = 16  # least columns of a piece: neighbours in memory

Step = Callable[[Tensor], Tensor]  # states (G, D, R) -> states


class Affine:
    """Angles that are linear in inputs or weights: slope_AI, shift_A, from (M, I) to (A, M)."""

    def __init__(self, angles: Sequence[Angle], values: int, like: Tensor, *, scale: float = 1.0) -> None:
        slope_AI = np.zeros((len(angles), values))
        for place, angle in enumerate(angles):
            if angle.source is not None:
                slope_AI[place, angle.index] = scale * angle.scale
        self.slope_AI = torch.from_numpy(slope_AI).to(like)
        self.shift_A1 = torch.tensor([[scale * angle.shift] for angle in angles], dtype=torch.float64).to(like).reshape(-1, 1)

    def __call__(self, values_MI: Tensor) -> Tensor:
        return torch.addmm(self.shift_A1, self.slope_AI, values_MI.mT)


class Phases:
    """The phases of diagonal layers, exp(i phase), from the values that their gates read: (1|G, N, I or P) -> (1|G, E, N).

    Angles are reduced modulo 4 pi, the period of all gates, before they are added up: sums of large angles would lose digits.

    E: the basis states of all layers in turn, equal layers once. A: their angles.
    """

    def __init__(self, diagonals: Sequence[Layer], wires: int, values: int, like: Tensor) -> None:
        chosen = list(dict.fromkeys(diagonals))
        self._which = [chosen.index(layer) for layer in diagonals]
        self._size = 2**wires
        angles = list(dict.fromkeys(angle for layer in chosen for gate in layer.gates for angle in gate.angles))
        self.read = tuple(angles)
        self.angles = Affine(angles, values, like)
        energy_EA, fixed_E = np.zeros((len(chosen) * self._size, len(angles))), np.zeros(len(chosen) * self._size)
        for place, layer in enumerate(chosen):
            states = slice(place * self._size, (place + 1) * self._size)
            for gate in layer.gates:
                if gate.angles:
                    energy_EA[states, angles.index(gate.angles[0])] += _energy(gate, wires)
                else:
                    fixed_E[states] += _energy(gate, wires)
        self._energy_1EA = torch.from_numpy(energy_EA).to(like)[None]
        self._fixed_1E1 = torch.from_numpy(fixed_E).to(like)[None, :, None]

    def __call__(self, values_GNI: Tensor) -> Tensor:
        groups, rows = values_GNI.shape[:2]
        angles_AM = torch.remainder(self.angles(values_GNI.flatten(0, 1)), 4 * math.pi)
        angles_GAN = angles_AM.view(len(angles_AM), groups, rows).transpose(0, 1)
        return torch.baddbmm(self._fixed_1E1, self._energy_1EA.expand(groups, -1, -1), angles_GAN)

    def each(self, tensor_GEN: Tensor) -> list[Tensor]:
        """The part (1|G, D, N) of a tensor for every layer, as views."""
        return [tensor_GEN.narrow(1, place * self._size, self._size) for place in self._which]

    def tables(self) -> tuple[Tensor, Tensor]:
        """For every layer the phases for angles of one radian, (L, D, A) with A as in `read`, and the fixed ones (L, D)."""
        count = len(self._fixed_1E1[0]) // self._size
        energy_CDA = self._energy_1EA.view(count, self._size, len(self.read))
        return energy_CDA[self._which], self._fixed_1E1.view(count, self._size)[self._which]


def turn(phase: Tensor) -> Tensor:
    """exp(i phase)."""
    return torch.complex(torch.cos(phase), torch.sin(phase))


def _energy(gate: Gate, wires: int) -> Floats:
    """The phase that a diagonal gate gives every basis state, for one radian if it has an angle."""
    basis = np.arange(2**wires)
    place = reduce(lambda found, wire: 2 * found + (basis >> (wires - 1 - wire) & 1), gate.wires, 0 * basis)
    phase: Floats = np.angle(matrix(gate.name, 1.0).diagonal())[place]
    return phase


class Locals:
    """The matrices of local layers, (P weights) -> (L, W, G, 2, 2), up to a global phase.

    Args:
        columns: matrices before the first layer, (W, 2, 2).
    """

    def __init__(self, local: Sequence[Layer], wires: int, values: int, columns: Sequence[Complexes], like: Tensor) -> None:
        self._shape = (len(local), wires)
        chains = [[tuple(gate for gate in layer.gates if gate.wires == (wire,)) for wire in range(wires)] for layer in local]
        flat = [chain for layer in chains for chain in layer]
        reading = [[gate for gate in chain if gate.angles] for chain in flat]
        self._rotations = max(map(len, reading))
        still = Angle(None)
        padded = [[gate.angles[0] for gate in gates] + [still] * (self._rotations - len(gates)) for gates in reading]
        self.angles = Affine([angles[place] for place in range(self._rotations) for angles in padded], values, like, scale=0.5)
        before = [*columns, *[np.eye(2, dtype=complex)] * (len(flat) - wires)]
        tables = [_chain(chain, first, self._rotations) for chain, first in zip(flat, before, strict=True)]
        self.table = torch.from_numpy(np.stack(tables)).flatten(2)
        self.table = torch.view_as_real(self.table).flatten(2).to(like)  # (L W, 2^S, 8)

    def __call__(self, weights_GP: Tensor) -> Tensor:
        groups, chains = len(weights_GP), len(self.table)
        half_SAG = self.angles(weights_GP).view(self._rotations, chains, groups)
        trig_SAG2 = torch.stack([torch.cos(half_SAG), torch.sin(half_SAG)], dim=-1)
        found_AGF = kron_tree(trig_SAG2, vector_pair) if self._rotations else weights_GP.new_ones(chains, groups, 1)
        return torch.view_as_complex(torch.bmm(found_AGF, self.table).view(*self._shape, groups, 2, 2, 2))


def _chain(gates: Sequence[Gate], before: Complexes, rotations: int) -> Complexes:
    """A chain as a multilinear function of (cos, sin) of its half angles: (2^S, 2, 2), the first rotation the most significant digit."""
    found = [before]
    for gate in gates:
        part = terms("rz" if gate.name == "phase" else gate.name)  # they differ by a global phase
        kinds = (part.cosine, part.sine) if gate.angles else (part.constant,)
        found = [kind @ one for one in found for kind in kinds]
    padded = np.zeros((2**rotations, 2, 2), dtype=complex)
    padded[:: 2**rotations // len(found)] = found
    return padded


def kron_tree(parts: Tensor, pair: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine along the first axis, in order, as a balanced tree."""
    count = len(parts)
    if count == 1:
        return parts[0]
    if count % 2:
        rest, last = torch.split(parts, [count - 1, 1])
        return pair(kron_tree(rest, pair), last[0])
    return kron_tree(pair(*parts.reshape(count // 2, 2, *parts.shape[1:]).unbind(1)), pair)


def vector_pair(one: Tensor, two: Tensor) -> Tensor:
    """The Kronecker product of (..., a) and (..., b)."""
    return (one[..., :, None] * two[..., None, :]).flatten(-2)


def columns_pair(one: Tensor, two: Tensor) -> Tensor:
    """The Kronecker product of (..., a, N) and (..., b, N), column by column."""
    return (one[..., :, None, :] * two[..., None, :, :]).flatten(-3, -2)


def columns_slopes(parts: Tensor, slope: Tensor) -> Tensor:
    """The gradients of parts (W, ..., d, N), from that of their column-wise product (..., d^W, N)."""
    count = len(parts)
    if count == 1:
        return slope[None]
    if count % 2:
        rest, last = torch.split(parts, [count - 1, 1])
        of_rest, of_last = _pair_slopes(kron_tree(rest, columns_pair), last[0], slope)
        return torch.cat([columns_slopes(rest, of_rest), of_last[None]])
    one, two = parts.view(count // 2, 2, *parts.shape[1:]).unbind(1)
    of_pairs = slope[None] if count == 2 else columns_slopes(columns_pair(one, two), slope)
    return torch.stack(_pair_slopes(one, two, of_pairs), dim=1).flatten(0, 1)


def _pair_slopes(one: Tensor, two: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    apart = slope.view(*one.shape[:-1], *two.shape[-2:])
    of_one = (apart * two.conj()[..., None, :, :]).sum(-2)
    return of_one, (apart * one.conj()[..., :, None, :]).sum(-3)


def matrix_pair(one: Tensor, two: Tensor) -> Tensor:
    """The Kronecker product of (..., a, b) and (..., c, d)."""
    return (one[..., :, None, :, None] * two[..., None, :, None, :]).flatten(-2).flatten(-3, -2)


class _Gather(torch.autograd.Function):
    """A permutation along the second last axis; its derivative is the inverse permutation instead of a scatter-add."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, source: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(source, back)
        return states.index_select(-2, source)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        source, back = ctx.saved_tensors
        return cast(Tensor, _Gather.apply(slopes[0], back, source)), None, None  # type: ignore[no-untyped-call]


def _gather(source: Tensor, back: Tensor, states: Tensor) -> Tensor:
    return cast(Tensor, _Gather.apply(states, source, back))  # type: ignore[no-untyped-call]


def source(gates: Sequence[Gate], wires: int, states: Ints) -> Ints:
    """The origin of basis states under permutations: new[b] = old[source(b)]. For gates in reverse order: their destination."""
    for gate in reversed(gates):
        *others, last = (wires - 1 - wire for wire in gate.wires)
        if gate.name == "swap":
            differ = (states >> others[0] ^ states >> last) & 1
            states = states ^ (differ << others[0]) ^ (differ << last)
        else:
            states = states ^ ((states >> others[0] & 1 if others else 1) << last)
    return states


def through(blocks: Sequence[Tensor | None], sizes: Sequence[int], states_GDR: Tensor, *, own: bool = False) -> Tensor:
    """Kronecker blocks (1 or G, d, d) on all wires in order; None leaves its wires alone.

    Args:
        blocks: one per size.
        sizes: wires of each block.
        states_GDR: contiguous.
        own: states may be overwritten, which avoids new memory if they are large.
    """
    if states_GDR.numel() <= PIECE or torch.is_grad_enabled():
        return chain(blocks, sizes, states_GDR[:, None]).reshape(states_GDR.shape)
    found_GDR = states_GDR if own else torch.empty_like(states_GDR)
    for left, part in stretches(sizes, states_GDR.shape[2]):
        if states_GDR is found_GDR and all(block is None for block in blocks[part]):
            continue
        wires = sum(sizes[part])
        for piece, target in zip(pieces(states_GDR, left, wires), pieces(found_GDR, left, wires), strict=True):
            target.copy_(chain(blocks[part], sizes[part], piece))
        states_GDR = found_GDR
    return found_GDR


def chain(blocks: Sequence[Tensor | None], sizes: Sequence[int], piece_GLDR: Tensor) -> Tensor:
    """The same on the wires of D only, with other wires before and after."""
    groups, left, size, right = shape = piece_GLDR.shape
    right *= size
    for block, wires in zip(blocks, sizes, strict=True):
        right //= 2**wires
        if block is not None:
            piece_GLDR = _product(block, piece_GLDR.reshape(groups, left, 2**wires, right))
        left *= 2**wires
    return piece_GLDR.reshape(shape)


def stretches(sizes: Sequence[int], columns: int) -> list[tuple[int, slice]]:
    """Groups of neighbouring blocks to apply to a piece of states while it is in cache, last group first.

    Each with the number of basis states of the wires before it.
    """
    found = []
    end = len(sizes)
    while end:
        begin = end - 1
        while begin and columns * 2 ** sum(sizes[begin - 1 : end]) <= PIECE:
            begin -= 1
        found.append((2 ** sum(sizes[:begin]), slice(begin, end)))
        end, columns = begin, LINE
    return found


def by_wires(states_GDR: Tensor, left: int, wires: int) -> Tensor:
    """Reshape states to (G, left, d, right): the wires before some wires, those wires, and the wires after them."""
    groups, size, columns = states_GDR.shape
    return states_GDR.view(groups, left, 2**wires, size // left // 2**wires * columns)


def pieces(states_GDR: Tensor, left: int, wires: int) -> Sequence[Tensor]:
    """The same in pieces that fit in a cache, cut so that each holds complete wires."""
    whole = by_wires(states_GDR, left, wires)
    count = max(1, -(-whole.numel() // PIECE))
    return whole.chunk(count, dim=1 if left >= count else 3)


def _product(block_Gdd: Tensor, states_GLdR: Tensor) -> Tensor:
    groups, left, side, right = states_GLdR.shape
    if left == 1:
        return (block_Gdd @ states_GLdR[:, 0])[:, None]
    if right < NARROW:  # one product of tall matrices instead of many with few columns
        rows = states_GLdR.mT.reshape(groups, left * right, side)
        return (rows @ block_Gdd.mT).view(groups, left, right, side).mT
    return block_Gdd[:, None] @ states_GLdR


@dataclass(frozen=True, eq=False)
class Weighted:
    """A circuit with its weights, cut at its uploads."""

    wires_WG22: Tensor  # the first local layer including the columns before it, wire by wire
    blocks: Sequence[Tensor]  # the same as Kronecker blocks (G, d, d)
    segments: list[list[Step]]  # the layers after it, between uploads


class Fused:
    """A circuit cut at its uploads, for one precision and device.

    Args:
        circuit: provides wires, inputs, weights and readout.
        gates: the gates after the start of the wires.
        columns: each wire's start (2, 2), a function of (cos a/2, sin a/2), or of (1, 0).
        like: a real tensor of the wanted precision and device.

    `uploads` are the diagonals between segments. The means are sums of |amplitude|^2 with `signs_DK`, D the basis states of every
    measurement basis in turn: the last segment rotates the state to each basis.
    """

    def __init__(self, circuit: Circuit, gates: tuple[Gate, ...], columns: Sequence[Complexes], like: Tensor) -> None:
        wires, self._layered = circuit.wires, in_layers(circuit, gates)
        kept, ends = self._layered.layers, self._layered.ends
        signs_DK = _signs(circuit.readout, bases(circuit.readout))
        for layer in self._layered.moved:
            signs_DK[source(layer.gates, wires, np.arange(2**wires))] = signs_DK.copy()
        self.signs_DK = torch.from_numpy(signs_DK).to(like)
        self.complex = torch.complex64 if like.dtype == torch.float32 else torch.complex128
        self._sizes = block_sizes(wires)
        of_kind = {kind: [layer for layer in kept if layer.kind == kind] for kind in get_args(Kind)}
        self.uploads = Phases(of_kind["upload"], wires, circuit.inputs, like)
        self._locals = Locals([*of_kind["local"], *ends], wires, circuit.weights, columns, like)
        self._diagonals = Phases(of_kind["diagonal"], wires, circuit.weights, like) if of_kind["diagonal"] else None
        sources = [source(layer.gates, wires, np.arange(2**wires)) for layer in of_kind["permutation"]]
        self._gathers = [
            partial(_gather, *(torch.from_numpy(one).to(like.device) for one in (found, found.argsort()))) for found in sources
        ]

    def __call__(self, weights_GP: Tensor) -> Weighted:
        """Do the weight-only work."""
        matrices_LWG22 = self._locals(weights_GP)
        parts = torch.split(matrices_LWG22.transpose(0, 1), self._sizes)
        local = iter(zip(*(kron_tree(part, matrix_pair).unbind(0) for part in parts), strict=True))
        diagonals, gathers = iter(self._turns(weights_GP)), iter(self._gathers)
        weighted = Weighted(matrices_LWG22[0], next(local), [[]])
        for layer in self._layered.layers[1:]:
            if layer.kind == "upload":
                weighted.segments.append([])
            elif layer.kind == "local":
                weighted.segments[-1].append(partial(through, self._needed(layer, next(local)), self._sizes))
            elif layer.kind == "permutation":
                weighted.segments[-1].append(next(gathers))
            else:
                weighted.segments[-1].append(partial(torch.mul, next(diagonals)))
        if self._layered.ends:
            turns = [partial(through, self._needed(layer, next(local)), self._sizes) for layer in self._layered.ends]
            weighted.segments[-1].append(lambda states_GDR: torch.cat([turn(states_GDR) for turn in turns], dim=1))
        return weighted

    def _turns(self, weights_GP: Tensor) -> list[Tensor]:
        """The diagonals that read weights, (G, D, 1)."""
        return self._diagonals.each(turn(self._diagonals(weights_GP[:, None]))) if self._diagonals else []

    def _needed(self, layer: Layer, blocks: Sequence[Tensor]) -> list[Tensor | None]:
        """The blocks of a layer; None for blocks without gates."""
        return [block if one else None for block, one in zip(blocks, touched(layer.gates, self._sizes), strict=True)]


def touched(gates: Sequence[Gate], sizes: Sequence[int]) -> list[bool]:
    """Which blocks, of the given numbers of wires, have single-wire gates."""
    edges = [0, *accumulate(sizes)]
    return [any(low <= gate.wires[0] < high for gate in gates) for low, high in pairwise(edges)]


def _signs(words: Sequence[str], axes: Sequence[str]) -> Floats:
    """The signs of every basis state of every measurement basis, (D, K): each word is read in the first basis that covers it."""
    wires = len(words[0])
    basis = np.arange(2**wires)
    signs = np.zeros((len(axes), len(basis), len(words)))
    for k, word in enumerate(words):
        if is_projector(word):
            signs[axes.index(serving("Z" * wires, axes)), int(word, 2), k] = 1
            continue
        bits = [basis >> (wires - 1 - wire) & 1 for wire, letter in enumerate(word) if letter != "I"]
        signs[axes.index(serving(word, axes)), :, k] = 1 - 2 * (sum(bits, 0 * basis) % 2)
    return signs.reshape(-1, len(words))


def serving(word: str, axes: Sequence[str]) -> str:
    """The first measurement basis that covers a Pauli word."""
    return next(axis for axis in axes if all(letter in ("I", along) for letter, along in zip(word, axis, strict=True)))
