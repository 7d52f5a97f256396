"""Qiskit: its state vectors as a backend, its circuits, OpenQASM 3 and drawings. Javadi-Abhari et al. (2024), arXiv:2405.08810.

Wire k is Qiskit's qubit k. Wire 0 is the most significant bit of a basis state here and the least in Qiskit, so matrices
agree after `QuantumCircuit.reverse_bits()`, and Pauli words are reversed. OpenQASM 3: Cross et al. (2022), arXiv:2104.14722.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qiskit.circuit.library as library
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit import __version__ as version
from qiskit.circuit import Parameter, ParameterExpression, ParameterVector, ParameterVectorElement
from qiskit.circuit.exceptions import CircuitError
from qiskit.exceptions import MissingOptionalLibraryError
from qiskit.quantum_info import Operator, Pauli, Statevector

from qlogad import files
from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend
from qlogad.backend.check import Check
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.target import Answer, Target
from qlogad.circuit import expression
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, is_projector
from qlogad.errors import BackendError, DesignError, InputError, MissingExtra, one_line, shown

__all__ = ["Qiskit", "draw", "from_qasm", "from_qiskit", "placed", "to_qasm", "to_qiskit"]

_OPERATIONS: dict[str, Any] = {
    "h": library.HGate,
    "x": library.XGate,
    "y": library.YGate,
    "z": library.ZGate,
    "s": library.SGate,
    "sdg": library.SdgGate,
    "t": library.TGate,
    "tdg": library.TdgGate,
    "sx": library.SXGate,
    "sxdg": library.SXdgGate,
    "rx": library.RXGate,
    "ry": library.RYGate,
    "rz": library.RZGate,
    "phase": library.PhaseGate,
    "cx": library.CXGate,
    "cy": library.CYGate,
    "cz": library.CZGate,
    "swap": library.SwapGate,
    "crx": library.CRXGate,
    "cry": library.CRYGate,
    "crz": library.CRZGate,
    "rxx": library.RXXGate,
    "ryy": library.RYYGate,
    "rzz": library.RZZGate,
}
_NAMES = {operation: name for name, operation in _OPERATIONS.items()}

_DEFINED = {  # gates missing from OpenQASM's stdgates.inc
    "sxdg": "gate sxdg a { s a; h a; s a; }",
    "rxx": "gate rxx(t) a, b { h a; h b; cx a, b; rz(t) b; cx a, b; h a; h b; }",
    "ryy": "gate ryy(t) a, b { sx a; sx b; cx a, b; rz(t) b; cx a, b; sxdg a; sxdg b; }",
    "rzz": "gate rzz(t) a, b { cx a, b; rz(t) b; cx a, b; }",
}
_SILENT = frozenset({"barrier", "id", "delay"})

MAX_STATEMENTS = 100_000  # in an OpenQASM program


class Qiskit(SampledBackend, Backend):
    """Qiskit's state-vector simulator, exact and slow, for checking circuits.

    Args:
        target: "statevector" is the only one.

    Raises:
        BackendError: there is no such target.
    """

    name = "qiskit"
    checks = (Check("", "qiskit"),)

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """False: it runs locally."""
        return False

    def __init__(self, target: str = "statevector") -> None:
        if target != "statevector":
            raise BackendError(f"qiskit has no target {shown(target)}; use 'qiskit'")
        super().__init__(_Statevector())

    @classmethod
    def read_circuit(cls, circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
        """Convert a QuantumCircuit, or OpenQASM 2 or 3 as text."""
        if options:
            raise DesignError(f"a Qiskit circuit takes no option {one_line(', '.join(options), 80)}; leave it out")
        if isinstance(circuit, str):
            return from_qasm(circuit, encoding=encoding), ""
        if isinstance(circuit, QuantumCircuit):
            return from_qiskit(circuit, encoding=encoding), _COUNTED.sub("circuit", str(circuit.name))
        raise DesignError(f"a Qiskit circuit must be a QuantumCircuit, got {type(circuit).__name__}")


class _Statevector(Target):
    """Qiskit's state vectors, one run per row."""

    name = "qiskit"
    abilities = Abilities(max_wires=20, native=tuple(GATES))

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        whole, words = to_qiskit(lifted.circuit), lifted.circuit.readout
        mean_MK = np.array([_means(_fill(whole, "x", angles_A), words) for angles_A in angles_MA.tolist()])
        executions = len(angles_MA) * len(bases(words))
        return Answer(mean_MK, None, executions, jobs=len(angles_MA), provenance={"version": version})


def _means(circuit: QuantumCircuit, words: Sequence[str]) -> list[float]:
    psi = Statevector(circuit)
    chances = psi.probabilities() if any(map(is_projector, words)) else np.zeros(0)
    return [
        float(chances[int(word[::-1], 2)] if is_projector(word) else psi.expectation_value(Pauli(word[::-1])).real)
        for word in words
    ]


# ---------------------------------------------------------------- circuits


def to_qiskit(circuit: Circuit) -> QuantumCircuit:
    """The circuit in Qiskit, with ParameterVectors `x` for inputs and `w` for weights; `metadata` holds the readouts.

    >>> from qlogad.circuit.design import Design
    >>> sorted(str(one) for one in to_qiskit(Design.load("basic-entangler", "ansatz").build(2)).parameters)
    ['w[0]', 'w[1]']

    Raises:
        DesignError: the circuit is dephased, so it is not unitary.
    """
    return _translate(circuit, ParameterVector("x", circuit.inputs), ParameterVector("w", circuit.weights))


def placed(whole: QuantumCircuit) -> tuple[list[tuple[Any, tuple[int, ...]]], list[int]]:
    """The gates of a transpiled circuit with their qubits, and the qubit on which each wire is measured."""
    places = [0] * len(whole.clbits)
    steps = []
    for item in whole.data:
        qubits = tuple(whole.find_bit(qubit).index for qubit in item.qubits)
        if item.operation.name == "measure":
            places[whole.find_bit(item.clbits[0]).index] = qubits[0]
        elif item.operation.name != "barrier":
            steps.append((item.operation, qubits))
    return steps, places


def from_qiskit(circuit: QuantumCircuit, readout: Sequence[str] | None = None, *, encoding: bool = False) -> Circuit:
    """A circuit from Qiskit, up to a global phase; gates that are not in the gate table and rotations by a sum are decomposed.

    An angle that is not affine in inputs, such as a product or an arctan, becomes a separate input, which `inputs_of` computes.

    Args:
        circuit: parameters named x, input(s), feature(s) or data, alone, as a vector or followed by a number (`x[0]`, `x_000`,
        `x0`, or `_x_0_`, Qiskit's export of `x[0]`), are inputs; all others are weights. Inputs of one vector keep its numbers, as
        do weights `w[0]`, `w_000`; others are in Qiskit's order. Final measurements are dropped.
        readout: default: the readout recorded by `to_qiskit`, or <Z> on every wire.
        encoding: all parameters are inputs, whatever their names.

    >>> from qiskit.circuit.library import zz_feature_map
    >>> from_qiskit(zz_feature_map(2)).computed
    ('x[0]', 'x[1]', '(-3.141592653589793 + x[0]) * (-3.141592653589793 + x[1]) * 2')

    Raises:
        DesignError: it has an instruction that is not a gate, or an angle that is not affine in weights.
    """
    noted = (circuit.metadata or {}).get("qlogad", {})
    places = _places(circuit, encoding)
    counts = {
        source: max([noted.get(f"{source}s", 0), *(index + 1 for kind, index in places.values() if kind == source)])
        for source in ("input", "weight")
    }
    slots = {f"x[{feature}]": feature for feature in range(counts["input"])}
    gates = tuple(_gates(circuit, _Reader(places, slots), range(circuit.num_qubits), set()))
    words = tuple(readout or noted.get("readout") or z_each(circuit.num_qubits))
    computed = tuple(slots) if len(slots) > counts["input"] else None
    return Circuit(circuit.num_qubits, gates, words, len(slots), counts["weight"], computed=computed)


def _translate(circuit: Circuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> QuantumCircuit:
    if circuit.dephased:
        raise DesignError("a dephased circuit is not unitary and cannot be exported; export the circuit it was made from")
    made = QuantumCircuit(circuit.wires)
    made.metadata = {"qlogad": {"readout": circuit.readout, "inputs": circuit.inputs, "weights": circuit.weights}}
    sources: dict[str | None, Sequence[Parameter]] = {"input": inputs, "weight": weights}
    for gate in circuit.gates:
        made.append(_OPERATIONS[gate.name](*(_value(angle, sources) for angle in gate.angles)), gate.wires)
    return made


def _value(angle: Angle, sources: Mapping[str | None, Sequence[Parameter]]) -> ParameterExpression | float:
    if angle.source is None:
        return angle.shift
    value = sources[angle.source][angle.index]
    value = value if angle.scale == 1 else angle.scale * value
    return value if angle.shift == 0 else value + angle.shift


def _fill(circuit: QuantumCircuit, vector: str, values: Sequence[float]) -> QuantumCircuit:
    """The circuit with the parameters of one vector replaced by numbers."""
    found = {one: values[one.index] for one in circuit.parameters if one.vector.name == vector}
    return circuit.assign_parameters(found) if found else circuit


_NAMED = re.compile(r"(x|w|inputs?|features?|data)(?:_?(\d{1,9}))?")
_EXPORTED = re.compile(r"_(\w+)_(\d{1,9})_")  # how Qiskit's OpenQASM 3 exporter writes x[0]
Places = Mapping[Parameter, tuple[str, int]]


def _element(parameter: Parameter) -> tuple[str | None, int]:
    """The vector and index of a parameter, also after Qiskit's export to OpenQASM 3."""
    if isinstance(parameter, ParameterVectorElement):
        return parameter.vector.name, parameter.index
    exported = _EXPORTED.fullmatch(parameter.name)
    return (exported[1], int(exported[2])) if exported else (None, 0)


def _order(parameter: Parameter) -> tuple[str, int]:
    """Qiskit's parameter order, with the elements of a vector by number."""
    vector, number = _element(parameter)
    return vector or parameter.name, number


def _places(circuit: QuantumCircuit, encoding: bool) -> Places:
    """The input or weight of each parameter."""
    told: dict[str, list[tuple[Parameter, str, int | None]]] = {"input": [], "weight": []}
    for one in sorted(circuit.parameters, key=_order):
        vector, index = _element(one)
        named = _NAMED.fullmatch(vector or one.name)
        number = index if vector is not None else int(named[2]) if named and named[2] else None
        word = named[1] if named else ""
        source = "input" if encoding or word not in ("", "w") else "weight"
        told[source].append((one, vector or word, number if named else None))
    found: dict[Parameter, tuple[str, int]] = {}
    for source, each in told.items():
        keep = len({word for _, word, _ in each}) == 1 and all(number is not None for _, _, number in each)
        found |= {one: (source, number if keep and number is not None else place) for place, (one, _, number) in enumerate(each)}
    return found


@dataclass
class _Reader:
    """Reads angles, given the input or weight of each parameter, and collects the expressions that become inputs."""

    places: Places
    slots: dict[str, int]

    def slot(self, value: ParameterExpression) -> int:
        """The number of the input for an expression."""
        ordered = sorted(value.parameters, key=lambda one: self.places[one])  # a set, in another order each time it is read
        stand = {one: Parameter(f"v{place}") for place, one in enumerate(ordered)}
        text = _ARC.sub(r"arc\1", str(value.subs(stand)))
        names = {alias.name: f"x[{self.places[one][1]}]" for one, alias in stand.items()}
        text = re.sub(r"\bv\d+\b", lambda found: names[found[0]], text)
        closed = expression.closed(text, {}, inputs=len(self.slots), table=0)
        point = np.linspace(0.3, 0.6, len(self.slots))
        there = _real(value.bind({one: point[self.places[one][1]] for one in value.parameters}))
        if not math.isclose(expression.feature(closed, list(point[:, None]))[0], there, rel_tol=1e-12, abs_tol=1e-12):
            raise DesignError(f"angle {shown(str(value))} cannot be read; compute it before the circuit and make it an input")
        return self.slots.setdefault(closed, len(self.slots))


_COUNTED = re.compile(r"^circuit-\d+(?:-\d+)?$")  # Qiskit's default names, which count the circuits of a process
_ARC = re.compile(r"\ba(sin|cos|tan)\b")


def _gates(circuit: QuantumCircuit, reader: _Reader, wires: Sequence[int], measured: set[int]) -> Iterator[Gate]:
    for item in circuit.data:
        operation = item.operation
        on = tuple(wires[circuit.find_bit(qubit).index] for qubit in item.qubits)
        if operation.name == "measure":
            measured.update(on)
            continue
        if operation.name in _SILENT:
            continue
        if measured.intersection(on):
            raise DesignError(
                f"'{operation.name}' follows a measurement of wire {on[0]}; only measurements at the end can be dropped"
            )
        name = _NAMES.get(operation.base_class) if getattr(operation, "ctrl_state", None) in (None, 1) else None
        if name is None:
            name = _defined(operation)
        if operation.base_class is library.UGate:  # it has no decomposition of its own
            theta, phi, lam = operation.params
            for rotation, value in (("rz", lam), ("ry", theta), ("rz", phi)):
                yield from _rotations(rotation, on, value, reader)
        elif name is not None and GATES[name].angles:
            yield from _rotations(name, on, operation.params[0], reader)
        elif name is not None:
            yield Gate(name, on)
        elif getattr(operation, "definition", None) is not None and not item.clbits:
            yield from _gates(operation.definition, reader, on, measured)
        else:
            raise DesignError(f"instruction '{operation.name}' is not a known gate; remove or rewrite it")


def _defined(operation: Any) -> str | None:
    """The gate table's name for an equivalent gate that a file defines itself."""
    if operation.name not in _DEFINED or getattr(operation, "definition", None) is None:
        return None
    standard = _OPERATIONS[operation.name]
    if len(operation.params) != GATES[operation.name].angles or operation.num_qubits != GATES[operation.name].wires:
        return None
    trial, body = 0.7312, operation.definition
    angles = [
        float(value.bind_all(dict.fromkeys(value.parameters, trial))) if isinstance(value, ParameterExpression) else float(value)
        for value in operation.params
    ]
    same = Operator(body.assign_parameters(dict.fromkeys(body.parameters, trial)))
    return operation.name if same.equiv(standard(*angles)) else None


def _rotations(name: str, on: tuple[int, ...], value: Any, reader: _Reader) -> Iterator[Gate]:
    """The rotation by an angle; for a sum, one rotation per term."""
    places = reader.places
    if not isinstance(value, ParameterExpression) or not value.parameters:
        yield Gate(name, on, (Angle(None, shift=float(value)),))
        return
    parameters = sorted(value.parameters, key=lambda one: places[one])
    slopes = {one: _slope(value, one) for one in parameters}
    if None in slopes.values():
        if any(places[one][0] == "weight" for one in parameters):
            raise DesignError(
                f"angle {shown(str(value))} is not affine in weights; parameters not named x count as weights, so rename those that "
                "are features to x[0], x[1], ..., or read the circuit as an encoding"
            )
        yield Gate(name, on, (Angle("input", reader.slot(value)),))
        return
    shift = 0.0 if isinstance(value, Parameter) else _real(value.bind(dict.fromkeys(parameters, 0.0)))
    for parameter, slope in slopes.items():
        source, index = places[parameter]
        yield Gate(name, on, (Angle("input" if source == "input" else "weight", index, slope or 0.0, shift),))
        shift = 0.0


def _slope(value: ParameterExpression, parameter: Parameter) -> float | None:
    """The derivative with respect to a parameter; None if it is not constant."""
    if isinstance(value, Parameter):
        return 1.0
    try:
        slope = value.gradient(parameter)
    except (RuntimeError, CircuitError):  # for abs and sign
        return None
    return None if isinstance(slope, ParameterExpression) and slope.parameters else _real(slope)


def _real(value: Any) -> float:
    return float(np.real(complex(value)))


# ---------------------------------------------------------------- OpenQASM 3


def to_qasm(circuit: Circuit) -> str:
    """The circuit as OpenQASM 3: inputs are `x_000`, `x_001`, ..., weights `w_000`, ...; comments hold the readouts.

    >>> bell = Circuit(2, (Gate("ry", (0,), (Angle("input", 0),)), Gate("cx", (0, 1))), ("ZZ",), 1, 0)
    >>> print(to_qasm(bell))
    OPENQASM 3.0;
    include "stdgates.inc";
    // qlogad reads ZZ
    input float[64] x_000;
    qubit[2] q;
    ry(x_000) q[0];
    cx q[0], q[1];

    Raises:
        DesignError: the circuit is dephased, so it is not unitary.
    """
    if circuit.dephased:
        raise DesignError("a dephased circuit is not unitary and cannot be exported; export the circuit it was made from")
    used = {gate.name for gate in circuit.gates}
    needed = used | ({"sxdg"} if "ryy" in used else set())
    names = [_name("x", index) for index in range(circuit.inputs)] + [_name("w", index) for index in range(circuit.weights)]
    return "\n".join(
        [
            "OPENQASM 3.0;",
            'include "stdgates.inc";',
            *(text for name, text in _DEFINED.items() if name in needed),
            f"// qlogad reads {' '.join(circuit.readout)}",
            *(f"input float[64] {name};" for name in names),
            f"qubit[{circuit.wires}] q;",
            *(_statement(gate) for gate in circuit.gates),
        ]
    )


def from_qasm(text: str, *, encoding: bool = False) -> Circuit:
    """A circuit from OpenQASM 3, or 2 (which has no parameters).

    Text from `to_qasm` keeps its gates, readouts and counts; other text keeps its unitary, see `from_qiskit`.

    Raises:
        DesignError: it is not OpenQASM, or holds more than gates.
    """
    if not re.sub(r"//[^\n]*|/\*.*?\*/|\s", "", text, flags=re.DOTALL):
        raise DesignError("the OpenQASM is empty; export the circuit again")
    second = re.match(r"\s*(//[^\n]*\n\s*)*OPENQASM\s+2", text) is not None
    sizes = re.findall(r"\b(?:qreg|creg|qubit|bit)\b\s*(?:\w+\s*)?\[\s*([^\]]*?)\s*\]", text)
    large = next((size for size in sizes if not re.fullmatch(r"[0-9]{1,3}", size)), None)
    if large is not None:
        raise DesignError(f"a register must have at most 999 bits or qubits, written as a number; got [{large[:20]}]")
    if (statements := text.count(";")) > MAX_STATEMENTS:
        raise DesignError(f"a circuit may have at most {MAX_STATEMENTS:,} statements, got {statements:,}; leave out layers")
    try:
        made = (
            qasm2.loads(text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
            if second
            else qasm3.loads(text)
        )
    except Exception as error:  # the parsers and their grammars raise many types
        first = f": {str(error).splitlines()[0]}" if str(error) else ""
        if second and "not a parameter" in first:
            first += "; parameters need OpenQASM 3: input float theta;"
        raise DesignError(f"this is not valid OpenQASM {2 if second else 3}{first}") from error
    declared = re.findall(r"^\s*input\s+float(?:\[64\])?\s+([xw])_(\d{1,9})\s*;", text, re.MULTILINE)
    counts = {kind: max((int(index) + 1 for letter, index in declared if letter == kind), default=0) for kind in "xw"}
    words = re.search(r"^// qlogad reads ([IXYZ01 ]+)$", text, re.MULTILINE)
    made.metadata = {"qlogad": {"inputs": counts["x"], "weights": counts["w"], "readout": words[1].split() if words else None}}
    return from_qiskit(made, encoding=encoding)


def _name(letter: str, index: int) -> str:
    return f"{letter}_{index:03d}"


def _statement(gate: Gate) -> str:
    called = "p" if gate.name == "phase" else gate.name
    angles = f"({', '.join(_text(angle) for angle in gate.angles)})" if gate.angles else ""
    return f"{called}{angles} {', '.join(f'q[{wire}]' for wire in gate.wires)};"


def _text(angle: Angle) -> str:
    if angle.source is None:
        return repr(float(angle.shift))
    scale = "" if angle.scale == 1 else f"{float(angle.scale)!r} * "
    shift = "" if angle.shift == 0 else f" {'-' if angle.shift < 0 else '+'} {abs(float(angle.shift))!r}"
    return f"{scale}{_name('x' if angle.source == 'input' else 'w', angle.index)}{shift}"


# ---------------------------------------------------------------- drawing


def draw(circuit: Circuit, path: str | Path) -> None:
    """Draw with Qiskit into a .svg or .png file; inputs read `x[0]`, weights `w[0]`.

    Raises:
        InputError: the path has another suffix.
        MissingExtra: Qiskit's drawer needs pylatexenc.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"drawings are written as .svg or .png, got '{path.name}'")
    from matplotlib import pyplot, rc_context

    made = to_qiskit(circuit)
    with rc_context({"svg.hashsalt": circuit.digest()}):  # equal circuits give equal files
        try:
            figure = made.draw("mpl", fold=25)
        except MissingOptionalLibraryError as error:
            raise MissingExtra("pylatexenc", "draw") from error
        files.write_figure(figure, path, bbox_inches="tight")
    pyplot.close(figure)
