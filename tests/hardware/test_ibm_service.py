"""Laws of IBM's jobs behind the ledger: a stand-in's jobs, kept by a runtime that loses answers, are found by their tags."""

import gc
from dataclasses import replace

import pytest
from ibm_cloud_sdk_core import ApiException
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
from qiskit_ibm_runtime.models import QasmBackendConfiguration

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.ibm import IBM, IBMService, IBMTarget, Mitigation, snapshot
from qlogad.backend.ledger import Clock, Ledger, LedgerFile, Recorded
from qlogad.backend.parameter_shift import lift
from qlogad.backend.service import Unavailable, service_of
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError, Pending, QlogadWarning

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

    def _submit(self, prepared, angles_MA, rows, tags=()):
        self.kept.insert(0, Job(super()._submit(prepared, angles_MA, rows, tags), list(tags)))
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
        with LedgerFile(path) as file, pytest.raises(Pending):
            ask(Ledger(file, "here", runtime, service_of(runtime), clock=clock))
    assert len(runtime.kept) == 1
    (job,) = runtime.kept
    assert [len(tag) <= 24 for tag in job.tags] == [True]
    job.state = "DONE"
    with LedgerFile(path) as file:
        found = ask(Ledger(file, "here", runtime, service_of(runtime), clock=clock))
        assert {record["calibrated"] for record in file.intents.values()} == {found.provenance["calibrated"]}
    expected = ask(open_backend(f"ibm:fake_manila,shots={SHOTS}").target)
    assert found.mean_MK.tobytes() == expected.mean_MK.tobytes()
    assert ask(Recorded(LedgerFile(path, write=False), "here")).mean_MK.tobytes() == expected.mean_MK.tobytes()


@pytest.mark.parametrize("state", ["ERROR", "CANCELLED"])
def test_a_lost_job_is_told(tmp_path, state):
    runtime = Runtime()
    with LedgerFile(tmp_path / "hardware.jsonl") as file:
        with pytest.raises(Pending):
            ask(Ledger(file, "here", runtime, service_of(runtime)))
        runtime.kept[0].state = state
        with pytest.raises(BackendError, match="calibrating" if state == "ERROR" else "cancelled"):
            ask(Ledger(file, "here", runtime, service_of(runtime)))
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
        service_of(device)


class Account(QiskitRuntimeService):
    """The service behind the runtime's own client: it lends one device, keeps batches and sessions, and notes where jobs go."""

    def __init__(self, *, sells_sessions=True):
        self.stand_in, self.sells_sessions, self.opened, self.jobs_in = snapshot("fake_manila"), sells_sessions, {}, []

    def device(self):
        return IBMBackend(QasmBackendConfiguration.from_dict(self.stand_in._get_conf_dict_from_json()), self, self)

    def _get_api_client(self, instance=None):
        return self

    def backend_properties(self, name, **asked):
        self.stand_in._set_props_dict_from_json()
        return self.stand_in._props_dict

    def create_session(self, backend, instance, max_time, mode):
        if mode == "dedicated" and not self.sells_sessions:
            raise ApiException(400, message="You are not authorized to run a session when using the open plan.")
        self.opened[f"{mode} {len(self.opened)}"] = {"accepting_jobs": True}
        return {"id": f"{mode} {len(self.opened) - 1}"}

    def session_details(self, name):
        return self.opened[name]

    def close_session(self, name):
        self.opened[name]["accepting_jobs"] = False

    def _run(self, *, session_id=None, **asked):
        assert session_id is None or self.opened[session_id]["accepting_jobs"]
        self.jobs_in.append(session_id)
        return self.stand_in


def hand_in(target, times):
    lifted = lift(assemble("angle-y", "strongly-entangling", 2, 1))
    angles_MA = seeds.generator(0, "ibm mode").uniform(-3, 3, (ROWS, len(lifted.angles)))
    for _ in range(times):
        target._submit(target._prepare(lifted.circuit), angles_MA, [f"row {row}" for row in range(ROWS)])


@pytest.mark.parametrize(("mode", "kind"), [(None, "batch"), ("batch", "batch"), ("session", "dedicated")])
def test_jobs_go_together_until_the_service_ends_it(mode, kind):
    account = Account()
    target = IBMTarget(account.device(), Mitigation(), shots=SHOTS, mode=mode)
    hand_in(target, 3)
    account.opened[f"{kind} 0"]["accepting_jobs"] = False
    hand_in(target, 2)
    assert account.jobs_in == [f"{kind} 0"] * 3 + [f"{kind} 1"] * 2
    del target
    gc.collect()
    assert not any(opened["accepting_jobs"] for opened in account.opened.values())


def test_jobs_of_mode_job_queue_by_themselves():
    account = Account()
    hand_in(IBMTarget(account.device(), Mitigation(), shots=SHOTS, mode="job"), 2)
    assert (account.jobs_in, account.opened) == ([None, None], {})


def test_an_account_without_sessions_is_told_of_batches():
    account = Account(sells_sessions=False)
    with pytest.raises(BackendError, match=r"open plan.*use mode=batch"):
        hand_in(IBMTarget(account.device(), Mitigation(), shots=SHOTS, mode="session"), 1)
    hand_in(IBMTarget(account.device(), Mitigation(), shots=SHOTS, mode="batch"), 1)
    assert account.jobs_in == ["batch 0"]


def test_a_session_is_planned_with_its_waits():
    lifted = lift(assemble("angle-y", "strongly-entangling", 2, 1))
    costs = {
        mode: IBMTarget(Account().device(), Mitigation(), shots=SHOTS, mode=mode).cost(lifted, ROWS)
        for mode in ("job", "batch", "session")
    }
    assert costs["job"] == costs["batch"] == replace(costs["session"], formula=costs["job"].formula)
    assert {mode for mode, cost in costs.items() if "waiting" in cost.formula} == {"session"}


def test_a_stand_in_says_that_it_knows_no_modes():
    with pytest.warns(QlogadWarning, match="mode has no effect") as told:
        quiet = IBM(f"fake_manila,shots={SHOTS},mode=session")
    assert len(told) == 1
    assert ask(quiet.target).mean_MK.tobytes() == ask(IBM(f"fake_manila,shots={SHOTS}").target).mean_MK.tobytes()
    with pytest.raises(BackendError, match="mode must be one of batch, session, job"):
        IBM("fake_manila,mode=together")
