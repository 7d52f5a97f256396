"""Exact simulation of noise: a state is the real vector of the means of all 4^W Pauli words, a gate with its noise a real matrix.

Equivalent to a density matrix, in real arithmetic. Gates after the last one that reads inputs act on the readouts instead (the Heisenberg
picture), once for all calls. Differentiable to any order. Transfer matrices: Greenbaum (2015), arXiv:1509.02921.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from itertools import groupby, pairwise, product

import torch
from torch import Tensor

from qlogad.backend.abilities import Estimate, Rows
from qlogad.backend.backend import Bound, check_inputs, tied
from qlogad.backend.exact.parts.matrices import Matrices, Step, apply, kron_vectors, merge
from qlogad.backend.exact.parts.split import split
from qlogad.backend.exact.parts.version_cache import VersionCache
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import pauli
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError

__all__ = ["NoisyBound", "readout_vectors", "transfer_of_unitaries"]

_PHASES = Gate("z", (0,))  # marker in a sequence of gates: all wires are dephased here


class NoisyBound(Bound):
    """A circuit with its weights and noise, exact and differentiable.

    Args:
        circuit: any, including dephased ones.
        weights_GP: (G, P), radians.
        noise: channels after every gate, and readout errors.
        memory: limit of a call in gigabytes.
    """

    def __init__(self, circuit: Circuit, weights_GP: Tensor, noise: Noise, *, memory: float) -> None:
        self._circuit, self._weights_GP, self._noise, self._memory = circuit, weights_GP, noise, memory
        self._refuse(0)
        start, rest = _ordered(circuit)
        self._start = [_Steps(gates, circuit.wires, noise, weights_GP) for gates in start]
        self._stretches = [
            (reads, _Steps(list(gates), circuit.wires, noise, weights_GP))
            for reads, gates in groupby(rest, lambda gate: gate.reads("input"))
        ]
        self._of_weights = VersionCache(weights_GP, self._prepare)

    def _prepare(self, weights_GP: Tensor, gradient: bool) -> tuple[list[tuple[_Steps, list[Step] | None]], Tensor]:
        """Sections up to the last one that reads inputs, with weight-only steps precomputed; the readouts pulled back through the rest."""
        sections, wires = list(self._stretches), self._circuit.wires
        seen_GKM = readout_vectors(self._circuit.readout, self._noise, weights_GP)[None]  # M = 4^W words
        while sections and not sections[-1][0]:
            for on, matrix in reversed(sections.pop()[1](weights_GP)):
                seen_GKM = apply(seen_GKM, matrix.mT, on, wires, base=4)
        return [(steps, None if reads else steps(weights_GP)) for reads, steps in sections], seen_GKM.mT

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        groups, count = len(self._weights_GP), inputs_GNI.shape[1]
        if count == 0:
            return tied(inputs_GNI.new_zeros(groups, 0, len(self._circuit.readout)), self._weights_GP, inputs_GNI)
        self._refuse(count)
        sections, seen_GMK = self._of_weights(torch.is_grad_enabled())
        state_GNM = self._begin(inputs_GNI)
        for steps, fixed in sections:
            for wires, matrix in steps(inputs_GNI, inputs=True) if fixed is None else fixed:
                state_GNM = apply(state_GNM, matrix, wires, self._circuit.wires, base=4)
        return tied((state_GNM @ seen_GMK).expand(groups, count, -1), self._weights_GP, inputs_GNI)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero: noisy, but not sampled."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self._circuit.readout))
        provenance = {"backend": "exact", "kind": "exact" if self._noise == Noise() else "noisy-exact", "noise": str(self._noise)}
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, provenance)

    def states(self, inputs_GNI: Tensor) -> Tensor:
        """Refused: noise makes mixed states.

        Raises:
            BackendError: always.
        """
        raise BackendError("a noisy circuit has no state vectors; use Exact() without noise")

    def _begin(self, inputs_GNI: Tensor) -> Tensor:
        """The product state (1 or G, N or 1, 4^W) after the first single-wire gates."""
        vectors = []
        for steps in self._start:
            vector = inputs_GNI.new_tensor([1.0, 0.0, 0.0, 1.0])
            for _, matrix in steps(inputs_GNI, inputs=True):
                vector = (matrix @ vector[..., None])[..., 0]
            vectors.append(vector)
        state = kron_vectors(vectors)
        return state if state.ndim == 3 else state[None, None]

    def _refuse(self, rows: int) -> None:
        """Refuse a call that would not fit in memory."""
        kept = 2 + (len(self._circuit.gates) if torch.is_grad_enabled() else 0)
        wires, each = self._circuit.wires, len(self._weights_GP) * self._weights_GP.element_size() * kept / 1e9  # GB per word

        def needed(rows: int, wires: int) -> float:
            return each * float(4**wires) * (rows + len(self._circuit.readout))

        if needed(rows, wires) > self._memory:
            widest = next((narrow for narrow in range(wires, 0, -1) if needed(1, narrow) <= self._memory), 0)
            fix = f"up to {widest} wire{'s' * (widest > 1)} fit" if widest else "allow more memory"
            fix = "use fewer rows at a time" if widest == wires else f"{fix}, or run without noise"
            size = needed(rows, wires)
            raise BackendError(f"this noisy circuit needs about {size:.3g} GB, and {self._memory:g} GB are allowed; {fix}")


def transfer_of_unitaries(unitary: Tensor) -> Tensor:
    """The Pauli transfer matrices (..., d^2, d^2), real, of unitaries (..., d, d): Tr(P_i U P_j U^+) / d.

    >>> transfer_of_unitaries(torch.tensor([[0, 1], [1, 0]], dtype=torch.complex128)).diagonal().tolist()
    [1.0, 1.0, -1.0, -1.0]
    """
    size = unitary.shape[-1]
    words = _words(size.bit_length() - 1).to(unitary)
    turned = unitary[..., None, :, :] @ words @ unitary[..., None, :, :].mH  # (..., j, d, d)
    return (words.mT.flatten(1) @ turned.flatten(-2).mT).real / size  # Tr(A B) = sum of A^T * B


class _Steps:
    """Adjacent gates with their noise, merged into few real matrices."""

    def __init__(self, gates: Sequence[Gate], wires: int, noise: Noise, like: Tensor) -> None:
        self._gates, self._wires = gates, wires
        self._matrices = Matrices([gate for gate in gates if gate is not _PHASES], like)
        self._channels = {count: torch.from_numpy(noise.channel(count)).to(like) for count in (1, 2)}
        self._lost = like.new_tensor([1.0, 0.0, 0.0, 1.0]).diag()

    def __call__(self, values: Tensor, *, inputs: bool = False) -> list[Step]:
        """The steps for weights (G, P), each (G, 1, d, d), or for inputs (G, N, I), each (G, N, d, d); (d, d) if it reads neither."""
        unitaries = iter(self._matrices(values))
        gates: list[Gate] = []
        found: list[Tensor] = []
        for gate in self._gates:
            if gate is _PHASES:
                gates += [Gate("z", (wire,)) for wire in range(self._wires)]
                found += [self._lost] * self._wires
                continue
            noisy = self._channels[len(gate.wires)] @ transfer_of_unitaries(next(unitaries))
            gates.append(gate)
            found.append(noisy if inputs or noisy.ndim == 2 else noisy[:, None])
        return merge(gates, found, base=4)


def _ordered(circuit: Circuit) -> tuple[tuple[tuple[Gate, ...], ...], list[Gate]]:
    """The gates that prepare a product state, by wire, and the rest in order."""
    if circuit.dephased:
        edges = [0, *circuit.dephased, len(circuit.gates)]
        segments = [circuit.gates[begin:end] for begin, end in pairwise(edges)]
        rest = [gate for place, segment in enumerate(segments) for gate in ([_PHASES] if place else []) + list(segment)]
        return tuple(() for _ in range(circuit.wires)), rest
    parts = split(circuit)
    return parts.start, [gate for section in parts.sections for gate in section.gates]


def readout_vectors(words: Sequence[str], noise: Noise, like: Tensor) -> Tensor:
    """Each readout as a vector (K, 4^W) to multiply a state with, including readout errors."""
    axes = torch.eye(4, dtype=torch.float64)
    axes[1:] *= noise.contrast
    letters = dict(zip("IXYZ", axes, strict=True))
    letters["0"], letters["1"] = (letters["I"] + letters["Z"]) / 2, (letters["I"] - letters["Z"]) / 2
    rows = [reduce(torch.kron, [letters[letter] for letter in word]) for word in words]
    return torch.stack(rows).to(like)


@cache
def _words(wires: int) -> Tensor:
    return torch.stack([torch.from_numpy(pauli("".join(word))) for word in product("IXYZ", repeat=wires)])
