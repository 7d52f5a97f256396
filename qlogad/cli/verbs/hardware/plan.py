"""Estimate one pass on a device before anything is submitted: jobs, rounds, depth, device time, price.

The limits apply to all passes that submit would run.

Example: qlogad hardware plan results/quickstart --contender quantum --to ibm:fake_torino --shots 1024
"""

from __future__ import annotations

from typing import Annotated

import typer

from qlogad.cli import printing
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
    Windows,
)

__all__ = ["verb"]


def verb(
    result: Result,
    contender: Contender,
    to: Annotated[str, typer.Option(help="A backend, such as ibm:fake_torino, ibm:torino or aer.")],
    windows: Windows = 200,
    choice: Choice = 0,
    shots: Shots = None,
    mode: Mode = "closed",
    references: References = 3,
    threshold: ThresholdChoice = "clean",
    validation: Validation = 200,
    seed: Seed = None,
    cut: Cut = None,
    max_seconds: MaxSeconds = None,
    max_cost: MaxCost = None,
    as_json: Json = False,
) -> None:
    from qlogad.hardware import forecast
    from qlogad.hardware.windows import calibrating, chosen, trained

    found = trained(result, contender, seed=seed, cut=cut)
    detector, _, features = chosen(found, windows, choice=choice)
    backend = forecast.with_shots(to, shots)
    planned = forecast.forecast(detector, features, backend, mode=forecast.mode_of(mode), references=references)
    if forecast.threshold_of(threshold, forecast.mode_of(mode)) == "recalibrated":
        held, _ = calibrating(found, detector, validation, choice=choice)
        planned = planned.beside(forecast.forecast(detector, held, backend, references=references))
    whole = planned.times(planned.passes)
    forecast.check_limits(whole, max_seconds=max_seconds, max_cost=max_cost)
    origin = {"contender": found.contender, "seed": found.seed, "cut": found.cut, "choice": choice}
    printing.result(origin | planned.facts(), planned.text, as_json)
    if planned.passes > 1:
        cost = f"{whole.cost.seconds:,.0f} s and {whole.cost.dollars:,.2f} USD"
        printing.note(f"this is one pass; submit runs {planned.passes} of them unless --repeats says otherwise: {cost}")
    printing.note(f"detector of {found.contender}, seed {found.seed}, cut {found.cut}; nothing was submitted")
