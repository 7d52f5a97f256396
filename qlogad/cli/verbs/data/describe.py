"""Read a data set and summarise it: lines, quarantine, templates, windows, labels, cuts.

Example: qlogad data describe synthetic --set lines=20000
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json, Set
from qlogad.cli.progress import Progress

__all__ = ["verb"]


def verb(
    name: Annotated[str, typer.Argument(help="A dataset, or an experiment file with a [data] table.")],
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    from qlogad.catalogue import data

    with Progress() as progress:
        facts = data.describe(name, overrides or (), progress.preparing)
    printing.result(facts, data.facts_text(facts), as_json)
