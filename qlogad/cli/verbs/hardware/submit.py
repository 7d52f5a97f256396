"""Score windows on a device, as far as possible without waiting; `collect` continues from there.

Example: qlogad hardware submit results/quickstart --contender quantum --to aer:shots=1024 --to ibm:fake_manila --windows 20
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.campaigns import print_campaigns
from qlogad.cli.options import (
    Choice,
    Contender,
    Cut,
    Json,
    MaxCost,
    MaxSeconds,
    Mode,
    References,
    Result,
    Seed,
    Shots,
    ThresholdChoice,
    Validation,
    Wait,
    Windows,
)

__all__ = ["verb"]


def verb(
    result: Result,
    contender: Contender,
    to: Annotated[
        list[str],
        typer.Option(help="A backend, such as ibm:fake_torino, ibm:torino or aer; repeat it for more rungs of the ladder."),
    ],
    windows: Windows = 200,
    choice: Choice = 0,
    shots: Shots = None,
    mode: Mode = "closed",
    references: References = 3,
    threshold: ThresholdChoice = "clean",
    validation: Validation = 200,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Runs of the whole pass; by default 5 in a closed loop that samples, else 1.")
    ] = None,
    seed: Seed = None,
    cut: Cut = None,
    label: Annotated[str, typer.Option(help="A label that separates repeated campaigns.")] = "",
    wait: Wait = 0.0,
    max_seconds: MaxSeconds = None,
    max_cost: MaxCost = None,
    as_json: Json = False,
) -> None:
    from qlogad.backend.ledger import Clock
    from qlogad.hardware import campaign, forecast

    recalibrated = forecast.threshold_of(threshold, forecast.mode_of(mode)) == "recalibrated"
    found = campaign.submit_all(
        result,
        contender,
        [forecast.with_shots(each, shots) for each in to],
        windows=windows,
        choice=choice,
        mode=forecast.mode_of(mode),
        references=references,
        repeats=repeats,
        validation=validation if recalibrated else 0,
        seed=seed,
        cut=cut,
        label=label,
        max_seconds=max_seconds,
        max_cost=max_cost,
        clock=Clock(patience=wait),
    )
    for collected in found:
        printing.note(collected.forecast.text)
    print_campaigns(found, {}, result, as_json)
