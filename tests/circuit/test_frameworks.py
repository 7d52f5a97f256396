"""Laws of circuits made elsewhere: what comes in has the source's own numbers, as a circuit, a design, a file, a layer and a core."""

import dataclasses
import math
import operator
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest
import qiskit.circuit.library as library
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.circuit import Parameter, ParameterExpression, ParameterVector
from qiskit.quantum_info import Pauli, Statevector

from qlogad import DeepLog, Design, Experiment, Quantum, QuantumLayer
from qlogad.backend.exact import Exact
from qlogad.backend.pennylane import from_pennylane
from qlogad.backend.qiskit import from_qiskit
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.design import inputs_of
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.detect.detector import Detector
from qlogad.errors import DesignError, InputError
from qlogad.sweep.study import Study

WIRES = 3


def _vqc() -> QuantumCircuit:
    """Re-uploading: features, weights and features again."""
    features = library.zz_feature_map(WIRES, reps=1)
    circuit = features.copy()
    circuit.compose(library.real_amplitudes(WIRES, reps=1), inplace=True)
    circuit.compose(features, inplace=True)
    return circuit


FEATURES = {
    "zz_feature_map": library.zz_feature_map(WIRES),
    "zz_feature_map, other names": library.zz_feature_map(WIRES, parameter_prefix="θ"),
    "z_feature_map": library.z_feature_map(WIRES),
    "pauli_feature_map": library.pauli_feature_map(WIRES, paulis=["Z", "YY", "XYZ"], entanglement="linear"),
}
ANSAETZE = {
    "real_amplitudes": library.real_amplitudes(WIRES),
    "efficient_su2": library.efficient_su2(WIRES, reps=1),
    "n_local": library.n_local(WIRES, ["ry", "rz"], "crx", reps=1),
    "excitation": library.excitation_preserving(WIRES, reps=1),
    "a whole classifier": _vqc(),
}


def means(circuit: QuantumCircuit, values: dict[Parameter, float]) -> list[float]:
    """<Z> on every wire, by Qiskit."""
    psi = Statevector(circuit.assign_parameters(values))
    return [psi.expectation_value(Pauli(word[::-1])).real for word in z_each(circuit.num_qubits)]


def run(circuit: Circuit, x_D: list[float], w_P: list[float]) -> torch.Tensor:
    inputs_1I = inputs_of(circuit, torch.tensor([x_D], dtype=torch.float64))
    return Exact().bind(circuit, torch.tensor([w_P], dtype=torch.float64))(inputs_1I[None])[0, 0]


def split(circuit: QuantumCircuit, dice: random.Random, encoding: bool) -> tuple[dict[Parameter, float], list[float], list[float]]:
    """Values of all parameters, and those of features and weights, in Qiskit's order."""
    values = {one: dice.uniform(-2, 2) for one in circuit.parameters}
    features = [value for one, value in values.items() if encoding or one.name[0] == "x"]
    return values, features, [value for one, value in values.items() if not encoding and one.name[0] != "x"]


@pytest.mark.parametrize("name", [*FEATURES, *ANSAETZE])
def test_a_circuit_of_qiskit_has_qiskits_numbers_as_circuit_design_and_file(name: str, tmp_path: Path) -> None:
    foreign, encoding = {**FEATURES, **ANSAETZE}[name], name in FEATURES
    values, x_D, w_P = split(foreign, random.Random(name), encoding)
    expected = torch.tensor(means(foreign, values), dtype=torch.float64)
    assert torch.allclose(run(from_qiskit(foreign, encoding=encoding), x_D, w_P), expected, atol=1e-12)
    role = "encoding" if encoding else "ansatz"
    design = Design.from_circuit(foreign, role)
    design.save(tmp_path / "mine.toml", {"by": "a person"})
    for one in (design, str(tmp_path / "mine.toml")):
        pair = {"encoding": one, "ansatz": "identity"} if encoding else {"ansatz": one}
        layer = QuantumLayer(**pair).double()
        assert layer.wires == WIRES
        layer.circuits.weights_GP.data = torch.tensor([w_P], dtype=torch.float64)
        x = torch.tensor(x_D or [0.0] * WIRES, dtype=torch.float64, requires_grad=True)
        if layer.in_features == len(x_D):
            assert torch.allclose(layer(x), expected, atol=1e-12)
            assert torch.autograd.gradcheck(layer, (x,))


def test_qiskits_zz_feature_map_is_our_own_encoding() -> None:
    x = torch.rand(5, WIRES, dtype=torch.float64, requires_grad=True)
    ours, theirs = (QuantumLayer(WIRES, "sim14", one).double() for one in ("zz", library.zz_feature_map(WIRES)))
    assert torch.allclose(ours(x), theirs(x), atol=1e-12)
    slopes = [torch.autograd.grad(layer(x).sin().sum(), [x, *layer.parameters()]) for layer in (ours, theirs)]
    assert all(torch.allclose(one, two, atol=1e-12) for one, two in zip(*slopes, strict=True))


def expressions(leaves: list[Parameter]) -> st.SearchStrategy[ParameterExpression]:
    """Random arithmetic of parameters that has a value everywhere on [.2, .8]."""
    numbers = st.floats(-3, 3).map(lambda number: round(number, 3))
    unary = st.sampled_from(["sin", "cos", "arctan", "exp", "abs"])
    binary = st.sampled_from([operator.add, operator.sub, operator.mul])

    def grown(inner: st.SearchStrategy[ParameterExpression]) -> st.SearchStrategy[ParameterExpression]:
        called = st.tuples(unary, inner).map(lambda two: getattr(two[1] * 0.5, two[0])())
        pairs = st.tuples(binary, inner, inner | numbers).map(lambda three: three[0](three[1], three[2]))
        halves = st.tuples(inner, inner).map(lambda two: two[0] / (two[1] * two[1] + 2))
        return called | pairs | halves | inner.map(lambda one: (one * 0.3) ** 2)

    return st.recursive(st.sampled_from(leaves), grown, max_leaves=6)


LEAVES = list(ParameterVector("x", 2))


@settings(deadline=None, max_examples=40)
@given(one=expressions(LEAVES), two=expressions(LEAVES), seed=st.integers(0, 99))
def test_any_expression_of_qiskits_is_computed_before_the_circuit(
    one: ParameterExpression, two: ParameterExpression, seed: int
) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.rx(one, 0)
    circuit.u(two, LEAVES[1], LEAVES[0], 1)
    circuit.cx(0, 1)
    circuit.ry(two * LEAVES[0], 0)
    circuit.rzz(one, 0, 1)
    dice = random.Random(seed)
    x_D = [dice.uniform(0.2, 0.8) for _ in LEAVES]
    expected = means(circuit, dict(zip(LEAVES, x_D, strict=True)))
    assert run(from_qiskit(circuit), x_D, []).tolist() == pytest.approx(expected, abs=1e-10)


DEVICE = qml.device("default.qubit", wires=WIRES)
SHAPE = (2, WIRES, 3)
ZEROS = np.zeros(SHAPE)
NODES = {
    "IQPEmbedding": lambda x, w: qml.IQPEmbedding(x, wires=range(WIRES), n_repeats=2),
    "AngleEmbedding, StronglyEntanglingLayers": lambda x, w: (
        qml.AngleEmbedding(x, wires=range(WIRES), rotation="Y"),
        qml.StronglyEntanglingLayers(w, wires=range(WIRES)),
    ),
    "arctan": lambda x, w: (
        qml.AngleEmbedding(torch.arctan(x**2), wires=range(WIRES)),
        qml.BasicEntanglerLayers(w[..., 0], range(WIRES)),
    ),
    "products": lambda x, w: (
        qml.RY((math.pi - x[0]) * (math.pi - x[1]), 0),
        [qml.RX(torch.sin(one) * 2 / (1 + one), 1) for one in x],
        qml.StronglyEntanglingLayers(w, wires=range(WIRES)),
        qml.Rot(*torch.stack([x.sum() ** 2, torch.prod(x), 1 - x[2].exp()]), wires=2),
    ),
    "moves": lambda x, w: (
        [qml.RY(one, place % WIRES) for place, one in enumerate(torch.cat([x, x * x]).reshape(2, WIRES).T.flatten())],
        qml.SimplifiedTwoDesign(w[0, :, 0], w[:, :2, :2], wires=range(WIRES)),
    ),
}


def node_of(name: str) -> qml.QNode:
    @qml.qnode(DEVICE)
    def node(inputs, weights=ZEROS):
        NODES[name](inputs, weights)
        return [qml.expval(qml.Z(wire)) for wire in range(WIRES)]

    return node


@pytest.mark.parametrize("name", NODES)
def test_a_qnode_has_pennylanes_numbers_as_circuit_design_and_layer(name: str, tmp_path: Path) -> None:
    node, generator = node_of(name), torch.Generator().manual_seed(1)
    x_D = 0.2 + 0.6 * torch.rand(WIRES, dtype=torch.float64, generator=generator)
    w = torch.randn(SHAPE, dtype=torch.float64, generator=generator)
    expected = torch.stack(list(node(x_D, w)))
    circuit = from_pennylane(node)
    assert torch.allclose(run(circuit, x_D.tolist(), w.flatten().tolist()), expected, atol=1e-12)
    Design.from_circuit(node).save(tmp_path / "mine.toml")
    for one in (node, qml.qnn.TorchLayer(node, {"weights": SHAPE}), str(tmp_path / "mine.toml")):
        layer = QuantumLayer(ansatz=one).double()
        count = layer.circuit.weights
        layer.circuits.weights_GP.data = w.flatten()[None, :count].clone()
        assert torch.allclose(layer(x_D), expected, atol=1e-12)


@settings(max_examples=20)
@given(st.sampled_from(["x", "inputs", "θ", "w", "my x"]), st.sampled_from(["w", "θ", "phi"]), st.integers(1, 12), st.randoms())
def test_what_qiskit_exports_is_the_circuit_it_came_from(feature: str, weight: str, count: int, drawn: random.Random) -> None:
    circuit = QuantumCircuit(2)
    values = [*ParameterVector(feature, count)] + ([*ParameterVector(weight, count)] if weight != feature else [])
    for value in drawn.sample(values, len(values)):
        circuit.ry(value, drawn.randrange(2))
        circuit.cx(0, 1)
    direct, exported = from_qiskit(circuit), Design.from_circuit(qasm3.dumps(circuit)).build(2)
    assert (exported.inputs, exported.weights) == (direct.inputs, direct.weights)
    assert exported.gates == direct.gates
    assert direct.inputs == (count if feature in ("x", "inputs") else 0)


@pytest.mark.parametrize("measured", [qml.state, qml.sample, lambda: qml.probs(wires=0), lambda: qml.var(qml.Z(0))])
@pytest.mark.parametrize("wires", [None, WIRES])
def test_a_node_on_any_device_is_a_circuit_whatever_it_measures(measured: Callable[[], object], wires: int | None) -> None:
    @qml.qnode(qml.device("default.qubit", wires=wires))
    def node(inputs, w=np.zeros((1, WIRES))):  # type: ignore[no-untyped-def] # noqa: B008
        qml.AngleEmbedding(inputs, wires=range(WIRES))
        qml.BasicEntanglerLayers(w, wires=range(WIRES))
        return measured()

    layer = QuantumLayer(ansatz=node)
    assert (layer.wires, layer.in_features, layer.circuit.weights) == (WIRES, WIRES, WIRES)


@pytest.mark.parametrize("read", range(1, WIRES + 1))
@pytest.mark.parametrize("embedding", [qml.AngleEmbedding, qml.IQPEmbedding])
def test_features_that_a_node_does_not_read_are_no_features(read: int, embedding: type[qml.operation.Operation]) -> None:
    @qml.qnode(DEVICE)
    def node(inputs):  # type: ignore[no-untyped-def]
        embedding(inputs[:read], wires=range(read))
        qml.Hadamard(WIRES - 1)
        return qml.probs()

    layer = QuantumLayer(ansatz="sim1", encoding=node)
    assert layer.in_features == read
    assert layer(torch.rand(2, read)).shape == (2, WIRES)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_weights_behind_the_last_that_is_read_are_left_out(read: set[int]) -> None:
    gates = tuple(Gate("ry", (0,), (Angle("weight", index),)) for index in sorted(read))
    assert Design.from_circuit(Circuit(1, gates, ("Z",), 0, 10)).build(1).weights == max(read) + 1


def test_a_design_is_saved_where_it_is_found_again(tmp_path: Path) -> None:
    design = Design.from_circuit(library.real_amplitudes(2))
    for name in ("mine", "mine.qasm", "mine.json"):
        with pytest.raises(DesignError, match=r"save it as 'mine\.toml'"):
            design.save(tmp_path / name)
        assert not (tmp_path / name).exists()
    design.save(tmp_path / "mine.toml")
    assert Design.load(tmp_path / "mine.toml", "ansatz").build(2) == design.build(2)


def test_a_tape_is_an_ansatz() -> None:
    tape = qml.tape.QuantumScript([qml.RX(0.1, 0), qml.CRot(0.2, 0.3, 0.4, wires=[0, 1])], [qml.expval(qml.Z(1))])
    layer = QuantumLayer(ansatz=tape, encoding="angle-y").double()
    layer.circuits.weights_GP.data = torch.tensor([tape.get_parameters()], dtype=torch.float64)
    assert layer(torch.zeros(2, dtype=torch.float64))[1].item() == pytest.approx(float(qml.execute([tape], DEVICE)[0]), abs=1e-12)


@pytest.mark.parametrize("version", [2, 3])
def test_a_qasm_file_is_an_ansatz_of_a_core_and_what_is_saved_does_without_it(version: int, tmp_path: Path) -> None:
    circuit = library.real_amplitudes(2, reps=1)
    if version == 2:
        circuit = circuit.assign_parameters([0.1, 0.2, 0.3, 0.4])
    path = tmp_path / "mine.qasm"
    text = qasm2.dumps(circuit) if version == 2 else qasm3.dumps(circuit)
    path.write_text(text.replace("θ", "t"))
    core = Quantum(ansatz=str(path), wires=2, hidden=3)
    assert core.circuit().weights == circuit.num_parameters
    windows = [[0, 1, 2] * 3] * 6
    detector = DeepLog(core=core, history=2, epochs=1).fit(windows, validation=windows)
    detector.save(tmp_path / "model")
    path.unlink()
    assert np.array_equal(Detector.load(tmp_path / "model").score_samples(windows), detector.score_samples(windows))


EXPERIMENT = """
[data]
dataset = "synthetic"
lines = 2000
[[contender]]
name = "quantum"
detector = "deeplog"
core = { kind = "quantum", wires = 2, ansatz = "mine.qasm", encoding = "features.qasm" }
"""
STUDY = """
base = "mine.toml"
objectives = ["validation-loss"]
sampler = "grid"
[space]
"core.ansatz" = { choice = ["mine.qasm", "sim14"] }
[[contender]]
name = "quantum"
"""


@pytest.mark.parametrize("angle", ["u * v", "v * u + w * u", "u * v * w", "(u - v) * (v - w) * (w - u)"])
def test_a_file_is_the_same_design_each_time_it_is_read(angle: str, tmp_path: Path) -> None:
    inputs = "".join(f"input float[64] {name};\n" for name in "uvw")
    text = (
        f'OPENQASM 3.0;\ninclude "stdgates.inc";\n{inputs}qubit[1] q;\nry({angle}) q[0];\nry(u) q[0];\nrx(v) q[0];\nrz(w) q[0];\n'
    )
    (tmp_path / "features.qasm").write_text(text)
    read = [Design.of(str(tmp_path / "features.qasm"), "encoding").table() for _ in range(20)]
    assert all(one == read[0] for one in read)


def test_a_circuit_is_the_same_design_each_time_it_is_made() -> None:
    """Qiskit's parameters are told apart by random numbers, which decide in what order it has them."""

    def made() -> object:
        u, v, w = (Parameter(name) for name in "uvw")
        circuit = QuantumCircuit(1)
        for angle in (u * v * w, v.sin() * u, (u - v) * (w - u) * w.arctan(), u**2 * v + w * v):
            circuit.ry(angle, 0)
        return Design.of(circuit, "encoding").table()

    first = made()
    assert all(made() == first for _ in range(20))


def test_files_of_circuits_lie_beside_the_experiment_and_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qasm = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] {0};\ninput float[64] {1};\nqubit[2] q;\n'
    (tmp_path / "mine.qasm").write_text(qasm.format("a", "b") + "ry(a) q[0];\ncx q[0], q[1];\nry(2 * b + 1) q[1];\n")
    (tmp_path / "features.qasm").write_text(qasm.format("u", "v") + "ry(u) q[0];\nry(u * v) q[1];\n")
    (tmp_path / "mine.toml").write_text(EXPERIMENT)
    (tmp_path / "mine.sweep.toml").write_text(STUDY)
    experiment = Experiment.load(tmp_path / "mine.toml")
    core = experiment.contenders[0].build().core
    assert (core.circuit().weights, core.circuit().inputs, core.encoder().features(2)) == (2, 2, 2)
    (tmp_path / "mine.qasm").write_text(qasm.format("a", "b") + "ry(a) q[0];\ncx q[0], q[1];\nry(b) q[1];\n")
    assert Experiment.load(tmp_path / "mine.toml").contenders[0].params != experiment.contenders[0].params
    same = Experiment.from_document(experiment.document, name="mine")  # as a manifest keeps it
    assert same.contenders == experiment.contenders
    study = Study.load(tmp_path / "mine.sweep.toml")
    chosen = [
        study.entrants[0].at({"core.ansatz": value}).build().core for value in study.entrants[0].space.axes["core.ansatz"].choice
    ]
    assert [one.circuit().weights for one in chosen] == [2, 8]
    monkeypatch.chdir(tmp_path)
    assert Study.load("mine.sweep.toml").identity() == study.identity(), "from wherever it is begun, it is one study"


def test_a_circuit_stands_in_an_experiment_made_in_python() -> None:
    circuit = library.efficient_su2(4, reps=1)
    experiment = Experiment.load("quickstart").replace(contender__quantum__core__ansatz=circuit)
    (quantum,) = (one for one in experiment.contenders if one.name == "quantum")
    assert quantum.build().core == dataclasses.replace(quantum.build().core, ansatz=circuit)
    assert "layer" in quantum.params["core"]["ansatz"]  # data, no code


def test_depth_repeats_a_circuit_with_fresh_weights_and_the_same_features() -> None:
    one, two = (QuantumLayer(ansatz=_vqc(), depth=depth) for depth in (1, 2))
    assert two.circuit.weights == 2 * one.circuit.weights
    assert two.in_features == one.in_features == WIRES
    assert two.circuit.gates[: len(one.circuit.gates)] == one.circuit.gates


def _measured() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.h(0)
    return circuit


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Quantum(ansatz=library.real_amplitudes(3)).circuit(), "needs wires == 3, got wires = 4"),
        (lambda: QuantumLayer(ansatz=_vqc(), encoding="iqp"), "reads features itself"),
        (lambda: QuantumLayer(ansatz=_vqc(), reupload=True), "use reupload = false"),
        (lambda: QuantumLayer(ansatz=_vqc(), scaling=True), "use scaling = false"),
        (lambda: QuantumLayer(ansatz=3), "OpenQASM"),
        (lambda: QuantumLayer(ansatz=[1]), "OpenQASM"),
        (lambda: QuantumLayer(ansatz="none/there.qasm"), "check the path"),
        (lambda: Design.from_circuit("OPENQASM 3.0; nonsense"), "not valid OpenQASM 3"),
        (lambda: Design.from_circuit("OPENQASM 2.0; nonsense"), "not valid OpenQASM 2"),
        (lambda: Design.from_circuit("// qlogad\n"), "OpenQASM is empty"),
        (lambda: Design.from_circuit('OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; ry(a) q[0];'), "input float theta;"),
        (lambda: Design.from_circuit(_measured()), "follows a measurement"),
        (lambda: Design.from_circuit(library.zz_feature_map(2, parameter_prefix="t")), "not affine in weights"),
        (lambda: Design.from_circuit(library.zz_feature_map(2).assign_parameters([1, 2]), "encoding"), "no parameters"),
        (lambda: Design.from_circuit(qml.qnode(DEVICE)(lambda inputs, w: qml.RX(w[0], 0))), "weight_shapes={'w'"),
        (lambda: Design.from_circuit(qml.qnode(DEVICE)(lambda inputs: qml.RX(torch.max(inputs), 0))), "compute it before"),
        (lambda: Quantum(encoding=Design.load("sim14", "ansatz")), "is an ansatz, not an encoding"),
        (lambda: Quantum(ansatz={"layer": [{"gate": "ry", "on": "rign"}]}), "did you mean 'ring'"),
    ],
)
def test_what_cannot_stand_is_refused_in_one_line(build: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_an_amplitude_embedding_is_refused_with_pennylanes_word() -> None:
    @qml.qnode(DEVICE)
    def node(inputs):
        qml.AmplitudeEmbedding(inputs, wires=range(WIRES), normalize=True)

    with pytest.raises(DesignError, match="PennyLane cannot evaluate it"):
        Design.from_circuit(node, inputs=2**WIRES)


def test_an_encoding_of_features_on_explicit_wires_has_no_other_width() -> None:
    encoding = Encoding(Design.from_circuit(library.zz_feature_map(WIRES), "encoding"))
    assert encoding.wires_for(WIRES) == WIRES
    with pytest.raises(DesignError, match="needs wires == 3"):
        assemble(encoding.design, "sim14", WIRES + 1, 1)


@pytest.mark.parametrize("circuit", [library.real_amplitudes(4), qml.qnode(DEVICE)(lambda: qml.state()), object()])
def test_a_circuit_object_among_choices_is_told_to_be_a_file(circuit: object) -> None:
    entrant = {"name": "quantum", "space": {"core.ansatz": {"choice": ["sim14", circuit]}}}
    study = {"base": "quickstart", "objectives": ["validation-loss"], "sampler": "grid", "contender": [entrant]}
    for refused in (
        lambda: Study.from_document(study),
        lambda: Experiment.load("quickstart").replace(grid={"quantum": {"core.ansatz": ["sim14", circuit]}}),
    ):
        with pytest.raises(InputError, match=r"'?core\.ansatz'?.*Design\.from_circuit\(circuit\)\.save\('mine\.toml'\)") as caught:
            refused()
        assert "\n" not in str(caught.value)
