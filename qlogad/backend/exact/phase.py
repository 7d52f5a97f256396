"""A circuit that reads inputs again and again: unitaries of weights alone, and between them a phase for every row and basis state.

A rotation about any axis is a rotation about Z between fixed gates, so every upload is diagonal once those have joined the unitaries:

    psi_0 = T r,    psi_l = U_l (exp(i phase_l) psi_(l-1)),    mean_k = sum_b sign_bk |psi_L,b|^2

The derivative is written by hand: lam is the slope of psi, lam_L = 2 sum_k slope_k sign_k psi_L; with chi = exp(i phase_l) psi_(l-1), U_l
has the slope lam_l chi^+, then lam = U_l^+ lam_l is that of chi, and phase_l has Im(lam chi*).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.fused import Fused, Step, turn
from qlogad.backend.exact.layers import cut, operations
from qlogad.backend.exact.method import Cost, Method, Run, Task
from qlogad.backend.exact.real import Product, after_start
from qlogad.backend.exact.start import Start, starts
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.readout import bases

__all__ = ["Phase"]


class Phase(Method):
    """Uploads as phases between unitaries of weights alone. Any circuit, differentiable to any order; beyond the first it goes
    through autograd."""

    name = "phase"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def cost(self, task: Task) -> Cost:
        circuit = task.circuit
        first, *later = cut(circuit, _gates(circuit)).kinds()
        size, seen = 2**circuit.wires, 2**circuit.wires * len(bases(circuit.readout))
        reached = 2 ** sum(start.angle is not None for start in starts(circuit) or ())
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        tables = task.groups * (reached * size + len(later) * size * size)  # complex entries
        columns = reached * operations(first, circuit.wires) + size * sum(operations(kinds, circuit.wires) for kinds in later)
        steps = sum(map(len, (first, *later)))
        states = task.groups * task.rows * size  # complex entries
        each = 4 * reached + len(later) * (8 * size + 40) + 4 * len(circuit.readout)  # operations on an amplitude
        return Cost(
            operations=back * (task.groups * columns + task.calls * states * each * seen / size),
            traffic=back * 2 * task.itemsize * (tables * (2 + 2 * steps) + task.calls * (tables + states * (6 + 5 * len(later)))),
            dispatches=back * (26 + 4 * steps + task.calls * (12 + 3 * len(later))),
            memory=2 * task.itemsize * (tables * (2 + (2 * steps if task.gradient else 1)) + kept * states * (3 + 2 * len(later))),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        return _plan(circuit, weights_GP.dtype, weights_GP.device).bind(weights_GP)


def _gates(circuit: Circuit) -> tuple[Gate, ...]:
    """The gates after the start, all of them where the start is |0...0>."""
    return circuit.gates if starts(circuit) is None else after_start(circuit)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        found = starts(circuit) or [Start(None, np.array([[1.0 + 0j], [0]]))] * circuit.wires
        self._product = Product(found, circuit.inputs, like)
        self._fused = Fused(circuit, _gates(circuit), self._product.columns, like)
        self.uploads, self._signs_DK = self._fused.uploads, self._fused.signs_DK
        self._eye_1DD = torch.eye(2**circuit.wires, dtype=self._fused.complex, device=like.device)[None]

    def bind(self, weights_GP: Tensor) -> Run:
        weighted = self._fused(weights_GP)
        table_GDR = self._product.matrix(weighted)
        unitaries = [self._joined(steps, len(weights_GP)) for steps in weighted.segments[1:]]

        def run(inputs_GNI: Tensor) -> Tensor:
            given = (table_GDR, self._product(inputs_GNI), self.uploads(inputs_GNI), *unitaries)
            return cast(Tensor, _Pass.apply(self, *given))  # type: ignore[no-untyped-call]

        return run

    def _joined(self, steps: Sequence[Step], groups: int) -> Tensor:
        """Steps as one unitary (G, D, D)."""
        return reduce(lambda states, step: step(states), steps, self._eye_1DD.expand(groups, -1, -1))

    def forward(self, table_GDR: Tensor, r_GNR: Tensor, phase_GEN: Tensor, *unitaries: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The readouts; then the turns by every phase, the states once turned, and the last states."""
        states_GDN = torch.complex(*torch.matmul(table_GDR, r_GNR.mT).chunk(2, dim=1))
        turns_GEN = turn(phase_GEN)
        turned = []
        for turn_GDN, unitary_GDD in zip(self.uploads.each(turns_GEN), unitaries, strict=True):
            turned.append(states_GDN * turn_GDN)
            states_GDN = unitary_GDD @ turned[-1]
        parts_GDM = torch.view_as_real(states_GDN).flatten(2).square()  # M: real and imaginary parts of every row
        mean_GKM = self._signs_DK.mT @ parts_GDM
        return mean_GKM.view(*mean_GKM.shape[:2], r_GNR.shape[1], 2).sum(-1).mT, [turns_GEN, *turned, states_GDN]

    def backward(
        self, slope_GNK: Tensor, given: Sequence[Tensor], kept: Sequence[Tensor], wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The slopes of what is given; those of weight-only tensors where they are wanted."""
        (table_GDR, r_GNR, phase_GEN, *unitaries), (turns_GEN, *turned, states_GDN) = given, kept
        lam_GDN = states_GDN * (2 * self._signs_DK @ slope_GNK.mT)
        phase_slope = torch.zeros_like(phase_GEN)
        phase_slopes, turns = self.uploads.each(phase_slope), self.uploads.each(turns_GEN)
        slopes: list[Tensor | None] = []
        for place in reversed(range(len(unitaries))):
            slopes.append(lam_GDN @ turned[place].mH if wanted[3 + place] else None)
            lam_GDN = unitaries[place].mH @ lam_GDN
            phase_slopes[place] += (lam_GDN * turned[place].conj()).imag.sum_to_size(phase_slopes[place].shape)
            lam_GDN = lam_GDN * turns[place].conj()
        parts_GDN = torch.cat([lam_GDN.real, lam_GDN.imag], dim=1)
        table_slope = parts_GDN @ r_GNR if wanted[0] else None
        return [table_slope, (parts_GDN.mT @ table_GDR).sum_to_size(r_GNR.shape), phase_slope, *slopes[::-1]]


class _Pass(torch.autograd.Function):
    """One call, from the tables and what inputs make."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *given: Tensor) -> Tensor:
        mean_GNK, kept = plan.forward(*given)
        ctx.plan, ctx.count = plan, len(given)
        ctx.save_for_backward(*given, *kept)
        return mean_GNK

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        given, kept = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        if not torch.is_grad_enabled():
            return None, *ctx.plan.backward(slopes[0], given, kept, ctx.needs_input_grad[1:])
        reading = [one for one in given if one.requires_grad]  # the derivative of this derivative is wanted
        found = iter(torch.autograd.grad(ctx.plan.forward(*given)[0], reading, slopes[0], create_graph=True))
        return None, *(next(found) if one.requires_grad else None for one in given)


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
