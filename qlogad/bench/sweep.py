"""Trials per hour of one fixed study: on the exact engine, on PennyLane, and with two workers (minutes).

All three run the same predetermined points, in turns. The clock starts when every worker has finished its first trial, so that the start
of worker processes (a few seconds each) does not count. Efficiency is the rate of two workers over twice the rate of one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import optuna
from optuna.trial import FrozenTrial

from qlogad import documents, escape, files
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, Repeats, this_machine
from qlogad.bounds import Between
from qlogad.errors import InputError
from qlogad.jobs.storage import open_storage
from qlogad.sweep.run import called, run
from qlogad.sweep.study import Study

__all__ = ["ARMS", "SweepBenchmark", "fixed", "measure", "rate", "write"]

Row = dict[str, Any]
ARMS = {"exact": ("exact", 1), "exact, two workers": ("exact", 2), "PennyLane default.qubit": ("pennylane:default.qubit", 1)}
_DATA = {"dataset": "synthetic", "lines": 3000, "workflows": 4, "rate": 0.1, "drift": 0.0, "split": {"by": "time", "cuts": [0.6]}}


@dataclass(frozen=True, kw_only=True)
class SweepBenchmark(Benchmark):
    """Trials per hour on the exact engine, on PennyLane and with two workers."""

    repeats: Repeats = 5
    trials: Annotated[int, Between(3, 10_000), "Trials of the study."] = 24

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        rows = measure(progress, trials=self.trials, repeats=self.repeats)
        path = write(rows, out / "bench-sweep", trials=self.trials, repeats=self.repeats)
        return BenchmarkResult(rows, path.read_text(encoding="utf-8"), path)


def fixed(folder: Path, name: str, backend: str, trials: int) -> Study:
    """The timed study: its points are all different and depend on neither backend nor results."""
    core = {"kind": "quantum", "wires": 4, "depth": 2, "hidden": 8, "backend": backend}
    contender = {"name": "quantum", "detector": "deeplog", "history": 4, "epochs": 2, "embedding": 4, "core": core}
    files.write(folder / "base.toml", documents.dump({"name": "base", "data": _DATA, "contender": [contender]}))
    space = {
        "lr": {"float": [3e-3, 1e-1], "log": True},
        "core.ansatz": {"choice": ["strongly-entangling", "sim14", "real-amplitudes", "qulog"]},
    }
    keys = {
        "base": "base.toml",
        "objectives": ["validation-loss"],
        "sampler": "random",
        "trials": trials,
        "contender": [{"name": "quantum", "space": space}],
    }
    return Study.from_document(keys, name=name, folder=folder)


def measure(progress: Progress, *, trials: int, repeats: int) -> list[Row]:
    """Trials per hour of every arm, and its ratio to one worker on the exact engine, medians over repetitions.

    Args:
        progress: called with the current step.
        trials: trials of the study.
        repeats: repetitions of the whole study, the arms in turns.
    """
    rates: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for repeat in range(repeats):
        for arm, (backend, workers) in ARMS.items():
            progress(f"{arm}, repetition", repeat + 1)
            rates[arm].append(_rate(backend, workers, trials))
    return [
        {
            "study on": arm,
            "workers": ARMS[arm][1],
            "trials per hour": median(some),
            "ratio": median(own / one for own, one in zip(some, rates["exact"], strict=True)),
            "efficiency": median(own / one for own, one in zip(some, rates["exact"], strict=True)) / ARMS[arm][1]
            if ARMS[arm][1] > 1
            else None,
        }
        for arm, some in rates.items()
    ]


def _rate(backend: str, workers: int, trials: int) -> float:
    with TemporaryDirectory() as scratch:
        study = fixed(Path(scratch), "timed", backend, trials)
        finished = run(study, scratch, workers=workers)
        (entrant,) = study.entrants
        storage = open_storage(str(finished.folder / "journal.log"))
        ended = optuna.load_study(study_name=called(study, entrant), storage=storage).get_trials(deepcopy=False)
        return rate(ended)


def rate(ended: Sequence[FrozenTrial]) -> float:
    """Trials per hour, counted from the moment when every participating worker has finished its first trial.

    Raises:
        InputError: no trial ended after that moment.
    """
    done = sorted((trial.datetime_complete.timestamp(), _worker(trial)) for trial in ended if trial.datetime_complete is not None)
    firsts: dict[tuple[str, int], float] = {}
    for end, worker in done:
        firsts.setdefault(worker, end)
    begin = max(firsts.values(), default=0.0)
    count = sum(end > begin for end, _ in done)
    if not count:
        raise InputError(f"{len(done)} trials are too few to measure the speed of {len(firsts)} workers; use more trials")
    return 3600 * count / (done[-1][0] - begin)


def _worker(trial: FrozenTrial) -> tuple[str, int]:
    owner = trial.user_attrs["owner"]
    return str(owner["host"]), int(owner["pid"])


def write(rows: list[Row], folder: Path, *, trials: int, repeats: int) -> Path:
    """Write sweep.json and table.md; returns the table's path."""
    machine = this_machine()
    shown = [
        row
        | {
            "trials per hour": f"{row['trials per hour']:,.0f}",
            "ratio": f"{row['ratio']:.3g}",
            "efficiency": "" if row["efficiency"] is None else f"{row['efficiency']:.2f}",
        }
        for row in rows
    ]
    text = [
        "# Studies per hour",
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench sweep` on: {machine}. {trials} trials (DeepLog, 4 wires, depth 2, two "
        f"epochs on a small synthetic log), the same points in every row, {repeats} repetitions in turns, medians. Only ratios carry "
        "to other machines; the efficiency of two workers is their rate over twice that of one.",
        escape.table(shown, "github"),
    ]
    files.write(
        folder / "sweep.json", json.dumps({"machine": machine, "trials": trials, "repeats": repeats, "rows": rows}, indent=1) + "\n"
    )
    files.write(folder / "table.md", "\n\n".join(text) + "\n")
    return folder / "table.md"
