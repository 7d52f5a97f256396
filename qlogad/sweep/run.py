"""Run a study: prepare the ground once, enqueue proposed points, run the trials, write the results. Killed, the same call continues.

results/<study>/   trials.csv (every trial), table.md (the best, or the front), manifest.json; what can be regenerated stays local:
                   designs/ (built row by row), work/ (features) and journal.log (the storage, unless another is given)
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study as Trials
from optuna.trial import FixedTrial, FrozenTrial

from qlogad import documents, files, seeds
from qlogad.backend.exact.planner import Speeds, speeds_of
from qlogad.circuit.circuit import Circuit
from qlogad.errors import MissingExtra, QlogadError, ResultError
from qlogad.experiment.cell import code_of, designs_of
from qlogad.experiment.ground import Ground, held_ground, open_source
from qlogad.experiment.watch import WAITING, Watch
from qlogad.jobs.address import check_place
from qlogad.jobs.attempts import attempts, over
from qlogad.jobs.storage import open_storage
from qlogad.jobs.workers import drive
from qlogad.sweep import figures
from qlogad.sweep.results import SHOWN, Finished, PreparedStudy, before, best, params_of, standing, trials_of, write
from qlogad.sweep.space import ChoiceAxis, IntAxis, Value
from qlogad.sweep.study import FORETOLD, MAX_TRIALS, Entrant, Study
from qlogad.sweep.trial import TrialJob

__all__ = ["Onlooker", "Samplers", "called", "fill", "foretell", "job_of", "prepare", "pruner", "run"]

PATIENCE = 30.0  # seconds to wait for another process that is creating the study
_LOOK = 0.5  # seconds between two updates of the standing


class Onlooker(Watch):
    """Callbacks of a sweep; each does nothing unless overridden."""

    def standing(self, text: str, ended: int, total: int | None) -> None:
        """The best trials so far as text, and how many trials of the total are finished."""


def run(
    study: Study,
    out: str | Path = "results",
    *,
    workers: int = 1,
    fresh: bool = False,
    storage: str | None = None,
    watch: Onlooker | None = None,
) -> Finished:
    """Run the missing trials of a study, and write `out/<name>/`.

    Args:
        study: what to search.
        out: the folder of results folders.
        workers: number of processes. A script that uses several needs `if __name__ == "__main__":`.
        fresh: discard the trials of earlier calls.
        storage: the path of a journal file, or postgresql://user@host/database, for several processes or machines on one study. None: a
            journal in the results folder.
        watch: callbacks for progress; silent by default.

    Raises:
        InputError: the study or its data cannot be used.
        ResultError: the storage holds a different study of this name.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    watch = watch or Onlooker()
    folder = Path(out) / study.name
    place = storage or str(folder / "journal.log")
    check_place(place)
    study.base.data.open()  # fails before anything is written
    forget = partial(_forget, study, place, folder) if fresh else None
    with files.at_work(folder, forget, partial(watch.preparing, WAITING, 1)):
        prepared = prepare(study, folder, watch.preparing)
        watch.prepared(before(prepared))
        found, trials, circuits = {}, {}, {}
        for entrant in study.entrants:
            job = _opened(prepared, entrant, place, watch)
            trials[entrant.name] = _driven(study, entrant, job, place, workers, watch)
            found[entrant.name] = trials_of(study, entrant, trials[entrant.name])
            circuits[entrant.name] = _circuits(job, entrant, best(study, found[entrant.name])[:SHOWN])
        finished = write(prepared, found, place)
        figures.write(study, trials, circuits, folder)
        return finished


def prepare(study: Study, folder: Path, progress: Callable[[str, int], None]) -> PreparedStudy:
    """Read the data once and save the part that trials may use, without test windows.

    Args:
        study: its base defines the data.
        folder: the study's results folder.
        progress: called with a step and a count.
    """
    data = documents.override_value(documents.plain(study.base.data), "split.cuts", list(study.cuts))
    held = documents.from_mapping(type(study.base.data), data, study.name)
    source = open_source(held, lambda lines: progress("lines read", lines))
    files.write(folder / ".gitignore", "work/\nartifacts/\ndesigns/\njournal.log*\n.gitignore\n")
    views = sorted({view for entrant in study.entrants for view in entrant.contender.reads} | {"ids"})
    inject = study.settings.inject if "injected-average-precision" in study.settings.objectives else None
    grounds: list[Ground] = []
    for number in range(len(study.cuts)):
        grounds.append(held_ground(held, source, views, cut=number, inject=inject))
        grounds[-1].save(folder / "work")
        progress("cuts prepared", number + 1)
    told = tuple(f"cut {one.cut}: {text}" for one in grounds for text in one.warnings if "test anomal" not in text)
    digest = documents.digest([one.of(views).digest(views) for one in grounds])
    return PreparedStudy(study, folder, tuple(one.cut for one in grounds), digest, told)


def job_of(prepared: PreparedStudy, entrant: Entrant, speeds: Mapping[str, Speeds], bars: tuple[float, ...]) -> TrialJob:
    """The job of the workers for one contender."""
    return TrialJob(prepared.study, entrant.name, str(prepared.folder), prepared.cuts, speeds, bars)


# ---------------------------------------------------------------- samplers and pruners


@dataclass(frozen=True)
class Samplers:
    """The sampler of each trial of one contender, seeded by the study's seed and the trial's index; picklable."""

    study: Study
    entrant: str

    def __call__(self, index: int) -> BaseSampler:
        settings = self.study.settings
        seed = seeds.derive(settings.seed, "sampler", self.entrant, index) % 2**32
        population = max(4, min(50, (settings.trials or 0) // 8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            match settings.sampler:
                case "nsga2":
                    return NSGAIISampler(seed=seed, population_size=population)
                case "nsga3":
                    return NSGAIIISampler(seed=seed, population_size=population)
                case "gp":
                    return GPSampler(seed=seed, warn_independent_sampling=False)
                case "cma-es":
                    return _cma_es(seed)
                case "tpe":
                    return TPESampler(multivariate=True, group=True, seed=seed)
                case "random" | "grid" | "qmc":  # all their points were enqueued by `foretell`
                    return RandomSampler(seed)


def _cma_es(seed: int) -> BaseSampler:
    if find_spec("cmaes") is None:  # Optuna imports it only at the second trial
        raise MissingExtra("cmaes", "cma")
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _proposer(study: Study, entrant: Entrant) -> BaseSampler:
    """The sampler that proposes all points in advance."""
    seed = seeds.derive(study.settings.seed, "sampler", entrant.name) % 2**32
    match study.settings.sampler:
        case "qmc":
            return QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False)
        case _:
            return RandomSampler(seed)


def foretell(study: Study, entrant: Entrant) -> list[dict[str, Value]]:
    """All points of a sampler whose proposals do not depend on results, known points first; [] for other samplers."""
    if study.settings.sampler == "grid":
        return _grid(study, entrant)[: study.settings.trials]

    def propose(trial: optuna.Trial) -> float:
        entrant.space.suggest(trial)
        return 0.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        trials = optuna.create_study(sampler=_proposer(study, entrant))
        for point in entrant.first:
            trials.enqueue_trial(dict(point))
        trials.optimize(propose, n_trials=study.settings.trials)
    return [dict(trial.params) for trial in trials.get_trials(deepcopy=False)]


def _grid(study: Study, entrant: Entrant) -> list[dict[str, Value]]:
    """All points of the grid in random order; a known point is completed from the first grid point that matches it."""
    points = list(entrant.space.points())
    seeds.generator(study.settings.seed, "sampler", entrant.name).shuffle(points)
    first = []
    for known in entrant.first:
        fits = (place for place, point in enumerate(points) if known.items() <= point.items())
        first += [points.pop(place) for place in [*fits][:1]]
    return first + points


def pruner(study: Study, entrant: Entrant) -> BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match study.settings.pruner:
            case "hyperband":
                return HyperbandPruner(min_resource=1, max_resource=_epochs(entrant))
            case "median":
                return MedianPruner(n_startup_trials=5, n_warmup_steps=1)
            case "wilcoxon":
                return WilcoxonPruner(p_threshold=0.1)
            case "none":
                return NopPruner()


def _epochs(entrant: Entrant) -> int:
    """The largest number of epochs of a trial."""
    axis = entrant.space.axes.get("epochs")
    if isinstance(axis, IntAxis):
        return axis.int[1]
    if isinstance(axis, ChoiceAxis):
        return max(int(value) for value in axis.choice)
    return int(entrant.contender.build().get_params(deep=False)["epochs"])


# ---------------------------------------------------------------- one contender


FRESH = "fresh seeds"  # suffix, after the contender's name, for the trainings of winners


def called(study: Study, entrant: Entrant) -> str:
    """The name of a contender's trials in the storage."""
    return f"{study.name}: {entrant.name}"


def _forget(study: Study, place: str, folder: Path) -> None:
    storage = open_storage(place)
    there = {summary.study_name for summary in optuna.get_all_study_summaries(storage=storage)}
    for name in (called(study, entrant) for entrant in study.entrants):
        for one in sorted(there):
            if one == name or one.startswith(f"{name}: {FRESH} "):
                optuna.delete_study(study_name=one, storage=storage)
    for name in ("work", "designs", "artifacts", "found"):
        files.remove(folder / name, folders=True)
    for name in ("trials.csv", "table.md", "manifest.json", "winners.md", "winners.toml", *figures.FILES):
        files.remove(folder / name)


def _opened(prepared: PreparedStudy, entrant: Entrant, place: str, watch: Watch) -> TrialJob:
    """Create a contender's trials unless another process has; returns the workers' job."""
    storage, name = open_storage(place), called(prepared.study, entrant)
    try:
        trials = optuna.create_study(storage=storage, study_name=name, directions=prepared.study.directions)
    except DuplicatedStudyError:
        trials = optuna.load_study(storage=storage, study_name=name)
        _await(trials, watch)
    return fill(prepared, entrant, trials, watch)


def fill(prepared: PreparedStudy, entrant: Entrant, trials: Trials, watch: Watch) -> TrialJob:
    """Complete a contender's trials: identity, speeds, bars of the rungs, the points tried first; returns the workers' job.

    Raises:
        ResultError: they belong to another study.
        MissingExtra: the sampler needs a package that is not installed.
    """
    study = prepared.study
    Samplers(study, entrant.name)(0)  # a missing package fails here, not in every trial
    named = entrant.contender.build().get_params(deep=False), entrant.space.axes, entrant.known
    parts = {
        "the study file or its experiment": study.identity(),
        "the data": prepared.grounds,
        "a circuit design": documents.digest(*designs_of(*named)),
        "the code": code_of(entrant.contender.detector, entrant.contender.reads, *named),
    }
    mark = documents.digest(*parts.values())
    if "ready" not in trials.user_attrs:
        trials.set_user_attr("identity", mark)
        trials.set_user_attr("parts", parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            trials.set_metric_names(list(study.settings.objectives))
        speeds = _speeds(entrant)
        trials.set_user_attr("rates", documents.plain(speeds))
        trials.set_user_attr("bars", _bars(job_of(prepared, entrant, speeds, ()), watch))
        trials.set_user_attr("ready", True)
    stored = trials.user_attrs
    if stored["identity"] != mark:
        changed = [name for name, part in parts.items() if stored.get("parts", parts).get(name) != part] or ["something"]
        raise ResultError(
            f"there is another study '{trials.study_name}': {' and '.join(changed)} changed since it began; give this one another "
            "name, or start over with --fresh"
        )
    _enqueue(study, entrant, trials)
    speeds = {kind: documents.from_mapping(Speeds, table, trials.study_name) for kind, table in stored["rates"].items()}
    return job_of(prepared, entrant, speeds, tuple(stored["bars"]))


def _await(trials: Trials, watch: Watch) -> None:
    """Wait for the process that is creating the trials; if it has ended, this caller takes over."""
    end = time.monotonic() + PATIENCE
    while "ready" not in trials.user_attrs and time.monotonic() < end:
        watch.preparing("waiting for the process that is creating this study, seconds left", round(end - time.monotonic()))
        time.sleep(_LOOK)


def _speeds(entrant: Entrant) -> dict[str, Speeds]:
    import torch

    name = entrant.contender.build().get_params(deep=False).get("device")
    return {} if name is None else {torch.device(name).type: speeds_of(torch.device(name))}


def _enqueue(study: Study, entrant: Entrant, trials: Trials) -> None:
    """Enqueue the points tried first: all points if the sampler's proposals do not depend on results."""
    points = foretell(study, entrant) if study.settings.sampler in FORETOLD else [dict(point) for point in entrant.first]
    there = attempts(trials.get_trials(deepcopy=False))
    for index, point in enumerate(points[: study.settings.trials]):
        if index not in there:
            trials.enqueue_trial(point, user_attrs={"index": index})


def _bars(job: TrialJob, watch: Watch) -> list[float]:
    """Measure the bar of each rung: the value reached by the share `keep` of random points of the space (less is better)."""
    study = job.study
    space = study.entrant(job.entrant).space
    bars = []
    for number, rung in enumerate(study.settings.rung):
        random = optuna.create_study(sampler=RandomSampler(seeds.derive(study.settings.seed, "rung", number, job.entrant) % 2**32))
        found: list[float] = []
        for tried in range(20 * rung.sample):
            try:
                point = job.point(*space.suggest(random.ask()))
                if point.circuit is not None or rung.proxy == "loss":
                    found.append(rung.sign * job.proxy(rung, point))
            except QlogadError:
                continue
            watch.preparing(f"rung {number + 1}, {rung.proxy} of random points", len(found))
            if len(found) == rung.sample or (tried >= rung.sample and not found):
                break
        bars.append(float(np.quantile(found, rung.keep)) if found else math.inf)
    return bars


def _driven(study: Study, entrant: Entrant, job: TrialJob, place: str, workers: int, watch: Onlooker) -> Trials:
    """Run the contender's trials until the budget is used up."""
    settings, name = study.settings, called(study, entrant)
    looked, began = [0.0], time.monotonic()
    before = optuna.load_study(storage=open_storage(place), study_name=name).get_trials(deepcopy=False)
    left = None if settings.seconds is None else max(0.0, settings.seconds - _spent(before))
    total = settings.trials
    if settings.sampler in FORETOLD:
        total = min(len(attempts(before)), settings.trials or MAX_TRIALS)

    def look(trials: Trials) -> None:
        if time.monotonic() - looked[0] >= _LOOK:
            looked[0] = time.monotonic()
            rows = trials_of(study, entrant, trials)
            seconds = None if left is None else left - (time.monotonic() - began)
            watch.standing(standing(study, entrant, rows, total, seconds), len(rows), total)

    driven = drive(
        place,
        name,
        job,
        directions=study.directions,
        trials=total,
        seconds=left,
        workers=workers,
        sampler=Samplers(study, entrant.name),
        pruner=pruner(study, entrant),
        watch=look,
    )
    looked[0] = -math.inf
    look(driven)
    return driven


def _circuits(job: TrialJob, entrant: Entrant, rows: Sequence[Mapping[str, Any]]) -> dict[str, Circuit]:
    """The circuits of some trials, by title."""
    found = {f"trial {row['index']}": job.point(*entrant.space.suggest(FixedTrial(params_of(row)))).circuit for row in rows}
    return {title: circuit for title, circuit in found.items() if circuit is not None}


def _spent(trials: Sequence[FrozenTrial]) -> float:
    """Seconds during which at least one finished trial was running; interrupted ones do not count."""
    spans = sorted(
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        for trial in trials
        if trial.datetime_start and trial.datetime_complete and over(trial)
    )
    spent, reached = 0.0, -math.inf
    for begin, end in spans:
        spent += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return spent
