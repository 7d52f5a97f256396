"""A circuit as few layers: Kronecker products of single-wire matrices, permutations of the basis, and diagonals.

Every two-wire gate of the table is a permutation or a diagonal between fixed single-wire gates, as CRX = H CRZ H on its last wire, and so
is every gate that reads an input (Nielsen and Chuang, section 4.2): no other kind of layer is needed.

    RY ─ CRX ─ RY          local    RY, H RY
    RY ── @ ── RY          diagonal CRZ            local    RY, RY H
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Literal

from qlogad import documents
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases

__all__ = ["ROTATIONS", "Kind", "Layer", "LayeredCircuit", "axis_change", "block_sizes", "in_layers", "layers", "operations"]

Kind = Literal["local", "permutation", "diagonal", "upload"]

ROTATIONS = 3  # per wire in a local layer: enough for any single-wire unitary

NARROW = 10  # wires: up to this width, the number of torch operations matters more than that of multiplications
BLOCK, WIDE_BLOCK = 5, 4  # most wires of a Kronecker block, up to that width and beyond it

_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}  # the gates that rotate an axis to Z, in order
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

    def __post_init__(self) -> None:
        documents.enforce(self)


@dataclass(frozen=True)
class LayeredCircuit:
    """A circuit in layers, up to what its readouts depend on."""

    layers: tuple[Layer, ...]  # the first is local, though it may hold no gate
    moved: tuple[Layer, ...]  # final permutations, last first: they act on the readouts' signs instead
    ends: tuple[Layer, ...]  # local: one per measurement basis, if there are several

    def kinds(self) -> list[list[Kind]]:
        """The kinds of layers between uploads, without the first."""
        uploads = [place for place, layer in enumerate(self.layers) if layer.kind == "upload"]
        edges = pairwise([0, *uploads, len(self.layers)])
        found: list[list[Kind]] = [[layer.kind for layer in self.layers[begin + 1 : end]] for begin, end in edges]
        found[-1] += [layer.kind for layer in self.ends]
        return found


@lru_cache(maxsize=256)
def in_layers(circuit: Circuit, gates: tuple[Gate, ...]) -> LayeredCircuit:
    """The layers of some gates, followed by the rotation of each measurement basis of a circuit's readout to Z.

    Layers without effect on readouts are omitted: diagonals at the end.
    """
    axes = bases(circuit.readout)
    turns = [tuple(gate for wire, axis in enumerate(word) for gate in axis_change(axis, wire)) for word in axes]
    several = len(axes) > 1
    kept = list(layers(gates if several else gates + turns[0], circuit.wires))
    moved = []
    while not several and kept and kept[-1].kind != "local":
        last = kept.pop()
        if last.kind == "permutation":
            moved.append(last)
    if not kept or kept[0].kind != "local":
        kept.insert(0, Layer("local", ()))
    return LayeredCircuit(tuple(kept), tuple(moved), tuple(Layer("local", turn) for turn in turns) if several else ())


def block_sizes(wires: int) -> list[int]:
    """Divide wires into blocks of nearly equal size."""
    count = -(-wires // (BLOCK if wires <= NARROW else WIDE_BLOCK))
    return [(wires + place) // count for place in range(count)]


def operations(kinds: Sequence[Kind], wires: int) -> float:
    """Floating-point operations of layers on one state."""
    local = 8 * sum(2**size for size in block_sizes(wires))
    return float(2**wires * sum(local if kind == "local" else 6 for kind in kinds))


@lru_cache(maxsize=256)
def layers(gates: tuple[Gate, ...], wires: int) -> tuple[Layer, ...]:
    """The same circuit in few layers, each gate in the earliest layer that can hold it.

    Args:
        gates: of the table, on any of the wires.
        wires: their number.

    >>> from qlogad.circuit.encoding import assemble
    >>> circuit = assemble("angle-y", "strongly-entangling", wires=4, depth=2, reupload=True)
    >>> [layer.kind for layer in layers(circuit.gates, 4)]
    ['local', 'upload', 'local', 'permutation', 'local', 'upload', 'local', 'permutation']
    """
    found: list[tuple[Kind, list[Gate]]] = []
    last = [-1] * wires  # for each wire, its last layer, and its last layer that is not diagonal
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
    """The fixed gates that rotate an axis, X, Y or Z, to Z; none for I."""
    return tuple(Gate(name, (wire,)) for name in _TO_Z.get(axis, ()))


def _parts(gate: Gate) -> Iterator[Gate]:
    """Decompose a gate into gates that layers can hold."""
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
    """The kinds of layer that can hold a gate, the preferred one first."""
    if gate.reads("input"):
        return ("upload",)
    own: tuple[Kind, ...] = ("diagonal",) if gate.name in _DIAGONALS else ("permutation",) if gate.name in _PERMUTATIONS else ()
    return ("local", *own) if len(gate.wires) == 1 else own


def _holds(layer: tuple[Kind, list[Gate]], gate: Gate, kinds: Sequence[Kind]) -> bool:
    kind, held = layer
    if kind != "local" or not gate.angles:
        return kind in kinds
    return kind in kinds and sum(bool(one.angles) for one in held if one.wires == gate.wires) < ROTATIONS
