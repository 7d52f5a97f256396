"""Dephased circuits: between layers every wire loses its phases, and the state is a probability vector.

A layer is then a classical stochastic matrix, T[b, c] = |<c|U|b>|^2: the control of the same wiring without coherence. Full dephasing
as in Nielsen and Chuang, section 8.3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import torch
from torch import Tensor

from qlogad.backend.backend import Bound, Estimate, Rows, check_inputs
from qlogad.backend.exact.gates import Matrices, apply, merge
from qlogad.backend.exact.readout import Readout
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError

__all__ = ["DephasedBound"]


class DephasedBound(Bound):
    """A dephased circuit with its weights, exact and differentiable.

    Args:
        circuit: with its `dephased` places.
        weights_GP: (G, P), radians.
        memory: refuse a call that would need more than so many gigabytes.
    """

    def __init__(self, circuit: Circuit, weights_GP: Tensor, *, memory: float) -> None:
        self._circuit, self._weights_GP, self._memory = circuit, weights_GP, memory
        self._readout = Readout(circuit.readout, weights_GP)
        edges = [0, *circuit.dephased, len(circuit.gates)]
        self._segments = [_Segment(circuit.gates[begin:end], weights_GP) for begin, end in pairwise(edges)]
        self._refuse(1)
        self._fixed = [None if segment.inputs else self._apply(place, None) for place, segment in enumerate(self._segments)]

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        groups, count = len(self._weights_GP), inputs_GNI.shape[1]
        if count == 0:
            return inputs_GNI.new_zeros(groups, 0, len(self._circuit.readout))
        self._refuse(count)
        p_GNR = inputs_GNI.new_ones(1, 1, 1)  # where the wires are: first, all of them in 0
        for place, fixed in enumerate(self._fixed):
            map_GNRD = self._apply(place, inputs_GNI) if fixed is None else fixed
            same = map_GNRD.shape[1] == 1  # for every row
            p_GNR = p_GNR @ map_GNRD[:, 0] if same else (p_GNR[..., None, :] @ map_GNRD)[..., 0, :]
        return p_GNR.expand(groups, count, -1)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self._circuit.readout))
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, {"backend": "exact", "kind": "exact"})

    def _apply(self, place: int, inputs_GNI: Tensor | None) -> Tensor:
        """What a segment makes of the basis states: their probabilities (1 or G, N or 1, R, D), or the readouts of the last one."""
        size = 2**self._circuit.wires
        dtype = torch.complex64 if self._weights_GP.dtype == torch.float32 else torch.complex128
        start_RD = torch.eye(1 if place == 0 else size, size, dtype=dtype, device=self._weights_GP.device)
        psi_GMD = self._segments[place](start_RD, self._weights_GP, inputs_GNI)
        last = place == len(self._segments) - 1
        found = self._readout(psi_GMD) if last else torch.view_as_real(psi_GMD).square().sum(-1)
        return found.reshape(len(found), -1, len(start_RD), found.shape[-1])

    def _refuse(self, rows: int) -> None:
        """Refuse what would not fit: a segment that reads inputs has a matrix for every row."""
        inputs = any(segment.inputs for segment in self._segments[1:])
        entries = len(self._weights_GP) * 4**self._circuit.wires * (rows if inputs else 1)
        kept = 1 + (len(self._circuit.gates) if torch.is_grad_enabled() else 0)
        size = entries * 2 * self._weights_GP.element_size() * kept / 1e9
        if size > self._memory:
            fix = "use fewer rows at a time, or fewer wires"
            raise BackendError(f"this dephased circuit needs about {size:.1f} GB, and {self._memory:g} GB are allowed; {fix}")


class _Segment:
    """The gates between two dephasings."""

    def __init__(self, gates: Sequence[Gate], like: Tensor) -> None:
        runs = [(reads, list(run)) for reads, run in groupby(gates, lambda gate: gate.reads("input"))]
        self._runs = [(reads, run, Matrices(run, like)) for reads, run in runs]
        self.inputs = any(reads for reads, _ in runs)

    def __call__(self, start_RD: Tensor, weights_GP: Tensor, inputs_GNI: Tensor | None) -> Tensor:
        """States R, each for every row: (1 or G, N R or R, D), the R innermost."""
        states, size = start_RD.shape
        psi_GMD = start_RD[None] if inputs_GNI is None else start_RD.repeat(inputs_GNI.shape[1], 1)[None]
        for reads, gates, matrices in self._runs:
            if reads and inputs_GNI is not None:
                found = [one if one.ndim == 2 else one.repeat_interleave(states, dim=1) for one in matrices(inputs_GNI)]
            else:
                found = [one if one.ndim == 2 else one[:, None] for one in matrices(weights_GP)]
            for wires, matrix in merge(gates, found):
                psi_GMD = apply(psi_GMD, matrix, wires, size.bit_length() - 1)
        return psi_GMD
