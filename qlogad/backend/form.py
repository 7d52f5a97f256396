"""A circuit as weight-only tables, computed once per weights, for whole-sequence kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from qlogad import documents
from qlogad.circuit.circuit import Angle

__all__ = ["Form", "Kernel", "Later"]


@dataclass(frozen=True, eq=False)
class Form:
    """A circuit whose inputs enter once, by one angle per wire, as weight-only tables for a whole-sequence kernel.

    `trig`: mean_GNK = f_GNF @ table_GFK with f the Kronecker product over the angles of (1, cos a, sin a), F = 3^A.
    `real`: mean_GNK = psi_GND^2 @ signs_DK, psi = r_GNR @ table_GRD with r the Kronecker product of (cos a/2, sin a/2), R = 2^A; with
    re-uploading, psi is then transformed by `later`, and r is that of the first angles alone.
    The first angle is the most significant digit; a = scale * x[index] + shift. Tables are differentiable in the weights.
    """

    kind: Literal["trig", "real"]
    angles: tuple[Angle, ...]
    table: Tensor
    signs_DK: Tensor | None = None
    later: Later | None = None
    compiled: bool = True  # the kernel that reads it, if one can be compiled

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def multiplied(self) -> int:
        """Multiplications per row in all tables."""
        later = 0 if self.later is None else self.later.unitary_LGMD[:, 0].numel()
        return self.table[0].numel() + later

    @property
    def made(self) -> int:
        """Numbers computed per row: features, phases, and the outputs of all tables."""
        later = 0 if self.later is None else len(self.later.energy_LDA) * sum(self.later.unitary_LGMD.shape[2:])
        return sum(self.table.shape[1:]) + later


class Later(NamedTuple):
    """The uploads after the first one: psi <- unitary_l (exp(i phase_l) psi), phase_l = energy_l a + fixed_l.

    States are real parts, then imaginary ones, of D amplitudes; of M in all measurement bases after the last upload.
    """

    energy_LDA: Tensor
    fixed_LD: Tensor
    unitary_LGMD: Tensor  # (L, G, 2 M, 2 D); only the last one has more rows than 2 D


Kernel = Callable[[Form], tuple[float, float]]  # seconds and bytes of a whole-sequence kernel for given tables
