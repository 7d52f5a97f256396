"""Run an experiment, from its file to its record: prepare the data, run the missing cells, evaluate, write the results folder."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from qlogad import files
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.runner import cells, execute, forget, prepare
from qlogad.experiment.watch import WAITING, Watch
from qlogad.jobs.address import check_place
from qlogad.report import alarm_lines, quarantine
from qlogad.report.folder import write
from qlogad.report.gather import begun, ended
from qlogad.report.record import Record
from qlogad.report.table import before

__all__ = ["run"]


def run(
    experiment: Experiment,
    out: str | Path = "results",
    *,
    workers: int = 0,
    fresh: bool = False,
    storage: str | None = None,
    watch: Watch | None = None,
) -> Record:
    """Run the missing cells, evaluate all of them, write `out/<name>/`. Killed at any instant, the same call continues.

    Args:
        experiment: what to run; `Experiment.load` reads one.
        out: the folder of results folders.
        workers: number of processes; 0 means one per core. A script that calls this needs `if __name__ == "__main__":`.
        fresh: discard the finished cells of earlier runs.
        storage: postgresql://... for several machines that share `out`; by default a journal in the results folder.
        watch: callbacks for progress; silent by default.

    Raises:
        InputError: the document or its data cannot be used.
        QlogadError: workers cannot start, or the storage is unavailable.
    """
    if storage is not None:
        check_place(storage)
    experiment.data.open()  # fails before anything is written
    watch, folder = watch or Watch(), Path(out) / experiment.name
    with files.at_work(folder, partial(forget, folder) if fresh else None, partial(watch.preparing, WAITING, 1)):
        prepared = prepare(experiment, folder, watch.preparing)
        source = prepared.source
        page = quarantine.text_of(experiment.name, source.dataset, source.events)
        if page is None:
            files.remove(folder / "quarantine.md")
        else:
            files.write(folder / "quarantine.md", page)
        record = begun(prepared)
        watch.prepared(before(record))
        wanted = cells(prepared)
        executed = execute(
            wanted,
            speeds=prepared.speeds,
            workers=workers or os.cpu_count() or 1,
            storage=storage,
            done=lambda cell, cause: watch.finished(str(cell), len(wanted)),
        )
        record = ended(record, prepared, wanted, executed)
        record = replace(record, written=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        write(record, folder, watch.preparing)
        if record.cells:
            files.write(folder / "alarms.md", alarm_lines.text_of(record, prepared.grounds[-1], prepared.source))
        return record
