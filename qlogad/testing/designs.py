"""Laws of every circuit design."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from qlogad.backend.backend import open_backend
from qlogad.backend.exact.jacobian import live_weights
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.design import Design, Role
from qlogad.circuit.draw import draw
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.errors import DesignError
from qlogad.seeds import generator
from qlogad.testing.circuits import means_and_gradients, random_values, refused_with

__all__ = ["check_design"]


def check_design(
    name: str | Path,
    role: Role,
    *,
    widths: Sequence[int] = range(1, 7),
    depths: Sequence[int] = range(4),
    thorough: bool = False,
) -> None:
    """Hold a design file to its contract; an AssertionError says which law it breaks.

    Args:
        name: its name, or the path of a file.
        role: "ansatz" or "encoding".
        widths: the numbers of wires to try; a design may refuse some of them, if it says how many it needs.
        depths: the numbers of layers to try.
        thorough: compare the simulators at every depth, which takes the most time, rather than at one depth of each width.

    >>> check_design("separable", "ansatz", widths=[2], depths=[1])
    """
    design = Design.load(name, role)
    possible = [wires for wires in widths if _fits(design, wires)]
    assert possible, f"{design.name} builds at none of the widths {list(widths)}"
    for wires in possible:
        for depth in depths:
            circuit = design.build(wires, depth)
            _well_formed(design, circuit)
            _draws(circuit)
            _saves(design, circuit, depth)
            if thorough or depth == depths[wires % len(depths)]:
                _agrees(circuit, f"{design.name} on {wires} wires, depth {depth}")
                _comes_back(circuit)
    for wires, count in design.check.weights:
        plain = replace(design, init="uniform")  # an identity block has twice the weights that its rows give
        found = plain.build(wires, 1).weights - plain.build(wires, 0).weights
        assert found == count, f"{design.name} has {found} weights per layer on {wires} wires, and states {count}"
    for wires, count in design.check.live_weights:
        circuit, encoding = assemble(design.check.encoding, str(name), wires, 1), Encoding.load(design.check.encoding)
        found = live_weights(circuit, generator(0, "check_design", wires), encoding=encoding)
        assert found == count, f"{design.name} has {found} live weights on {wires} wires, and states {count}"


def _fits(design: Design, wires: int) -> bool:
    refusal = refused_with(partial(design.build, wires, 1), DesignError)
    assert refusal is None or "needs" in refusal, f"{design.name} refuses {wires} wires without saying how many it needs: {refusal}"
    return refusal is None


def _well_formed(design: Design, circuit: Circuit) -> None:
    read = {(angle.source, angle.index) for gate in circuit.gates for angle in gate.angles}
    assert {index for source, index in read if source == "weight"} == set(range(circuit.weights)), (
        f"{design.name} has weights it never uses"
    )
    assert design.role == "ansatz" or circuit.weights == 0, f"{design.name} is an encoding with weights"
    assert circuit.inverse().inverse() == circuit, f"{design.name}: undoing twice is not doing"
    alone = circuit.without_entanglement()
    assert all(len(gate.wires) == 1 for gate in alone.gates), f"{design.name}: entanglement is left"
    used = {angle for gate in alone.gates for angle in gate.angles}
    assert used == {angle for gate in circuit.gates for angle in gate.angles}, f"{design.name}: removing entanglement loses angles"


def _draws(circuit: Circuit) -> None:
    lines = draw(circuit, width=10**6).splitlines()
    wires = [line for line in lines if "─" in line]
    assert len(wires) == circuit.wires, "a drawing has one line per wire"
    assert len({len(line) for line in wires}) == 1, "a drawing's lines end together"


def _saves(design: Design, circuit: Circuit, depth: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.toml"
        design.save(path, {"by": "check_design"})
        again = Design.load(path, design.role)
    assert again == design, f"{design.name} does not survive saving"
    copy = again.build(circuit.wires, depth)
    assert (copy, hash(copy), copy.digest()) == (circuit, hash(circuit), circuit.digest()), f"{design.name} is rebuilt differently"


def _agrees(circuit: Circuit, what: str) -> None:
    """Every simulator gives the same readouts, and those that differentiate the same gradients, to 1e-9, for random weights and inputs."""
    fed = circuit if circuit.inputs else _encoded(circuit)  # on |0...0> alone many gates do nothing
    state = generator(0, "check_design", circuit.digest()).bit_generator.state
    exact, other = (means_and_gradients(open_backend(spec), fed, random_state=state) for spec in ("exact", "pennylane"))
    for one, two in zip(exact, other, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9, msg=lambda text: f"{what}: exact and pennylane differ: {text}")
    weights_GP, inputs_GNI = random_values(fed, generator(0, "check_design", circuit.digest()))
    found = open_backend("qiskit").bind(fed, weights_GP[:1])(inputs_GNI[:1, :1])
    torch.testing.assert_close(
        exact[0][:1, :1], found, rtol=0, atol=1e-9, msg=lambda text: f"{what}: exact and qiskit differ: {text}"
    )


def _comes_back(circuit: Circuit) -> None:
    """OpenQASM 3, Qiskit's and PennyLane's circuits give the circuit back."""
    from qlogad.backend.pennylane import from_qnode, to_qnode
    from qlogad.backend.qiskit import from_qasm, from_qiskit, to_qasm, to_qiskit

    returned = {
        "OpenQASM 3": from_qasm(to_qasm(circuit)),
        "Qiskit": from_qiskit(to_qiskit(circuit)),
        "PennyLane": from_qnode(to_qnode(circuit), {"weights": circuit.weights}, inputs=circuit.inputs),
    }
    for what, back in returned.items():
        same = (back.gates, back.readout, back.inputs, back.weights)
        assert same == (circuit.gates, circuit.readout, circuit.inputs, circuit.weights), (
            f"a circuit comes back changed from {what}"
        )


def _encoded(circuit: Circuit) -> Circuit:
    first = Circuit(
        circuit.wires,
        tuple(Gate("ry", (wire,), (Angle("input", wire),)) for wire in range(circuit.wires)),
        circuit.readout,
        circuit.wires,
        0,
    )
    return first.then(circuit)
