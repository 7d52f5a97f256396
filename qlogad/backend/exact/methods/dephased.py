"""Dephased circuits: all wires are dephased between layers, so the state is a probability vector.

A layer is then a classical stochastic matrix, T[b, c] = |<c|U|b>|^2: a control with the same wiring but no coherence. Full dephasing
as in Nielsen and Chuang, section 8.3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import torch
from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.matrices import Matrices, apply, merge
from qlogad.backend.exact.parts.readout import Readout
from qlogad.circuit.circuit import Circuit, Gate

__all__ = ["Dephased"]


class Dephased(Method):
    """Segment by segment between dephasings, exact and differentiable to any order; any circuit."""

    name = "dephased"
    dephased = True

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def effort(self, task: Task) -> Effort:
        """A segment that reads inputs has one matrix per row; a matrix is built gate by gate."""
        size = 2**task.circuit.wires
        fixed = varying = 0  # state vectors computed once, or for every row of every call
        for number, gates in enumerate(_segments(task.circuit)):
            states = (size if number else 1) * (1 + len(gates))
            if any(gate.reads("input") for gate in gates):
                varying += states
            else:
                fixed += states
        back = 3 if task.gradient else 1
        computed = task.groups * (fixed + task.calls * task.rows * varying)
        held = computed if task.gradient else 2 * task.groups * (size * len(task.circuit.dephased) + task.rows * min(size, varying))
        return Effort(
            operations=back * computed * size * 16,
            traffic=back * computed * size * 4 * task.itemsize,
            dispatches=back * task.calls * (10 + 5 * len(task.circuit.gates)),
            memory=held * size * 2 * task.itemsize,
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return _Dephased(circuit, weights_GP)


def _segments(circuit: Circuit) -> list[tuple[Gate, ...]]:
    edges = [0, *circuit.dephased, len(circuit.gates)]
    return [circuit.gates[begin:end] for begin, end in pairwise(edges)]


class _Dephased:
    """A dephased circuit with its weights."""

    def __init__(self, circuit: Circuit, weights_GP: Tensor) -> None:
        self._wires, self._weights_GP = circuit.wires, weights_GP
        self._readout = Readout(circuit.readout, weights_GP)
        self._segments = [_Segment(gates, weights_GP) for gates in _segments(circuit)]
        self._fixed = [None if segment.inputs else self._apply(place, None) for place, segment in enumerate(self._segments)]

    def __call__(self, inputs_GNI: Tensor) -> Tensor:
        p_GNR = inputs_GNI.new_ones(1, 1, 1)  # probabilities of basis states; at first, all wires are 0
        for place, fixed in enumerate(self._fixed):
            map_GNRD = self._apply(place, inputs_GNI) if fixed is None else fixed
            same = map_GNRD.shape[1] == 1  # the same matrix for all rows
            p_GNR = p_GNR @ map_GNRD[:, 0] if same else (p_GNR[..., None, :] @ map_GNRD)[..., 0, :]
        return p_GNR.expand(len(self._weights_GP), inputs_GNI.shape[1], -1)

    def _apply(self, place: int, inputs_GNI: Tensor | None) -> Tensor:
        """Apply a segment to the basis states: their probabilities (1 or G, N or 1, R, D), or the readouts after the last segment."""
        size = 2**self._wires
        dtype = torch.complex64 if self._weights_GP.dtype == torch.float32 else torch.complex128
        start_RD = torch.eye(1 if place == 0 else size, size, dtype=dtype, device=self._weights_GP.device)
        psi_GMD = self._segments[place](start_RD, self._weights_GP, inputs_GNI)
        last = place == len(self._segments) - 1
        found = self._readout(psi_GMD) if last else torch.view_as_real(psi_GMD).square().sum(-1)
        rows = 1 if inputs_GNI is None else inputs_GNI.shape[1]
        return found.reshape(len(found), rows, len(start_RD), found.shape[-1])


class _Segment:
    """The gates between two dephasings."""

    def __init__(self, gates: Sequence[Gate], like: Tensor) -> None:
        sections = [(reads, list(section)) for reads, section in groupby(gates, lambda gate: gate.reads("input"))]
        self._stretches = [(reads, section, Matrices(section, like)) for reads, section in sections]
        self.inputs = any(reads for reads, _ in sections)

    def __call__(self, start_RD: Tensor, weights_GP: Tensor, inputs_GNI: Tensor | None) -> Tensor:
        """Apply to R states per row: (1 or G, N R or R, D), R innermost."""
        states, size = start_RD.shape
        psi_GMD = start_RD[None] if inputs_GNI is None else start_RD.repeat(inputs_GNI.shape[1], 1)[None]
        for reads, gates, matrices in self._stretches:
            if reads and inputs_GNI is not None:
                found = [one if one.ndim == 2 else one.repeat_interleave(states, dim=1) for one in matrices(inputs_GNI)]
            else:
                found = [one if one.ndim == 2 else one[:, None] for one in matrices(weights_GP)]
            for wires, matrix in merge(gates, found):
                psi_GMD = apply(psi_GMD, matrix, wires, size.bit_length() - 1)
        return psi_GMD
