"""Laws of thresholds that are fixed anew on validation windows of the backend itself, beside the clean one."""

import json
import sys
from functools import partial

import numpy as np
import pytest

from qlogad import cli
from qlogad.backend import ledger
from qlogad.backend.ledger import Clock, LedgerFile
from qlogad.detect.detector import Detector
from qlogad.errors import InputError
from qlogad.hardware.campaign import collect, ledger_of, submit, submit_all
from qlogad.hardware.forecast import forecast, threshold_of
from qlogad.hardware.ladder import ladders
from qlogad.hardware.windows import calibrating, chosen, trained
from tests.hardware.double import HISTORY, SHOTS

ALL = 10**6  # windows: as many as there are
NOISY = f"aer:amplitude_damping=0.2,shots={SHOTS}"


def test_without_noise_and_shots_the_threshold_is_the_clean_one(result):
    found = submit(result, "quantum", "aer", windows=10, validation=ALL)
    assert list(found.recalibrated) == [0]
    np.testing.assert_allclose(found.recalibrated[0].value, found.threshold.value, rtol=1e-4)
    (ladder,), _ = ladders(result)
    assert [rung.name for rung in ladder.rungs] == ["aer, clean threshold", "aer, recalibrated threshold"]
    clean, anew = (rung.facts() for rung in ladder.rungs)
    assert clean["agreement with exact"] == anew["agreement with exact"] == 1


def test_a_threshold_is_the_detectors_rule_on_what_the_backend_gives(result):
    found = submit(result, "quantum", "aer:amplitude_damping=0.2", windows=10, repeats=1, validation=ALL)
    kept = trained(result, "quantum")
    noisy = Detector.load(kept.folder, backend="aer:amplitude_damping=0.2")
    validation, labels = calibrating(kept, noisy, ALL)
    expected = noisy.threshold_on(validation, labels)
    assert expected.windows == found.asked.validation == len(kept.validation.label_W)
    np.testing.assert_allclose(found.recalibrated[0].value, expected.value, rtol=1e-4)
    above_N = noisy.anomaly_score(validation) > found.recalibrated[0].value * (1 + 1e-4)
    assert (above_N * validation.weight_N).sum() <= noisy.fpr * validation.weight_N.sum()


def test_test_windows_are_near_no_threshold(result):
    """Whichever are tested, and however many, each run has the threshold that it had."""
    few, many = (submit(result, "quantum", NOISY, windows=windows, repeats=2, validation=30) for windows in (3, 12))
    assert few.recalibrated == many.recalibrated
    assert len(set(few.recalibrated.values())) == 2, "runs are independent samples"
    bare = submit(result, "quantum", NOISY, windows=12, repeats=2)
    assert bare.scores_RN.tobytes() == many.scores_RN.tobytes(), "and the scores are those without it"


def test_what_a_threshold_takes_is_planned_priced_counted_and_kept(result):
    found = submit(result, "quantum", NOISY, windows=8, repeats=2, validation=20)
    cost, spent = found.forecast.cost, found.spent
    assert (spent.jobs, spent.executions, spent.shots) == (cost.jobs, cost.executions, cost.shots)
    detector, _, features = chosen(trained(result, "quantum"), 8)
    held, _ = calibrating(trained(result, "quantum"), detector, 20)
    alone, beside = (forecast(detector, windows, NOISY, references=3) for windows in (features, held))
    assert alone.beside(beside).times(2) == found.forecast
    assert found.forecast.rounds == HISTORY, "they are run at the same time"
    assert found.forecast.cost.executions == 2 * (alone.cost.executions + beside.cost.executions)
    before = ledger_of(result).read_bytes()
    ((again,), _) = collect(result)
    assert (again.recalibrated, again.state) == (found.recalibrated, "done")
    assert ledger_of(result).read_bytes() == before
    seconds = forecast(detector, features, "ibm:fake_manila,shots=64", references=3)
    more = seconds.beside(forecast(detector, held, "ibm:fake_manila,shots=64", references=3))
    assert more.cost.seconds > seconds.cost.seconds
    assert more.cost.dollars > seconds.cost.dollars
    limit = seconds.cost.dollars * seconds.cost.spread * 1.01
    with pytest.raises(InputError, match="max-cost"):
        submit(result, "quantum", "ibm:fake_manila,shots=64", windows=8, repeats=1, validation=20, max_cost=limit)


def test_a_threshold_that_cannot_be_is_refused():
    for text, mode, says in (("recalibrate", "closed", "did you mean 'recalibrated'"), ("recalibrated", "open", "--mode closed")):
        with pytest.raises(InputError, match=says):
            threshold_of(text, mode)
    assert threshold_of("clean", "open") == "clean"


def interrupted(_: float) -> None:
    raise KeyboardInterrupt


def test_every_rung_that_was_asked_for_is_named_begun_or_not(result, double, monkeypatch, capsys):
    double.faults(looks=10**6)
    asked = [f"double:{double.port}", "aer", f"aer:shots={SHOTS}"]
    with pytest.raises(KeyboardInterrupt):  # while the first one waits
        submit_all(result, "quantum", asked, windows=3, repeats=2, clock=Clock(patience=9, sleep=interrupted))
    file = LedgerFile(ledger_of(result), write=False)
    assert [record["asked"]["to"] for record in file.campaigns.values()] == asked
    assert not any("aer" in scope for scope in file.targets), "the others were not begun"
    cells = (result / "cells").rename(result / "away")
    code, states = collected(result, monkeypatch, capsys)
    assert (code, states) == (1, dict.fromkeys(asked, "stopped"))
    cells.rename(result / "cells")
    double.stop()
    code, states = collected(result, monkeypatch, capsys)
    assert list(states) == asked
    assert [states[name] for name in asked[1:]] == ["done", "done"]
    assert (states[asked[0]] == "stopped") == (code == 1)


def collected(result, monkeypatch, capsys):
    """The exit code of `collect`, and the state of every backend that it names."""
    monkeypatch.setattr(sys, "argv", ["qlogad", "hardware", "collect", str(result), "--json"])
    monkeypatch.setattr(ledger, "Clock", partial(Clock, waits=(0, 0)))  # a service that is gone is not waited for
    try:
        cli.main()
    except SystemExit as end:
        return end.code, {row["to"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    return 0, {row["to"]: row["state"] for row in json.loads(capsys.readouterr().out)}
