"""Gates and channels in the Pauli basis: real matrices R[i, j] = Tr(P_i E(P_j)) / d.  Greenbaum (2015), arXiv:1509.02921.

Every parameterized gate of the table is a product of Pauli rotations, each affine in (1, cos a, sin a). So a chain of fixed gates and
up to three rotations is one constant table times a Kronecker product of those features, and many chains are one batched product.
Words are numbered by their letters I, X, Y, Z as digits, the first wire the most significant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from itertools import product

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Complexes, Floats
from qlogad.backend.exact.parts.matrices import kron_vectors
from qlogad.circuit.circuit import Angle, Gate
from qlogad.circuit.gates import GATES, matrix, pauli
from qlogad.circuit.readout import is_projector

__all__ = [
    "LETTERS",
    "PIECE",
    "ZERO",
    "AngleFeatures",
    "Chain",
    "ChainPiece",
    "Chains",
    "Monomials",
    "kron",
    "mean_of",
    "pulled",
    "transfer_of_kraus",
]


LETTERS = "IXYZ"
ZERO = np.array([[1.0], [0.0], [0.0], [1.0]])  # means of I, X, Y, Z for a wire in state 0
PIECE = 3  # rotations in one table: 27 features; with more, the table costs more than a product of two


def transfer_of_kraus(kraus: Sequence[Complexes]) -> Floats:
    """The transfer matrix (4^n, 4^n) of a channel on n wires; a unitary is a channel with one Kraus operator.

    Args:
        kraus: its Kraus operators, (2^n, 2^n) each.

    >>> transfer_of_kraus([np.diag([1, -1])]).astype(int).diagonal().tolist()
    [1, -1, -1, 1]
    """
    size = len(kraus[0])
    words = np.array([pauli("".join(letters)) for letters in product(LETTERS, repeat=size.bit_length() - 1)])
    moved = sum(np.einsum("ab,jbc,dc->jad", one, words, one.conj()) for one in kraus)
    found: Floats = np.einsum("iab,jba->ij", words, moved).real / size
    return found


def kron(one: Floats, two: Floats) -> Floats:
    """The Kronecker product of two matrices."""
    found: Floats = np.multiply.outer(one, two).swapaxes(1, 2).reshape(len(one) * len(two), -1)
    return found


def mean_of(letter: str) -> Floats:
    """The weights of a readout's letter on the means of I, X, Y, Z, (4,); the letters 0 and 1 are (I +- Z) / 2.

    >>> mean_of("Y").tolist(), mean_of("1").tolist()
    ([0.0, 0.0, 1.0, 0.0], [0.5, 0.0, 0.0, -0.5])
    """
    row: Floats = np.array([0.5, 0.0, 0.0, 0.5 - int(letter)]) if letter in "01" else np.eye(4)[LETTERS.index(letter)]
    return row


def pulled(word: str, gate: Gate) -> tuple[str, int] | None:
    """Pull a readout back through a gate: (word, sign) with the same mean before the gate; None if that takes several words.

    Fixed Clifford gates pull every Pauli word back to one, a rotation those it commutes with; gates that permute basis states
    pull a projector back to one. Gottesman (1998), quant-ph/9807006.

    >>> pulled("IZ", Gate("cx", (0, 1))), pulled("XI", Gate("rx", (0,), (Angle("weight"),))), pulled("ZI", Gate("h", (0,)))
    (('ZZ', 1), ('XI', 1), ('XI', 1))
    """
    # one radian stands for any angle: a rotation that commutes there commutes at every angle
    angle = 1.0 if any(angle.source for angle in gate.angles) else sum(angle.shift for angle in gate.angles)
    letters = "".join(word[wire] for wire in gate.wires)
    found = _pulled(gate.name, angle, letters)
    if found is None:
        return None
    changed = list(word)
    for wire, letter in zip(gate.wires, found[0], strict=True):
        changed[wire] = letter
    return "".join(changed), found[1]


@cache
def _pulled(name: str, angle: float, letters: str) -> tuple[str, int] | None:
    unitary = matrix(name, angle)
    if is_projector(letters):
        chances = np.abs(unitary[int(letters, 2)]) ** 2  # for each basis state before, the probability to end in this one
        place = int(chances.argmax())
        return (f"{place:0{len(letters)}b}", 1) if math.isclose(chances[place], 1, abs_tol=1e-12) else None
    row = transfer_of_kraus([unitary])[_number(letters)]
    place = int(np.abs(row).argmax())
    return (_word(place, len(letters)), round(row[place])) if math.isclose(abs(row[place]), 1, abs_tol=1e-12) else None


def _number(letters: str) -> int:
    return reduce(lambda number, letter: 4 * number + LETTERS.index(letter), letters, 0)


def _word(number: int, wires: int) -> str:
    return "".join(LETTERS[number // 4**wire % 4] for wire in reversed(range(wires)))


@dataclass(frozen=True, eq=False)
class ChainPiece:
    """At most PIECE rotations and any fixed gates: the matrix is the sum over f of feature f times table f."""

    angles: tuple[Angle, ...]
    table: Floats  # (3^angles, r, c); the first angle is the most significant digit of f


@dataclass(frozen=True, eq=False)
class Chain:
    """Successive gates on the same one or two wires, as a matrix: rows @ the product of transfer matrices @ columns."""

    wires: tuple[int, ...]
    gates: tuple[Gate, ...]  # in order of time
    rows: Floats | None = None  # (r, 4^wires); None: all rows
    columns: Floats | None = None  # (4^wires, c)

    def pieces(self) -> list[ChainPiece]:
        """The matrix as a product, the first piece rightmost."""
        found: list[ChainPiece] = []
        angles: list[Angle] = []
        begin = np.eye(4 ** len(self.wires)) if self.columns is None else self.columns
        table = begin[None]
        for gate in self.gates:
            for part, angle in _factors(gate):
                if angle is not None and len(angles) == PIECE:
                    found.append(ChainPiece(tuple(angles), table))
                    angles, table = [], np.eye(4 ** len(self.wires))[None]
                placed = np.array([_placed(one, gate.wires, self.wires) for one in part])
                table = np.einsum("gij,fjk->fgik", placed, table).reshape(-1, *table.shape[1:])
                angles += [] if angle is None else [angle]
        rows = np.eye(4 ** len(self.wires)) if self.rows is None else self.rows
        return [*found, ChainPiece(tuple(angles), rows @ table)]


def _factors(gate: Gate) -> Iterator[tuple[Floats, Angle | None]]:
    """The factors of a gate: a matrix (1, ., .), or a rotation (3, ., .) with its angle."""
    kind = GATES[gate.name]
    if not any(angle.source for angle in gate.angles):
        yield transfer_of_kraus([matrix(gate.name, sum(angle.shift for angle in gate.angles))])[None], None
        return
    (angle,) = gate.angles
    if not kind.controls:
        yield _rotation(kind.word or "Z"), angle  # `phase` is a z-rotation up to a global phase
        return
    # a controlled rotation is a rotation about P and an inverse rotation about ZP, each by half the angle
    half = replace(angle, scale=angle.scale / 2, shift=angle.shift / 2)
    yield _rotation("I" + kind.word), half
    yield _rotation("Z" + kind.word), -half


@cache
def _rotation(word: str) -> Floats:
    """The transfer matrix of a rotation about a word: its coefficients of 1, cos a, sin a."""
    size = 2 ** len(word)
    none, quarter, half = (
        transfer_of_kraus([np.cos(angle / 2) * np.eye(size) - 1j * np.sin(angle / 2) * pauli(word)])
        for angle in (0, np.pi / 2, np.pi)
    )
    constant = (none + half) / 2
    parts: Floats = np.array([constant, (none - half) / 2, quarter - constant]).round(12)  # entries are 0, 1 and -1
    return parts


def _placed(one: Floats, wires: tuple[int, ...], among: tuple[int, ...]) -> Floats:
    """Embed a transfer matrix on its wires into the wires of a chain."""
    if wires == among:
        return one
    if len(wires) == 2:
        turned: Floats = one.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
        return turned
    return kron(one, np.eye(4)) if wires[0] == among[0] else kron(np.eye(4), one)


class AngleFeatures:
    """(1, cos a, sin a) of some angles."""

    def __init__(self, angles: Sequence[Angle], like: Tensor) -> None:
        self._index = torch.tensor([angle.index for angle in angles], dtype=torch.long, device=like.device)
        # one cosine gives all three: 1 = cos 0 and sin a = cos(a - pi/2)
        self._scale = like.new_tensor([[0, angle.scale, angle.scale] for angle in angles])
        self._shift = like.new_tensor([[0, angle.shift, angle.shift - math.pi / 2] for angle in angles])
        self._all = [angle.index for angle in angles]

    def __call__(self, values: Tensor) -> Tensor:
        """(..., I or P) -> (..., A, 3)."""
        picked = values if self._all == list(range(values.shape[-1])) else values.index_select(-1, self._index)
        return torch.cos(torch.addcmul(self._shift, picked[..., None], self._scale))


class Monomials:
    """The products of features in tables: 3^m of them, m the largest number of angles; angles that a table lacks come first."""

    def __init__(self, angles: Sequence[tuple[Angle, ...]], like: Tensor) -> None:
        self.most = max(map(len, angles), default=0)
        self._count = len(angles)
        # a missing angle reads any value, since its cosine and sine have weight zero
        padded = [(*own, *[Angle(None)] * (self.most - len(own))) for own in angles]
        self._features = AngleFeatures([own[digit] for digit in range(self.most) for own in padded], like)

    def table(self, piece: ChainPiece) -> Floats:
        """A piece's table on these monomials, (3^m, r, c)."""
        table = np.zeros((3**self.most, *piece.table.shape[1:]))
        table[:: 3 ** (self.most - len(piece.angles))] = piece.table
        return table

    def __call__(self, values: Tensor) -> Tensor:
        """(..., I or P) -> (tables, ..., 3^m); leading axes have size one if there is no angle."""
        if not self.most:
            return values.new_ones(self._count, *(1,) * values.ndim)
        features = self._features(values)
        wide = features.view(*values.shape[:-1], self.most, self._count, 3)
        return kron_vectors(wide.unbind(-3)).movedim(-2, 0)


class Chains:
    """The matrices of many chains that read one source, computed together.

    Args:
        chains: in any order; their matrices come back in this order.
        like: a real tensor of the wanted precision and device.
    """

    def __init__(self, chains: Sequence[Chain], like: Tensor) -> None:
        pieces = [(place, part, piece) for place, chain in enumerate(chains) for part, piece in enumerate(chain.pieces())]
        shapes = list(dict.fromkeys(piece.table.shape[1:] for *_, piece in pieces))
        pieces.sort(key=lambda found: shapes.index(found[2].table.shape[1:]))
        self._monomials = Monomials([piece.angles for *_, piece in pieces], like)
        self._groups = []  # by shape, (pieces, 3^m, r, c)
        for shape in shapes:
            tables = [self._monomials.table(piece) for *_, piece in pieces if piece.table.shape[1:] == shape]
            self._groups.append(torch.from_numpy(np.array(tables)).to(like))
        self._order: list[list[int]] = [[] for _ in chains]  # the positions of each chain's pieces, last in time first
        for at, (place, _, _) in sorted(enumerate(pieces), key=lambda found: -found[1][1]):
            self._order[place].append(at)

    def __call__(self, values: Tensor) -> list[Tensor]:
        """Values (..., P or I) -> for each chain (..., r, c); leading axes have size one if no chain has an angle."""
        if not self._order:
            return []
        monomials = self._monomials(values)
        batch = monomials.shape[1:-1]
        found: list[Tensor] = []
        sizes = [len(group) for group in self._groups]
        for group, part in zip(self._groups, torch.split(monomials.flatten(1, -2), sizes), strict=True):
            found += torch.bmm(part, group.flatten(2)).view(len(group), *batch, *group.shape[2:]).unbind(0)
        return [reduce(torch.matmul, [found[at] for at in order]) for order in self._order]
