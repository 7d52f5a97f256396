"""Measure this machine as ratios in one run: lines per second, seconds per epoch, the exact engine, the backends.

Example: qlogad bench engine --out results
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json
from qlogad.cli.progress import Progress
from qlogad.errors import InputError, did_you_mean, shown

__all__ = ["verb"]


def verb(
    what: Annotated[
        str,
        typer.Argument(
            help="machine (reading, epochs, circuits: minutes), engine (every method: an hour), backends (a minute), layer (against "
            "PennyLane's TorchLayer: seconds), sweep (trials per hour: minutes), warm-start (what relatives are worth: half an hour), "
            "parser (accuracy: seconds) or coverage (whether intervals hold what they say: minutes)."
        ),
    ] = "machine",
    out: Annotated[Path, typer.Option(help="Where results folders lie.")] = Path("results"),
    lines: Annotated[
        int, typer.Option(min=1000, max=10**8, help="machine: synthetic log lines for the reading benchmark.")
    ] = 200_000,
    repeats: Annotated[
        int, typer.Option(min=1, max=10_000, help="Repetitions of each step, the median counts; warm-start: pairs of studies.")
    ] = 5,
    peers: Annotated[
        Path | None,
        typer.Option(help="engine: a Python that has jax, tensorcircuit-ng and pennylane; parser: one that has drain3."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="parser: the folder of LogHub's samples [default: $QLOGAD_DATA/loghub_2k].")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="engine: a few small points, well under a minute.")] = False,
    as_json: Json = False,
) -> None:
    if what == "engine":
        from qlogad.bench import engine

        folder = out / ("bench-engine-quick" if quick else "bench-engine")
        points = engine.Points(folder / "points.jsonl")
        with Progress() as progress:
            engine.measure(points, engine.grid(quick=quick), progress.preparing, python=peers)
        path = engine.write(points, folder)
        printing.result(engine.tables(points), path.read_text(), as_json)
    elif what == "backends":
        from qlogad.bench import backends

        with Progress() as progress:
            measured = backends.measure(progress.preparing, repeats=repeats)
        path = backends.write(measured, out / "bench-backends")
        printing.table(measured if as_json else backends.shown(measured), as_json)
    elif what == "layer":
        from qlogad.bench import layer

        with Progress() as progress:
            steps = layer.measure(progress.preparing, repeats=repeats)
        path = layer.write(steps, out / "bench-layer")
        printing.result(steps, path.read_text(), as_json)
    elif what == "sweep":
        from qlogad.bench import sweep

        trials = 24
        with Progress() as progress:
            measured = sweep.measure(progress.preparing, trials=trials, repeats=repeats)
        path = sweep.write(measured, out / "bench-sweep", trials=trials, repeats=repeats)
        printing.result(measured, path.read_text(), as_json)
    elif what == "warm-start":
        from qlogad.bench import warm_start

        with Progress() as progress:
            pairs = warm_start.measure(out / "sweep-warm-start", pairs=repeats, progress=progress.preparing)
        path = warm_start.report(pairs, out / "sweep-warm-start")
        printing.result(pairs, path.read_text(), as_json)
    elif what == "parser":
        from qlogad.bench import parser

        with Progress() as progress:
            parsed = parser.measure(parser.samples(data), progress.preparing, python=peers)
        path = parser.write(parsed, out / "bench-parser")
        printing.result(parsed, path.read_text(), as_json)
    elif what == "coverage":
        from qlogad.bench import coverage

        with Progress() as progress:
            found = coverage.measure(progress.preparing)
        path = coverage.write(found, out / "bench-coverage")
        printing.result(found, path.read_text(), as_json)
    elif what == "machine":
        from qlogad.bench.machine import measure, write

        with Progress() as progress:
            rows = measure(lines=lines, repeats=repeats, progress=progress.preparing)
        path = write(rows, out / "bench")
        printing.table(rows, as_json)
    else:
        known = ("machine", "engine", "backends", "layer", "sweep", "warm-start", "parser", "coverage")
        raise InputError(f"there is no benchmark {shown(what)}{did_you_mean(what, known)}; known: {', '.join(known)}")
    printing.note(f"report: {path}")
