"""The interface of a simulation method: one way of computing a circuit's readouts, with its computational cost.

All methods give the same numbers up to rounding; which one is fastest depends on width, depth, rows and how often weights change.
The planner chooses by `effort`; a caller may choose one by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from qlogad import documents
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Circuit

__all__ = ["Effort", "Evaluator", "Method", "Task"]

Evaluator = Callable[[Tensor], Tensor]  # checked inputs (1|G, N, I) -> means (G, N, K), differentiable


@dataclass(frozen=True)
class Task:
    """The parameters of a task that its effort depends on."""

    circuit: Circuit
    groups: int = 1  # G
    rows: int = 1  # N, per call
    calls: int = 1  # calls per bind (time steps)
    itemsize: Literal[4, 8] = 4  # bytes of a real number: 4 for float32, 8 for float64
    gradient: bool = True  # forward and backward, or forward only

    def __post_init__(self) -> None:
        documents.enforce(self)

    def halved(self) -> Task:
        """The same task with half the rows."""
        return replace(self, rows=max(1, self.rows // 2))


@dataclass(frozen=True)
class Effort:
    """The cost of a task with one method, including weight-only work."""

    operations: float  # floating-point operations; a multiplication and an addition count as two
    traffic: float  # bytes read and written beyond what one operation holds in cache
    dispatches: float  # torch operations issued in the forward pass; with a gradient, each stands for its backward ones too
    memory: float  # peak bytes, without inputs and means; with a gradient, including what the backward pass needs


class Method(ABC):
    """One way of computing readouts; a subclass documents its formula and source. `Exact(method=...)` takes its `name`."""

    name: ClassVar[str]
    second: ClassVar[bool] = True  # differentiable to any order
    dephased: ClassVar[bool] = False  # runs dephased circuits only

    @abstractmethod
    def unfit(self, circuit: Circuit) -> str:
        """Why the method cannot run a circuit, as a clause for an error message; empty if it can."""

    @abstractmethod
    def effort(self, task: Task) -> Effort:
        """The cost of a task, for a circuit that the method can run."""

    @abstractmethod
    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        """Do the weight-only work once; the returned evaluator serves all calls.

        Args:
            circuit: one that the method can run.
            weights_GP: (G, P), radians, checked; results have its dtype and device.
        """

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        """The tables for a whole-sequence kernel; None if the method or the circuit has none."""
        return None
