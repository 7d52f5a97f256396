"""Qiskit and OpenQASM 3: circuits go out and come back with their unitary, and state vectors agree with the other simulators."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import image
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator
from qiskit.utils.optionals import HAS_PYLATEX

from qlogad import names
from qlogad.backend import pennylane, qiskit
from qlogad.backend.backend import open_backend
from qlogad.backend.qiskit import from_qasm, from_qiskit, to_qasm, to_qiskit
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError, DesignError, InputError, MissingExtra
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit, reference_means

SEEDS = range(12)


def random(seed: int) -> Circuit:
    return random_circuit(np.random.default_rng(seed), wires=1 + seed % 4, gates=20)


def values(circuit: Circuit, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(1, circuit.weights)), random.normal(size=(1, 2, circuit.inputs))


def unitary(circuit: Circuit, weights_P: np.ndarray, inputs_I: np.ndarray) -> np.ndarray:
    """By the definition of the gates: columns are what the circuit makes of basis states, read off by the exact engine's gates."""
    from qlogad.backend.exact.parts.matrices import Matrices, apply

    psi = torch.eye(2**circuit.wires, dtype=torch.complex128)[None]
    for gate in circuit.gates:
        numbers = {"input": inputs_I, "weight": weights_P}
        fixed = [
            Angle(None, shift=a.shift + (a.scale * float(numbers[a.source][a.index]) if a.source else 0.0)) for a in gate.angles
        ]
        one = Gate(gate.name, gate.wires, tuple(fixed))
        (matrix,) = Matrices([one], torch.zeros(0, dtype=torch.float64))(torch.zeros(0))
        psi = apply(psi, matrix, gate.wires, circuit.wires)
    return psi[0].T.numpy()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unitary_is_kept_by_qiskit_and_pennylane(seed: int) -> None:
    import pennylane as qml

    circuit = random(seed)
    weights_GP, inputs_GNI = values(circuit)
    expected = unitary(circuit, weights_GP[0], inputs_GNI[0, 0])
    made = to_qiskit(circuit)
    numbers = {one: (inputs_GNI[0, 0] if one.vector.name == "x" else weights_GP[0])[one.index] for one in made.parameters}
    found = Operator(made.assign_parameters(numbers).reverse_bits()).data
    np.testing.assert_allclose(found, expected, atol=1e-12)
    node = pennylane.to_qnode(circuit)
    with torch.no_grad():
        matrix = qml.matrix(node, wire_order=range(circuit.wires))(*map(torch.from_numpy, (inputs_GNI[0, :1], weights_GP[0])))
    np.testing.assert_allclose(np.asarray(matrix).reshape(expected.shape), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(24))
def test_what_goes_out_comes_back(seed: int) -> None:
    circuit = random(seed)
    assert from_qiskit(to_qiskit(circuit)) == circuit
    assert from_qasm(to_qasm(circuit)) == circuit


@pytest.mark.parametrize("ansatz", names.designs("ansatz"))
@pytest.mark.parametrize("depth", [1, 2])
def test_designs_with_many_weights_keep_their_order(ansatz: str, depth: int) -> None:
    circuit = assemble("angle-y", ansatz, 4, depth)
    back = from_qasm(to_qasm(circuit))
    assert (back.gates, back.readout, back.inputs, back.weights) == (
        circuit.gates,
        circuit.readout,
        circuit.inputs,
        circuit.weights,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_three_simulators_agree_on_every_readout(seed: int) -> None:
    circuit = random(seed)
    weights_GP, inputs_GNI = values(circuit, seed)
    expected = reference_means(circuit, weights_GP, inputs_GNI)
    for spec in ("exact", "pennylane", "qiskit"):
        with torch.no_grad():
            found = open_backend(spec).bind(circuit, torch.from_numpy(weights_GP))(torch.from_numpy(inputs_GNI))
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=spec)


FOREIGN = """OPENQASM 3.0;
include "stdgates.inc";
gate swirl(a, b) p, q { rx(a) p; crz(b) q, p; u3(0.2, b, 0.5) q; }
input float[64] beta;
input float[64] alpha;
qubit[3] q;
bit[3] c;
swirl(alpha, beta) q[2], q[0];
ccx q[0], q[1], q[2];
barrier q;
u2(0.1, alpha) q[1];
c = measure q;
"""


def test_foreign_text_keeps_its_unitary() -> None:
    from qiskit import qasm3

    circuit = from_qasm(FOREIGN)
    given = qasm3.loads(FOREIGN).remove_final_measurements(inplace=False)
    weights_P = np.array([0.3, -1.1])  # in Qiskit's order: alpha, beta
    expected = Operator(given.assign_parameters(dict(zip(given.parameters, weights_P, strict=True))).reverse_bits())
    assert (circuit.wires, circuit.inputs, circuit.weights) == (3, 0, 2)
    assert expected.equiv(Operator(unitary(circuit, weights_P, np.zeros(0))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "not valid OpenQASM 3"),
        ('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[1] q;\nreset q[0];\n', "'reset'"),
        ('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[1] q;\nbit c;\nc = measure q[0];\nx q[0];\n', "follows a measurement"),
        ('OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] a;\nqubit[1] q;\nrx(a * a) q[0];\n', "not affine"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DesignError, match=message) as refusal:
        from_qasm(text)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_gate_that_only_shares_a_name_is_taken_apart() -> None:
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ngate rzz(t) a, b { rx(t) a; }\nqubit[2] q;\nrzz(0.5) q[0], q[1];\n'
    assert from_qasm(text).gates == (Gate("rx", (0,), (Angle(None, shift=0.5),)),)


def test_a_rotation_by_a_sum_is_a_rotation_by_each_term() -> None:
    one, two, three = (Parameter(name) for name in "abc")
    made = QuantumCircuit(2)
    made.h([0, 1])
    made.crx(2 * one - two / 3 + 0.4, 0, 1)
    made.cu(one + 0.1, two - three, three + one, 0.2, 1, 0)
    weights_P = np.array([0.3, -1.1, 0.8])
    expected = Operator(made.assign_parameters(dict(zip((one, two, three), weights_P, strict=True))).reverse_bits())
    assert expected.equiv(Operator(unitary(from_qiskit(made), weights_P, np.zeros(0))))
    made.rx(one * two, 0)
    with pytest.raises(DesignError, match="not affine"):
        from_qiskit(made)


def test_dephased_circuits_are_not_exported() -> None:
    circuit = assemble("angle-y", "basic-entangler", 2, 1, dephased=True)
    for export in (to_qiskit, to_qasm):
        with pytest.raises(DesignError, match="dephased"):
            export(circuit)
    with pytest.raises(BackendError, match="dephased"):
        pennylane.to_qnode(circuit)


@pytest.mark.parametrize("drawer", [pennylane, qiskit])
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_drawings_are_files_that_repeat(drawer, suffix, tmp_path) -> None:
    circuit = assemble("angle-y", "sim14", 4, 1)
    for name in ("one", "two"):
        drawer.draw(circuit, tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert first == second
    assert len(first) > 5_000
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        drawer.draw(circuit, tmp_path / "a.pdf")


@pytest.mark.parametrize("drawer", [pennylane, qiskit])
@pytest.mark.parametrize("role", ["ansatz", "encoding"])
def test_every_gate_adds_ink(drawer, role, tmp_path) -> None:
    """A random design, drawn from no gates to all of them."""
    names_N = [name for name in names.designs(role) if name != "identity"]
    design = Design.load(str(generator(0, "draw", role, drawer.__name__).choice(names_N)), role)
    circuit = design.build(4)
    ink = []
    for count in (0, len(circuit.gates) // 2, len(circuit.gates)):
        drawer.draw(replace(circuit, gates=circuit.gates[:count]), tmp_path / "a.png")
        ink.append(int((image.imread(tmp_path / "a.png")[..., :3] < 0.99).any(-1).sum()))
    assert 100 < ink[0] < ink[1] < ink[2], design.name


def test_qiskits_drawer_says_what_it_lacks(tmp_path) -> None:
    with HAS_PYLATEX.disable_locally(), pytest.raises(MissingExtra, match=r"qlogad\[draw\]"):
        qiskit.draw(assemble("angle-y", "sim14", 3, 1), tmp_path / "a.svg")
