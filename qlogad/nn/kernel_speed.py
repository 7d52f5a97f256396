"""The speed of the whole-sequence kernel on this machine, which the planner compares with a loop over the steps.

Forward and backward, a row with F features and a table of J columns costs 6 F J operations for the products and about 250 F for the
features; the phases of later uploads count as features, their unitaries as tables. The rate is measured once per machine and cached,
like those of the planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version

import torch
from torch import Tensor

from qlogad.backend.exact import Exact
from qlogad.backend.exact.planner import measured_once, one_thread, timed
from qlogad.backend.form import Form
from qlogad.circuit.encoding import assemble
from qlogad.jit import allowed, works
from qlogad.nn.whole_sequence import Tabled, Weights, run

__all__ = ["COMPILING", "DEFAULT", "IN_TORCH", "Speed", "kernel_memory", "saved_by_compiling", "speed_of"]


FEATURE = 250  # cost of one feature and its derivative in operations, measured over several widths


@dataclass(frozen=True)
class Speed:
    """The speed of the kernel on one thread."""

    operations: float  # floating-point operations per second

    def seconds(self, form: Form, rows: int, *, gradient: bool) -> float:
        """Seconds for `rows` rows over all steps, without the cell itself: forward and backward, or forward alone."""
        features = form.table.shape[1] + (0 if form.later is None else form.later.energy_LDA[..., 0].numel())
        both = len(form.table) * rows * (6 * form.multiplied + FEATURE * features) / self.operations
        return both if gradient else both / 3


DEFAULT = Speed(7e10)  # used where measurements cannot be cached
IN_TORCH = Speed(1.2e10)  # the same for uncompiled loops in torch
COMPILING = 40.0  # seconds of one CPU core to compile the kernels of a recurrent cell, once per machine


def saved_by_compiling(wires: int, rows: int) -> float:
    """Approximate seconds that a compiled kernel saves over loops in torch, in one forward and backward pass.

    Computed from fixed reference speeds, so that every machine plans alike.

    Args:
        wires: of a circuit that encodes its inputs once.
        rows: total over all circuits and time steps.
    """
    features = 1 << wires
    operations = rows * features * (12 * features + FEATURE)
    return operations * (1 / IN_TORCH.operations - 1 / DEFAULT.operations)


def kernel_memory(form: Form, rows: int) -> float:
    """Bytes that a kernel needs for that many rows: features and columns, and their derivatives."""
    return 2.0 * rows * len(form.table) * form.made * form.table.element_size()


def speed_of(like: Tensor) -> Speed:
    """The kernel's speed for a tensor's precision and device, measured if not cached; compiled where that is allowed."""
    return _speed(like.dtype, like.device, like.device.type == "cpu" and works())


@cache
def _speed(dtype: torch.dtype, device: torch.device, compiled: bool) -> Speed:
    loops = f"numba {version('numba')}" if compiled else "torch"
    default = DEFAULT if compiled else IN_TORCH
    return measured_once(default, partial(_measure, dtype, compiled), device, "sequence", version("qlogad"), str(dtype), loops)


WIRES, FEW, MANY, STEPS, GATES, SMALL = 6, 16, 64, 8, 4, 4


def _measure(dtype: torch.dtype, compiled: bool, device: torch.device) -> Speed:
    """Measured from the extra time that additional rows take with a wide table compared with a narrow one."""
    with allowed(compiled), one_thread(), torch.inference_mode(False), torch.enable_grad():
        seconds = _more(WIRES, dtype, device) - _more(1, dtype, device)
    operations = GATES * STEPS * (MANY - FEW) * 2**WIRES * (6 * 2 ** (WIRES + 1) + FEATURE)
    return Speed(float(f"{operations / max(seconds, 1e-9):.2g}"))


def _more(wires: int, dtype: torch.dtype, device: torch.device) -> float:
    """The extra seconds of a training step with many rows compared with few."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    circuit = assemble("angle-y", "identity", wires, 0)
    form = Exact("real").bind(circuit, drawn(GATES, circuit.weights)).form(MANY * STEPS)
    assert form is not None
    none = drawn(0, 0)
    learnt = [(2 * SMALL, wires), (1, wires), (wires, SMALL), (1, SMALL)]
    reduce, bias, expand, expand_bias = (drawn(GATES, *shape).requires_grad_() for shape in learnt)
    later = (none[..., None], none, none[..., None, None])  # no re-uploading
    tables = Tabled([Weights(reduce, bias, form.table, form.signs_DK, *later, expand, expand_bias)], form.compiled)

    def step(x_NTI: Tensor) -> None:
        torch.autograd.grad(run("lstm", tables, x_NTI, None)[0].sum(), [reduce, bias, expand, expand_bias])

    few, many = (drawn(rows, STEPS, SMALL) for rows in (FEW, MANY))
    return max(timed(lambda: step(many), device, repeats=9) - timed(lambda: step(few), device, repeats=9), 1e-9)
