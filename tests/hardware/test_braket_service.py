"""Laws of Amazon's tasks behind the ledger: as few as the limits allow, each paid once, found by its tag, read once."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.ledger import Clock, Ledger, LedgerFile, Recorded
from qlogad.backend.parameter_shift import lift
from qlogad.backend.service import Unavailable, service_of
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import bases, readout
from qlogad.errors import BackendError, Pending
from qlogad.hardware.forecast import exact_means
from tests.hardware.amazon import ARN, EXECUTABLES, TOTAL_SHOTS, Amazon

SHOTS, ROWS = 200, 11

pytestmark = pytest.mark.braket


@pytest.fixture
def amazon(monkeypatch):
    server = Amazon()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield server
    server.shutdown()
    server.server_close()


def device(shots=SHOTS):
    return open_backend(f"braket:{ARN},shots={shots}").target


def circuit():
    return lift(assemble("angle-y", "strongly-entangling", 2, 1, readout=readout("xyz+zeros", 2)))


def ask(target, lifted=None):
    lifted = lifted or circuit()
    angles_MA = seeds.generator(0, "amazon").uniform(-3, 3, (ROWS, len(lifted.angles)))
    return lifted, angles_MA, target.evaluate(lifted, angles_MA, rows=[f"row {row}" for row in range(ROWS)])


def ledger(file, **settings):
    target = device()
    return Ledger(file, "there", target, service_of(target), clock=Clock(waits=(0, 0, 0), sleep=lambda seconds: None), **settings)


def done(amazon, state="COMPLETED"):
    for task in amazon.tasks.values():
        task["status"] = state


def test_tasks_are_few_found_by_their_tags_and_read_once(amazon, tmp_path):
    path = tmp_path / "hardware.jsonl"
    amazon.refuse = {"create": [-500], "search": [503]}
    for _ in range(3):
        with LedgerFile(path) as file, pytest.raises(Pending):
            ask(ledger(file))
    found = len(bases(circuit().circuit.readout))
    each = min(EXECUTABLES, TOTAL_SHOTS // SHOTS) // found
    assert found == 3
    assert len(amazon.tasks) == -(-ROWS // each)
    assert sum(task["executables"] for task in amazon.tasks.values()) == ROWS * found
    assert {task["shots"] for task in amazon.tasks.values()} == {task["executables"] * SHOTS for task in amazon.tasks.values()}
    done(amazon)
    amazon.refuse = {"result": [500], "get": [429]}
    with LedgerFile(path) as file:
        lifted, angles_MA, answer = ask(ledger(file))
        assert {record["calibrated"] for record in file.intents.values()} == {"2026-11-01T00:00:00"}
    off_MK = np.abs(answer.mean_MK - exact_means(lifted, angles_MA)) / answer.error_MK
    assert off_MK.max() < 6
    assert off_MK.mean() < 1.5
    assert set(str(answer.provenance["job ids"]).split()) == set(amazon.tasks)
    amazon.refuse = {verb: [500] * 99 for verb in ("create", "search", "get", "result", "device")}
    replayed = ask(Recorded(LedgerFile(path, write=False), "there"))[2]
    assert replayed.mean_MK.tobytes() == answer.mean_MK.tobytes()


def test_a_circuit_without_angles_runs_once_for_each_row(amazon, tmp_path):
    fixed = lift(Circuit(2, (Gate("h", (0,), ()), Gate("cx", (0, 1), ())), ("ZZ", "XX"), 0, 0))
    with LedgerFile(tmp_path / "hardware.jsonl") as file:
        with pytest.raises(Pending):
            ask(ledger(file), fixed)
        done(amazon)
        assert ask(ledger(file), fixed)[2].mean_MK.tolist() == [[1.0, 1.0]] * ROWS


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_lost_task_is_told_and_submitted_again_only_on_demand(amazon, tmp_path, state):
    amazon.says = "calibrating"
    path = tmp_path / "hardware.jsonl"
    with LedgerFile(path) as file, pytest.raises(Pending):
        ask(ledger(file))
    before = len(amazon.tasks)
    done(amazon, state)
    with LedgerFile(path) as file:
        with pytest.raises(BackendError, match="calibrating"):
            ask(ledger(file))
        assert len(amazon.tasks) == before
        with pytest.raises(BackendError):  # the first task anew, and then the next one that was lost
            ask(ledger(file, again=True))
    assert len({task["token"] for task in amazon.tasks.values()}) == len(amazon.tasks) > before


@pytest.mark.parametrize(("code", "passing"), [(429, True), (500, True), (503, True), (400, False), (401, False), (403, False)])
def test_what_may_pass_is_asked_again_and_nothing_else(amazon, code, passing):
    amazon.refuse = {"search": [code]}
    with pytest.raises(BackendError, match="Amazon Braket refused") as refused:
        device().service.find("tag")
    assert isinstance(refused.value, Unavailable) == passing
    assert ("aws configure" in str(refused.value)) == (code in (401, 403))


def test_what_a_service_says_is_told_without_credentials(amazon):
    unknown, key = "Zk3/" * 11, "ASIA" + "Q7" * 8
    secrets = [unknown, key, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]]
    for secret, code in itertools.product(secrets, (400, 500)):
        amazon.refuse, amazon.says = {"search": [code]}, f"who is {secret}?"
        with pytest.raises(BackendError, match="who is") as refused:
            device().service.find("tag")
        assert secret not in str(refused.value)
        assert refused.value.__context__ is None


def test_a_command_that_fails_leaves_no_credential_behind(amazon, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    amazon.says = environment["AWS_SECRET_ACCESS_KEY"]
    amazon.refuse = {"device": [403]}
    program = f"from qlogad.backend.backend import open_backend\nopen_backend('braket:{ARN}').target.service.calibrated()\n"
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert failed.returncode == 1
    assert "AccessDeniedException" in failed.stderr
    assert "planted" not in (failed.stdout + failed.stderr).lower()


def test_planning_needs_no_network_and_adds_tasks_and_shots(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    from qlogad.backend.braket import EXECUTABLES, PRICES, TASK_DOLLARS

    random = seeds.generator(0, "prices")
    for name, price in PRICES.items():
        for words in ("z", "xyz", "x+zeros"):
            rows, shots, dollars = (int(random.integers(1, n)) for n in (999, 5000, 100))
            lifted = lift(assemble("angle-y", "sim14", 3, 2, readout=readout(words, 3)))
            found = len(bases(lifted.circuit.readout))
            spec = f"braket:arn:aws:braket:somewhere-1::device/qpu/{name},shots={shots}"
            if price.shot is None:
                with pytest.raises(BackendError, match="no price is recorded"):
                    open_backend(spec).target.cost(lifted, rows)
            for each, asked in [(price.shot, spec), (dollars / 1e4, f"{spec},price={dollars / 1e4}")]:
                if each is None:
                    continue
                cost = open_backend(asked).target.cost(lifted, rows)
                assert cost.executions == rows * found
                assert cost.shots == cost.executions * shots
                assert (cost.jobs - 1) * (EXECUTABLES // found) < rows <= cost.jobs * (EXECUTABLES // found)
                assert cost.dollars == pytest.approx(TASK_DOLLARS * cost.jobs + each * cost.shots)
                assert f"{each:g} USD" in cost.formula


def test_a_device_is_used_through_the_ledger_alone():
    with pytest.raises(BackendError, match="qlogad hardware"):
        ask(device())


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("arn:aws:braket:::device/quantum-simulator/amazon/sv1", "simulators run here"),
        (f"{ARN},depolarizing=0.1", "no option 'depolarizing'"),
        (f"{ARN},price=cheap", "write for example price="),
        (f"{ARN},price=-1", "write for example price="),
        ("braket_sw", "did you mean 'braket_sv'"),
        ("braket_sv,readout=0.1", "leave out 'braket_sv'"),
        ("price=0.1", "no option 'price'"),
        ("readout=2", "rate from 0 to 1"),
    ],
)
def test_targets_that_are_none_are_refused(target, says):
    with pytest.raises(BackendError, match=says):
        open_backend(f"braket:{target}")


def test_a_row_that_no_task_takes_is_refused(amazon):
    with pytest.raises(BackendError, match="use fewer"):
        device(shots=TOTAL_SHOTS).service.rows(circuit())
