"""List what can be named in an experiment.

Example: qlogad list ansatz --analyse --sort expressibility
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad import names
from qlogad.cli import printing
from qlogad.cli.options import Json
from qlogad.cli.progress import Progress

__all__ = ["verb"]

_KINDS = ", ".join(f"{kind}s" for kind in names.KINDS)


def verb(
    kind: Annotated[str, typer.Argument(help=f"{_KINDS}, ansatz, encoding, formats, experiments, studies or objectives.")],
    analyse: Annotated[bool, typer.Option("--analyse", help="For ansatz and encoding: measure every circuit.")] = False,
    sort: Annotated[str, typer.Option(help="The column to sort by.")] = "name",
    wires: Annotated[int | None, typer.Option(help="For ansatz and encoding: number of wires; 4 by default.")] = None,
    depth: Annotated[int | None, typer.Option(help="For ansatz: number of layers; 1 by default.")] = None,
    as_json: Json = False,
) -> None:
    from qlogad.catalogue import listing

    if analyse:
        with Progress() as progress:
            rows = listing.analysed(kind, wires=wires, depth=depth, sort=sort, progress=progress.preparing)
    else:
        rows = listing.rows(kind, wires=wires, depth=depth, sort=sort)
    printing.table(rows, as_json)
