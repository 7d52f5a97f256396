"""Amazon Braket: its local simulators, and its devices by their ARN. pip install qlogad[braket].

    "braket"  "braket:shots=1024"  "braket:braket_dm,depolarizing=0.01,readout=0.02"            local, without network
    "braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet,shots=1000"    the service, with the account of boto3's credential chain

A circuit becomes one OpenQASM 3 program for each measurement basis, with gates that all devices support and an input for each angle. The
local simulators run the operations from their own parser. Their sampling cannot be seeded, so qlogad draws shots from their outcome
probabilities, row by row. Noise follows every gate as in circuit/noise.py.

A device takes program sets: all rows and bases of a call in as few tasks as its limits allow. Tasks cost money, so devices are planned
(without network) and used only through the ledger: `qlogad hardware plan|submit|collect`. Program sets and limits: Amazon Braket
Developer Guide, "Running multiple programs" and "Quotas" (November 2026).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from math import pi
from typing import Any, TypeVar

import numpy as np

from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend
from qlogad.backend.check import Check
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.readings import draw, read_chances, read_counts
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import Spoiled, Unavailable
from qlogad.backend.spec import number, options
from qlogad.backend.target import Answer, Cost, State, Status, Target, Work
from qlogad.circuit.circuit import Angle, Circuit, Gate, longest_chain
from qlogad.circuit.gates import pauli
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases
from qlogad.credentials import told
from qlogad.errors import BackendError, MissingExtra, counted, did_you_mean, shown

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
    from botocore.exceptions import ConnectionError as NoConnection
    from braket._sdk import __version__ as sdk
    from braket.aws import AwsSession
    from braket.default_simulator import (
        DensityMatrixSimulation,
        StateVectorSimulation,
        StateVectorSimulator,
        noise_operations,
    )
    from braket.default_simulator import __version__ as version
    from braket.ir.openqasm import Program, ProgramSet
    from braket.schema_common import BraketSchemaBase
    from braket.tasks import ProgramSetQuantumTaskResult
    from braket.tasks.program_set_quantum_task_result import MeasuredEntry
except ImportError as error:
    raise MissingExtra("amazon-braket-sdk", "braket") from error

__all__ = ["Braket", "BraketDevice", "BraketService", "BraketSimulator", "Price"]

T = TypeVar("T")

WIRES = {"braket_sv": 20, "braket_dm": 8}
RATES = tuple(field.name for field in fields(Noise))
SHOTS = 1000  # of a device
EXECUTABLES = 100  # of a program set, as stated by the local simulator; a device's own limit is read when a job is submitted
DEVICE_WIRES = 100  # default if the number of qubits is not recorded
TASK_DOLLARS = 0.30
SOURCE = "an undated copy of aws.amazon.com/braket/pricing, read in November 2026: check current prices before you pay"


@dataclass(frozen=True)
class Price:
    """Recorded data of a device: number of qubits, and US dollars per shot (None: look it up)."""

    qubits: int
    shot: float | None


PRICES = {
    "aqt/Ibex-Q1": Price(12, None),
    "ionq/Forte-1": Price(36, 0.08),
    "ionq/Forte-Enterprise-1": Price(36, 0.08),
    "iqm/Emerald": Price(54, None),
    "iqm/Garnet": Price(20, 0.00145),
    "rigetti/Ankaa-3": Price(82, 0.0009),
    "rigetti/Cepheus-1-108Q": Price(108, None),
}


class Braket(SampledBackend, Backend):
    """A local simulator of Amazon Braket, or one of its devices.

    Args:
        target: `braket_sv` (state vectors), `braket_dm` (density matrices) or a device's ARN, then options: `shots`, `gradient` (shift or
            spsa); of a simulator the rates of `Noise`; of a device its `price` in US dollars per shot, if not recorded or changed.

    Raises:
        BackendError: there is no such target, or its options conflict.
        MissingExtra: amazon-braket-sdk is not installed.
    """

    name = "braket"
    checks = (Check("", "amazon-braket-sdk"), Check("braket_dm", "amazon-braket-sdk"))

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """Whether it is a device: local simulators need no account."""
        return not re.match(r"\s*(?:braket_|[^,=]*=|$)", target)

    def __init__(self, target: str = "braket_sv") -> None:
        device = target.startswith("arn:")
        bare, found = options(target, ("shots", "gradient", *(("price",) if device else RATES)))
        shots = number("shots", found.get("shots"), least=1)
        runner: Target = (
            BraketDevice(bare, shots=shots or SHOTS, price=_dollars(found.get("price")))
            if device
            else _simulator(f"braket:{target}", bare, shots, {name: found[name] for name in RATES if name in found})
        )
        super().__init__(runner, gradient=found.get("gradient", "shift"))


def _simulator(name: str, bare: str, shots: int | None, rates: dict[str, str]) -> BraketSimulator:
    kind = bare or ("braket_dm" if rates else "braket_sv")
    if kind not in WIRES:
        raise BackendError(f"braket has no target {shown(bare)}{did_you_mean(bare, WIRES)}; known: {', '.join(WIRES)}, arn:aws:...")
    if rates and kind != "braket_dm":
        raise BackendError("noise needs density matrices; leave out 'braket_sv'")
    noise = Noise.parse(",".join(f"{name}={rate}" for name, rate in rates.items())) if rates else None
    return BraketSimulator(name, kind, shots=shots, noise=noise)


def _dollars(text: str | None) -> float | None:
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = math.nan
    if value is not None and not 0 <= value < math.inf:
        raise BackendError(f"price must be in US dollars per shot, got {shown(text)}; write for example price=0.00145")
    return value


# ---------------------------------------------------------------- programs

_NATIVE = {  # qlogad name -> Braket name; all gate-based devices support these
    "h": "h",
    "x": "x",
    "y": "y",
    "z": "z",
    "s": "s",
    "sdg": "si",
    "t": "t",
    "tdg": "ti",
    "rx": "rx",
    "ry": "ry",
    "rz": "rz",
    "phase": "phaseshift",
    "cx": "cnot",
    "cz": "cz",
    "swap": "swap",
}


@dataclass(frozen=True)
class _Step:
    """One gate as Braket runs it; its angle is scale * input + shift."""

    name: str
    wires: tuple[int, ...]
    angle: Angle | None = None


def _native(gate: Gate) -> Iterator[_Step]:
    """Decompose a gate of the table into steps, up to a global phase."""
    for name, wires, angle in _parts(gate.name, gate.wires, gate.angles[0] if gate.angles else None):
        if name in _NATIVE:
            yield _Step(_NATIVE[name], wires, angle)
        else:
            yield from _native(Gate(name, wires, () if angle is None else (angle,)))


def _parts(name: str, wires: tuple[int, ...], angle: Angle | None) -> list[tuple[str, tuple[int, ...], Angle | None]]:
    """Decompose a gate by one level; a native gate is returned as it is."""
    first, last, quarter = wires[:1], wires[-1:], Angle(None, shift=pi / 2)
    both: list[tuple[int, ...]] = [first, last]
    match name:
        case "sx":
            return [("rx", wires, quarter)]
        case "sxdg":
            return [("rx", wires, _times(quarter, -1))]
        case "cy":
            return [("sdg", last, None), ("cx", wires, None), ("s", last, None)]
        case "crx":
            return [("h", last, None), ("crz", wires, angle), ("h", last, None)]
        case "cry" | "crz":
            turn = "r" + name[-1]
            half, back = _times(angle, 0.5), _times(angle, -0.5)
            return [(turn, last, half), ("cx", wires, None), (turn, last, back), ("cx", wires, None)]
        case "rzz":
            return [("cx", wires, None), ("rz", last, angle), ("cx", wires, None)]
        case "rxx":
            around: list[tuple[str, tuple[int, ...], Angle | None]] = [("h", wire, None) for wire in both]
            return [*around, ("rzz", wires, angle), *around]
        case "ryy":
            there, home = ([("rx", wire, _times(quarter, sign)) for wire in both] for sign in (1, -1))
            return [*there, ("rzz", wires, angle), *home]
    return [(name, wires, angle)]


def _times(angle: Angle | None, factor: float) -> Angle:
    assert angle is not None, "a rotation without an angle"
    return replace(angle, scale=factor * angle.scale, shift=factor * angle.shift)


def _turns(basis: str) -> Iterator[_Step]:
    """The gates that rotate a basis to Z."""
    for wire, axis in enumerate(basis):
        if axis == "Y":
            yield _Step("si", (wire,))
        if axis in "XY":
            yield _Step("h", (wire,))


@dataclass(frozen=True, eq=False)
class _Programs:
    """A circuit as OpenQASM 3, one program for each measurement basis.

    Args:
        circuit: a lifted one.
        gates: the steps of each of its gates.
    """

    circuit: Circuit
    gates: tuple[tuple[_Step, ...], ...]

    @classmethod
    def of(cls, circuit: Circuit) -> _Programs:
        return cls(circuit, tuple(tuple(_native(gate)) for gate in circuit.gates))

    @property
    def steps(self) -> list[_Step]:
        return [step for gate in self.gates for step in gate]

    @cached_property
    def angles(self) -> tuple[Angle, ...]:
        """The distinct angles that are inputs of the programs."""
        return tuple(dict.fromkeys(step.angle for step in self.steps if step.angle is not None and step.angle.source is not None))

    def values(self, angles_MA: Floats) -> Floats:
        """The inputs of the programs (M, J), radians; a circuit without angles gets an unused one, so that rows can be counted."""
        scale_J, shift_J = (np.array([getattr(angle, name) for angle in self.angles]) for name in ("scale", "shift"))
        values_MJ = angles_MA[:, [angle.index for angle in self.angles]] * scale_J + shift_J
        return values_MJ if self.angles else np.zeros((len(angles_MA), 1))

    def bound(self, angles_MA: Floats) -> ProgramSet:
        """All rows in one program set: one program for each basis, with the rows as its inputs."""
        inputs = {f"a{place}": column.tolist() for place, column in enumerate(self.values(angles_MA).T)}
        return ProgramSet(programs=[Program(source=self.text(basis), inputs=inputs) for basis in bases(self.circuit.readout)])

    def text(self, basis: str) -> str:
        """OpenQASM 3, measured in a basis."""
        name = {angle: f"a{place}" for place, angle in enumerate(self.angles or [Angle(None)])}
        wires = range(self.circuit.wires)
        lines = ["OPENQASM 3.0;", *(f"input float {one};" for one in name.values())]
        lines += [f"bit[{len(wires)}] b;", f"qubit[{len(wires)}] q;"]
        for step in (*self.steps, *_turns(basis)):
            angle = (
                ""
                if step.angle is None
                else f"({repr(float(step.angle.shift)) if step.angle.source is None else name[step.angle]})"
            )
            lines.append(f"{step.name}{angle} {', '.join(f'q[{wire}]' for wire in step.wires)};")
        return "\n".join([*lines, *(f"b[{wire}] = measure q[{wire}];" for wire in wires), ""])


# ---------------------------------------------------------------- local simulators


class BraketSimulator(Target):
    """A local simulator, exact unless shots or noise are requested.

    Args:
        name: its name.
        kind: braket_sv or braket_dm.
        shots: per row and basis; None: exact.
        noise: for braket_dm.
    """

    def __init__(self, name: str, kind: str, *, shots: int | None = None, noise: Noise | None = None) -> None:
        self.name, self.shots, self.noise = name, shots, noise is not None
        self.abilities = Abilities(max_wires=WIRES[kind], native=tuple(_NATIVE), noise=self.noise)
        self._kind, self._rates = kind, noise
        self._prepared: dict[Circuit, list[_Operations]] = {}

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        circuit, words = lifted.circuit, lifted.circuit.readout
        if circuit not in self._prepared:
            self._prepared[circuit] = self._prepare(circuit)
        chances_MBD = np.stack([self._chances(one, angles_MA) for one in self._prepared[circuit]], axis=1)
        if self.shots is not None:
            chances_MBD = draw(chances_MBD, rows, self.shots)
        mean_MK, error_MK = read_chances(words, chances_MBD, self.shots)
        return Answer(mean_MK, error_MK, len(angles_MA) * len(bases(words)), provenance=self._provenance())

    def _provenance(self) -> dict[str, str | int | float]:
        told: dict[str, str | int | float] = {"simulator": f"amazon-braket-default-simulator {version}", "method": self._kind}
        if self._rates is not None:
            told |= {"noise": str(self._rates), "reading errors": "included"}
        if self.shots is not None:
            told["sampling"] = "drawn by qlogad from the simulator's outcome probabilities, seeded row by row"
        return told

    def _prepare(self, circuit: Circuit) -> list[_Operations]:
        programs = _Programs.of(circuit)
        noise = dict[int, list[Any]]()  # numbers of steps
        done = 0
        for gate, steps in zip(circuit.gates, programs.gates, strict=True):
            done += len(steps)
            if self._rates is not None:
                noise.setdefault(done, []).append(_channel(self._rates, gate.wires))
        return [_Operations.of(programs, basis, noise, self._rates) for basis in bases(circuit.readout)]

    def _chances(self, prepared: _Operations, angles_MA: Floats) -> Floats:
        """The probabilities (M, 2^W) of all outcomes."""
        wires = prepared.programs.circuit.wires
        found = []
        for values_J in prepared.programs.values(angles_MA):
            run = DensityMatrixSimulation(wires, 0) if self._kind == "braket_dm" else StateVectorSimulation(wires, 0, 1)
            run.evolve(prepared.bound(values_J))
            found.append(run.probabilities)
        return np.stack(found)


@dataclass(frozen=True, eq=False)
class _Operations:
    """A program as parsed by the simulator, with the positions of its inputs."""

    programs: _Programs
    operations: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]  # of an operation, and of its input

    @classmethod
    def of(cls, programs: _Programs, basis: str, noise: dict[int, list[Any]], rates: Noise | None) -> _Operations:
        inputs = {f"a{place}": 0.0 for place in range(max(1, len(programs.angles)))}
        parsed = StateVectorSimulator().parse_program(Program(source=programs.text(basis), inputs=inputs)).circuit.instructions
        operations: list[Any] = []
        places = []
        steps = [*programs.steps, *_turns(basis)]
        for done, (step, operation) in enumerate(zip(steps, parsed, strict=True), 1):
            if step.angle in programs.angles:
                places.append((len(operations), programs.angles.index(step.angle)))
            operations += [operation, *noise.get(done, ())]
        if rates is not None and rates.readout:
            misread = [np.sqrt(1 - rates.readout) * np.eye(2), np.sqrt(rates.readout) * np.eye(2)[::-1]]
            operations += [noise_operations.Kraus((wire,), misread) for wire in range(programs.circuit.wires)]
        return cls(programs, tuple(operations), tuple(places))

    def bound(self, values_J: Floats) -> list[Any]:
        """The operations with these inputs."""
        bound = list(self.operations)
        for place, j in self.places:
            bound[place] = type(bound[place])(bound[place].targets, values_J[j])
        return bound


def _channel(noise: Noise, wires: tuple[int, ...]) -> Any:
    """The noise channel after a gate as Kraus operators: eigenvectors of its Choi matrix. The first wire is the most significant digit."""
    size, transfer = 2 ** len(wires), noise.channel(len(wires))
    paulis = [pauli("".join(word)) for word in product("IXYZ", repeat=len(wires))]
    choi = sum(
        transfer[i, j] * np.kron(p, q.T) / size for i, p in enumerate(paulis) for j, q in enumerate(paulis) if transfer[i, j]
    )
    shares, vectors = np.linalg.eigh(choi)
    kraus = [np.sqrt(share) * vector.reshape(size, size) for share, vector in zip(shares, vectors.T, strict=True) if share > 1e-15]
    return noise_operations.Kraus(wires, kraus)


# ---------------------------------------------------------------- devices


class BraketDevice(Target):
    """A device, planned without network and used through its jobs.

    Args:
        arn: its ARN, arn:aws:braket:REGION::device/qpu/MAKER/NAME.
        shots: per row and basis.
        price: US dollars per shot; None: as recorded.

    Raises:
        BackendError: it is not the ARN of a device.
    """

    noise = True
    shots: int

    def __init__(self, arn: str, *, shots: int = SHOTS, price: float | None = None) -> None:
        found = re.fullmatch(r"arn:aws:braket:([a-z0-9-]+)::device/qpu/([\w.-]+/[\w.-]+)", arn)
        if found is None:
            raise BackendError(
                f"{shown(arn, 80)} is not the ARN of a device, such as arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet; "
                "simulators run here, as 'braket'"
            )
        self.arn, self.region, self.device, self.shots = arn, found[1], found[2], shots
        recorded = PRICES.get(self.device, Price(DEVICE_WIRES, None))
        self.price = recorded.shot if price is None else price
        self.name = f"braket:{arn}"
        self.abilities = Abilities(max_wires=recorded.qubits, native=tuple(_NATIVE), noise=True, device=True)
        self.service = BraketService(self)
        self._programs: dict[Circuit, _Programs] = {}

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        raise BackendError(
            f"{self.device} charges for each task, so use it through a ledger: qlogad hardware plan|submit --to {self.name}"
        )

    def cost(self, lifted: Lifted, rows: int) -> Cost:
        """The cost of a number of rows; depth and gates are those submitted, before the device's compiler."""
        if self.price is None:
            raise BackendError(
                f"no price is recorded for {self.device}; see aws.amazon.com/braket/pricing and add price=..., US dollars per shot"
            )
        jobs = math.ceil(rows / self.rows(lifted, EXECUTABLES))
        executions = rows * len(bases(lifted.circuit.readout))
        shots = executions * self.shots
        steps = self.programs(lifted.circuit).steps
        return Cost(
            rows=rows,
            jobs=jobs,
            executions=executions,
            shots=shots,
            depth=longest_chain(lifted.circuit.wires, ((step.wires, 1) for step in steps)),
            two_qubit_gates=sum(len(step.wires) == 2 for step in steps),
            seconds=0.0,
            spread=1.0,
            dollars=TASK_DOLLARS * jobs + self.price * shots,
            bytes=math.ceil(executions / jobs) * self.shots * lifted.circuit.wires if jobs else 0,
            formula=(
                f"{TASK_DOLLARS:.2f} USD x tasks of up to {EXECUTABLES} circuits + {self.price:g} USD x shots ({SOURCE}); "
                "device time is neither charged nor known in advance"
            ),
        )

    def programs(self, circuit: Circuit) -> _Programs:
        """The circuit as submitted to the device."""
        if circuit not in self._programs:
            self._programs[circuit] = _Programs.of(circuit)
        return self._programs[circuit]

    def rows(self, lifted: Lifted, executables: int, shots: float = math.inf) -> int:
        """The number of rows that fit a task with these limits on circuits and on total shots."""
        found = len(bases(lifted.circuit.readout))
        most = min(executables // found, int(min(shots, 2**62) // (found * self.shots)))
        if most < 1:
            raise BackendError(
                f"a task cannot take one row of {counted(found, 'basis')} with {self.shots} shots; use fewer of them"
            )
        return most


class BraketService:
    """The tasks of a device, for a ledger: see `Service`. The tag is also the client token, so Amazon never creates a second task.

    Args:
        target: the device with its options.
    """

    settles = 30.0

    def __init__(self, target: BraketDevice) -> None:
        self._target = target

    @cached_property
    def _session(self) -> AwsSession:
        return _ask(lambda: AwsSession(boto3.Session(region_name=self._target.region)))

    def _properties(self) -> dict[str, Any]:
        """The device's properties."""
        return dict(json.loads(_ask(lambda: self._session.get_device(self._target.arn))["deviceCapabilities"]))

    def rows(self, lifted: Lifted) -> int:
        """The number of rows that the device accepts in one task."""
        limits = self._properties()["action"].get("braket.ir.openqasm.program_set")
        if limits is None:
            raise BackendError(f"{self._target.device} takes no program sets; choose another device")
        return self._target.rows(lifted, limits["maximumExecutables"], limits["maximumTotalShots"])

    def calibrated(self) -> str:
        """When the device's properties were last updated."""
        return str(self._properties()["service"].get("updatedAt") or "")

    def submit(self, work: Work, tag: str) -> str:
        """Submit one task."""
        programs = self._target.programs(work.lifted.circuit)
        executables = len(work.rows) * len(bases(work.lifted.circuit.readout))
        bucket, folder = self._folder()
        return str(
            _ask(
                lambda: self._session.create_quantum_task(
                    clientToken=tag,
                    tags={"qlogad": tag},
                    deviceArn=self._target.arn,
                    action=programs.bound(work.angles_MA).json(),
                    shots=executables * self._target.shots,
                    outputS3Bucket=bucket,
                    outputS3KeyPrefix=folder,
                )
            )
        )

    def _folder(self) -> tuple[str, str]:
        """Where Amazon writes results: the bucket and folder set in the environment, or Braket's defaults."""
        stated = os.environ.get("AMZN_BRAKET_TASK_RESULTS_S3_URI")
        found = _ask(lambda: AwsSession.parse_s3_uri(stated) if stated else (self._session.default_bucket(), "tasks"))
        return str(found[0]), str(found[1])

    def find(self, tag: str) -> str | None:
        """The ARN of the first task with this tag."""
        filters = [{"name": "deviceArn", "operator": "EQUAL", "values": [self._target.arn]}]

        def look() -> list[tuple[Any, str]]:
            pages = self._session.braket_client.get_paginator("search_quantum_tasks").paginate(filters=filters)
            tasks = (task for page in pages for task in page["quantumTasks"])
            return [(task["createdAt"], task["quantumTaskArn"]) for task in tasks if task.get("tags", {}).get("qlogad") == tag]

        return min(_ask(look), default=(None, None))[1]

    def status(self, job: str) -> Status:
        """The state of a task."""
        task = _ask(lambda: self._session.get_quantum_task(job))
        state = _STATES.get(task["status"], "waiting")
        return Status(state, task.get("tags", {}).get("qlogad", ""), told(task.get("failureReason", "")))

    def result(self, job: str, work: Work) -> Answer:
        """The results of a task."""
        circuit = work.lifted.circuit

        def fetch() -> Any:
            task = self._session.get_quantum_task(job)
            body = self._session.retrieve_s3_object_body(task["outputS3Bucket"], f"{task['outputS3Directory']}/results.json")
            return ProgramSetQuantumTaskResult.from_object(BraketSchemaBase.parse_raw_schema(body))

        found = _ask(fetch)
        shape = len(bases(circuit.readout)), len(work.rows)
        if (len(found.entries), *{len(entry) for entry in found.entries}) != shape:
            raise Unavailable(f"task {job} should hold {shape[0]} x {shape[1]} results, but does not")
        counts = [[_counts(found.entries[b][m], circuit.wires) for b in range(shape[0])] for m in range(shape[1])]
        mean_MK, error_MK = read_counts(circuit.readout, counts)
        told = {"sdk": f"amazon-braket-sdk {sdk}", "device": self._target.arn, "job ids": job}
        return Answer(mean_MK, error_MK, shape[0] * shape[1], 1, told)


_STATES: dict[str, State] = {"COMPLETED": "done", "FAILED": "failed", "CANCELLED": "cancelled"}


def _counts(measured: Any, wires: int) -> dict[str, int]:
    """Counts by outcome; letter w is wire w."""
    if not isinstance(measured, MeasuredEntry):
        raise Spoiled(f"a circuit of a task failed: {told(str(getattr(measured, 'failureMetadata', '')))}")
    if sorted(measured.measured_qubits) != list(range(wires)):
        raise BackendError(f"expected {wires} measured wires, got qubits {measured.measured_qubits}; use another device")
    places = [measured.measured_qubits.index(wire) for wire in range(wires)]
    return {"".join(outcome[place] for place in places): times for outcome, times in measured.counts.items()}


def _ask(request: Callable[[], T]) -> T:
    """Call the service; its errors become one line, without anything that could be a credential."""
    try:
        return request()
    except (BotoCoreError, ClientError, ValueError) as error:
        refusal = _refusal(error)
    raise refusal  # raised outside the handler, to keep the service's own words out of the traceback


def _refusal(error: Exception) -> BackendError:
    kind, cause = type(error).__name__, told(str(error))
    passing, fix = (
        isinstance(error, (HTTPClientError, NoConnection)),
        "run again later, or run it here with 'braket:depolarizing=0.01'",
    )
    if isinstance(error, ClientError):
        kind = told(error.response.get("Error", {}).get("Code", kind))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        passing = status == 429 or status >= 500
    if isinstance(error, NoCredentialsError) or kind in _REFUSED:
        fix = "set AWS_PROFILE, or run 'aws configure', for an account that may use Amazon Braket"
    return (Unavailable if passing else BackendError)(f"Amazon Braket refused ({kind}: {cause}); {fix}")


_REFUSED = ("AccessDeniedException", "ExpiredTokenException", "InvalidSignatureException", "UnrecognizedClientException")
