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

from qlogad.backend.exact.fused import Fused, Step, Weighted
from qlogad.backend.exact.layers import Kind, block_sizes, cut, operations
from qlogad.backend.exact.method import Cost, Method, Run, Task
from qlogad.backend.exact.real import PASSES, Product, after_start
from qlogad.backend.exact.start import Start, starts
from qlogad.circuit.circuit import Circuit, Gate

__all__ = ["Phase", "Plan", "Segment", "segments"]

Segment = tuple[list[Kind], bool]  # the layers between two uploads, and whether one unitary stands in their place

WHOLE_UP_TO = 10  # wires: beyond, a unitary takes too much memory


class Phase(Method):
    """Uploads as phases between unitaries of weights alone. Any circuit, differentiable to any order."""

    name = "phase"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def cost(self, task: Task) -> Cost:
        wires = task.circuit.wires
        size, rows = 2**wires, task.groups * task.rows
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        work = traffic = dispatches = memory = 0.0
        for kinds, whole in segments(task.circuit):
            layers = operations(kinds, wires)
            columns = task.groups * size if whole else task.calls * rows  # that the layers are applied to
            states = 1 + len(kinds)
            work += columns * layers + task.calls * rows * size * (8 * size if whole else 8)
            traffic += 2 * size * (columns * states + (task.calls * (rows * 4 + task.groups * size) if whole else 3 * columns))
            dispatches += 3 * states * (1 if whole else task.calls) + 8 * task.calls
            memory += (
                2 * size * ((task.groups * size if whole else kept * rows) * (states if task.gradient else 2) + kept * rows * 3)
            )
        return Cost(
            operations=1.4 * back * work,
            traffic=back * PASSES * task.itemsize * traffic,
            dispatches=back * (24 + 12 * task.calls + dispatches),
            memory=task.itemsize * memory,
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        return plan.bind(weights_GP)


class Plan:
    """What depends on the circuit alone, for one precision and device.

    Args:
        circuit: any.
        like: a real tensor of the wanted precision and device.
        parts: of every segment its layers, and whether it becomes one unitary.
    """

    def __init__(self, circuit: Circuit, like: Tensor, parts: Sequence[Segment]) -> None:
        found = starts(circuit)
        zero = Start(None, np.array([[1.0 + 0j], [0]]))
        self.product = Product(found or [zero] * circuit.wires, circuit.inputs, like)
        self.fused = Fused(circuit, _gates(circuit), self.product.columns, like)
        self.size = 2**circuit.wires
        self.whole = [whole for _, whole in parts]

    def bind(self, weights_GP: Tensor) -> Run:
        weighted = self.fused(weights_GP)
        begin = self._begin(weighted)
        later = [
            self._joined(steps, len(weights_GP)) if whole else steps
            for steps, whole in zip(weighted.segments[1:], self.whole[1:], strict=True)
        ]

        def run(inputs_GNI: Tensor) -> Tensor:
            states_GDN = begin(inputs_GNI)
            for phase_GDN, steps in zip(self.fused.uploads(inputs_GNI), later, strict=True):
                states_GDN = _after(states_GDN * phase_GDN, steps)
            seen_GDN = torch.view_as_real(states_GDN).square().sum(-1)
            return (self.fused.signs_DK.mT @ seen_GDN).mT.expand(-1, inputs_GNI.shape[1], -1)

        return run

    def _begin(self, weighted: Weighted) -> Run:
        """The states before the first upload, (G, D, N) from inputs."""
        if self.whole[0] or not self.product.angles:
            matrix_GDR = self.product.matrix(weighted)
            if not self.product.angles:
                fixed = torch.complex(*matrix_GDR.chunk(2, dim=1))
                return lambda inputs_GNI: fixed
            return lambda inputs_GNI: torch.complex(*(matrix_GDR @ self.product(inputs_GNI).mT).chunk(2, dim=1))
        steps = weighted.segments[0]
        return lambda inputs_GNI: _after(self.product.states(weighted.wires_WG22, inputs_GNI), steps)

    def _joined(self, steps: Sequence[Step], groups: int) -> list[Step]:
        """Steps as one unitary."""
        states = torch.eye(self.size, dtype=self.fused.complex, device=self.fused.signs_DK.device).expand(groups, -1, -1)
        unitary_GDD = _after(states, steps)
        return [lambda states_GDN: unitary_GDD @ states_GDN]


def _after(states: Tensor, steps: Sequence[Step]) -> Tensor:
    return reduce(lambda states, step: step(states), steps, states)


def _gates(circuit: Circuit) -> tuple[Gate, ...]:
    """The gates after the start, all of them where the start is |0...0>."""
    return circuit.gates if starts(circuit) is None else after_start(circuit)


def segments(circuit: Circuit) -> list[Segment]:
    """The kinds of layers between uploads, and whether one unitary in their place is quicker, as measured.

    Small products run at about half the rate of large ones; a start that is real halves the operations of its unitary.
    """
    wide = 2**circuit.wires
    small = {"local": 2 * sum(2**size for size in block_sizes(circuit.wires)), "permutation": 8, "diagonal": 16}
    found = [(kinds, sum(small[kind] for kind in kinds)) for kinds in cut(circuit, _gates(circuit)).kinds()]
    limits = [wide / 2, *[wide] * (len(found) - 1)]
    return [(kinds, circuit.wires <= WHOLE_UP_TO and work >= limit) for (kinds, work), limit in zip(found, limits, strict=True)]


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> Plan:
    return Plan(circuit, torch.empty(0, dtype=dtype, device=device), segments(circuit))
