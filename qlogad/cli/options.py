"""Options shared by several verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Choice",
    "Contender",
    "Cut",
    "Fresh",
    "Json",
    "MaxCost",
    "MaxSeconds",
    "Mode",
    "Out",
    "References",
    "Result",
    "Seed",
    "Set",
    "Shots",
    "ThresholdChoice",
    "Validation",
    "Wait",
    "Windows",
    "Workers",
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path, typer.Option(help="The folder of results folders.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set judge.seeds=2")]
Workers = Annotated[int, typer.Option(min=0, max=4096, help="Worker processes; 0 means one per core.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Discard the results of earlier calls.")]

# ---------------------------------------------------------------- hardware

Result = Annotated[Path, typer.Argument(help="The results folder of a finished run.")]
Contender = Annotated[str, typer.Option(help="The contender whose detector is used, as named in the table.")]
Windows = Annotated[
    int,
    typer.Option(
        min=1, max=10**6, help="Test windows: half of them anomalous if there are enough, half of them near the threshold."
    ),
]
Choice = Annotated[int, typer.Option(min=0, help="Seed of the choice of windows.")]
Shots = Annotated[int | None, typer.Option(min=1, max=10**7, help="Shots per row and measurement basis; by default the backend's.")]
Mode = Annotated[str, typer.Option(help="closed: each round feeds the next; open: all rows at once.")]
References = Annotated[int, typer.Option(min=0, max=10**4, help="Fixed reference circuits in every round, to detect drift.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the training; by default the first.")]
Cut = Annotated[str | None, typer.Option(help="Cut of the run; by default the first.")]
ThresholdChoice = Annotated[
    str, typer.Option(help="clean: as trained; recalibrated: each run also fits one to validation windows scored on the device.")
]
Validation = Annotated[int, typer.Option(min=1, help="Validation windows for --threshold recalibrated.")]
Wait = Annotated[float, typer.Option(min=0, max=10**7, help="Seconds to wait for the jobs of each round.")]
MaxSeconds = Annotated[float | None, typer.Option(help="Refuse if a backend would need more device time.")]
MaxCost = Annotated[float | None, typer.Option(help="Refuse if a backend would charge more, in USD.")]
