"""Run an experiment: prepare the ground, estimate its power, run the missing cells, collect their outcomes.

Cells are trials of a study, run by worker processes (qlogad.jobs.workers) on one machine or several; the parent process only
prepares and collects. A run killed at any instant continues from its finished cells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from qlogad import documents, files
from qlogad.errors import InputError, ResultError
from qlogad.experiment.cell import PARTS, Cell, CellOutcome, read_outcome, remember_code, run_cell
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.fit_rule import is_random
from qlogad.experiment.ground import Ground, Source, ground, open_source, splits
from qlogad.features.preprocessor import Preprocessor
from qlogad.features.view import any_apart

if TYPE_CHECKING:
    from optuna import Study, Trial

    from qlogad.backend.exact.planner import Speeds

__all__ = ["Executed", "PreparedRun", "cells", "execute", "forget", "outcomes", "prepare", "preprocessor_file"]


@dataclass(frozen=True)
class Executed:
    """What happened to the cells of a run."""

    reused: int  # finished by earlier runs
    failed: dict[str, str]  # identity -> cause; the next run tries these again


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """An experiment with its ground: everything known before training."""

    experiment: Experiment
    folder: Path
    source: Source
    grounds: tuple[Ground, ...]
    speeds: Mapping[str, Speeds]  # of every device that may run circuits


def forget(folder: Path) -> None:
    """Discard the cells of earlier runs."""
    for name in ("cells", "work"):
        files.remove(folder / name, folders=True)


def prepare(experiment: Experiment, folder: Path, progress: Callable[[str, int], None]) -> PreparedRun:
    """Read the data, cut the windows, fit the features of every cut and save them for the workers.

    Args:
        folder: the experiment's results folder.
        progress: called with a step and a count (lines read, cuts prepared).
    """
    source = open_source(experiment.data, lambda lines: progress("lines read", lines))
    files.write(
        folder / ".gitignore", "cells/\nwork/\nalarms.md\nquarantine.md\n.gitignore\n"
    )  # files that contain log lines stay local
    views = sorted({view for contender in experiment.contenders for view in contender.reads} | {"ids"})
    grounds = []
    for number, _ in enumerate(splits(experiment.data, source)):
        made = ground(experiment.data, source, views, cut=number)
        made.save(folder / "work")
        _keep_preprocessor(experiment, source, made, folder)
        grounds.append(made)
        progress("cuts prepared", number + 1)
    return PreparedRun(experiment, folder, source, tuple(grounds), _speeds(experiment, grounds, folder / "work"))


def preprocessor_file(folder: Path, cut: str) -> Path:
    """The file with a cut's fitted feature pipeline; it contains templates, and so words of the log."""
    return folder / "work" / f"{cut}.preprocessor.json"


def _keep_preprocessor(experiment: Experiment, source: Source, made: Ground, folder: Path) -> None:
    assert made.pipeline is not None
    training = source.windows.take(made.train.windows_W)
    found = Preprocessor.of(experiment.data.dataset, source.dataset, source.window, made.pipeline, training)
    files.write_facts(preprocessor_file(folder, made.cut), found.state())


def _speeds(experiment: Experiment, grounds: Sequence[Ground], folder: Path) -> dict[str, Speeds]:
    """The speeds that the engine plans with: measured once by the first process of a run, reused by all workers, hosts and reruns."""
    named = {str(contender.build().get_params(deep=False).get("device", "")) for contender in experiment.contenders} - {""}
    if not named:  # no circuits, so torch need not be imported
        return {}
    from torch import device

    from qlogad.backend.exact.planner import speeds_of

    found = {}
    for name in sorted(named):
        kind = device(name).type
        path = folder / f"rates-{kind}.json"
        if (kept := _kept_speeds(path)) is None:
            files.remove(path)  # if it exists, it is damaged
            made = replace(speeds_of(device(name)), compiled=_compiling_pays(experiment, grounds))
            files.write_once(path, files.facts_text(documents.plain(made)))
            kept = _kept_speeds(path)
        found[kind] = kept or speeds_of(device(name))
    return found


def _compiling_pays(experiment: Experiment, grounds: Sequence[Ground]) -> bool:
    """Whether compiled kernels save more time over all cells of a run than compilation takes.

    Kernels already compiled on this machine do not count: kernels and torch loops agree to rounding only, and a repeated run must
    give the same numbers.
    """
    from qlogad.nn.kernel_speed import COMPILING

    detectors = [contender.build() for contender in experiment.contenders]
    saved = sum(detector.compiling_saves(made.of(detector.reads).train.features) for detector in detectors for made in grounds)
    return experiment.judge.seeds * saved > COMPILING


def _kept_speeds(path: Path) -> Speeds | None:
    from qlogad.backend.exact.planner import Speeds

    try:
        return documents.from_mapping(Speeds, files.read_facts(path), str(path))
    except InputError:
        return None


def cells(prepared: PreparedRun) -> list[Cell]:
    """Every cell of the experiment, by cut, then by contender; a detector without randomness has one seed."""
    experiment = prepared.experiment
    found = []
    for whole in prepared.grounds:
        for contender in experiment.contenders:
            made = whole.of(contender.reads)
            for seed in range(experiment.judge.seeds if is_random(contender.build()) else 1):
                found.append(
                    Cell(
                        contender,
                        seed,
                        made.cut,
                        experiment.data.training,
                        made.base,
                        made.digest(contender.reads),
                        tuple(len(getattr(made, name).features) for name in PARTS),
                        str(prepared.folder / "work"),
                        str(prepared.folder / "cells"),
                    )
                )
    return found


def execute(
    wanted: Sequence[Cell],
    *,
    speeds: Mapping[str, Speeds],
    workers: int,
    done: Callable[[Cell, str | None], None],
    storage: str | None = None,
) -> Executed:
    """Run the cells that have no outcome yet, all planned with the same speeds; `done` is called for every cell that finishes.

    The cells are trials of a study: every process that calls this with the same cells and storage takes part. A cell whose worker
    dies is retried a few times, then counts as failed.

    Args:
        storage: of the study, as `open_storage` takes it; by default a journal beside the saved grounds.

    Raises:
        QlogadError: workers cannot start, or the storage is unavailable.
    """
    reused = 0
    failed: dict[str, str] = {}
    equal: dict[str, list[Cell]] = {}  # contenders with equal parameters share a cell
    for cell in wanted:
        equal.setdefault(cell.identity, []).append(cell)
    missing: dict[int, list[Cell]] = {}  # by trial index, which is the same on every machine
    for index, same in enumerate(equal.values()):
        if read_outcome(same[0]) is None:
            missing[index] = same
            continue
        reused += len(same)
        for cell in same:
            done(cell, None)
    if not missing:
        return Executed(reused, failed)

    from qlogad.jobs.attempts import attempts, cause, over
    from qlogad.jobs.storage import begin_anew_if_damaged
    from qlogad.jobs.workers import drive, enqueue

    own = Path(wanted[0].grounds) / "cells.journal"
    if storage is None:
        begin_anew_if_damaged(own)  # only the outcomes of cells matter
    place = storage or str(own)
    study = f"cells {documents.digest(sorted(equal))}"
    job = _CellJob(tuple(same[0] for same in equal.values()), speeds)
    enqueue(place, study, {index: {} for index in missing})
    waiting = dict(missing)

    def watch(study: Study) -> None:
        chains = attempts(study.get_trials(deepcopy=False))
        for index in [index for index in waiting if over(chains[index][-1])]:
            same, why = waiting.pop(index), cause(chains[index][-1])
            if why is None and read_outcome(same[0]) is None:
                why = "its outcome is missing; was the results folder changed during the run?"
            if why is not None:
                failed[same[0].identity] = why
            for cell in same:
                done(cell, why)

    drive(place, study, job, trials=None, workers=min(workers, len(missing)), watch=watch)
    return Executed(reused, failed)


@dataclass(frozen=True)
class _CellJob:
    """The job of a worker: run the cell with the trial's index."""

    cells: tuple[Cell, ...]
    speeds: Mapping[str, Speeds]

    def __call__(self, trial: Trial) -> float:
        """Run the cell; returns the seconds it took, which nothing reads: its result is the written outcome."""
        _ = self._ready
        began = time.perf_counter()
        cell = self.cells[trial.user_attrs["index"]]
        if read_outcome(cell) is None:  # it exists if a worker was killed right after writing it
            why = run_cell(cell)
            if why is not None:
                raise ResultError(why)
        return time.perf_counter() - began

    @cached_property
    def _ready(self) -> bool:
        """Once per worker: load the driver's speeds and the current code."""
        if self.speeds:  # else no circuits, so torch need not be imported
            from qlogad.backend.exact.planner import use

            use(self.speeds)
        remember_code({cell.contender.name: cell.contender for cell in self.cells}.values())
        return True


def outcomes(wanted: Sequence[Cell]) -> Iterator[tuple[Cell, CellOutcome]]:
    """The finished cells with their outcomes.

    Raises:
        ResultError: contenders of one cut used different base features.
    """
    bases: dict[str, str] = {}
    views: dict[tuple[str, bool, str], str] = {}
    for cell in wanted:
        outcome = read_outcome(cell)
        if outcome is None:
            continue
        base = bases.setdefault(cell.cut, outcome.facts["base"])
        if outcome.facts["base"] != base:
            raise ResultError(f"cut {cell.cut}: contender '{cell.contender.name}' used other features than the rest")
        for name, digest in outcome.facts["views"].items():
            if views.setdefault((cell.cut, any_apart(cell.contender.reads), name), digest) != digest:
                raise ResultError(f"cut {cell.cut}: contender '{cell.contender.name}' used another view '{name}' than the rest")
        yield cell, outcome
