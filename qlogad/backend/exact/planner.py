"""The planner chooses the method for a circuit, and how many rows to run at a time, from predicted cost; a choice is then kept.

    predicted seconds = operations / speed + traffic / bandwidth + dispatches * overhead

Speeds are measured once per machine, torch version and device, and stored as a file in the user's cache folder: the same file gives the
same choice. A plan is data: it is stored with results and saved detectors, so that numbers do not depend on machine load.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from statistics import median
from typing import Self, TypeVar

import torch

from qlogad import documents, files
from qlogad.backend.exact.method import Effort, Method, Task
from qlogad.backend.form import Form, Kernel
from qlogad.circuit.circuit import Circuit, z_each
from qlogad.errors import BackendError, DocumentError, InputError

__all__ = [
    "DEFAULTS",
    "Option",
    "Plan",
    "Purpose",
    "Speeds",
    "choose",
    "choose_tables",
    "measured_once",
    "memory_limit",
    "one_thread",
    "options",
    "speeds_of",
    "timed",
    "too_wide",
    "use",
]

MOST_ROWS = 2**20  # of one micro-batch
TABLES_UP_TO = 7  # wires: beyond, a loop of blocks was faster than any table in all measurements
STEP = 14  # torch operations per step of a recurrent cell, without its circuit
FLAT = 8e9  # bytes: upper bound of the default memory limit
RECOMPUTED = 4 / 3  # one more forward pass in addition to the usual three passes


@dataclass(frozen=True)
class Purpose:
    """The purpose of a plan."""

    circuit: str  # its digest
    groups: int  # G
    precision: str  # "float32" or "float64"
    device: str  # "cpu" or "cuda"
    gradient: bool
    sequence: bool = False  # a recurrent cell, either as tables for a whole-sequence kernel or step by step

    @classmethod
    def of(cls, task: Task, device: str, *, sequence: bool = False) -> Self:
        """The purpose of a plan for this task, for any number of rows."""
        return cls(task.circuit.digest(), task.groups, f"float{8 * task.itemsize}", device, task.gradient, sequence)


@dataclass(frozen=True)
class Plan:
    """The plan for running a circuit; `documents.plain` converts it to JSON."""

    purpose: Purpose
    method: str
    whole: int  # the largest number of rows to run at once
    chunk: int  # rows per piece for more rows; a backward pass recomputes each piece
    tables: bool = False  # for a sequence: the method's tables, in one kernel
    compiled: bool = True  # whether the kernel may be compiled; otherwise it runs in torch

    def __post_init__(self) -> None:
        if self.whole < 0 or self.chunk < 1:
            raise DocumentError(f"a plan runs 0 or more rows at once and pieces of 1 or more, got {self.whole} and {self.chunk}")


@dataclass(frozen=True)
class Speeds:
    """The speed of a device on one thread, and whether kernels are compiled for it."""

    single: float  # floating-point operations of float32 matrix products
    double: float  # and of float64
    bandwidth: float  # bytes per second read and written beyond the cache
    dispatch: float  # seconds of one torch operation on tiny tensors
    tracked: float  # the same with autograd: a forward operation with its backward ones, counted as three
    compiled: bool = True  # False for runs too short for compilation to pay off

    def __post_init__(self) -> None:
        if not all(0 < speed < float("inf") for speed in (self.single, self.double, self.bandwidth, self.dispatch, self.tracked)):
            raise DocumentError("rates must be finite numbers above 0")

    def seconds(self, effort: Effort, task: Task) -> float:
        """The predicted time of a task."""
        speed = self.single if task.itemsize == 4 else self.double
        overhead = self.tracked if task.gradient else self.dispatch
        return effort.operations / speed + effort.traffic / self.bandwidth + effort.dispatches * overhead


DEFAULTS = {  # used if nothing can be stored between runs
    "cpu": Speeds(single=1e11, double=5e10, bandwidth=1e10, dispatch=2.5e-6, tracked=3e-6),
    "cuda": Speeds(single=2e13, double=1e13, bandwidth=1e12, dispatch=6e-6, tracked=7e-6),
}

Measured = TypeVar("Measured")

_known: dict[str, Speeds] = {}  # device -> speeds in use in this process


def use(speeds: Mapping[str, Speeds]) -> None:
    """Plan with these speeds from now on; the workers of a run use the driver's."""
    _known.update(speeds)


def speeds_of(device: torch.device, *, folder: Path | None = None) -> Speeds:
    """A device's speeds: those in use in this process, else from the file, else measured (under a second) and stored.

    Args:
        device: of the tensors.
        folder: the folder of the file; by default `documents.cache_folder()`.
    """
    default = DEFAULTS["cuda" if device.type == "cuda" else "cpu"]
    if folder is not None:
        return measured_once(default, _measure, device, folder=folder)
    if device.type not in _known:
        _known[device.type] = measured_once(default, _measure, device)
    return _known[device.type]


def measured_once(
    default: Measured, measure: Callable[[torch.device], Measured], device: torch.device, *settings: str, folder: Path | None = None
) -> Measured:
    """A measurement on this machine with this torch, device and settings, made once and stored in a file.

    Args:
        default: a dataclass, used if nothing can be stored.
        measure: makes the measurement.
        device: the measured device.
        settings: everything else that the measurement depends on.
        folder: folder of the file; by default `documents.cache_folder()`.
    """
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    key = documents.digest(platform.node(), platform.machine(), chip, torch.__version__, device.type, *settings)
    path = (folder or documents.cache_folder()) / "engine" / f"{key}.json"
    found = _read(path, type(default))
    if found is None:
        with suppress(OSError):
            files.make_folder(path.parent)
            if os.access(path.parent, os.W_OK):
                measured = measure(device)
                if not (found := _read(path, type(default))):  # if another process was first, its measurement counts
                    files.write_facts(path, documents.plain(measured))
                    found = _read(path, type(default))
    return found or default


def _read(path: Path, kind: type[Measured]) -> Measured | None:
    """The stored measurement if complete, else None."""
    try:
        return documents.from_mapping(kind, files.read_facts(path), str(path))
    except InputError:
        return None


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line
    return platform.processor()


def _measure(device: torch.device) -> Speeds:
    with one_thread(), torch.inference_mode(False):
        single, double = (_product_rate(dtype, device) for dtype in (torch.float32, torch.float64))
        bandwidth = _bandwidth(device)
        small = torch.full((4, 4, 4), 0.25, device=device)
        with torch.no_grad():
            dispatch = timed(lambda: _chain(small), device) / _LENGTH
        with torch.enable_grad():
            start = small.clone().requires_grad_()
            tracked = timed(lambda: _there_and_back(start), device) / (3 * _LENGTH)
    one, two, three, four, five = (float(f"{speed:.2g}") for speed in (single, double, bandwidth, dispatch, tracked))
    return Speeds(one, two, three, four, five)


@contextmanager
def one_thread() -> Iterator[None]:
    """Context with torch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_LENGTH = 100  # operations of a chain


def _chain(x: torch.Tensor) -> torch.Tensor:
    """Small matrix products alternating with elementwise operations, as in simulations."""
    for _ in range(_LENGTH // 2):
        x = torch.matmul(x * 0.5, x)
    return x


def _there_and_back(start: torch.Tensor) -> None:
    torch.autograd.grad(_chain(start).sum(), start)


def _product_rate(dtype: torch.dtype, device: torch.device) -> float:
    one, two = (torch.ones(shape, dtype=dtype, device=device) for shape in ((4, 64, 256), (4, 256, 256)))
    return 2 * 4 * 64 * 256 * 256 / timed(lambda: one @ two, device)


def _bandwidth(device: torch.device) -> float:
    one = torch.ones(2**21, device=device)  # 8 MiB
    other = torch.empty_like(one)
    return 2 * one.nbytes / timed(lambda: torch.mul(one, 1.5, out=other), device)


def timed(run: Callable[[], object], device: torch.device, repeats: int = 30) -> float:
    """Seconds of one run: the median of many, after a warm-up. On the CPU, thread time, independent of other load."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.thread_time
    found = []
    for number in range(repeats + 1):
        began = clock()
        run()
        if cuda:
            torch.cuda.synchronize(device)
        if number:
            found.append(clock() - began)
    return median(found)


def memory_limit(device: torch.device) -> float:
    """The default memory limit of a call in bytes: half of the device's memory, at most 8 GB, regardless of what is free now."""
    with suppress(AttributeError, OSError, ValueError):  # not available on every system
        if device.type == "cuda":
            return min(FLAT, torch.cuda.get_device_properties(device).total_memory / 2)
        return min(FLAT, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2)
    return FLAT


@dataclass(frozen=True)
class Option:
    """A prediction for a task with one method."""

    method: str
    unfit: str = ""  # why the method cannot run the circuit, or does not fit in memory
    seconds: float = float("inf")  # of all calls
    memory: float = float("inf")  # bytes at the peak
    whole: int = 0
    chunk: int = 0

    def plan(self, purpose: Purpose, *, tables: bool = False, compiled: bool = True) -> Plan:
        """The plan of this option."""
        return Plan(purpose, self.method, self.whole, self.chunk, tables, compiled)


def options(task: Task, methods: Mapping[str, Method], speeds: Speeds, limit: float) -> list[Option]:
    """Every method with its predicted cost, fastest first; methods that cannot run the task last.

    Ties: methods differentiable to any order come first, then by name.
    """
    found = [_option(task, name, method, speeds, limit) for name, method in methods.items()]
    return sorted(found, key=lambda option: (bool(option.unfit), option.seconds, not methods[option.method].second, option.method))


def _option(task: Task, name: str, method: Method, speeds: Speeds, limit: float) -> Option:
    if reason := method.unfit(task.circuit):
        return Option(name, reason)
    effort = method.effort(task)
    if effort.memory <= limit:
        whole = _most_rows(method, task, limit, task.rows)
        chunk = whole if not task.gradient else _most_rows(method, replace(task, calls=1), limit, whole)
        return Option(name, "", speeds.seconds(effort, task), effort.memory, whole, chunk)
    one = method.effort(replace(task, rows=1, calls=1))
    if one.memory > limit:
        return Option(name, f"one row needs {_gigabytes(one.memory)}, and {_gigabytes(limit)} are allowed", memory=one.memory)
    chunk = _most_rows(method, replace(task, calls=1), limit, 1)
    pieces = replace(task, rows=min(chunk, task.rows), calls=task.calls * -(-task.rows // chunk))
    seconds = speeds.seconds(method.effort(pieces), pieces) * (RECOMPUTED if task.gradient else 1)
    peak = method.effort(replace(pieces, calls=1)).memory
    whole = _most_rows(method, task, limit, 0) if task.gradient else chunk
    return Option(name, "", seconds, peak, whole, chunk)


def _most_rows(method: Method, task: Task, limit: float, least: int) -> int:
    """The largest power of two of rows that fits, at least `least`; 0 if not even one row fits."""
    low, high = -1, MOST_ROWS.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        fits = method.effort(replace(task, rows=2**middle)).memory <= limit
        low, high = (middle, high) if fits else (low, middle)
    return max(least, 2**low if low >= 0 else 0)


def choose(task: Task, methods: Mapping[str, Method], speeds: Speeds, limit: float) -> Option:
    """The fastest method that fits.

    Raises:
        BackendError: no method runs the circuit, or not even one row fits.
    """
    found = options(task, methods, speeds, limit)
    if not found[0].unfit:
        return found[0]
    if all(option.memory == float("inf") for option in found):
        raise BackendError(f"method '{found[0].method}' cannot run this circuit: {found[0].unfit}; use method 'auto'")
    raise BackendError(too_wide(task, methods, limit))


def too_wide(task: Task, methods: Mapping[str, Method], limit: float) -> str:
    """The error message if not even one row fits in memory, with the largest width that does; empty if one fits."""
    one = replace(task, rows=1, calls=1)
    needed = min(method.effort(one).memory for method in methods.values() if not method.unfit(task.circuit))
    if needed <= limit:
        return ""
    widths = (
        wires
        for wires in range(task.circuit.wires - 1, 0, -1)
        if _fits(replace(one, circuit=_narrow(task.circuit, wires)), methods, limit)
    )
    widest = next(widths, 0)
    fix = f"up to {widest} wire{'s' * (widest > 1)} fit" if widest else "allow more memory"
    return f"one row of this circuit needs about {_gigabytes(needed)}, and {_gigabytes(limit)} are allowed; {fix}"


def choose_tables(
    task: Task, methods: Mapping[str, Method], speeds: Speeds, limit: float, kernel: Kernel, form: Callable[[Method], Form | None]
) -> Option | None:
    """The method with the fastest tables for a whole sequence; None if a loop over the steps, with the best method, is faster.

    Args:
        task: of the loop: the rows of a step, and the steps as calls.
        methods: the candidates.
        speeds: of the device.
        limit: bytes.
        kernel: the cost of the kernel on given tables.
        form: builds a method's tables.

    Raises:
        BackendError: the loop cannot run; see `choose`.
    """
    cell = STEP * task.calls * (3 * speeds.tracked if task.gradient else speeds.dispatch)
    best, found = choose(task, methods, speeds, limit).seconds + cell, None
    for name, method in methods.items():
        if method.unfit(task.circuit) or task.circuit.wires > TABLES_UP_TO:
            continue
        one, two = (method.effort(replace(task, rows=1, calls=calls)) for calls in (1, 2))
        building = 2 * speeds.seconds(one, task) - speeds.seconds(two, task)  # extrapolated to no calls
        if one.memory > limit or building > best or (tables := form(method)) is None:
            continue
        seconds, memory = kernel(tables)
        if building + seconds < best and one.memory + memory <= limit:
            best = building + seconds
            found = Option(name, "", best, one.memory + memory, task.rows, task.rows)
    return found


def _fits(task: Task, methods: Mapping[str, Method], limit: float) -> bool:
    return any(not method.unfit(task.circuit) and method.effort(task).memory <= limit for method in methods.values())


def _narrow(circuit: Circuit, wires: int) -> Circuit:
    """The circuit restricted to its first wires."""
    stays = [max(gate.wires) < wires for gate in circuit.gates]
    dephased = tuple(sorted({sum(stays[:end]) for end in circuit.dephased}))
    return replace(circuit, wires=wires, gates=tuple(compress(circuit.gates, stays)), readout=z_each(wires), dephased=dephased)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
