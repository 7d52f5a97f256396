"""Laws of ladders: a column is of one kind, errors add up, every flip has one cause, and nothing is asked of a device."""

import csv
import sys
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest

from qlogad import cli, escape, files, seeds
from qlogad.backend.parameter_shift import lift
from qlogad.circuit.encoding import assemble
from qlogad.errors import ResultError
from qlogad.hardware.campaign import Heard, ledger_of, submit
from qlogad.hardware.forecast import reference_angles
from qlogad.hardware.ladder import KINDS, causes, drifted, ladders, write
from tests.hardware.double import HISTORY, SHOTS

NOISE = "depolarizing=0.05,readout=0.05"
RUNGS = ["aer", f"aer:shots={SHOTS}", f"aer:{NOISE}", f"aer:{NOISE},shots={SHOTS}"]


@pytest.fixture(scope="module")
def climbed(run, tmp_path_factory):
    """A run that went up a small ladder, handed in from the top."""
    result = copytree(run, tmp_path_factory.mktemp("climbed") / "quickstart")
    for mode in ("open", "closed"):
        for to in reversed(RUNGS):
            repeats = 4 if "shots" in to else None
            assert submit(result, "quantum", to, windows=16, mode=mode, repeats=repeats).state == "done"
    return result


@pytest.fixture(scope="module")
def ladder(climbed):
    (ladder,), skipped = ladders(climbed)
    assert not skipped
    return ladder


def test_rungs_go_from_exact_numbers_to_noise_and_shots(ladder):
    for mode in ("closed", "open"):
        assert [rung.collected.asked.to for rung in ladder.of(mode)] == RUNGS
        assert [rung.collected.kind for rung in ladder.of(mode)] == list(KINDS)
        columns = ladder.tables(mode)[""]
        assert [column["kind"] for name, column in columns.items() if name in RUNGS] == list(KINDS.values())


def test_what_is_exact_errs_nowhere_and_agrees_with_itself(ladder):
    for mode in ("closed", "open"):
        exact = ladder.tables(mode)[""]["aer"]
        assert exact["expectation error, rms"] < 1e-6
        assert exact["reference error, rms"] < 1e-9
    closed = ladder.tables("closed")[""]
    assert closed["exact"]["agreement with exact"] == closed["aer"]["agreement with exact"] == 1
    low, high = (closed["exact"][f"agreement with exact {end}"] for end in ("low", "high"))
    assert low == high == 1  # by definition, on any sequences
    assert closed["aer"]["agreement with exact low"] < 1  # by what was seen on these
    for measure in ("F1", "specificity"):
        assert closed["exact"][measure] == closed["aer"][measure]


def test_shots_explain_the_error_where_there_is_no_noise(ladder):
    for mode in ("closed", "open"):
        columns = ladder.tables(mode)[""]
        error, shots = (columns[RUNGS[1]][name] for name in ("expectation error, rms", "of which shot noise"))
        assert 0.85 < error / shots < 1.15
        for name in RUNGS:
            error, shots, bias = (
                columns[name][part] for part in ("expectation error, rms", "of which shot noise", "of which bias")
            )
            assert np.hypot(min(shots, error), bias) == pytest.approx(error)
        assert columns[RUNGS[3]]["of which bias"] == pytest.approx(columns[RUNGS[2]]["of which bias"], rel=0.3)


def test_errors_by_readout_and_by_step_are_the_whole_error(ladder):
    for rung in ladder.rungs:
        whole = ladder.tables(rung.collected.asked.mode)[""][rung.name]["expectation error, rms"]
        assert np.sqrt(np.mean(np.square(list(rung.errors("readout").values())))) == pytest.approx(whole)
        count_S = np.bincount(np.concatenate([one.step_M for one in rung.heard]), minlength=HISTORY)
        error_S = np.array([rung.errors("step").get(str(step + 1), 0.0) for step in range(HISTORY)])
        assert np.sqrt(np.average(error_S**2, weights=count_S)) == pytest.approx(whole)


def test_intervals_hold_their_means_and_flips_are_told_once(ladder):
    for name, column in ladder.tables("closed")[""].items():
        for measure in ("agreement with exact", "F1", "specificity"):
            assert 0 <= column[f"{measure} low"] <= column[f"{measure} high"] <= 1
        if name != "exact":
            told = [column[f"of these by {why}"] for why in ("bias", "drift", "shot noise", "not told")]
            assert sum(told) == column["rows that ever flip"]
    for rung in ladder.of("closed"):
        rows = [
            int(name.rpartition("(")[2].split()[0]) for name in ladder.tables("closed")[list(ladder.tables("closed"))[3]][rung.name]
        ]
        assert sum(rows) == len(rung.collected.features)


def test_the_bill_is_what_was_planned(ladder):
    for rung in ladder.rungs:
        spent, cost = rung.collected.spent, rung.collected.forecast.cost
        assert (spent.jobs, spent.executions, spent.shots) == (cost.jobs, cost.executions, cost.shots)
        assert spent.seconds is None, "no service told"


def test_device_seconds_are_those_that_the_answers_tell(climbed, tmp_path):
    result = copytree(climbed, tmp_path / "quickstart")
    lines = [files.unsealed(line) for line in ledger_of(result).read_bytes().splitlines()]
    random = seeds.generator(0, "device seconds")
    for line in lines:
        if line["record"] == "answer":
            line["provenance"]["device seconds"] = float(random.integers(1, 9))
    ledger_of(result).write_bytes(b"".join(files.sealed(line) for line in lines))
    (ladder,), _ = ladders(result)
    scopes = {line["tag"]: line["scope"] for line in lines if line["record"] == "intent"}
    for rung in ladder.rungs:
        told = [
            line["provenance"]["device seconds"]
            for line in lines
            if line["record"] == "answer" and str(rung.collected.asked) in scopes[line["tag"]]
        ]
        assert ladder.tables(rung.collected.asked.mode)[""][rung.name]["QPU seconds, told"] == sum(told)


def test_the_report_is_a_replay(climbed, ladder, monkeypatch, capsys):
    ledger = ledger_of(climbed).read_bytes()
    first = [write([ladder], climbed).with_suffix(kind).read_bytes() for kind in (".md", ".csv", ".png")]
    monkeypatch.setattr("qlogad.hardware.forecast.open_backend", None)  # whoever opens a backend fails
    monkeypatch.setattr(sys, "argv", ["qlogad", "hardware", "report", str(climbed)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert capsys.readouterr().out.startswith("# Ladder of quickstart")
    assert [(climbed / f"ladder{kind}").read_bytes() for kind in (".md", ".csv", ".png")] == first
    assert ledger_of(climbed).read_bytes() == ledger
    with (climbed / "ladder.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for mode in ("closed", "open"):
        for title, columns in ladder.tables(mode).items():
            for name, column in columns.items():
                found = {row["measure"]: row[name] for row in rows if (row["loop"], row["table"]) == (mode, title)}
                for measure, value in column.items():
                    assert (
                        float(found[measure]) == pytest.approx(value, rel=1e-5)
                        if isinstance(value, float)
                        else found[measure] == ("" if value == "-" else escape.csv(str(value)))
                    )


def test_a_report_without_anything_to_tell_says_so(result):
    found = submit(result, "quantum", "aer", windows=2)
    (result / "cells" / found.asked.cell).rename(result / "cells" / "gone")
    with pytest.raises(ResultError, match="hardware submit"):
        write(*ladders(result)[:1], result)
    (result / "hardware.jsonl").unlink()
    with pytest.raises(ResultError, match="no ledger"):
        ladders(result)


# ---------------------------------------------------------------- drift, and why decisions flip


def heard(random, runs, *, rounds=3, shots=400, away=0.0, drifts=()):
    """Reference rows of some runs, drawn around their true values; those of drifting runs are off."""
    lifted = lift(assemble("angle-y", "strongly-entangling", 2, 1))
    angles_MA = reference_angles(lifted, 3)
    true_MK = random.uniform(-0.9, 0.9, (3, 2))
    found = []
    for run in range(runs):
        share_MK = (1 + np.clip(true_MK - away * np.sign(true_MK) * (run in drifts), -1, 1)) / 2
        means = [2 * random.binomial(shots, share_MK) / shots - 1 for _ in range(rounds)]
        found.append(
            [
                Heard(lifted, angles_MA, np.full(3, step), mean_MK, np.sqrt((1 - mean_MK**2) / shots) + 1 / shots)
                for step, mean_MK in enumerate(means)
            ]
        )
    return found


def test_drift_is_found_where_it_is_and_seldom_elsewhere():
    random = seeds.generator(0, "drift")
    false = sum(drifted(heard(random, 5)).any() for _ in range(300))
    assert false <= 4, "one campaign in a thousand, within the binomial bound"
    for _ in range(20):
        run = int(random.integers(5))
        assert drifted(heard(random, 5, away=0.3, drifts={run})).tolist() == [place == run for place in range(5)]


def test_what_cannot_drift_does_not():
    random = seeds.generator(0, "no drift")
    assert drifted([]).tolist() == []
    assert drifted(heard(random, 1)).tolist() == [False]
    exact = [[replace(one, error_MK=None) for one in run] for run in heard(random, 3, away=0.5, drifts={0})]
    assert drifted(exact).tolist() == [False] * 3


@pytest.mark.parametrize("draw", range(20))
def test_every_flip_has_one_cause(draw):
    random = seeds.generator(draw, "causes")
    runs, rows = int(random.integers(1, 8)), int(random.integers(1, 40))
    flips_RN, drifted_R = random.random((runs, rows)) < random.random(), random.random(runs) < 0.3
    for sampled in (False, True):
        cause_N = causes(flips_RN, drifted_R, sampled=sampled)
        for row, cause in enumerate(cause_N):
            runs_that_flip = np.flatnonzero(flips_RN[:, row])
            expected = (
                ""
                if not len(runs_that_flip)
                else "not told"
                if sampled and runs < 3
                else "bias"
                if not sampled or len(runs_that_flip) > runs / 2
                else "drift"
                if drifted_R[runs_that_flip].all()
                else "shot noise"
            )
            assert cause == expected
