"""Lifted circuits: every gate angle is an input of its own, with the shift rule for its derivative.

Two-term rule: Schuld et al. (2019), arXiv:1811.11184, eq. 12; four-term rule of controlled rotations: Anselmetti et al. (2021),
arXiv:2104.05695, eq. 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Floats
from qlogad.circuit.circuit import Angle, Circuit
from qlogad.circuit.gates import GATES

__all__ = ["Lifted", "lift"]

_TWO_TERMS = ((pi / 2, 0.5), (-pi / 2, -0.5))
_NEAR, _FAR = (sqrt(2) + 1) / (4 * sqrt(2)), (sqrt(2) - 1) / (4 * sqrt(2))
_FOUR_TERMS = ((pi / 2, _NEAR), (-pi / 2, -_NEAR), (3 * pi / 2, -_FAR), (-3 * pi / 2, _FAR))


@dataclass(frozen=True)
class Lifted:
    """A circuit whose inputs are its gate angles, one for each use of a weight or an input.

    Args:
        circuit: the lifted circuit: A inputs, each read once and unchanged, and no weights.
        angles: the original A angles: scale * source[index] + shift.
        rules: the shift rule of each angle as (shift, factor): sum of factor * mean(angle + shift), radians.
    """

    circuit: Circuit
    angles: tuple[Angle, ...]
    rules: tuple[tuple[tuple[float, float], ...], ...]

    def values(self, weights_GP: Tensor, inputs_GNI: Tensor) -> Tensor:
        """The angles (G x N, A), float64, radians, differentiable; the rows of the first circuit come first."""
        groups, count = len(weights_GP), inputs_GNI.shape[1]
        parts = inputs_GNI.double().expand(groups, -1, -1), weights_GP.double()[:, None].expand(-1, count, -1)
        offset = {"input": 0, "weight": inputs_GNI.shape[2]}
        places = [offset[angle.source or "input"] + angle.index for angle in self.angles]
        scale_A, shift_A = (parts[0].new_tensor([getattr(angle, name) for angle in self.angles]) for name in ("scale", "shift"))
        angles_GNA = torch.cat(parts, dim=2)[..., places] * scale_A + shift_A
        return angles_GNA.reshape(groups * count, len(self.angles))

    def shifts(self, wanted_A: Sequence[bool]) -> tuple[Floats, Floats]:
        """The evaluation points for the derivatives in the wanted angles: offsets_SA, and the factors_SA of their values."""
        terms = [(a, *term) for a, wanted in enumerate(wanted_A) if wanted for term in self.rules[a]]
        offsets_SA, factors_SA = np.zeros((2, len(terms), len(self.angles)))
        for s, (a, shift, factor) in enumerate(terms):
            offsets_SA[s, a], factors_SA[s, a] = shift, factor
        return offsets_SA, factors_SA


@lru_cache(maxsize=64)
def lift(circuit: Circuit) -> Lifted:
    """The same circuit with one input for each gate angle that reads a weight or an input.

    >>> from qlogad.circuit.circuit import Gate
    >>> one = Angle("weight", 0, scale=2.0)
    >>> lifted = lift(Circuit(2, (Gate("rx", (0,), (one,)), Gate("crx", (0, 1), (one,))), ("ZZ",), inputs=0, weights=1))
    >>> lifted.circuit.inputs, lifted.circuit.weights, [len(rule) for rule in lifted.rules]
    (2, 0, [2, 4])
    """
    angles: list[Angle] = []
    rules = []
    gates = []
    for gate in circuit.gates:
        mine = []
        for angle in gate.angles:
            if angle.source is None:
                mine.append(angle)
                continue
            mine.append(Angle("input", len(angles)))
            angles.append(angle)
            rules.append(_FOUR_TERMS if GATES[gate.name].controls else _TWO_TERMS)
        gates.append(replace(gate, angles=tuple(mine)))
    bare = Circuit(circuit.wires, tuple(gates), circuit.readout, inputs=len(angles), weights=0, dephased=circuit.dephased)
    return Lifted(bare, tuple(angles), tuple(rules))
