"""Our own simulator: exact expectation values in torch, batched over rows and circuits, differentiable to any order.

Precision and device are those of the weights: float32 gives complex64, float64 complex128, CPU or CUDA. Up to 8 wires, runs
of gates that read weights alone are fused once per `bind` (unitary.py); beyond, gates act one by one (gates.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from qlogad.backend.backend import DEFAULT_KEY, Abilities, Backend, Bound, Estimate, Key, Rows, check_inputs, check_weights
from qlogad.backend.exact.dephased import DephasedBound
from qlogad.backend.exact.gates import Matrices, Step, apply, kron_vectors, merge
from qlogad.backend.exact.readout import Readout
from qlogad.backend.exact.unitary import Run, fuse, split
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError, did_you_mean

__all__ = ["Exact", "ExactBound"]

Method = Literal["auto", "gates", "unitary"]

FUSE_UP_TO = 8  # wires: beyond, building the unitary costs more than it saves
MAX_WIRES = 26


class Exact(Backend):
    """The exact simulator.

    Args:
        method: "unitary" fuses gates that read weights alone, "gates" never does, "auto" chooses by width.
        memory: refuse a call that would need more than so many gigabytes.

    >>> from qlogad.circuit.design import assemble
    >>> circuit = assemble("angle-y", "basic-entangler", wires=2, depth=0)
    >>> Exact().bind(circuit, torch.zeros(1, 0))(torch.zeros(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    name = "exact"
    abilities = Abilities(differentiable=True, max_wires=MAX_WIRES, native=tuple(GATES), states=True)

    def __init__(self, method: Method | str = "auto", *, memory: float = 8.0) -> None:
        if method not in get_args(Method):
            known = get_args(Method)
            raise BackendError(f"exact has no method '{method}'{did_you_mean(method, known)}; known: {', '.join(known)}")
        self.method, self.memory = method, memory

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY) -> ExactBound | DephasedBound:
        """Fuse or prepare everything that depends on weights alone; `key` is not used, nothing is random here."""
        check_weights(circuit, weights_GP, dephased=True)
        if circuit.wires > MAX_WIRES:
            raise BackendError(f"exact runs up to {MAX_WIRES} wires, got {circuit.wires}; use fewer, or another backend")
        if circuit.dephased:
            return DephasedBound(circuit, weights_GP, memory=self.memory)
        fused = self.method == "unitary" or (self.method == "auto" and circuit.wires <= FUSE_UP_TO)
        if fused:
            _refuse(len(weights_GP) * 4**circuit.wires, len(circuit.gates), weights_GP, self.memory, "use method 'gates'")
        return ExactBound(_plan(circuit, weights_GP.dtype, weights_GP.device), weights_GP, fused=fused, memory=self.memory)


class ExactBound(Bound):
    """A circuit with its weights on the exact simulator."""

    def __init__(self, plan: _Plan, weights_GP: Tensor, *, fused: bool, memory: float) -> None:
        self._plan, self._weights_GP, self._memory = plan, weights_GP, memory
        self._steps: list[list[Step] | Tensor | None] = []  # one unitary, or several; None for a run that reads inputs
        for run, matrices in zip(plan.runs, plan.matrices, strict=True):
            if run.inputs:
                self._steps.append(None)
                continue
            found = [matrix if matrix.ndim == 2 else matrix[:, None] for matrix in matrices(weights_GP)]
            steps = merge(run.gates, found)
            self._steps.append(fuse(steps, plan.circuit.wires, weights_GP) if fused else steps)

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        return self._plan.readout(self.states(inputs_GNI))

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self._plan.circuit.readout))
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, {"backend": "exact"})

    def states(self, inputs_GNI: Tensor) -> Tensor:
        """The state vectors (G, N, 2^W), complex; wire 0 is the most significant bit of the last axis.

        Raises:
            BackendError: as for a call.
        """
        circuit = self._plan.circuit
        check_inputs(circuit, self._weights_GP, inputs_GNI)
        groups, rows = len(self._weights_GP), inputs_GNI.shape[1]
        kept = sum(
            1 if isinstance(step, Tensor) else len(run.gates) for step, run in zip(self._steps, self._plan.runs, strict=True)
        )
        _refuse(
            groups * rows * 2**circuit.wires, 1 + kept, self._weights_GP, self._memory, "use fewer rows at a time, or fewer wires"
        )
        psi = self._plan.start(inputs_GNI)
        for run, matrices, step in zip(self._plan.runs, self._plan.matrices, self._steps, strict=True):
            if isinstance(step, Tensor):
                psi = psi @ step
                continue
            for wires, matrix in merge(run.gates, matrices(inputs_GNI)) if step is None else step:
                psi = apply(psi, matrix, wires, circuit.wires)
        return psi.expand(groups, rows, -1)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        self.circuit = circuit
        parts = split(circuit)
        self.runs: tuple[Run, ...] = parts.runs
        self.matrices = [Matrices(run.gates, like) for run in parts.runs]
        self.readout = Readout(circuit.readout, like)
        self._firsts = Matrices([gates[0] for gates in parts.start if gates], like, column=True)
        self._others = [Matrices(gates[1:], like) for gates in parts.start]
        self._starts = [bool(gates) for gates in parts.start]
        self._zero = torch.tensor([1, 0], dtype=torch.complex64 if like.dtype == torch.float32 else torch.complex128).to(
            like.device
        )

    def start(self, inputs_GNI: Tensor) -> Tensor:
        """The product state (1 or G, N or 1, D) that inputs make of |0...0>."""
        firsts = iter(self._firsts(inputs_GNI))
        vectors = []
        for begun, others in zip(self._starts, self._others, strict=True):
            vector = next(firsts) if begun else self._zero
            for matrix in others(inputs_GNI):
                vector = (matrix @ vector[..., None])[..., 0]
            vectors.append(vector)
        psi = kron_vectors(vectors)
        return psi if psi.ndim == 3 else psi[None, None]


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))


def _refuse(amplitudes: int, states: int, like: Tensor, memory: float, fix: str) -> None:
    """Refuse what would not fit, before it is tried: every gate keeps a state for the backward pass."""
    size = amplitudes * 2 * like.element_size() * (2 + (states if torch.is_grad_enabled() else 0)) / 1e9
    if size > memory:
        raise BackendError(f"this call needs about {size:.1f} GB, and {memory:g} GB are allowed; {fix}")
