"""Laws of every circuit design, at several widths and depths."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch

from qlogad.backend.backend import open_backend
from qlogad.backend.exact.live_weights import live_weights
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.design import Design, Role
from qlogad.circuit.draw import draw
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.errors import DesignError
from qlogad.seeds import generator
from qlogad.testing.circuits import means_and_gradients, random_values
from qlogad.testing.laws import Laws, Tell, refusal

__all__ = ["check_design"]


LAWS = Laws["Subject"]()


def check_design(
    name: str | Path,
    role: Role,
    *,
    tell: Tell | None = None,
    widths: Sequence[int] = range(1, 7),
    depths: Sequence[int] = range(4),
    thorough: bool = False,
) -> None:
    """Check a design file against its contract.

    Args:
        name: its name, or the path of a file.
        role: "ansatz" or "encoding".
        tell: called with the outcome of each law; None: the first broken law raises an error.
        widths: the numbers of wires to try; a design may refuse some of them, if it says how many it needs.
        depths: the numbers of layers to try.
        thorough: compare the simulators at every depth, which takes the most time, rather than at one depth of each width.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> check_design("separable", "ansatz", widths=[2], depths=[1])
    """
    LAWS.hold(Subject(Design.load(name, role), str(name), widths, depths, thorough), tell)


@dataclass(frozen=True)
class Subject:
    """A design, and the circuits that most laws share."""

    design: Design
    name: str  # or the path of its file
    widths: Sequence[int]
    depths: Sequence[int]
    thorough: bool

    @cached_property
    def built(self) -> dict[tuple[int, int], Circuit]:
        """Every circuit by wires and depth."""
        fitting = [wires for wires in self.widths if refusal(partial(self.design.build, wires, 1), DesignError) is None]
        return {(wires, depth): self.design.build(wires, depth) for wires in fitting for depth in self.depths}

    def compared(self) -> Iterator[tuple[str, Circuit]]:
        """The circuits to simulate, with a description: one of each width, or all."""
        for (wires, depth), circuit in self.built.items():
            if self.thorough or depth == self.depths[wires % len(self.depths)]:
                yield f"{wires} wires, depth {depth}", circuit


@LAWS.law()
def it_builds_or_says_how_many_wires_it_needs(it: Subject) -> None:
    assert it.built, f"it builds at none of the widths {list(it.widths)}"
    for wires in set(it.widths) - {wires for wires, _ in it.built}:
        said = refusal(partial(it.design.build, wires, 1), DesignError)
        assert said is not None, f"it refuses {wires} wires now and then"
        assert "needs" in said, f"it refuses {wires} wires without saying how many it needs: {said}"


@LAWS.law()
def weights_are_used(it: Subject) -> None:
    for circuit in it.built.values():
        read = {(angle.source, angle.index) for gate in circuit.gates for angle in gate.angles}
        assert {index for source, index in read if source == "weight"} == set(range(circuit.weights)), (
            "it has weights it never uses"
        )


@LAWS.law(when=lambda it: it.design.role == "encoding")
def an_encoding_has_no_weights(it: Subject) -> None:
    assert not any(circuit.weights for circuit in it.built.values())


@LAWS.law()
def undoing_twice_is_doing(it: Subject) -> None:
    assert all(circuit.inverse().inverse() == circuit for circuit in it.built.values())


@LAWS.law()
def without_entanglement_every_angle_is_left(it: Subject) -> None:
    for circuit in it.built.values():
        alone = circuit.without_entanglement()
        assert all(len(gate.wires) == 1 for gate in alone.gates), "entanglement is left"
        used = {angle for gate in alone.gates for angle in gate.angles}
        assert used == {angle for gate in circuit.gates for angle in gate.angles}, "removing entanglement loses angles"


@LAWS.law()
def it_draws(it: Subject) -> None:
    for circuit in it.built.values():
        lines = [line for line in draw(circuit, width=10**6).splitlines() if "─" in line]
        assert len(lines) == circuit.wires, "a drawing has one line per wire"
        assert len({len(line) for line in lines}) == 1, "a drawing's lines end together"


@LAWS.law()
def it_survives_saving(it: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.toml"
        it.design.save(path, {"by": "check_design"})
        again = Design.load(path, it.design.role)
    assert again == it.design, "another design is loaded"
    for (wires, depth), circuit in it.built.items():
        copy = again.build(wires, depth)
        assert (copy, hash(copy), copy.digest()) == (circuit, hash(circuit), circuit.digest()), "it is rebuilt differently"


@LAWS.law()
def simulators_agree(it: Subject) -> None:
    """Every simulator gives the same readouts, and those that differentiate the same gradients, to 1e-9, for random weights and inputs."""
    for what, circuit in it.compared():
        fed = circuit if circuit.inputs else _encoded(circuit)  # on |0...0> alone many gates do nothing
        state = generator(0, "check_design", circuit.digest()).bit_generator.state
        exact, other = (means_and_gradients(open_backend(spec), fed, random_state=state) for spec in ("exact", "pennylane"))
        for one, two in zip(exact, other, strict=True):
            _close(one, two, f"{what}: exact and pennylane differ")
        weights_GP, inputs_GNI = random_values(fed, generator(0, "check_design", circuit.digest()))
        found = open_backend("qiskit").bind(fed, weights_GP[:1])(inputs_GNI[:1, :1])
        _close(exact[0][:1, :1], found, f"{what}: exact and qiskit differ")


@LAWS.law()
def formats_give_it_back(it: Subject) -> None:
    """OpenQASM 3, Qiskit's and PennyLane's circuits."""
    from qlogad.backend.pennylane import from_qnode, to_qnode
    from qlogad.backend.qiskit import from_qasm, from_qiskit, to_qasm, to_qiskit

    for what, circuit in it.compared():
        returned = {
            "OpenQASM 3": from_qasm(to_qasm(circuit)),
            "Qiskit": from_qiskit(to_qiskit(circuit)),
            "PennyLane": from_qnode(to_qnode(circuit), {"weights": circuit.weights}, inputs=circuit.inputs),
        }
        for form, back in returned.items():
            same = (back.gates, back.readout, back.inputs, back.weights)
            wanted = (circuit.gates, circuit.readout, circuit.inputs, circuit.weights)
            assert same == wanted, f"{what}: it comes back changed from {form}"


@LAWS.law(when=lambda it: bool(it.design.check.weights))
def it_has_as_many_weights_as_it_states(it: Subject) -> None:
    plain = replace(it.design, init="uniform")  # an identity block has twice the weights that its rows give
    for wires, count in it.design.check.weights:
        found = plain.build(wires, 1).weights - plain.build(wires, 0).weights
        assert found == count, f"{found} weights per layer on {wires} wires, and it states {count}"


@LAWS.law(when=lambda it: bool(it.design.check.live_weights))
def it_has_as_many_live_weights_as_it_states(it: Subject) -> None:
    check = it.design.check
    for wires, count in check.live_weights:
        circuit, encoding = assemble(check.encoding, it.name, wires, 1), Encoding.load(check.encoding)
        found = live_weights(circuit, generator(0, "check_design", wires), encoding=encoding)
        assert found == count, f"{found} live weights on {wires} wires, and it states {count}"


def _close(one: torch.Tensor, two: torch.Tensor, what: str) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=1e-9, msg=lambda text: f"{what}: {text}")


def _encoded(circuit: Circuit) -> Circuit:
    first = Circuit(
        circuit.wires,
        tuple(Gate("ry", (wire,), (Angle("input", wire),)) for wire in range(circuit.wires)),
        circuit.readout,
        circuit.wires,
        0,
    )
    return first.then(circuit)
