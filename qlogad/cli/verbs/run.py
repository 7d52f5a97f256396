"""Run an experiment; finished cells are kept, so a killed run continues.

Example: qlogad run experiments/quickstart.toml --set judge.seeds=2
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qlogad.cli import printing
from qlogad.cli.options import Fresh, Json, Out, Set, Workers
from qlogad.cli.progress import Progress
from qlogad.errors import QlogadError, counted

if TYPE_CHECKING:
    from qlogad.experiment.watch import Watch

__all__ = ["verb"]


def verb(
    experiment: Annotated[str, typer.Argument(help="An experiment file, or the name of a shipped one.")],
    overrides: Set = None,
    out: Out = Path("results"),
    workers: Workers = 0,
    fresh: Fresh = False,
    storage: Annotated[
        str | None, typer.Option(help="postgresql://user@host/database, for machines that share --out to work on one run.")
    ] = None,
    as_json: Json = False,
) -> None:
    from qlogad.experiment import Experiment
    from qlogad.jobs.attempts import next_step
    from qlogad.report import convergence
    from qlogad.report.table import summary
    from qlogad.run import run

    with Progress() as progress:
        loaded = Experiment.load(experiment, overrides or ())
        record = run(loaded, out, workers=workers, fresh=fresh, storage=storage, watch=cast("Watch", progress))
    printing.result(record.rows, "" if as_json else summary(record), as_json)
    printing.warn(convergence.warnings(record))
    printing.note(f"report: {out / loaded.name / 'table.md'}")
    if record.reused:
        cells = counted(len(record.cells) + len(record.failed), "cell")
        printing.note(f"{record.reused} of {cells} were finished by an earlier run and reused; --fresh runs them again")
    for what, cause in record.failed.items():
        printing.note(f"failed: {what}: {cause}")
    if record.failed:
        raise QlogadError(f"{counted(len(record.failed), 'cell')} failed: {next_step(next(iter(record.failed.values())))}")
