"""Show the templates of a log: counts, share, first and last time, two examples each, and what looks wrong.

The parser is fitted on the whole log, with the keys of [data]: --set parser.name=spell, --set parser.similarity=0.6,
--set extra_masks.ID='id-[0-9]+', --set parser.known=templates.txt.

Example: qlogad data parse synthetic --set lines=5000 --top 10
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json, Set
from qlogad.cli.progress import Progress

__all__ = ["verb"]


def verb(
    log: Annotated[str, typer.Argument(help="A log; or a dataset that needs no file, or an experiment file.")],
    dataset: Annotated[str | None, typer.Option(help="What the log is: bgl, hdfs, ...; by default lines.")] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--format", help="What a line looks like, '<date> <time> <level> <message>', or a format's name; by default guessed."
        ),
    ] = None,
    overrides: Set = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show the most frequent templates only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the templates to a file that parser.known takes.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for machines.")] = False,
    as_json: Json = False,
) -> None:
    from qlogad import files
    from qlogad.catalogue import templates
    from qlogad.logs.parser.known import templates_text

    with Progress() as progress:
        found = templates.parse(log, dataset=dataset, layout=layout, overrides=overrides or (), progress=progress.preparing)
    if out is not None:
        files.write(out, templates_text(found.texts))
    printing.result(found.facts(), found.csv().rstrip("\n") if as_csv else found.text(top), as_json)
    if out is not None:
        printing.note(f'written: {out}; keep these templates with: --set parser.known="{out}"')
