"""Laws of a run: no test label or test event reaches a choice, equal seeds give equal numbers, and being killed changes nothing."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlogad import names
from qlogad.detect.detector import Detector
from qlogad.experiment import Experiment
from qlogad.experiment.cell import read_outcome, run_cell
from qlogad.experiment.ground import Ground, Source, ground, open_source
from qlogad.experiment.runner import Executed, PreparedRun, cells, execute, prepare
from qlogad.logs.windows import Windows
from qlogad.report.gather import begun, ended
from qlogad.report.record import Record
from qlogad.report.rows import sets
from qlogad.run import run

TOML = """
question = "Does it run?"
[data]
dataset = "synthetic"
lines = 6000
rate = 0.2
split = { by = "time", cuts = [0.5, 0.7] }
[[contender]]
name = "lstm"
detector = "deeplog"
history = 4
epochs = 2
embedding = 4
core = { kind = "classical", hidden = 4 }
[[contender]]
name = "quantum"
like = "lstm"
core = { kind = "quantum", wires = 2, depth = 1, hidden = 4 }
[[contender]]
name = "quantum same-wrapper"
like = "quantum"
control = "same-wrapper"
[[contender]]
name = "2-gram"
detector = "ngram"
[[contender]]
name = "pca"
detector = "pca"
[judge]
seeds = 2
contrasts = [["quantum", "quantum same-wrapper"]]
resamples = 50
"""
WALL_CLOCK = ["fit_seconds", "score_seconds"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "small.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def prepared(file: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedRun:
    made = prepare(Experiment.load(file), tmp_path_factory.mktemp("results") / "small", lambda what, count: None)
    executed = execute(cells(made), speeds=made.speeds, workers=1, done=lambda cell, cause: None)
    assert (executed.reused, executed.failed) == (0, {})
    return made


def whole(prepared: PreparedRun) -> Record:
    """The record of all its finished cells."""
    return ended(begun(prepared), prepared, cells(prepared), Executed(0, {}))


@pytest.fixture(scope="module")
def calm(file: Path, prepared: PreparedRun) -> Path:
    """The results folder of a run that nothing befell."""
    assert not run(Experiment.load(file), prepared.folder.parent, workers=1).failed
    return prepared.folder


def command(file: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "qlogad.cli", "run", str(file), "--out", str(out), "--workers", "2"]


def numbers(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "runs.csv").drop(columns=WALL_CLOCK)


def without_cost(folder: Path) -> str:
    head, _, tail = (folder / "table.md").read_text().partition("## Cost")
    return head + tail.partition("## How to read")[2]


KILLS = [(1,), (3,), (5,), (7,), (9,), (1, 5, 9)]  # whenever so many cells are done


@pytest.mark.sample(1)
@pytest.mark.parametrize("kills", KILLS, ids=str)
def test_a_run_that_is_killed_ends_in_the_same_table(kills: tuple[int, ...], file: Path, calm: Path, tmp_path: Path) -> None:
    counts = []
    for wanted in kills:
        process = subprocess.Popen(command(file, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 600
        while len(list(tmp_path.glob("small/cells/*/cell.json"))) < wanted and time.monotonic() < deadline:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(len(list(tmp_path.glob("small/cells/*/cell.json"))))
    assert counts == sorted(counts)
    record = run(Experiment.load(file), tmp_path, workers=1)
    assert record.reused >= counts[-1] - 2, "what was finished is kept, but for what was half written"
    pd.testing.assert_frame_equal(numbers(tmp_path / "small"), numbers(calm), check_exact=True)
    assert without_cost(tmp_path / "small") == without_cost(calm)


def test_a_damaged_cell_runs_again(prepared: PreparedRun) -> None:
    cell = next(cell for cell in cells(prepared) if cell.contender.name == "2-gram")  # no circuit, nor anything that needs torch
    before = read_outcome(cell)
    assert before is not None
    scores = cell.path / "scores.npz"
    scores.write_bytes(scores.read_bytes()[:100])
    assert read_outcome(cell) is None
    execute([cell], speeds={}, workers=1, done=lambda cell, cause: None)
    after = read_outcome(cell)
    assert after is not None
    np.testing.assert_array_equal(after.scores["test"], before.scores["test"])


def relabelled(source: Source, chosen: np.ndarray) -> Source:
    windows = source.windows
    label_W = windows.label_W.copy()
    label_W[chosen] = 1 - label_W[chosen]
    return replace(source, windows=replace(windows, label_W=label_W))


def test_turning_every_test_label_changes_no_score_and_no_threshold(prepared: PreparedRun) -> None:
    data, source = prepared.experiment.data, prepared.source
    made = prepared.grounds[0]
    outside = np.concatenate([made.test.windows_W, made.in_flight.windows_W])
    turned = ground(data, relabelled(source, outside), ("ids", "counts"), cut=0)
    assert not np.array_equal(turned.test.label_W, made.test.label_W)
    assert score_by_window(turned, source.windows) == score_by_window(made, source.windows)


def score_by_window(made: Ground, windows: Windows) -> dict[str, list[float]]:
    found = {}
    for contender in Experiment.from_document(DOCUMENT).contenders:
        detector = contender.build().fit(made.train.features, validation=(made.validation.normals().features, None))
        assert detector.threshold_ is not None
        scores_N = detector.anomaly_score(made.test.features)
        found[contender.name] = [detector.threshold_.value, *scores_N[made.test.features.row_W].tolist()]
    return found


DOCUMENT = {
    "data": {},
    "contender": [
        {"name": "lstm", "detector": "deeplog", "epochs": 1, "history": 3, "core": {"kind": "quantum", "wires": 2, "hidden": 4}},
        {"name": "pca", "detector": "pca"},
        {"name": "markov", "detector": "markov", "score": "nll"},
        {"name": "count-vector", "detector": "count-vector"},
    ],
}


def test_every_contender_stands_on_the_same_base(prepared: PreparedRun) -> None:
    bases: dict[str, set[str]] = {}
    views: dict[str, set[str]] = {}
    for cell in cells(prepared):
        outcome = read_outcome(cell)
        assert outcome is not None
        bases.setdefault(cell.cut, set()).add(outcome.facts["base"])
        views.setdefault(cell.cut, set()).add(outcome.facts["views"]["ids"])
    assert all(len(found) == 1 for found in [*bases.values(), *views.values()])
    assert len(set.union(*bases.values())) == len(bases)


def test_a_saved_detector_gives_the_same_scores_bit_for_bit_in_a_new_process(prepared: PreparedRun) -> None:
    code = (
        "import sys, hashlib, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from qlogad.detect.detector import Detector; from qlogad.experiment.ground import Ground\n"
        "made = Ground.load(Path(sys.argv[1]), sys.argv[2])\n"
        "for folder in sys.argv[3:]: print(Detector.load(folder).anomaly_score(made.test.features).tobytes().hex())\n"
    )
    wanted = [cell for cell in cells(prepared) if cell.cut == prepared.grounds[0].cut and cell.seed == 0]
    command = [sys.executable, "-c", code, wanted[0].grounds, wanted[0].cut, *(str(cell.path / "detector") for cell in wanted)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "77"}).stdout
    for cell, line in zip(wanted, printed.split(), strict=True):
        outcome = read_outcome(cell)
        assert outcome is not None
        assert line == outcome.scores["test"].tobytes().hex(), cell.contender.name
        assert type(Detector.load(cell.path / "detector")) is type(cell.contender.build())


def test_a_worker_writes_where_its_parent_says_and_refuses_what_has_changed(prepared: PreparedRun, tmp_path: Path) -> None:
    design = tmp_path / "own.toml"
    design.write_text("layer = [{ gate = 'ry', on = 'each' }]")
    experiment = prepared.experiment.replace(contender__quantum__core__ansatz=str(design))
    cell = next(cell for cell in cells(replace(prepared, experiment=experiment)) if cell.contender.name == "quantum")
    assert cell.identify() == cell.identity
    design.write_text("layer = [{ gate = 'rx', on = 'each' }]")
    arrived = pickle.loads(pickle.dumps(cell))
    assert (arrived.identity, arrived.path) == (cell.identity, cell.path)
    assert arrived.identify() != cell.identity
    cause = run_cell(arrived)
    assert cause is not None
    assert "changed since the run began; run the same command again" in cause
    assert not cell.path.exists()
    fresh = replace(cell)
    assert fresh.identity == cell.identify()
    assert run_cell(fresh) is None
    assert read_outcome(fresh) is not None


def test_the_same_run_again_reuses_every_cell_and_a_new_seed_only_adds(prepared: PreparedRun) -> None:
    wanted = cells(prepared)
    assert execute(wanted, speeds=prepared.speeds, workers=2, done=lambda cell, cause: None).reused == len(wanted)
    more = cells(replace(prepared, experiment=prepared.experiment.replace(judge__seeds=3)))
    assert sum(read_outcome(cell) is not None for cell in more) == len(wanted) < len(more)


def test_a_changed_feature_is_another_cell(prepared: PreparedRun) -> None:
    made = prepared.grounds[0]
    cell = cells(prepared)[0]
    ids_E = made.test.features.ids_E.copy()
    ids_E[0] = (ids_E[0] + 1) % made.test.features.size
    changed = replace(made, test=replace(made.test, features=replace(made.test.features, ids_E=ids_E)))
    assert changed.digest(["ids"]) != made.digest(["ids"])
    assert replace(cell, ground=changed.digest(["ids"])).identity != cell.identity
    assert read_outcome(replace(cell, rows=(cell.rows[0] + 1, cell.rows[1]))) is None


def test_no_injected_anomaly_is_a_normal_sequence(prepared: PreparedRun) -> None:
    for spec in ("swap:1", "move:2", "repeat:1"):
        data = replace(prepared.experiment.data, inject=spec)
        for number in range(2):
            made = ground(data, prepared.source, ("ids",), cut=number)
            rows = list(made.test.features.rows())
            label_N = made.test.labels.window_N
            normal = {row.tobytes() for row, label in zip(rows, label_N, strict=True) if label == 0} | {
                row.tobytes() for row in made.train.features.rows()
            }
            odd = [row.tobytes() for row, label in zip(rows, label_N, strict=True) if label == 1]
            assert odd
            assert not normal & set(odd)


def test_a_contrast_with_a_floor_compares_every_seed(prepared: PreparedRun, tmp_path: Path) -> None:
    shutil.copytree(prepared.folder, tmp_path / "small")
    experiment = prepared.experiment.replace(judge__contrasts=[["lstm", "pca"], ["quantum", "2-gram"]], judge__metric="pr_auc")
    record = run(experiment, tmp_path, workers=2)
    frame = record.frame()
    whole = frame[frame["windows"] == "all"].pivot_table(index="cut", columns=["contender", "seed"], values="pr_auc")
    table = (tmp_path / experiment.name / "table.md").read_text()
    for left, right in experiment.judge.contrasts:
        wanted = float((whole[left].mean(axis=1) - whole[right][0]).mean())
        assert f"| {left} - {right}" in table
        assert f"{wanted:+.3f}" in next(line for line in table.splitlines() if line.startswith(f"| {left} - {right}"))


def test_the_sets_of_windows_add_up(prepared: PreparedRun) -> None:
    for cut in begun(prepared).cuts:
        found = {name: weight_N for name, (_, weight_N) in sets(cut, cut.merged).items()}
        test = cut.merged.test
        anomaly_N = test.label_N == 1
        strata = sum(weight_N[anomaly_N].sum() for name, weight_N in found.items() if name.startswith("stratum "))
        kinds = sum(weight_N[anomaly_N].sum() for name, weight_N in found.items() if name.startswith("kind "))
        assert strata == kinds == found["all"][anomaly_N].sum() == (test.label_W == 1).sum()
        assert found["all"].sum() == len(test.window_W)
        assert (found["unseen"] <= found["all"]).all()


def test_alarms_follow_the_threshold_and_rows_the_weights(prepared: PreparedRun) -> None:
    record = whole(prepared)
    assert len(record.cells) == len(cells(prepared))
    for cell in record.cells:
        np.testing.assert_array_equal(cell.alarms["test"], cell.scores["test"] > cell.facts.threshold)
    for row in record.rows:
        assert row["weights_quantum"] + row["weights_classical"] == row["weights_total"]
        assert row["weights_quantum_live"] <= row["weights_quantum"]
        assert (row["circuit_executions"] > 0) == (row["weights_quantum"] > 0)


def test_a_ground_survives_being_written(prepared: PreparedRun) -> None:
    for made in prepared.grounds:
        again = Ground.load(prepared.folder / "work", made.cut)
        for name in ("train", "validation", "test", "in_flight"):
            mine, its = getattr(made, name), getattr(again, name)
            np.testing.assert_array_equal(mine.features.ids_E, its.features.ids_E)
            np.testing.assert_array_equal(mine.label_W, its.label_W)
            assert mine.features.view_digest("ids") == its.features.view_digest("ids")
        assert (again.base, again.cut, again.warnings) == (made.base, made.cut, made.warnings)


def test_the_source_is_read_the_same_twice(prepared: PreparedRun) -> None:
    again = open_source(prepared.experiment.data)
    assert again.events.digest == prepared.source.events.digest
    for number, made in enumerate(prepared.grounds):
        assert ground(prepared.experiment.data, again, ("ids", "counts"), cut=number).base == made.base


def test_cells_depend_on_the_designs_they_name_and_on_no_other(
    prepared: PreparedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(names.data_folder("circuits"), tmp_path / "circuits")
    monkeypatch.setattr(names, "data_folder", lambda name: tmp_path / name)
    before = {cell.identity for cell in cells(prepared)}
    ansatz = tmp_path / "circuits" / "ansatz"
    (tmp_path / "circuits" / "found").mkdir(exist_ok=True)
    shutil.copy(ansatz / "sim1.toml", tmp_path / "circuits" / "found" / "found-one.toml")
    with (ansatz / "sim2.toml").open("a") as file:
        file.write("# another\n")
    assert {cell.identity for cell in cells(prepared)} == before
    with (ansatz / "strongly-entangling.toml").open("a") as file:  # what is taken unless one is named
        file.write("# another\n")
    changed = {cell.contender.name for cell in cells(prepared) if cell.identity not in before}
    assert changed == {"quantum", "quantum same-wrapper"}
