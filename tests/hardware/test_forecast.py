"""Laws of plans: what is counted beforehand is what is run, and nothing that runs or refuses lets a credential out."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.pennylane import PennyLane
from qlogad.cli import main
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector
from qlogad.detect.floors.markov import Markov
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.windows.vqc import VQC
from qlogad.errors import BackendError, InputError, ResultError, UnknownName
from qlogad.experiment import Experiment
from qlogad.experiment.ground import Part
from qlogad.features.features import Features, Labels
from qlogad.hardware.forecast import check_limits, forecast
from qlogad.hardware.windows import choose, chosen, taken, trained
from qlogad.nn.core import Classical, Quantum
from qlogad.run import run

KINDS = 5
HISTORY = 4


def sessions(count, name, *, longest=9):
    random = seeds.generator(0, "test_hardware", name)
    found = []
    for _ in range(count):
        window = [0]
        for _ in range(int(random.integers(2, longest))):
            window.append((window[-1] + 1) % KINDS if random.random() < 0.8 else int(random.integers(KINDS + 1)))
        found.append(window)
    return found


def features(count, name="test"):
    return Features.from_sequences(sessions(count, name), size=KINDS)


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    """A recurrent and a one-round detector, fitted and saved."""
    train = [[event % KINDS for event in window] for window in sessions(60, "train")]
    labels = [int(len(window) > 6) for window in train]
    core = Quantum(wires=3, depth=1, hidden=6)
    made = {
        "deeplog": DeepLog(core=core, history=HISTORY, embedding=6, epochs=2).fit(train, validation=train),
        "vqc": VQC(core=core, epochs=2).fit(train, labels, validation=train),
    }
    folders = {}
    for name, detector in made.items():
        folders[name] = tmp_path_factory.mktemp(name)
        detector.save(folders[name])
    return folders


def counted(folder, backend, windows):
    """What is counted when the windows really are scored."""
    detector = Detector.load(folder, backend=backend)
    scores_N = detector.anomaly_score(windows)
    assert np.isfinite(scores_N).all() or (scores_N == np.inf).any()
    (layer,) = detector.circuits()
    return (layer.backend.sampled if isinstance(layer.backend, PennyLane) else layer.backend).tally


@pytest.mark.parametrize("name", ["deeplog", "vqc"])
@pytest.mark.parametrize("backend", ["ibm:fake_manila,shots=64", "aer:shots=100", "pennylane:lightning.qubit,shots=64"])
def test_the_plan_is_what_is_then_counted(name, backend, detectors):
    windows = features(40)
    planned = forecast(Detector.load(detectors[name]), windows, backend)
    tally = counted(detectors[name], backend, windows)
    assert (tally.calls, tally.jobs) == (planned.rounds, planned.cost.jobs)
    assert tally.executions == pytest.approx(planned.cost.executions, rel=0.01), "equal but for rows that rounding tells apart"
    assert planned.rounds == (HISTORY if name == "deeplog" else 1), "one round for each step, whatever the number of windows"


@pytest.mark.slow
def test_the_plan_of_a_thousand_windows_is_what_is_then_counted(detectors):
    windows, backend = features(1000, "thousand"), "ibm:fake_torino,shots=128"
    planned = forecast(Detector.load(detectors["deeplog"]), windows, backend)
    tally = counted(detectors["deeplog"], backend, windows)
    assert (tally.calls, tally.jobs) == (planned.rounds, planned.cost.jobs)
    assert tally.executions == pytest.approx(planned.cost.executions, rel=0.01)
    assert planned.windows == 1000


def test_equal_histories_are_run_once(detectors):
    windows = features(60)
    detector = Detector.load(detectors["deeplog"])
    padded_N = [[KINDS + 1] * HISTORY + window.tolist() for window in windows.rows()]
    pasts_EH = np.array([past[end - HISTORY : end] for past in padded_N for end in range(HISTORY, len(past)) if past[end] < KINDS])
    prefixes = sum(len(distinct(pasts_EH[:, :step])[0]) for step in range(1, HISTORY + 1))
    for mode in ("closed", "open"):
        planned = forecast(detector, windows, "ibm:fake_manila", mode=mode)
        assert planned.rows_before == 4 * HISTORY * len(pasts_EH)
        assert planned.rounds == (HISTORY if mode == "closed" else 1)
    assert forecast(detector, windows, "aer:shots=10").cost.rows == pytest.approx(4 * prefixes, rel=0.01)


def test_planning_leaves_the_detector_as_it_was(detectors):
    for folder in detectors.values():
        detector, windows = Detector.load(folder), features(20)
        before = detector.anomaly_score(windows)
        forecast(detector, windows, "ibm:fake_manila")
        assert np.array_equal(detector.anomaly_score(windows), before)


def test_weights_count_before_de_duplication_only(detectors):
    detector, once = Detector.load(detectors["vqc"]), features(20)
    thrice = replace(once, weight_N=3 * once.weight_N)
    one, three = (forecast(detector, windows, "ibm:fake_manila") for windows in (once, thrice))
    assert three.rows_before == 3 * one.rows_before
    assert three.windows == 3 * one.windows
    assert three.cost == one.cost


def test_more_shots_and_mitigation_take_longer(detectors):
    detector, windows = Detector.load(detectors["deeplog"]), features(10)
    specs = [
        "ibm:fake_torino,shots=100",
        "ibm:fake_torino,shots=1000",
        "ibm:fake_torino,shots=1000,level=1",
        "ibm:fake_torino,shots=1000,level=2",
    ]
    seconds = [forecast(detector, windows, spec).cost.seconds for spec in specs]
    assert seconds == sorted(set(seconds))
    assert forecast(detector, windows, specs[0], mode="open").cost.seconds < seconds[0], "one round has the overhead of one job"


def test_a_plan_beyond_its_limits_is_refused(detectors):
    planned = forecast(Detector.load(detectors["vqc"]), features(10), "ibm:fake_torino")
    high = planned.cost.seconds * planned.cost.spread
    check_limits(planned, max_seconds=high + 1, max_cost=planned.cost.dollars * planned.cost.spread + 1)
    with pytest.raises(InputError, match="--max-seconds"):
        check_limits(planned, max_seconds=high / 1.1)
    with pytest.raises(InputError, match="--max-cost"):
        check_limits(planned, max_cost=0.01)


def test_what_cannot_be_planned_says_why(detectors):
    classical = Markov().fit(sessions(20, "train"))
    with pytest.raises(InputError, match="no circuits"):
        forecast(classical, features(5), "ibm:fake_manila")
    with pytest.raises(InputError, match="no circuits"):
        forecast(DeepLog(core=Classical(hidden=4), epochs=1).fit(sessions(20, "train")), features(5), "ibm:fake_manila")
    with pytest.raises(BackendError, match="no jobs"):
        forecast(Detector.load(detectors["vqc"]), features(5), "exact")
    with pytest.raises(InputError, match="run no circuit"):
        forecast(Detector.load(detectors["deeplog"]), Features.from_sequences([[]], size=KINDS), "ibm:fake_manila")


# ---------------------------------------------------------------- a finished run, and the command line


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A small finished run."""
    changes = [
        "data.lines=3000",
        "data.split.cuts=[0.6]",
        "judge.seeds=2",
        "contender.lstm.epochs=1",
        "contender.quantum.epochs=1",
    ]
    folder = tmp_path_factory.mktemp("results")
    kept = {"lstm", "quantum"}
    experiment = Experiment.load("quickstart", changes)
    contenders = tuple(contender for contender in experiment.contenders if contender.name in kept)
    small = replace(experiment, contenders=contenders, judge=replace(experiment.judge, contrasts=()))
    assert not run(small, folder, workers=1).failed
    return folder / "quickstart"


def test_the_chosen_windows_are_balanced_and_repeat(result):
    found = trained(result, "quantum")
    part = found.test
    anomalies = int((part.label_W == 1).sum())
    for windows in (1, 7, 30, 10**6):
        _, places_C, features = chosen(found, windows)
        assert np.array_equal(places_C, chosen(found, windows)[1])
        assert np.array_equal(places_C, np.unique(places_C))
        again, label_N = taken(part, places_C)
        assert np.array_equal(features.window_keys_W, part.features.window_keys_W[places_C])
        assert np.array_equal(features.window_keys_W, again.window_keys_W)
        assert features.weight_N.sum() == len(places_C) == min(windows, len(part.label_W))
        odd = int((features.weight_N * label_N).sum())
        assert odd == anomalies if windows == 10**6 else odd == min(anomalies, windows // 2)
        assert np.array_equal(np.bincount(features.row_W, minlength=len(features)), features.weight_N)
        for place, row in zip(places_C, features.row_W, strict=True):
            assert np.array_equal(features.row(row), part.features.row(part.features.row_W[place]))


def random_part(random):
    """Windows of random labels, many of them equal, and a margin for each of their rows."""
    rows = int(random.integers(2, 30))
    windows = int(random.integers(rows, 4 * rows))
    label_N = random.integers(0, 2, rows)
    row_W = np.concatenate([np.arange(rows), random.integers(0, rows, windows - rows)])
    features = replace(Features.from_sequences([[row] for row in range(rows)]), row_W=row_W)
    empty_W = np.zeros(windows)
    margin_N = np.round(random.normal(size=rows), 1) if random.random() < 0.5 else random.normal(size=rows)
    margin_N[random.random(rows) < 0.1] = np.inf
    return Part(features, Labels(label_N), empty_W.astype(str), empty_W.astype(np.int64), empty_W), margin_N


@pytest.mark.parametrize("draw", range(30))
def test_half_of_the_chosen_windows_are_the_nearest_to_the_threshold(draw):
    random = seeds.generator(draw, "random parts")
    part, margin_N = random_part(random)
    windows = int(random.integers(1, len(part.label_W) + 1))
    places_C = choose(part, margin_N, windows, choice=draw)
    assert len(np.unique(places_C)) == windows
    away_N = np.where(np.isclose(margin_N, 0), np.inf, np.abs(margin_N))
    for label in (0, 1):
        mine_C = places_C[part.label_W[places_C] == label]
        rows = set(np.flatnonzero(part.labels.window_N == label).tolist())
        near = min(len(mine_C) // 2, len(rows))
        nearest = sorted(away_N[list(rows)])[:near]
        here = sorted(away_N[list({part.features.row_W[place] for place in mine_C})])[:near]
        assert here == nearest, "the nearest sequences, each once before any comes twice"
        if len(mine_C) > 3:
            inner = np.sort(margin_N[part.features.row_W[part.label_W == label]])
            quarter = len(inner) // 4
            reach = margin_N[part.features.row_W[mine_C]]
            assert reach.min() <= inner[len(inner) - 1 - quarter]
            assert reach.max() >= inner[quarter], "and some from either side of the order"


def test_a_choice_needs_a_window(result):
    found = trained(result, "quantum")
    with pytest.raises(InputError, match="at least 1"):
        chosen(found, 0)


def test_a_trained_detector_is_found_by_its_name(result):
    first, later = trained(result, "quantum"), trained(result, "quantum", seed=1, cut="0.60")
    assert (first.seed, first.cut, later.seed, later.cut) == (0, "0.60", 1, "0.60")
    assert Detector.load(first.folder).circuits()
    assert first.folder != later.folder
    for wrong, says in ({"contender": "quantun"}, "did you mean 'quantum'"), ({"cut": "0.9"}, "cut"), ({"seed": 7}, "seed"):
        with pytest.raises(UnknownName, match=says):
            trained(result, **{"contender": "quantum", **wrong})
    with pytest.raises(ResultError, match="qlogad run"):
        trained(result.parent / "nothing", "quantum")


def hardware(monkeypatch, capsys, result, *words):
    """What the command line prints, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["qlogad", "hardware", "plan", str(result), *words])
    try:
        main()
    except SystemExit as end:
        return *capsys.readouterr(), end.code
    return *capsys.readouterr(), 0


def test_the_command_line_plans_and_refuses(result, monkeypatch, capsys):
    words = ["--contender", "quantum", "--to", "ibm:fake_torino", "--windows", "20", "--shots", "128", "--mode", "open"]
    told, _, _ = hardware(monkeypatch, capsys, result, *words, "--json")
    printed, said, code = hardware(monkeypatch, capsys, result, *words)
    facts = json.loads(told)
    assert not code
    assert (facts["contender"], facts["rounds"], facts["windows"]) == ("quantum", 1, 20)
    assert facts["seconds_low"] < facts["seconds"] < facts["seconds_high"]
    assert f"{facts['rows']:,}" in printed
    assert facts["formula"] in printed
    assert "nothing was submitted" in said
    refusals = {
        "--max-seconds": ["--max-seconds", "0.5"],
        "no circuits": ["--contender", "lstm"],
        "did you mean 'quantum'": ["--contender", "quantm"],
        "did you mean 'fake_torino'": ["--to", "ibm:fake_torin"],
        "given twice": ["--to", "ibm:fake_torino,shots=3"],
        "open or closed": ["--mode", "ajar"],
    }
    for says, more in refusals.items():
        printed, said, code = hardware(monkeypatch, capsys, result, *words, *more)
        assert code in (1, 2)
        assert printed == ""
        assert said.startswith("error: ")
        assert said.count("\n") == 1, said
        assert says in said


def test_no_credential_leaves_the_environment(result, tmp_path):
    """A call that fails at the service and one that succeeds locally write nothing of the token or the instance."""
    token, instance = "t0ken" + "secret" * 6, "crn:v1:bluemix:public:quantum-computing:us-east:a/planted:instance::"
    secrets = {"QISKIT_IBM_TOKEN": token, "QISKIT_IBM_INSTANCE": instance}
    closed = {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    words = ["--contender", "quantum", "--windows", "4", "--debug"]
    failed, worked = (
        subprocess.run(
            [sys.executable, "-m", "qlogad.cli", "hardware", "plan", str(result), *words, "--to", to],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | secrets | closed,
        )
        for to in ("ibm:torino", "ibm:fake_manila")
    )
    assert failed.returncode == 1
    assert "save_account()" in failed.stderr
    assert worked.returncode == 0, worked.stderr
    written = [path for folder in (result.parent, tmp_path) for path in Path(folder).rglob("*") if path.is_file()]
    texts = [failed.stdout, failed.stderr, worked.stdout, worked.stderr]
    for secret in (token, instance, "planted"):
        assert not any(secret in text for text in texts)
        assert not any(secret.encode() in path.read_bytes() for path in written)


def test_a_message_of_the_service_is_told_without_credentials(monkeypatch):
    from qlogad.backend import ibm

    monkeypatch.setenv("QISKIT_IBM_TOKEN", "short-token")
    unknown = "Zk3" * 15

    def refuse():
        raise RuntimeError(f"401: token short-token, key {unknown}\nsecond line")

    with pytest.raises(BackendError) as caught:
        ibm._ask(refuse)
    assert "short-token" not in str(caught.value)
    assert unknown not in str(caught.value)
    assert "401" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_estimate_holds_no_credential(monkeypatch):
    import torch

    from qlogad.circuit.encoding import assemble

    monkeypatch.setenv("QISKIT_IBM_TOKEN", "planted-token")
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    estimate = (
        open_backend("ibm:fake_manila,shots=16").bind(circuit, torch.zeros(1, circuit.weights)).estimate(torch.zeros(1, 1, 2))
    )
    assert "planted" not in json.dumps(dict(estimate.provenance))
