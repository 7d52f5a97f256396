"""Laws of the benchmarks of studies: arms differ in what they are about and in nothing else."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from qlogad.bench import sweep, warm_start
from qlogad.bench.warm_start import ARMS
from qlogad.errors import InputError
from qlogad.sweep import run


@st.composite
def pairs(draw: st.DrawFn) -> list[dict[str, Any]]:
    trials = draw(st.integers(1, 6))
    curve = st.lists(st.floats(-10, 10), min_size=trials, max_size=trials).map(lambda some: list(np.minimum.accumulate(some)))
    return [{"best so far": {arm: draw(curve) for arm in ARMS}} for _ in range(draw(st.integers(1, 5)))]


@given(pairs())
def test_regret_falls_and_the_best_arm_of_each_pair_ends_without(some: list[dict[str, Any]]) -> None:
    found = warm_start.regret(some)
    assert all((values >= 0).all() and (np.diff(values, axis=1) <= 0).all() for values in found.values())
    assert (np.min([values[:, -1] for values in found.values()], axis=0) == 0).all()
    shifted = [
        {"best so far": {arm: [value + 1.0 for value in curve] for arm, curve in one["best so far"].items()}} for one in some
    ]
    for arm, values in warm_start.regret(shifted).items():
        assert values == pytest.approx(found[arm], abs=1e-9)


@given(pairs(), st.data())
def test_an_arm_whose_first_trials_failed_is_not_the_better_for_it(some: list[dict[str, Any]], data: Any) -> None:
    before = warm_start.regret(some)
    arm = data.draw(st.sampled_from(ARMS))
    failed = [{"best so far": dict(one["best so far"])} for one in some]
    if len(failed[0]["best so far"][arm]) > 1:
        failed[0]["best so far"][arm] = [float("inf"), *failed[0]["best so far"][arm][1:]]
    after = warm_start.regret(failed)
    assert np.isfinite(after[arm]).all()
    assert after[arm][0, 0] >= after[arm][0, -1]
    assert (after[arm][1:] == before[arm][1:]).all()


def test_pairs_are_kept_and_reported(tmp_path: Path) -> None:
    told: list[str] = []
    once = warm_start.measure(tmp_path, pairs=1, trials=4, progress=lambda what, count: told.append(what))
    assert warm_start.measure(tmp_path, pairs=1, trials=4, progress=lambda what, count: told.append(what)) == once
    assert len(told) == 1
    curves = once[0]["best so far"]
    assert set(curves) == set(ARMS)
    assert all(len(curve) == 4 and curve == sorted(curve, reverse=True) for curve in curves.values())
    text = warm_start.report(once, tmp_path).read_text()
    assert all(arm in text for arm in ARMS)
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")


@given(st.integers(1, 4), st.integers(3, 30), st.floats(0.01, 100), st.data())
def test_the_rate_is_that_of_workers_under_way(workers: int, each: int, seconds: float, data: Any) -> None:
    begin = datetime(2026, 1, 1)
    starts = [data.draw(st.floats(0, seconds)) for _ in range(workers)]
    ended = [
        create_trial(state=TrialState.FAIL, user_attrs={"owner": {"host": "h", "pid": worker}})
        for worker in range(workers)
        for _ in range(each)
    ]
    for number, trial in enumerate(ended):
        trial.datetime_start = begin + timedelta(seconds=starts[number // each] + seconds * (number % each))
        trial.datetime_complete = begin + timedelta(seconds=starts[number // each] + seconds * (number % each + 1))
    true = 3600 * workers / seconds
    assert abs(sweep.rate(ended) - true) <= true * 1.01 / (each - 2)
    with pytest.raises(InputError, match="too few"):
        sweep.rate(ended[::each])


def test_the_timed_study_has_the_same_points_on_every_backend_and_no_two_are_equal(tmp_path: Path) -> None:
    studies = [sweep.fixed(tmp_path, "timed", backend, 12) for backend, _ in sweep.ARMS.values()]
    points = [run.foretell(study, study.entrants[0]) for study in studies]
    assert points[0] == points[1] == points[2]
    assert len({tuple(point.items()) for point in points[0]}) == 12
    cores = [study.entrants[0].contender.params["core"]["backend"] for study in studies]
    assert cores == [backend for backend, _ in sweep.ARMS.values()]
