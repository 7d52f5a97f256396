"""Running an experiment: prepare the ground, say what it can show, run the cells that are missing, write the record.

Cells run in worker processes (one torch thread each); the parent only prepares and collects. A run killed at any instant continues
from the cells that were finished.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from shutil import rmtree

from qlogad import documents
from qlogad.errors import QlogadError, ResultError
from qlogad.experiment.cell import PARTS, Cell, Outcome, read_outcome, remember_code, run_cell
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import Ground, Source, ground, open_source, splits

__all__ = ["Executed", "Prepared", "cells", "execute", "outcomes", "prepare"]


@dataclass(frozen=True)
class Executed:
    """What became of the cells of a run."""

    reused: int  # were finished before
    failed: dict[str, str]  # identity -> cause; tried again by the next run


@dataclass(frozen=True, eq=False)
class Prepared:
    """An experiment with its ground: all that is known before training."""

    experiment: Experiment
    folder: Path
    source: Source
    grounds: tuple[Ground, ...]


def prepare(experiment: Experiment, folder: Path, progress: Callable[[str, int], None], *, fresh: bool = False) -> Prepared:
    """Read the data, cut the windows, fit the features of every cut and save them for the workers.

    Args:
        folder: the experiment's results folder.
        progress: told what is being done and how far it is (lines read, cuts done).
        fresh: forget cells of earlier runs.
    """
    if fresh:
        for name in ("cells", "work"):
            rmtree(folder / name, ignore_errors=True)
    source = open_source(experiment.data, lambda lines: progress("lines read", lines))
    documents.write_atomic(folder / ".gitignore", "cells/\nwork/\nalarms.md\n.gitignore\n")  # what holds log lines stays local
    views = sorted({view for contender in experiment.contenders for view in type(contender.build()).reads} | {"ids"})
    grounds = []
    for number, _ in enumerate(splits(experiment.data, source)):
        made = ground(experiment.data, source, views, cut=number)
        made.save(folder / "work")
        grounds.append(made)
        progress("cuts prepared", number + 1)
    return Prepared(experiment, folder, source, tuple(grounds))


def cells(prepared: Prepared) -> list[Cell]:
    """Every cell of the experiment: cut by cut, contender by contender; a detector without randomness has one seed."""
    experiment = prepared.experiment
    found = []
    for made in prepared.grounds:
        for contender in experiment.contenders:
            random = "seed" in contender.build().get_params(deep=False)
            for seed in range(experiment.judge.seeds if random else 1):
                found.append(
                    Cell(
                        contender,
                        seed,
                        made.cut,
                        experiment.data.training,
                        made.base,
                        made.digest(),
                        tuple(len(getattr(made, name).features) for name in PARTS),
                        str(prepared.folder / "work"),
                        str(prepared.folder / "cells"),
                    )
                )
    return found


def execute(wanted: Sequence[Cell], *, workers: int, done: Callable[[Cell, str | None], None]) -> Executed:
    """Run the cells that have no outcome yet; `done` hears of every cell as it finishes."""
    reused = 0
    failed: dict[str, str] = {}
    missing: list[Cell] = []
    equal: dict[str, list[Cell]] = {}  # contenders with equal parameters share a cell
    for cell in wanted:
        equal.setdefault(cell.identity, []).append(cell)
    for same in equal.values():
        if read_outcome(same[0]) is None:
            missing.append(same[0])
        else:
            reused += len(same)
            for cell in same:
                done(cell, None)
    if not missing:
        return Executed(reused, failed)
    detectors = sorted({cell.contender.detector for cell in missing})
    with ProcessPoolExecutor(
        min(workers, len(missing)), mp_context=get_context("spawn"), initializer=_start, initargs=(detectors,)
    ) as pool:
        running: dict[Future[str | None], Cell] = {pool.submit(run_cell, cell): cell for cell in missing}
        try:
            for future in as_completed(running):
                cell = running[future]
                cause = future.result()
                if cause is None and read_outcome(cell) is None:
                    cause = "its outcome is not where it belongs: did somebody change the results folder during the run?"
                if cause is not None:
                    failed[cell.identity] = cause
                for like_it in equal[cell.identity]:
                    done(like_it, cause)
        except BrokenProcessPool as error:
            raise QlogadError("a worker process died (out of memory, or killed); run the same command again to continue") from error
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Executed(reused, failed)


def outcomes(wanted: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """The finished cells with what they left behind.

    Raises:
        ResultError: contenders of one cut did not stand on the same base.
    """
    bases: dict[str, str] = {}
    views: dict[tuple[str, str], str] = {}
    for cell in wanted:
        outcome = read_outcome(cell)
        if outcome is None:
            continue
        base = bases.setdefault(cell.cut, outcome.facts["base"])
        if outcome.facts["base"] != base:
            raise ResultError(f"cut {cell.cut}: contender '{cell.contender.name}' stood on other features than the rest")
        for name, digest in outcome.facts["views"].items():
            if views.setdefault((cell.cut, name), digest) != digest:
                raise ResultError(f"cut {cell.cut}: contender '{cell.contender.name}' read another view '{name}' than the rest")
        yield cell, outcome


def _start(detectors: Sequence[str]) -> None:
    """A worker's first act: one thread, the code as it is now, and an end when the parent is gone."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    remember_code(detectors)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: object) -> None:
    parent.join()  # type: ignore[attr-defined]
    os._exit(1)
