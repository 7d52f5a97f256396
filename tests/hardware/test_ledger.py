"""Laws of the ledger: nothing is paid for twice, nothing is lost, and what was recorded comes back byte for byte."""

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.ledger import Clock, Ledger, LedgerFile, Recorded
from qlogad.backend.parameter_shift import lift
from qlogad.backend.service import service_of
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError, Pending, ResultError
from qlogad.testing.backends import check_backend
from tests.hardware.double import SHOTS, Http

TARGET = f"aer:shots={SHOTS}"
ROWS, MOST, ROUNDS = 5, 3, 2  # rows of a round, of a job; rounds that wait for one another
EACH = 2  # jobs of a round
JOBS = EACH * ROUNDS

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@dataclass
class Steps:
    """Time that passes only when somebody sleeps."""

    at: float = 1e9
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += seconds

    def clock(self, **patience):
        return Clock(now=lambda: self.at, sleep=self.sleep, **patience)


@pytest.fixture(scope="module")
def double(service):
    return service()


@pytest.fixture(autouse=True)
def calm(double):
    yield
    double.faults()


def forward(ledger):
    """Rounds that wait for one another, as a recurrent model makes them: angles come from the means before."""
    lifted = lift(assemble("angle-y", "strongly-entangling", 2, 1))
    angles_MA = seeds.generator(0, "angles").uniform(-3, 3, (ROWS, len(lifted.angles)))
    found = []
    for number in range(ROUNDS):
        answer = ledger.evaluate(lifted, angles_MA, rows=[f"round {number}/row {row}" for row in range(ROWS)])
        angles_MA = angles_MA + answer.mean_MK.sum(axis=1, keepdims=True)
        found += [answer.mean_MK.tobytes(), answer.error_MK.tobytes()]
    return b"".join(found)


def run(file, scope, service, *, steps=None, again=False, **patience):
    ledger = Ledger(file, scope, open_backend(TARGET).target, service, clock=(steps or Steps()).clock(**patience), again=again)
    return forward(ledger)


@pytest.fixture(scope="module")
def undisturbed():
    return forward(open_backend(TARGET).target)


def paid(double, path, scope):
    """How many jobs of a scope the service took, and how many different ones."""
    tags = [tag for found in LedgerFile(path, write=False).rounds.values() if found["scope"] == scope for tag in found["tags"]]
    taken = [tag for tag in double.accepted() if tag in tags]
    return len(taken), len(set(taken))


def replayed(path, scope):
    return forward(Recorded(LedgerFile(path, write=False), scope))


class Lives:
    """A process that dies at its n-th instant: before or after a request, or in the middle of a write or behind it."""

    def __init__(self, last):
        self.left = last
        self.write = os.write

    def instant(self):
        self.left -= 1
        if self.left == 0:
            os._exit(17)

    def torn(self, file, content):
        self.left -= 1
        if self.left == 0:
            self.write(file, bytes(content)[: len(content) // 2])
            os._exit(17)
        written = self.write(file, content)
        self.instant()
        return written


def in_a_child(work):
    """The exit code of a forked process that does the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    return child


def dies_at(path, scope, port, last):
    def work():
        lives = Lives(last)
        service = Http(port, most=MOST)
        service.instant, os.write = lives.instant, lives.torn
        with LedgerFile(path) as file:
            run(file, scope, service)

    return os.waitstatus_to_exitcode(os.waitpid(in_a_child(work), 0)[1])


@pytest.mark.parametrize("steps", [(1, 5), pytest.param((1, 1), marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_crash_at_any_instant_is_paid_for_once(double, tmp_path, undisturbed, steps, drawn):
    path, instants = tmp_path / "hardware.jsonl", 0
    while True:
        instants += drawn.randint(*steps)
        scope = f"crash {instants}"
        code = dies_at(path, scope, double.port, instants)
        if code == 0:
            break
        assert code == 17
        if drawn.random() < 1 / 3:
            assert dies_at(path, scope, double.port, 1 + instants // 2) in (0, 17)  # and once more on the way back
        with LedgerFile(path) as file:
            assert run(file, scope, Http(double.port, most=MOST)) == undisturbed
        assert paid(double, path, scope) == (JOBS, JOBS)
        assert replayed(path, scope) == undisturbed
    assert instants > 10 * JOBS
    assert steps != (1, 1) or (tmp_path / "hardware.jsonl.torn").exists()


def test_a_killed_process_is_paid_for_once(double, tmp_path, undisturbed):
    path = tmp_path / "hardware.jsonl"
    began = time.perf_counter()
    with LedgerFile(path) as file:
        run(file, "whole", Http(double.port, most=MOST))
    seconds = time.perf_counter() - began

    for number in range(6):
        scope = f"killed {number}"

        def work(scope=scope):
            with LedgerFile(path) as file:
                run(file, scope, Http(double.port, most=MOST))

        child = in_a_child(work)
        time.sleep(random.Random(number).uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with LedgerFile(path) as file:
            assert run(file, scope, Http(double.port, most=MOST)) == undisturbed
        assert paid(double, path, scope) == (JOBS, JOBS)


LIES = {
    "submit": ["429", "500", "503", "then 500", "then silence", "too late", "garbage", "another"],
    "find": ["429", "500", "garbage", "another"],
    "status": ["429", "502", "garbage", "another", "too late"],
    "result": ["500", "garbage", "short", "nan", "then silence"],
}


@pytest.mark.parametrize(("verb", "fault"), [(verb, fault) for verb, faults in LIES.items() for fault in faults])
def test_a_fault_is_outlived_and_paid_for_once(double, tmp_path, undisturbed, verb, fault):
    path, scope, steps = tmp_path / "hardware.jsonl", f"{verb} {fault}", Steps()
    with LedgerFile(path) as file:
        if verb == "find":
            double.faults(find=[fault, "", fault], submit=["then 500"])
        else:
            double.faults(**{verb: [fault, "", fault]})
        assert run(file, scope, Http(double.port, most=MOST), steps=steps) == undisturbed
    assert paid(double, path, scope) == (JOBS, JOBS)
    assert replayed(path, scope) == undisturbed
    assert sum(steps.slept) > 0, "the second attempt waits"


def test_faults_in_a_row_are_outlived(double, tmp_path, undisturbed):
    path = tmp_path / "hardware.jsonl"
    for number in range(10):
        draw = random.Random(number)
        scope = f"storm {number}"
        quick = {verb: [fault for fault in faults if fault != "too late"] for verb, faults in LIES.items()}
        double.faults(**{verb: [draw.choice([*faults, "", "", ""]) for _ in range(12)] for verb, faults in quick.items()})
        for _ in range(20):
            try:
                with LedgerFile(path) as file:
                    found = run(file, scope, Http(double.port, most=MOST))
                break
            except BackendError:
                continue
        assert found == undisturbed
        assert paid(double, path, scope) == (JOBS, JOBS)


def test_waits_grow_until_it_is_given_up_and_nothing_is_lost(double, tmp_path, undisturbed):
    path, steps = tmp_path / "hardware.jsonl", Steps()
    waits = Clock().waits
    double.faults(submit=["503"] * len(waits))
    with LedgerFile(path) as file, pytest.raises(BackendError, match="collect again"):
        run(file, "gone", Http(double.port, most=MOST), steps=steps)
    assert steps.slept[-len(waits) :] == list(waits)
    assert list(waits) == sorted(waits)
    with LedgerFile(path) as file:
        assert [trouble["state"] for troubles in file.troubles.values() for trouble in troubles] == ["unavailable"]
        assert run(file, "gone", Http(double.port, most=MOST)) == undisturbed
    assert paid(double, path, "gone") == (JOBS, JOBS)


def test_an_expired_token_is_said_at_once_and_resumed(double, tmp_path, undisturbed, monkeypatch):
    path, steps = tmp_path / "hardware.jsonl", Steps()
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "planted-secret-0123456789")
    service = Http(double.port, most=MOST, token="planted-secret-0123456789")
    double.faults(submit=["", "401"])
    with LedgerFile(path) as file, pytest.raises(BackendError, match="HTTP 401"):
        run(file, "expired", service, steps=steps)
    assert sum(steps.slept) == 0, "asking again with the same token is no use"
    with LedgerFile(path) as file:
        assert [trouble["state"] for troubles in file.troubles.values() for trouble in troubles] == ["refused"]
        assert run(file, "expired", service) == undisturbed
    assert paid(double, path, "expired") == (JOBS, JOBS)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*"))
    assert b"401" in written
    assert b"planted-secret" not in written


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_lost_job_is_paid_for_anew_only_when_asked(double, tmp_path, undisturbed, state):
    path, service = tmp_path / "hardware.jsonl", Http(double.port, most=MOST)
    double.faults(status=[*[""] * EACH, "", state])  # one look at each job when it was handed in
    for _ in range(3):
        with LedgerFile(path) as file, pytest.raises(BackendError, match="--again"):
            run(file, state, service)
    assert paid(double, path, state) == (EACH, EACH)
    with LedgerFile(path) as file:
        assert run(file, state, service, again=True) == undisturbed
        assert [name for name in file.jobs if name.endswith("+1")] == [f"{tag}+1" for tag in file.troubles], "that job alone"
    assert paid(double, path, state) == (JOBS, JOBS)
    assert replayed(path, state) == undisturbed


def test_a_job_that_waits_is_pending_and_patience_outwaits_it(double, tmp_path, undisturbed):
    path, service = tmp_path / "hardware.jsonl", Http(double.port, most=MOST)
    waiting = [*[""] * EACH, *["waiting"] * EACH]
    for _ in range(ROUNDS):
        double.faults(status=waiting)
        with LedgerFile(path) as file, pytest.raises(Pending, match=f"{EACH} jobs"):
            run(file, "waits", service)
        with pytest.raises(Pending):
            replayed(path, "waits")
        waiting = ["", "", *waiting]  # the first round answers
    double.faults()
    with LedgerFile(path) as file:
        found = run(file, "waits", service)
    assert found == undisturbed
    assert paid(double, path, "waits") == (JOBS, JOBS)
    steps = Steps()
    double.faults(status=[*[""] * EACH, *["waiting"] * 3])
    with LedgerFile(path) as file:
        assert run(file, "patient", service, steps=steps, patience=60.0) == undisturbed
    assert 15 <= sum(steps.slept) <= 60


def test_a_tag_is_looked_for_only_when_it_has_settled(double, tmp_path, undisturbed):
    path, steps = tmp_path / "hardware.jsonl", Steps()
    service = Http(double.port, most=MOST)
    service.settles = 45.0
    with LedgerFile(path) as file:
        double.faults(submit=["then silence"])
        assert run(file, "settles", service, steps=steps) == undisturbed
    assert max(steps.slept) == 45.0


def test_a_changed_calibration_is_told(double, tmp_path):
    path, service = tmp_path / "hardware.jsonl", Http(double.port, most=MOST)
    double.faults(status=[*[""] * EACH, "", "waiting"])
    with LedgerFile(path) as file, pytest.raises(Pending):
        run(file, "drifts", service)
    service.calibration = "tuesday"
    with LedgerFile(path) as file:
        run(file, "drifts", service)
        assert {intent["calibrated"] for intent in file.intents.values()} == {"monday", "tuesday"}
        told = [record["provenance"]["calibrated"] for record in file.answers.values()]
        assert told == ["monday", *["tuesday"] * (JOBS - 1)]


def test_one_process_writes_at_a_time(tmp_path):
    path = tmp_path / "hardware.jsonl"
    with LedgerFile(path), pytest.raises(ResultError, match="another process"):
        LedgerFile(path)
    LedgerFile(path).close()


def test_any_torn_end_is_set_aside_and_any_damage_before_it_is_refused(double, tmp_path, undisturbed):
    whole = tmp_path / "whole.jsonl"
    with LedgerFile(whole) as file:
        run(file, "whole", Http(double.port, most=MOST))
    content = whole.read_bytes()
    path = tmp_path / "hardware.jsonl"
    for cut in random.Random(0).sample(range(len(content)), 25):
        path.write_bytes(content[:cut])
        torn = content[:cut].rpartition(b"\n")[2]
        with LedgerFile(path) as file:
            assert path.read_bytes() == content[: cut - len(torn)]
            assert run(file, "whole", Http(double.port, most=MOST)) == undisturbed
    assert paid(double, whole, "whole") == (JOBS, JOBS), "not even who loses any part of the ledger pays again"
    lines = content.splitlines(keepends=True)
    for number in (0, len(lines) // 2, len(lines) - 1):
        path.write_bytes(b"".join([*lines[:number], lines[number][: len(lines[number]) // 2] + b"\n", *lines[number + 1 :]]))
        with pytest.raises(ResultError, match=f"line {number + 1} is damaged"):
            LedgerFile(path)


def test_a_byte_altered_anywhere_is_told_with_the_line_and_nothing_is_lost(double, tmp_path):
    whole, path, generator = tmp_path / "whole.jsonl", tmp_path / "hardware.jsonl", random.Random(0)
    with LedgerFile(whole) as file:
        run(file, "whole", Http(double.port, most=MOST))
    content = whole.read_bytes()
    for place in generator.sample(range(len(content) - 1), 60):
        altered = content[:place] + bytes([content[place] ^ 1 << generator.randrange(7)]) + content[place + 1 :]
        path.write_bytes(altered)
        with pytest.raises(ResultError, match=r"line \d+ is damaged.*from a copy"):
            LedgerFile(path, write=False)
        assert path.read_bytes() == altered


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("answer", "mean", [[float("nan")]]),
        ("answer", "mean", [[0.5], [0.5, 0.5]]),
        ("answer", "mean", "0.5"),
        ("answer", "executions", -1),
        ("round", "tags", "ql"),
        ("round", "sizes", [-1]),
        ("job", "id", 5),
        ("job", "module", "x.y"),
        ("target", "shots", "many"),
        ("target", "record", "code"),
    ],
)
def test_a_record_that_cannot_be_one_is_told_with_its_line(kind, name, value, double, tmp_path):
    path = tmp_path / "hardware.jsonl"
    with LedgerFile(path) as file:
        run(file, "whole", Http(double.port, most=MOST))
    records = [{k: v for k, v in json.loads(line).items() if k != "seal"} for line in path.read_text().splitlines()]
    number = next(number for number, record in enumerate(records) if record["record"] == kind)
    records[number][name] = value
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(ResultError, match=f"line {number + 1} is damaged"):
        LedgerFile(path, write=False)


def test_a_ledger_and_its_replay_are_backends(tmp_path):
    path = tmp_path / "hardware.jsonl"
    inner = open_backend("aer:shots=200")
    live = open_backend("aer:shots=200")
    with LedgerFile(path) as file:
        live.target = Ledger(file, "check", inner.target, service_of(inner.target))
        check_backend(live, circuits=3)
    replay = open_backend(f"ledger:{path}")
    check_backend(replay, circuits=3)
    assert replay.name == "ledger"
    with pytest.raises(AssertionError, match="no answer to this call"):
        check_backend(replay, circuits=4)
    with pytest.raises(ResultError, match="no ledger"):
        open_backend(f"ledger:{tmp_path}/nothing.jsonl")
    with pytest.raises(ResultError, match="check"):
        open_backend(f"ledger:{path}#other")


def test_every_line_is_a_record_of_its_time_and_order(double, tmp_path):
    path = tmp_path / "hardware.jsonl"
    with LedgerFile(path) as file:
        run(file, "order", Http(double.port, most=MOST))
    place = {}
    for number, record in enumerate(map(json.loads, path.read_text().splitlines())):
        if "tag" in record:
            place.setdefault(record["tag"], []).append((number, record["record"]))
    assert len(place) == JOBS
    for found in place.values():
        assert [kind for _, kind in sorted(found)] == ["intent", "job", "answer"]
    assert np.all(np.diff([number for found in place.values() for number, kind in found if kind == "intent"]) > 0)
