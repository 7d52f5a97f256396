"""Laws of IBM's jobs behind the ledger: a stand-in's jobs, kept by a runtime that loses answers, are found by their tags."""

from dataclasses import replace

import pytest
from ibm_cloud_sdk_core import ApiException

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.ibm import IBMService, IBMTarget, Mitigation, snapshot
from qlogad.backend.ledger import Clock, Journal, Ledger, Recorded
from qlogad.backend.sampled import lift
from qlogad.backend.service import Unavailable, hire
from qlogad.circuit.design import assemble
from qlogad.errors import BackendError, Pending

SHOTS, ROWS = 200, 6
SECONDS = 1.5  # of a job


class Job:
    """A stand-in's job as the service shows it."""

    def __init__(self, inner, tags):
        self.inner, self.tags, self.state = inner, tags, "QUEUED"
        self.job_id, self.result = inner.job_id, inner.result

    def status(self):
        return self.state

    def error_message(self):
        return "calibrating"

    def usage(self):
        return SECONDS


class Runtime(IBMTarget):
    """A stand-in that keeps its jobs, plays the part of QiskitRuntimeService for them, and can lose the answer to a submission."""

    def __init__(self):
        super().__init__(snapshot("fake_manila"), Mitigation(), shots=SHOTS)
        self.kept, self.lose = [], 0
        self.service = IBMService(self, self)

    def _submit(self, mode, prepared, angles_MA, rows, tags=()):
        self.kept.insert(0, Job(super()._submit(mode, prepared, angles_MA, rows, tags), list(tags)))
        if self.lose:
            self.lose -= 1
            raise Unavailable("the connection was lost")
        return self.kept[0].inner

    def jobs(self, *, limit, job_tags):
        return [job for job in self.kept if set(job_tags) <= set(job.tags)]

    def job(self, name):
        return next(job for job in self.kept if job.job_id() == name)


def ask(target):
    lifted = lift(assemble("angle-y", "strongly-entangling", 2, 1))
    angles_MA = seeds.generator(0, "ibm service").uniform(-3, 3, (ROWS, len(lifted.angles)))
    return target.evaluate(lifted, angles_MA, rows=[f"row {row}" for row in range(ROWS)])


def test_a_job_is_found_by_its_tag_read_once_and_replayed(tmp_path):
    runtime, path = Runtime(), tmp_path / "hardware.jsonl"
    clock = Clock(waits=(0, 0), sleep=lambda seconds: None)
    runtime.lose = 1
    for _ in range(3):
        with Journal(path) as journal, pytest.raises(Pending):
            ask(Ledger(journal, "here", runtime, hire(runtime), clock=clock))
    assert len(runtime.kept) == 1
    (job,) = runtime.kept
    assert [len(tag) <= 24 for tag in job.tags] == [True]
    job.state = "DONE"
    with Journal(path) as journal:
        found = ask(Ledger(journal, "here", runtime, hire(runtime), clock=clock))
        assert {record["calibrated"] for record in journal.intents.values()} == {found.provenance["calibrated"]}
    expected = ask(open_backend(f"ibm:fake_manila,shots={SHOTS}").target)
    assert found.mean_MK.tobytes() == expected.mean_MK.tobytes()
    assert ask(Recorded(Journal(path, write=False), "here")).mean_MK.tobytes() == expected.mean_MK.tobytes()


@pytest.mark.parametrize("state", ["ERROR", "CANCELLED"])
def test_a_lost_job_is_told(tmp_path, state):
    runtime = Runtime()
    with Journal(tmp_path / "hardware.jsonl") as journal:
        with pytest.raises(Pending):
            ask(Ledger(journal, "here", runtime, hire(runtime)))
        runtime.kept[0].state = state
        with pytest.raises(BackendError, match="calibrating" if state == "ERROR" else "cancelled"):
            ask(Ledger(journal, "here", runtime, hire(runtime)))
    assert len(runtime.kept) == 1


@pytest.mark.parametrize(("code", "passing"), [(429, True), (500, True), (503, True), (400, False), (401, False), (404, False)])
def test_what_may_pass_is_asked_again_and_nothing_else(code, passing):
    runtime = Runtime()

    def refuse(**asked):
        raise RuntimeError("no jobs") from ApiException(code)

    runtime.jobs = refuse
    with pytest.raises(BackendError, match="no jobs") as refused:
        runtime.service.find("tag")
    assert isinstance(refused.value, Unavailable) == passing


def test_a_device_without_jobs_of_its_own_is_not_used():
    device = Runtime()
    device.abilities, device.service = replace(device.abilities, device=True), None
    with pytest.raises(BackendError, match="paid for twice"):
        hire(device)
