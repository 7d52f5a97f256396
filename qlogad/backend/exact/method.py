"""What a simulation method is: one way of computing a circuit's readouts, with what it costs.

All methods give the same numbers to rounding; which one is quickest depends on width, depth, rows and how often weights change.
The planner chooses by `cost`; a caller may force one by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from qlogad import documents
from qlogad.circuit.circuit import Angle, Circuit

__all__ = ["Cost", "Form", "Kernel", "Later", "Method", "Run", "Task"]

Run = Callable[[Tensor], Tensor]  # inputs (1|G, N, I), checked -> means (G, N, K), differentiable


@dataclass(frozen=True)
class Task:
    """What is to be run, as far as the cost depends on it."""

    circuit: Circuit
    groups: int = 1  # G
    rows: int = 1  # N, of every call
    calls: int = 1  # calls for each bind: the time steps
    itemsize: Literal[4, 8] = 4  # bytes of a real number: 4 for float32, 8 for float64
    gradient: bool = True  # forward and backward, or forward alone

    def __post_init__(self) -> None:
        documents.enforce(self)

    def halved(self) -> Task:
        """The same with half the rows."""
        return replace(self, rows=max(1, self.rows // 2))


@dataclass(frozen=True)
class Cost:
    """What a task costs with one method, its weight-only work included."""

    operations: float  # floating-point operations, a multiplication and an addition as two
    traffic: float  # bytes read and written beyond what one operation holds in cache
    dispatches: (
        float  # torch operations issued, forward ones; the backward ones are counted with them where the task has a gradient
    )
    memory: float  # bytes held at the peak, without inputs and means; with a gradient, what the backward pass needs is held too


@dataclass(frozen=True, eq=False)
class Form:
    """A circuit whose inputs enter once, by one angle a wire, as weight-only tables; what a whole-sequence kernel needs.

    `trig`: mean_GNK = f_GNF @ table_GFK with f the Kronecker product over the angles of (1, cos a, sin a), F = 3^A.
    `real`: mean_GNK = psi_GND^2 @ signs_DK, psi = r_GNR @ table_GRD with r the Kronecker product of (cos a/2, sin a/2), R = 2^A; or,
    where inputs are read again, what `later` makes of psi, and r is that of the first angles alone.
    The first angle is the most significant digit; a = scale * x[index] + shift. Tables are differentiable in the weights.
    """

    kind: Literal["trig", "real"]
    angles: tuple[Angle, ...]
    table: Tensor
    signs_DK: Tensor | None = None
    later: Later | None = None
    compiled: bool = True  # the kernel that reads it, where one can be compiled

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def multiplied(self) -> int:
        """Multiplications that a row takes in all tables."""
        later = 0 if self.later is None else self.later.unitary_LGMD[:, 0].numel()
        return self.table[0].numel() + later

    @property
    def made(self) -> int:
        """Numbers that are made for a row: features, phases, and all that comes out of a table."""
        later = 0 if self.later is None else len(self.later.energy_LDA) * sum(self.later.unitary_LGMD.shape[2:])
        return sum(self.table.shape[1:]) + later


class Later(NamedTuple):
    """The uploads after the first one: psi <- unitary_l (exp(i phase_l) psi), phase_l = energy_l a + fixed_l.

    States are real parts, then imaginary ones, of D amplitudes; of M in all measurement bases after the last upload.
    """

    energy_LDA: Tensor
    fixed_LD: Tensor
    unitary_LGMD: Tensor  # (L, G, 2 M, 2 D); only the last one has more rows than 2 D


Kernel = Callable[[Form], tuple[float, float]]  # the seconds and bytes that a whole-sequence kernel takes on some tables


class Method(ABC):
    """One way of computing readouts; a subclass names its formula and source. Its `name` is what `Exact(method=...)` takes."""

    name: ClassVar[str]
    second: ClassVar[bool] = True  # it has derivatives of derivatives, to any order

    @abstractmethod
    def unfit(self, circuit: Circuit) -> str:
        """Why it cannot run a circuit, as a clause for an error; empty where it can."""

    @abstractmethod
    def cost(self, task: Task) -> Cost:
        """What a task costs, for a circuit that fits."""

    @abstractmethod
    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        """Do the weight-only work, once; what returns serves all calls.

        Args:
            circuit: one that fits.
            weights_GP: (G, P), radians, checked; its dtype and device are those of all results.
        """

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        """The tables a whole-sequence kernel needs; None where this method, or this circuit, has none."""
        return None
