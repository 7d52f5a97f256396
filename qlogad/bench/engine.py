"""The exact engine against other simulators and the classical cell: every method over a grid (an hour).

All contenders are timed in turns in one process (other environments in processes of their own, while nothing else runs), and medians
are reported. Each point is written when it is finished and not measured again, so a stopped benchmark continues. Next to every time is
a floor: the operations of the chosen method at the rate of a matrix product on this machine, or its bytes at the rate of a copy, whichever
is larger. On a machine with a GPU and little else installed, `PYTHONPATH=. python qlogad/bench/engine.py cuda` needs torch and numpy only
and prints its points as lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import escape, files
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact import METHODS, Exact
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.planner import memory_limit, options, speeds_of
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, this_machine
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.errors import InputError
from qlogad.nn.layer import GateCircuits
from qlogad.nn.maps import Wrapped
from qlogad.nn.recurrent import LSTM
from qlogad.report.drawing import save

__all__ = ["GOALS", "EngineBenchmark", "Found", "Point", "Points", "Roofline", "grid", "measure", "tables", "write"]

Row = dict[str, Any]
Job = Callable[[], object]

WIDTH, HIDDEN, GATES = 32, 128, 4
# (wires, depth, re-uploading): least multiple of PennyLane's speed, largest multiple of the classical cell's time
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
WARM = 0.1  # seconds: faster jobs are timed right after an uncounted run
LONG = 5.0  # seconds per step: a slower contender is left out at all larger points
CLOSE = 5.0  # times the fastest prediction: slower methods are not tried
WIDE_GOAL = 5  # times lightning.qubit's speed
TRIG_UP_TO = 6  # wires: beyond, tables of 3^wires rows are never fastest
PATIENCE = 90  # seconds for a peer at one point, including compilation
PEERS = ("PennyLane + JAX, jit", "tensorcircuit-ng + JAX, jit", "lightning.qubit, adjoint")  # as in peers/simulators.py
REGRET = 1.25  # a planner's choice counts as good within this factor of the best


@dataclass(frozen=True, kw_only=True)
class EngineBenchmark(Benchmark):
    """Training steps, every method, wide circuits, inference and memory."""

    peers: Annotated[Path | None, "A Python that has jax, tensorcircuit-ng and pennylane."] = None
    quick: Annotated[bool, "A few small points: well under a minute."] = False

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        folder = out / ("bench-engine-quick" if self.quick else "bench-engine")
        points = Points(folder / "points.jsonl")
        measure(points, grid(quick=self.quick), progress, python=self.peers)
        path = write(points, folder)
        return BenchmarkResult(tables(points), path.read_text(encoding="utf-8"), path)


@dataclass(frozen=True)
class Point:
    """A workload and its size."""

    workload: str  # "cell", "peers", "methods", "sequence", "wide", "memory" or "inference"
    wires: int
    depth: int
    reupload: bool = False
    batch: int = 64
    steps: int = 10
    threads: int = 1
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The point in words."""
        again = ", re-uploading" if self.reupload else ""
        return f"{self.workload}, {self.wires} wires, depth {self.depth}{again}, batch {self.batch}, T = {self.steps}"

    def within(self, other: Point) -> bool:
        """Whether the other point is at least as large in every respect."""
        pairs = ((getattr(self, size), getattr(other, size)) for size in ("reupload", "wires", "depth", "batch", "steps"))
        return self.workload == other.workload and all(one <= two for one, two in pairs)


@dataclass(frozen=True)
class Found:
    """The measurement at a point: milliseconds (for memory: MiB) by contender, None if left out; and the planner's choice."""

    ms: Mapping[str, float | None]
    choice: str = ""


class Points:
    """Finished points, each written at once as a line of JSON; those of another machine, torch or qlogad are ignored.

    Args:
        path: the file, which may be deleted to measure again; None keeps points in memory only.

    Raises:
        InputError: the file does not hold points.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._kept = path, ""
        self.setup = f"{this_machine()}, torch {torch.__version__}, qlogad {version('qlogad')}"
        self.found: dict[Point, Found] = {}
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            self._kept = text[: text.rfind("\n") + 1]  # without a partly written last line: that point is measured again
            for line in map(json.loads, self._kept.splitlines()):
                if line["setup"] == self.setup:
                    self.found[Point(**line["point"])] = Found(line["ms"], line["choice"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} does not hold points of this version; move it away") from error

    def add(self, point: Point, found: Found) -> None:
        """Add the measurement at a point."""
        self.found[point] = found
        if self._path is not None:
            self._kept += self.line(point)
            files.write(self._path, self._kept)

    def line(self, point: Point) -> str:
        """A point as JSON, milliseconds to five digits."""
        one = self.found[point]
        ms = {contender: None if value is None else float(f"{value:.5g}") for contender, value in one.ms.items()}
        return json.dumps({"setup": self.setup, "point": asdict(point), "choice": one.choice, "ms": ms}) + "\n"

    def too_long(self, contender: str, point: Point) -> bool:
        """Whether a contender took too long, or was left out, at a point that is not larger."""
        for other, one in self.found.items():
            if contender in one.ms and other.within(point):
                ms = one.ms[contender]
                if ms is None or ms > LONG * 1e3:
                    return True
        return False


class Roofline:
    """This machine at its peak: operations and bytes per second of large float32 work, with the threads in use.

    Williams, Waterman and Patterson, CACM 2009, doi:10.1145/1498765.1498785.
    """

    def __init__(self, device: str = "cpu") -> None:
        one, two = torch.randn(2, 1024, 1024, device=device)
        self.operations = 2 * 1024**3 / _alone(lambda: one @ two, device)
        source = torch.randn(2**24, device=device)
        target = torch.empty_like(source)
        self.bytes = 8 * 2**24 / _alone(lambda: target.copy_(source), device)

    def floor(self, operations: float, traffic: float) -> float:
        """The shortest possible time in seconds for this many operations and bytes."""
        return max(operations / self.operations, traffic / self.bytes)


def grid(*, quick: bool = False) -> list[Point]:
    """The points to measure: about an hour, or well under a minute if quick."""
    if quick:
        small: dict[str, Any] = {"batch": 4, "steps": 3}
        cases = (("cell", 2), ("cell", 3), ("methods", 2), ("sequence", 2), ("inference", 2))
        return [*(Point(workload, wires, 1, **small) for workload, wires in cases), Point("wide", 4, 2)]
    widths, again, batches = range(2, 13), (False, True), (16, 256)
    return [
        *(Point("cell", *case) for case in GOALS),
        *(Point("cell", *case) for case in product(widths, (1, 2, 3, 4), again)),
        *(
            Point("cell", wires, 2, batch=batch, threads=count)
            for wires, batch, count in product((2, 4, 6, 8), (16, 64, 1024), (1, 2))
        ),
        *(Point("cell", wires, 2, steps=steps) for wires, steps in product((4, 8), (50, 100))),
        *(Point("wide", wires, 4, threads=2) for wires in (16, 18, 20, 22)),
        *(Point("memory", *case) for case in ((4, 2, False), (8, 2, False), (10, 2, False), (8, 2, True))),
        *(Point("inference", 4, depth, batch=4096, threads=2) for depth in (1, 2)),
        *(Point("sequence", *case) for case in product(range(2, 10), (1, 2, 4), (False,), batches)),
        *(Point("methods", *case) for case in product(widths, (1, 2, 4), again, batches)),
        *(Point("peers", *case) for case in ((2, 2), (4, 1), (4, 2), (4, 4), (6, 2), (8, 2), (10, 2))),
    ]


def grid_gpu() -> list[Point]:
    """The points to measure on a GPU."""
    large: dict[str, Any] = {"batch": 4096, "device": "cuda"}
    return [
        *(Point("cell", wires, 2, steps=100, **large) for wires in (4, 8)),
        *(Point("methods", *case, **large) for case in product((4, 6, 8, 10), (1, 2), (False, True))),
        *(Point("inference", 4, depth, **large) for depth in (1, 2)),
    ]


def measure(points: Points, wanted: Sequence[Point], progress: Progress, *, python: Path | None = None) -> None:
    """Measure the points that have not been measured yet.

    Args:
        points: measurements are added here.
        wanted: the points, in order.
        progress: called with the point being measured and how many are done.
        python: a Python with JAX, tensorcircuit-ng and PennyLane; None leaves other simulators out.
    """
    left = [point for point in dict.fromkeys(wanted) if point not in points.found and (python or point.workload != "peers")]
    rooflines: dict[tuple[str, int], Roofline] = {}
    threads = torch.get_num_threads()
    try:
        for place, point in enumerate(left):
            progress(f"{place + 1} of {len(left)}: {point.name}", place)
            torch.set_num_threads(point.threads)
            if point.workload == "cell":
                key = point.device, point.threads
                rooflines[key] = rooflines.get(key) or Roofline(point.device)
                found = cell_step(points, point, rooflines[key])
            elif point.workload == "peers":
                found = Found({peer: peer_ms(points, peer, point, Path(str(python))) for peer in PEERS})
            else:
                found = WORKLOADS[point.workload](point)
            points.add(point, found)
    finally:
        torch.set_num_threads(threads)


def cell_step(points: Points, point: Point, roofline: Roofline) -> Found:
    """One training step of the cell against PennyLane's default.qubit, backprop and broadcasting, and torch.nn.LSTM, in turns."""
    circuit = circuit_of(point)
    x_NTI = inputs_of(point)
    engine = Exact()
    classical = nn.LSTM(WIDTH, HIDDEN, batch_first=True).to(point.device)
    jobs: dict[str, Job] = {
        "exact": partial(training_step, cell(circuit, engine, point.device), x_NTI),
        "torch.nn.LSTM": partial(training_step, classical, x_NTI),
    }
    rival = "PennyLane default.qubit"
    goal = point == Point("cell", point.wires, point.depth, point.reupload) and (point.wires, point.depth, point.reupload) in GOALS
    if goal or not points.too_long(rival, point):
        jobs[rival] = partial(training_step, cell(circuit, open_backend("pennylane:default.qubit"), point.device), x_NTI)
    seconds = in_turns(jobs, point.device, rare={rival})
    method, tables = decided(engine)
    effort = METHODS[method].effort(Task(circuit, GATES, point.batch, point.steps))
    linear = 3 * 2 * point.batch * point.steps * GATES * circuit.inputs * (WIDTH + 2 * HIDDEN)
    ms = {rival: None, **milliseconds(seconds), "floor": roofline.floor(effort.operations + linear, effort.traffic) * 1e3}
    return Found(ms, f"{method}, tables" if tables else method)


def decided(engine: Exact) -> tuple[str, bool]:
    """The method that the planner chose for a recurrent cell, and whether it runs as tables."""
    plans = [plan for plan in engine.plans() if plan["purpose"]["gradient"]]
    tabled = [plan for plan in plans if plan["tables"]]
    return ((tabled or plans)[-1]["method"], bool(tabled))


def every_method(point: Point) -> Found:
    """Bind and calls, forward and backward, by every method predicted to be close to the best; and the planner's choice."""
    circuit = circuit_of(point)
    task, device = Task(circuit, GATES, point.batch, point.steps), torch.device(point.device)
    found = [option for option in options(task, METHODS, speeds_of(device), memory_limit(device)) if not option.unfit]
    quickest = found[0].seconds
    if quickest > LONG / 10:
        return Found({option.method: None for option in found}, found[0].method)
    close = [option.method for option in found if option.seconds < CLOSE * quickest]
    jobs: dict[str, Job] = {name: partial(_calls, Exact(name), circuit, point) for name in close}
    return Found(milliseconds(in_turns(jobs, point.device, least=3)), found[0].method)


def every_sequence(point: Point) -> Found:
    """A training step of the cell with the tables of either method, and as a loop over the steps; and the planner's choice."""
    circuit, x_NTI, engine = circuit_of(point), inputs_of(point), Exact()
    training_step(cell(circuit, engine, point.device), x_NTI)
    method, tables = decided(engine)
    engines = {"real": Exact("real"), "loop": Exact(second=True)}  # `second` excludes tables
    if point.wires <= TRIG_UP_TO:
        engines["pauli"] = Exact("pauli")
    jobs: dict[str, Job] = {name: partial(training_step, cell(circuit, one, point.device), x_NTI) for name, one in engines.items()}
    return Found(milliseconds(in_turns(jobs, point.device)), method if tables else "loop")


def _calls(backend: Exact, circuit: Circuit, point: Point) -> None:
    generator = torch.Generator().manual_seed(0)
    weights_GP = (torch.rand(GATES, circuit.weights, generator=generator) * 6.28).to(point.device).requires_grad_()
    inputs_TGNI = (
        torch.randn(point.steps, GATES, point.batch, circuit.inputs, generator=generator).to(point.device).requires_grad_()
    )
    bound = backend.bind(circuit, weights_GP, calls=point.steps)
    torch.autograd.backward(torch.stack([bound(inputs_GNI) for inputs_GNI in inputs_TGNI.unbind(0)]).square().sum())


def wide(point: Point) -> Found:
    """One circuit, forward and full gradient of the mean of <Z>, against lightning.qubit's adjoint in the same precision."""
    import pennylane as qml

    wires, depth = point.wires, point.depth
    circuit = circuit_of(point)
    weights_1P = (torch.rand(1, circuit.weights, generator=torch.Generator().manual_seed(0)) * 6.28).requires_grad_()
    inputs_11I = torch.randn(1, 1, circuit.inputs, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def ours() -> object:
        mean = Exact("adjoint").bind(circuit, weights_1P, calls=1)(inputs_11I).mean()
        return torch.autograd.grad(mean, (weights_1P, inputs_11I))

    observable = qml.Hamiltonian([1 / wires] * wires, [qml.PauliZ(wire) for wire in range(wires)])

    def lightning(angles: Any, weights: Any) -> Any:
        for wire in range(wires):
            qml.RY(angles[wire], wires=wire)
        qml.StronglyEntanglingLayers(weights, wires=range(wires))
        return qml.expval(observable)

    device = qml.device("lightning.qubit", wires=wires, c_dtype=np.complex64)
    node = qml.QNode(lightning, device, interface="torch", diff_method="adjoint")

    def theirs() -> object:
        return torch.autograd.grad(node(inputs_11I[0, 0], weights_1P.reshape(depth, wires, 3)), (weights_1P, inputs_11I))

    return Found(milliseconds(in_turns({"exact": ours, "lightning.qubit": theirs}, "cpu", least=3)), "adjoint")


def inference(point: Point) -> Found:
    """All steps of a batch through the cell, without gradients."""
    engine = Exact()
    module, x_NTI = cell(circuit_of(point), engine, point.device).eval(), inputs_of(point)
    classical = nn.LSTM(WIDTH, HIDDEN, batch_first=True).to(point.device)
    with torch.no_grad():
        jobs: dict[str, Job] = {"exact": partial(module, x_NTI), "torch.nn.LSTM": partial(classical, x_NTI)}
        return Found(milliseconds(in_turns(jobs, point.device)))


def memory(point: Point) -> Found:
    """Peak MiB of a training step above what the process held before, each in a process of its own (Linux only)."""
    specs = {"exact": "exact", "PennyLane default.qubit": "pennylane:default.qubit"}
    return Found({name: _peak(spec, point) for name, spec in specs.items()})


WORKLOADS: dict[str, Callable[[Point], Found]] = {
    "methods": every_method,
    "sequence": every_sequence,
    "wide": wide,
    "inference": inference,
    "memory": memory,
}


def peer_ms(points: Points, peer: str, point: Point, python: Path) -> float | None:
    """Milliseconds of another simulator's training step, run by another Python, see peers/simulators.py; None if it takes too long."""
    if points.too_long(peer, point):
        return None
    file = str(Path(__file__).parent / "peers" / "simulators.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(python), file, json.dumps([peer, point.wires, point.depth])]
    try:
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=PATIENCE).stdout
    except subprocess.TimeoutExpired:
        return None
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise InputError(f"{python} does not run {peer}: {reason:.200}; --peers is a Python with its package") from error
    return float(json.loads(found)["ms"])


def milliseconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Convert seconds to milliseconds."""
    return {name: 1e3 * value for name, value in seconds.items()}


def tables(points: Points) -> dict[str, list[Row]]:
    """The points as tables for people, by name."""
    every = {name: [(point, one) for point, one in points.found.items() if point.workload == name] for name in _TABLES}
    return {_TABLES[name]: [_ROWS[name](point, one) for point, one in found] for name, found in every.items()}


def _size(point: Point) -> Row:
    size = {"wires": point.wires, "depth": point.depth, "re-upload": point.reupload, "batch": point.batch, "T": point.steps}
    return {**size, "threads": point.threads}


def _cell_row(point: Point, one: Found) -> Row:
    exact, classical, rival = (one.ms[name] for name in ("exact", "torch.nn.LSTM", "PennyLane default.qubit"))
    case = point.wires, point.depth, point.reupload
    goals = GOALS.get(case, (None, None)) if point == Point("cell", *case) else (None, None)
    return {
        **_size(point),
        "exact ms": exact,
        "torch.nn.LSTM ms": classical,
        "PennyLane ms": rival,
        "PennyLane / exact": _ratio(rival, exact),
        "goal, at least": goals[0],
        "exact / torch.nn.LSTM": _ratio(exact, classical),
        "goal, at most": goals[1],
        "floor ms": one.ms["floor"],
        "by": one.choice,
    }


def _choice_row(point: Point, one: Found) -> Row:
    regret = regret_of(one)
    return {**_size(point), **{f"{name} ms": ms for name, ms in one.ms.items()}, "choice": one.choice, "choice / best": regret}


def regret_of(one: Found) -> float | None:
    """The time of the planner's choice over that of the best method; None if nothing was timed."""
    timed = [ms for ms in one.ms.values() if ms is not None]
    return _ratio(one.ms.get(one.choice), min(timed)) if timed else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def _wide_row(point: Point, one: Found) -> Row:
    ratio = _ratio(one.ms["lightning.qubit"], one.ms["exact"])
    times = {f"{name} ms": ms for name, ms in one.ms.items()}
    vector = 8 * 2**point.wires / 2**20
    return {"wires": point.wires, **times, "lightning / exact": ratio, "goal, at least": WIDE_GOAL, "state vector MiB": vector}


def _peer_row(point: Point, one: Found) -> Row:
    return {"wires": point.wires, "depth": point.depth, **{f"{name} ms": ms for name, ms in one.ms.items()}}


def _memory_row(point: Point, one: Found) -> Row:
    exact, rival = one.ms.values()
    ratio = {"exact / PennyLane": _ratio(exact, rival), "goal, at most": 1 / 3}
    return {**_size(point), **{f"{name} MiB": size for name, size in one.ms.items()}, **ratio}


def _inference_row(point: Point, one: Found) -> Row:
    speeds = {f"{name} steps/s": ms and 1e3 * point.batch * point.steps / ms for name, ms in one.ms.items()}
    return {**_size(point), **speeds, "goal, at least": 1e6}


_TABLES = {
    "cell": "Training steps",
    "peers": "Other simulators",
    "wide": "One wide circuit",
    "memory": "Memory",
    "inference": "Inference",
    "sequence": "Whole sequences: tables or a loop",
    "methods": "Every method",
}
_ROWS: dict[str, Callable[[Point, Found], Row]] = {
    "cell": _cell_row,
    "peers": _peer_row,
    "wide": _wide_row,
    "memory": _memory_row,
    "inference": _inference_row,
    "sequence": _choice_row,
    "methods": _choice_row,
}


def regrets(points: Points) -> str:
    """How close the planner's choices are to the best: one sentence per workload with a choice."""
    told = []
    for workload in ("methods", "sequence"):
        every = [(point, regret_of(one)) for point, one in points.found.items() if point.workload == workload]
        known = [(regret, point.name) for point, regret in every if regret is not None]
        if known:
            near, (worst, where) = sum(regret <= REGRET for regret, _ in known), max(known)
            told.append(
                f"{_TABLES[workload]}: the planner's choice is within {REGRET} of the best at {near} of {len(known)} points; "
                f"the worst is {worst:.2f} ({where})."
            )
    return " ".join(told)


def write(points: Points, folder: Path) -> Path:
    """Write table.md and engine.png; returns the table's path."""

    head = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `qlogad bench engine` on: {points.setup}. Only ratios carry to other machines.\n\n"
        "Training steps: forward and backward of one recurrent cell, input 32, hidden 128, float32; four gates with their own linear "
        "maps and circuits (RY encoding, strongly-entangling layers, <Z> on every wire). The classical cell is torch.nn.LSTM(32, 128), "
        "PennyLane is default.qubit with backprop and broadcasting in the same cell; other simulators run batch 64, T = 10. Every "
        "method: bind and T calls of the four circuits, forward and backward; one left out is far slower by its prediction, or takes "
        f"over {LONG:g} s. A floor is the larger of operations over the rate of a large matrix product and bytes over the rate of a copy."
        f"\n\n{regrets(points)}\n"
    )
    parts = [f"## {name}\n\n{escape.table(_shown(rows), 'github')}\n" for name, rows in tables(points).items() if rows]
    _figure(points, folder / "engine.png")
    figure = "![milliseconds per training step against wires](engine.png)\n"
    files.write(folder / "table.md", "\n".join(["# The exact engine\n", head, figure, *parts]))
    return folder / "table.md"


def _shown(rows: list[Row]) -> list[Row]:
    def text(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        return "" if value is None else str(value)

    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: text(row.get(key)) for key in columns} for row in rows]


_STYLES = {
    "PennyLane default.qubit": "C0s-",
    "lightning.qubit, adjoint": "C1v-",
    "tensorcircuit-ng + JAX, jit": "C2^-",
    "PennyLane + JAX, jit": "C3D-",
    "exact": "C4o-",
    "torch.nn.LSTM": "k:",
    "floor": "k--",
}


def _figure(points: Points, path: Path) -> None:
    """Milliseconds of a training step against wires, one panel per depth: ours, peers', the classical cell's, the floor."""
    from matplotlib.figure import Figure

    lines: dict[int, dict[str, dict[int, float]]] = {}  # depth, contender, wires
    usual = next((point for point in points.found if point.workload == "cell"), Point("cell", 2, 1))
    for point, one in points.found.items():
        alike = replace(usual, workload=point.workload, wires=point.wires, depth=point.depth)
        if point.workload in ("cell", "peers") and point == alike:
            for name, ms in one.ms.items():
                if ms is not None:
                    lines.setdefault(point.depth, {}).setdefault(name, {})[point.wires] = ms
    figure = Figure(figsize=(3.4 * max(1, len(lines)) + 2.6, 4.2), layout="constrained")
    panels = figure.subplots(1, max(1, len(lines)), sharey=True, squeeze=False)[0]
    for axis, (depth, found) in zip(panels, sorted(lines.items()), strict=False):
        for name, style in _STYLES.items():
            if name in found:
                wires = sorted(found[name])
                axis.plot(wires, [found[name][width] for width in wires], style, lw=1.2, ms=4, label=escape.label(name))
        axis.set(xlabel="wires", yscale="log", title=f"depth {depth}")
        axis.grid(alpha=0.3)
    panels[0].set(ylabel="ms per training step")
    shown = {text: line for axis in panels for line, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        [shown[name] for name in _STYLES if name in shown], [n for n in _STYLES if n in shown], loc="outside right center"
    )
    save(figure, path)


def circuit_of(point: Point) -> Circuit:
    """The benchmark's circuit: RY encoding, strongly-entangling layers, <Z> on every wire."""
    return assemble("angle-y", "strongly-entangling", point.wires, point.depth, reupload=point.reupload)


def inputs_of(point: Point) -> Tensor:
    """A batch of sequences."""
    return torch.randn(point.batch, point.steps, WIDTH, generator=torch.Generator().manual_seed(1)).to(point.device)


def cell(circuit: Circuit, backend: Backend, device: str = "cpu") -> LSTM:
    """LSTM(32, 128) whose four gates are each a linear map, a circuit and a linear map."""
    generator = torch.Generator().manual_seed(0)

    def make(in_features: int, out_features: int, gates: int) -> Wrapped:
        return Wrapped(
            in_features,
            out_features,
            gates,
            inputs=circuit.inputs,
            readouts=len(circuit.readout),
            middle=lambda: GateCircuits(circuit, gates=gates, backend=backend, generator=generator),
            shared=False,
            generator=generator,
        )

    return LSTM(WIDTH, HIDDEN, make=make).to(device)


def training_step(module: nn.Module, x_NTI: Tensor) -> None:
    """One forward and backward pass."""
    module.zero_grad()
    torch.autograd.backward(module(x_NTI)[0].square().mean())


_PEAK = """
import json, sys, torch
from pathlib import Path
from qlogad.backend.backend import open_backend
from qlogad.bench.engine import WIDTH, Point, cell, circuit_of, inputs_of, training_step
spec, given = json.loads(sys.argv[1])
point = Point(**given)
torch.set_num_threads(1)
module = cell(circuit_of(point), open_backend(spec))
training_step(module, torch.randn(2, 2, WIDTH))
def status(key):
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)).split()[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
training_step(module, inputs_of(point))
print((status("VmHWM") - before) / 1024)
"""


def _peak(spec: str, point: Point) -> float:
    command = [sys.executable, "-c", _PEAK, json.dumps([spec, asdict(point)])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def in_turns(
    jobs: dict[str, Job], device: str, *, rare: frozenset[str] | set[str] = frozenset(), least: int = 5
) -> dict[str, float]:
    """The median seconds of each job, run in turns: at least `least` times each (3 for rare ones), more often if it is fast.

    A fast job is run once, uncounted, before every counted run, so that its data are in the caches, as during training.
    """
    quick = set()
    for name, job in jobs.items():
        first = _once(job, device)  # this run may include compilation
        if min(first, first if name in rare else _once(job, device)) < WARM:
            quick.add(name)
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in _turns(least):
        for name, job in jobs.items():
            if name in rare and turn % max(1, least // 3):
                continue
            if name in quick:
                job()
                _wait(device)
            taken[name].append(_once(job, device))
    return {name: median(values) for name, values in taken.items()}


def _once(job: Job, device: str) -> float:
    began = time.perf_counter()
    job()
    _wait(device)
    return time.perf_counter() - began


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


if __name__ == "__main__":

    def note(what: str, _: int) -> None:
        """Print on stderr what is being measured."""
        sys.stderr.write(what + "\n")

    own = Points()
    measure(own, grid_gpu() if sys.argv[1:] == ["cuda"] else grid(), note)
    sys.stdout.write("".join(map(own.line, own.found)))
