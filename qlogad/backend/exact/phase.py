"""A circuit that reads inputs again and again: unitaries of weights alone, and between them a phase for every row and basis state.

A rotation about any axis is a rotation about Z between fixed gates, so every upload is diagonal once those have joined the unitaries:

    psi <- U_l (exp(i phase_l(x)) psi)

A unitary is built once for all calls where it is small, and applied layer by layer where that takes fewer operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.fused import Fused, Step
from qlogad.backend.exact.method import Cost, Method, Run, Task
from qlogad.backend.exact.real import Product
from qlogad.backend.exact.start import Start, starts
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Circuit

__all__ = ["Phase"]


class Phase(Method):
    """Uploads as phases between unitaries of weights alone. Any circuit, differentiable to any order."""

    name = "phase"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def cost(self, task: Task) -> Cost:
        raise NotImplementedError

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        return plan.bind(weights_GP)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        found = starts(circuit)
        zero = Start(None, np.array([[1.0 + 0j], [0]]))
        gates = circuit.gates if found is None else tuple(gate for run in split(circuit).runs for gate in run.gates)
        self.product = Product(found or [zero] * circuit.wires, circuit.inputs, like)
        self.fused = Fused(circuit, gates, self.product.columns, like)
        self.size = 2**circuit.wires
        self.whole = [_whole(kinds, circuit.wires) for kinds in self.fused.kinds]

    def bind(self, weights_GP: Tensor) -> Run:
        start_WG22, segments = self.fused(weights_GP)
        begin = self._begin(start_WG22, segments[0])
        later = [self._joined(steps, len(weights_GP)) if whole else steps for steps, whole in zip(segments, self.whole, strict=True)]

        def run(inputs_GNI: Tensor) -> Tensor:
            states_GDN = begin(inputs_GNI)
            for phase_GDN, steps in zip(self.fused.uploads(inputs_GNI), later[1:], strict=True):
                states_GDN = reduce(lambda states, step: step(states), steps, states_GDN * phase_GDN)
            seen_GDN = torch.view_as_real(states_GDN).square().sum(-1)
            return (self.fused.signs_DK.mT @ seen_GDN).mT.expand(-1, inputs_GNI.shape[1], -1)

        return run

    def _begin(self, start_WG22: Tensor, steps: Sequence[Step]) -> Run:
        """The states before the first upload, (G, D, N) from inputs."""
        if self.whole[0] or not self.product.angles:
            matrix_GDR = self.product.matrix(start_WG22, steps)
            if not self.product.angles:
                fixed = torch.complex(*matrix_GDR.chunk(2, dim=1))
                return lambda inputs_GNI: fixed
            return lambda inputs_GNI: torch.complex(*(matrix_GDR @ self.product(inputs_GNI).mT).chunk(2, dim=1))
        return lambda inputs_GNI: reduce(lambda states, step: step(states), steps, self.product.states(start_WG22, inputs_GNI))

    def _joined(self, steps: Sequence[Step], groups: int) -> list[Step]:
        """Steps as one unitary."""
        states = torch.eye(self.size, dtype=self.fused.complex, device=self.fused.signs_DK.device).expand(groups, -1, -1)
        unitary_GDD = reduce(lambda states, step: step(states), steps, states)
        return [lambda states_GDN: unitary_GDD @ states_GDN]


def _whole(kinds, wires):
    return WHOLE

WHOLE = True


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
