"""Rewrite tables and figures from the record of a results folder, without its data set or its cells.

With --check nothing is written: committed files are compared with what the record gives. With --set the same cells are judged by other
rules than declared; the result is printed, and written only if --out is given.

Example: qlogad report results/quickstart --set judge.metric=recall
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json
from qlogad.cli.progress import Progress
from qlogad.errors import InputError, QlogadError

__all__ = ["verb"]


def verb(
    results: Annotated[
        list[Path] | None, typer.Argument(metavar="RESULT", help="Results folders; with --check by default all in results.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail if files differ from what the record gives; write nothing.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change how cells are judged: --set judge.metric=recall")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write new results folders to.")] = None,
    as_json: Json = False,
) -> None:
    if check:
        if overrides or out:
            raise InputError("--check compares with what was declared, and writes nothing; leave out --set and --out")
        _check(results, as_json)
        return
    if not results:
        raise InputError(
            "name a results folder, such as results/quickstart, or compare all with their records: qlogad report --check"
        )
    for folder in results:
        _report(folder, overrides or [], folder if out is None and not overrides else out and out / folder.resolve().name, as_json)


def _report(folder: Path, overrides: list[str], to: Path | None, as_json: bool) -> None:
    from qlogad.report.folder import write
    from qlogad.report.record import Record
    from qlogad.report.table import summary

    record = Record.load(folder)
    if overrides:
        record = record.judged(overrides)
    if to is not None:
        with Progress() as progress:
            write(record, to, progress.preparing)
    printing.result(record.rows, "" if as_json else summary(record), as_json)
    printing.note("nothing was written; --out says where to" if to is None else f"report: {to / 'table.md'}")


def _check(results: list[Path] | None, as_json: bool) -> None:
    from qlogad.report.folder import Checked, check, folders, is_result

    found: dict[Path, Checked] = {}
    given = folders(Path("results")) if results is None else results
    others = [path for path in given if not is_result(path)] if len(given) > 1 else []  # results/* names benchmarks and files too
    if others:
        printing.note(f"not results of experiments, left out: {', '.join(map(str, others))}")
    with Progress() as progress:
        for folder in [path for path in given if path not in others] or given[:1]:
            found[folder] = check(folder, progress.preparing)
    rows = [
        {"result": str(folder), "differ": ", ".join(one.differ) or "-", "not compared": one.skipped or "-"}
        for folder, one in found.items()
    ]
    printing.table(rows, as_json)
    differ = [folder / name for folder, one in found.items() for name in one.differ]
    if differ:
        more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
        raise QlogadError(f"{differ[0]}{more} differs from its record; write it again: qlogad report {differ[0].parent}")
