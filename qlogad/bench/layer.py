"""One circuit in a network: `QuantumLayer` against PennyLane's `TorchLayer`, same circuit and weights (seconds).

Both are placed between the same two linear layers; a step is forward, backward and an Adam update. They are timed in turns on one
thread, and medians over repetitions are reported. Their outputs must agree first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from qlogad import escape, files
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, Repeats, this_machine

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CASES", "LayerBenchmark", "measure", "write"]

Row = dict[str, str | int | float]

CASES = tuple((wires, depth, rows) for wires, depth in ((4, 1), (4, 2), (8, 2)) for rows in (32, 256))
AGREE = 1e-10


@dataclass(frozen=True, kw_only=True)
class LayerBenchmark(Benchmark):
    """Milliseconds of a training step with either layer."""

    repeats: Repeats = 5

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        rows = measure(progress, repeats=self.repeats)
        path = write(rows, out / "bench-layer")
        return BenchmarkResult(rows, path.read_text(encoding="utf-8"), path)


def measure(progress: Progress, *, repeats: int = 5) -> list[Row]:
    """A row for each of CASES: milliseconds per step with either layer, their ratio, and the difference of their outputs.

    Args:
        progress: called with the case being measured and how many are done.
        repeats: timed steps with each layer.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = []
        for done, case in enumerate(CASES):
            progress("wires {}, depth {}, rows {}".format(*case), done)
            found.append(_measure(*case, repeats))
        return found
    finally:
        torch.set_num_threads(threads)


def _measure(wires: int, depth: int, rows: int, repeats: int) -> Row:
    import pennylane as qml
    import torch

    from qlogad.backend.pennylane import to_qnode
    from qlogad.nn.layer import QuantumLayer

    ours = QuantumLayer(wires, "sim14", "angle-y", depth=depth)
    theirs: Any = qml.qnn.TorchLayer(to_qnode(ours.circuit), {"weights": (ours.circuit.weights,)})
    theirs.load_state_dict({"weights": ours.circuits.weights_GP[0].detach()})
    models = [_network(layer, wires).double() for layer in (ours, theirs)]
    x_ND = torch.randn(rows, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, two = (model(x_ND) for model in models)
    apart = float((one - two).detach().abs().max())
    assert apart < AGREE, f"the two layers differ by {apart}"
    steps = [_step(model, x_ND) for model in models]
    taken: list[list[float]] = [[], []]
    for _ in range(repeats):
        for step, each in zip(steps, taken, strict=True):
            began = time.perf_counter()
            step()
            each.append(1000 * (time.perf_counter() - began))
    here, there = map(median, taken)
    return {
        "wires": wires,
        "depth": depth,
        "rows": rows,
        "QuantumLayer ms": here,
        "TorchLayer ms": there,
        "TorchLayer / QuantumLayer": there / here,
        "outputs differ by": apart,
    }


def _network(layer: nn.Module, wires: int) -> nn.Module:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, wires), layer, nn.Linear(wires, 2))


def _step(model: nn.Module, x_ND: Tensor) -> Callable[[], None]:
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        model(x_ND).square().mean().backward()
        optimizer.step()

    step()  # includes the one-time work
    return step


def write(rows: list[Row], folder: Path) -> Path:
    """Write bench.json and table.md; returns the table's path."""
    import pennylane as qml

    machine = this_machine(load=True)
    head = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench layer` on: {machine};\n"
        f"one torch thread, float64, PennyLane {qml.version()}.\n"
        "Milliseconds of a training step of Linear(10, W), the layer (sim14 behind angle-y, <Z> on every wire), Linear(W, 2), with\n"
        "QuantumLayer and with qml.qnn.TorchLayer (default.qubit, backpropagation) on the same circuit and weights. Timed in turns;\n"
        "only ratios carry to other machines.\n\n"
    )
    files.write(folder / "bench.json", json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    shown = [{name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in row.items()} for row in rows]
    files.write(folder / "table.md", f"# A layer\n\n{head}{escape.table(shown, 'github')}\n")
    return folder / "table.md"
