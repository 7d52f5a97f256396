"""Job services: they accept work and answer later, and may fail, contradict themselves or charge in between.

    submit(work, tag) ──► id ──► status(id): waiting ... done ──► result(id, work)        find(tag) ──► id, after a crash

A unique tag is attached to each job at submission: after losing the id, a client finds the job by its tag and pays once.
"""

from __future__ import annotations

from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.target import Answer, Service, Status, Target, Work
from qlogad.errors import BackendError

__all__ = ["Immediate", "Spoiled", "Unavailable", "service_of"]


_ALL = 2**31  # rows


class Unavailable(BackendError):
    """No usable answer, but a retry may help: a timeout, 429, 5xx. The request may have been carried out."""


class Spoiled(BackendError):
    """A job is done but its answer is unusable: a retry does not help, a new job may."""


class Immediate:
    """A free target as a service: jobs are done on submission, and jobs lost in a crash are run again."""

    settles = 0.0

    def __init__(self, target: Target) -> None:
        self._target = target
        self._answers: dict[str, Answer] = {}

    def rows(self, lifted: Lifted) -> int:
        """None: any number."""
        return _ALL

    def calibrated(self) -> str:
        """An empty string: there is no calibration."""
        return ""

    def submit(self, work: Work, tag: str) -> str:
        """Run the work."""
        self._answers[tag] = self._run(work)
        return tag

    def find(self, tag: str) -> str | None:
        """The tag itself, if the work was run by this object."""
        return tag if tag in self._answers else None

    def status(self, job: str) -> Status:
        """The state "done"."""
        return Status("done", job)

    def result(self, job: str, work: Work) -> Answer:
        """The answer, which depends on the work alone."""
        return self._answers.pop(job, None) or self._run(work)

    def _run(self, work: Work) -> Answer:
        return self._target.evaluate(work.lifted, work.angles_MA, rows=work.rows)


def service_of(target: Target) -> Service:
    """The job service of a target.

    Raises:
        BackendError: it is a device whose jobs cannot be found again after a crash.
    """
    if target.service is None and target.abilities.device:
        raise BackendError(
            f"{target.name} offers no way to find jobs again, so a crash could be paid for twice; use another target"
        )
    return target.service or Immediate(target)
