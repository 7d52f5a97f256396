"""Interchange: a circuit that went through OpenQASM 3, Qiskit or PennyLane is the same unitary, and foreign circuits keep theirs."""

import math
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad import names
from qlogad.backend.exact import Exact
from qlogad.backend.pennylane import from_qnode, from_tape, to_qnode
from qlogad.backend.qiskit import from_qasm, from_qiskit, to_qasm, to_qiskit
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.design import Design
from qlogad.errors import DesignError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit

WAYS = {
    "qasm": lambda circuit: from_qasm(to_qasm(circuit)),
    "qiskit": lambda circuit: from_qiskit(to_qiskit(circuit)),
    "pennylane": lambda circuit: from_qnode(to_qnode(circuit), {"weights": circuit.weights}, inputs=circuit.inputs),
}


def unitary(circuit: Circuit, weights_P: np.ndarray, inputs_I: np.ndarray) -> np.ndarray:
    """Row n is what the circuit makes of the basis state n, which NOT gates prepare."""
    states = []
    for n in range(2**circuit.wires):
        flips = tuple(Gate("x", (wire,)) for wire in range(circuit.wires) if n >> (circuit.wires - 1 - wire) & 1)
        started = Circuit(circuit.wires, flips + circuit.gates, circuit.readout, circuit.inputs, circuit.weights)
        bound = Exact().bind(started, torch.from_numpy(weights_P)[None])
        states.append(bound.states(torch.from_numpy(inputs_I)[None, None])[0, 0].numpy())
    return np.array(states).T


def same(one: np.ndarray, two: np.ndarray) -> None:
    """Up to a global phase."""
    overlap = np.vdot(one, two)
    np.testing.assert_allclose(two, one * overlap / abs(overlap), rtol=0, atol=1e-9)


def same_circuit(one: Circuit, two: Circuit, seed: int) -> None:
    random = generator(seed, "interchange")
    weights_P, inputs_I = random.normal(size=one.weights), random.normal(size=one.inputs)
    assert (one.wires, one.inputs, one.weights, one.readout) == (two.wires, two.inputs, two.weights, two.readout)
    same(unitary(one, weights_P, inputs_I), unitary(two, weights_P, inputs_I))


def built(design: Design, random: np.random.Generator) -> Circuit:
    """At a random width and depth."""
    while True:
        try:
            return design.build(int(random.integers(1, 6)), int(random.integers(3)))
        except DesignError:  # not at this width
            continue


@pytest.mark.parametrize(("role", "name"), [(role, name) for role in ("ansatz", "encoding") for name in names.designs(role)])
def test_every_design_keeps_its_unitary_all_the_way_round(role, name) -> None:
    random = generator(0, "interchange", role, name)
    circuit = built(Design.load(name, role), random)
    back = circuit
    for way in random.permutation(list(WAYS)):
        back = WAYS[way](back)
    same_circuit(circuit, back, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(8))
def test_circuits_over_the_whole_gate_table_come_back_with_their_gates(way, seed) -> None:
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 4, gates=20)
    pauli = Circuit(circuit.wires, circuit.gates, z_each(circuit.wires), circuit.inputs, circuit.weights)
    assert WAYS[way](pauli) == pauli


# ---------------------------------------------------------------- what PennyLane's users write


def strongly(inputs, weights):
    qml.AngleEmbedding(inputs, wires=range(3), rotation="Y")
    qml.StronglyEntanglingLayers(weights, wires=range(3))
    return [qml.expval(qml.Z(wire)) for wire in range(3)]


def mixed(inputs, scale, turn):
    qml.Hadamard(0)
    qml.RX(2 * inputs[0] - 0.3, 0)
    qml.CRot(turn[0], inputs[1], turn[1] - inputs[2], wires=[0, 2])
    qml.adjoint(qml.RY)(scale / 3, 1)
    qml.ctrl(qml.RY, control=2, control_values=[0])(turn[0], 1)
    qml.PauliRot(math.pi * scale, "XZY", wires=[2, 0, 1])
    qml.QFT(wires=[1, 2])
    qml.Barrier()
    qml.IsingXY(turn[1] + 1, wires=[0, 1])
    return qml.expval(qml.X(1) @ qml.Y(0)), qml.expval(qml.I(0))


def fixed():
    qml.Toffoli(wires=[2, 0, 1])
    qml.QubitUnitary(qml.Rot.compute_matrix(0.1, 0.2, 0.3), wires=1)
    return qml.probs(wires=range(3))


FOREIGN = [(strongly, {"weights": (2, 3, 3)}, 3), (mixed, {"turn": 2, "scale": ()}, 3), (fixed, {}, 0)]


@pytest.mark.parametrize(("function", "shapes", "inputs"), FOREIGN)
@pytest.mark.parametrize("seed", range(3))
def test_qnodes_keep_their_unitary(function, shapes, inputs, seed) -> None:
    random = generator(seed, "foreign")
    node = qml.QNode(function, qml.device("default.qubit", wires=3))
    circuit = from_qnode(node, shapes, inputs=inputs)
    values = {name: random.normal(size=shape) for name, shape in shapes.items()}
    weights_P = np.concatenate([np.zeros(0), *(value.ravel() for value in values.values())])
    inputs_I = random.normal(size=inputs)
    given = values | ({"inputs": inputs_I} if inputs else {})
    same(qml.matrix(node, wire_order=range(3))(**given), unitary(circuit, weights_P, inputs_I))
    bound = Exact().bind(circuit, torch.from_numpy(weights_P)[None])
    np.testing.assert_allclose(bound(torch.from_numpy(inputs_I)[None, None])[0, 0], np.hstack(node(**given)), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_tapes_keep_their_unitary_and_the_order_of_their_parameters(seed) -> None:
    random = generator(seed, "tape")
    operations = [
        qml.StronglyEntanglingLayers(random.normal(size=(1, 2, 3)), wires=["a", "b"]),
        qml.RX(random.normal(), "b"),
        qml.U3(*random.normal(size=3), wires="a"),
    ]
    tape = qml.tape.QuantumScript(operations, [qml.expval(2 * qml.Z("a"))], trainable_params=[0, 1, 3])
    values_P = np.concatenate([np.ravel(value) for value in tape.get_parameters(operations_only=True)])
    circuit = from_tape(tape, readout=["ZI"])
    expected = qml.matrix(tape, wire_order=["a", "b"])
    assert (circuit.inputs, circuit.weights) == (0, 8)
    same(expected, unitary(circuit, values_P, np.zeros(0)))
    fed = from_tape(tape, inputs=[1], readout=["ZI"])
    assert (fed.inputs, fed.weights) == (1, 7)
    same(expected, unitary(fed, np.delete(values_P, 6), values_P[6:7]))
    turned = from_tape(tape, readout=["ZI"], wire_order=["b", "a"])
    same(qml.matrix(tape, wire_order=["b", "a"]), unitary(turned, values_P, np.zeros(0)))


def test_torch_layers_of_exported_circuits_are_the_circuits() -> None:
    circuit = random_circuit(np.random.default_rng(0), wires=3)
    circuit = Circuit(3, circuit.gates, z_each(3), circuit.inputs, circuit.weights)
    weights_P, inputs_NI = torch.randn(circuit.weights).double(), torch.randn(4, circuit.inputs).double()
    layer = qml.qnn.TorchLayer(to_qnode(circuit), {"weights": (circuit.weights,)}, init_method={"weights": weights_P})
    expected_NK = Exact().bind(circuit, weights_P[None])(inputs_NI[None])[0]
    torch.testing.assert_close(layer(inputs_NI), expected_NK, rtol=0, atol=1e-9, check_dtype=False)


def test_scales_and_shifts_are_exact() -> None:
    circuit = Circuit(
        1, (Gate("rx", (0,), (Angle("weight", 0, 1 / 3, 0.1),)), Gate("rz", (0,), (Angle(None, shift=0.7),))), ("Z",), 0, 1
    )
    for way in WAYS.values():
        assert way(circuit) == circuit
        with torch.no_grad():
            assert way(circuit) == circuit


def noisy(weights):
    qml.RX(weights[0], 0)
    qml.DepolarizingChannel(0.1, 0)
    return qml.expval(qml.Z(0))


def measuring(weights):
    qml.RX(weights[0], 0)
    qml.measure(0)
    return qml.expval(qml.Z(0))


def curved(weights):
    qml.RX(weights[0] * weights[1], 0)
    return qml.expval(qml.Z(0))


def sine(weights):
    qml.RX(torch.sin(weights[0]), 0)
    return qml.expval(qml.Z(0))


def choosing(weights):
    (qml.RX if weights[0] > 0 else qml.RY)(weights[1], 0)
    return qml.expval(qml.Z(0))


def doubly(weights):
    qml.ctrl(qml.RY, control=[1, 2])(weights[0], 0)  # PennyLane takes its matrix apart
    return qml.expval(qml.Z(0))


def variance(weights):
    qml.RX(weights[0], 0)
    return qml.var(qml.Z(0))


def batched(weights):
    qml.RX(weights, 0)
    return qml.expval(qml.Z(0))


def far(weights):
    qml.RX(weights[7], 0)
    return qml.expval(qml.Z(0))


def outside(weights):
    qml.RX(weights[0], "b")
    return qml.expval(qml.Z("b"))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (noisy, "'DepolarizingChannel' is not a known gate"),
        (measuring, "'MidMeasureMP' is not a known gate"),
        (curved, "'RX' is neither affine"),
        (sine, "'RX' is neither affine"),
        (choosing, "depend on the values"),
        (doubly, "depend on the values"),
        (variance, "is not a supported readout"),
        (batched, "broadcast over 2"),
        (far, "cannot evaluate"),
        (outside, "wire_order"),
    ],
)
def test_what_has_no_counterpart_is_refused_in_one_line(function, message) -> None:
    device = qml.device("default.qubit", wires=[0] if function is outside else None)
    with pytest.raises(DesignError, match=message) as refusal:
        from_qnode(qml.QNode(function, device), {"weights": 2}, wire_order=[0] if function is outside else None)
    assert len(str(refusal.value).splitlines()) == 1
    assert ";" in str(refusal.value)  # the next step


def test_arguments_that_are_not_there_are_refused() -> None:
    with pytest.raises(DesignError, match="no argument 'inputs' but weights"):
        from_qnode(qml.QNode(noisy, qml.device("default.qubit")), {"weights": 2}, inputs=2)
    with pytest.raises(DesignError, match="have 1, from 0 on"):
        from_tape(qml.tape.QuantumScript([qml.RX(0.1, 0)]), inputs=[1])


@pytest.mark.parametrize(
    "text",
    [
        'OPENQASM 3.0; include "{}"; qubit[2] q;',
        'OPENQASM 2.0; include "{}"; qreg q[2];',
        "OPENQASM 3.0; qubit[100000000] q;",
        "OPENQASM 3.0; qubit[2 * 500000000] q;",
        "OPENQASM 2.0; qreg q[1000000000];",
        "OPENQASM 2.0; qreg q[2]; creg c[1000000000];",
    ],
)
def test_qasm_reads_no_other_file_and_makes_no_endless_register(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.inc").write_text("gate mine a { U(0, 0, 0) a; }")
    for path in (str(tmp_path / "other.inc"), "../../../../../../../../etc/passwd", "/dev/zero"):
        with pytest.raises(DesignError):
            from_qasm(text.format(path))


@pytest.mark.parametrize(
    "head", ['OPENQASM 2.0; include "qelib1.inc"; qreg q[1];', 'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q;']
)
def test_qasm_without_end_is_refused_before_it_is_read(head: str) -> None:
    with pytest.raises(DesignError, match="at most 100,000 statements, got 100,0"):
        from_qasm(head + "h q[0];" * 100_000)


@pytest.mark.parametrize("seed", range(8))
def test_depth_and_two_qubit_gates_are_those_that_qiskit_counts(seed: int) -> None:
    circuit = random_circuit(generator(seed, "facts"), wires=2 + seed % 3)
    other = to_qiskit(circuit)
    assert circuit.two_qubit_gates == other.num_nonlocal_gates()
    assert circuit.depth == other.depth()
    assert circuit.two_qubit_depth == other.depth(lambda one: one.operation.num_qubits == 2)
