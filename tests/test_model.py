"""Laws of models: raw lines get the scores of the run, whatever the detector and the data set; what is not a model is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qlogad import Model, files, names
from qlogad.detect.detector import Detector
from qlogad.experiment.cell import Cell, Outcome, read_outcome, run_cell
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import Ground
from qlogad.experiment.runner import Prepared, cells, prepare, preprocessor_file
from qlogad.features.preprocessor import Preprocessor

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

    log: Path
    prepared: Prepared
    outcomes: dict[str, tuple[Cell, Outcome]]
    models: dict[str, Path]

    @property
    def ground(self) -> Ground:
        return self.prepared.grounds[0]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Of every data set: the cells of every detector, and their models, moved away from what they were made with."""
    found = {}
    for name in names.known("dataset"):
        folder = tmp_path_factory.mktemp(name)
        assert name in SAMPLES, f"a small log of '{name}' is needed: write one in tests/logs/samples.py"
        sample = SAMPLES[name](folder)
        table = {"training": "all", "split": {"by": "time", "cuts": [0.5]}, **sample.data}
        experiment = Experiment.from_document(
            {"question": "Are scores kept?", "data": table, "contender": contenders(), "judge": {"seeds": 1}}, name=name
        )
        prepared = prepare(experiment, folder / "run", lambda what, count: None)
        outcomes, models = {}, {}
        preprocessor = Preprocessor.from_state(files.read_facts(preprocessor_file(folder / "run", prepared.grounds[0].cut)), name)
        for cell in cells(prepared):
            assert run_cell(cell) is None
            outcome = read_outcome(cell)
            assert outcome is not None
            own = cell.contender.name
            outcomes[own], models[own] = (cell, outcome), folder / "models" / own
            Model(preprocessor, Detector.load(cell.path / "detector")).save(models[own])
        log = sample.log.rename(folder / "elsewhere.log")
        found[name] = Made(log, prepared, outcomes, models)
    return found


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
    columns = [found.key_W, map(float.hex, found.score_W.tolist()), found.alarm_W, found.place_W, found.complete_W]
    print(json.dumps(list(zip(*map(list, (c.tolist() if hasattr(c, "tolist") else c for c in columns))))))
"""


@pytest.fixture(scope="session")
def scored(made: dict[str, Made]) -> dict[tuple[str, str], list[dict[str, list[Any]]]]:
    """What a fresh process, without circuit frameworks, says of each log: the whole one, and of sessions the test lines alone."""
    asked: list[tuple[tuple[str, str], Path, Path]] = []
    for name, one in made.items():
        parts = [one.log]
        if one.prepared.source.window.by == "session":
            lines = one.log.read_text().splitlines(keepends=True)
            test = one.prepared.source.windows.take(one.ground.test.windows_W)
            chosen = {1, *one.prepared.source.events.line_E[test.event_M].tolist()}  # the first is a table's header
            parts.append(one.log.with_name("test.log"))
            parts[1].write_text("".join(lines[number - 1] for number in sorted(chosen)))
        asked += [((name, own), folder, part) for own, folder in one.models.items() for part in parts]
    command = "".join(json.dumps([str(folder), str(part)]) + "\n" for _, folder, part in asked)
    said = subprocess.run([sys.executable, "-c", SCORING], input=command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    found: dict[tuple[str, str], list[dict[str, list[Any]]]] = {}
    for (key, _, _), line in zip(asked, said.stdout.splitlines(), strict=True):
        found.setdefault(key, []).append({row[0]: row[1:] for row in json.loads(line)})
    return found


@pytest.mark.parametrize("name", names.known("dataset"))
@pytest.mark.parametrize("contender", [one["name"] for one in contenders()])
def test_raw_lines_get_the_scores_of_the_run(
    name: str, contender: str, made: dict[str, Made], scored: dict[tuple[str, str], list[dict[str, list[Any]]]]
) -> None:
    run, (_, outcome) = made[name], made[name].outcomes[contender]
    for number, rows in enumerate(scored[name, contender]):
        for part in ("test", "in_flight")[: 2 - number]:
            features = getattr(run.ground, part).features
            for key, row in zip(features.window_keys_W.tolist(), features.row_W.tolist(), strict=True):
                score, alarm, *_ = rows[key]
                assert (score, alarm) == (float.hex(outcome.scores[part][row]), bool(outcome.alarms[part][row]))
        place_of = dict(zip(outcome.odd["row"].tolist(), outcome.odd["place"].tolist(), strict=True))
        test = run.ground.test.features
        for key, row in zip(test.window_keys_W.tolist(), test.row_W.tolist(), strict=True):
            assert row not in place_of or rows[key][2] == place_of[row]
    assert any(row[3] for row in scored[name, contender][0].values())
