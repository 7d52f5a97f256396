"""This machine: rates of reading, training and simulating, each next to its floor (minutes).

All contenders are timed in turns (one, other, one, other ...), and medians over repetitions are reported. Timings are noisy: only
ratios carry over to other machines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

from qlogad import escape, files
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, Repeats, this_machine
from qlogad.bounds import Between

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from qlogad.circuit.circuit import Circuit

__all__ = ["MachineBenchmark", "measure", "write"]

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MachineBenchmark(Benchmark):
    """The rates at which this machine reads, trains and simulates."""

    lines: Annotated[int, Between(1000, 10**8), "Synthetic log lines for the reading benchmark."] = 200_000
    repeats: Repeats = 5

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        rows = measure(lines=self.lines, repeats=self.repeats, progress=progress)
        return BenchmarkResult(rows, escape.table(rows, "simple"), write(rows, out / "bench"))


def measure(*, lines: int, repeats: int, progress: Progress) -> list[Row]:
    """All measurements: reading, epochs of the twins, the exact engine against PennyLane, and the analysis of circuits.

    Args:
        lines: synthetic log lines for the reading benchmark.
        repeats: repetitions of each step.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_reading(lines, progress), *_epochs(progress), *_engine(repeats, progress), *_analysis(progress)]
    finally:
        torch.set_num_threads(threads)


def write(rows: list[Row], folder: Path) -> Path:
    """Write bench.json and table.md; returns the table's path."""
    machine = this_machine()
    head = f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench` on: {machine}; one thread. Only ratios carry to other machines.\n\n"
    files.write(folder / "bench.json", json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    table = escape.table(rows, "github")
    files.write(folder / "table.md", f"# Bench\n\n{head}{table}\n")
    return folder / "table.md"


def _row(what: str, value: float, unit: str, floor: float, floor_is: str) -> Row:
    ratio = value / floor
    return {
        "what": what,
        "value": f"{value:,.4g}",
        "unit": unit,
        "floor": f"{floor:,.4g}",
        "floor is": floor_is,
        "ratio": f"{ratio:.3g}",
    }


_READ = """
import json, sys, time
from pathlib import Path
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import open_source
data = Experiment.from_document(json.loads(sys.argv[1])).data
def peak():  # KiB; unlike getrusage, this peak excludes the parent process
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
open_source(Experiment.from_document({"data": {"lines": 500}, "contender": [{"name": "n", "detector": "new-event"}]}).data)
before = peak()
began = time.perf_counter()
source = open_source(data)
seconds = time.perf_counter() - began
after = peak()
print(json.dumps([source.events.intake.lines, seconds, (after - before) / 1024, len(source.windows)]))
"""


def _reading(lines: int, progress: Progress) -> list[Row]:
    """Raw lines to windows, in a separate process so that peak memory is its own; the floor is reading the bytes line by line."""
    from qlogad.logs.synthetic import Synthetic

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "synthetic.log"
        progress("writing a synthetic log", lines)
        Synthetic(lines=lines).write(path)
        sources: dict[str, dict[str, Any]] = {
            "synthetic log in BGL's format": {"dataset": "bgl", "path": str(path), "window": {"by": "count", "size": 100}}
        }
        real = Path(os.environ.get("QLOGAD_DATA", "")) / "hdfs"
        if (real / "hdfs_raw_2pct_early.log.xz").is_file():
            table = {
                "path": str(real / "hdfs_raw_2pct_early.log.xz"),
                "labels": str(real / "hdfs_raw_2pct_early.labels_and_keys.csv.xz"),
            }
            sources["HDFS, xz"] = {"dataset": "hdfs", **table}
        for name, data in sources.items():
            progress(f"reading: {name}", 0)
            content = {"data": data, "contender": [{"name": "new-event", "detector": "new-event"}]}
            command = [sys.executable, "-c", _READ, json.dumps(content)]
            count, seconds, mebibytes, _ = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            bare = _bare(Path(data["path"]))
            rows.append(
                _row(
                    f"raw lines to windows: {name}", count / seconds, "lines/s", count / bare, "reading the lines and nothing else"
                )
            )
            rows.append(
                _row(
                    f"memory above the imports: {name}", mebibytes, "MiB", _size(Path(data["path"])), "the log itself, uncompressed"
                )
            )
    return rows


def _bare(path: Path) -> float:
    from qlogad.logs.dataset import Intake
    from qlogad.logs.reading.raw_lines import read_lines

    began = time.perf_counter()
    for _ in read_lines(path, Intake()):
        pass
    return time.perf_counter() - began


def _size(path: Path) -> float:
    import lzma

    with lzma.open(path) if path.suffix == ".xz" else open(path, "rb") as file:
        return sum(len(chunk) for chunk in iter(lambda: file.read(1 << 20), b"")) / 2**20


def _epochs(progress: Progress) -> list[Row]:
    """Seconds per epoch of DeepLog with either core on the same synthetic windows."""
    from qlogad.detect.sequences.deeplog import DeepLog
    from qlogad.experiment.data import Data
    from qlogad.experiment.ground import ground, open_source
    from qlogad.nn.core.classical import Classical
    from qlogad.nn.core.core import Core
    from qlogad.nn.core.quantum import Quantum

    data = Data(source={"lines": 20_000})
    made = ground(data, open_source(data), ("ids",), cut=0)
    cores: dict[str, Core] = {
        "classical, hidden 32": Classical(),
        "quantum, 4 wires, depth 1": Quantum(),
        "quantum, 4 wires, depth 2": Quantum(depth=2),
    }
    seconds = {}
    for number, (name, core) in enumerate(cores.items()):
        progress(f"epochs: {name}", number)
        DeepLog(core=core, epochs=1).fit(made.validation.normals().features)  # warm-up
        detector = DeepLog(core=core, epochs=4, patience=4)
        began = time.perf_counter()
        detector.fit(made.train.features, validation=(made.validation.normals().features, None))
        seconds[name] = (time.perf_counter() - began) / 4
    floor = seconds["classical, hidden 32"]
    return [_row(f"DeepLog, {name}", value, "s/epoch", floor, "the classical core") for name, value in seconds.items()]


def _engine(repeats: int, progress: Progress) -> list[Row]:
    """Forward and backward of one recurrent training step: four gates, batch 64, T = 10, float32; bound once, as in the cell."""
    import torch

    from qlogad.circuit.encoding import assemble

    gates, batch, steps = 4, 64, 10
    rows = []
    for wires, depth in ((4, 1), (4, 2), (6, 2), (8, 2)):
        progress(f"engine: {wires} wires, depth {depth}", 0)
        circuit = assemble("angle-y", "strongly-entangling", wires, depth)
        weights_GP = torch.rand(gates, circuit.weights, generator=torch.Generator().manual_seed(0)) * 6.28
        inputs_TGNI = torch.randn(steps, gates, batch, circuit.inputs, generator=torch.Generator().manual_seed(1))

        cell, x_TND = torch.nn.LSTM(32, 128), torch.randn(steps, batch, 32)
        jobs: dict[str, Callable[[], None]] = {
            "exact": partial(_circuit_step, "exact", circuit, weights_GP, inputs_TGNI),
            "pennylane": partial(_circuit_step, "pennylane:default.qubit", circuit, weights_GP, inputs_TGNI),
            "cell": partial(_cell_step, cell, x_TND),
        }
        times = _in_turns(jobs, repeats)
        name = f"{wires} wires, depth {depth}"
        rows.append(_row(f"exact, {name}", times["exact"] * 1e3, "ms/step", times["cell"] * 1e3, "torch.nn.LSTM(32, 128)"))
        rows.append(
            _row(f"PennyLane default.qubit, {name}", times["pennylane"] * 1e3, "ms/step", times["exact"] * 1e3, "exact, same run")
        )
    return rows


def _analysis(progress: Progress) -> list[Row]:
    """The whole analysis of the 19 circuits of Sim et al. at 4 wires, depths 1 to 3, 5,000 pairs each, with an empty cache."""
    from qlogad.catalogue import analysis

    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        for number in range(1, 20):
            progress(f"analysing sim{number}", number)
            for depth in (1, 2, 3):
                analysis.analyse(f"sim{number}", "ansatz", wires=4, depth=depth, folder=Path(scratch))
        seconds = time.perf_counter() - began
    return [_row("analysis of the 19 circuits of Sim et al., depths 1 to 3", seconds, "s", 60.0, "a minute on two cores")]


def _circuit_step(spec: str, circuit: Circuit, weights_GP: Tensor, inputs_TGNI: Tensor) -> None:
    import torch

    from qlogad.backend.abilities import Key
    from qlogad.backend.backend import open_backend

    inputs = inputs_TGNI.clone().requires_grad_()
    bound = open_backend(spec).bind(circuit, weights_GP.clone().requires_grad_(), key=Key(0))
    torch.autograd.backward(torch.stack([bound(inputs_GNI) for inputs_GNI in inputs]).square().sum())


def _cell_step(cell: Module, x_TND: Tensor) -> None:
    import torch

    torch.autograd.backward(cell(x_TND)[0].square().sum())


def _in_turns(jobs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            taken[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in taken.items()}
