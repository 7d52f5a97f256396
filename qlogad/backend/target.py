"""Targets evaluate rows of a circuit as jobs and say what that costs; services accept the jobs and answer later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from qlogad import documents
from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.lifted import Lifted
from qlogad.circuit.readout import bases

__all__ = ["Answer", "Cost", "Kind", "Service", "State", "Status", "Target", "Work"]

Kind = Literal["exact", "noisy-exact", "shots", "noisy-shots"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a target gives for M rows of angles."""

    mean_MK: Floats
    error_MK: Floats | None  # standard error of the mean; None: nothing was sampled
    executions: int  # circuits run: rows x measurement bases
    jobs: int = 1  # submissions they went in
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What running rows in one call takes, known before anything is submitted."""

    rows: int
    jobs: int  # submissions
    executions: int  # circuits run
    shots: int  # over all executions; 0: nothing is sampled
    depth: int  # of one circuit as it runs there
    two_qubit_gates: int
    seconds: float  # of the device; the truth lies between seconds / spread and seconds * spread
    spread: float
    dollars: float
    bytes: int  # of the largest answer
    formula: str  # where seconds and dollars come from


class Target(ABC):
    """Where lifted circuits run: a simulator, a device, or a ledger of recorded answers."""

    name: str
    abilities: Abilities
    shots: int | None = None  # for each row and measurement basis; None: expectation values without sampling
    noise: bool = False  # whether it is noisy
    service: Service | None = None  # takes jobs that are paid for or waited for; None: `evaluate` is all there is

    @abstractmethod
    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        """The readouts of M >= 1 rows of angles, finite and in radians.

        Args:
            lifted: the circuit; it is frozen, so whatever depends on it alone can be kept for the next call.
            angles_MA: the values of its inputs.
            rows: M names. What is sampled for a row depends on its name and angles only: never on its place or on other rows.

        Raises:
            BackendError: the target cannot run this circuit, or did not answer.
        """

    def cost(self, lifted: Lifted, rows: int) -> Cost:
        """What so many rows take; unless a target says otherwise they are one job, and nobody charges for them."""
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
        """What its numbers are; numbers of different kinds do not belong in one column."""
        return ("noisy-exact" if self.noise else "exact") if self.shots is None else ("noisy-shots" if self.noise else "shots")


State = Literal["waiting", "done", "failed", "cancelled"]


@dataclass(frozen=True, eq=False)
class Work:
    """What a job runs: M rows of angles of one circuit.

    Args:
        scope: whose work it is: equal angles of two scopes are two experiments.
        lifted: the circuit.
        angles_MA: radians.
        rows: M names, which samples go by.
    """

    scope: str
    lifted: Lifted
    angles_MA: Floats
    rows: Sequence[str]

    @cached_property
    def digest(self) -> str:
        """Equal for equal work, 16 digits."""
        return documents.digest(self.scope, self.lifted.circuit, self.angles_MA, list(self.rows))

    def parts(self, sizes: Sequence[int]) -> list[Work]:
        """The work in jobs of so many rows each."""
        ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
        cuts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        return [Work(self.scope, self.lifted, self.angles_MA[cut], self.rows[cut]) for cut in cuts]


@dataclass(frozen=True)
class Status:
    """How a job is."""

    state: State
    tag: str  # what is written on it
    detail: str = ""  # why it failed, say

    def __post_init__(self) -> None:
        documents.enforce(self)


class Service(Protocol):
    """Where jobs are run. Every method may raise Unavailable, or another BackendError where asking again is no use (an expired token)."""

    settles: float  # seconds after which a job that was accepted is found by its tag

    def rows(self, lifted: Lifted) -> int:
        """How many rows of a circuit one job takes."""

    def calibrated(self) -> str:
        """Which calibration the device has now; "" where there is none."""

    def submit(self, work: Work, tag: str) -> str:
        """Hand the work in under a tag; the id of the job."""

    def find(self, tag: str) -> str | None:
        """The id of the job with this tag, or None where there is none."""

    def status(self, job: str) -> Status:
        """How a job is."""

    def result(self, job: str, work: Work) -> Answer:
        """The answer of a job that is done."""
