"""Fetch the published archive of a log data set, check it, and print the [data] table that reads it.

Its licence is accepted first. Without a name, lists what is published. Broken off, the same command continues from there.

Example: qlogad data fetch hdfs --accept-licence
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json
from qlogad.cli.transfer import Transfer
from qlogad.errors import InputError

if TYPE_CHECKING:
    from qlogad.logs.published.fetch import Archive, Fetched

__all__ = ["verb"]


def verb(
    name: Annotated[str | None, typer.Argument(help="A published archive, or a TOML file that describes one.")] = None,
    to: Annotated[Path | None, typer.Option(help="The folder; by default $QLOGAD_DATA/NAME, else data/NAME.")] = None,
    unpacking: Annotated[bool, typer.Option("--unpack", help="Unpack it too, to a folder beside it.")] = False,
    accepted: Annotated[bool, typer.Option("--accept-licence", help="Accept its licence without being asked.")] = False,
    stall: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds without a byte until a connection is given up.")] = 60.0,
    as_json: Json = False,
) -> None:
    from qlogad.logs.published import fetch
    from qlogad.logs.published.download import Patience

    if name is None:
        printing.table([_row(one) for one in fetch.known()], as_json)
        return
    archive = fetch.Archive.load(name)
    folder = fetch.default_folder(name) if to is None else str(to)
    place = fetch.folder_at(folder)
    if not (place / archive.file).exists():
        _accept(archive, accepted)
    with Transfer() as transfer:
        found = fetch.fetch(
            archive, place, unpacking=unpacking, patience=Patience(stall=stall), progress=transfer, tell=transfer.note
        )
    table = archive.table(folder, unpacked=found.unpacked is not None)
    printing.result(_facts(archive, found, table), _text(archive, found, table), as_json)


def _row(name: str) -> dict[str, Any]:
    from qlogad.logs.published.fetch import Archive

    archive = Archive.load(name)
    size = "-" if archive.size is None else f"{archive.size / 1e6:,.1f} MB"
    lines = "-" if archive.lines is None else f"{archive.lines:,}"
    return {"name": name, "size": size, "lines": lines, "dataset": archive.data.get("dataset", "-"), "what": archive.title}


def _accept(archive: Archive, accepted: bool) -> None:
    licence = archive.licence
    told = f"{licence.name} ({licence.url}): {licence.demands}"
    if not accepted and not sys.stdin.isatty():
        raise InputError(f"{archive.file} is under a licence: {told}; if you accept it, add --accept-licence")
    printing.note(f"{archive.title}\nsource: {archive.source}\nlicence: {told}")
    for work in archive.cite:
        printing.note(f"cite: {work}")
    if not accepted:
        printing.note("accept this licence? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise InputError(f"the licence of {archive.file} was not accepted, so nothing was fetched")


def _checked(archive: Archive) -> str:
    return (
        f"{archive.checksum} as published" if archive.checksum else "no published checksum is known, so compare this one yourself"
    )


def _facts(archive: Archive, found: Fetched, table: dict[str, Any]) -> dict[str, Any]:
    return {
        "file": str(found.path),
        "bytes": found.size,
        "sha256": found.digests.sha256,
        "checksum": archive.checksum,
        "unpacked": None if found.unpacked is None else str(found.unpacked),
        "data": table or None,
    }


def _text(archive: Archive, found: Fetched, table: dict[str, Any]) -> str:
    from qlogad import documents

    head = f"# {found.path}: {found.size:,} bytes, {_checked(archive)}\n# sha256:{found.digests.sha256}\n"
    if not table:
        return f"{head}# no data set of qlogad reads it yet; see: qlogad list datasets"
    return f"{head}{documents.dump({'data': table})}".rstrip()
