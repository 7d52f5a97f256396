"""Every backend: 1,000 bindings of a circuit in one call, against loops of one circuit per call (a minute).

All are timed in turns, and medians over repetitions are reported. The loops run fewer rows and are compared by rate; one reuses the
prepared circuit, the other opens the backend and prepares the circuit for every row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from qlogad import escape, files, names
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, Repeats, this_machine
from qlogad.errors import MissingExtra, ResultError

if TYPE_CHECKING:
    from qlogad.circuit.circuit import Circuit

__all__ = ["BackendsBenchmark", "measure", "shown", "specs", "write"]

Row = dict[str, str | int | float]

_WITH_OPTIONS = (
    "exact",
    "exact:depolarizing=0.01,readout=0.02",
    "pennylane",
    "pennylane:default.qubit,shots=1024",
    "pennylane:lightning.qubit",
    "pennylane:lightning.qubit,shots=1024",
    "pennylane:default.mixed",
    "qiskit",
    "aer",
    "aer:density_matrix",
    "aer:mps",
    "aer:shots=1024",
    "aer:depolarizing=0.01,readout=0.02",
    "aer:fake_manila,shots=1024",
    "ibm:fake_manila,shots=1024",
    "braket",
    "braket:shots=1024",
    "braket:depolarizing=0.01,readout=0.02",
)


def specs() -> list[str]:
    """The backends to measure: those above with their options, then all others by name."""
    named = {spec.partition(":")[0] for spec in _WITH_OPTIONS}
    return [*_WITH_OPTIONS, *(name for name in names.known("backend") if name not in named)]


@dataclass(frozen=True, kw_only=True)
class BackendsBenchmark(Benchmark):
    """Expectation values per second of every backend that is installed."""

    repeats: Repeats = 5

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        rows = measure(progress, specs(), repeats=self.repeats)
        return BenchmarkResult(rows, escape.table(shown(rows), "simple"), write(rows, out / "bench-backends"))


def measure(progress: Progress, specs: Sequence[str], *, rows: int = 1000, loop: int = 20, repeats: int = 3) -> list[Row]:
    """A row for each backend that is usable here: expectation values per second in one call, and the speed-up over either loop.

    Args:
        progress: called with the backend being measured and how many are done.
        specs: the backends; unknown ones and those without their package or file are skipped.
        rows: distinct bindings of the angles in one call.
        loop: how many of them the first loop runs; the second runs one.
        repeats: timed repetitions of both.
    """
    import torch

    from qlogad.circuit.encoding import assemble

    circuit = assemble("angle-y", "strongly-entangling", 4, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[Row] = []
    try:
        for done, spec in enumerate(one for one in specs if one.partition(":")[0] in names.known("backend")):
            progress(f"backend {spec}", done)
            try:
                found.append(_measure(spec, circuit, rows, loop, repeats))
            except (MissingExtra, ResultError):
                continue
    finally:
        torch.set_num_threads(threads)
    return found


def _measure(spec: str, circuit: Circuit, rows: int, loop: int, repeats: int) -> Row:
    import torch

    from qlogad.backend.backend import open_backend
    from qlogad.seeds import torch_generator

    generator = torch_generator(0, "bench")
    weights_GP = torch.randn(1, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = torch.randn(1, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    bound = open_backend(spec).bind(circuit, weights_GP)
    kind = bound.estimate(inputs_GNI[:, :1]).provenance["kind"]  # this call also does the one-time work
    together, alone, anew = [], [], []
    with torch.no_grad():
        for _ in range(repeats):
            began = time.perf_counter()
            bound(inputs_GNI)
            together.append(time.perf_counter() - began)
            began = time.perf_counter()
            for n in range(loop):
                bound(inputs_GNI[:, n : n + 1])
            alone.append((time.perf_counter() - began) / loop)
            began = time.perf_counter()
            open_backend(spec).bind(circuit, weights_GP)(inputs_GNI[:, :1])
            anew.append(time.perf_counter() - began)
    seconds = median(together)
    return {
        "backend": spec,
        "kind": kind,
        "rows": rows,
        "seconds": seconds,
        "expectations/s": rows * len(circuit.readout) / seconds,
        "times a loop": median(alone) * rows / seconds,
        "times a loop that prepares": median(anew) * rows / seconds,
    }


def shown(rows: list[Row]) -> list[dict[str, str]]:
    """The rows as text, to three significant digits."""
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: str | float) -> str:
    return str(value) if not isinstance(value, float) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def write(rows: list[Row], folder: Path) -> Path:
    """Write bench.json and table.md; returns the table's path."""
    machine = this_machine(load=True)
    head = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench backends` on: {machine}; one torch thread.\n"
        "A circuit of 4 wires, depth 2 and 4 readouts, prepared beforehand: all bindings in one call, against a loop of one binding per\n"
        "call, and a loop that also opens the backend and prepares the circuit each time.\n"
        "Timed in turns; only ratios carry to other machines.\n\n"
    )
    files.write(folder / "bench.json", json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    table = escape.table(shown(rows), "github")
    files.write(folder / "table.md", f"# Backends\n\n{head}{table}\n")
    return folder / "table.md"
