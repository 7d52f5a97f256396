"""Adjoint differentiation over fused layers: the backward pass undoes the circuit, so that a few states are held at any depth.

Every layer is unitary: the state before it is the state after it, taken back (Jones, Gacon (2020), arXiv:2009.02823). For one wide
circuit, and wherever keeping a state for every layer would not fit. First derivatives only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.fused import Locals, basis_source, kron_tree, matrix_pair
from qlogad.backend.exact.layers import Layer, block_sizes, layers
from qlogad.backend.exact.method import Cost, Method, Run, Task
from qlogad.backend.exact.readout import Readout
from qlogad.backend.exact.real import Product
from qlogad.backend.exact.start import Start, starts
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import matrix
from qlogad.errors import BackendError

__all__ = ["Adjoint"]


class Adjoint(Method):
    """Fused layers forward, undone backward. Any circuit; first derivatives only."""

    name = "adjoint"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def cost(self, task: Task) -> Cost:
        wires = task.circuit.wires
        sizes = block_sizes(wires)
        found = _layers(task.circuit)
        blocks = len(sizes) * sum(layer.kind == "local" for layer in found)
        passes = blocks + sum(1 if layer.kind == "permutation" else len(layer.gates) for layer in found if layer.kind != "local")
        local = 8 * sum(2**size for size in sizes) * sum(layer.kind == "local" for layer in found)
        state = 2 * task.itemsize * task.groups * task.rows * 2**wires
        back = 5 if task.gradient else 1  # forward, undo, forward again, and two products of the derivative
        return Cost(
            operations=back * task.calls * task.groups * task.rows * 2**wires * (local + 8 * passes),
            traffic=back * task.calls * state * 2 * passes,
            dispatches=back * (20 + task.calls * (12 + 4 * passes)),
            memory=state * (6 + (2 * task.calls if task.gradient else 0)),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        matrices_LWG22 = plan.locals(weights_GP)
        parts = torch.split(matrices_LWG22.transpose(0, 1), block_sizes(circuit.wires))
        blocks = [kron_tree(part, matrix_pair).unbind(0) for part in parts]  # of every part, by local layer

        def run(inputs_GNI: Tensor) -> Tensor:
            groups, rows = len(weights_GP), inputs_GNI.shape[1]
            states_GDN = plan.product.states(matrices_LWG22[0], inputs_GNI).expand(groups, -1, rows)
            tensors: list[Tensor] = []
            for step in plan.steps:
                if isinstance(step, _Block):
                    tensors.append(blocks[step.part][step.layer])
                elif isinstance(step, _Turn):
                    values = inputs_GNI if step.reads == "input" else weights_GP[:, None]
                    tensors.append(step.angle(values))
            states_GDN = cast(Tensor, _Walk.apply(plan.steps, states_GDN, *tensors))  # type: ignore[no-untyped-call]
            return plan.readout(states_GDN.mT)

        return run


@dataclass(frozen=True, eq=False)
class _Block:
    """A matrix (G, d, d) on neighbouring wires."""

    left: int  # basis states of the wires before them
    part: int  # which of the blocks of a layer
    layer: int  # which of the local layers

    def __call__(self, states_GDN: Tensor, block_Gdd: Tensor) -> Tensor:
        groups, size, rows = states_GDN.shape
        side = block_Gdd.shape[-1]
        if self.left == 1:
            return (block_Gdd @ states_GDN.reshape(groups, side, -1)).view(groups, size, rows)
        if self.left * side == size and rows == 1:
            return (states_GDN.reshape(groups, self.left, side) @ block_Gdd.mT).view(groups, size, rows)
        return (block_Gdd[:, None] @ states_GDN.reshape(groups, self.left, side, -1)).view(groups, size, rows)

    def undo(self, states_GDN: Tensor, block_Gdd: Tensor) -> Tensor:
        return self(states_GDN, block_Gdd.mH)


@dataclass(frozen=True, eq=False)
class _Move:
    """A permutation of the basis: new[b] = old[source[b]]."""

    source: Tensor
    back: Tensor

    def __call__(self, states_GDN: Tensor) -> Tensor:
        return states_GDN.index_select(1, self.source)

    def undo(self, states_GDN: Tensor) -> Tensor:
        return states_GDN.index_select(1, self.back)


@dataclass(frozen=True, eq=False)
class _Turn:
    """A diagonal gate on one or two wires; its tensor are the angles (1|G, 1|N)."""

    reads: str  # "input", "weight", or nothing
    index: int
    scale: float
    shift: float
    phases: Tensor  # of one radian, or of the fixed gate: (2,) or (2, 2), the smaller wire first
    shape: tuple[int, ...]  # of the basis states: before, wire, (between, wire,) after

    def angle(self, values_GNV: Tensor) -> Tensor:
        """(1|G, 1|N) from what the gate reads."""
        if not self.reads:
            return values_GNV.new_ones(1, 1)
        return values_GNV[..., self.index] * self.scale + self.shift

    def __call__(self, states_GDN: Tensor, angle_GN: Tensor, *, sign: int = 1) -> Tensor:
        groups, size, rows = states_GDN.shape
        pattern = self.phases.view([side if place % 2 else 1 for place, side in enumerate(self.shape)] + [1])
        phase = sign * angle_GN.reshape(len(angle_GN), *[1] * len(self.shape), -1) * pattern
        states = states_GDN.reshape(groups, *self.shape, rows)
        return (states * torch.complex(torch.cos(phase), torch.sin(phase))).view(groups, size, rows)

    def undo(self, states_GDN: Tensor, angle_GN: Tensor) -> Tensor:
        return self(states_GDN, angle_GN, sign=-1)


_Step = _Block | _Move | _Turn


class _Walk(torch.autograd.Function):
    """States through all steps; the backward pass walks the states back beside their derivative."""

    @staticmethod
    def forward(ctx: Any, steps: Sequence[_Step], states_GDN: Tensor, *tensors: Tensor) -> Tensor:
        given = iter(tensors)
        for step in steps:
            states_GDN = step(states_GDN) if isinstance(step, _Move) else step(states_GDN, next(given))
        ctx.steps = steps
        ctx.save_for_backward(states_GDN, *tensors)
        return states_GDN

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise BackendError("method 'adjoint' gives first derivatives only; use Exact('gates') for higher ones")
        states_GDN, *tensors = ctx.saved_tensors
        slope_GDN, found = slopes[0], []
        for step in reversed(ctx.steps):
            if isinstance(step, _Move):
                states_GDN, slope_GDN = step.undo(states_GDN), step.undo(slope_GDN)
                continue
            tensor = tensors.pop()
            states_GDN = step.undo(states_GDN, tensor)
            with torch.enable_grad():
                before, inside = states_GDN.detach().requires_grad_(), tensor.detach().requires_grad_()
                slope_GDN, slope = torch.autograd.grad(step(before, inside), (before, inside), slope_GDN)
            found.append(slope)
        return None, slope_GDN, *reversed(found)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        begun = starts(circuit)
        zero = Start(None, np.array([[1.0 + 0j], [0]]))
        self.product = Product(begun or [zero] * circuit.wires, circuit.inputs, like)
        self.readout = Readout(circuit.readout, like)
        found = _layers(circuit)
        local = [layer for layer in found if layer.kind == "local"]
        self.locals = Locals(local, circuit.wires, circuit.weights, self.product.columns, like)
        self.steps: list[_Step] = []
        count = 0
        for layer in found[1:]:
            if layer.kind == "local":
                count += 1
                self.steps += _blocks(layer, count, circuit.wires)
            elif layer.kind == "permutation":
                source = basis_source(layer.gates, circuit.wires).astype(np.int32)
                back = np.empty_like(source)
                back[source] = np.arange(len(source), dtype=np.int32)
                self.steps.append(_Move(*(torch.from_numpy(one).to(like.device) for one in (source, back))))
            else:
                self.steps += [_turn(gate, circuit.wires, like) for gate in layer.gates]


def _layers(circuit: Circuit) -> list[Layer]:
    """The layers after the start, the first of them local, though it may hold no gate."""
    gates = circuit.gates if starts(circuit) is None else tuple(gate for run in split(circuit).runs for gate in run.gates)
    found = list(layers(gates, circuit.wires))
    return found if found and found[0].kind == "local" else [Layer("local", ()), *found]


def _blocks(layer: Layer, number: int, wires: int) -> list[_Step]:
    """One step for every block that some gate touches."""
    steps: list[_Step] = []
    low = 0
    for part, size in enumerate(block_sizes(wires)):
        if any(low <= gate.wires[0] < low + size for gate in layer.gates):
            steps.append(_Block(2**low, part, number))
        low += size
    return steps


def _turn(gate: Gate, wires: int, like: Tensor) -> _Turn:
    order = sorted(range(len(gate.wires)), key=lambda place: gate.wires[place])
    phases = np.angle(matrix(gate.name, 1.0).diagonal()).reshape([2] * len(gate.wires)).transpose(order)
    places = [gate.wires[place] for place in order]
    edges = [-1, *places, wires]
    gaps = [2 ** (high - low - 1) for low, high in pairwise(edges)]
    shape = (*(size for gap in gaps[:-1] for size in (gap, 2)), gaps[-1])
    angle = gate.angles[0] if gate.angles else None
    if angle is None or angle.source is None:
        factor = 1.0 if angle is None else angle.shift
        return _Turn("", 0, 1.0, 0.0, torch.from_numpy(factor * phases).to(like), shape)
    return _Turn(angle.source, angle.index, angle.scale, angle.shift, torch.from_numpy(phases.copy()).to(like), shape)


@lru_cache(maxsize=16)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
