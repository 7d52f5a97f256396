"""What a service of jobs is: a place that takes work now and answers later, and may fail, lie or charge for it in between.

    submit(work, tag) ──► id ──► status(id): waiting ... done ──► result(id, work)        find(tag) ──► id, after a crash

A tag is written on the job when it is submitted and never used twice: whoever lost the id asks for the tag and pays once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from qlogad import documents
from qlogad.backend.sampled import Answer, Floats, Lifted, Target
from qlogad.errors import BackendError

__all__ = ["Immediate", "Service", "Spoiled", "State", "Status", "Unavailable", "Work", "hire"]

State = Literal["waiting", "done", "failed", "cancelled"]

_ALL = 2**31  # rows


class Unavailable(BackendError):
    """No answer, or none that can be used, though asking again may help: a timeout, 429, 5xx. The request may have been carried out."""


class Spoiled(BackendError):
    """A job is done, and its answer is of no use: asking again does not help, another job may."""


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


class Immediate:
    """A target that costs nothing as a service: jobs are done when they are handed in, and what a crash took away is run again."""

    settles = 0.0

    def __init__(self, target: Target) -> None:
        self._target = target
        self._answers: dict[str, Answer] = {}

    def rows(self, lifted: Lifted) -> int:
        """Any number."""
        return _ALL

    def calibrated(self) -> str:
        """None."""
        return ""

    def submit(self, work: Work, tag: str) -> str:
        """Run the work."""
        self._answers[tag] = self._run(work)
        return tag

    def find(self, tag: str) -> str | None:
        """The tag itself, if the work was run by this object."""
        return tag if tag in self._answers else None

    def status(self, job: str) -> Status:
        """Done."""
        return Status("done", job)

    def result(self, job: str, work: Work) -> Answer:
        """The answer, which goes by the work alone."""
        return self._answers.pop(job, None) or self._run(work)

    def _run(self, work: Work) -> Answer:
        return self._target.evaluate(work.lifted, work.angles_MA, rows=work.rows)


def hire(target: Target) -> Service:
    """What takes a target's jobs.

    Raises:
        BackendError: it is a device whose jobs cannot be found again after a crash.
    """
    if target.service is None and target.abilities.device:
        raise BackendError(
            f"{target.name} offers no jobs that can be found again, so a crash could be paid for twice; use another target"
        )
    return target.service or Immediate(target)
