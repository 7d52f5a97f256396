"""Fidelity kernels: |<psi(x)|psi(y)>|^2 for all pairs of rows.

Havlicek et al. (2019), arXiv:1804.11326, equation 2. Each row's state is computed once if all states fit in memory; the inner products
are matrix products of blocks of states.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Circuit
from qlogad.errors import BackendError, DesignError

__all__ = ["gram"]

MOST_ROWS = 1_024  # rows per block: larger products are no faster, and larger blocks slower to transpose

Progress = Callable[[int, int], None]  # blocks done, blocks in total


def gram(
    circuit: Circuit,
    weights_P: Tensor,
    inputs_NI: Tensor,
    others_MI: Tensor | None = None,
    *,
    memory: float = 1.0,
    progress: Progress | None = None,
) -> Tensor:
    """The fidelities (N, M) of the circuit's states, in [0, 1]; without gradients.

    Args:
        circuit: not dephased; its readout is ignored.
        weights_P: radians; float32 or float64, the precision of the result.
        inputs_NI: (N, I), radians.
        others_MI: (M, I), radians. Default: the same rows; the result is then symmetric with ones on the diagonal.
        memory: gigabytes to use, besides the fidelities themselves.
        progress: called after every block.

    Raises:
        DesignError: the circuit is dephased.
        BackendError: inputs or weights do not fit the circuit, or a single state does not fit in `memory`.

    >>> from qlogad.circuit.encoding import assemble
    >>> circuit = assemble("angle-y", "identity", wires=1, depth=0)
    >>> gram(circuit, torch.zeros(0), torch.tensor([[0.0], [math.pi / 2]])).round(decimals=3).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    if circuit.dephased:
        raise DesignError("a dephased circuit has no pure states to compare; use the circuit it was made from")
    rows = _rows(circuit, weights_P, memory)
    symmetric = others_MI is None
    ones = _States(circuit, weights_P, inputs_NI, rows, memory)
    others = ones if others_MI is None else _States(circuit, weights_P, others_MI, rows, memory)
    found_NM = weights_P.new_empty(len(inputs_NI), len(inputs_NI if others_MI is None else others_MI))
    pairs = [(n, m) for n in ones.begins for m in others.begins if m >= n or not symmetric]
    for done, (n, m) in enumerate(pairs, 1):
        block = found_NM[n : n + rows, m : m + rows]
        _fidelities(ones[n], others[m], block)
        if symmetric and m == n:
            block.copy_(block.triu() + block.triu(1).mT)
        elif symmetric:
            found_NM[m : m + rows, n : n + rows] = block.mT
        if progress is not None:
            progress(done, len(pairs))
    return found_NM.fill_diagonal_(1) if symmetric else found_NM


def _fidelities(one_ND: Tensor, other_MD: Tensor, found_NM: Tensor) -> None:
    """|<one|other>|^2 of all pairs of states, from real matrix products, which torch squares several times faster than complex ones."""
    real_ND = torch.cat([one_ND.real, one_ND.imag], dim=1)
    torch.mm(real_ND, torch.cat([other_MD.real, other_MD.imag], dim=1).mT, out=found_NM)
    imaginary_NM = real_ND @ torch.cat([other_MD.imag, -other_MD.real], dim=1).mT
    found_NM.square_().addcmul_(imaginary_NM, imaginary_NM).clamp_(max=1)


def _rows(circuit: Circuit, weights_P: Tensor, memory: float) -> int:
    """Rows per block, so that the states of two blocks, the memory to compute them, and all their pairs fit in `memory`."""
    amplitude = 2 * weights_P.element_size()
    allowed, state = 1e9 * memory / amplitude, 8 * 2**circuit.wires
    rows = int((math.sqrt(state**2 + 8 * allowed) - state) / 4)  # state * rows + 2 * rows^2 = allowed
    if rows < 1:
        needed = amplitude * (state + 2) / 1e9
        raise BackendError(f"a state of {circuit.wires} wires needs about {needed:.2g} GB, but memory = {memory:g} GB; raise it")
    return min(rows, MOST_ROWS)


class _States:
    """The states of rows in blocks (R, 2^W); keeps all of them if they fit in a quarter of the memory, else only the latest block."""

    def __init__(self, circuit: Circuit, weights_P: Tensor, inputs_NI: Tensor, rows: int, memory: float) -> None:
        self._bound = Exact(memory=memory).bind(circuit, weights_P.detach()[None])
        self._inputs_NI, self._rows = inputs_NI.detach(), rows
        self.begins = range(0, len(inputs_NI), rows)
        self._keeps = 2 * weights_P.element_size() * len(inputs_NI) * 2**circuit.wires <= 1e9 * memory / 4
        self._kept: dict[int, Tensor] = {}

    def __getitem__(self, begin: int) -> Tensor:
        if begin not in self._kept:
            if not self._keeps:
                self._kept.clear()
            with torch.no_grad():
                self._kept[begin] = self._bound.states(self._inputs_NI[begin : begin + self._rows][None])[0]
        return self._kept[begin]
