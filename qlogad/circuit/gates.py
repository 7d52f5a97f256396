"""The gate table: the definition of every gate, as data. Nielsen and Chuang, chapter 4; names as in OpenQASM 3's standard library.

A fixed gate is its matrix. A rotation by a (radians) is exp(-i a P / 2) for a Pauli word P; `phase` is diag(1, exp(i a)).
A controlled gate acts on its last wire if the first is 1. The first wire of a gate is the most significant bit of its matrix.
"""

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np

from qlogad.arrays import Complexes

__all__ = ["GATES", "MACROS", "GateKind", "Terms", "matrix", "pauli", "terms"]


@dataclass(frozen=True)
class GateKind:
    """One row of the gate table."""

    wires: int
    angles: int = 0
    controls: int = 0  # number of leading wires that are controls
    word: str = ""  # the Pauli word of a rotation, on the target wires
    entries: tuple[tuple[complex, ...], ...] = ()  # the matrix of a fixed gate, on the target wires
    inverse: str = ""  # the inverse of a fixed gate; a rotation is inverted by the opposite angle
    alone: str = ""  # the single-wire rotation that replaces a two-wire rotation when entanglement is removed


_H = 1 / sqrt(2)
_T = complex(_H, _H)
_X = ((0, 1), (1, 0))
_Y = ((0, -1j), (1j, 0))
_Z = ((1, 0), (0, -1))
_SX = ((0.5 + 0.5j, 0.5 - 0.5j), (0.5 - 0.5j, 0.5 + 0.5j))
_SXDG = ((0.5 - 0.5j, 0.5 + 0.5j), (0.5 + 0.5j, 0.5 - 0.5j))
_SWAP = ((1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1))

GATES: dict[str, GateKind] = {
    "h": GateKind(1, entries=((_H, _H), (_H, -_H)), inverse="h"),
    "x": GateKind(1, entries=_X, inverse="x"),
    "y": GateKind(1, entries=_Y, inverse="y"),
    "z": GateKind(1, entries=_Z, inverse="z"),
    "s": GateKind(1, entries=((1, 0), (0, 1j)), inverse="sdg"),
    "sdg": GateKind(1, entries=((1, 0), (0, -1j)), inverse="s"),
    "t": GateKind(1, entries=((1, 0), (0, _T)), inverse="tdg"),
    "tdg": GateKind(1, entries=((1, 0), (0, _T.conjugate())), inverse="t"),
    "sx": GateKind(1, entries=_SX, inverse="sxdg"),
    "sxdg": GateKind(1, entries=_SXDG, inverse="sx"),
    "rx": GateKind(1, 1, word="X"),
    "ry": GateKind(1, 1, word="Y"),
    "rz": GateKind(1, 1, word="Z"),
    "phase": GateKind(1, 1),
    "cx": GateKind(2, controls=1, entries=_X, inverse="cx"),
    "cy": GateKind(2, controls=1, entries=_Y, inverse="cy"),
    "cz": GateKind(2, controls=1, entries=_Z, inverse="cz"),
    "swap": GateKind(2, entries=_SWAP, inverse="swap"),
    "crx": GateKind(2, 1, controls=1, word="X", alone="rx"),
    "cry": GateKind(2, 1, controls=1, word="Y", alone="ry"),
    "crz": GateKind(2, 1, controls=1, word="Z", alone="rz"),
    "rxx": GateKind(2, 1, word="XX", alone="rx"),
    "ryy": GateKind(2, 1, word="YY", alone="ry"),
    "rzz": GateKind(2, 1, word="ZZ", alone="rz"),
}

MACROS: dict[str, tuple[str, ...]] = {"rot": ("rz", "ry", "rz")}  # single-wire gates that a design writes as one row


@dataclass(frozen=True, eq=False)
class Terms:
    """A gate with an angle a as constant + cos(frequency a) cosine + sin(frequency a) sine."""

    constant: Complexes
    cosine: Complexes
    sine: Complexes
    frequency: float


def pauli(word: str) -> Complexes:
    """The matrix of a Pauli word; its first letter is the most significant bit.

    >>> pauli("ZI").diagonal().real.astype(int).tolist()
    [1, 1, -1, -1]
    """
    letters = {"I": ((1, 0), (0, 1)), "X": _X, "Y": _Y, "Z": _Z}
    result: Complexes = np.eye(1, dtype=complex)
    for letter in word:
        result = np.kron(result, np.array(letters[letter], dtype=complex))
    return result


@cache
def terms(name: str) -> Terms:
    """A gate's matrices, (2^wires, 2^wires) each; a fixed gate has neither cosine nor sine."""
    kind = GATES[name]
    size = 2**kind.wires
    if name == "phase":
        return Terms(np.diag([1.0 + 0j, 0]), np.diag([0, 1.0 + 0j]), np.diag([0, 1j]), 1.0)
    inner = pauli(kind.word) if kind.word else np.array(kind.entries, dtype=complex)
    on = np.zeros((size, size), dtype=complex)  # the block in which every control is 1
    on[-len(inner) :, -len(inner) :] = inner
    where = np.zeros((size, size), dtype=complex)
    where[-len(inner) :, -len(inner) :] = np.eye(len(inner))
    idle = np.eye(size, dtype=complex) - where
    return Terms(idle, where, -1j * on, 0.5) if kind.word else Terms(idle + on, 0 * on, 0 * on, 0.0)


def matrix(name: str, angle: float = 0.0) -> Complexes:
    """The unitary of a gate, (2^wires, 2^wires); `angle` in radians.

    >>> matrix("rx", np.pi).imag.round().astype(int).tolist()
    [[0, -1], [-1, 0]]
    """
    part = terms(name)
    result: Complexes = part.constant + np.cos(part.frequency * angle) * part.cosine + np.sin(part.frequency * angle) * part.sine
    return result
