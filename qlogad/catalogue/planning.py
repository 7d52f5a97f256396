"""The table of `show --plan`: every method of the exact engine for a design, with predicted and, on request, measured time and memory.

The task is a training step of a recurrent cell: G circuits side by side, a batch of rows with different inputs, one call per time step,
then one backward pass, on one thread.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qlogad import escape, seeds
from qlogad.backend.exact import Exact, methods_for
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.planner import Option, memory_limit, one_thread, options, speeds_of
from qlogad.circuit.circuit import Circuit
from qlogad.errors import InputError

__all__ = ["GROUPS", "Peak", "table", "text"]

GROUPS = 4  # the gates of an LSTM
REPEATS = 7
LONG = 2.0  # seconds: slower steps are not repeated
CPU = torch.device("cpu")

Row = dict[str, Any]


def table(circuit: Circuit, *, rows: int = 64, calls: int = 10, double: bool = False, every: bool = False) -> list[Row]:
    """Every method with its predicted and measured milliseconds and megabytes, fastest first; the first is chosen.

    Args:
        circuit: has inputs and weights.
        rows: rows of a batch.
        calls: time steps.
        double: use float64 instead of float32.
        every: measure every method that fits in memory, not only the chosen one.

    Raises:
        InputError: `rows` or `calls` is less than 1.
        BackendError: no method fits in memory.
    """
    if min(rows, calls) < 1:
        raise InputError(f"a plan needs at least 1 row and 1 call, got {rows} and {calls}")
    task = Task(circuit, GROUPS, rows, calls, 8 if double else 4)
    found = options(task, methods_for(circuit), speeds_of(CPU), memory_limit(CPU))
    return [_row(task, option, chosen=place == 0, measured=place == 0 or every) for place, option in enumerate(found)]


def _row(task: Task, option: Option, *, chosen: bool, measured: bool) -> Row:
    row: Row = {
        "method": option.method,
        "chosen": chosen and not option.unfit,
        "why not": option.unfit,
        "predicted ms": None if option.unfit else 1e3 * option.seconds,
        "predicted MB": None if option.memory == float("inf") else option.memory / 1e6,
        "rows at once": None if option.unfit else option.whole or option.chunk,
        "measured ms": None,
        "measured MB": None,
    }
    if measured and not option.unfit:
        row["measured ms"], row["measured MB"] = _measure(task, option.method)
    return row


def _measure(task: Task, method: str) -> tuple[float, float]:
    """Milliseconds and megabytes of a training step."""
    generator = seeds.torch_generator(0, "plan")
    dtype = torch.float32 if task.itemsize == 4 else torch.float64
    weights_GP = torch.randn(task.groups, task.circuit.weights, generator=generator).to(dtype).requires_grad_()
    inputs_GNI = torch.randn(task.groups, task.rows, task.circuit.inputs, generator=generator).to(dtype).requires_grad_()
    engine = Exact("auto" if task.circuit.dephased else method)

    def step() -> None:
        bound = engine.bind(task.circuit, weights_GP, calls=task.calls)
        means = [bound(inputs_GNI).sum() for _ in range(task.calls)]
        torch.autograd.grad(torch.stack(means).sum(), (weights_GP, inputs_GNI), materialize_grads=True)

    with one_thread():
        step()  # builds everything that is cached
        with Peak() as peak:
            step()
        taken: list[float] = []
        while not taken or (len(taken) < REPEATS and sum(taken) < LONG):
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
    return 1e3 * median(taken), peak.size / 1e6


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The peak number of bytes held by tensors created in this context, after each operation; temporary memory is not counted.

    >>> with Peak() as peak:
    ...     total = torch.zeros(1000).add(1).sum()
    >>> peak.size
    8000
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size = self._held = 0
        self._live: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given | self._live:
                self._hold(leaf.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._live.add(key)
        self._held += size
        self.size = max(self.size, self._held)
        weakref.finalize(storage, self._free, key, size).atexit = False

    def _free(self, key: int, size: int) -> None:
        self._live.discard(key)
        self._held -= size


def text(rows: Sequence[Row], title: str) -> str:
    """The table as text; a star marks the chosen method."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

    shown = [
        {
            "method": ("* " if row["chosen"] else "  ") + row["method"],
            **{key: number(value) for key, value in row.items() if key.endswith(("ms", "MB", "once"))},
            "why not": row["why not"],
        }
        for row in rows
    ]
    return f"{title}\n\n{escape.table(shown, 'simple', colalign=_ALIGN)}"


_ALIGN = ("left", "right", "right", "right", "right", "right", "left")
