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
from qlogad.backend.exact.jit import allowed, works
from qlogad.backend.exact.planner import measured_once, one_thread, timed
from qlogad.backend.form import Form
from qlogad.circuit.encoding import assemble
from qlogad.nn.whole_sequence import Tabled, Weights, run

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
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    circuit = assemble("angle-y", "identity", wires, 0)
    form = Exact("real").bind(circuit, drawn(GATES, circuit.weights)).form(MANY * STEPS)
    assert form is not None
    none = drawn(0, 0)
    learnt = [(2 * SMALL, wires), (1, wires), (wires, SMALL), (1, SMALL)]
    reduce, bias, expand, expand_bias = (drawn(GATES, *shape).requires_grad_() for shape in learnt)
    later = (none[..., None], none, none[..., None, None])  # nothing is uploaded again
    tables = Tabled([Weights(reduce, bias, form.table, form.signs_DK, *later, expand, expand_bias)], form.compiled)

    def step(x_NTI: Tensor) -> None:
        torch.autograd.grad(run("lstm", tables, x_NTI, None)[0].sum(), [reduce, bias, expand, expand_bias])

    few, many = (drawn(rows, STEPS, SMALL) for rows in (FEW, MANY))
    return max(timed(lambda: step(many), device, repeats=9) - timed(lambda: step(few), device, repeats=9), 1e-9)
