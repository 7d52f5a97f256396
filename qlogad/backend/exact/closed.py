"""Readouts as products: single-wire gates keep a product state, and fixed two-wire gates after them turn a Pauli word into another one.

A mean is then a sign and the product of one Bloch component of each wire that the word touches (Gottesman (1998), arXiv:quant-ph/9807006,
for words under Clifford gates): W numbers a row in place of 2^W, at any width. One layer of rotations and a CNOT ring is of this kind,
as is QuLog's circuit, and any separable one.
"""

from __future__ import annotations

from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.fused import Affine
from qlogad.backend.exact.method import Cost, Method, Run, Task
from qlogad.backend.exact.pauli import Locals, blocks, moved_word
from qlogad.backend.exact.start import starts
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Angle, Circuit
from qlogad.circuit.readout import is_projector

__all__ = ["Closed"]


class Closed(Method):
    """Products of Bloch components; differentiable to any order."""

    name = "closed"

    def unfit(self, circuit: Circuit) -> str:
        if any(is_projector(word) for word in circuit.readout):
            return "it reads basis states, which are no single Pauli words"
        if starts(circuit) is None:
            return "a wire's state begins with two angles that read inputs"
        if any(run.inputs for run in split(circuit).runs):
            return "it reads inputs again after the start"
        *before, last = (block.kind for block in blocks(circuit))
        return "it entangles before its last rotations" if last == "pair" or {*before, "local"} != {"local"} else ""

    def cost(self, task: Task) -> Cost:
        wires, readouts = task.circuit.wires, len(task.circuit.readout)
        rows, factors = task.groups * task.rows, readouts * _factors(task.circuit).shape[1]
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        return Cost(
            operations=back * task.calls * rows * (24 * wires + 2 * factors),
            traffic=back * task.calls * task.itemsize * rows * (12 * wires + 4 * factors),
            dispatches=back * (14 + task.calls * (10 + 2 * factors.bit_length())),
            memory=task.itemsize * kept * rows * (8 * wires + 2 * factors),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        matrices_WG43 = reduce(lambda begun, one: one @ begun, plan.locals(weights_GP).unbind(0))[..., :3]

        def run(inputs_GNI: Tensor) -> Tensor:
            groups, rows, inputs = inputs_GNI.shape
            angle_WGN = plan.angles(inputs_GNI.reshape(-1, inputs)).view(-1, groups, rows)
            trig_WG3N = torch.stack([torch.ones_like(angle_WGN), torch.cos(angle_WGN), torch.sin(angle_WGN)], dim=2)
            bloch_WG4N = matrices_WG43 @ trig_WG3N
            chosen = bloch_WG4N.transpose(1, 2).flatten(0, 1).index_select(0, plan.factors)  # (K S, G, N)
            chosen = chosen.view(plan.readouts, -1, *chosen.shape[1:])
            while chosen.shape[1] > 1:  # S is a power of two
                chosen = chosen[:, ::2] * chosen[:, 1::2]
            return torch.einsum("kgn,k->gnk", chosen[:, 0], plan.sign_K)

        return run


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        begun = starts(circuit)
        assert begun is not None, "unfit says so"
        self.readouts = len(circuit.readout)
        self.locals = Locals([block for block in blocks(circuit) if block.kind == "local"], begun, circuit.weights, like)
        self.angles = Affine([start.angle or Angle(None) for start in begun], circuit.inputs, like)
        self.factors = torch.from_numpy(_factors(circuit)).flatten().to(like.device)
        self.sign_K = like.new_tensor([_seen(circuit, word)[1] for word in circuit.readout])


def _seen(circuit: Circuit, word: str) -> tuple[str, float]:
    """A word pushed back through the fixed two-wire gates at the end."""
    return moved_word(word, [gate for block in blocks(circuit) if block.kind == "clifford" for gate in block.gates])


def _factors(circuit: Circuit) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """For each readout the factors of its product, wire * 4 + letter, filled up to a power of two with the I of wire 0: (K, S)."""
    found = [
        [4 * wire + "IXYZ".index(letter) for wire, letter in enumerate(_seen(circuit, word)[0]) if letter != "I"]
        for word in circuit.readout
    ]
    size = 1 << max(0, max(map(len, found)) - 1).bit_length()
    return np.array([places + [0] * (size - len(places)) for places in found])


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
