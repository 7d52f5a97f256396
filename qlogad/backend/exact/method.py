"""What a simulation method is: one way of computing a circuit's readouts, with the effort it takes.

All methods give the same numbers to rounding; which one is quickest depends on width, depth, rows and how often weights change.
The planner chooses by `effort`; a caller may force one by name.
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

Evaluator = Callable[[Tensor], Tensor]  # inputs (1|G, N, I), checked -> means (G, N, K), differentiable


@dataclass(frozen=True)
class Task:
    """What is to be run, as far as the effort depends on it."""

    circuit: Circuit
    groups: int = 1  # G
    rows: int = 1  # N, per call
    calls: int = 1  # calls per bind (time steps)
    itemsize: Literal[4, 8] = 4  # bytes of a real number: 4 for float32, 8 for float64
    gradient: bool = True  # forward and backward, or forward alone

    def __post_init__(self) -> None:
        documents.enforce(self)

    def halved(self) -> Task:
        """The same task with half the rows."""
        return replace(self, rows=max(1, self.rows // 2))


@dataclass(frozen=True)
class Effort:
    """What a task takes with one method, its weight-only work included."""

    operations: float  # floating-point operations, a multiplication and an addition as two
    traffic: float  # bytes read and written beyond what one operation holds in cache
    dispatches: float  # torch operations issued in the forward pass; with a gradient, each stands for its backward ones too
    memory: float  # peak bytes, without inputs and means; with a gradient, including what the backward pass needs


class Method(ABC):
    """One way of computing readouts; a subclass names its formula and source. Its `name` is what `Exact(method=...)` takes."""

    name: ClassVar[str]
    second: ClassVar[bool] = True  # differentiable to any order
    dephased: ClassVar[bool] = False  # runs dephased circuits only

    @abstractmethod
    def unfit(self, circuit: Circuit) -> str:
        """The reason why it cannot run a circuit, as a clause for an error message; empty if it can."""

    @abstractmethod
    def effort(self, task: Task) -> Effort:
        """What a task takes, for a circuit that fits."""

    @abstractmethod
    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        """Do the weight-only work, once; what returns serves all calls.

        Args:
            circuit: one that fits.
            weights_GP: (G, P), radians, checked; its dtype and device are those of all results.
        """

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        """The tables for a whole-sequence kernel; None if this method or circuit has none."""
        return None
