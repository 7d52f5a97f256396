"""Sums over the basis with the signs of Z words, and their transposes: readouts, and the phases of diagonal gates.

A Z word is a mask of wires, its sign on a basis state b is (-1)^(bits of b under the mask). Signs are products over two halves of the
wires, so that tables stay small even for large states.

Letters beyond the usual: H, L basis states of the upper and lower wires, D = H L; R columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Complexes, Floats, Ints
from qlogad.backend.exact.parts.fused import PIECE, kron_tree, matrix_pair, serving, source, through, touched
from qlogad.backend.exact.parts.layers import LayeredCircuit, block_sizes
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import matrix
from qlogad.circuit.readout import bases, is_projector

__all__ = ["Measurement", "Signs"]

TABLE = 11  # wires: up to this width one table suffices
ALL = slice(None)


class Signs:
    """The signs of K masks, each times a factor, on all basis states.

    Args:
        masks: wire 0 is the most significant bit.
        factors: one per mask.
        wires: their number.
        like: a real tensor of the wanted precision and device.
    """

    def __init__(self, masks: Sequence[int], factors: Sequence[float], wires: int, like: Tensor) -> None:
        low = 0 if wires <= TABLE else wires // 2
        every = np.array(masks, dtype=np.int64)
        self.high_HK = torch.from_numpy(_table(every >> low, wires - low)).to(like)
        self.low_LK = torch.from_numpy(_table(every & ((1 << low) - 1), low) * np.array(factors)).to(like)
        self._whole_DK = self.high_HK * self.low_LK if not low else None

    def parts(self, columns: int) -> list[slice]:
        """All basis states, in order, in pieces that fit in a cache."""
        low, size = len(self.low_LK), len(self.high_HK) * len(self.low_LK)
        step = size if self._whole_DK is not None else low * max(1, PIECE // (low * max(1, columns)))
        return [slice(begin, min(begin + step, size)) for begin in range(0, size, step)]

    def sums(self, values_GDR: Tensor, part: slice = ALL) -> Tensor:
        """(G, D, R) -> (G, K, R); for one of the parts, its contribution."""
        if self._whole_DK is not None:
            return self._whole_DK.mT @ values_GDR
        groups, size, columns = values_GDR.shape
        low, high_hK = len(self.low_LK), self._upper(part)
        parts_GKC = high_hK.mT @ values_GDR.reshape(groups, size // low, low * columns)
        parts_GKLR = parts_GKC.view(groups, self.high_HK.shape[1], len(self.low_LK), columns)
        return (parts_GKLR * self.low_LK.mT[:, :, None]).sum(2)

    def spread(self, values_GKR: Tensor, part: slice = ALL) -> Tensor:
        """The transpose, (G, K, R) -> (G, D, R); or one part of it."""
        if self._whole_DK is not None:
            return self._whole_DK @ values_GKR
        groups, words, columns = values_GKR.shape
        parts_GKC = (values_GKR[:, :, None] * self.low_LK.mT[:, :, None]).reshape(groups, words, len(self.low_LK) * columns)
        return (self._upper(part) @ parts_GKC).view(groups, -1, columns)

    def _upper(self, part: slice) -> Tensor:
        low = len(self.low_LK)
        return self.high_HK if part == ALL else self.high_HK[part.start // low : part.stop // low]


def _table(masks_K: Ints, wires: int) -> Floats:
    """(-1)^(bits of b under mask), (2^W, K)."""
    odd = np.bitwise_count(np.arange(2**wires)[:, None] & masks_K) & 1
    signs: Floats = 1.0 - 2.0 * odd
    return signs


class Measurement:
    """The readouts of a circuit from its states after `layered.layers`, and the gradient of the states from that of the readouts."""

    def __init__(self, circuit: Circuit, layered: LayeredCircuit, like: Tensor) -> None:
        axes = bases(circuit.readout)
        ends = [layer.gates for layer in layered.ends] or [()]
        along = [serving("Z" * circuit.wires if is_projector(word) else word, axes) for word in circuit.readout]
        chosen = [[place for place, axis in enumerate(along) if axis == one] for one in axes]
        self._axes = [
            _Axis([circuit.readout[place] for place in places], turn, layered, circuit.wires, like)
            for places, turn in zip(chosen, ends, strict=True)
        ]
        order = [places[one] for places, axis in zip(chosen, self._axes, strict=True) for one in axis.order]
        self._order = None if order == sorted(order) else torch.tensor(order, device=like.device)
        self._back = None if self._order is None else self._order.argsort()

    def means(self, states_GDN: Tensor) -> Tensor:
        """(G, N, K), real."""
        found_GKN = torch.cat([axis.means(states_GDN) for axis in self._axes], dim=1)
        return (found_GKN if self._back is None else found_GKN.index_select(1, self._back)).mT

    def slope(self, states_GDN: Tensor, slope_GNK: Tensor) -> Tensor:
        """The gradient of the states (G, D, N): 2 sum_k slope_k O_k psi."""
        slope_GKN = slope_GNK.mT if self._order is None else slope_GNK.mT.index_select(1, self._order)
        parts = torch.split(slope_GKN, [axis.words for axis in self._axes], dim=1)
        first, *others = (axis.slope(states_GDN, part) for axis, part in zip(self._axes, parts, strict=True))
        for other in others:
            first += other
        return first


class _Axis:
    """The words read in one measurement basis: Z words and projectors, after the states are rotated."""

    def __init__(self, words: Sequence[str], turn: Sequence[Gate], layered: LayeredCircuit, wires: int, like: Tensor) -> None:
        self._sizes, self._turn = block_sizes(wires), _turn(turn, wires, like)
        plain = [place for place, word in enumerate(words) if not is_projector(word)]
        projectors = [place for place, word in enumerate(words) if is_projector(word)]
        self.order, self.words = [*plain, *projectors], len(words)
        masks = [int("".join("0" if letter == "I" else "1" for letter in words[place]), 2) for place in plain]
        factors, states = [1.0] * len(plain), np.array([int(words[place], 2) for place in projectors], dtype=np.int64)
        for layer in layered.moved:
            masks, factors = _moved(masks, factors, layer.gates, wires)
            states = source(layer.gates, wires, states)
        self._signs = Signs(masks, factors, wires, like) if plain else None
        self._states = torch.from_numpy(states).to(like.device) if projectors else None
        self._plain = len(plain)

    def means(self, states_GDN: Tensor) -> Tensor:
        """(G, k, N), in `order`."""
        turned = through(self._turn, self._sizes, states_GDN)
        parts_GDR = torch.view_as_real(turned).flatten(2)  # R: real and imaginary parts of each row
        found = []
        if self._signs is not None:
            parts = self._signs.parts(parts_GDR.shape[2])
            found.append(reduce(torch.add, [self._signs.sums(parts_GDR[:, part].square(), part) for part in parts]))
        if self._states is not None:
            found.append(parts_GDR.index_select(1, self._states).square())
        every_GKR = torch.cat(found, dim=1)
        return every_GKR.view(*every_GKR.shape[:2], states_GDN.shape[-1], 2).sum(-1)

    def slope(self, states_GDN: Tensor, slope_GKN: Tensor) -> Tensor:
        turned = through(self._turn, self._sizes, states_GDN)
        plain, projected = torch.split(slope_GKN, [self._plain, self.words - self._plain], dim=1)
        if self._signs is None:
            slope_GDN = torch.zeros_like(turned)
        else:
            slope_GDN = torch.empty_like(turned)
            for part in self._signs.parts(turned.shape[2]):
                torch.mul(self._signs.spread(2 * plain, part), turned[:, part], out=slope_GDN[:, part])
        if self._states is not None:
            slope_GDN.index_add_(1, self._states, 2 * projected * turned.index_select(1, self._states))
        return through([None if one is None else one.mH for one in self._turn], self._sizes, slope_GDN, own=True)


def _turn(gates: Sequence[Gate], wires: int, like: Tensor) -> list[Tensor | None]:
    """Fixed gates on single wires as Kronecker blocks (1, d, d)."""
    matrices: list[Complexes] = [np.eye(2, dtype=complex)] * wires
    for gate in gates:
        matrices[gate.wires[0]] = matrix(gate.name) @ matrices[gate.wires[0]]
    dtype = torch.complex64 if like.dtype == torch.float32 else torch.complex128
    stack = torch.from_numpy(np.stack(matrices)).to(like.device, dtype)[:, None]
    sizes = block_sizes(wires)
    blocks = [kron_tree(part, matrix_pair) for part in torch.split(stack, sizes)]
    return [block if one else None for block, one in zip(blocks, touched(gates, sizes), strict=True)]


def _moved(masks: Sequence[int], factors: Sequence[float], gates: Sequence[Gate], wires: int) -> tuple[list[int], list[float]]:
    """Z words before a permutation, which is affine in the bits: b goes to B b + u, so mask m becomes B^T m with the sign of m on u."""
    goes = source(gates[::-1], wires, np.array([0, *(1 << bit for bit in range(wires))]))
    offset, columns = int(goes[0]), [int(one ^ goes[0]) for one in goes[1:]]
    found = [sum(_odd(mask & column) << bit for bit, column in enumerate(columns)) for mask in masks]
    return found, [-factor if _odd(mask & offset) else factor for mask, factor in zip(masks, factors, strict=True)]


def _odd(mask: int) -> int:
    return mask.bit_count() & 1
