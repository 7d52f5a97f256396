"""A parameterized circuit as a torch layer: its weights are one registered parameter, so they train, move, save and count.

The weights serve a whole batch and every time step alike; `prepare` therefore does whatever depends on the weights alone once, and
what it returns serves all steps of a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from qlogad.backend.backend import CALLS, Backend, Key
from qlogad.backend.exact.method import Form
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.design import Encoding
from qlogad.circuit.readout import bases
from qlogad.nn.speed import kernel_memory, speed_of

__all__ = ["Prepared", "QuantumLayer", "start"]

SMALL_ANGLE = 0.1  # radians

Prepared = Callable[[Tensor], Tensor]


def start(circuit: Circuit, gates: int, generator: torch.Generator) -> Tensor:
    """The weights (G, P), radians, that training starts from.

    `uniform` in [-pi, pi]; `small-angle`: normal, of mean 0 and standard deviation 0.1, close to the circuit without rotations
    (Zhang et al. (2022), arXiv:2203.09376); `identity-block`: uniform, each layer's undoing starting from the layer's own weights
    and what stands outside the layers from 0, so that no layer does anything (Grant et al. (2019), arXiv:1903.05076).
    """
    if circuit.init == "small-angle":
        return SMALL_ANGLE * torch.randn(gates, circuit.weights, generator=generator)
    drawn_GP = (2 * torch.rand(gates, circuit.weights, generator=generator) - 1) * math.pi
    if circuit.init == "uniform":
        return drawn_GP
    start_GP = torch.zeros_like(drawn_GP)
    for layer, undone in circuit.twins:
        start_GP[:, layer] = start_GP[:, undone] = drawn_GP[:, layer]
    return start_GP


class QuantumLayer(nn.Module):
    """G copies of one circuit, each with weights of its own: (1|G, N, D) features -> (G, N, K) readouts in [-1, 1].

    Args:
        circuit: the structure the copies share.
        gates: G.
        backend: where the circuits run.
        generator: draws the initial weights as the circuit's `init` says: see `start`. Its seed is also that of all shots.
        frozen: the weights stay as drawn; they are saved and counted all the same.
        encoding: computes the circuit's inputs from features, with weights of its own where it has some: scalings start at 1, angle
            tables uniform in [-pi, pi]. Without one the features are the inputs, in radians.

    All its parameters are quantum weights. `executions` counts the circuits that were run, one for each of the G copies, N rows and
    measurement bases; it is no part of the saved state.
    """

    def __init__(
        self,
        circuit: Circuit,
        *,
        gates: int = 1,
        backend: Backend,
        generator: torch.Generator,
        frozen: bool = False,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        self.circuit = circuit
        self.gates = gates
        self.backend = backend
        self.key = Key(generator.initial_seed())
        self.executions = 0
        self.bases = len(bases(circuit.readout))
        self.weights_GP = nn.Parameter(start(circuit, gates, generator), requires_grad=not frozen)
        self.encoding = None if encoding is None or encoding.plain(circuit.wires) else encoding
        self.encoding_GE: nn.Parameter | None = None
        if self.encoding is not None and (own := self.encoding.weights(circuit.wires)):
            scales = self.encoding.scales(circuit.wires)
            tables_GT = (2 * torch.rand(gates, own - scales, generator=generator) - 1) * math.pi
            self.encoding_GE = nn.Parameter(torch.cat([torch.ones(gates, scales), tables_GT], dim=1), requires_grad=not frozen)

    def prepare(self, key: Key | None = None, *, calls: int = CALLS) -> Prepared:
        """Bind the present weights: the function (1|G, N, D) -> (G, N, K) for all time steps of one forward pass, `calls` or so."""
        bound = self.backend.bind(self.circuit, self.weights_GP, key=key or self.key, calls=calls)

        def run(x_GND: Tensor) -> Tensor:
            self.count(x_GND.shape[1])
            return bound(self.inputs(x_GND))

        return run

    def form(self, rows: int, key: Key | None = None, *, calls: int = CALLS) -> Form | None:
        """The present weights as tables for a whole-sequence kernel that will run so many rows in `calls` steps.

        None where the backend has no tables for this circuit, a loop over `calls` steps or so is quicker, or the features are not its
        inputs.
        """
        if not self.backend.abilities.forms or self.encoding is not None:
            return None
        gradient = torch.is_grad_enabled()

        def kernel(form: Form) -> tuple[float, float]:
            speed = speed_of(self.weights_GP)
            return speed.seconds(form, rows, gradient=gradient), kernel_memory(form, rows)

        return self.backend.bind(self.circuit, self.weights_GP, key=key or self.key, calls=calls).form(rows, kernel)

    def count(self, rows: int) -> None:
        """So many rows have been, or will be, run by each of the G copies."""
        self.executions += self.gates * rows * self.bases

    def inputs(self, x_GND: Tensor) -> Tensor:
        """The circuit's inputs (1|G, N, I) for features."""
        return x_GND if self.encoding is None else cast(Tensor, self.encoding.inputs(x_GND, self.circuit.wires, self.encoding_GE))

    def forward(self, x_GND: Tensor) -> Tensor:
        return self.prepare(calls=1)(x_GND)

    def extra_repr(self) -> str:
        return f"{self.circuit.wires} wires, {self.gates} x {self.circuit.weights} weights, backend={self.backend.name}"
