"""State vectors, gate by gate: every gate on a batch of states (N, 2^W). It runs any circuit and is the reference for other methods."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.matrices import Matrices, Step, apply, kron_vectors, merge
from qlogad.backend.exact.parts.readout import Readout
from qlogad.backend.exact.parts.split import split
from qlogad.circuit.circuit import Circuit

__all__ = ["Gates", "States"]


class States:
    """The state vectors (G, N, 2^W) of a circuit with its weights; wire 0 is the most significant bit of the last axis.

    Args:
        circuit: any, not dephased.
        weights_GP: (G, P), radians.
    """

    def __init__(self, circuit: Circuit, weights_GP: Tensor) -> None:
        self._program, self._weights_GP = _program(circuit, weights_GP.dtype, weights_GP.device), weights_GP
        self._steps: list[list[Step] | None] = []  # of every section; None if it reads inputs
        for section, matrices in zip(self._program.sections, self._program.matrices, strict=True):
            if section.inputs:
                self._steps.append(None)
                continue
            found = [matrix if matrix.ndim == 2 else matrix[:, None] for matrix in matrices(weights_GP)]
            self._steps.append(merge(section.gates, found))

    def __call__(self, inputs_GNI: Tensor) -> Tensor:
        wires = self._program.circuit.wires
        psi = self._program.start(inputs_GNI)
        for section, matrices, steps in zip(self._program.sections, self._program.matrices, self._steps, strict=True):
            for on, matrix in merge(section.gates, matrices(inputs_GNI)) if steps is None else steps:
                psi = apply(psi, matrix, on, wires)
        return psi.expand(len(self._weights_GP), inputs_GNI.shape[1], -1)

    def means(self, inputs_GNI: Tensor) -> Tensor:
        """The readouts (G, N, K)."""
        return self._program.readout(self(inputs_GNI))


class Gates(Method):
    """Gate by gate: every gate is a small matrix product on a batch of state vectors. Any circuit, differentiable to any order."""

    name = "gates"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def effort(self, task: Task) -> Effort:
        steps = [4 ** len(gate.wires) for gate in task.circuit.gates]
        amplitudes = task.groups * task.rows * 2**task.circuit.wires
        pairs = sum(len(gate.wires) == 2 and bool(gate.angles) for gate in task.circuit.gates)
        size = 2 * task.itemsize * amplitudes  # bytes of one batch of states
        back, kept = (3, task.calls * len(steps)) if task.gradient else (1, 0)
        return Effort(
            operations=back * task.calls * amplitudes * sum(4 * 2 ** (size // 4) for size in steps),
            traffic=back * task.calls * _PASSES * size * (1 + len(steps)),
            # the matrices of gates that read weights; the states; gates that do not merge with their neighbours
            dispatches=back * (30 + task.calls * (12 + 2.5 * len(steps) + 3 * pairs)),
            memory=size * (2 + kept),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return States(circuit, weights_GP).means


_PASSES = 14  # measured reads and writes of a batch of states per gate: it is permuted, multiplied and permuted back


class _Program:
    """The circuit-only data, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        self.circuit = circuit
        parts = split(circuit)
        self.sections = parts.sections
        self.matrices = [Matrices(section.gates, like) for section in parts.sections]
        self.readout = Readout(circuit.readout, like)
        self._firsts = Matrices([gates[0] for gates in parts.start if gates], like, column=True)
        self._others = [Matrices(gates[1:], like) for gates in parts.start]
        self._starts = [bool(gates) for gates in parts.start]
        complex_type = torch.complex64 if like.dtype == torch.float32 else torch.complex128
        self._zero = torch.tensor([1, 0], dtype=complex_type).to(like.device)

    def start(self, inputs_GNI: Tensor) -> Tensor:
        """The product state (1 or G, N or 1, D) that the inputs prepare from |0...0>."""
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
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))
