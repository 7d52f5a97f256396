"""Laws of campaigns: rounds do not grow with windows, what waits goes on, and what is finished comes back without a device."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from shutil import copytree

import numpy as np
import pytest

from qlogad import cli, files
from qlogad.backend.backend import open_backend
from qlogad.backend.ledger import Clock, LedgerFile
from qlogad.errors import InputError, ResultError, UnknownName
from qlogad.hardware.campaign import Interleaved, collect, ledger_of, submit
from qlogad.hardware.ladder import ladders
from qlogad.hardware.windows import trained
from tests.command_line import qlogad
from tests.hardware.double import HISTORY, MOST, SHOTS

CLOCK = Clock(waits=(0, 0.01, 0.02))


def ledger_file(result):
    return LedgerFile(ledger_of(result), write=False)


def told(found):
    """Every answer of a campaign."""
    return [one.mean_MK.tobytes() for run in found.runs for one in (*run.heard, *run.references)]


def test_rounds_are_steps_whatever_the_number_of_windows(result):
    for windows in (1, 12):
        collected = submit(result, "quantum", f"aer:shots={SHOTS}", windows=windows, repeats=2)
        assert (collected.state, collected.scores_RN.shape) == ("done", (2, len(collected.exact_N)))
        rounds = [found for found in ledger_file(result).rounds.values() if str(collected.asked) in found["scope"]]
        assert len(rounds) == 2 * HISTORY
        assert collected.forecast.rounds == HISTORY
        assert collected.forecast.cost.jobs == sum(len(found["tags"]) for found in rounds)


def test_without_noise_and_shots_both_loops_are_exact(result):
    closed = submit(result, "quantum", "aer", windows=20, repeats=1)
    np.testing.assert_allclose(closed.scores_RN[0], closed.exact_N, rtol=1e-4)
    assert closed.facts()["agreement"] == 1
    opened = submit(result, "quantum", "aer", windows=20, mode="open")
    ((heard,),) = (run.heard for run in opened.runs)
    np.testing.assert_allclose(heard.mean_MK, heard.exact_MK, atol=1e-9)
    assert len(heard.angles_MA) == len(np.unique(heard.angles_MA, axis=0)) == opened.forecast.cost.rows - opened.asked.references
    rounds = [len(np.unique(one.angles_MA, axis=0)) for one in closed.runs[0].heard]
    assert np.bincount(heard.step_M).tolist() == [sum(heard.step_M == step) for step in range(HISTORY)]
    assert all(new <= asked for new, asked in zip(np.bincount(heard.step_M), rounds, strict=True))


def test_every_layer_of_circuits_is_asked_in_open_loop(result):
    """A GRU has two: a run has finished where both have answered, and is one run of the ladder."""
    opened = submit(result, "gru", f"aer:shots={SHOTS}", windows=6, mode="open", repeats=2)
    assert (opened.state, opened.stopped, len(opened.runs)) == ("done", (), 4)
    assert opened.facts()["runs"] == "2/2"
    assert opened.forecast.cost.jobs == opened.spent.jobs
    (rung,) = (rung for ladder in ladders(result)[0] for rung in ladder.rungs)
    assert len(rung.drifted_R) == 2
    closed = submit(result, "gru", "aer", windows=6, repeats=1)
    steps = {step for one in opened.runs[0].heard + opened.runs[1].heard for step in one.step_M.tolist()}
    assert steps == {step for one in closed.runs[0].heard for step in one.step_M.tolist()}


def test_runs_are_independent_samples_and_scatter_as_their_errors_say(result):
    opened = submit(result, "quantum", f"aer:shots={SHOTS}", windows=20, mode="open", repeats=3)
    z_RMK = np.stack([(one.mean_MK - one.exact_MK) / one.error_MK for run in opened.runs for one in run.heard])
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
        ((found,), _) = collect(result, clock=CLOCK)
        commands += 1
    assert found.state == "done", found.stopped
    rounds = HISTORY if mode == "closed" else 1
    assert commands == rounds + 1, "one command for each round, whatever the number of runs"
    tags = [tag for call in ledger_file(result).rounds.values() for tag in call["tags"]]
    assert sorted(double.accepted()) == sorted(tags)
    assert all(record["rows"] <= MOST for record in ledger_file(result).intents.values())

    double.stop()
    before = ledger_of(result).read_bytes()
    ((replayed,), _) = collect(result)
    assert replayed.state == "done"
    assert replayed.scores_RN.tobytes() == found.scores_RN.tobytes()
    assert told(replayed) == told(found)
    assert ledger_of(result).read_bytes() == before


def test_a_lost_job_stops_its_run_alone(result, double):
    asked = {"windows": 6, "repeats": 2, "clock": CLOCK}
    double.faults(status=["", "cancelled"])
    found = submit(result, "quantum", f"double:{double.port}", **asked)
    assert (found.state, found.facts()["runs"]) == ("stopped", "1/2")
    assert ["cancelled" in cause for cause in found.stopped] == [True], found.stopped
    paid = len(double.accepted())
    ((still,), _) = collect(result, clock=CLOCK)
    assert (still.state, len(double.accepted())) == ("stopped", paid)
    ((done,), _) = collect(result, clock=CLOCK, again=True)
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
    assert [one.asked.label for one in collect(result)[0]] == ["", "tuesday"]


def test_what_cannot_be_asked_is_refused_before_anything_is_written(result):
    for error, says, asked in (
        (UnknownName, "no contender", {"contender": "quantm"}),
        (InputError, "no circuits", {"contender": "lstm"}),
        (InputError, "max-cost", {"to": "ibm:fake_manila", "max_cost": 0.01}),
        (InputError, "max-seconds", {"to": "ibm:fake_manila", "max_seconds": 1}),
        (InputError, "1 to 100 times", {"repeats": 0}),
        (InputError, "0 or more", {"references": -1}),
    ):
        with pytest.raises(error, match=says):
            submit(result, **{"contender": "quantum", "to": "aer", "windows": 5, **asked})
    with pytest.raises(ResultError, match="no ledger"):
        collect(result)
    assert not ledger_of(result).exists()


def test_more_repetitions_later_are_the_same_campaign(result):
    asked = {"contender": "quantum", "to": f"aer:shots={SHOTS}", "windows": 5}
    first = submit(result, **asked, repeats=1)
    more = submit(result, **asked, repeats=3)
    assert more.scores_RN[:1].tobytes() == first.scores_RN.tobytes()
    before = ledger_of(result).read_bytes()
    submit(result, **asked, repeats=2)
    ((found,), _) = collect(result)
    assert found.scores_RN.tobytes() == more.scores_RN.tobytes()
    assert found.facts() == more.facts()
    assert (found.forecast, found.spent) == (more.forecast, more.spent)
    assert ledger_of(result).read_bytes() == before


def test_a_closed_loop_is_repeated_where_it_samples(result):
    runs = [submit(result, "quantum", to, windows=2).asked.repeats for to in ("aer", f"aer:shots={SHOTS}")]
    assert runs == [1, 5]


def test_a_campaign_records_the_windows_that_are_there(result):
    part = trained(result, "quantum").test
    found = submit(result, "quantum", "aer", windows=10**6, mode="open")
    assert found.asked.windows == len(part.label_W) == found.features.weight_N.sum() == found.forecast.windows
    (record,) = ledger_file(result).campaigns.values()
    assert record["places"] == list(range(found.asked.windows))
    other = [submit(result, "quantum", "aer", windows=6, mode="open", choice=choice).asked for choice in (0, 1)]
    places = [ledger_file(result).campaigns[str(asked)]["places"] for asked in other]
    assert places[0] != places[1]


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_reference_rows_change_nothing_but_the_bill(result, mode):
    bare, more = (
        submit(result, "quantum", f"aer:shots={SHOTS}", windows=5, mode=mode, repeats=2, references=count) for count in (0, 4)
    )
    assert bare.scores_RN.tobytes() == more.scores_RN.tobytes()
    for one, two in zip(bare.runs, more.runs, strict=True):
        assert [heard.mean_MK.tobytes() for heard in one.heard] == [heard.mean_MK.tobytes() for heard in two.heard]
        assert {len(heard.mean_MK) for heard in two.references} == {4}
        assert len(np.unique([heard.angles_MA for heard in two.references], axis=0)) == 1, "the same ones in every round"
    rounds = HISTORY if mode == "closed" else 1
    assert more.spent.executions - bare.spent.executions == 2 * rounds * 4
    for found in (bare, more):
        cost = found.forecast.cost
        assert (found.spent.jobs, found.spent.executions, found.spent.shots) == (cost.jobs, cost.executions, cost.shots)


def test_reference_rows_are_in_every_job(result, double):
    most = max(record["rows"] for record in _intents(result, double, 60, "closed"))
    jobs = _intents(result, double, 60, "open")
    assert len(jobs) > 1
    assert most <= MOST
    (run,) = collect(result, clock=CLOCK)[0][-1].runs
    exact = Interleaved(open_backend("aer").target, 3, "again")
    lifted = run.heard[0].lifted
    for rows in (1, 2, 7, 400):
        exact.evaluate(lifted, np.zeros((rows, len(lifted.angles))), rows=[str(row) for row in range(rows)])
        np.testing.assert_allclose(exact.references[-1].mean_MK, exact.references[-1].exact_MK, atol=1e-9)
        np.testing.assert_allclose(exact.heard[-1].mean_MK, exact.heard[-1].exact_MK, atol=1e-9)


def _intents(result, double, windows, mode):
    found = submit(result, "quantum", f"double:{double.port}", windows=windows, mode=mode, repeats=1, clock=CLOCK)
    return [record for record in ledger_file(result).intents.values() if record["scope"] == found.asked.scope(0)]


def test_a_detector_trained_anew_leaves_the_submitted_one_where_it_was_kept(result):
    found = submit(result, "quantum", "aer", windows=3)
    submit(result, "quantum", f"aer:shots={SHOTS}", windows=3, seed=0, repeats=1)
    table, cell = (result / "runs.csv").read_text(), found.asked.cell
    copytree(result / "cells" / cell, result / "cells" / ("0" * 16))
    (result / "runs.csv").write_text(table.replace(cell, "0" * 16))
    anew = submit(result, "quantum", "aer", windows=3)
    assert (found.asked.cell, anew.asked.cell) == (cell, "0" * 16)
    assert [one.asked.cell for one in collect(result)[0]] == [cell, cell, "0" * 16]

    (result / "cells" / cell).rename(result / "cells" / "gone")
    still, skipped = collect(result)
    assert [one.asked.cell for one in still] == ["0" * 16]
    assert [cell in name for name in skipped] == [True, True]
    assert all("qlogad run quickstart" in cause for cause in skipped.values())


def test_windows_made_anew_are_not_those_that_were_submitted(result):
    found = submit(result, "quantum", "aer", windows=3)
    facts = result / "cells" / found.asked.cell / "cell.json"
    files.write_facts(facts, files.read_facts(facts) | {"base": "0" * 16})
    assert [("have changed since" in cause) for cause in collect(result)[1].values()] == [True]


def test_a_backend_that_is_gone_keeps_no_other_campaign_from_going_on(result, double, tmp_path):
    double.faults(looks=10**6)
    waiting = submit(result, "quantum", f"double:{double.port}", windows=3, repeats=2, clock=CLOCK)
    done = submit(result, "quantum", "aer", windows=3)
    assert (waiting.state, done.state) == ("waiting", "done")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if not path.startswith(str(tmp_path)))}
    words = [sys.executable, "-m", cli.__name__, "hardware", "collect", str(result), "--json"]
    found = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert found.returncode == 1
    assert {row["to"]: row["state"] for row in json.loads(found.stdout)} == {waiting.asked.to: "stopped", "aer": "done"}
    assert found.stderr.count("there is no backend 'double'") == 1


def test_the_hint_of_a_missing_ledger_is_a_command(result, monkeypatch, capsys):
    with pytest.raises(ResultError) as caught:
        collect(result)
    hint = str(caught.value).partition("with: ")[2]
    monkeypatch.setattr(sys, "argv", [*shlex.split(hint), "--windows", "2", "--repeats", "1", "--json"])
    with suppress(SystemExit):
        cli.main()
    assert json.loads(capsys.readouterr().out)[0]["state"] == "done"


def test_the_commands_leave_no_credential_behind(result, tmp_path, monkeypatch):
    secret = "planted-secret-0123456789abcdef"
    words = ["hardware", "submit", "results/quickstart", "--contender", "quantum", "--to", "aer:shots=64"]
    monkeypatch.setenv("QISKIT_IBM_TOKEN", secret)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    given = [sys.executable, "-m", cli.__name__, *words, "--windows", "3", "--repeats", "1", "--json"]
    done = [subprocess.run(given, capture_output=True, text=True, cwd=tmp_path, env=environment)]
    for asked in (
        ["hardware", "collect", "results/quickstart", "--json"],
        [*words[:-1], "aer:fake_nothing"],
        [*words, "--label", secret, "--windows", "2", "--repeats", "1"],
    ):
        done.append(qlogad(*asked, cwd=tmp_path))
    assert [one.returncode for one in done] == [0, 0, 1, 2], [one.stderr for one in done]
    assert json.loads(done[0].stdout) == json.loads(done[1].stdout)
    assert json.loads(done[0].stdout)[0]["runs"] == "1/1"
    assert [[line[:7] for line in one.stderr.splitlines()] for one in done[2:]] == [["error: "]] * 2
    assert "QISKIT_IBM_TOKEN" in done[3].stderr
    assert not any(secret in one.stdout + one.stderr for one in done)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in written
