"""Re-uploading circuits: weight-only unitaries, and between them one phase per row and basis state.

A rotation about any axis is a rotation about Z between fixed gates, so every upload is diagonal once those are merged into the unitaries:

    psi_0 = U_0 |0>,    psi_l = U_l (exp(i phase_l) psi_(l-1)),    mean_k = sum_b sign_bk |psi_L,b|^2

The derivative is hand-written: lam is the gradient of psi, lam_L = 2 sum_k slope_k sign_k psi_L; with chi = exp(i phase_l) psi_(l-1), U_l
has the gradient lam_l chi^+, then lam = U_l^+ lam_l is that of chi, and phase_l has Im(lam chi*).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.fused import Fused, Step, kron_tree, turn, vector_pair
from qlogad.backend.exact.parts.layers import in_layers, operations
from qlogad.backend.exact.parts.tables import form_of
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.readout import bases

__all__ = ["Phase"]

PASSES = 6  # measured reads and writes of tables and states, over widths and depths
FORM_UP_TO = 8  # wires: beyond, dense unitaries for whole sequences outgrow the memory of a step


class Phase(Method):
    """Uploads as phases between weight-only unitaries. Any circuit, differentiable to any order; higher derivatives use
    autograd."""

    name = "phase"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def effort(self, task: Task) -> Effort:
        circuit = task.circuit
        _, *later = in_layers(circuit, circuit.gates).kinds()
        size = 2**circuit.wires
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        tables = task.groups * len(later) * size * size * len(bases(circuit.readout))  # complex entries
        states = task.groups * task.rows * size
        steps, built = len(later), sum(map(len, later))
        each = steps * (12 * size + 40) + 4 * len(circuit.readout)  # per amplitude; complex products run at two thirds of the rate
        columns = size * sum(operations(kinds, circuit.wires) for kinds in later)
        return Effort(
            operations=back * (task.groups * columns + task.calls * states * each),
            traffic=back * PASSES * 2 * task.itemsize * (tables * (1 + built) + task.calls * (tables + states * (1 + steps))),
            dispatches=back * (36 + 5 * built + task.calls * (14 + 4 * steps)),
            memory=2 * task.itemsize * (tables * (2 + (2 * built if task.gradient else 1)) + kept * states * (3 + 2 * steps)),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return _program(circuit, weights_GP.dtype, weights_GP.device).bind(weights_GP)

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        return form_of(circuit, weights_GP) if circuit.wires <= FORM_UP_TO else None


class _Program:
    """The circuit-only data, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        self._fused = Fused(circuit, circuit.gates, [np.eye(2, dtype=complex)] * circuit.wires, like)
        self._uploads, self._signs_DK = self._fused.uploads, self._fused.signs_DK
        self._eye_1DD = torch.eye(2**circuit.wires, dtype=self._fused.complex, device=like.device)[None]

    def bind(self, weights_GP: Tensor) -> Evaluator:
        weighted = self._fused(weights_GP)
        first, *later = weighted.segments
        begin_GD1 = _after(first, kron_tree(weighted.wires_WG22[..., 0], vector_pair)[..., None])
        unitaries = [_after(steps, self._eye_1DD.expand(len(weights_GP), -1, -1)) for steps in later]

        def run(inputs_GNI: Tensor) -> Tensor:
            mean_GNK = cast(Tensor, _Pass.apply(self, self._uploads(inputs_GNI), begin_GD1, *unitaries))  # type: ignore[no-untyped-call]
            return mean_GNK if unitaries else mean_GNK.expand(-1, inputs_GNI.shape[1], -1)

        return run

    def forward(self, phase_GEN: Tensor, begin_GD1: Tensor, *unitaries: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The readouts; then the factors exp(i phase), the states multiplied by them, and the final states."""
        turns_GEN = turn(phase_GEN)
        states_GDN = begin_GD1
        turned = []
        for turn_GDN, unitary_GDD in zip(self._uploads.each(turns_GEN), unitaries, strict=True):
            turned.append(states_GDN * turn_GDN)
            states_GDN = unitary_GDD @ turned[-1]
        parts_GDM = torch.view_as_real(states_GDN).flatten(2).square()  # M: real and imaginary parts of all rows
        mean_GKM = self._signs_DK.mT @ parts_GDM
        return mean_GKM.view(*mean_GKM.shape[:2], states_GDN.shape[2], 2).sum(-1).mT, [turns_GEN, *turned, states_GDN]

    def backward(
        self, slope_GNK: Tensor, given: Sequence[Tensor], kept: Sequence[Tensor], wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients of the arguments that need them."""
        (_, _, *unitaries), (turns_GEN, *turned, states_GDN) = given, kept
        lam_GDN = states_GDN * (2 * self._signs_DK @ slope_GNK.mT)
        phase_slope = torch.zeros_like(given[0])
        phase_slopes, turns = self._uploads.each(phase_slope), self._uploads.each(turns_GEN)
        slopes: list[Tensor | None] = []
        for place in reversed(range(len(unitaries))):
            slopes.append(lam_GDN @ turned[place].mH if wanted[2 + place] else None)
            lam_GDN = unitaries[place].mH @ lam_GDN
            if wanted[0]:
                phase_slopes[place] += (lam_GDN * turned[place].conj()).imag.sum_to_size(phase_slopes[place].shape)
            lam_GDN = lam_GDN * turns[place].conj()
        return [phase_slope, lam_GDN.sum(2, keepdim=True), *slopes[::-1]]


def _after(steps: Sequence[Step], states_GDR: Tensor) -> Tensor:
    return reduce(lambda states, step: step(states), steps, states_GDR)


class _Pass(torch.autograd.Function):
    """One call as an autograd function of the phases, the first state and the unitaries."""

    @staticmethod
    def forward(ctx: Any, program: _Program, *given: Tensor) -> Tensor:
        mean_GNK, kept = program.forward(*given)
        ctx.program, ctx.count = program, len(given)
        ctx.save_for_backward(*given, *kept)
        return mean_GNK

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # only once: a recomputed piece cannot unpack them again
        given, kept = saved[: ctx.count], saved[ctx.count :]
        if not torch.is_grad_enabled():
            return None, *ctx.program.backward(slopes[0], given, kept, ctx.needs_input_grad[1:])
        reading = [one for one in given if one.requires_grad]  # a second derivative is requested
        found = iter(torch.autograd.grad(ctx.program.forward(*given)[0], reading, slopes[0], create_graph=True, allow_unused=True))
        return None, *(next(found) if one.requires_grad else None for one in given)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))
