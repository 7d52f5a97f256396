"""Winners of a study: its best trial or its Pareto front, retrained on seeds that no trial used, next to the unchanged contender.

The best of many values is partly lucky: a study's value of its best trial is too good on average (the winner's curse). So each winner
and its base are retrained with the same fresh seeds, on the same validation windows; only these values count. Test windows are left to
one experiment, written here and run once.

results/<study>/winners.md      every winner: study value, fresh value with interval, the gap between them, the difference to its base
results/<study>/winners.toml    the experiment: `qlogad run results/<study>/winners.toml`
circuits/found/NAME.toml        the ansatz of each winner that was built row by row
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FixedTrial, TrialState

from qlogad import documents, escape, files, names
from qlogad.arrays import Floats
from qlogad.circuit.design import Design
from qlogad.circuit.row import Claims
from qlogad.errors import DesignError, InputError, QlogadError
from qlogad.evaluate.compare import Contrast, contrast, holm
from qlogad.experiment.experiment import MAX_SEEDS, Contender, Experiment
from qlogad.jobs.address import check_place
from qlogad.jobs.attempts import attempts, cause, next_step
from qlogad.jobs.storage import open_storage
from qlogad.jobs.workers import drive, enqueue
from qlogad.report import convergence
from qlogad.report.convergence import Ended
from qlogad.sweep.objectives import circuit_of
from qlogad.sweep.results import PreparedStudy, best, params_of, trials_of
from qlogad.sweep.run import FRESH, Onlooker, called, fill, prepare
from qlogad.sweep.study import MAX_TRIALS, Entrant, Study
from qlogad.sweep.trial import SpacePoint, TrialJob, ended_of, note

__all__ = ["Winner", "Winners", "fresh_root", "rerun"]

MAX_CONTRASTS = 5  # an experiment can declare this many
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Winner:
    """A trial next to its base, both trained with the same fresh seeds."""

    entrant: Entrant
    index: int  # of the trial
    params: Mapping[str, Any]
    contender: Contender
    study_O: Floats  # values of the trial in the study
    fresh_SO: Floats
    base_SO: Floats
    stays: bool  # is on the Pareto front of fresh means
    ended: Ended = Ended()  # how its fresh trainings ended
    base_ended: Ended = Ended()

    def fresh(self, objective: int) -> Contrast:
        """The mean of the fresh values, with its interval."""
        return contrast(self.fresh_SO[:, objective])

    def gap(self, objective: int) -> float:
        """Study value minus mean fresh value: on average, the winner's curse."""
        return float(self.study_O[objective] - self.fresh_SO[:, objective].mean())

    def gain(self, objective: int, sign: int) -> Contrast:
        """The improvement over its base, paired by seed; `sign` is 1 if less is better, else -1."""
        return contrast(sign * (self.base_SO[:, objective] - self.fresh_SO[:, objective]))

    def tested(self, objective: int, *, fact: bool) -> bool:
        """Whether there is a p: seeds must change a fact on at least one side, a measurement on both."""
        moves = [bool(np.ptp(side_SO[:, objective])) for side_SO in (self.fresh_SO, self.base_SO)]
        return any(moves) if fact else all(moves)


@dataclass(frozen=True)
class Winners:
    """The results for a study's winners: rows for programs, text for people, and the experiment that tests them."""

    rows: list[dict[str, Any]]
    text: str
    experiment: Path
    designs: tuple[Path, ...]
    warnings: tuple[str, ...] = ()  # about trainings still improving at their last epoch


def rerun(
    study: Study,
    out: str | Path = "results",
    *,
    seeds: int,
    workers: int = 1,
    storage: str | None = None,
    found: Path | None = None,
    watch: Onlooker | None = None,
) -> Winners:
    """Train the winners of a study and their bases on fresh seeds, and write the results; killed, the same call continues.

    Args:
        study: a study whose trials are finished.
        out: the folder of results folders.
        seeds: number of fresh seeds; each trains all folds of the study.
        workers: number of processes.
        storage: that of the study.
        found: a folder for designs; None: circuits/found in a checkout, where names are looked up, else `found` in the results folder.
        watch: callbacks for progress.

    Raises:
        InputError: the number of seeds is out of range, or no trial completed.
        QlogadError: a training failed; with the cause.
    """
    if not 2 <= seeds <= MAX_SEEDS:
        raise InputError(f"winners need 2 to {MAX_SEEDS} fresh seeds, got {seeds}")
    watch = watch or Onlooker()
    folder = Path(out) / study.name
    place = storage or str(folder / "journal.log")
    check_place(place)
    prepared = prepare(study, folder, watch.preparing)
    winners = [one for entrant in study.entrants for one in _again(prepared, entrant, place, seeds, workers, watch)]
    if not winners:
        raise InputError(f"no trial of '{study.name}' completed, so it has no winner; see the causes in {folder / 'table.md'}")
    rows = _rows(study, winners)
    found = found or _found(folder)
    kept = [one for one in winners if one.stays]
    written = {id(one): _save(study, one, found) for one in kept}
    experiment = folder / "winners.toml"
    files.write(experiment, documents.dump(_experiment(study, kept, written)))
    Experiment.load(experiment)
    warnings = _warnings(study, winners)
    text = _text(study, rows, seeds, experiment, warnings)
    files.write(folder / "winners.md", text)
    return Winners(rows, text, experiment, tuple(path for path in written.values() if path is not None), tuple(warnings))


def _found(folder: Path) -> Path:
    """The default folder for designs: circuits/found if the current folder is a checkout, else in the results folder."""
    shipped = names.data_folder("circuits")
    return shipped / "found" if shipped.resolve() == Path("circuits").resolve() else folder / "found"


def fresh_root(repeat: int) -> int:
    """The index that the seeds of a fresh training come from; larger than that of any trial."""
    return MAX_TRIALS + repeat


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class _Again:
    """The job of a worker: one point, trained on all folds with one fresh seed."""

    job: TrialJob
    points: tuple[SpacePoint, ...]

    def __call__(self, trial: optuna.Trial) -> Sequence[float]:
        point = trial.suggest_int("point", 0, len(self.points) - 1)
        return self.job.measure(
            self.points[point], fresh_root(trial.suggest_int("seed", 0, MAX_SEEDS - 1)), told=partial(note, trial)
        )


def _again(prepared: PreparedStudy, entrant: Entrant, place: str, seeds: int, workers: int, watch: Onlooker) -> list[Winner]:
    """The winners of one contender; the first point to be trained is its base."""
    study = prepared.study
    trials = optuna.load_study(study_name=called(study, entrant), storage=open_storage(place))
    job = fill(prepared, entrant, trials, watch)
    rows = best(study, trials_of(study, entrant, trials))
    rows = rows if len(study.objectives) > 1 else rows[:1]
    if not rows:
        return []
    params = [params_of(row) for row in rows]
    points = (job.point({}, None), *(job.point(*entrant.space.suggest(FixedTrial(one))) for one in params))
    values_PSO, ended_P = _train(study, _Again(job, points), f"{called(study, entrant)}: {FRESH}", place, seeds, workers, watch)
    fresh_PO = values_PSO[1:].mean(axis=1) * [1 if way == "minimize" else -1 for way in study.directions]
    return [
        Winner(
            entrant,
            int(row["index"]),
            one,
            point.contender,
            np.array([float(row[name]) for name in study.settings.objectives]),
            fresh_SO,
            values_PSO[0],
            not ((fresh_PO <= own_O).all(1) & (fresh_PO < own_O).any(1)).any(),
            ended,
            ended_P[0],
        )
        for row, one, point, fresh_SO, ended, own_O in zip(
            rows, params, points[1:], values_PSO[1:], ended_P[1:], fresh_PO, strict=True
        )
    ]


def _train(
    study: Study, again: _Again, name: str, place: str, seeds: int, workers: int, watch: Onlooker
) -> tuple[Floats, list[Ended]]:
    """The values of every point under every fresh seed, (points, seeds, objectives), and how each point's trainings ended; finished
    trainings of earlier calls are reused."""
    searched = optuna.load_study(study_name=name.removesuffix(f": {FRESH}"), storage=open_storage(place))
    name = f"{name} {documents.digest(searched.user_attrs['identity'], [point.key for point in again.points])[:12]}"
    count = len(again.points)
    wanted = {seed * count + point: {"point": point, "seed": seed} for seed in range(seeds) for point in range(count)}
    there = _ended(name, place)
    enqueue(place, name, {index: params for index, params in wanted.items() if index not in there}, directions=study.directions)
    drive(
        place,
        name,
        again,
        directions=study.directions,
        trials=None,
        workers=workers,
        watch=lambda trials: watch.preparing(f"{name}: trainings", len(_complete(trials))),
    )
    done = _ended(name, place)
    failed = next((done[index] for index in wanted if done[index].state != TrialState.COMPLETE), None)
    if failed is not None:
        raise QlogadError(f"{name}: a training failed: {next_step(cause(failed) or '')}")
    each_PS = [[done[seed * count + point] for seed in range(seeds)] for point in range(count)]
    values_PSO = np.array([[one.values for one in each_S] for each_S in each_PS], dtype=np.float64)
    return values_PSO, [sum(map(ended_of, each_S), Ended()) for each_S in each_PS]


def _complete(trials: optuna.Study) -> dict[int, optuna.trial.FrozenTrial]:
    chains = attempts(trials.get_trials(deepcopy=False))
    return {index: chain[-1] for index, chain in chains.items() if chain[-1].state == TrialState.COMPLETE}


def _ended(name: str, place: str) -> dict[int, optuna.trial.FrozenTrial]:
    """The completed trainings in the storage under a name, by index; empty if there are none yet."""
    storage = open_storage(place)
    if name not in {summary.study_name for summary in optuna.get_all_study_summaries(storage)}:
        return {}
    return _complete(optuna.load_study(study_name=name, storage=storage))


# ---------------------------------------------------------------- what is written


def _rows(study: Study, winners: Sequence[Winner]) -> list[dict[str, Any]]:
    """One row per winner and objective, p adjusted over all differences that have one (Holm, 1979)."""
    signs = [1 if way == "minimize" else -1 for way in study.directions]
    pairs = [(one, number) for one in winners for number in range(len(signs))]
    gains = [one.gain(number, signs[number]) for one, number in pairs]
    facts = [objective.fact for objective in study.objectives]
    tested = [place for place, (one, number) in enumerate(pairs) if one.tested(number, fact=facts[number])]
    adjusted = dict(zip(tested, holm([gains[place].p for place in tested]), strict=True)) if tested else {}
    hopeless = bool(winners) and _least(len(tested), len(winners[0].fresh_SO)) > ALPHA
    return [
        {
            "contender": one.entrant.name,
            "trial": one.index,
            "objective": study.settings.objectives[number],
            "study": float(one.study_O[number]),
            "fresh": one.fresh(number).mean,
            "fresh low": one.fresh(number).low,
            "fresh high": one.fresh(number).high,
            "gap": one.gap(number),
            "base": float(one.base_SO[:, number].mean()),
            "gain": gain.mean,
            "gain low": gain.low,
            "gain high": gain.high,
            "p": None if place not in adjusted else float(adjusted[place]),
            "exact": facts[number] and place not in adjusted,
            "verdict": _verdict(gain.mean, adjusted.get(place), exact=facts[number], hopeless=hopeless),
            "on the fresh front": one.stays,
            "still improving": str(one.ended),
            "base still improving": str(one.base_ended),
        }
        for place, ((one, number), gain) in enumerate(zip(pairs, gains, strict=True))
    ]


def _least(tests: int, seeds: int) -> float:
    """The smallest possible p for this number of seeds, adjusted for the number of tests."""
    return min(1.0, tests * 2.0 ** (1 - seeds))


def _verdict(gain: float, p: float | None, *, exact: bool, hopeless: bool) -> str:
    if gain == 0:
        return "equal to its base"
    if p is None and not exact:
        return "not tested: a side without randomness"
    if p is not None and p > ALPHA:
        return "too few seeds to tell" if hopeless else "not told apart from its base"
    return "better than its base" if gain > 0 else "worse than its base"


def _called(study: Study, one: Winner) -> str:
    """The name of a winner, used for its file and its contender."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{study.name.removesuffix('-sweep')} {one.entrant.name} {one.index}").strip("-").lower()


def _save(study: Study, one: Winner, found: Path) -> Path | None:
    """Write the ansatz of a winner to a file, if its space builds ansaetze; returns the path."""
    if one.entrant.space.design is None:
        return None
    built = Design.load(one.contender.params["core"]["ansatz"], "ansatz")
    counts = tuple((wires, count) for wires in (3, 4, 5) if (count := _weights(built, wires)))
    source = f"found by the study {study.name}: {study.question or 'trial'} (trial {one.index})"
    named = replace(built, name=_called(study, one), source=source, check=Claims(weights=counts))
    path = found / f"{named.name}.toml"
    named.save(path, _provenance(study, one))
    return path


def _weights(design: Design, wires: int) -> int:
    try:
        return design.build(wires).weights
    except DesignError:  # it does not exist for this number of wires
        return 0


def _provenance(study: Study, one: Winner) -> dict[str, Any]:
    aims = study.settings.objectives
    return {
        "study": study.name,
        "contender": one.entrant.name,
        "trial": one.index,
        "seed": study.settings.seed,
        "sampler": study.settings.sampler,
        "point": {name: value for name, value in one.params.items() if not name.startswith("design.")},
        "study_values": {aim: float(one.study_O[number]) for number, aim in enumerate(aims)},
        "fresh_seeds": len(one.fresh_SO),
        "fresh_values": {aim: one.fresh(number).mean for number, aim in enumerate(aims)},
        "base_values": {aim: float(one.base_SO[:, number].mean()) for number, aim in enumerate(aims)},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _experiment(study: Study, winners: Sequence[Winner], written: Mapping[int, Path | None]) -> dict[str, Any]:
    """The experiment that tests winners, derived from the base of the first: each winner against its base and against the same
    wrapper without a circuit; as many of these contrasts are declared as an experiment allows."""
    rule = (
        {"threshold": "f1"} if any(one.labelled for one in study.objectives) else {}
    )  # a winner chosen by labels belongs to a labelled track
    bases = {one.entrant.name: one.entrant.contender for one in winners}
    tables = [_table(contender, contender.name, rule) for contender in bases.values()]
    contrasts = []
    controls = []
    for one in winners:
        name, path = _called(study, one), written[id(one)]
        contender = one.contender
        if path is not None:
            known = path.parent.resolve() == (names.data_folder("circuits") / "found").resolve()
            chosen = documents.override_value(contender.params, "core.ansatz", path.stem if known else str(path.resolve()))
            contender = replace(contender, params=chosen)
        tables.append(_table(contender, name, rule))
        contrasts.append([name, one.entrant.name])
        if contender.control is None and circuit_of(contender.build()) is not None:
            tables.append({"name": f"{name} same-wrapper", "like": name, "control": "same-wrapper"})
            controls.append([name, f"{name} same-wrapper"])
    firsts = list({one.entrant.name: one for one in reversed(winners)}.values())[::-1]
    equal = [  # searched with equal budgets, unlike the bases
        [_called(study, one), _called(study, firsts[0])]
        for one in firsts[1:]
        if study.track(one.entrant) == study.track(firsts[0].entrant)
    ]
    judge = {
        **study.base.document.get("judge", {}),
        "seeds": max(study.base.judge.seeds, *(len(one.fresh_SO) for one in winners)),
        "contrasts": [*equal, *contrasts, *controls][:MAX_CONTRASTS],
    }
    return {
        "name": f"{study.name}-winners",
        "question": f"Do the winners of the study {study.name} hold on test windows, next to the contenders they were made from?",
        "data": documents.plain(study.base.document["data"]),
        "contender": tables,
        "judge": judge,
    }


def _table(contender: Contender, name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    control = {} if contender.control is None else {"control": contender.control}
    return {"name": name, "detector": contender.detector, **control, **documents.plain(contender.params), **rule}


def _warnings(study: Study, winners: Sequence[Winner]) -> list[str]:
    """A warning that names all winners and bases still improving at their last epoch; empty if there are none."""
    found = {one.entrant.name: one.base_ended for one in winners} | {_called(study, one): one.ended for one in winners}
    return convergence.warning(found, "their values, gaps and verdicts depend")


def _text(study: Study, rows: Sequence[Mapping[str, Any]], seeds: int, experiment: Path, warnings: Sequence[str]) -> str:
    several = len(study.objectives) > 1
    shown = [
        {
            "contender": row["contender"],
            "trial": row["trial"],
            "objective": row["objective"],
            "study": f"{row['study']:.5g}",
            "fresh [95 %]": _span(row, "fresh"),
            "gap": f"{row['gap']:+.3g}",
            "base, fresh": f"{row['base']:.5g}",
            "better than base by [95 %]": _span(row, "gain"),
            "p (Holm)": "exact" if row["exact"] else "-" if row["p"] is None else f"{row['p']:.3g}",
            "verdict": row["verdict"],
            "still improving": row["still improving"],
            "base still improving": row["base still improving"],
        }
        | ({"on the fresh front": "yes" if row["on the fresh front"] else "no"} if several else {})
        for row in rows
    ]
    tests = sum(row["p"] is not None for row in rows)
    least = _least(tests, seeds)
    parts = [
        f"# Winners of {escape.markdown(study.name)}",
        f"Trained again on {seeds} fresh seeds, which no trial of the study had, on the same validation windows; the base is the "
        "contender as its experiment has it, under the same seeds. The gap is the study's value minus the fresh mean: what the "
        "choice of the best owes to luck.",
        *(f"- {escape.markdown(f'warning: {text}')}" for text in warnings),
        escape.table(shown, "github"),
        convergence.NOTE,
        f"Of {tests} differences that have a p, the smallest that {seeds} seeds can give is {least:.3g}."
        + ("" if least <= ALPHA else f" Nothing can be told apart at {ALPHA}: take more seeds.")
        + " What seeds do not change has no p: counts of the circuit are exact, a measured value without randomness is one value.",
        "Intervals, p and verdicts speak of new seeds on these very validation windows, and of no others.",
        f"Test windows were not read. They are judged once, by `qlogad run {experiment}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _span(row: Mapping[str, Any], name: str) -> str:
    """A mean with its interval; without one if all seeds gave the same value."""
    low, high = row[f"{name} low"], row[f"{name} high"]
    return f"{row[name]:.4g} [{low:.4g}, {high:.4g}]" if high > low else f"{row[name]:.4g}"
