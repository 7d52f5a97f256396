"""Look at a log of any kind, or at a data set: what its lines are, and what reads them.

A log is profiled on lines from its beginning, middle and end: layout, times, levels, templates, drift, sessions, labels, dirt, and the
[data] table that reads it; --out writes an experiment that runs as it stands. A dataset, or an experiment file, is read whole:
lines, quarantine, templates, windows, labels, cuts.

Example: qlogad data describe synthetic --set lines=20000
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json, Set
from qlogad.cli.progress import Progress
from qlogad.errors import InputError

__all__ = ["verb"]


def verb(
    log: Annotated[str, typer.Argument(help="A log: a file, a glob, an archive; or a dataset, or an experiment file.")],
    overrides: Set = None,
    whole: Annotated[bool, typer.Option("--all", help="Read all of the log, not a sample.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write an experiment on this log, ready to run.")] = None,
    as_json: Json = False,
) -> None:
    from qlogad import files
    from qlogad.catalogue import data, profile

    if not data.is_log(log):
        if out is not None or whole:
            raise InputError(f"--all and --out are for logs, and {log} is {data.what(log)}; leave them out")
        with Progress() as progress:
            facts = data.describe(log, overrides or (), progress.preparing)
        printing.result(facts, data.facts_text(facts), as_json)
        return
    with Progress() as progress:
        found = profile.profile(log, overrides or (), progress.preparing, whole=whole)
    printing.result(found.facts, found.text(), as_json)
    if out is not None:
        files.write(out, found.experiment())
        printing.note(f"written: {out}; run it: qlogad run {out}")
