"""The product state that a circuit starts with, C r with r real: the Kronecker product of its wires' starts (wire_starts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Complexes
from qlogad.backend.exact.parts.fused import Affine, Weighted, kron_tree, matrix_pair, vector_pair
from qlogad.backend.exact.parts.split import split
from qlogad.backend.exact.parts.wire_starts import Start
from qlogad.circuit.circuit import Angle, Circuit, Gate

__all__ = ["Product", "after_start"]


def after_start(circuit: Circuit) -> tuple[Gate, ...]:
    """The gates after the ones that prepare every wire's start."""
    return tuple(gate for section in split(circuit).sections for gate in section.gates)


class Product:
    """The product state of wires that each read at most one angle, C r with r real; without starts, |0...0>.

    `columns` are the C of every wire, `angles` those that r depends on.
    """

    def __init__(self, found: Sequence[Start], inputs: int, like: Tensor) -> None:
        self.columns = [np.hstack([start.column, np.zeros((2, 2 - start.column.shape[1]))]) for start in found]
        self.angles = tuple(start.angle for start in found if start.angle is not None)
        self._half = Affine(self.angles, inputs, like, scale=0.5)
        self._every = Affine([start.angle or Angle(None) for start in found], inputs, like, scale=0.5)
        self._reached = [start.column.shape[1] for start in found]  # columns of each wire's C that multiply a part of r

    def reached(self) -> list[Complexes]:
        """Each wire's C restricted to the part of r that it reads, (2, 1 or 2)."""
        return [column[:, :count] for column, count in zip(self.columns, self._reached, strict=True)]

    def __call__(self, inputs_GNI: Tensor) -> Tensor:
        """r_GNR, the Kronecker product of all (cos a/2, sin a/2)."""
        if not self.angles:
            return inputs_GNI.new_ones(*inputs_GNI.shape[:2], 1)
        half_AM = self._half(inputs_GNI.flatten(0, 1))
        r_MR = kron_tree(torch.stack([torch.cos(half_AM), torch.sin(half_AM)], dim=-1), vector_pair)
        return r_MR.view(*inputs_GNI.shape[:2], r_MR.shape[1])

    def halves(self, inputs_GNI: Tensor) -> Tensor:
        """Half the angle of every wire, (W, G, N); zero if it has none."""
        return self._every(inputs_GNI.flatten(0, 1)).view(len(self._reached), *inputs_GNI.shape[:2])

    def matrix(self, weighted: Weighted) -> Tensor:
        """The states before the first upload as a real matrix on r: [Re | Im], (G, 2 D, R)."""
        if set(self._reached) == {2}:
            states_GDR = reduce(matrix_pair, weighted.blocks)
        else:
            columns = zip(weighted.wires_WG22, self._reached, strict=True)
            states_GDR = reduce(matrix_pair, [wire_G22[..., :reached] for wire_G22, reached in columns])
        for step in weighted.segments[0]:
            states_GDR = step(states_GDR)
        return torch.cat([states_GDR.real, states_GDR.imag], dim=1)
