"""Warm starts: how much earlier studies help one of a wider, deeper circuit on another log (half an hour).

    source   3 wires, depth 1, on one log            its best points start the arm "relative", random points of it the arm "random family"
    target   4 wires, depth 2, on another log        the same trials, sampler and seeds in all three arms

Each pair has logs and seeds of its own. The regret of an arm after k trials is its best validation loss so far minus the best that any
arm of the pair has found; its mean over k measures how good a study is if stopped at any time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState

from qlogad import documents, escape, files, seeds
from qlogad.arrays import Floats
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress
from qlogad.bounds import Between
from qlogad.errors import InputError, QlogadError
from qlogad.evaluate.compare import contrast
from qlogad.report.drawing import save
from qlogad.sweep.results import trials_of, write
from qlogad.sweep.run import Onlooker, Samplers, fill, prepare
from qlogad.sweep.study import Study

__all__ = ["ARMS", "WarmStartBenchmark", "measure", "regret", "report"]

ARMS = ("cold", "relative", "random family")
AIM = "validation-loss"
SHARE = 0.25
TRIALS = 16  # of each study
_LOG = {"dataset": "synthetic", "lines": 3000, "workflows": 4, "rate": 0.1, "drift": 0.0, "split": {"by": "time", "cuts": [0.6]}}
_SPACE = {
    "lr": {"float": [3e-3, 1e-1], "log": True},
    "core.encoding": {"choice": ["angle-x", "angle-y", "angle-z", "dense-angle", "chen", "iqp"]},
    "core.reupload": {"choice": [False, True]},
}
_DESIGN = {"rows": [1, 3], "gates": ["rx", "ry", "rz", "cx", "crx"], "on": ["each", "linear", "ring"]}


@dataclass(frozen=True, kw_only=True)
class WarmStartBenchmark(Benchmark):
    """Regret of studies that start cold, from a related study, and from random points of one."""

    repeats: Annotated[int, Between(1, 10_000), "Pairs of studies, each with logs and seeds of its own."] = 5

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        folder = out / "sweep-warm-start"
        pairs = measure(folder, pairs=self.repeats, progress=progress)
        path = report(pairs, folder)
        return BenchmarkResult(pairs, path.read_text(encoding="utf-8"), path)


def measure(folder: Path, *, pairs: int, progress: Progress, trials: int = TRIALS) -> list[dict[str, Any]]:
    """The best loss so far after each trial, for every pair and arm; pairs already in `folder` are kept.

    Args:
        folder: the results folder.
        pairs: pairs of studies, each with logs and seeds of its own.
        progress: called with the current step.
        trials: trials of each study.
    """
    path = folder / "pairs.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        found = [one for one in kept if one["trials"] == trials and one["best so far"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no pairs of studies of this version, or is damaged; move it away") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for pair in range(len(found), pairs):
        progress("pairs of studies", pair + 1)
        found.append({"pair": pair, "trials": trials, "best so far": _pair(pair, trials)})
        files.write(path, json.dumps(found, indent=1) + "\n")
    return found[:pairs]


def _pair(pair: int, trials: int) -> dict[str, list[float]]:
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        source = _run(_study("source", 2 * pair, place, trials, wires=3, depth=1), place)
        random = place / "random"
        copytree(source.parent, random, ignore=lambda *_: ["work", "designs"])
        frame = pd.read_csv(random / "trials.csv")
        done = frame.index[frame["state"] == "complete"]
        order = seeds.generator(pair, "random family").permutation(len(done))
        frame.loc[done, AIM] = frame.loc[done, AIM].to_numpy()[order]  # so that its best points are random ones
        files.write(random / "trials.csv", escape.csv_table(frame, "%.9g"))
        warm = {"cold": [], "relative": [str(source.parent)], "random family": [str(random)]}
        found = {}
        for arm in ARMS:
            target = _study("target", 2 * pair + 1, place, trials, wires=4, depth=2, warm=warm[arm])
            found[arm] = _curve(_run(target, place))
            rmtree(place / "target")
    return found


def _study(name: str, seed: int, place: Path, trials: int, *, wires: int, depth: int, warm: Sequence[str] = ()) -> Study:
    """The study of one arm."""
    contender = {
        "name": "quantum",
        "detector": "deeplog",
        "history": 4,
        "epochs": 3,
        "embedding": 4,
        "core": {"kind": "quantum", "wires": wires, "depth": depth, "hidden": 8},
    }
    base = {"name": "base", "data": {**_LOG, "seed": seed}, "contender": [contender]}
    files.write(place / "base.toml", documents.dump(base))
    searched = {"name": "quantum", "space": _SPACE, "design": _DESIGN}
    keys = {"base": "base.toml", "objectives": [AIM], "sampler": "tpe", "trials": trials, "seed": seed, "contender": [searched]}
    keys |= {"warm": list(warm), "warm_share": SHARE} if warm else {}
    return Study.from_document(keys, name=name, folder=place)


def _run(study: Study, place: Path) -> Path:
    """Run a study trial by trial in this process; returns the path of its table."""
    (entrant,) = study.entrants
    prepared = prepare(study, place / study.name, lambda what, count: None)
    trials = optuna.create_study(directions=study.directions)
    job = fill(prepared, entrant, trials, Onlooker())
    samplers = Samplers(study, entrant.name)
    for index in range(study.settings.trials or 0):
        trials.sampler = samplers(index)
        trial = trials.ask()
        trial.set_user_attr("index", index)
        try:
            trials.tell(trial, job(trial))
        except QlogadError as error:  # a design that does not exist for this number of wires
            trial.set_user_attr("error", str(error))
            trials.tell(trial, state=TrialState.FAIL)
    write(prepared, {entrant.name: trials_of(study, entrant, trials)}, "")
    return prepared.folder / "trials.csv"


def _curve(path: Path) -> list[float]:
    """The best value after each trial; failed trials change nothing."""
    values = pd.read_csv(path)[AIM].fillna(np.inf)
    return [float(value) for value in np.minimum.accumulate(values)]


# ---------------------------------------------------------------- report


def regret(pairs: Sequence[dict[str, Any]]) -> dict[str, Floats]:
    """The regret of each arm after each trial, (pairs, trials)."""
    best = {arm: np.array([one["best so far"][arm] for one in pairs], dtype=np.float64) for arm in ARMS}
    least_P1 = np.min([values[:, -1] for values in best.values()], axis=0)[:, None]
    worst_P1 = np.max([np.where(np.isfinite(values), values, -np.inf).max(axis=1) for values in best.values()], axis=0)[:, None]
    return {arm: np.where(np.isfinite(values), values, worst_P1) - least_P1 for arm, values in best.items()}


def report(pairs: Sequence[dict[str, Any]], folder: Path) -> Path:
    """Write table.md and regret.png; returns the table's path."""
    found = regret(pairs)
    trials = len(pairs[0]["best so far"][ARMS[0]])
    stops = {f"after {k} trials": k - 1 for k in sorted({1, max(1, trials // 2), trials})}
    arms = [
        {"arm": arm, "mean over all k": _number(found[arm].mean())}
        | {name: _number(found[arm][:, k].mean()) for name, k in stops.items()}
        for arm in ARMS
    ]
    rows = []
    for left, right in (("relative", "cold"), ("relative", "random family"), ("random family", "cold")):
        for what, value in (("mean over all k", slice(None)), (f"after {trials} trials", slice(trials - 1, None))):
            told = contrast(found[left][:, value].mean(axis=1) - found[right][:, value].mean(axis=1))
            span = f"{told.mean:+.3g} [{told.low:+.3g}, {told.high:+.3g}]"
            rows.append({"regret of": f"{left} - {right}", "when": what, "difference [95 %]": span, "p": f"{told.p:.3g}"})
    text = [
        "# Warm starts from relatives",
        f"{len(pairs)} pairs of logs and seeds; each study has {trials} trials, of which at most {SHARE:.0%} are the best points of the "
        "source (arm relative) or points of it drawn at random (arm random family). Source: 3 wires, depth 1; target: 4 wires, depth 2, "
        f"on another log. Objective: {AIM}, nats per event; a difference below 0 speaks for the first. Written by `qlogad bench "
        f"warm-start --repeats {len(pairs)}`.",
        "## Regret",
        escape.table(arms, "github"),
        "## Paired differences",
        escape.table(rows, "github"),
        "p is two-sided, by sign flips over pairs, one test each; the family of six is exploratory.",
        "![mean regret after each trial](regret.png)",
    ]
    _figure(found, folder / "regret.png")
    files.write(folder / "table.md", "\n\n".join(text) + "\n")
    return folder / "table.md"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _figure(found: dict[str, Floats], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for arm, values_PT in found.items():
        k = np.arange(1, values_PT.shape[1] + 1)
        error_T = values_PT.std(axis=0, ddof=1) / np.sqrt(len(values_PT)) if len(values_PT) > 1 else np.zeros(len(k))
        (line,) = axis.plot(k, values_PT.mean(axis=0), label=arm)
        axis.fill_between(
            k, values_PT.mean(axis=0) - error_T, values_PT.mean(axis=0) + error_T, color=line.get_color(), alpha=0.15, lw=0
        )
    axis.set(xlabel="trials", ylabel="regret (nats per event)", title=f"mean of {len(values_PT)} pairs, with standard error")
    axis.legend(frameon=False)
    save(figure, path)
