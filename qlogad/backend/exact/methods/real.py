"""A circuit that reads its inputs once, as one real matrix product: weights give a unitary U, inputs a product state C r with r real.

The start of a wire is column @ (cos a/2, sin a/2), so the amplitudes are (U C) r with r the Kronecker product of all (cos a/2, sin a/2).
Split into real and imaginary parts, U C is one real table, built once for all calls:

    mean = (r @ [Re | Im])^2 @ signs
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.fused import Fused
from qlogad.backend.exact.parts.layers import in_layers, operations
from qlogad.backend.exact.parts.product import Product, after_start
from qlogad.backend.exact.parts.split import split
from qlogad.backend.exact.parts.tables import form_of
from qlogad.backend.exact.parts.wire_starts import starts
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.readout import bases

__all__ = ["Real"]


PASSES = 6  # measured reads and writes of intermediate results, over widths, depths and rows


class Real(Method):
    """One real matrix product per call; differentiable to any order."""

    name = "real"

    def unfit(self, circuit: Circuit) -> str:
        if starts(circuit) is None:
            return "a wire's state depends on two angles that read inputs"
        return "it reads inputs again after the start" if any(section.inputs for section in split(circuit).sections) else ""

    def effort(self, task: Task) -> Effort:
        wires = task.circuit.wires
        (kinds,) = in_layers(task.circuit, after_start(task.circuit)).kinds()
        reached = 2 ** sum(start.angle is not None for start in starts(task.circuit) or ())  # R
        seen = 2 ** (1 + wires) * len(bases(task.circuit.readout))  # 2 D
        table, rows = task.groups * reached * seen, task.groups * task.rows
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        built = 2 + (2 * len(kinds) if task.gradient else 1)  # tables in memory
        call = 2 * rows * seen * (reached + len(task.circuit.readout))
        return Effort(
            operations=back * (task.groups * reached * operations(kinds, wires) + task.calls * call),
            traffic=back
            * PASSES
            * task.itemsize
            * (table * (2 + 2 * len(kinds)) + task.calls * (table + rows * (reached + 3 * seen))),
            dispatches=back * (36 + 4 * len(kinds) + 15 * task.calls),
            memory=task.itemsize * (table * built + kept * rows * (reached + 2 * seen)),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        program = _program(circuit, weights_GP.dtype, weights_GP.device)
        table_GRD = program.table(weights_GP)

        def run(inputs_GNI: Tensor) -> Tensor:
            return torch.matmul(program.product(inputs_GNI), table_GRD).square() @ program.signs_DK

        return run

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        return form_of(circuit, weights_GP)


class _Program:
    """The circuit-only data, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        found = starts(circuit)
        assert found is not None, "`unfit` excludes this"
        self.product = Product(found, circuit.inputs, like)
        self.fused = Fused(circuit, after_start(circuit), self.product.columns, like)
        self.signs_DK = torch.cat([self.fused.signs_DK, self.fused.signs_DK])  # for real parts, then imaginary parts

    def table(self, weights_GP: Tensor) -> Tensor:
        """[Re | Im] of U C, transposed: (G, R, 2 D)."""
        return self.product.matrix(self.fused(weights_GP)).mT


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))
