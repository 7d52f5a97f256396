"""A canonical form of circuits, up to the order of commuting gates and the numbering of weights.

Two gates commute if they share no wire, or act on every shared wire along the same Pauli axis: controls and diagonal gates along Z,
rx and the target of cx along X, ry and the target of cy along Y. Circuits of equal form are equal functions of equally many free
weights; the converse need not hold.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import GATES

__all__ = ["canonical", "commute"]

_AXES = {"x": "X", "sx": "X", "sxdg": "X", "y": "Y", "z": "Z", "s": "Z", "sdg": "Z", "t": "Z", "tdg": "Z", "phase": "Z"}
_AXES |= {"cx": "ZX", "cy": "ZY", "cz": "ZZ"}
_SYMMETRIC = frozenset({"cz", "swap", "rxx", "ryy", "rzz"})  # gates symmetric in their wires


@cache
def _axes(name: str) -> str:
    """The Pauli axis of a gate on each of its wires; "" for none."""
    kind = GATES[name]
    return "Z" * kind.controls + kind.word if kind.word else _AXES.get(name, "")


def commute(one: Gate, two: Gate) -> bool:
    """Whether two gates are known to commute, whatever their angles.

    >>> commute(Gate("cz", (0, 1)), Gate("crx", (0, 2), (Angle("weight"),)))
    True
    """
    shared = set(one.wires) & set(two.wires)
    if not shared:
        return True
    first, second = _axes(one.name), _axes(two.name)
    return bool(first and second) and all(first[one.wires.index(w)] == second[two.wires.index(w)] for w in shared)


def canonical(circuit: Circuit) -> Circuit:
    """The circuit with gates in canonical order and weights numbered by first use; a dephased circuit is returned unchanged.

    >>> a = Circuit(2, (Gate("h", (1,)), Gate("x", (0,))), ("ZI",), 0, 0)
    >>> canonical(a) == canonical(Circuit(2, (Gate("x", (0,)), Gate("h", (1,))), ("ZI",), 0, 0))
    True
    """
    if circuit.dephased:
        return circuit
    gates = [replace(gate, wires=tuple(sorted(gate.wires))) if gate.name in _SYMMETRIC else gate for gate in circuit.gates]
    after = [
        {j for j in range(k) if not commute(gates[j], gates[k])} for k in range(len(gates))
    ]  # the gates that must precede each gate
    number: dict[int, int] = {}  # the new number of each weight met so far
    ordered: list[Gate] = []
    waiting = set(range(len(gates)))
    while waiting:
        free = [k for k in sorted(waiting) if not after[k] & waiting]
        first = min(free, key=lambda k: _key(gates[k], number))
        waiting.remove(first)
        for angle in gates[first].angles:
            if angle.source == "weight":
                number.setdefault(angle.index, len(number))
        ordered.append(replace(gates[first], angles=tuple(_renumbered(angle, number) for angle in gates[first].angles)))
    for weight in range(circuit.weights):  # weights that no gate reads
        number.setdefault(weight, len(number))
    twins = tuple(sorted((number[one], number[two]) for one, two in circuit.twins))
    return replace(circuit, gates=tuple(ordered), twins=twins)


def _renumbered(angle: Angle, number: dict[int, int]) -> Angle:
    return replace(angle, index=number[angle.index]) if angle.source == "weight" else angle


def _key(gate: Gate, number: dict[int, int]) -> tuple[object, ...]:
    """Sort key: wires, name and angles; weights not numbered yet come last."""
    angles = [
        (str(a.source), number.get(a.index, len(number)) if a.source == "weight" else a.index, a.scale, a.shift)
        for a in gate.angles
    ]
    return (gate.wires, gate.name, angles)
