"""IBM's quantum computers through their client primitives, and device snapshots as stand-ins. pip install qlogad[ibm].

    "ibm:fake_manila"  "ibm:fake_torino,shots=4096,level=1"  local, without network: the device's noise from a past calibration
    "ibm:torino,shots=1024,max_seconds=60,mode=session"      the service, with the saved account or that of the environment

A circuit is transpiled once (optimization level 3, fixed seed) and cached; all rows of a call are bindings of its angles, in as few jobs
as the service's limits allow. Device and stand-in run the same primitives on the same transpiled circuits; a stand-in is reduced to the
qubits in use, so it has no crosstalk with the others. Without mitigation, outcomes are counted (Sampler), and a stand-in draws them row
by row; with it, means come from the Estimator, and the draws of a stand-in depend on all rows of a job, but not on their order.

Limits and usage: IBM Quantum documentation, guides "job-limits", "estimate-job-run-time" and "execution-modes" (November 2026). Readout
mitigation: van den Berg, Minev, Temme (2022), arXiv:2012.09738; zero-noise extrapolation: Temme, Bravyi, Gambetta (2017), arXiv:1612.02058.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, cast, get_args

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2, Options
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target as Device
from qiskit.transpiler import generate_preset_pass_manager

from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend
from qlogad.backend.check import Check
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.qiskit import placed, to_qiskit
from qlogad.backend.readings import draw, read_counts
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import Unavailable
from qlogad.backend.spec import number, options
from qlogad.backend.target import Answer, Cost, State, Status, Target, Work
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, is_projector
from qlogad.credentials import told
from qlogad.errors import BackendError, MissingExtra, QlogadWarning, did_you_mean, shown

try:
    from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session, fake_provider
    from qiskit_ibm_runtime import __version__ as version
    from qiskit_ibm_runtime.executor_estimator import Estimator
    from qiskit_ibm_runtime.executor_sampler import Sampler
    from requests.exceptions import RequestException
except ImportError as error:
    raise MissingExtra("qiskit-ibm-runtime", "ibm") from error
try:
    from qiskit_aer import AerSimulator
except ImportError as error:
    raise MissingExtra("qiskit-aer", "ibm") from error

__all__ = ["IBM", "IBMService", "IBMTarget", "Reduced", "snapshot"]

Mode = Literal["batch", "session", "job"]

SHOTS = 1024
SEED = 7  # of the transpiler
STAND_IN_WIRES = 10  # density matrices
FACTORS = (1, 3, 5)  # zero-noise extrapolation: folding factors of two-qubit gates

JOB_SHOTS = 10_000_000  # of a job: bindings x bases x shots
JOB_INSTRUCTIONS = 26_800_000  # of a job on one qubit, weighted as below
JOB_TWO_QUBIT_GATES = 5_000_000  # documented for one circuit; applied to a whole job
JOB_SECONDS = 3 * 3600.0
WEIGHTS = {"rz": 1, "delay": 1, "id": 1, "sx": 2, "x": 2, "measure": 10, "reset": 17}  # control instructions; two-qubit gates: 5
PREPARE = 50  # control instructions of a qubit's reset

JOB_OVERHEAD = 2.0  # seconds of a job before its first shot
DELAY = 250e-6  # seconds between shots, if the device does not state it
DOLLARS = 1.60  # per second, Pay-As-You-Go
SPREAD = (
    1.5  # the service's own rule of thumb, 0.35 ms per shot, is 1.4 times its default delay; its sub-jobs are not known in advance
)


class IBM(SampledBackend, Backend):
    """One of IBM's devices, or a snapshot of one.

    Args:
        target: a device (torino) or a snapshot (fake_manila, fake_torino, ...), then options: `shots` per row and basis; `level` of
        mitigation (0 none; 1 readout errors; 2 also zero-noise extrapolation and twirling), or the switches `measure`, `zne`,
        `twirling`, `dd` (dynamical decoupling), on or off; `max_seconds` of device time per job; `gradient` (shift or spsa);
        `mode`: batch (the jobs of a round queue once), session (the device is reserved and charged from the first job to the end:
        for closed loops of many rounds with --wait; not on the Open Plan) or job (each queues separately).

    Raises:
        BackendError: there is no such device, no account, or no such option.
        MissingExtra: qiskit-ibm-runtime or qiskit-aer is not installed.
    """

    name = "ibm"
    checks = (Check("", "qiskit-ibm-runtime"),)

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """Whether it is a device: snapshots need no account."""
        return not re.match(r"\s*(?:fake_|[^,=]*=|$)", target)

    def __init__(self, target: str = "fake_manila") -> None:
        bare, found = options(target, ("shots", *_SWITCHES, "level", "max_seconds", "gradient", "mode"))
        mode = found.get("mode")
        if mode not in (None, *get_args(Mode)):
            raise BackendError(
                f"mode must be one of {', '.join(get_args(Mode))}, got {shown(mode)}; write for example mode=session"
            )
        device = _open(bare or "fake_manila")
        mitigation = Mitigation.of(number("level", found.get("level"), least=0, most=3) or 0, found)
        shots = number("shots", found.get("shots"), least=1) or SHOTS
        seconds = number("max_seconds", found.get("max_seconds"), least=1)
        runner = IBMTarget(device, mitigation, shots=shots, max_seconds=seconds, mode=cast(Mode | None, mode))
        super().__init__(runner, gradient=found.get("gradient", "shift"))


_NOTHING = Parameter("nothing")  # bound to 0 in a circuit without angles, so that rows are bindings there too
_SWITCHES = ("measure", "zne", "twirling", "dd")


@dataclass(frozen=True)
class Mitigation:
    """Error mitigation and suppression."""

    measure: bool = False  # readout errors are learnt and divided out
    zne: bool = False  # two-qubit gates are folded, and the noise is extrapolated to zero
    twirling: bool = False  # random Pauli gates around two-qubit gates and measurements turn errors into stochastic ones
    dd: bool = False  # pulses on idle qubits

    @classmethod
    def of(cls, level: int, found: dict[str, str]) -> Mitigation:
        """The settings of a level, overridden by switches."""
        if level > 2:
            raise BackendError(f"level must be 0 (none), 1 (readout errors) or 2 (also zero-noise extrapolation), got {level}")
        defaults = {"measure": level >= 1, "zne": level == 2, "twirling": level == 2, "dd": False}
        return cls(**{name: _switch(name, found.get(name), preset) for name, preset in defaults.items()})

    @property
    def estimates(self) -> bool:
        """Whether the service computes means from more than one circuit."""
        return self.measure or self.zne

    @property
    def circuits(self) -> int:
        """Circuits run per binding and basis."""
        return len(FACTORS) if self.zne else 1

    def shots(self, asked: int) -> int:
        """Shots of one circuit; with twirling they are divided among up to 32 variants of at least 64 shots, and rounded up."""
        if not (self.twirling or self.measure):
            return asked
        each = max(64, math.ceil(asked / 32))
        return math.ceil(asked / each) * each

    def __str__(self) -> str:
        return " ".join(name for name in _SWITCHES if getattr(self, name)) or "none"


def _switch(name: str, text: str | None, preset: bool) -> bool:
    if text not in (None, "on", "off"):
        raise BackendError(f"{name} must be on or off, got {shown(text)}; write for example {name}=on")
    return preset if text is None else text == "on"


class IBMTarget(Target):
    """A device with its options.

    Args:
        device: a snapshot, or a device of the service.
        mitigation: error mitigation.
        shots: per row and basis.
        max_seconds: device time after which the service ends a job.
        mode: execution mode; None: batch.
    """

    noise = True
    shots: int

    def __init__(
        self,
        device: BackendV2,
        mitigation: Mitigation,
        *,
        shots: int = SHOTS,
        max_seconds: int | None = None,
        mode: Mode | None = None,
    ) -> None:
        self.device, self.mitigation, self.shots, self.max_seconds, self.mode = device, mitigation, shots, max_seconds, mode
        self._opened: Session | None = None
        self.name = f"ibm:{device.name}"
        self.local = isinstance(device, fake_provider.fake_backend.FakeBackendV2)
        wires = min(device.num_qubits, STAND_IN_WIRES) if self.local else device.num_qubits
        self.abilities = Abilities(max_wires=wires, native=tuple(GATES), noise=True, device=not self.local)
        self._prepared: dict[Circuit, _Translated] = {}
        self.service = None if self.local else IBMService(self, device.service)
        if self.local and self._idle:
            warnings.warn(f"{device.name} is a stand-in: {self._idle}", QlogadWarning, stacklevel=4)

    @property
    def _by_row(self) -> bool:
        """Whether this is a stand-in whose samples of a row depend only on its name and angles."""
        return self.local and not (self.mitigation.estimates or self.mitigation.twirling)

    @property
    def _idle(self) -> str:
        """The options that behave differently on a stand-in than on the device."""
        told = {
            "dd adds its pulses' errors and has nothing to cancel": self.mitigation.dd,
            "max_seconds has no effect": self.max_seconds is not None,
            "mode has no effect": self.mode is not None,
        }
        return "; ".join(text for text, so in told.items() if so)

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        prepared = self._prepare(lifted.circuit)
        order_M = sorted(range(len(rows)), key=lambda row: rows[row])  # makes a stand-in's draws independent of the order of rows
        parts = list(prepared.parts(self, len(rows)))
        jobs = []
        for part in parts:
            places = order_M[part]
            jobs.append(self._submit(prepared, angles_MA[places], [rows[place] for place in places]))
        found = [self._read(job, prepared, part.stop - part.start) for job, part in zip(jobs, parts, strict=True)]
        mean_MK, error_MK = np.empty((2, len(rows), len(lifted.circuit.readout)))
        mean_MK[order_M], error_MK[order_M] = (np.concatenate(each) for each in zip(*found, strict=True))
        cost = self.cost(lifted, len(rows))
        return Answer(mean_MK, error_MK, cost.executions, len(jobs), self._provenance(prepared, jobs))

    def cost(self, lifted: Lifted, rows: int) -> Cost:
        """The cost of a number of rows on the device; for a stand-in, on the device that it represents."""
        return self._prepare(lifted.circuit).cost(self, rows)

    # ------------------------------------------------------------ jobs

    def _where(self, prepared: _Translated) -> Any:
        """Where jobs go: the device, or a batch or session on it, opened with the first job and reopened after the service closes it."""
        if self.local or self.mode == "job":
            return prepared.device
        if self._opened is None or not (_ask(self._opened.details) or {}).get("accepting_jobs"):
            together = Session if self.mode == "session" else Batch
            self._opened = _ask(lambda: together(backend=prepared.device), _OPEN_PLAN if self.mode == "session" else _LATER)
            weakref.finalize(self, _close, self._opened)  # at exit too
        return self._opened

    def _submit(self, prepared: _Translated, angles_MA: Floats, rows: Sequence[str], tags: Sequence[str] = ()) -> Any:
        """One job with all these rows, and tags to find it by."""
        seed = int.from_bytes(hashlib.sha256("\n".join(rows).encode()).digest()[:4])
        asked: dict[str, Any] = {
            "default_shots": self.shots,
            "environment": {"job_tags": list(tags)},
            "simulator": {"seed_simulator": seed, "angle_decimals": 12},
            "dynamical_decoupling": {"enable": self.mitigation.dd},
            "twirling": {
                "enable_gates": self.mitigation.twirling,
                "enable_measure": self.mitigation.twirling or self.mitigation.measure,
            },
        }
        if self.max_seconds is not None and not self.local:
            asked["max_execution_time"] = self.max_seconds
        if not self.mitigation.estimates:
            where = prepared.drawn(rows) if self._by_row else self._where(prepared)
            return _ask(lambda: Sampler(where, asked).run(prepared.bound(angles_MA)))
        asked["resilience_level"] = 0
        asked["resilience"] = {"measure_mitigation": self.mitigation.measure, "zne_mitigation": self.mitigation.zne}
        if self.mitigation.zne:
            asked["resilience"]["zne"] = {"noise_factors": FACTORS}
        where = self._where(prepared)
        return _ask(lambda: Estimator(where, asked).run(prepared.bound(angles_MA)))

    def _read(self, job: Any, prepared: _Translated, rows: int) -> tuple[Floats, Floats]:
        """The readouts of a job and their standard errors, (rows, K) each."""
        pubs = _ask(job.result)
        words = prepared.words
        if self.mitigation.estimates:
            mean_MK, error_MK = (np.asarray(pubs[0].data[name], dtype=np.float64).reshape(-1, rows).T for name in ("evs", "stds"))
            return mean_MK, np.clip(
                np.nan_to_num(error_MK, nan=np.inf), 2 / self.shots, 2.0
            )  # errors must be neither 0 nor infinite
        counts = [[_counts(pub.data[basis], row) for pub, basis in zip(pubs, bases(words), strict=True)] for row in range(rows)]
        return read_counts(words, counts)

    def _provenance(self, prepared: _Translated, jobs: Sequence[Any]) -> dict[str, str | int | float]:
        calibrated = getattr(_ask(self.device.properties), "last_update_date", None)
        told: dict[str, str | int | float] = {
            "runtime": f"qiskit-ibm-runtime {version}",
            "primitive": "Estimator" if self.mitigation.estimates else "Sampler",
            "mitigation": str(self.mitigation),
            "qubits": " ".join(map(str, prepared.places)),
            "depth": prepared.depth,
            "two-qubit gates": prepared.two_qubit_gates,
            "calibrated": str(calibrated),
        }
        if self.local:
            told["stand-in"] = "; ".join(["the qubits in use only, no crosstalk", *([self._idle] if self._idle else [])])
            told["sampling"] = (
                "drawn row by row from the simulated outcome probabilities" if self._by_row else "seeded by all rows of a job"
            )
        else:
            told["mode"] = self.mode or "batch"
            told["job ids"] = " ".join(job.job_id() for job in jobs)
        return told

    # ------------------------------------------------------------ circuits

    def _prepare(self, circuit: Circuit) -> _Translated:
        if circuit not in self._prepared:
            self._prepared[circuit] = self._translate(circuit)
        return self._prepared[circuit]

    def _translate(self, circuit: Circuit) -> _Translated:
        words = circuit.readout
        if self.mitigation.estimates and any(map(is_projector, words)):
            raise BackendError(
                "the service mitigates Pauli words, not probabilities of basis states; read for example 'z', or use level=0"
            )
        measured = to_qiskit(circuit)
        measured.add_register(ClassicalRegister(circuit.wires, "read"))
        measured.measure(range(circuit.wires), range(circuit.wires))
        whole = generate_preset_pass_manager(3, backend=self.device, seed_transpiler=SEED).run(measured)
        device, steps, places = self.device, *placed(whole)
        if self.local:
            used = sorted({*places, *(qubit for _, qubits in steps for qubit in qubits)})
            device, at = Reduced(self.device, used), {qubit: place for place, qubit in enumerate(used)}
            steps = [(operation, tuple(at[qubit] for qubit in qubits)) for operation, qubits in steps]
            at_W = [at[place] for place in places]
        else:
            at_W = places
        bare = QuantumCircuit(device.num_qubits)
        for operation, qubits in steps:
            bare.append(operation, qubits)
        if not bare.parameters:
            bare.rz(_NOTHING, at_W[0])
        observables = [[_observable(word, at_W, device.num_qubits)] for word in words] if self.mitigation.estimates else None
        circuits = [bare] if observables else [_measured(bare, basis, at_W, device) for basis in bases(words)]
        return _Translated.of(words, circuits, observables, device, places, at_W)


class IBMService:
    """The jobs of a device, for a ledger: see `Service`.

    Args:
        target: the device with its options.
        runtime: the QiskitRuntimeService that runs its jobs.
    """

    settles = 30.0

    def __init__(self, target: IBMTarget, runtime: Any) -> None:
        self._target, self._runtime = target, runtime

    def rows(self, lifted: Lifted) -> int:
        """The number of rows that the service's limits allow in one job."""
        return self._target._prepare(lifted.circuit).rows(self._target)

    def calibrated(self) -> str:
        """The time of the device's calibration."""
        return str(getattr(_ask(self._target.device.properties), "last_update_date", ""))

    def submit(self, work: Work, tag: str) -> str:
        """Submit one job."""
        prepared = self._target._prepare(work.lifted.circuit)
        job = self._target._submit(prepared, work.angles_MA, work.rows, [tag])
        return str(_ask(job.job_id))

    def find(self, tag: str) -> str | None:
        """The id of the first job with this tag."""
        found = _ask(lambda: self._runtime.jobs(limit=None, job_tags=[tag]))
        return str(found[-1].job_id()) if found else None

    def status(self, job: str) -> Status:
        """The state of a job; jobs carry only qlogad's tags."""
        found = _ask(lambda: self._runtime.job(job))
        state = _STATES.get(str(_ask(found.status)), "waiting")
        detail = str(_ask(found.error_message) or "") if state == "failed" else ""
        return Status(state, " ".join(found.tags), told(detail))

    def result(self, job: str, work: Work) -> Answer:
        """The results of a job."""
        target, prepared = self._target, self._target._prepare(work.lifted.circuit)
        found = _ask(lambda: self._runtime.job(job))
        mean_MK, error_MK = target._read(found, prepared, len(work.rows))
        told = target._provenance(prepared, [found]) | {"device seconds": float(_ask(found.usage))}
        return Answer(mean_MK, error_MK, prepared.cost(target, len(work.rows)).executions, 1, told)


_STATES: dict[str, State] = {"DONE": "done", "ERROR": "failed", "CANCELLED": "cancelled"}


@dataclass(frozen=True, eq=False)
class _Translated:
    """The cached translation of a circuit."""

    words: tuple[str, ...]
    circuits: list[QuantumCircuit]  # one for each basis; the one to estimate on
    observables: list[list[SparsePauliOp]] | None  # (K, 1)
    device: BackendV2  # as run: a stand-in has only the qubits in use
    places: list[int]  # the device's qubit of each wire
    at_W: list[int]  # the same, as run
    depth: int
    two_qubit_gates: int
    instructions: int  # control instructions of the busiest qubit
    seconds: float  # from the first gate to the last measurement

    @classmethod
    def of(
        cls,
        words: tuple[str, ...],
        circuits: list[QuantumCircuit],
        observables: list[list[SparsePauliOp]] | None,
        device: BackendV2,
        places: list[int],
        at_W: list[int],
    ) -> _Translated:
        """Make a translation with the size of its longest circuit."""
        sizes = [_size(circuit, device.target) for circuit in circuits]
        depths = [circuit.depth(lambda item: item.operation.name not in ("barrier", "measure")) for circuit in circuits]
        gates = [circuit.num_nonlocal_gates() for circuit in circuits]
        reading = 0.0 if observables is None else max(_seconds(device.target, "measure", (qubit,)) for qubit in at_W)
        instructions, seconds = max(size[0] for size in sizes), max(size[1] for size in sizes) + reading
        return cls(words, circuits, observables, device, places, at_W, max(depths), max(gates), instructions, seconds)

    @cached_property
    def _simulator(self) -> _Drawn:
        made = cast(_Drawn, _Drawn.from_backend(self.device))
        made.set_options(method="density_matrix")
        made.at_W, made.wrong_W = self.at_W, [self.device.target["measure"][(qubit,)].error for qubit in self.at_W]
        return made

    def drawn(self, rows: Sequence[str]) -> _Drawn:
        """The stand-in for one job."""
        mine = copy(self._simulator)
        mine.rows = rows
        return mine

    def bound(self, angles_MA: Floats) -> list[Any]:
        """The PUBs of a number of rows: one for each circuit, with all rows as bindings."""
        pubs: list[Any] = []
        for circuit in self.circuits:
            columns = [angles_MA[:, one.index] if one != _NOTHING else np.zeros(len(angles_MA)) for one in circuit.parameters]
            values_MP = np.stack(columns, axis=1)
            pubs.append((circuit, values_MP) if self.observables is None else (circuit, self.observables, values_MP[None]))
        return pubs

    def rows(self, target: IBMTarget) -> int:
        """The number of rows that one job can take."""
        mitigation = target.mitigation
        shots = mitigation.shots(target.shots)
        one = len(bases(self.words)) * mitigation.circuits  # circuits of a row
        folded = len(bases(self.words)) * (sum(FACTORS) if mitigation.zne else 1)
        limits = (
            (JOB_SHOTS - (shots if mitigation.measure else 0)) // (one * shots),
            JOB_INSTRUCTIONS // (folded * self.instructions),
            JOB_TWO_QUBIT_GATES // max(1, folded * self.two_qubit_gates),
            int((JOB_SECONDS - JOB_OVERHEAD) / (one * shots * self._shot(target))),
        )
        if min(limits) < 1:
            raise BackendError(f"a job cannot take one row of this circuit with {shots} shots; use fewer shots, or less depth")
        return min(limits)

    def parts(self, target: IBMTarget, rows: int) -> Iterator[slice]:
        """The rows of each job, as equal as possible."""
        jobs = math.ceil(rows / self.rows(target))
        for job in range(jobs):
            yield slice(rows * job // jobs, rows * (job + 1) // jobs)

    def cost(self, target: IBMTarget, rows: int) -> Cost:
        jobs = math.ceil(rows / self.rows(target))
        executions = rows * len(bases(self.words)) * target.mitigation.circuits + jobs * target.mitigation.measure
        shots = executions * target.mitigation.shots(target.shots)
        seconds = jobs * JOB_OVERHEAD + shots * self._shot(target)
        return Cost(
            rows=rows,
            jobs=jobs,
            executions=executions,
            shots=shots,
            depth=self.depth,
            two_qubit_gates=self.two_qubit_gates,
            seconds=seconds,
            spread=SPREAD,
            dollars=DOLLARS * seconds,
            bytes=math.ceil(executions / jobs) * target.mitigation.shots(target.shots) * len(self.places) if jobs else 0,
            formula=(
                f"{JOB_OVERHEAD:g} s x jobs + ({_delay(target.device) * 1e6:g} us between shots + {self.seconds * 1e6:.3g} us) x shots; "
                f"{DOLLARS:.2f} USD per second (Pay-As-You-Go); within a factor of {SPREAD:g} either way"
                + ("; a session is also charged while waiting" if target.mode == "session" else "")
            ),
        )

    def _shot(self, target: IBMTarget) -> float:
        """Seconds per shot; folding lengthens a circuit by up to its factor."""
        stretch = sum(FACTORS) / len(FACTORS) if target.mitigation.zne else 1
        return _delay(target.device) + stretch * self.seconds


class Reduced(BackendV2):  # type: ignore[misc]
    """A device reduced to some of its qubits, with their calibration: faster to simulate, without crosstalk.

    Args:
        whole: the device.
        qubits: the qubits to keep; renumbered 0, 1, ...
    """

    def __init__(self, whole: BackendV2, qubits: Sequence[int]) -> None:
        super().__init__(name=f"{whole.name}[{','.join(map(str, qubits))}]")
        place = {qubit: number for number, qubit in enumerate(qubits)}
        known = whole.target.qubit_properties
        kept = None if known is None else [known[qubit] for qubit in qubits]
        self._target = Device(num_qubits=len(qubits), dt=whole.target.dt, qubit_properties=kept)
        for name in whole.target.operation_names:
            calibrated = whole.target[name]
            if calibrated is None or None in calibrated:  # control flow has no qubits
                continue
            ours = {tuple(place[qubit] for qubit in on): facts for on, facts in calibrated.items() if place.keys() >= set(on)}
            if ours:
                self._target.add_instruction(whole.target.operation_from_name(name), ours, name=name)

    @property
    def target(self) -> Device:
        """Its gates with their calibration."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """None: no limit."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=SHOTS)

    def run(self, run_input: Any, **settings: Any) -> Any:
        """Simulate circuits with the calibrated noise."""
        return AerSimulator.from_backend(self).run(run_input, **settings)


class _Drawn(AerSimulator):  # type: ignore[misc]
    """A stand-in that draws the outcomes of each row separately, from the row's name and outcome probabilities."""

    at_W: list[int]
    rows: Sequence[str]
    wrong_W: list[float]  # readout error rates of each wire's bit

    def run(self, circuits: Any, parameter_binds: Any = None, *, shots: int = SHOTS, **_: Any) -> Any:
        """As in the simulator, for one circuit with all rows as bindings."""
        (circuit,) = circuits
        (basis,) = (register.name for register in circuit.cregs)
        kept = circuit.copy_empty_like()
        for item in circuit.data:
            if item.operation.name != "measure":
                kept.append(item)
        kept.save_probabilities(self.at_W, label="chances")
        job = super().run([kept], parameter_binds=parameter_binds, shots=1)
        result = job.result()
        for row, found in zip(self.rows, result.results, strict=True):
            chances_D = np.asarray(found.data.chances)
            for wire, wrong in enumerate(self.wrong_W):
                split = chances_D.reshape(-1, 2, 2**wire)
                chances_D = ((1 - wrong) * split + wrong * split[:, ::-1]).reshape(-1)
            share_D = draw(chances_D[None, None], [f"{row}/{basis}"], shots)[0, 0]
            counts_D = np.rint(share_D * shots).astype(np.int64)
            found.data.memory = [hex(outcome) for outcome in np.repeat(np.arange(len(counts_D)), counts_D).tolist()]
        return job


def _measured(bare: QuantumCircuit, basis: str, at_W: Sequence[int], device: BackendV2) -> QuantumCircuit:
    """A transpiled circuit, measured in a basis into a register of the basis's name: bit w is wire w."""
    turned = bare.copy()
    for qubit, axis in zip(at_W, basis, strict=True):
        if axis == "Y":
            turned.sdg(qubit)
        if axis in "XY":
            turned.h(qubit)
    if set(basis) & set("XY"):
        stay = range(device.num_qubits)
        turned = generate_preset_pass_manager(1, backend=device, initial_layout=stay, seed_transpiler=SEED).run(turned)
    read = ClassicalRegister(len(at_W), basis)
    turned.add_register(read)
    turned.measure(at_W, read)
    return turned


def _observable(word: str, at_W: Sequence[int], qubits: int) -> SparsePauliOp:
    return SparsePauliOp.from_sparse_list([(word, list(at_W), 1.0)], num_qubits=qubits)


def _size(circuit: QuantumCircuit, device: Device) -> tuple[int, float]:
    """Control instructions of the busiest qubit, and seconds from the first gate to the last measurement."""
    count_Q, end_Q = np.full(circuit.num_qubits, PREPARE), np.zeros(circuit.num_qubits)
    for item in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        name, places = item.operation.name, list(qubits)
        count_Q[places] += 5 if len(qubits) == 2 else WEIGHTS.get(name, 2)
        end_Q[places] = end_Q[places].max() + _seconds(device, name, qubits)
    return int(count_Q.max()), float(end_Q.max())


def _seconds(device: Device, name: str, qubits: tuple[int, ...]) -> float:
    """The duration of an instruction; 0 if the device does not state it."""
    facts = device[name].get(qubits)
    return (facts.duration if facts is not None else None) or 0.0


def _counts(bits: Any, row: int) -> dict[str, int]:
    """Counts by outcome of a row; letter w is wire w."""
    return {outcome[::-1]: times for outcome, times in bits.get_counts(row).items()}


def _delay(device: BackendV2) -> float:
    """Seconds between shots."""
    stated = getattr(device.configuration(), "default_rep_delay", None)
    return DELAY if stated is None else float(stated)


# ---------------------------------------------------------------- devices and accounts


@lru_cache(maxsize=8)
def snapshot(name: str) -> BackendV2:
    """Load a device snapshot with its calibration by name, such as "fake_manila"; no network.

    Raises:
        BackendError: there is no such snapshot.
    """
    known = {
        _snapshot_name(cls): cls for cls in vars(fake_provider).values() if isinstance(cls, type) and hasattr(cls, "backend_name")
    }
    if name not in known:
        raise BackendError(
            f"there is no snapshot {shown(name)}{did_you_mean(name, known)}; for example 'fake_manila' or 'fake_torino'"
        )
    return known[name]()


def _snapshot_name(cls: Any) -> str:
    return str(cls.backend_name)


def _open(name: str) -> BackendV2:
    return snapshot(name) if name.startswith("fake_") else _hired(name)


@lru_cache(maxsize=8)
def _hired(name: str) -> BackendV2:
    """A device of the service, with the saved account or that of the environment."""
    service = _ask(QiskitRuntimeService)
    return _ask(lambda: service.backend(name if name.startswith("ibm_") else f"ibm_{name}"))


def _close(opened: Session) -> None:
    """Close for new jobs; queued ones still run. If the service cannot be reached, it closes by itself when idle."""
    with suppress(BackendError):
        _ask(opened.close)


_LATER = "run again later, or use a stand-in such as 'ibm:fake_torino'"
_OPEN_PLAN = "the Open Plan has no sessions: use mode=batch there"


def _ask(request: Any, fix: str = _LATER) -> Any:
    """Call the service; its errors become one line with a fix, without anything that could be a credential."""
    try:
        return request()
    except Exception as error:  # the runtime, its HTTP client and its cloud SDK raise many kinds
        cause = told(str(error))
        kind, refusal = type(error).__name__, Unavailable if _passing(error) else BackendError
    if kind in ("AccountNotFoundError", "InvalidAccountError", "IBMNotAuthorizedError"):
        fix = (
            "save your account once with QiskitRuntimeService.save_account(), or set QISKIT_IBM_TOKEN; 'ibm:fake_torino' needs none"
        )
    raise refusal(f"IBM's runtime refused ({kind}: {cause}); {fix}")


def _passing(error: BaseException | None) -> bool:
    """Whether a retry may help: the network failed, or the service returned 429 or 5xx."""
    if error is None:
        return False
    code = getattr(error, "status_code", None)
    if isinstance(code, int):
        return code in (-1, 429) or code >= 500  # -1: no response, in the runtime client's convention
    return isinstance(error, ConnectionError | TimeoutError | RequestException) or _passing(error.__cause__)
