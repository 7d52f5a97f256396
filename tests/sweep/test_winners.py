"""Laws of winners: fresh seeds are fresh, values are those of an undisturbed training, and only an experiment reads test windows."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from qlogad import names, seeds
from qlogad.circuit.design import Design
from qlogad.errors import InputError
from qlogad.experiment.experiment import MAX_SEEDS, Experiment
from qlogad.jobs.storage import open_storage
from qlogad.sweep import run, winners
from qlogad.sweep import run as sweeping
from qlogad.sweep.results import best
from qlogad.sweep.study import MAX_TRIALS, Study
from qlogad.testing.designs import check_design

ROWS = {
    "name": "quantum",
    "design": {"rows": [1, 2], "gates": ["ry", "rz", "cz"], "on": ["each", "linear"], "flip": False},
    "space": {},
}


@given(st.integers(0, MAX_TRIALS - 1), st.integers(0, MAX_SEEDS - 1), st.integers(0, 2**31), st.integers(0, 999))
def test_no_trial_has_a_fresh_seed(index: int, repeat: int, seed: int, fold: int) -> None:
    fresh = seeds.derive(seed, "trial", winners.fresh_root(repeat), "fold", "0.5", fold)
    assert fresh != seeds.derive(seed, "trial", index, "fold", "0.5", fold)
    assert winners.fresh_root(repeat) >= MAX_TRIALS > index


@pytest.fixture(scope="module")
def won(make: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, Path, winners.Winners]:
    """The winners of a study of two objectives, one of them moved by seeds and one not."""
    out, found = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("found")
    study = make(objectives=["validation-loss", "two-qubit-gates"], contender=[ROWS], trials=4)
    sweeping.run(study, out)
    return study, out, found, winners.rerun(study, out, seeds=2, found=found)


def test_every_trial_of_the_front_is_trained_again_as_a_trial_would_be(won: Any) -> None:
    study, out, _, given_back = won
    front = best(study, sweeping.run(study, out).rows)
    assert [row["trial"] for row in given_back.rows] == [row["index"] for row in front for _ in study.settings.objectives]
    (entrant,) = study.entrants
    prepared = run.prepare(study, out / study.name, lambda what, count: None)
    job = run.job_of(prepared, entrant, {}, ())
    for row in front:
        params = {name.removeprefix("param "): value for name, value in row.items() if name.startswith("param ")}
        point = job.point(*entrant.space.suggest(FixedTrial({name: v for name, v in params.items() if v is not None})))
        again = np.mean([job.measure(point, winners.fresh_root(repeat)) for repeat in range(2)], axis=0)
        base = np.mean([job.measure(job.point({}, None), winners.fresh_root(repeat)) for repeat in range(2)], axis=0)
        told = [one for one in given_back.rows if one["trial"] == row["index"]]
        assert [one["fresh"] for one in told] == pytest.approx(list(again), rel=1e-4)
        assert [one["base"] for one in told] == pytest.approx(list(base), rel=1e-4)


def test_gap_gain_and_interval_belong_together(won: Any) -> None:
    for row in won[3].rows:
        assert row["gap"] == pytest.approx(row["study"] - row["fresh"])
        assert row["gain"] == pytest.approx(row["base"] - row["fresh"])  # both objectives are better when less
        assert row["fresh low"] <= row["fresh"] <= row["fresh high"]
        assert (row["p"] is None) == (row["objective"] == "two-qubit-gates")
        if row["p"] is None:
            assert row["gap"] == 0
            assert row["fresh low"] == row["fresh high"]
        else:
            assert row["p"] >= 2.0 ** (1 - 2)  # two seeds tell nothing apart
            assert row["verdict"] == "too few seeds to tell"


def test_what_no_seed_changes_has_no_interval(won: Any) -> None:
    lines = [line.split("|")[1:-1] for line in won[3].text.splitlines() if line.startswith("|")][2:]
    assert len(lines) == len(won[3].rows)
    for row, cells in zip(won[3].rows, lines, strict=True):
        assert ("[" in cells[4]) == (row["fresh high"] > row["fresh low"])
        assert ("[" in cells[7]) == (row["gain high"] > row["gain low"])


def test_what_has_no_randomness_has_no_p() -> None:
    """A measurement is tested where both sides move with the seed, a fact where any does; what is one value is told as such."""
    still, moving = np.full((5, 1), 0.5), np.linspace(0.1, 0.3, 5)[:, None]
    for fresh_SO, base_SO in ((still, still - 0.1), (still, moving), (moving, still), (moving, moving[::-1])):
        one = winners.Winner(None, 0, {}, None, np.zeros(1), fresh_SO, base_SO, True)
        both, some = bool(np.ptp(fresh_SO)) and bool(np.ptp(base_SO)), bool(np.ptp(fresh_SO)) or bool(np.ptp(base_SO))
        assert one.tested(0, fact=False) == both
        assert one.tested(0, fact=True) == some


def test_designs_are_found_files_and_the_experiment_can_be_run(won: Any) -> None:
    study, out, found, given_back = won
    assert given_back.designs
    assert sorted(given_back.designs) == sorted(found.glob("*.toml"))
    experiment = Experiment.load(given_back.experiment)
    assert experiment.name == f"{study.name}-winners"
    assert experiment.data == study.base.data
    there = {contender.name: contender for contender in experiment.contenders}
    for path in given_back.designs:
        design = Design.load(path, "ansatz")
        assert design.name == path.stem
        assert design.source
        assert design.check.weights
        assert "fresh_values" in path.read_text()
        check_design(str(path), "ansatz")
        assert there[path.stem].params["core"]["ansatz"] == str(path.resolve())
        assert [path.stem, "quantum"] in [list(pair) for pair in experiment.judge.contrasts]
        assert there[f"{path.stem} same-wrapper"].control == "same-wrapper"
    assert experiment.judge.seeds == max(study.base.judge.seeds, 2)
    assert not list(out.glob("*-winners"))  # it was not run here


def test_found_designs_go_where_names_are_looked_up_or_into_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = names.data_folder("circuits")
    monkeypatch.chdir(checkout.parent)
    assert winners._found(tmp_path) == checkout / "found"
    monkeypatch.chdir(tmp_path)
    assert winners._found(tmp_path) == tmp_path / "found"


def test_asked_again_nothing_is_trained_again(won: Any) -> None:
    study, out, found, given_back = won
    storage = open_storage(str(out / study.name / "journal.log"))
    before = {one.study_name: one.n_trials for one in optuna.get_all_study_summaries(storage)}
    assert winners.rerun(study, out, seeds=2, found=found).rows == given_back.rows
    assert {one.study_name: one.n_trials for one in optuna.get_all_study_summaries(storage)} == before


def test_winners_of_a_study_begun_anew_are_not_those_of_the_old_one(make: Any, tmp_path: Path) -> None:
    keys = {"trials": 1, "contender": [{"name": "lstm", "known": [{"lr": 0.01}]}]}  # the same points, other seeds
    found = []
    for seed in (0, 1):
        study = make(seed=seed, **keys)
        sweeping.run(study, tmp_path, fresh=True)
        found.append(winners.rerun(study, tmp_path, seeds=2, found=tmp_path / "found").rows[0]["fresh"])
    assert found[0] != found[1]


@pytest.mark.slow
def test_labelled_choices_are_judged_in_the_labelled_track(make: Any, tmp_path: Path) -> None:
    study = make(objectives=["validation-f1"], trials=1, contender=[{"name": "lstm"}])
    sweeping.run(study, tmp_path)
    experiment = Experiment.load(winners.rerun(study, tmp_path, seeds=2, found=tmp_path).experiment)
    assert {one.track(experiment.data.training) for one in experiment.contenders} == {"normal-only, labelled validation"}


@pytest.mark.parametrize("count", [-1, 0, 1, MAX_SEEDS + 1])
def test_a_count_of_seeds_that_is_none_is_refused(make: Any, tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match="fresh seeds"):
        winners.rerun(make(), tmp_path, seeds=count)


def test_the_verdict_needs_more_than_luck() -> None:
    for gain, p, exact, said in (
        (1.0, 0.01, False, "better than its base"),
        (-1.0, 0.01, False, "worse than its base"),
        (1.0, 0.2, False, "not told apart from its base"),
        (1.0, None, True, "better than its base"),  # a count of gates
        (1.0, None, False, "not tested: a side without randomness"),
        (0.0, None, False, "equal to its base"),
    ):
        assert winners._verdict(gain, p, exact=exact, hopeless=False) == said
    assert winners._verdict(-1.0, 1.0, exact=False, hopeless=True) == "too few seeds to tell"


def test_trainings_that_still_improved_are_counted_and_warned_of_in_sweeps_and_of_winners(make: Any, tmp_path: Path) -> None:
    """One epoch is always the best one; a count has nothing to improve."""
    some = [{"name": "lstm", "space": {"epochs": {"choice": [1, 400]}, "patience": {"choice": [2]}}}]
    study = make(contender=some, sampler="grid", trials=None, space={"lr": {"choice": [0.1]}})
    done = sweeping.run(study, tmp_path)
    told = {row["param epochs"]: (row["still improving"], row["trainings"]) for row in done.rows}
    assert told == {1: (1, 1), 400: (0, 1)}
    (warning,) = done.warnings
    assert "still improved at their last epoch: 'lstm' (1 of 2)" in warning
    assert "epochs = 2, say" in warning
    assert warning in done.text
    won = winners.rerun(study, tmp_path, seeds=2, found=tmp_path / "found")
    base = int(won.rows[0]["base still improving"].partition(" of ")[0])
    assert {row["still improving"] for row in won.rows} == {"0 of 2"}
    assert bool(base) == bool(won.warnings) == ("still improved at their last epoch" in won.text)
    counted = make(objectives=["two-qubit-gates"], contender=[{"name": "quantum"}], trials=1, space={"core.depth": {"int": [1, 2]}})
    untrained = sweeping.run(counted, tmp_path / "counted")
    assert not untrained.warnings
    assert untrained.rows[0]["trainings"] == 0
