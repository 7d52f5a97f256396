"""Continue all submitted campaigns; recorded answers are replayed without network or account.

Example: qlogad hardware collect results/quickstart --wait 600
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad.cli.campaigns import print_campaigns
from qlogad.cli.options import Json, Result, Wait

__all__ = ["verb"]


def verb(
    result: Result,
    wait: Wait = 0.0,
    again: Annotated[bool, typer.Option("--again", help="Resubmit lost jobs, which may be charged again.")] = False,
    as_json: Json = False,
) -> None:
    from qlogad.backend.ledger import Clock
    from qlogad.hardware import campaign

    print_campaigns(*campaign.collect(result, clock=Clock(patience=wait), again=again), result, as_json)
