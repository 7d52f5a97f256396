"""Write the ladder from exact numbers to the device, ladder.md, ladder.csv and ladder.png, from recorded answers; no device is contacted.

Example: qlogad hardware report results/quickstart
"""

from __future__ import annotations

from qlogad.cli import printing
from qlogad.cli.campaigns import print_skipped
from qlogad.cli.options import Json, Result

__all__ = ["verb"]


def verb(result: Result, as_json: Json = False) -> None:
    from qlogad.hardware import ladder

    models, skipped = ladder.ladders(result)
    path = ladder.write(models, result)
    printing.result([model.facts() for model in models], path.read_text(encoding="utf-8"), as_json)
    printing.note(f"report: {path}")
    print_skipped(skipped)
