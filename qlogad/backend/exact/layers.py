"""A circuit as few layers: Kronecker products of single-wire matrices, permutations of the basis, and diagonals.

Every two-wire gate of the table is a permutation or a diagonal between fixed single-wire gates, as CRX = H CRZ H on its last wire, and so
is every gate that reads an input (Nielsen and Chuang, section 4.2): nothing else is needed.

    RY ─ CRX ─ RY          local    RY, H RY
    RY ── @ ── RY          diagonal CRZ            local    RY, RY H
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Literal

from qlogad.circuit.circuit import Gate
from qlogad.circuit.gates import GATES

__all__ = ["ROTATIONS", "Kind", "Layer", "axis_change", "layers"]

Kind = Literal["local", "permutation", "diagonal", "upload"]

ROTATIONS = 3  # that a local layer holds on a wire: any single-wire unitary

_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}  # what turns an axis into Z, in order
_PERMUTATIONS = ("x", "cx", "swap")
_DIAGONALS = ("z", "s", "sdg", "t", "tdg", "rz", "phase", "cz", "crz", "rzz")
_DIAGONAL_OF = {"rx": "rz", "ry": "rz", "crx": "crz", "cry": "crz", "rxx": "rzz", "ryy": "rzz", "cy": "cx"}


@dataclass(frozen=True)
class Layer:
    """Neighbouring gates of one kind, in order.

    local: single-wire gates that read no input, at most ROTATIONS with an angle on each wire.
    permutation: x, cx and swap.
    diagonal: gates that are diagonal and read no input.
    upload: gates that are diagonal and read inputs.
    """

    kind: Kind
    gates: tuple[Gate, ...]


@lru_cache(maxsize=256)
def layers(gates: tuple[Gate, ...], wires: int) -> tuple[Layer, ...]:
    """The same circuit in few layers, each gate in the earliest that can hold it.

    Args:
        gates: of the table, on any of the wires.
        wires: how many there are.

    >>> from qlogad.circuit.design import assemble
    >>> circuit = assemble("angle-y", "strongly-entangling", wires=4, depth=2, reupload=True)
    >>> [layer.kind for layer in layers(circuit.gates, 4)]
    ['local', 'upload', 'local', 'permutation', 'local', 'upload', 'local', 'permutation']
    """
    found: list[tuple[Kind, list[Gate]]] = []
    last = [-1] * wires  # layer on each wire, and the last of them that is not diagonal
    mixed = [-1] * wires
    for gate in chain.from_iterable(map(_parts, gates)):
        kinds = _kinds(gate)
        diagonal = gate.name in _DIAGONALS
        begin = max(0, *((mixed if diagonal else last)[wire] for wire in gate.wires))
        place = next((one for one in range(begin, len(found)) if _holds(found[one], gate, kinds)), len(found))
        if place == len(found):
            found.append((kinds[0], []))
        found[place][1].append(gate)
        for wire in gate.wires:
            last[wire] = max(last[wire], place)
            if found[place][0] in ("local", "permutation"):
                mixed[wire] = max(mixed[wire], place)
    return tuple(Layer(kind, tuple(held)) for kind, held in found)


def axis_change(axis: str, wire: int) -> tuple[Gate, ...]:
    """The fixed gates that turn an axis, X, Y or Z, into Z; none where it is I."""
    return tuple(Gate(name, (wire,)) for name in _TO_Z.get(axis, ()))


def _parts(gate: Gate) -> Iterator[Gate]:
    """A gate as those that layers are made of."""
    if gate.name not in _DIAGONAL_OF or (len(gate.wires) == 1 and not gate.reads("input")):
        yield gate
        return
    kind = GATES[gate.name]
    turned = ("sdg",) if gate.name == "cy" else _TO_Z[kind.word[0]]
    changed = gate.wires[kind.controls :]
    yield from (Gate(name, (wire,)) for name in turned for wire in changed)
    yield Gate(_DIAGONAL_OF[gate.name], gate.wires, gate.angles)
    yield from (Gate(name, (wire,)).inverse() for name in reversed(turned) for wire in changed)


def _kinds(gate: Gate) -> tuple[Kind, ...]:
    """The kinds of layer that can hold a gate, the one to open first."""
    if gate.reads("input"):
        return ("upload",)
    own: tuple[Kind, ...] = ("diagonal",) if gate.name in _DIAGONALS else ("permutation",) if gate.name in _PERMUTATIONS else ()
    return ("local", *own) if len(gate.wires) == 1 else own


def _holds(layer: tuple[Kind, list[Gate]], gate: Gate, kinds: Sequence[Kind]) -> bool:
    kind, held = layer
    if kind != "local" or not gate.angles:
        return kind in kinds
    return kind in kinds and sum(bool(one.angles) for one in held if one.wires == gate.wires) < ROTATIONS
