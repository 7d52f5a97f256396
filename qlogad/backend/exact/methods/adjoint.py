"""Adjoint differentiation: the forward pass keeps only the final states, and the backward pass undoes the layers one by one.

Memory is a few states at any depth. Jones and Gacon (2020), arXiv:2009.02823; the layers are those of blocks.py.
"""

from __future__ import annotations

from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.methods.blocks import effort, program_of
from qlogad.circuit.circuit import Circuit

__all__ = ["Adjoint"]


class Adjoint(Method):
    """As `blocks`, with layers undone in the backward pass. Any circuit, first derivatives only."""

    name = "adjoint"
    second = False

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def effort(self, task: Task) -> Effort:
        return effort(task, keep=False)

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return program_of(circuit, weights_GP).bind(weights_GP, keep=False)
