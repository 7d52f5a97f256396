"""Write the trained detector of a finished run as a model: a folder with parser, vocabulary and threshold that scores raw lines.

It holds templates, which are made of log lines. Load it with qlogad.Model.load(folder).

Example: qlogad model export results/quickstart --contender quantum --out models/quantum
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Contender, Cut, Json, Result, Seed

__all__ = ["verb"]


def verb(
    result: Result,
    contender: Contender,
    out: Annotated[Path, typer.Option(help="The folder of the model; it is created.")],
    seed: Seed = None,
    cut: Cut = None,
    as_json: Json = False,
) -> None:
    from qlogad import documents
    from qlogad.catalogue.models import export

    origin = export(result, contender, out, seed=seed, cut=cut)
    printing.result({"model": str(out), **documents.plain(origin)}, f"{out}: {origin}", as_json)
    printing.note("its templates are made of log lines: treat it as confidentially as the log")
