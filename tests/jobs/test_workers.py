"""Laws of worker processes: whoever dies, and whenever, every logical trial is counted once, with the value it would have had."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from qlogad.errors import QlogadWarning
from qlogad.jobs.attempts import RETRIES, attempts, cause, index_of, over
from qlogad.jobs.queue import Orders, Process, Queue
from qlogad.jobs.storage import open_storage
from qlogad.jobs.workers import drive, enqueue
from tests.jobs.worker_jobs import SHORT, Bowl, moody, random_sampler, value


def chains(place: str) -> dict[int, list[FrozenTrial]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QlogadWarning)  # of a record that was cut off
        return attempts(optuna.load_study(study_name="study", storage=open_storage(place)).trials)


def table(place: str) -> dict[int, tuple[dict[str, float], list[float] | None]]:
    return {index: (chain[-1].params, chain[-1].values) for index, chain in chains(place).items()}


def proposals(count: int, seed: int) -> dict[int, dict[str, float]]:
    rng = np.random.default_rng(seed)
    return {index: {"x": float(rng.random()), "n": int(rng.integers(10))} for index in range(count)}


def test_any_number_of_workers_gives_the_same_values(tmp_path: Path) -> None:
    enqueued = proposals(5, seed=random.randrange(2**32))
    tables = []
    for count in (1, 2, 4):
        place, notes = str(tmp_path / f"{count}.journal"), tmp_path / f"notes{count}"
        notes.mkdir()
        for _ in range(2):  # a study that is resumed enqueues nothing twice
            enqueue(place, "study", enqueued)
        drive(place, "study", Bowl(str(notes)), trials=12, workers=count, sampler=random_sampler, timing=SHORT)
        tables.append(table(place))
        assert Counter(int(note.name.split("-")[0]) for note in notes.iterdir()) == Counter(range(12))
        assert not list(Path(place + ".alive").iterdir())
    assert tables[0] == tables[1] == tables[2]
    for index, (params, values) in tables[0].items():
        assert values == [value(params)]
        assert params == enqueued.get(index, params)


def driver(place: str, notes: Path, *, trials: int | None, count: int, pause: float) -> "subprocess.Popen[bytes]":
    notes.mkdir(exist_ok=True)
    timing = (SHORT.heartbeat, SHORT.grace, SHORT.patience)
    orders = {
        "place": place,
        "notes": str(notes),
        "trials": trials,
        "workers": count,
        "pause": pause,
        "timing": timing,
        "study": "study",
    }
    return subprocess.Popen([sys.executable, "-W", "ignore", str(Path(__file__).with_name("worker_jobs.py")), json.dumps(orders)])


def pids(notes: Path) -> list[int]:
    """The processes that have run trials, the latest last."""
    return [int(note.name.split("-")[2]) for note in sorted(notes.iterdir(), key=lambda note: note.stat().st_mtime_ns)]


def kill_somebody(notes: Path, process: "subprocess.Popen[bytes]", rng: random.Random) -> None:
    known = len(pids(notes))
    while process.poll() is None and len(pids(notes)) == known:
        time.sleep(0.005)
    time.sleep(0.2 * rng.random())
    for pid in set(pids(notes)[known:]):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_workers(tmp_path: Path, *, kills: int, trials: int) -> None:
    rng, place, notes = random.Random(), str(tmp_path / "study.journal"), tmp_path / "notes"
    process = driver(place, notes, trials=trials, count=2, pause=0.15)
    for _ in range(kills):
        kill_somebody(notes, process, rng)
    assert process.wait(120) == 0
    found = chains(place)
    assert sorted(found) == list(range(trials))
    for index, chain in found.items():
        interrupted = chain if chain[-1].state is TrialState.FAIL else chain[:-1]
        assert all((cause(trial) or "").startswith("interrupted: its worker died") for trial in interrupted)
        counted = [
            "ended" not in trial.user_attrs for trial in chain
        ]  # a worker killed while it took a trial says nothing against it
        assert [trial.user_attrs.get("retries", 0) for trial in chain] == [sum(counted[:place]) for place in range(len(chain))]
        if chain[-1].state is TrialState.FAIL:
            assert sum(counted) == RETRIES + 1
        else:
            sampler = optuna.create_study(sampler=random_sampler(index))
            assert chain[-1].values == [Bowl()(sampler.ask())]
            assert sum(trial.state is TrialState.COMPLETE for trial in chain) == 1
    if kills <= RETRIES:
        assert all(chain[-1].state is TrialState.COMPLETE for chain in found.values())


def test_killed_workers_lose_no_trial(tmp_path: Path) -> None:
    kill_workers(tmp_path, kills=RETRIES, trials=10)


@pytest.mark.slow
def test_workers_killed_all_the_time_lose_no_trial(tmp_path: Path) -> None:
    kill_workers(tmp_path, kills=25, trials=60)


def kill_drivers(tmp_path: Path, *, rounds: int, trials: int) -> None:
    """A driver is killed with whatever it was doing; its workers follow; the next one ends in the same table."""
    rng, place, notes = random.Random(), str(tmp_path / "study.journal"), tmp_path / "notes"
    enqueued = proposals(trials, seed=rng.randrange(2**32))
    enqueue(place, "study", enqueued)
    for _ in range(rounds):
        process = driver(place, notes, trials=None, count=2, pause=0.3)
        known = len(pids(notes))
        while len(pids(notes)) == known:
            assert process.poll() is None, "the study ended before its driver could be killed"
            time.sleep(0.005)
        time.sleep(0.5 * rng.random())
        process.kill()
        process.wait()
    assert driver(place, notes, trials=None, count=2, pause=0.0).wait(120) == 0
    assert table(place) == {index: (params, [value(params)]) for index, params in enqueued.items()}
    for chain in chains(place).values():
        assert sum(trial.state is TrialState.COMPLETE for trial in chain) == 1
        assert not any(trial.user_attrs.get("retries", 0) for trial in chain)


def test_a_study_whose_processes_are_all_killed_goes_on(tmp_path: Path) -> None:
    kill_drivers(tmp_path, rounds=RETRIES + 1, trials=12)


@pytest.mark.slow
def test_a_study_killed_again_and_again_goes_on(tmp_path: Path) -> None:
    kill_drivers(tmp_path, rounds=12, trials=60)


def test_two_drivers_share_a_study(tmp_path: Path) -> None:
    place, notes = str(tmp_path / "study.journal"), tmp_path / "notes"
    both = [driver(place, notes, trials=20, count=2, pause=0.05) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert Counter(int(note.name.split("-")[0]) for note in notes.iterdir()) == Counter(range(20))
    assert sorted(chains(place)) == list(range(20))


def test_every_way_to_end_is_told(tmp_path: Path) -> None:
    place = str(tmp_path / "study.journal")
    study = drive(place, "study", moody, trials=6, workers=2, sampler=random_sampler, timing=SHORT)
    found = attempts(study.trials)
    ends = {index: (chain[-1].state, cause(chain[-1])) for index, chain in found.items()}
    assert ends[0] == (TrialState.FAIL, "there is no data")
    assert ends[1] == (TrialState.PRUNED, None)
    assert "nan" in str(ends[2][1])
    assert ends[3][1] == "KeyError: 'a mistake'"
    assert len(found[4]) == RETRIES + 1
    assert str(ends[4][1]).startswith("interrupted: its worker died (signal SIGKILL")
    assert ends[5] == (TrialState.COMPLETE, None)
    assert all(len(found[index]) == 1 for index in (0, 1, 2, 3, 5))
    for index, chain in found.items():
        assert {index_of(trial) for trial in chain} == {index}
        assert [over(trial) for trial in chain] == [False] * (len(chain) - 1) + [True]
    assert [trial.number for trial in drive(place, "study", moody, trials=6, timing=SHORT).trials] == [
        t.number for t in study.trials
    ]


def test_no_trial_begins_after_the_time_is_over(tmp_path: Path) -> None:
    place, seconds, starts = str(tmp_path / "study.journal"), 2.0, [0.0]
    while starts == [0.0]:  # a busy machine takes its time to start a worker
        seconds *= 2
        began = time.time()
        study = drive(place, "study", Bowl(pause=0.5), trials=10**6, seconds=seconds, workers=2, timing=SHORT)
        starts += [trial.datetime_start.timestamp() - began for trial in study.trials if trial.datetime_start is not None]
    assert sum(start > seconds for start in starts) <= 2, "each worker may have been about to begin one"
    assert all(trial.state is TrialState.COMPLETE for trial in study.trials)


def test_a_vanished_node_is_noticed_by_its_silence(tmp_path: Path) -> None:
    place = str(tmp_path / "study.journal")
    enqueue(place, "study", proposals(2, seed=1))
    study = optuna.load_study(study_name="study", storage=open_storage(place))
    elsewhere = {"host": "elsewhere", "pid": os.getpid(), "started": "1"}
    study.ask().set_user_attr("owner", elsewhere | {"driver": elsewhere})
    study.ask()  # died before it wrote its name
    began = time.monotonic()
    drive(place, "study", Bowl(), trials=None, workers=2, timing=SHORT)
    assert time.monotonic() - began > SHORT.grace
    found = chains(place)
    assert "no heartbeat from elsewhere" in str(cause(found[0][0]))
    assert "as it claimed the trial" in str(cause(found[1][0]))
    assert table(place) == {index: (params, [value(params)]) for index, params in proposals(2, seed=1).items()}


def test_dying_among_the_parameters_changes_no_value(tmp_path: Path) -> None:
    place, here = str(tmp_path / "study.journal"), Process.here()
    optuna.create_study(storage=open_storage(place), study_name="study")
    sampler = partial(RandomSampler, random.randrange(2**32))
    orders = Orders(place, "study", Bowl(), 1, lambda _: sampler(), None, None, SHORT, here)
    queue = Queue(orders, open_storage(place))
    for chosen in range(3):  # of two
        trial = queue.claim(here)
        assert trial is not None
        for ask in (partial(trial.suggest_float, "x", 0, 1), partial(trial.suggest_int, "n", 0, 9))[:chosen]:
            ask()
        queue.reap({}, ended=True)
    trial = queue.claim(here)
    assert trial is not None
    assert Bowl()(trial) == Bowl()(optuna.create_study(sampler=sampler()).ask())


def test_the_value_of_a_worker_taken_for_dead_is_kept(tmp_path: Path) -> None:
    place = str(tmp_path / "study.journal")
    here = Process.here()
    orders = Orders(place, "study", Bowl(), 1, random_sampler, None, None, SHORT, here)
    optuna.create_study(storage=open_storage(place), study_name="study")
    queue = Queue(orders, open_storage(place))
    trial = queue.claim(here)
    assert trial is not None
    found = Bowl()(trial)
    assert queue.left(queue.reap({}, ended=True)).free == 1
    queue.tell(trial, TrialState.COMPLETE, [found], None)
    (chain,) = chains(place).values()
    assert [attempt.state for attempt in chain] == [TrialState.FAIL, TrialState.COMPLETE]
    assert (chain[1].values, chain[1].params, chain[1].user_attrs["seen"]) == ([found], chain[0].params, found)
    assert queue.left(queue.chains()).done


def test_twins_and_surplus_do_not_count() -> None:
    """Whatever two hosts enqueue at the same time: one chain for each index, and each attempt follows the one before."""
    rng = random.Random()
    for _ in range(50):
        study = optuna.create_study()
        for _ in range(40):
            known = attempts(study.trials)
            index = rng.randrange(8)
            follows = rng.choice([None, *(trial.number for trial in known.get(index, []))])
            attrs = {} if follows is None else {"index": index, "follows": follows}
            attrs |= rng.choice([{}, {}, {"index": index}, {"surplus": "too many"}])
            study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attrs))
            found = attempts(study.trials)
            assert set(found) == set(range(len(found))) or any("index" in trial.user_attrs for trial in study.trials)
            for chain in found.values():
                assert [trial.user_attrs.get("follows") for trial in chain] == [None, *(trial.number for trial in chain[:-1])]
            for index, chain in known.items():  # what stood, stands
                assert [trial.number for trial in found[index]][: len(chain)] == [trial.number for trial in chain]
