"""The exact engine against its peers: whole training steps, every method over a grid, wide circuits, inference and memory.

Measuring needs only torch and numpy where nothing else is installed, on a machine with a GPU say:
`PYTHONPATH=. python qlogad/experiment/bench_engine.py cuda` prints its rows as JSON.
Everything that is compared is timed in turns in one process; the median counts. A floor stands beside every time: the operations
of the chosen method at the rate of this machine's own matrix product, or its bytes at the rate of its own copy, the larger of them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact import METHODS, Exact
from qlogad.backend.exact.method import Task
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.design import assemble
from qlogad.nn.layer import QuantumLayer
from qlogad.nn.maps import Wrapped
from qlogad.nn.recurrent import LSTM

__all__ = ["GOALS", "Rates", "measure", "write"]

Row = dict[str, Any]
Progress = Callable[[str, int], None]
Job = Callable[[], object]

WIDTH, HIDDEN, GATES = 32, 128, 4
# (wires, depth, re-uploading): at least so many times PennyLane's speed, at most so many times the classical cell's time
GOALS: dict[tuple[int, int, bool], tuple[float, float | None]] = {
    (4, 1, False): (150, 1.0),
    (4, 2, False): (150, 1.0),
    (4, 4, False): (150, 1.0),
    (6, 2, False): (120, 2.0),
    (8, 2, False): (60, 8.0),
    (10, 2, False): (50, None),
    (4, 2, True): (60, None),
    (8, 2, True): (30, None),
}


class Rates:
    """What this machine can do: operations and bytes per second of large float32 work, measured with the present threads."""

    def __init__(self, device: str = "cpu") -> None:
        one, two = torch.randn(2, 1024, 1024, device=device)
        self.operations = 2 * 1024**3 / _alone(lambda: one @ two, device)
        source = torch.randn(2**24, device=device)
        target = torch.empty_like(source)
        self.bytes = 8 * 2**24 / _alone(lambda: target.copy_(source), device)

    def floor(self, operations: float, traffic: float) -> float:
        """Seconds."""
        return max(operations / self.operations, traffic / self.bytes)


def measure(progress: Progress, *, python: Path | None = None) -> dict[str, list[Row]]:
    """All tables of the CPU, by name.

    Args:
        progress: called with what is measured now.
        python: a Python with JAX, tensorcircuit-ng and PennyLane; without one the table of other simulators is empty.
    """
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        tables = {"Training steps": goals(progress)}
        tables["Other simulators"] = [] if python is None else peers(progress, python)
        tables["Memory"] = memory(progress)
        tables["Every method, one thread"] = grid(progress, wires=(2, 4, 6, 8), depths=(1, 2, 4), batches=(64, 256))
        tables["Every method, one thread"] += grid(progress, wires=(10, 12), depths=(1,), batches=(64,))
        torch.set_num_threads(2)
        tables["Every method, two threads"] = grid(progress, wires=(4, 8), depths=(2,), batches=(64, 256))
        tables["One wide circuit, two threads"] = wide(progress)
        tables["Inference, two threads"] = inference(progress)
    finally:
        torch.set_num_threads(threads)
    return tables


def measure_gpu(progress: Progress) -> dict[str, list[Row]]:
    """The GPU's tables: batch 4,096, T = 100, and every method at that batch."""
    return {
        "Training steps": goals(progress, device="cuda", batch=4096, steps=100, cases=((4, 2, False), (8, 2, False))),
        "Every method": grid(progress, wires=(4, 6, 8, 10), depths=(1, 2), batches=(4096,), device="cuda"),
        "Inference": inference(progress, device="cuda"),
    }


def write(tables: dict[str, list[Row]], folder: Path) -> Path:
    """Write engine.json, table.md and engine.png; returns the table's path."""
    from tabulate import tabulate

    from qlogad import documents

    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    machine += f", Python {platform.python_version()}, torch {torch.__version__}"
    head = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench engine` on: {machine}. Only ratios carry to other machines.\n\n"
        "Training steps: forward and backward of one recurrent cell, input 32, hidden 128, batch 64, T = 10, float32; four gates "
        "with their own linear maps and circuits (RY encoding, strongly-entangling layers, <Z> on every wire). The classical cell "
        "is torch.nn.LSTM(32, 128), PennyLane is default.qubit with backprop and broadcasting in the same cell. Every method: bind "
        "and ten calls of the four circuits, forward and backward; a method left out is far slower by its count of operations. "
        "A floor is the larger of operations over the rate of a large matrix product and bytes over the rate of a copy.\n"
    )
    parts = [
        f"## {name}\n\n{tabulate(_shown(rows), headers='keys', tablefmt='github', disable_numparse=True)}\n"
        for name, rows in tables.items()
        if rows
    ]
    _figure(tables, folder / "engine.png")
    documents.write_atomic(folder / "engine.json", json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n")
    documents.write_atomic(
        folder / "table.md",
        "\n".join(["# The exact engine", head, "![milliseconds per training step against wires](engine.png)\n", *parts]),
    )
    return folder / "table.md"


def _shown(rows: list[Row]) -> list[Row]:
    def text(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        return "" if value is None else str(value)

    return [{key: text(value) for key, value in row.items()} for row in rows]


def _figure(tables: dict[str, list[Row]], path: Path) -> None:
    """Milliseconds of a training step against wires at depth 2: ours, PennyLane's, other simulators', the classical cell's, the floor."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis = figure.subplots()
    steps = [row for row in tables["Training steps"] if row["depth"] == 2 and not row["re-upload"]]
    wires = [row["wires"] for row in steps]
    for name, key, style in (
        ("PennyLane default.qubit", "PennyLane ms", "s-"),
        ("qlogad exact", "exact ms", "o-"),
        ("torch.nn.LSTM(32, 128)", "classical ms", "k:"),
        ("floor of exact", "floor ms", "k--"),
    ):
        axis.plot(wires, [row[key] for row in steps], style, label=name)
    others = [row for row in tables.get("Other simulators", []) if row["depth"] == 2 and "lightning" not in row["peer"]]
    for peer in dict.fromkeys(row["peer"] for row in others):
        chosen = [row for row in others if row["peer"] == peer]
        axis.plot([row["wires"] for row in chosen], [row["ms"] for row in chosen], "^-", lw=1, label=peer)
    axis.set(
        xlabel="wires", ylabel="ms per training step", yscale="log", xticks=wires, title="depth 2, batch 64, T = 10, one thread"
    )
    axis.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": ""})


def circuit_of(wires: int, depth: int, reupload: bool) -> Circuit:
    """The benchmark's circuit: RY encoding, strongly-entangling layers, <Z> on every wire."""
    return assemble("angle-y", "strongly-entangling", wires, depth, reupload=reupload)


def cell(circuit: Circuit, backend: Backend, device: str = "cpu") -> LSTM:
    """LSTM(32, 128) whose four gates are a linear map, a circuit of their own and a linear map."""
    generator = torch.Generator().manual_seed(0)

    def make(in_features: int, out_features: int, gates: int) -> Wrapped:
        return Wrapped(
            in_features,
            out_features,
            gates,
            inputs=circuit.inputs,
            readouts=len(circuit.readout),
            middle=lambda: QuantumLayer(circuit, gates=gates, backend=backend, generator=generator),
            shared=False,
            generator=generator,
        )

    return LSTM(WIDTH, HIDDEN, make=make).to(device)


def training_step(module: nn.Module, x_NTI: Tensor) -> None:
    """Forward and backward."""
    module.zero_grad()
    torch.autograd.backward(module(x_NTI)[0].square().mean())


def goals(
    progress: Progress,
    *,
    device: str = "cpu",
    batch: int = 64,
    steps: int = 10,
    cases: Sequence[tuple[int, int, bool]] = tuple(GOALS),
) -> list[Row]:
    """The goal workload: one training step of the cell against PennyLane's default.qubit and torch.nn.LSTM, in turns."""
    rates = Rates(device)
    rows = []
    x_NTI = torch.randn(batch, steps, WIDTH, generator=torch.Generator().manual_seed(1)).to(device)
    classical = nn.LSTM(WIDTH, HIDDEN, batch_first=True).to(device)
    for wires, depth, reupload in cases:
        pennylane_goal, cell_goal = GOALS[wires, depth, reupload] if device == "cpu" else (None, None)
        name = _name(wires, depth, reupload)
        progress(f"training step, {name}", wires)
        circuit = circuit_of(wires, depth, reupload)
        ours = cell(circuit, Exact(), device)
        jobs: dict[str, Job] = {
            "exact": partial(training_step, ours, x_NTI),
            "classical": partial(training_step, classical, x_NTI),
            "pennylane": partial(training_step, cell(circuit, open_backend("pennylane:default.qubit"), device), x_NTI),
        }
        seconds = in_turns(jobs, device, rare={"pennylane"})
        cost = METHODS[chosen(circuit, batch, steps, device)].cost(Task(circuit, GATES, batch, steps))
        linear = 3 * 2 * batch * steps * GATES * circuit.inputs * (WIDTH + 2 * HIDDEN)
        rows.append(
            {
                "wires": wires,
                "depth": depth,
                "re-upload": reupload,
                "exact ms": seconds["exact"] * 1e3,
                "classical ms": seconds["classical"] * 1e3,
                "PennyLane ms": seconds["pennylane"] * 1e3,
                "PennyLane / exact": seconds["pennylane"] / seconds["exact"],
                "goal, at least": pennylane_goal,
                "exact / classical": seconds["exact"] / seconds["classical"],
                "goal, at most": cell_goal,
                "floor ms": rates.floor(cost.operations + linear, cost.traffic) * 1e3,
            }
        )
    return rows


def grid(
    progress: Progress, *, wires: Sequence[int], depths: Sequence[int], batches: Sequence[int], device: str = "cpu"
) -> list[Row]:
    """Every method on bind and ten calls, forward and backward: seconds of each, and of the planner's choice."""
    rates = Rates(device)
    rows = []
    for width, depth, reupload, batch in product(wires, depths, (False, True), batches):
        circuit = circuit_of(width, depth, reupload)
        task = Task(circuit, GATES, batch, 10)
        progress(f"grid, {_name(width, depth, reupload)}, batch {batch}", width)
        choice = chosen(circuit, batch, 10, device)
        floors = {name: method.cost(task) for name, method in METHODS.items() if not method.unfit(circuit)}
        low = min(rates.floor(cost.operations, cost.traffic) for cost in floors.values())
        tried: dict[str, Job] = {
            name: partial(_calls, Exact(name), circuit, batch, device)
            for name, cost in floors.items()
            if name == choice or rates.floor(cost.operations, cost.traffic) < max(30 * low, 0.05)
        }
        seconds = in_turns(tried, device)
        best = min(seconds, key=lambda name: seconds[name])
        rows.append(
            {
                "wires": width,
                "depth": depth,
                "re-upload": reupload,
                "batch": batch,
                **{f"{name} ms": seconds[name] * 1e3 if name in seconds else None for name in METHODS},
                "choice": choice,
                "best": best,
                "choice / best": seconds[choice] / seconds[best],
                "floor ms": low * 1e3,
            }
        )
    return rows


def chosen(circuit: Circuit, batch: int, steps: int, device: str) -> str:
    """The method the planner takes."""
    weights_GP = torch.zeros(GATES, circuit.weights, device=device)
    return Exact().plan(circuit, weights_GP, rows=batch, calls=steps, gradient=True).method


def _calls(backend: Exact, circuit: Circuit, batch: int, device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weights_GP = (torch.rand(GATES, circuit.weights, generator=generator) * 6.28).to(device).requires_grad_()
    inputs_TGNI = torch.randn(10, GATES, batch, circuit.inputs, generator=generator).to(device).requires_grad_()
    bound = backend.bind(circuit, weights_GP)
    torch.autograd.backward(torch.stack([bound(inputs_GNI) for inputs_GNI in inputs_TGNI.unbind(0)]).square().sum())


def wide(progress: Progress, *, wires: Sequence[int] = (16, 20), repeats: int = 3) -> list[Row]:
    """One circuit, 4 strongly-entangling layers, forward and full gradient of the mean of <Z>, against lightning.qubit's adjoint."""
    import pennylane as qml

    rows = []
    for width in wires:
        progress(f"one circuit of {width} wires", width)
        circuit = assemble("angle-y", "strongly-entangling", width, 4)
        weights_1P = (torch.rand(1, circuit.weights, generator=torch.Generator().manual_seed(0)) * 6.28).requires_grad_()
        inputs_11I = torch.randn(1, 1, circuit.inputs, generator=torch.Generator().manual_seed(1)).requires_grad_()

        def ours(circuit: Circuit = circuit, weights_1P: Tensor = weights_1P, inputs_11I: Tensor = inputs_11I) -> object:
            mean = Exact("adjoint").bind(circuit, weights_1P)(inputs_11I).mean()
            return torch.autograd.grad(mean, (weights_1P, inputs_11I))

        device = qml.device("lightning.qubit", wires=width, c_dtype=np.complex64)
        observable = qml.Hamiltonian([1 / width] * width, [qml.PauliZ(wire) for wire in range(width)])

        def lightning(angles: Any, weights: Any, width: int = width, observable: Any = observable) -> Any:
            for wire in range(width):
                qml.RY(angles[wire], wires=wire)
            qml.StronglyEntanglingLayers(weights, wires=range(width))
            return qml.expval(observable)

        node = qml.QNode(lightning, device, interface="torch", diff_method="adjoint")

        def theirs(
            run: Callable[..., Any] = node, weights: Tensor = weights_1P, inputs: Tensor = inputs_11I, width: int = width
        ) -> object:
            return torch.autograd.grad(run(inputs[0, 0], weights.reshape(4, width, 3)), (weights, inputs))

        seconds = in_turns({"exact": ours, "lightning": theirs}, "cpu", least=repeats)
        vector = 8 * 2**width / 2**20
        rows.append(
            {
                "wires": width,
                "exact ms": seconds["exact"] * 1e3,
                "lightning.qubit ms": seconds["lightning"] * 1e3,
                "lightning / exact": seconds["lightning"] / seconds["exact"],
                "goal, at least": 5,
                "state vector MiB": vector,
            }
        )
    return rows


def inference(progress: Progress, *, device: str = "cpu") -> list[Row]:
    """Events per second of a 4-wire cell without gradients, all threads."""
    rows = []
    for depth in (1, 2):
        progress(f"inference, 4 wires, depth {depth}", 4)
        module = cell(circuit_of(4, depth, False), Exact(), device).eval()
        x_NTI = torch.randn(4096, 10, WIDTH, device=device)
        classical = nn.LSTM(WIDTH, HIDDEN, batch_first=True).to(device)
        with torch.no_grad():
            jobs: dict[str, Job] = {"exact": partial(module, x_NTI), "classical": partial(classical, x_NTI)}
            seconds = in_turns(jobs, device)
        events = x_NTI.shape[0] * x_NTI.shape[1]
        rows.append(
            {
                "circuit": _name(4, depth, False),
                "steps/s": events / seconds["exact"],
                "classical steps/s": events / seconds["classical"],
                "goal, at least": 1e6,
            }
        )
    return rows


def memory(progress: Progress) -> list[Row]:
    """Peak memory of a training step above the process before it, in processes of their own (Linux)."""
    rows = []
    for wires, depth, reupload in ((4, 2, False), (8, 2, False), (10, 2, False), (8, 2, True)):
        progress(f"memory, {_name(wires, depth, reupload)}", wires)
        peak = {spec: _peak(spec, wires, depth, reupload) for spec in ("exact", "pennylane:default.qubit")}
        rows.append(
            {
                "circuit": _name(wires, depth, reupload),
                "exact MiB": peak["exact"],
                "PennyLane MiB": peak["pennylane:default.qubit"],
                "exact / PennyLane": peak["exact"] / peak["pennylane:default.qubit"],
                "goal, at most": 1 / 3,
            }
        )
    return rows


_PEAK = """
import json, sys, torch
from pathlib import Path
from qlogad.backend.backend import open_backend
from qlogad.experiment.bench_engine import WIDTH, cell, circuit_of, training_step
spec, wires, depth, reupload = json.loads(sys.argv[1])
torch.set_num_threads(1)
module = cell(circuit_of(wires, depth, reupload), open_backend(spec))
training_step(module, torch.randn(2, 2, WIDTH))
def status(key):
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)).split()[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
training_step(module, torch.randn(64, 10, WIDTH))
print((status("VmHWM") - before) / 1024)
"""


def _peak(spec: str, wires: int, depth: int, reupload: bool) -> float:
    command = [sys.executable, "-c", _PEAK, json.dumps([spec, wires, depth, reupload])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peers(progress: Progress, python: Path) -> list[Row]:
    """Other simulators in the environment of another Python: see peers.py."""
    cases = [[wires, depth] for wires, depth, reupload in GOALS if not reupload and depth <= 2 and wires <= 8]
    progress("other simulators, in an environment of their own", len(cases))
    command = [str(python), str(Path(__file__).with_name("peers.py")), json.dumps(cases)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return list(json.loads(found))


def in_turns(
    jobs: dict[str, Job], device: str, *, rare: frozenset[str] | set[str] = frozenset(), least: int = 5
) -> dict[str, float]:
    """The median seconds of each job, run in turns: at least `least` times each (3 the rare ones), more where it is quick."""
    for job in jobs.values():
        job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in _turns(least):
        for name, job in jobs.items():
            if name in rare and turn % max(1, least // 3):
                continue
            began = time.perf_counter()
            job()
            _wait(device)
            taken[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in taken.items()}


def _turns(least: int, budget: float = 1.0, most: int = 60) -> Iterator[int]:
    began, turn = time.perf_counter(), 0
    while turn < least or (turn < most and time.perf_counter() - began < budget):
        yield turn
        turn += 1


def _alone(job: Job, device: str) -> float:
    return in_turns({"": job}, device, least=7)[""]


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _name(wires: int, depth: int, reupload: bool) -> str:
    return f"{wires} wires, depth {depth}" + (", re-uploading" if reupload else "")


if __name__ == "__main__":

    def note(what: str, _: int) -> None:
        """Say on stderr what is measured now."""
        sys.stderr.write(what + "\n")

    sys.stdout.write(json.dumps(measure_gpu(note) if sys.argv[1:] == ["cuda"] else measure(note), indent=1) + "\n")
