"""How quick the whole-sequence kernel is on this machine: what the planner weighs a loop over the steps against.

A row's features, F of them, are made and multiplied with a table of J columns, and both ways back: 6 F J operations, and as many
as 250 F take; the phases of later uploads count as features, and their unitaries as tables. The rate is measured once per machine
and kept, as those of the planner are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version

import torch
from torch import Tensor

from qlogad.backend.exact import Exact
from qlogad.backend.exact.compiling import allowed, works
from qlogad.backend.exact.method import Form
from qlogad.backend.exact.planner import measured_once, one_thread, timed
from qlogad.circuit.design import assemble

__all__ = ["COMPILING", "DEFAULT", "IN_TORCH", "Speed", "kernel_memory", "saved_by_compiling", "speed_of"]


FEATURE = 250  # operations that would take as long as one feature with its derivative, measured over widths


@dataclass(frozen=True)
class Speed:
    """Of the kernel on one thread."""

    operations: float  # a second, floating-point

    def seconds(self, form: Form, rows: int, *, gradient: bool) -> float:
        """What a kernel takes for so many rows of all steps together, besides its cell; forward and backward, or forward alone."""
        features = form.table.shape[1] + (0 if form.later is None else form.later.energy_LDA[..., 0].numel())
        both = len(form.table) * rows * (6 * form.multiplied + FEATURE * features) / self.operations
        return both if gradient else both / 3


DEFAULT = Speed(7e10)  # where nothing can be kept between runs
IN_TORCH = Speed(1.2e10)  # the same of loops that are not compiled
COMPILING = 40.0  # seconds of one core that the kernels of a recurrent cell take until they are compiled, once on a machine


def saved_by_compiling(wires: int, rows: int) -> float:
    """Seconds that a compiled kernel saves over loops in torch in one pass forward and backward, about.

    From speeds as they were measured on one machine, so that everybody plans alike.

    Args:
        wires: of the circuit, whose inputs enter once.
        rows: of all circuits and time steps together.
    """
    features = 1 << wires
    operations = rows * features * (12 * features + FEATURE)
    return operations * (1 / IN_TORCH.operations - 1 / DEFAULT.operations)


def kernel_memory(form: Form, rows: int) -> float:
    """The bytes that a kernel holds for so many rows: features and columns, and their derivatives."""
    return 2.0 * rows * len(form.table) * form.made * form.table.element_size()


def speed_of(like: Tensor) -> Speed:
    """The kernel's speed in the precision and on the device of a tensor, measured where it is not known; compiled, if that may be."""
    return _speed(like.dtype, like.device, like.device.type == "cpu" and works())


@cache
def _speed(dtype: torch.dtype, device: torch.device, compiled: bool) -> Speed:
    loops = f"numba {version('numba')}" if compiled else "torch"
    default = DEFAULT if compiled else IN_TORCH
    return measured_once(default, partial(_measure, dtype, compiled), device, "sequence", version("qlogad"), str(dtype), loops)


WIRES, FEW, MANY, STEPS, GATES, SMALL = 6, 16, 64, 8, 4, 4


def _measure(dtype: torch.dtype, compiled: bool, device: torch.device) -> Speed:
    """From the seconds that more rows take with a wide table, beyond those that they take with a narrow one."""
    with allowed(compiled), one_thread(), torch.inference_mode(False), torch.enable_grad():
        seconds = _more(WIRES, dtype, device) - _more(1, dtype, device)
    operations = GATES * STEPS * (MANY - FEW) * 2**WIRES * (6 * 2 ** (WIRES + 1) + FEATURE)
    return Speed(float(f"{operations / max(seconds, 1e-9):.2g}"))


def _more(wires: int, dtype: torch.dtype, device: torch.device) -> float:
    """The seconds that a training step takes longer with many rows than with few."""
    from qlogad.nn.layer import GateCircuits
    from qlogad.nn.maps import Wrapped
    from qlogad.nn.recurrent import LSTM

    circuit, generator = assemble("angle-y", "identity", wires, 0), torch.Generator().manual_seed(0)

    def make(in_features: int, out_features: int, gates: int) -> Wrapped:
        middle = partial(GateCircuits, circuit, gates=gates, backend=Exact("real"), generator=generator)
        size = (in_features, out_features, gates)
        return Wrapped(*size, inputs=wires, readouts=wires, middle=middle, shared=False, generator=generator)

    cell = LSTM(SMALL, SMALL, make=make).to(device, dtype)

    def step(x_NTI: Tensor) -> None:
        torch.autograd.grad(cell(x_NTI)[0].sum(), list(cell.parameters()), allow_unused=True)

    few, many = (torch.randn(rows, STEPS, SMALL, generator=generator).to(device, dtype) for rows in (FEW, MANY))
    return max(timed(lambda: step(many), device, repeats=9) - timed(lambda: step(few), device, repeats=9), 1e-9)
