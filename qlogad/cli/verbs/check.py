"""Check a detector, backend, data set, parser, view, core, control or circuit design against its contract, by name or as module:Class.

Example: qlogad check length
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json, Set
from qlogad.cli.progress import Progress
from qlogad.errors import QlogadError, counted

__all__ = ["verb"]


def verb(
    name: Annotated[
        str, typer.Argument(help="deeplog, sim14, aer:shots=200, ...; or module:Class, also in the working directory.")
    ],
    kind: Annotated[str | None, typer.Option(help="The kind, if things of several kinds have this name.")] = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    from qlogad import documents
    from qlogad.testing.check import check
    from qlogad.testing.laws import Outcome

    settings: documents.Document = {}
    for assignment in overrides or ():
        settings = documents.override(settings, assignment)
    outcomes: list[Outcome] = []
    with Progress() as progress:

        def tell(outcome: Outcome) -> None:
            outcomes.append(outcome)
            progress.preparing(f"laws, the last: {outcome.law}", len(outcomes))

        kind = check(name, settings, tell, kind=kind)
    broken = [outcome for outcome in outcomes if outcome.broken is not None]
    rows = [{"law": one.law, "result": one.broken or "holds", "seconds": round(one.seconds, 2)} for one in outcomes]
    printing.table(rows, as_json)
    if broken:
        laws = ", ".join(outcome.law for outcome in broken)
        raise QlogadError(f"{kind} {name} breaks {counted(len(broken), 'law')} of {len(outcomes)}: {laws}")
