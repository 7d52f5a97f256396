"""Laws of campaigns: rounds do not grow with windows, what waits goes on, and what is finished comes back without a device."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from double import MOST, SHOTS, Double, Remote

from qlogad import cli
from qlogad.backend.ledger import Clock, Journal
from qlogad.errors import InputError, ResultError, UnknownName
from qlogad.experiment import Experiment
from qlogad.experiment.campaign import collect, ledger_of, submit

HISTORY = 4
CLOCK = Clock(waits=(0, 0.01, 0.02))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run."""
    changes = ["data.lines=3000", "data.split.cuts=[0.6]", "judge.seeds=1"]
    for name in ("lstm", "quantum"):
        changes += [f"contender.{name}.epochs=1", f"contender.{name}.history={HISTORY}"]
    folder = tmp_path_factory.mktemp("results")
    experiment = Experiment.load("quickstart", changes)
    contenders = tuple(contender for contender in experiment.contenders if contender.name in {"lstm", "quantum"})
    small = replace(experiment, contenders=contenders, judge=replace(experiment.judge, contrasts=()))
    assert not small.run(folder, workers=1).failed
    return folder / "quickstart"


@pytest.fixture
def result(run, tmp_path):
    return Path(copytree(run, tmp_path / "results" / "quickstart"))


@pytest.fixture
def double(tmp_path, monkeypatch):
    """The service double, which is found as the backend "double"."""
    installed = tmp_path / "site" / "double-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: double\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[qlogad.backends]\ndouble = {Remote.__module__}:Remote\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = tmp_path / "service"
    folder.mkdir()
    double = Double(folder)
    yield double
    double.stop()


def journal(result):
    return Journal(ledger_of(result), write=False)


def test_rounds_are_steps_whatever_the_number_of_windows(result):
    for windows in (1, 12):
        collected = submit(result, "quantum", f"aer:shots={SHOTS}", windows=windows, repeats=2)
        assert (collected.state, collected.scores_RN.shape) == ("done", (2, len(collected.exact_N)))
        rounds = [found for found in journal(result).rounds.values() if str(collected.asked) in found["scope"]]
        assert len(rounds) == 2 * HISTORY
        assert collected.plan.rounds == HISTORY
        assert collected.plan.cost.jobs == sum(len(found["tags"]) for found in rounds)


def test_without_noise_and_shots_both_loops_are_exact(result):
    closed = submit(result, "quantum", "aer", windows=20, repeats=1)
    np.testing.assert_allclose(closed.scores_RN[0], closed.exact_N, rtol=1e-4)
    assert closed.facts()["agreement"] == 1
    opened = submit(result, "quantum", "aer", windows=20, mode="open")
    (comparison,) = opened.comparisons
    np.testing.assert_allclose(comparison.mean_MK, comparison.exact_MK, atol=1e-9)
    assert len(comparison.angles_MA) == len(np.unique(comparison.angles_MA, axis=0)) == opened.plan.cost.rows


def test_runs_are_independent_samples_and_scatter_as_their_errors_say(result):
    opened = submit(result, "quantum", f"aer:shots={SHOTS}", windows=20, mode="open", repeats=3)
    z_RMK = np.stack([(one.mean_MK - one.exact_MK) / one.error_MK for one in opened.comparisons])
    assert 0.8 < z_RMK.std() < 1.2
    pairs = np.corrcoef(z_RMK.reshape(3, -1))[np.triu_indices(3, 1)]
    assert np.abs(pairs).max() < 5 / np.sqrt(z_RMK[0].size)
    closed = submit(result, "quantum", f"aer:shots={SHOTS}", windows=20, repeats=3)
    assert len(np.unique(closed.scores_RN, axis=0)) == 3


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_what_waits_goes_on_and_what_is_done_needs_no_device(result, double, mode):
    asked = {"windows": 10, "mode": mode, "repeats": 2, "clock": CLOCK}
    to = f"double:{double.port}"
    commands = 1
    double.faults(looks=2)  # one when it is handed in, and one more
    found = submit(result, "quantum", to, **asked)
    while found.state == "waiting":
        assert found.facts()["runs"] == "0/2"
        (found,) = collect(result, clock=CLOCK)
        commands += 1
    assert found.state == "done", found.stopped
    rounds = HISTORY if mode == "closed" else 1
    assert commands == rounds + 1, "one command for each round, whatever the number of runs"
    tags = [tag for call in journal(result).rounds.values() for tag in call["tags"]]
    assert sorted(double.accepted()) == sorted(tags)
    assert all(record["rows"] <= MOST for record in journal(result).intents.values())

    double.stop()
    before = ledger_of(result).read_bytes()
    (replayed,) = collect(result)
    assert replayed.state == "done"
    assert replayed.scores_RN.tobytes() == found.scores_RN.tobytes()
    assert [one.mean_MK.tobytes() for one in replayed.comparisons] == [one.mean_MK.tobytes() for one in found.comparisons]
    assert ledger_of(result).read_bytes() == before


def test_a_lost_job_stops_its_run_alone(result, double):
    asked = {"windows": 6, "repeats": 2, "clock": CLOCK}
    double.faults(status=["", "cancelled"])
    found = submit(result, "quantum", f"double:{double.port}", **asked)
    assert (found.state, found.facts()["runs"]) == ("stopped", "1/2")
    assert ["cancelled" in cause for cause in found.stopped] == [True], found.stopped
    paid = len(double.accepted())
    (still,) = collect(result, clock=CLOCK)
    assert (still.state, len(double.accepted())) == ("stopped", paid)
    (done,) = collect(result, clock=CLOCK, again=True)
    assert (done.state, done.facts()["runs"]) == ("done", "2/2")
    assert done.scores_RN[1].tobytes() == found.scores_RN[0].tobytes()


def test_asking_twice_pays_once_and_another_label_pays_again(result, double):
    asked = {"windows": 5, "repeats": 1, "clock": CLOCK}
    first = submit(result, "quantum", f"double:{double.port}", **asked)
    paid = len(double.accepted())
    second = submit(result, "quantum", f"double:{double.port}", **asked)
    assert (len(double.accepted()), second.scores_RN.tobytes()) == (paid, first.scores_RN.tobytes())
    submit(result, "quantum", f"double:{double.port}", label="tuesday", **asked)
    assert len(double.accepted()) == 2 * paid
    assert [one.asked.label for one in collect(result)] == ["", "tuesday"]


def test_what_cannot_be_asked_is_refused_before_anything_is_written(result):
    for error, says, asked in (
        (UnknownName, "no contender", {"contender": "quantm"}),
        (InputError, "no circuits", {"contender": "lstm"}),
        (InputError, "max-cost", {"to": "ibm:fake_manila", "max_cost": 0.01}),
        (InputError, "max-seconds", {"to": "ibm:fake_manila", "max_seconds": 1}),
        (InputError, "1 to 100 times", {"repeats": 0}),
    ):
        with pytest.raises(error, match=says):
            submit(result, **{"contender": "quantum", "to": "aer", "windows": 5, **asked})
    with pytest.raises(ResultError, match="no ledger"):
        list(collect(result))
    assert not ledger_of(result).exists()


def test_a_detector_trained_anew_is_not_the_one_that_was_submitted(result):
    submit(result, "quantum", "aer", windows=3, repeats=1)
    table = (result / "runs.csv").read_text()
    (quantum,) = {found.asked.cell for found in collect(result)}
    (result / "cells" / quantum).rename(result / "cells" / ("0" * 16))
    (result / "runs.csv").write_text(table.replace(quantum, "0" * 16))
    with pytest.raises(ResultError, match="trained anew"):
        list(collect(result))


def test_the_commands_leave_no_credential_behind(result, tmp_path):
    secret = "planted-secret-0123456789abcdef"
    words = ["hardware", "submit", "results/quickstart", "--contender", "quantum", "--to", "aer:shots=64"]
    environment = {
        **os.environ,
        "QISKIT_IBM_TOKEN": secret,
        "AWS_SECRET_ACCESS_KEY": secret,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = [
        subprocess.run([sys.executable, "-m", cli.__name__, *asked], capture_output=True, text=True, cwd=tmp_path, env=environment)
        for asked in (
            [*words, "--windows", "3", "--repeats", "1", "--json"],
            ["hardware", "collect", "results/quickstart", "--json"],
            [*words[:-1], "aer:fake_nothing"],
            [*words, "--label", secret, "--windows", "2", "--repeats", "1"],
        )
    ]
    assert [one.returncode for one in done] == [0, 0, 1, 2], [one.stderr for one in done]
    assert json.loads(done[0].stdout) == json.loads(done[1].stdout)
    assert json.loads(done[0].stdout)[0]["runs"] == "1/1"
    assert [len(one.stderr.splitlines()) for one in done[2:]] == [1, 1]
    assert "QISKIT_IBM_TOKEN" in done[3].stderr
    assert not any(secret in one.stdout + one.stderr for one in done)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in written
