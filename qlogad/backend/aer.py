"""Qiskit's Aer as a backend: state vectors, density matrices, matrix product states, shots and noise. Qiskit Aer, pip install qlogad[aer].

    "aer"  "aer:mps"  "aer:shots=1024"  "aer:depolarizing=0.01,readout=0.02"  "aer:fake_manila,shots=1024"

A circuit is prepared once and cached; the rows of a call are bindings of its angles in one run. qlogad draws the shots from Aer's
outcome probabilities, so that a seed fixes them row by row. Noise follows every gate as in circuit/noise.py, or is that of an IBM
device snapshot: depolarizing and thermal relaxation as calibrated, after every gate of the transpiled circuit. Readout errors are part
of every noisy number, sampled or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter, ParameterExpression
from qiskit.quantum_info import PTM, Pauli, SuperOp
from qiskit.transpiler import Target as Device

from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend
from qlogad.backend.check import Check
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.qiskit import placed, to_qiskit
from qlogad.backend.readings import draw, read_chances
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.spec import number, options
from qlogad.backend.target import Answer, Target
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases, is_projector
from qlogad.errors import BackendError, MissingExtra, did_you_mean, shown

try:
    from qiskit_aer import AerSimulator
    from qiskit_aer import __version__ as version
    from qiskit_aer.noise.device.models import basic_device_gate_errors
except ImportError as error:
    raise MissingExtra("qiskit-aer", "aer") from error

__all__ = ["Aer", "AerTarget", "GateNoise", "Snapshot"]

METHODS = {"statevector": "statevector", "density_matrix": "density_matrix", "mps": "matrix_product_state"}
RATES = tuple(field.name for field in fields(Noise))
WIRES = {"statevector": 26, "density_matrix": 13, "mps": 60}
BROKEN = ["crx", "cry", "crz"]  # decomposed first: with many bindings, Aer 0.18's state vectors run them with angle 0
CHANCE_WIRES, NOISY_WIRES = 20, 10  # limit if all outcome probabilities, or channels after every gate, are computed
ENTRIES = 2**23  # most numbers requested from one Aer run


class Aer(SampledBackend, Backend):
    """Aer: local, and exact unless shots or noise are requested.

    Args:
        target: a method (statevector, density_matrix, mps) or a device snapshot (fake_manila, ...), then options: `shots`, the rates of
            `Noise`, `gradient` (shift or spsa), `level` of optimization on a device (0 to 3) and `device` (gpu).

    Raises:
        BackendError: there is no such target, or its options conflict.
        MissingExtra: snapshots come with qiskit-ibm-runtime.
    """

    name = "aer"
    checks = (
        Check("", "qiskit-aer"),
        Check("density_matrix", "qiskit-aer"),
        Check("device=gpu", "qiskit-aer-gpu", "pip uninstall qiskit-aer && pip install qiskit-aer-gpu", cuda=True),
    )

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """False: it runs locally."""
        return False

    def __init__(self, target: str = "statevector") -> None:
        bare, found = options(target, ("shots", *RATES, "gradient", "level", "device"))
        rates = ",".join(f"{name}={value}" for name, value in found.items() if name in RATES)
        snapshot = bare if bare.startswith("fake_") else None
        noisy = snapshot is not None or bool(rates)
        method = bare if bare and snapshot is None else "density_matrix" if noisy else "statevector"
        if method not in METHODS:
            raise BackendError(
                f"aer has no target {shown(bare)}{did_you_mean(bare, METHODS)}; known: {', '.join(METHODS)}, fake_..."
            )
        if noisy and method != "density_matrix":
            raise BackendError(f"noise needs density matrices, got the method '{method}'; leave it out")
        if snapshot is not None and rates:
            raise BackendError(f"{snapshot} brings its own noise; leave out {rates}")
        level = number("level", found.get("level"), least=0, most=3)
        if level is not None and (snapshot is None or level > 3):
            raise BackendError(f"level must be 0 to 3 and needs a device, as in 'aer:fake_manila,level=3', got {shown(target)}")
        if (device := found.get("device", "cpu").upper()) not in AerSimulator().available_devices():
            raise BackendError(
                f"Aer finds no device {shown(device.lower())} here; leave it out, or install qiskit-aer-gpu instead of qiskit-aer"
            )
        runner = AerTarget(
            f"aer:{target}",
            method,
            shots=number("shots", found.get("shots"), least=1),
            noise=GateNoise(Noise.parse(rates))
            if rates
            else None
            if snapshot is None
            else Snapshot(snapshot, 3 if level is None else level),
            device=device,
        )
        super().__init__(runner, gradient=found.get("gradient", "shift"))


class AerTarget(Target):
    """Aer with one method, and noise given by rates or by a device."""

    def __init__(
        self, name: str, method: str, *, shots: int | None = None, noise: GateNoise | Snapshot | None = None, device: str = "CPU"
    ) -> None:
        self.name, self.shots, self.noise = name, shots, noise is not None
        limit = NOISY_WIRES if noise is not None else CHANCE_WIRES if shots is not None else WIRES[method]
        self.abilities = Abilities(max_wires=min(WIRES[method], limit), native=tuple(GATES), noise=self.noise)
        self._method, self._noise = METHODS[method], noise
        self._simulator = AerSimulator(method=self._method, device=device)
        self._prepared: dict[Circuit, _Translated] = {}

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        circuit, words = lifted.circuit, lifted.circuit.readout
        if circuit not in self._prepared:
            self._prepared[circuit] = self._prepare(circuit)
        prepared = self._prepared[circuit]
        found = bases(words)
        means = self._means(circuit)
        size = len(words) if means else len(found) * 2**circuit.wires
        parts = np.array_split(angles_MA, -(-len(angles_MA) * size // ENTRIES))
        values_MCV = np.concatenate([self._run(prepared.circuits, part_MA) for part_MA in parts])
        if means:
            mean_MK, error_MK = values_MCV[:, 0], None
        else:
            chances_MBD = _misread(values_MCV, prepared.confusion_BW22)
            if self.shots is not None:
                chances_MBD = draw(chances_MBD, rows, self.shots)
            mean_MK, error_MK = read_chances(words, chances_MBD, self.shots)
        return Answer(mean_MK, error_MK, len(angles_MA) * len(found), len(parts), self._provenance())

    def _means(self, circuit: Circuit) -> bool:
        """Whether Aer computes the means; otherwise they are computed from outcome probabilities."""
        return self.shots is None and not self.noise and not any(map(is_projector, circuit.readout))

    def _provenance(self) -> dict[str, str | int | float]:
        told: dict[str, str | int | float] = {"simulator": f"qiskit-aer {version}", "method": self._method}
        if self._noise is not None:
            told |= {"noise": str(self._noise), "reading errors": "included"}
        if self.shots is not None:
            told["sampling"] = "drawn by qlogad from Aer's outcome probabilities, seeded row by row"
        return told

    def _prepare(self, circuit: Circuit) -> _Translated:
        drawn, wires = to_qiskit(circuit), list(range(circuit.wires))
        if self._means(circuit):
            for place, word in enumerate(circuit.readout):
                drawn.save_expectation_value(Pauli(word[::-1]), wires, label=str(place))
            return _Translated([self._affine(drawn)], np.zeros((0, circuit.wires, 2, 2)))
        if circuit.wires > CHANCE_WIRES:
            raise BackendError(
                f"aer reads basis states on up to {CHANCE_WIRES} wires, got {circuit.wires}; read Pauli words, such as 'z'"
            )
        circuits, confusions = [], []
        for basis in bases(circuit.readout):
            confusion_W22 = np.tile(np.eye(2), (circuit.wires, 1, 1))
            if self._noise is None:
                turned = _turned(drawn, basis)
            else:
                turned, wires, confusion_W22 = self._noise.noisy(drawn, basis)
            turned.save_probabilities(wires[::-1], label="chances")  # Qiskit's last qubit is the least significant bit
            circuits.append(self._affine(turned))
            confusions.append(confusion_W22)
        return _Translated(circuits, np.stack(confusions))

    def _affine(self, circuit: QuantumCircuit) -> _Affine:
        return _Affine.of(transpile(circuit.decompose(BROKEN), self._simulator, optimization_level=0))

    def _run(self, circuits: Sequence[_Affine], angles_MA: Floats) -> Floats:
        """The saved values of each circuit for every row, (M, circuits, values), in one run."""
        binds = [one.bindings(angles_MA) for one in circuits]
        result = self._simulator.run([one.circuit for one in circuits], parameter_binds=binds, shots=1).result()
        if not result.success:
            raise BackendError(f"Aer failed: {str(result.status).splitlines()[0]:.200}; try fewer wires, or another method")
        saved = iter(result.results)
        rows = [len(angles_MA) if bind else 1 for bind in binds]  # without angles, all rows are equal
        values = [np.stack([_saved(next(saved).data) for _ in range(count)]) for count in rows]
        return np.stack([np.broadcast_to(values_MV, (len(angles_MA), values_MV.shape[1])) for values_MV in values], axis=1)


@dataclass(frozen=True, eq=False)
class _Translated:
    """The cached translation of a circuit: one circuit for all means, or one per basis; and the readout errors of its bits."""

    circuits: list[_Affine]
    confusion_BW22: Floats  # rows: true bit; columns: bit as read


@dataclass(frozen=True, eq=False)
class _Affine:
    """A transpiled circuit with a parameter for each of its J angles, an affine map of the A given angles: binding is then one
    matrix product instead of symbolic algebra for every row."""

    circuit: QuantumCircuit
    parameters: list[Parameter]
    scale_AJ: Floats
    shift_J: Floats

    @classmethod
    def of(cls, circuit: QuantumCircuit) -> _Affine:
        made = circuit.copy_empty_like()
        made.global_phase = 0
        parameters: list[Parameter] = []
        expressions: list[ParameterExpression] = []
        for item in circuit.data:
            operation = item.operation
            if operation.is_parameterized():
                operation = operation.to_mutable()
                for place, value in enumerate(operation.params):
                    if isinstance(value, ParameterExpression) and value.parameters:
                        parameters.append(Parameter(f"a{len(parameters)}"))
                        expressions.append(value)
                        operation.params[place] = parameters[-1]
            made.append(operation, item.qubits, item.clbits)
        count = 1 + max((one.index for value in expressions for one in value.parameters), default=-1)
        scale_AJ, shift_J = np.zeros((count, len(parameters))), np.zeros(len(parameters))
        for j, value in enumerate(expressions):
            shift_J[j] = float(value.bind(dict.fromkeys(value.parameters, 0.0)))
            for one in value.parameters:
                scale_AJ[one.index, j] = float(value.gradient(one))
        return cls(made, parameters, scale_AJ, shift_J)

    def bindings(self, angles_MA: Floats) -> dict[Parameter, list[float]]:
        """The values of all rows, by parameter."""
        values_JM = (angles_MA[:, : len(self.scale_AJ)] @ self.scale_AJ + self.shift_J).T
        return dict(zip(self.parameters, values_JM.tolist(), strict=True))


@dataclass(frozen=True)
class GateNoise:
    """The noise of circuit/noise.py: after every gate of the circuit as written, and when bits are read."""

    noise: Noise

    def __str__(self) -> str:
        return str(self.noise)

    def noisy(self, drawn: QuantumCircuit, basis: str) -> tuple[QuantumCircuit, list[int], Floats]:
        """The noisy circuit that measures in a basis, the qubit of each wire, and the readout error of each wire."""
        channels = {count: SuperOp(PTM(self.noise.channel(count))) for count in (1, 2)}
        noisy = _with_channels(drawn, lambda _, qubits: channels[len(qubits)])
        confusion_22 = np.array([[1, 0], [0, 1]]) + self.noise.readout * np.array([[-1, 1], [1, -1]])
        wires = drawn.num_qubits
        return _turned(noisy, basis), list(range(wires)), np.tile(confusion_22, (wires, 1, 1))


@dataclass(frozen=True)
class Snapshot:
    """An IBM device snapshot with its calibration: circuits are transpiled to its gates and qubits.

    Args:
        name: such as "fake_manila".
        level: optimization level of the transpiler, 0 to 3.

    Raises:
        BackendError: there is no such snapshot.
        MissingExtra: snapshots come with qiskit-ibm-runtime.
    """

    name: str
    level: int = 3

    def __post_init__(self) -> None:
        self.device()

    def __str__(self) -> str:
        return self.name

    def device(self) -> Device:
        """Its gates with their calibration."""
        from qlogad.backend.ibm import snapshot

        return snapshot(self.name).target

    def noisy(self, drawn: QuantumCircuit, basis: str) -> tuple[QuantumCircuit, list[int], Floats]:
        """The noisy circuit that measures in a basis, the qubit of each wire, and the readout error of each wire."""
        device = self.device()
        if drawn.num_qubits > device.num_qubits:
            raise BackendError(f"{self.name} has {device.num_qubits} qubits, got {drawn.num_qubits} wires; use fewer")
        measured = _turned(drawn, basis)
        measured.measure_all()
        whole = transpile(measured, target=device, optimization_level=self.level, seed_transpiler=0)
        steps, wires = placed(whole)
        used = sorted({*wires, *(qubit for _, qubits in steps for qubit in qubits)})
        place = {qubit: number for number, qubit in enumerate(used)}
        small = QuantumCircuit(len(used))
        for operation, qubits in steps:
            small.append(operation, [place[qubit] for qubit in qubits])
        channels = _calibrated(device, {(operation.name, qubits) for operation, qubits in steps})
        noisy = _with_channels(small, lambda name, qubits: channels.get((name, tuple(used[qubit] for qubit in qubits))))
        wrong_W = np.array([device["measure"][(qubit,)].error for qubit in wires])
        confusion_W22 = np.eye(2) + wrong_W[:, None, None] * np.array([[-1, 1], [1, -1]])
        return noisy, [place[qubit] for qubit in wires], confusion_W22


def _calibrated(device: Device, used: set[tuple[str, tuple[int, ...]]]) -> dict[tuple[str, tuple[int, ...]], SuperOp]:
    """Aer's channels of the used gates, by name and qubits; a gate without a channel is noiseless."""
    part = Device(num_qubits=device.num_qubits, dt=device.dt, qubit_properties=device.qubit_properties)
    for name in sorted({name for name, _ in used}):
        calibration = {qubits: device[name][qubits] for other, qubits in sorted(used) if other == name}
        part.add_instruction(device.operation_from_name(name), calibration)
    return {(name, tuple(qubits)): SuperOp(error) for name, qubits, error in basic_device_gate_errors(target=part)}


def _with_channels(circuit: QuantumCircuit, channel: Callable[[str, tuple[int, ...]], SuperOp | None]) -> QuantumCircuit:
    """Insert a channel after every gate; for two-qubit channels, the gate's first qubit is the most significant."""
    made = circuit.copy_empty_like()
    for item in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        made.append(item.operation, qubits)
        found = channel(item.operation.name, qubits)
        if found is not None:
            made.append(found.to_instruction(), qubits[::-1])
    return made


def _turned(circuit: QuantumCircuit, basis: str) -> QuantumCircuit:
    """The circuit followed by the gates that rotate a basis to Z."""
    turned = circuit.copy()
    for wire, axis in enumerate(basis):
        if axis == "Y":
            turned.sdg(wire)
        if axis in "XY":
            turned.h(wire)
    return turned


def _saved(data: Any) -> Floats:
    """The saved values of one row."""
    found = data.to_dict()
    if "chances" in found:
        return np.asarray(found["chances"], dtype=np.float64)
    return np.array([found[str(place)] for place in range(len(found))], dtype=np.float64)


def _misread(chances_MBD: Floats, confusion_BW22: Floats) -> Floats:
    """Outcome probabilities after readout errors."""
    rows, count, size = chances_MBD.shape
    wires = confusion_BW22.shape[1]
    chances = chances_MBD.reshape(rows, count, *[2] * wires)
    for wire in range(wires):
        moved = np.moveaxis(chances, 2 + wire, -1)
        flat = moved.reshape(rows, count, -1, 2) @ confusion_BW22[:, wire]
        chances = np.moveaxis(flat.reshape(moved.shape), -1, 2 + wire)
    return chances.reshape(rows, count, size)
