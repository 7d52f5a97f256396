"""Laws of a study's figures: they show every completed trial, the best so far, the front, and the circuits as they are."""

import itertools
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.artifacts import get_all_artifact_meta
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from qlogad import names, seeds
from qlogad.circuit.draw import draw, to_svg
from qlogad.circuit.encoding import assemble
from qlogad.sweep import figures
from qlogad.sweep.results import best
from qlogad.sweep.study import Study

AXES = {
    "lr": FloatDistribution(1e-3, 1e-1, log=True),
    "core.depth": IntDistribution(1, 4),
    "cell": CategoricalDistribution(("lstm", "gru")),
}


def done(count: int, seed: int, directions: tuple[str, ...], planted: bool = False) -> optuna.Study:
    """Trials at random points; planted values depend on lr alone."""
    random = seeds.generator(seed, "figures")
    study = optuna.create_study(directions=list(directions))
    for number in range(count):
        params = {"lr": float(np.exp(random.uniform(-6.8, -2.4))), "core.depth": int(random.integers(1, 5)), "cell": "lstm"}
        params["cell"] = str(random.choice(["lstm", "gru"]))
        kept = params if planted or number % 3 else {name: value for name, value in params.items() if name != "cell"}
        values = [float(np.log(params["lr"])) if planted else float(random.integers(0, 5)) for _ in directions]
        study.add_trial(create_trial(params=kept, distributions={name: AXES[name] for name in kept}, values=values))
    study.add_trial(create_trial(state=TrialState.FAIL))
    return study


def completed(trials: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return trials.get_trials(states=(TrialState.COMPLETE,))


@pytest.fixture(scope="module", params=[("validation-loss",), ("validation-f1", "two-qubit-gates", "depth")], ids=len)
def study(make: Any, request: Any) -> Study:
    found: Study = make(objectives=list(request.param))
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_history_and_front_show_what_the_table_says(study: Study, count: int) -> None:
    trials = {name: completed(done(count, seed, study.directions)) for seed, name in enumerate(("lstm", "quantum"))}
    figure = figures.history(study, trials)
    panels = iter(figure.axes)
    for number, some in itertools.product(range(len(study.objectives)), trials.values()):
        points, line = next(panels).get_lines()
        values = [trial.values[number] for trial in some]
        assert list(points.get_ydata()) == values
        pick = min if study.directions[number] == "minimize" else max
        assert list(line.get_ydata()) == [pick(values[: k + 1]) for k in range(len(values))]
    if len(study.objectives) < 2:
        return
    for other, axis in enumerate(figures.front(study, trials).axes, start=1):
        for some, line in zip(trials.values(), axis.get_lines()[1::2], strict=True):
            rows = [
                {
                    "state": "complete",
                    "reused from": None,
                    "index": trial.number,
                    **dict(zip(study.settings.objectives, trial.values, strict=True)),
                }
                for trial in some
            ]
            wanted = sorted((row[study.settings.objectives[other]], row[study.settings.objectives[0]]) for row in best(study, rows))
            assert sorted(zip(line.get_xdata(), line.get_ydata(), strict=True)) == wanted
            assert line.get_drawstyle().startswith("steps-")
            assert (line.get_linestyle() == "-") == (len(study.objectives) == 2), "of three, what joins them is no front"


@pytest.mark.parametrize("seed", range(3))
def test_importances_sum_to_one_and_find_the_axis_that_matters(study: Study, seed: int) -> None:
    trials = done(40, seed, study.directions, planted=True)
    for objective, aim in enumerate(study.objectives):
        found = figures.importances(study, trials, objective)
        assert set(found) == {"fANOVA", "PED-ANOVA"}
        for shares in found.values():
            assert sum(shares.values()) == pytest.approx(1)
            assert set(shares) <= {name for name in AXES if aim.depends(name)}
            assert "lr" not in shares or max(shares, key=lambda name: shares[name]) == "lr"
    uneven = figures.importances(study, done(40, seed, study.directions), 0)
    assert set(uneven["fANOVA"]) == {"lr", "core.depth"}  # the cell is not in every trial
    assert figures.importances(study, done(figures.FEW - 1, seed, study.directions), 0) == {}


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_every_completed_trial_has_a_line_through_its_parameters(study: Study, count: int) -> None:
    trials = {"lstm": completed(done(count, 0, study.directions)), "quantum": completed(done(3, 1, study.directions))}
    for some, axis in zip(trials.values(), figures.parallel(study, trials).axes, strict=True):
        lines = [line for line in axis.get_lines() if line.get_linewidth() > 1]
        assert len(lines) == len(some)
        heights = np.array([line.get_ydata() for line in lines], dtype=float).ravel()
        heights = heights[~np.isnan(heights)]
        assert ((heights >= 0) & (heights <= 1)).all()


def test_all_figures_are_written_and_old_ones_go(study: Study, tmp_path: Path) -> None:
    circuit = assemble("angle-y", "sim14", 4, 2)
    studies = {"quantum": done(20, 0, study.directions)}
    written = figures.write(study, studies, {"quantum": {"trial 1": circuit}}, tmp_path)
    drawn = {"history", "parallel", "importance", "circuits", *(["front"] if len(study.objectives) > 1 else [])}
    wanted = {f"{name}.{kind}" for name in drawn for kind in ("png", "svg")}
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()} == wanted
    assert all(path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml") for path in written)
    figures.write(study, {"quantum": done(1, 0, study.directions)}, {}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        name for name in wanted if not name.startswith(("importance", "circuits"))
    }


def test_circuits_are_drawn_as_they_are() -> None:
    chosen = {name: assemble("angle-y", name, 4, 1) for name in list(names.designs("ansatz"))[:5]}
    figure = figures.circuits({"quantum": chosen})
    assert figure is not None
    texts = [text.get_text() for text in figure.texts]
    assert all(draw(circuit, width=110) in texts and f"quantum, {name}" in texts for name, circuit in chosen.items())
    assert figures.circuits({"lstm": {}}) is None


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1).filter(str.strip))
def test_an_svg_holds_the_drawing_letter_for_letter(text: str) -> None:
    image = ElementTree.fromstring(to_svg(text).encode())
    rows = [row.text or "" for row in image if row.tag.endswith("text")]
    assert rows == text.split("\n")
    assert all(len(row.attrib["x"].split()) >= len(row.text or "") for row in image if row.tag.endswith("text"))


def test_a_trial_keeps_the_drawing_of_its_circuit(tmp_path: Path) -> None:
    study, circuit = optuna.create_study(), assemble("zz", "qulog", 3, 2)
    for _ in range(2):
        trial = study.ask()
        figures.attach(trial, circuit, tmp_path / "artifacts")
        (kept,) = get_all_artifact_meta(trial)
        assert (kept.filename, kept.mimetype) == ("circuit.svg", "image/svg+xml")
        assert (tmp_path / "artifacts" / kept.artifact_id).read_text(encoding="utf-8") == to_svg(draw(circuit))
