"""Laws of models: raw lines get the scores of the run, whatever the detector and the data set; what is not a model is refused."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from qlogad import Classical, DeepLog, Detector, Experiment, Model, Quantum, documents, files, names
from qlogad.detect.floors.length import Length
from qlogad.errors import AccountNeeded, DataError, NotFitted, QlogadError, ResultError
from qlogad.experiment.cell import CellOutcome, read_outcome, run_cell
from qlogad.experiment.ground import Ground
from qlogad.experiment.runner import cells, prepare, preprocessor_file
from qlogad.features.preprocessor import Preprocessor
from qlogad.logs.synthetic import Synthetic, line_text
from qlogad.logs.windows import longest_silence

from .logs.samples import SAMPLES

QUANTUM = {"kind": "quantum", "wires": 2, "hidden": 3}


def contenders() -> list[dict[str, Any]]:
    """Every detector, as small as it gets; one with a core also with circuits."""
    found: list[dict[str, Any]] = []
    for name in names.known("detector"):
        params = names.find("detector", name)().get_params(deep=False)
        small = {key: value for key, value in {"epochs": 1, "history": 3, "batch": 64}.items() if key in params}
        found.append({"name": name, "detector": name, **small})
        if "core" in params:
            found[-1]["core"] = {"kind": "classical", "hidden": 3}
            found.append({"name": f"{name} quantum", "detector": name, **small, "core": QUANTUM})
    return found


class Made(NamedTuple):
    """The run of a data set's sample, without its report."""

    log: Path  # not where it was in the run
    ground: Ground
    test_lines: set[int]  # of the windows of the test part, with those that join them
    by: str  # how windows are made
    outcomes: dict[str, CellOutcome]
    models: dict[str, Path]


def made(name: str, folder: Path) -> Made:
    """The cells of every detector on a data set, and their models."""
    assert name in SAMPLES, f"a small log of '{name}' is needed: write one in tests/logs/samples.py"
    sample = SAMPLES[name](folder)
    table = {"training": "all", "split": {"by": "time", "cuts": [0.5]}, **sample.data}
    document = {"question": "Are scores kept?", "data": table, "contender": contenders(), "judge": {"seeds": 1}}
    prepared = prepare(Experiment.from_document(document, name=name), folder / "run", lambda what, count: None)
    (ground,) = prepared.grounds
    preprocessor = Preprocessor.from_state(files.read_facts(preprocessor_file(folder / "run", ground.cut)), name)
    outcomes, models = {}, {}
    for cell in cells(prepared):
        assert run_cell(cell) is None
        outcome, own = read_outcome(cell), cell.contender.name
        assert outcome is not None
        outcomes[own], models[own] = outcome, folder / "models" / own
        Model(preprocessor, Detector.load(cell.path / "detector")).save(models[own])
    source = prepared.source
    events = source.events
    lines = np.unique(events.line_E[source.windows.take(ground.test.windows_W).event_M])
    starts = np.append(np.unique(events.line_E), events.intake.lines + 1)
    following = starts[np.searchsorted(starts, lines) + 1]  # what is between belongs to the event above
    return Made(
        sample.log.rename(folder / "elsewhere.log"),
        ground,
        {line for span in zip(lines.tolist(), following.tolist(), strict=True) for line in range(*span)},
        source.window.by,
        outcomes,
        models,
    )


SCORING = """
import json, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pennylane", "qiskit", "optuna", "matplotlib"}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from qlogad import Model
for line in sys.stdin:
    folder, log = json.loads(line)
    found = Model.load(folder).score(log)
    scores = map(float.hex, found.score_W.tolist())
    columns = found.alarm_W.tolist(), found.place_W.tolist(), found.complete_W.tolist()
    print(json.dumps(dict(zip(found.key_W.tolist(), zip(scores, *columns)))))
"""


def scored(asked: list[tuple[Path, Path]]) -> list[dict[str, tuple[str, bool, int, bool]]]:
    """What a fresh process without circuit frameworks says of the windows of logs: score, alarm, place of the odd event, complete."""
    command = "".join(json.dumps([str(folder), str(log)]) + "\n" for folder, log in asked)
    said = subprocess.run([sys.executable, "-c", SCORING], input=command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", names.known("dataset"))
def test_raw_lines_get_the_scores_of_the_run(name: str, tmp_path: Path) -> None:
    """Of every detector, bit for bit; the lines of the test part alone too, where windows have identifiers."""
    run = made(name, tmp_path)
    logs = [run.log]
    if run.by == "session":
        lines = run.log.read_text().splitlines(keepends=True)
        logs.append(tmp_path / "test.log")
        chosen = sorted({1} | run.test_lines)  # the first is a table's header
        logs[1].write_text("".join(lines[number - 1] for number in chosen))
    found = iter(scored([(model, log) for model in run.models.values() for log in logs]))
    for own in run.models:
        outcome, ground = run.outcomes[own], run.ground.of(names.find("detector", own.split()[0]).reads)
        odd = dict(zip(outcome.odd["row"].tolist(), outcome.odd["place"].tolist(), strict=True))
        for parts in (("test", "in_flight"), ("test",))[: len(logs)]:
            rows = next(found)
            assert any(complete for *_, complete in rows.values())
            for part in parts:
                features = getattr(ground, part).features
                for key, row in zip(features.window_keys_W.tolist(), features.row_W.tolist(), strict=True):
                    score, alarm, place, _ = rows[key]
                    wanted = (float.hex(outcome.scores[part][row]), bool(outcome.alarms[part][row]))
                    assert (score, alarm) == wanted, (own, part, key)
                    assert part != "test" or place == odd.get(row, place), (own, key)
    assert sum(len(outcome.odd["row"]) for outcome in run.outcomes.values()) > 0


# ---------------------------------------------------------------- from Python

LOG = Synthetic(lines=1500, rate=0.2, per_day=50_000)


@pytest.fixture(scope="module")
def text() -> list[str]:
    return [line_text(line) for line in LOG.truth()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with circuits."""
    folder, core = tmp_path_factory.mktemp("kept"), Quantum(wires=2, hidden=3)
    Model.fit(LOG, DeepLog(core=core, epochs=1, history=2, embedding=3, score="nll", unseen="ignore", fpr=0.2)).save(folder)
    return folder


def test_a_result_says_what_became_of_every_window(kept: Path, text: list[str], tmp_path: Path) -> None:
    model = Model.load(kept)
    found = model.score(text)
    (tmp_path / "log").write_text("\n".join(text))
    frame = found.frame()
    pd.testing.assert_frame_equal(model.score(tmp_path / "log").frame(), frame)
    pd.testing.assert_frame_equal(model.score(str(tmp_path / "log")).frame(), frame)
    assert len(frame) == len(found) > 20
    assert frame["alarm"].tolist() == (frame["score"] > found.threshold).tolist()
    assert 0 < frame["alarm"].sum() < len(frame)
    assert (frame["start"] <= frame["end"]).all()
    for row in frame.itertuples():
        assert all(row.window in text[number - 1] for number in row.lines)
        assert pd.isna(row.raised_by) or (row.alarm and row.raised_by in row.lines)
    vocabulary = set(model.preprocessor.pipeline.vocabulary_)
    assert set(frame["event"]) | {one for row in frame["expected"] for one in row} <= vocabulary | {""}
    assert found.intake.lines == len(text) == found.intake.records


def test_a_complete_window_keeps_its_score_when_the_log_goes_on(kept: Path, text: list[str]) -> None:
    model = Model.load(kept)
    later = model.score(text)
    windows = model.windows(model.events(text))
    place_of = {key: w for w, key in enumerate(later.key_W.tolist())}
    for many in (len(text) // 3, len(text) // 2):
        found = model.score(text[:many])
        done_W = found.complete_W
        assert 0 < done_W.sum() < len(found)
        for w in np.flatnonzero(done_W):
            then = place_of[found.key_W[w]]
            if found.lines(w).tolist() == later.lines(then).tolist():
                assert found.score_W[w] == later.score_W[then]
            else:  # it was silent for longer than any in training
                assert longest_silence(windows.take([then])) > model.preprocessor.silence


@pytest.mark.parametrize("name", ["vqc", "ngram", "length"])
def test_a_model_is_fitted_without_an_experiment(name: str, text: list[str], tmp_path: Path) -> None:
    detector: Detector = names.find("detector", name)()
    if detector.supervised:
        detector.set_params(core=Classical(hidden=2), epochs=1)
    model = Model.fit(LOG, detector)
    model.save(tmp_path / "one")
    again = Model.load(tmp_path / "one")
    again.save(tmp_path / "two")
    pd.testing.assert_frame_equal(again.score(text).frame(), model.score(text).frame())
    for path in sorted((tmp_path / "one").rglob("*")):
        assert path.is_dir() or path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_misuse_is_explained(kept: Path, tmp_path: Path) -> None:
    model = Model.load(kept)
    with pytest.raises(NotFitted, match="no threshold"):
        Model(model.preprocessor, Length())
    with pytest.raises(DataError, match=r"validation must be above 0 and below 1, got 1\.5"):
        Model.fit(LOG, Length(), validation=1.5)
    for lines in ([], ["no log"], ["", " "]):
        with pytest.raises(DataError, match="none of"):
            model.score(lines)
    with pytest.raises(DataError, match="there is no file"):
        model.score(tmp_path / "missing.log")

    class Mine(Synthetic):
        """A data set of somebody's own, not installed."""

    with pytest.raises(DataError, match="the data set Mine is not installed under a name"):
        Model.fit(Mine(lines=1500), Length()).save(tmp_path / "mine")


# ---------------------------------------------------------------- files


def copied(kept: Path, folder: Path) -> Path:
    shutil.copytree(kept, folder / "copy", dirs_exist_ok=True)
    return folder / "copy"


def refused(folder: Path) -> str:
    with pytest.raises(ResultError) as caught:
        Model.load(folder)
    said = str(caught.value)
    assert str(folder) in said
    assert len(said.splitlines()) == 1
    return said


def resealed(folder: Path, name: str, content: str) -> None:
    """Write a file of a model as if it had been exported so."""
    (folder / name).write_text(content)
    head = documents.read(folder / "model.toml")
    head["files"][name] = documents.digest((folder / name).read_bytes())
    (folder / "model.toml").write_text(documents.dump(head))


def test_damaged_files_are_refused_in_a_line(kept: Path, tmp_path: Path) -> None:
    dice = random.Random(0)
    for path in sorted(path for path in kept.rglob("*") if path.is_file()):
        for _ in range(4):
            copy = copied(kept, tmp_path)
            content = bytearray(path.read_bytes())
            if path.name == "model.toml":
                content = content[: dice.randrange(len(content) - 40)]
            else:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            (copy / path.relative_to(kept)).write_bytes(content)
            assert "export the model again" in refused(copy)
        (copy / path.relative_to(kept)).unlink()
        refused(copy)
        copied(kept, tmp_path)


def test_whatever_stands_in_a_preprocessor_is_loaded_or_refused(kept: Path, text: list[str], tmp_path: Path) -> None:
    """A number is a size that may be anything; what is loaded scores, or says why not."""
    dice, copy = random.Random(1), copied(kept, tmp_path)
    state = files.read_facts(kept / "preprocessor.json")
    odd = ("text", -1, 10**9, 1.5, None, True, [], [1], {}, {"a": 1}, [[None, "x"]], "os:system", "planted.module")
    places = [(key,) for key in state] + [("pipeline", key) for key in state["pipeline"]]
    places += [("pipeline", "parser", key) for key in state["pipeline"]["parser"]] + [("window", "by"), ("options", "lines")]
    modules = set(sys.modules)
    cases = [(place, value) for place in places for value in odd]
    for place, value in dice.sample(cases, 60):
        changed = json.loads(json.dumps(state))
        inside = changed
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = value
        resealed(copy, "preprocessor.json", files.facts_text(changed))
        with suppress(QlogadError):
            Model.load(copy).score(text)
    assert not {name for name in set(sys.modules) - modules if not name.startswith(("qlogad.", "torch", "numpy"))}


def test_what_is_not_installed_is_named(kept: Path, tmp_path: Path) -> None:
    state, copy = files.read_facts(kept / "preprocessor.json"), copied(kept, tmp_path)
    resealed(copy, "preprocessor.json", files.facts_text({**state, "dataset": "synthetik"}))
    assert "did you mean 'synthetic'" in refused(copy)
    resealed(copy, "preprocessor.json", files.facts_text({**state, "pipeline": {**state["pipeline"], "views": ["idz"]}}))
    assert "there is no view 'idz'" in refused(copy)
    resealed(copy, "preprocessor.json", files.facts_text({**state, "format": 0}))
    assert "has format 0, but this version of qlogad reads 1" in refused(copy)
    copied(kept, tmp_path)
    content = documents.read(copy / "detector" / "detector.toml") | {"detector": "theirs"}
    resealed(copy, "detector/detector.toml", documents.dump(content, infinite=True))
    assert "there is no detector 'theirs'" in refused(copy)


def test_circuits_of_an_account_run_where_the_user_says(kept: Path, text: list[str], tmp_path: Path) -> None:
    copy = copied(kept, tmp_path)
    content = documents.read(copy / "detector" / "detector.toml")
    content["params"]["core"]["backend"] = "ibm:torino"
    resealed(copy, "detector/detector.toml", documents.dump(content, infinite=True))
    with pytest.raises(AccountNeeded):
        Model.load(copy)
    wanted = Model.load(kept).score(text).score_W
    assert np.array_equal(Model.load(copy, backend="exact").score(text).score_W, wanted)
