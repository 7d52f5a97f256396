"""Draw a circuit design, count its weights and measure it; or describe anything else that `qlogad list` lists, with its keys.

Example: qlogad show strongly-entangling --wires 4 --depth 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlogad.cli import printing
from qlogad.cli.options import Json

__all__ = ["verb"]


def verb(
    name: Annotated[
        str,
        typer.Argument(help="A name listed by qlogad list: a design, detector, dataset, view, ...; or a design file."),
    ],
    role: Annotated[str | None, typer.Option(help="ansatz or encoding, for a file that could be either.")] = None,
    wires: Annotated[int | None, typer.Option(help="Number of wires; by default 4, or the only number the design allows.")] = None,
    depth: Annotated[int | None, typer.Option(help="For an ansatz: number of layers; 1 by default.")] = None,
    analyse: Annotated[bool, typer.Option("--analyse", help="Measure it: expressibility, gradients, spectrum and more.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write it to a .svg, .png or .qasm file.")] = None,
    drawer: Annotated[str, typer.Option(help="With --out: pennylane or qiskit.")] = "pennylane",
    plan: Annotated[bool, typer.Option("--plan", help="How the exact engine runs it: methods, time, memory.")] = False,
    every: Annotated[bool, typer.Option("--all", help="With --plan: measure every method, not only the chosen one.")] = False,
    reupload: Annotated[bool, typer.Option("--reupload", help="With --plan: repeat the encoding before every layer.")] = False,
    rows: Annotated[int, typer.Option(min=1, max=1_000_000, help="With --plan: rows of a batch.")] = 64,
    calls: Annotated[int, typer.Option(min=1, max=10_000, help="With --plan: time steps.")] = 10,
    double: Annotated[bool, typer.Option("--double", help="With --plan: float64 instead of float32.")] = False,
    as_json: Json = False,
) -> None:
    from qlogad.catalogue import designs, listing

    if out is not None:
        designs.export(name, out, wires=wires, depth=depth, drawer=drawer, role=role)
        printing.note(f"written: {out}")
    if plan:
        layers = 1 if depth is None else depth
        shown = designs.plan(
            name, wires=wires, depth=layers, reupload=reupload, rows=rows, calls=calls, double=double, every=every, role=role
        )
    else:
        shown = listing.show(name, wires=wires, depth=depth, analyse=analyse, role=role)
    printing.result(shown.facts, shown.text, as_json)
