"""Matrices of gates, batched over circuits and rows, and their application to state vectors.

Letters beyond the usual: A gates side by side, d = 2^(wires of a gate), D = 2^W amplitudes, wire 0 the most significant bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from qlogad.circuit.circuit import Gate
from qlogad.circuit.gates import terms

__all__ = ["Angles", "Matrices", "Step", "apply", "kron_vectors", "merge"]

Step = tuple[tuple[int, ...], Tensor]  # wires, and the matrix on them


class Angles:
    """The angles of some gates, from the inputs or the weights they read: scale * values[index] + shift, radians."""

    def __init__(self, gates: Sequence[Gate], like: Tensor) -> None:
        angles = [angle for gate in gates for angle in gate.angles]
        self._index = torch.tensor([angle.index for angle in angles], dtype=torch.long, device=like.device)
        self._scale = like.new_tensor([angle.scale for angle in angles])
        self._shift = like.new_tensor([angle.shift for angle in angles])
        self._straight = all(angle.scale == 1 and angle.shift == 0 for angle in angles)
        self._all = [angle.index for angle in angles]

    def __call__(self, values: Tensor) -> Tensor:
        """(..., I or P) -> (..., A)."""
        picked = values if self._all == list(range(values.shape[-1])) else values.index_select(-1, self._index)
        return picked if self._straight else picked * self._scale + self._shift


@dataclass(frozen=True, eq=False)
class _Group:
    """Gates of one size and one source, so that their matrices are computed at once."""

    places: tuple[int, ...]  # their positions in the original list
    angles: Angles | None  # None if they read nothing
    frequency: Tensor  # (A,)
    constant: Tensor  # (A, d, d), or its first columns (A, d)
    cosine: Tensor
    sine: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        if self.angles is None:
            return self.constant
        angle = self.angles(values) * self.frequency
        angle = angle.reshape(*angle.shape, *[1] * (self.constant.ndim - 1))
        return self.constant + torch.cos(angle) * self.cosine + torch.sin(angle) * self.sine


class Matrices:
    """The matrices of some gates that read one source (inputs, or weights) or nothing.

    Args:
        gates: in any order; their matrices come back in this order.
        like: a real tensor of the wanted precision and device.
        column: only the first column of each, the state that the gate prepares from |0...0>.
    """

    def __init__(self, gates: Sequence[Gate], like: Tensor, *, column: bool = False) -> None:
        self._count = len(gates)
        kinds: dict[tuple[int, bool], list[int]] = {}
        for place, gate in enumerate(gates):
            bound = any(angle.source is not None for angle in gate.angles)
            kinds.setdefault((len(gate.wires), bound), []).append(place)
        self._groups = [self._group(gates, places, bound, like, column) for (_, bound), places in kinds.items()]

    @staticmethod
    def _group(gates: Sequence[Gate], places: list[int], bound: bool, like: Tensor, column: bool) -> _Group:
        chosen = [gates[place] for place in places]
        dtype = torch.complex64 if like.dtype == torch.float32 else torch.complex128
        parts = [terms(gate.name) for gate in chosen]
        constant, cosine, sine = (
            torch.stack([torch.from_numpy(getattr(part, name)) for part in parts]) for name in ("constant", "cosine", "sine")
        )
        frequency = torch.tensor([part.frequency for part in parts], dtype=torch.float64)
        if not bound:
            shift = torch.tensor([sum(angle.shift for angle in gate.angles) for gate in chosen], dtype=torch.float64) * frequency
            constant = constant + torch.cos(shift)[:, None, None] * cosine + torch.sin(shift)[:, None, None] * sine
        constant, cosine, sine = (
            (tensor[..., 0] if column else tensor).to(like.device, dtype).contiguous() for tensor in (constant, cosine, sine)
        )
        return _Group(tuple(places), Angles(chosen, like) if bound else None, frequency.to(like), constant, cosine, sine)

    def __call__(self, values: Tensor) -> list[Tensor]:
        """Values (..., I or P) -> one (..., d, d) per gate, or (..., d) for columns; no leading axes for gates that read nothing."""
        found: list[Tensor] = [values] * self._count
        for group in self._groups:
            axis = group.constant.ndim
            for place, matrix in zip(group.places, group(values).unbind(-axis), strict=True):
                found[place] = matrix
        return found


def merge(gates: Sequence[Gate], matrices: Sequence[Tensor], *, base: int = 2) -> list[Step]:
    """The same in fewer steps: gates on single wires are merged into the next gate on that wire; see `apply` for `base`."""
    steps: list[Step] = []
    waiting: dict[int, Tensor] = {}
    for gate, given in zip(gates, matrices, strict=True):
        matrix, wires = given, gate.wires
        if len(wires) == 1:
            waiting[wires[0]] = matrix @ waiting[wires[0]] if wires[0] in waiting else matrix
            continue
        if any(wire in waiting for wire in wires):
            idle = torch.eye(base, dtype=matrix.dtype, device=matrix.device)
            matrix = matrix @ reduce(_kron, (waiting.pop(wire, idle) for wire in wires))
        steps.append((wires, matrix))
    return steps + [((wire,), matrix) for wire, matrix in waiting.items()]


def _kron(one: Tensor, two: Tensor) -> Tensor:
    """The Kronecker product of (..., a, a) and (..., b, b)."""
    return (one[..., :, None, :, None] * two[..., None, :, None, :]).flatten(-2).flatten(-3, -2)


def apply(psi_GND: Tensor, matrix: Tensor, wires: tuple[int, ...], count: int, *, base: int = 2) -> Tensor:
    """A gate's matrix (..., d, d), its leading axes broadcast against (G, N), on some of `count` wires.

    A wire has `base` numbers: 2 amplitudes, or the 4 Pauli means of a mixed state.
    """
    batch = psi_GND.shape[:2]
    order = sorted(wires)
    edges = [0, *(wire + 1 for wire in order)]
    between = [base ** (wire - edge) for wire, edge in zip(order, edges, strict=False)]
    shape = [size for gap in between for size in (gap, base)] + [base ** (count - edges[-1])]
    axes = [3 + 2 * order.index(wire) for wire in wires]  # the axes of the gate's wires in psi
    rest = [axis for axis in range(2, 2 + len(shape)) if axis not in axes]
    forth = [0, 1, *rest[:-1], *axes, rest[-1]]
    psi = psi_GND.reshape(*batch, *shape).permute(forth)
    moved = psi.shape
    psi = matrix[..., None, :, :] @ psi.reshape(*batch, *_flat(moved[2:], len(wires), base))
    batch = psi.shape[:2]
    back = [forth.index(axis) for axis in range(len(forth))]
    return psi.reshape(*batch, *moved[2:]).permute(back).reshape(*batch, base**count)


def _flat(shape: Sequence[int], wires: int, base: int) -> tuple[int, int, int]:
    """Collapse axes (before ..., gate's wires ..., after) to three."""
    return math.prod(shape[: -1 - wires]), base**wires, shape[-1]


def kron_vectors(vectors: Sequence[Tensor]) -> Tensor:
    """The product state (..., 2^k) of k vectors (..., 2), the first the most significant, as a balanced tree."""
    level = list(vectors)
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [reduce(lambda one, two: (one[..., :, None] * two[..., None, :]).flatten(-2), pair) for pair in pairs]
    return level[0]
