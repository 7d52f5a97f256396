"""Targets evaluate rows of a circuit as jobs and state their cost; services accept jobs and answer later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from qlogad import documents
from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.parameter_shift import Lifted
from qlogad.circuit.readout import bases

__all__ = ["Answer", "Cost", "Kind", "Service", "State", "Status", "Target", "Work"]

Kind = Literal["exact", "noisy-exact", "shots", "noisy-shots"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The results of a target for M rows of angles."""

    mean_MK: Floats
    error_MK: Floats | None  # standard error of the mean; None: nothing was sampled
    executions: int  # circuits run: rows x measurement bases
    jobs: int = 1  # submissions used
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """The cost of running rows in one call, estimated before submission."""

    rows: int
    jobs: int  # submissions
    executions: int  # circuits run
    shots: int  # over all executions; 0: not sampled
    depth: int  # of one circuit as run there
    two_qubit_gates: int
    seconds: float  # of the device; the true value lies between seconds / spread and seconds * spread
    spread: float
    dollars: float
    bytes: int  # of the largest answer
    formula: str  # source of seconds and dollars


class Target(ABC):
    """Runs lifted circuits: a simulator, a device, or a ledger of recorded answers."""

    name: str
    abilities: Abilities
    shots: int | None = None  # per row and measurement basis; None: exact expectation values
    noise: bool = False  # whether it is noisy
    service: Service | None = None  # takes jobs that cost money or time; None: only `evaluate`

    @abstractmethod
    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        """The readouts of M >= 1 rows of angles, finite and in radians.

        Args:
            lifted: the circuit; it is frozen, so anything that depends on it alone can be cached.
            angles_MA: the values of its inputs.
            rows: M names. Samples of a row depend only on its name and angles, never on its position or on other rows.

        Raises:
            BackendError: the target cannot run this circuit, or did not answer.
        """

    def cost(self, lifted: Lifted, rows: int) -> Cost:
        """The cost of a number of rows; by default one job, free of charge."""
        circuit = lifted.circuit
        executions = rows * len(bases(circuit.readout))
        return Cost(
            rows=rows,
            jobs=min(rows, 1),
            executions=executions,
            shots=executions * (self.shots or 0),
            depth=circuit.depth,
            two_qubit_gates=circuit.two_qubit_gates,
            seconds=0.0,
            spread=1.0,
            dollars=0.0,
            bytes=8 * rows * len(circuit.readout),
            formula="a simulator: no device time",
        )

    @property
    def kind(self) -> Kind:
        """The kind of its numbers; numbers of different kinds must not share a column."""
        return ("noisy-exact" if self.noise else "exact") if self.shots is None else ("noisy-shots" if self.noise else "shots")


State = Literal["waiting", "done", "failed", "cancelled"]


@dataclass(frozen=True, eq=False)
class Work:
    """The work of a job: M rows of angles of one circuit.

    Args:
        scope: owner of the work: equal angles in two scopes are sampled independently.
        lifted: the circuit.
        angles_MA: radians.
        rows: M names, which determine the samples.
    """

    scope: str
    lifted: Lifted
    angles_MA: Floats
    rows: Sequence[str]

    @cached_property
    def digest(self) -> str:
        """A digest of the work, 16 digits."""
        return documents.digest(self.scope, self.lifted.circuit, self.angles_MA, list(self.rows))

    def parts(self, sizes: Sequence[int]) -> list[Work]:
        """Split the work into jobs of a given number of rows."""
        ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
        cuts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        return [Work(self.scope, self.lifted, self.angles_MA[cut], self.rows[cut]) for cut in cuts]


@dataclass(frozen=True)
class Status:
    """The state of a job."""

    state: State
    tag: str  # its tag
    detail: str = ""  # such as the reason of a failure

    def __post_init__(self) -> None:
        documents.enforce(self)


class Service(Protocol):
    """Runs jobs. Every method may raise Unavailable, or another BackendError if retrying is useless (an expired token)."""

    settles: float  # seconds after which an accepted job can be found by its tag

    def rows(self, lifted: Lifted) -> int:
        """The number of rows of a circuit that one job takes."""

    def calibrated(self) -> str:
        """The device's current calibration; "" if there is none."""

    def submit(self, work: Work, tag: str) -> str:
        """Submit work under a tag; returns the id of the job."""

    def find(self, tag: str) -> str | None:
        """The id of the job with this tag, or None."""

    def status(self, job: str) -> Status:
        """The state of a job."""

    def result(self, job: str, work: Work) -> Answer:
        """The answer of a finished job."""
