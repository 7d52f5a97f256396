"""A circuit that reads its inputs once, as one real matrix product: weights make a unitary U, inputs a product state C r with r real.

The start of a wire is column @ (cos a/2, sin a/2), so the amplitudes are (U C) r with r the Kronecker product of all (cos a/2, sin a/2).
Split into real and imaginary parts, U C is one real table, built once for all calls:

    mean = (r @ [Re | Im])^2 @ signs
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.fused import Affine, Fused, Weighted, kron_tree, matrix_pair, vector_pair
from qlogad.backend.exact.layers import cut, operations
from qlogad.backend.exact.method import Cost, Form, Method, Run, Task
from qlogad.backend.exact.start import Start, starts
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.readout import bases

__all__ = ["Product", "Real", "after_start"]


PASSES = 6  # times that what is made is read and written, measured over widths, depths and rows


class Real(Method):
    """One real matrix product a call; differentiable to any order."""

    name = "real"

    def unfit(self, circuit: Circuit) -> str:
        if starts(circuit) is None:
            return "a wire's state begins with two angles that read inputs"
        return "it reads inputs again after the start" if any(run.inputs for run in split(circuit).runs) else ""

    def cost(self, task: Task) -> Cost:
        wires = task.circuit.wires
        (kinds,) = cut(task.circuit, after_start(task.circuit)).kinds()
        reached = 2 ** sum(start.angle is not None for start in starts(task.circuit) or ())  # R
        seen = 2 ** (1 + wires) * len(bases(task.circuit.readout))  # 2 D
        table, rows = task.groups * reached * seen, task.groups * task.rows
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        built = 2 + (2 * len(kinds) if task.gradient else 1)  # tables held
        call = 2 * rows * seen * (reached + len(task.circuit.readout))
        return Cost(
            operations=back * (task.groups * reached * operations(kinds, wires) + task.calls * call),
            traffic=back
            * PASSES
            * task.itemsize
            * (table * (2 + 2 * len(kinds)) + task.calls * (table + rows * (reached + 3 * seen))),
            dispatches=back * (36 + 4 * len(kinds) + 15 * task.calls),
            memory=task.itemsize * (table * built + kept * rows * (reached + 2 * seen)),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        table_GRD = plan.table(weights_GP)

        def run(inputs_GNI: Tensor) -> Tensor:
            return torch.matmul(plan.product(inputs_GNI), table_GRD).square() @ plan.signs_DK

        return run

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        return Form("real", plan.product.angles, plan.table(weights_GP), plan.signs_DK)


def after_start(circuit: Circuit) -> tuple[Gate, ...]:
    """The gates that come after those that make every wire's start."""
    return tuple(gate for run in split(circuit).runs for gate in run.gates)


class Product:
    """The product states of wires that each read one angle at most, C r with r real; without starts, |0...0>.

    `columns` are C of every wire, `angles` those that r depends on.
    """

    def __init__(self, found: Sequence[Start], inputs: int, like: Tensor) -> None:
        self.columns = [np.hstack([start.column, np.zeros((2, 2 - start.column.shape[1]))]) for start in found]
        self.angles = tuple(start.angle for start in found if start.angle is not None)
        self._half = Affine(self.angles, inputs, like, scale=0.5)
        self._every = Affine([start.angle or Angle(None) for start in found], inputs, like, scale=0.5)
        self._reached = [start.column.shape[1] for start in found]  # columns of each wire's C that r reaches

    def __call__(self, inputs_GNI: Tensor) -> Tensor:
        """r_GNR, the Kronecker product of all (cos a/2, sin a/2)."""
        if not self.angles:
            return inputs_GNI.new_ones(*inputs_GNI.shape[:2], 1)
        half_AM = self._half(inputs_GNI.flatten(0, 1))
        r_MR = kron_tree(torch.stack([torch.cos(half_AM), torch.sin(half_AM)], dim=-1), vector_pair)
        return r_MR.view(*inputs_GNI.shape[:2], r_MR.shape[1])

    def halves(self, inputs_GNI: Tensor) -> Tensor:
        """Half the angle of every wire, (W, G, N); zero where it has none."""
        return self._every(inputs_GNI.flatten(0, 1)).view(len(self._reached), *inputs_GNI.shape[:2])

    def matrix(self, weighted: Weighted) -> Tensor:
        """The states before the first upload as a matrix on r: [Re | Im], (G, 2 D, R)."""
        if set(self._reached) == {2}:
            states_GDR = reduce(matrix_pair, weighted.blocks)
        else:
            columns = zip(weighted.wires_WG22, self._reached, strict=True)
            states_GDR = reduce(matrix_pair, [wire_G22[..., :reached] for wire_G22, reached in columns])
        for step in weighted.segments[0]:
            states_GDR = step(states_GDR)
        return torch.cat([states_GDR.real, states_GDR.imag], dim=1)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        found = starts(circuit)
        assert found is not None, "unfit says so"
        self.product = Product(found, circuit.inputs, like)
        self.fused = Fused(circuit, after_start(circuit), self.product.columns, like)
        self.signs_DK = torch.cat([self.fused.signs_DK, self.fused.signs_DK])  # of the real parts, then of the imaginary ones

    def table(self, weights_GP: Tensor) -> Tensor:
        """[Re | Im] of U C, transposed: (G, R, 2 D)."""
        return self.product.matrix(self.fused(weights_GP)).mT


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # what is kept serves training too
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
