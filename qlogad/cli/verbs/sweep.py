"""Search designs and parameters on validation windows; finished trials are kept, so a killed sweep continues.

Example: qlogad sweep quickstart --workers 2
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qlogad.cli import printing
from qlogad.cli.board import Board
from qlogad.cli.options import Fresh, Json, Out, Workers
from qlogad.errors import QlogadError

if TYPE_CHECKING:
    from qlogad.sweep.run import Onlooker
    from qlogad.sweep.study import Study

__all__ = ["verb"]


def verb(
    study: Annotated[str, typer.Argument(help="A study file (*.sweep.toml), or the name of a shipped one.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set trials=20")
    ] = None,
    out: Out = Path("results"),
    workers: Workers = 1,
    fresh: Fresh = False,
    storage: Annotated[
        str | None,
        typer.Option(help="A journal file, or postgresql://user@host/db; all sweeps that name the same one share the work."),
    ] = None,
    winners: Annotated[
        int,
        typer.Option(min=0, max=1000, metavar="SEEDS", help="Then train the best trial, or the front, on this many fresh seeds."),
    ] = 0,
    as_json: Json = False,
) -> None:
    from qlogad.sweep import run
    from qlogad.sweep.study import Study

    loaded, processes = Study.load(study, overrides or ()), workers or os.cpu_count() or 1
    with Board() as board:
        found = run.run(loaded, out, workers=processes, fresh=fresh, storage=storage, watch=cast("Onlooker", board))
    if not winners:
        printing.result(found.rows, found.text, as_json)
        printing.warn(found.warnings)
    printing.note(f"report: {found.folder / 'table.md'}")
    if found.barren:
        raise QlogadError(f"no trial of {' and '.join(found.barren)} completed; see the causes in {found.folder / 'table.md'}")
    if winners:
        _train_winners(loaded, out, winners, processes, storage, as_json)


def _train_winners(study: Study, out: Path, seeds: int, workers: int, storage: str | None, as_json: bool) -> None:
    from qlogad.sweep.winners import rerun

    with Board() as board:
        won = rerun(study, out, seeds=seeds, workers=workers, storage=storage, watch=cast("Onlooker", board))
    printing.result(won.rows, won.text, as_json)
    printing.warn(won.warnings)
    for path in (won.experiment, *won.designs):
        printing.note(f"written: {path}")
