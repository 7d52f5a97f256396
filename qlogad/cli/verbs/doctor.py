"""Check the installation: versions, devices, and a two-qubit test circuit on each backend.

Example: qlogad doctor
"""

from __future__ import annotations

from qlogad.cli import printing
from qlogad.cli.options import Json
from qlogad.cli.progress import Progress
from qlogad.errors import QlogadError

__all__ = ["verb"]


def verb(as_json: Json = False) -> None:
    from qlogad.catalogue.doctor import examine

    with Progress() as progress:
        rows = examine(progress.preparing)
    printing.table(rows, as_json)
    if any(row["state"] == "broken" for row in rows):
        raise QlogadError("something installed does not work; see the lines marked 'broken'")
