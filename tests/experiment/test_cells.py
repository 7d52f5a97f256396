"""Laws of a run's cells as trials of a study: a killed worker changes nothing, and one that kills its workers fails alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from qlogad.experiment import Experiment
from qlogad.jobs.storage import open_storage
from qlogad.run import run

TOML = """
question = "Does it run?"
[data]
dataset = "synthetic"
lines = 4000
split = { by = "time", cuts = [0.6] }
[[contender]]
name = "lstm"
detector = "deeplog"
epochs = 6
history = 4
core = { kind = "classical", hidden = 8 }
[[contender]]
name = "the same"
like = "lstm"
[[contender]]
name = "2-gram"
detector = "ngram"
[judge]
seeds = 4
resamples = 50
"""


def start(file: Path, out: Path, workers: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "qlogad.cli", "run", str(file), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "small" / "runs.csv").drop(columns=["fit_seconds", "score_seconds"])


def owners(journal: Path) -> set[int]:
    """The workers that run a cell now."""
    if not journal.exists():
        return set()
    storage = open_storage(str(journal))
    studies = storage.get_all_studies()
    trials = storage.get_all_trials(studies[0]._study_id) if studies else []
    return {
        trial.user_attrs["owner"]["pid"] for trial in trials if trial.state is TrialState.RUNNING and "owner" in trial.user_attrs
    }


@pytest.mark.parametrize("counts", [(1, 2), pytest.param((1, 2, 4), marks=pytest.mark.slow)])
def test_any_number_of_workers_and_a_killed_one_give_the_same_table(counts: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(TOML)
    tables = []
    for workers in counts:
        out = tmp_path / str(workers)
        journal = out / "small" / "work" / "cells.journal"
        if workers == 1:
            assert not run(Experiment.load(file), out, workers=1).failed
        else:
            process = start(file, out, workers)
            if workers == 2:
                while not (running := owners(journal)):
                    assert process.poll() is None, "the run ended before a worker could be killed"
                    time.sleep(0.05)
                time.sleep(random.random() / 2)
                os.kill(random.choice(sorted(running)), signal.SIGKILL)
            printed, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
            assert "lstm" in printed
        tables.append(numbers(out))
        study = optuna.load_study(study_name=None, storage=open_storage(str(journal)))
        assert sum(trial.state is TrialState.COMPLETE for trial in study.trials) == 5  # equal contenders share their cells
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
