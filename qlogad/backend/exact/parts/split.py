"""Split a circuit by what its gates read, so that weight-only work is done once for every row and time step.

Single-wire gates that come before anything else on their wires make a product state from the inputs; the rest splits
into maximal sections that read inputs, and sections that do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlogad.circuit.circuit import Circuit, Gate

__all__ = ["Section", "SplitCircuit", "split"]


@dataclass(frozen=True)
class Section:
    """Neighbouring gates that all read inputs, or all do not."""

    inputs: bool
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class SplitCircuit:
    """A circuit by what its gates read."""

    start: tuple[tuple[Gate, ...], ...]  # for each wire, the gates that make its state from |0> and the inputs
    sections: tuple[Section, ...]


def split(circuit: Circuit) -> SplitCircuit:
    """Split off the product-state start of a circuit and cut the rest into sections."""
    start: list[list[Gate]] = [[] for _ in range(circuit.wires)]
    later: list[Gate] = []
    closed: set[int] = set()  # wires that a later gate has touched
    for gate in circuit.gates:
        if len(gate.wires) == 1 and gate.wires[0] not in closed and not gate.reads("weight"):
            start[gate.wires[0]].append(gate)
        else:
            later.append(gate)
            closed.update(gate.wires)
    sections: list[Section] = []
    for gate in later:
        reads = gate.reads("input")
        if sections and sections[-1].inputs == reads:
            sections[-1] = Section(reads, (*sections[-1].gates, gate))
        else:
            sections.append(Section(reads, (gate,)))
    return SplitCircuit(tuple(tuple(gates) for gates in start), tuple(sections))
