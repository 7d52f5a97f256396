"""Laws of a sweep: values do not depend on workers, order, interruption or test data, and equal designs are trained once."""

import itertools
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from qlogad import documents
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import QlogadError, ResultError
from qlogad.evaluate.coupling import unfit_for
from qlogad.sweep import figures, run
from qlogad.sweep import run as sweeping
from qlogad.sweep.results import Finished, best, expected_best, trials_of, write
from qlogad.sweep.study import FORETOLD, Constraints, Study
from qlogad.sweep.trial import TrialJob

CHANGING = {"seconds", "attempts"}
QUANTUM = {
    "name": "quantum",
    "design": {"rows": [1, 2], "gates": ["ry", "rz", "cz", "crx"], "on": ["each", "linear"], "flip": False},
    "space": {"core.depth": {"int": [1, 2]}},
}
STRUCTURE = {"objectives": ["two-qubit-gates", "depth"], "space": {}, "contender": [QUANTUM]}  # needs no training


def rows(study: Study, out: Path, **keys: Any) -> list[dict[str, Any]]:
    """What a sweep gives, but for wall clock."""
    return [{name: value for name, value in row.items() if name not in CHANGING} for row in sweeping.run(study, out, **keys).rows]


def finished(study: Study, out: Path) -> Finished:
    """The same sweep with its trials one after the other in this process, without journal and workers."""
    prepared = run.prepare(study, out / study.name, lambda what, count: None)
    ended = {}
    for entrant in study.entrants:
        trials = optuna.create_study(directions=study.directions, pruner=run.pruner(study, entrant))
        do, sampler = run.fill(prepared, entrant, trials, run.Onlooker()), run.Samplers(study, entrant.name)
        for index in range(len(trials.trials) if study.settings.sampler in FORETOLD else study.settings.trials or 0):
            trials.sampler = sampler(index)
            trial = trials.ask()
            trial.set_user_attr("index", index)
            try:
                trials.tell(trial, do(trial))
            except optuna.TrialPruned:
                trials.tell(trial, state=TrialState.PRUNED)
            except QlogadError as error:
                trial.set_user_attr("error", str(error))
                trials.tell(trial, state=TrialState.FAIL)
        ended[entrant.name] = trials_of(study, entrant, trials)
    return write(prepared, ended, "here")


def inline(study: Study, out: Path) -> list[dict[str, Any]]:
    """What it gives, but for wall clock."""
    return [{name: value for name, value in row.items() if name not in CHANGING} for row in finished(study, out).rows]


def values(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "reused from"} for row in found]


def job(study: Study, folder: Path) -> TrialJob:
    return run.job_of(run.prepare(study, folder, lambda what, count: None), study.entrants[0], {}, ())


SPACES = {
    "random": {"lr": {"float": [0.003, 0.1]}},
    "qmc": {"lr": {"float": [0.003, 0.1]}},
    "grid": {"lr": {"choice": [0.01, 0.02, 0.05]}},
}


@pytest.mark.parametrize("sampler", ["random", *(pytest.param(name, marks=pytest.mark.slow) for name in ("grid", "qmc"))])
def test_workers_and_interruptions_change_no_value(make: Any, tmp_path: Path, sampler: str) -> None:
    study = make(sampler=sampler, trials=3, space=SPACES[sampler])
    undisturbed = inline(study, tmp_path)
    rows(make(sampler=sampler, trials=1, space=SPACES[sampler]), tmp_path / "later")
    assert values(rows(study, tmp_path / "later", workers=2)) == values(undisturbed)


@pytest.mark.parametrize("sampler", SPACES)
def test_foretold_points_are_all_different_and_more_trials_only_add_to_them(make: Any, tmp_path: Path, sampler: str) -> None:
    study = make(sampler=sampler, trials=3, space=SPACES[sampler])
    points = run.foretell(study, study.entrants[0])
    assert len({tuple(point.items()) for point in points}) == 3
    fewer = make(sampler=sampler, trials=2, space=SPACES[sampler])
    assert run.foretell(fewer, fewer.entrants[0]) == points[:2]


def test_a_grid_tries_known_points_first_and_no_other_twice(make: Any) -> None:
    space = {"lr": {"choice": [0.01, 0.02, 0.05]}, "epochs": {"int": [1, 3]}}
    known = [{"lr": 0.05}, {"epochs": 2, "lr": 0.01}, {"lr": 0.05}]
    (entrant,) = (study := make(sampler="grid", trials=None, space=space, contender=[{"name": "lstm", "known": known}])).entrants
    points = run.foretell(study, entrant)
    assert len({tuple(point.items()) for point in points}) == len(points) == 9
    assert [point["lr"] for point in points[:3]] == [0.05, 0.01, 0.05]
    assert points[1]["epochs"] == 2


def test_a_finished_trial_gives_its_values_again(make: Any, tmp_path: Path) -> None:
    study = make(
        sampler="tpe", trials=3, space={"lr": {"float": [0.003, 0.1]}}, contender=[QUANTUM], folds={"seeds": 2, "cuts": [0.3, 0.5]}
    )
    found = inline(study, tmp_path)
    again = job(study, tmp_path / study.name)
    entrant = study.entrants[0]
    for row in found:
        params = {
            name.removeprefix("param "): value for name, value in row.items() if name.startswith("param ") and value is not None
        }
        point = again.point(*entrant.space.suggest(optuna.trial.FixedTrial(params)))
        assert again.measure(point, row["index"]) == [row["validation-loss"]]
        assert again.measure(point, row["index"] + 1) != [row["validation-loss"]]


def test_equal_designs_are_trained_once(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = itertools.permutations([("rz", "each"), ("cz", "linear")])
    known = [
        {
            key: value
            for number, (gate, on) in enumerate(order, 1)
            for key, value in ((f"design.{number}.gate", gate), (f"design.{number}.{'wires' if on == 'each' else 'pairs'}", on))
        }
        for order in orders
    ]
    names = []
    for number, order in enumerate(known):
        layer = [{"gate": order[f"design.{k}.gate"], "on": "each" if f"design.{k}.wires" in order else "linear"} for k in (1, 2)]
        names.append(str(tmp_path / f"order{number}.toml"))
        Path(names[-1]).write_text(documents.dump({"name": f"order{number}", "layer": [*layer, {"gate": "ry", "on": "each"}]}))
    contender = {"name": "quantum", "space": {"core.ansatz": {"choice": [*names, "sim1"]}}}
    trained = []
    fit = DeepLog._fit
    monkeypatch.setattr(DeepLog, "_fit", lambda self, *given: (trained.append(self.core.ansatz), fit(self, *given))[1])
    found = inline(make(sampler="grid", trials=None, space={}, contender=[contender]), tmp_path)
    assert len(found) == 3
    (reused,) = [row for row in found if row["reused from"] is not None]
    first = found[int(reused["reused from"])]
    assert {reused["param core.ansatz"], first["param core.ansatz"]} == set(names)
    assert reused["validation-loss"] == first["validation-loss"]
    assert len(trained) == 2


ORDERS = ([{"gate": "cz", "on": "linear"}], [{"gate": "cz", "on": "odd"}, {"gate": "cz", "on": "even"}])


def _orders(folder: Path) -> list[str]:
    """One design in two orders of gates that commute."""
    names = [str(folder / f"order{number}.toml") for number in range(len(ORDERS))]
    for number, rows in enumerate(ORDERS):
        layer = [{"gate": "ry", "on": "each"}, *rows, {"gate": "ry", "on": "each"}]
        Path(names[number]).write_text(documents.dump({"name": f"order{number}", "layer": layer}))
    return names


@pytest.mark.parametrize(
    ("keys", "equal"),
    [
        ({"objectives": ["weights"]}, True),
        ({"objectives": ["weights", "depth"]}, False),
        ({"objectives": ["weights"], "constraints": {"two_qubit_depth": 9}}, False),
    ],
)
def test_designs_are_equal_only_where_nothing_looks_at_the_order_of_gates(
    make: Any, tmp_path: Path, keys: Any, equal: bool
) -> None:
    contender = {"name": "quantum", "space": {"core.ansatz": {"choice": _orders(tmp_path)}}}
    found = inline(make(sampler="grid", trials=None, space={}, contender=[contender], **keys), tmp_path)
    assert [row["reused from"] is not None for row in found] == [False, equal]
    assert all(row["state"] == "complete" for row in found)


def test_equal_designs_have_one_result_even_if_both_were_trained_at_once(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contender = {"name": "quantum", "space": {"core.ansatz": {"choice": _orders(tmp_path)}}}
    study = make(sampler="grid", trials=None, space={}, contender=[contender])
    one_by_one = inline(study, tmp_path / "one")
    monkeypatch.setattr(TrialJob, "_equal", lambda self, trial, key: None)
    at_once = inline(study, tmp_path / "two")
    for row, other in zip(one_by_one, at_once, strict=True):
        assert [row[name] for name in ("validation-loss", "reused from")] == [
            other[name] for name in ("validation-loss", "reused from")
        ]
    assert [row["reused from"] for row in at_once] == [None, 0]


def _sequences(folder: Path, test: list[str]) -> Path:
    """A log given as sequences whose training part is always the same."""
    folder.mkdir()
    random = np.random.default_rng(0)
    train = [" ".join(map(str, (np.arange(8) + random.integers(3)) % 5)) for _ in range(120)]
    (folder / "train").write_text("\n".join(train) + "\n")
    (folder / "test").write_text("id,label,keys\n" + "\n".join(test) + "\n")
    return folder


@pytest.mark.parametrize("name", ["validation-loss", "injected-average-precision"])
def test_test_windows_and_their_labels_change_no_value(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(1)
    tests = {
        kind: [f"w{k},{random.choice(['Normal', 'Anomaly'])},{' '.join(map(str, random.integers(0, 9, 6)))}" for k in range(40)]
        for kind in "ab"
    }
    found = []
    for kind, test in tests.items():
        folder = _sequences(tmp_path / kind, test)
        content = documents.parse((BASE_OF_SEQUENCES).format(folder=folder))
        (folder / "base.toml").write_text(documents.dump(content))
        document = {
            "base": "base.toml",
            "objectives": [name],
            "trials": 2,
            "sampler": "random",
            "inject": "swap:2",
            "space": {"lr": {"float": [0.01, 0.1]}},
        }
        study = Study.from_document({**document, "contender": [{"name": "lstm"}]}, folder=folder)
        found.append(inline(study, folder / "results"))
        assert all(row["state"] == "complete" for row in found[-1])
        features = run.prepare(study, folder / "again", lambda what, count: None)
        stored = np.load(next((features.folder / "work").glob("*.npz")))
        assert not any(len(stored[key]) for key in stored.files if key.startswith(("in_flight.label", "in_flight.windows")))
    assert found[0] == found[1]


BASE_OF_SEQUENCES = """
[data]
dataset = "sequences"
train = "{folder}/train"
path = "{folder}/test"
split = {{ by = "given" }}
[[contender]]
name = "lstm"
detector = "deeplog"
history = 3
epochs = 2
embedding = 4
core = {{ kind = "classical", hidden = 4 }}
"""


def test_several_objectives_give_the_front_that_nobody_dominates(make: Any, tmp_path: Path) -> None:
    study = make(trials=25, **STRUCTURE)
    found = inline(study, tmp_path)
    points = {(row["two-qubit-gates"], row["depth"]) for row in found}
    front = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert {(row["two-qubit-gates"], row["depth"]) for row in best(study, found)} == front


SAMPLERS = {"tpe": 1, "nsga2": 2, "nsga3": 2, "cma-es": 1, "gp": 1, "random": 1, "grid": 2, "qmc": 1}
NUMBERS = {"name": "quantum", "space": {"core.depth": {"int": [1, 3]}, "core.wires": {"int": [2, 5]}}}  # all that cma-es takes


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_ends_its_trials_and_keeps_the_constraints(make: Any, tmp_path: Path, sampler: str) -> None:
    objectives = ["depth", "two-qubit-gates"][: SAMPLERS[sampler]]
    strict = sampler != "cma-es"
    keys = {"constraints": {"device": "ibm:fake_manila", "two_qubit_depth": 2, "weights": 9}} if strict else {}
    contender = [QUANTUM if strict else NUMBERS]
    study = make(objectives=objectives, space={}, contender=contender, sampler=sampler, trials=14, **keys)
    found = inline(study, tmp_path)
    assert [row["index"] for row in found] == list(range(14))
    assert "complete" in {row["state"] for row in found}
    assert sampler not in FORETOLD or "pruned" in {row["state"] for row in found}
    again = job(study, tmp_path / study.name)
    for row in found:
        params = {
            name.removeprefix("param "): value for name, value in row.items() if name.startswith("param ") and value is not None
        }
        circuit = again.point(*study.entrants[0].space.suggest(optuna.trial.FixedTrial(params))).circuit
        assert circuit is not None
        fits = circuit.two_qubit_depth <= 2 and circuit.weights <= 9 and unfit_for(circuit, "ibm:fake_manila") == 0
        assert (row["state"] == "complete") == (fits or not strict) == (not row["cause"].startswith("constraint"))


@pytest.mark.parametrize("pruner", ["median", "hyperband", "wilcoxon"])
def test_pruned_trials_say_why_and_the_rest_are_whole(make: Any, tmp_path: Path, pruner: str) -> None:
    space = {"lr": {"float": [1e-5, 0.1], "log": True}, "epochs": {"choice": [5]}}
    study = make(pruner=pruner, trials=9, space=space, folds={"seeds": 4 if pruner == "wilcoxon" else 1})
    found = inline(study, tmp_path)
    assert len(found) == 9
    assert all(row["cause"].startswith(pruner) == (row["state"] == "pruned") == (row["validation-loss"] is None) for row in found)
    assert not any(row["cause"].endswith("after epoch 5") for row in found), "what has been trained to the end is kept"
    undisturbed = {
        row["index"]: row["validation-loss"]
        for row in inline(make(trials=9, space=space, folds=documents.plain(study.settings.folds)), tmp_path / "all")
    }
    assert all(row["validation-loss"] == undisturbed[row["index"]] for row in found if row["state"] == "complete")


@pytest.mark.parametrize("proxy", ["gradient-variance", "expressibility", "loss"])
def test_only_what_passes_the_bar_is_trained_to_the_end(make: Any, tmp_path: Path, proxy: str) -> None:
    rung = {"proxy": proxy, "keep": 0.5, "sample": 6, "epochs": 1}
    study = make(rung=[rung], trials=8, contender=[QUANTUM])
    found = inline(study, tmp_path)
    assert {row["state"] for row in found} == {"complete", "pruned"}
    assert all((row["state"] == "pruned") == row["cause"].startswith("rung") for row in found)
    looked = [(row["rung 1"], row["state"]) for row in found if row.get("rung 1") is not None]
    assert bool(looked) == (proxy != "loss")
    sign = -1 if proxy == "gradient-variance" else 1
    passed, failed = ([sign * number for number, state in looked if state == wanted] for wanted in ("complete", "pruned"))
    assert max(passed, default=-np.inf) <= min(failed, default=np.inf)


def test_labelled_and_injected_objectives_are_measured(make: Any, tmp_path: Path) -> None:
    study = make(objectives=["injected-average-precision", "validation-average-precision", "validation-f1", "weights"], trials=2)
    found = inline(study, tmp_path)
    for row in found:
        assert all(0 <= row[name] <= 1 for name in study.settings.objectives[:3])
        assert row["weights"] > 0


def test_device_seconds_grow_with_the_circuit(make: Any, tmp_path: Path) -> None:
    contender = {"name": "quantum", "space": {"core.depth": {"choice": [1, 6]}}}
    study = make(
        objectives=["device-seconds", "weights"],
        device="ibm:fake_manila",
        space={},
        sampler="grid",
        trials=None,
        contender=[contender],
    )
    seconds = {row["param core.depth"]: row["device-seconds"] for row in inline(study, tmp_path)}
    assert 0 < seconds[1] < seconds[6]


def test_another_study_of_the_name_is_refused_until_it_is_begun_anew(make: Any, tmp_path: Path) -> None:
    one, other = (make(trials=1, seed=seed, seconds=1e-9) for seed in (0, 1))  # no time for a trial
    assert rows(one, tmp_path) == rows(one, tmp_path) == []
    with pytest.raises(ResultError, match=r"': the study file or its experiment changed since .*--fresh"):
        sweeping.run(other, tmp_path)
    assert rows(other, tmp_path, fresh=True) == rows(other, tmp_path) == []


def test_a_smaller_budget_shows_the_first_trials_and_a_study_begun_anew_nothing_of_the_old(make: Any, tmp_path: Path) -> None:
    whole = rows(make(**STRUCTURE, trials=6), tmp_path)
    folder = tmp_path / "small-sweep"
    assert (folder / "front.png").is_file()
    assert rows(make(**STRUCTURE, trials=3), tmp_path) == whole[:3]
    nothing = make(**STRUCTURE, trials=3, seconds=1e-9)
    assert rows(nothing, tmp_path, fresh=True) == []
    assert not any((folder / name).is_file() for name in figures.FILES), "no trial, no figure"


def test_a_trial_that_cannot_be_is_listed_with_its_cause_and_a_barren_contender_is_told(make: Any, tmp_path: Path) -> None:
    contender = {"name": "quantum", "space": {"core.encoding": {"choice": ["angle-y", "basis"]}}}
    study = make(space={}, contender=[contender], sampler="grid", trials=None)
    found = finished(study, tmp_path)
    assert {row["param core.encoding"]: row["state"] for row in found.rows} == {"angle-y": "complete", "basis": "fail"}
    assert found.barren == ()
    (failed,) = [row for row in found.rows if row["state"] == "fail"]
    assert failed["cause"] in (tmp_path / study.name / "table.md").read_text()
    assert finished(replace(study, settings=replace(study.settings, constraints=Constraints(weights=0))), tmp_path).barren == (
        "quantum",
    )


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=7), st.data(), st.sampled_from(["minimize", "maximize"]))
def test_the_expected_best_is_the_mean_over_all_choices(some: list[float], data: st.DataObject, direction: str) -> None:
    k = data.draw(st.integers(1, len(some)))
    pick = min if direction == "minimize" else max
    wanted = statistics.fmean(pick(chosen) for chosen in itertools.combinations(some, k))
    assert expected_best(some, k, direction) == pytest.approx(wanted, abs=1e-9)


def test_contenders_have_equal_budgets_and_the_table_says_what_was_seen(make: Any, tmp_path: Path) -> None:
    study = make(contender=[{"name": "lstm"}, {"name": "quantum"}], trials=2, objectives=["validation-f1", "weights"])
    found = finished(study, tmp_path)
    assert [(row["contender"], row["index"]) for row in found.rows] == [
        (c, index) for c in ("lstm", "quantum") for index in range(2)
    ]
    assert all(word in found.text for word in ("labelled validation", "Pareto front", "2 trials", *study.settings.objectives))
