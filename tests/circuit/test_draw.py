"""Drawings show every gate on its wires, once, in an order that can be read back."""

import re

import pytest

from qlogad.circuit.circuit import Circuit
from qlogad.circuit.draw import draw
from qlogad.circuit.encoding import assemble
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit


@pytest.mark.parametrize("seed", range(12))
def test_every_wire_shows_its_gates_in_order(seed):
    circuit = random_circuit(generator(seed, "draw"), wires=1 + seed % 5)
    lines = [line for line in draw(circuit, width=10**6).splitlines() if "─" in line]
    assert len(lines) == circuit.wires
    for wire, line in enumerate(lines):
        marks = [mark for mark in re.split("[─┼]+", line.partition(": ")[2]) if mark.strip()]
        expected = [_mark(gate, wire) for gate in circuit.gates if wire in gate.wires]
        assert [re.match("[^(]*", mark).group() for mark in marks] == expected


def _mark(gate, wire):
    if gate.name[0] == "c":
        return "●" if wire == gate.wires[0] else {"cx": "⊕"}.get(gate.name, gate.name[1:])
    return {"swap": "×"}.get(gate.name, gate.name)


@pytest.mark.parametrize("seed", range(6))
def test_wires_between_a_pair_are_crossed(seed):
    circuit = random_circuit(generator(seed, "crossing"), wires=4)
    crossings = sum(max(gate.wires) - min(gate.wires) - 1 for gate in circuit.gates if len(gate.wires) == 2)
    links = sum(max(gate.wires) - min(gate.wires) for gate in circuit.gates if len(gate.wires) == 2)
    text = draw(circuit, width=10**6)
    assert text.count("┼") == crossings
    assert text.count("│") == links


def test_long_circuits_wrap_and_lose_nothing():
    circuit = assemble("angle-y", "strongly-entangling", 4, 3)
    wide, narrow = draw(circuit, width=10**6), draw(circuit, width=60)
    assert max(map(len, narrow.splitlines())) <= 60
    for pattern in (r"w\d+", r"x\d+", "●", "⊕", "⟨Z⟩"):
        assert sorted(re.findall(pattern, wide)) == sorted(re.findall(pattern, narrow))


def test_bare_wires_and_other_readouts():
    assert draw(Circuit(2, (), ("XI", "ZZ"), 0, 0)).splitlines()[-1] == "reads ⟨XI⟩ ⟨ZZ⟩"
    assert len(draw(Circuit(1, (), ("Z",), 0, 0)).splitlines()) == 1
