"""Our own simulator: exact expectation values in torch, batched over rows and circuits, differentiable.

Precision and device are those of the weights: float32 gives complex64, float64 complex128, CPU or CUDA. A circuit can be run by
several methods, a file each (method.py says what a method is); they give the same numbers, and the planner takes the quickest that
fits in memory (planner.py). More rows than fit run in pieces, which a backward pass runs again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from qlogad import documents
from qlogad.backend.backend import CALLS, DEFAULT_KEY, Abilities, Backend, Bound, Estimate, Key, Rows, check_inputs, check_weights
from qlogad.backend.exact.adjoint import Adjoint
from qlogad.backend.exact.blocks import Blocks
from qlogad.backend.exact.closed import Closed
from qlogad.backend.exact.dephased import Dephased
from qlogad.backend.exact.method import Form, Method, Run, Task
from qlogad.backend.exact.noisy import NoisyBound
from qlogad.backend.exact.pauli import Pauli
from qlogad.backend.exact.phase import Phase
from qlogad.backend.exact.planner import Plan, Purpose, choose, memory_limit, rates_of
from qlogad.backend.exact.real import Real
from qlogad.backend.exact.state import Gates, States, Unitary
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError, did_you_mean

__all__ = ["DEPHASED", "METHODS", "Exact", "ExactBound", "methods_for"]

METHODS: dict[str, Method] = {
    method.name: method for method in (Closed(), Pauli(), Real(), Phase(), Blocks(), Adjoint(), Unitary(), Gates())
}
DEPHASED: dict[str, Method] = {method.name: method for method in (Dephased(),)}  # what runs dephased circuits, and those alone

FUSE_UP_TO = 8  # wires: beyond, building a unitary for state vectors costs more than it saves
FORMS = {"real": 7, "phase": 6}  # wires: beyond, tables for whole sequences outgrow the states they stand for
MAX_WIRES = 26


def methods_for(circuit: Circuit, chosen: str | Method = "auto") -> Mapping[str, Method]:
    """The methods that a circuit may be run by: all, or one; a dephased circuit has methods of its own."""
    if circuit.dephased:
        return DEPHASED
    if isinstance(chosen, Method):
        return {chosen.name: chosen}
    return METHODS if chosen == "auto" else {chosen: METHODS[chosen]}


@lru_cache(maxsize=256)
def _tabled(method: str, circuit: Circuit) -> bool:
    """Whether a circuit's whole sequences run on the tables of a method."""
    return circuit.wires <= FORMS[method] and not METHODS[method].unfit(circuit)


class Exact(Backend):
    """The exact simulator.

    Args:
        method: a name in METHODS, or "auto" for the quickest; or a method of your own.
        memory: the gigabytes a call may need; by default half of what the device has, 8 at most.
        noise: simulated exactly; the target of "exact:depolarizing=0.01,readout=0.02" is parsed into it.

    >>> from qlogad.circuit.design import assemble
    >>> circuit = assemble("angle-y", "basic-entangler", wires=2, depth=0)
    >>> Exact().bind(circuit, torch.zeros(1, 0))(torch.zeros(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    name = "exact"
    abilities = Abilities(differentiable=True, max_wires=MAX_WIRES, native=tuple(GATES), noise=True, states=True, forms=True)

    def __init__(self, method: str | Method = "auto", *, memory: float | None = None, noise: Noise | None = None) -> None:
        if isinstance(method, str) and "=" in method:  # the target of "exact:depolarizing=0.01"
            method, noise = "auto", Noise.parse(method)
        known = ("auto", *METHODS)
        if isinstance(method, str) and method not in known:
            raise BackendError(f"exact has no method '{method:.40}'{did_you_mean(method, known)}; known: {', '.join(known)}")
        self.method, self.memory, self.noise = method, memory, noise
        self._plans: dict[tuple[Circuit, int, torch.dtype, str, bool], Plan] = {}
        self._adopted: list[Plan] = []

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> ExactBound | NoisyBound:
        """Make ready for calls; what depends on weights alone is done once, at the first of them, so leave the weights as they are.

        Args:
            circuit: any of up to 26 wires.
            weights_GP: (G, P), radians.
            key: not used, nothing is random here.
            calls: about how many calls will follow, the time steps: a hint for the plan.

        Raises:
            BackendError: the weights do not fit the circuit, or it is too wide.
        """
        check_weights(circuit, weights_GP, dephased=True)
        if circuit.wires > MAX_WIRES:
            raise BackendError(f"exact runs up to {MAX_WIRES} wires, got {circuit.wires}; use fewer, or another backend")
        if self.noise is not None:
            return NoisyBound(circuit, weights_GP, self.noise, memory=self.limit(weights_GP.device) / 1e9)
        return ExactBound(self, circuit, weights_GP, calls)

    def plan(
        self, circuit: Circuit, weights_GP: Tensor, *, rows: int, calls: int = CALLS, gradient: bool, method: str | None = None
    ) -> Plan:
        """How a circuit is run: chosen at its first call, for the rows of that call, then kept as long as this object lives.

        Where there is a reason for a method that predicted costs do not know, it is named.

        Raises:
            BackendError: no method fits the circuit and the memory.
        """
        device = weights_GP.device
        case = (circuit, len(weights_GP), weights_GP.dtype, device.type, gradient)
        if case not in self._plans:
            methods = methods_for(circuit, method or self.method)
            itemsize: Literal[4, 8] = 4 if weights_GP.dtype == torch.float32 else 8
            task = Task(circuit, len(weights_GP), max(1, rows), calls, itemsize, gradient)
            purpose = Purpose.of(task, device.type)
            kept = [plan for plan in self._adopted if plan.purpose == purpose and plan.method in methods]
            self._plans[case] = kept[-1] if kept else choose(task, methods, rates_of(device), self.limit(device)).plan(purpose)
        return self._plans[case]

    def limit(self, device: torch.device) -> float:
        """The bytes a call may need on a device."""
        return memory_limit(device) if self.memory is None else 1e9 * self.memory

    def plans(self) -> list[dict[str, Any]]:
        """How circuits have been run so far, and how adopted plans say they are to be run."""
        made = list(self._plans.values())
        return [documents.plain(plan) for plan in dict.fromkeys(self._adopted + made)]

    def adopt(self, plans: Sequence[Mapping[str, Any]]) -> None:
        self._adopted += [documents.from_mapping(Plan, plan, "a saved plan") for plan in plans]
        self._plans.clear()


class ExactBound(Bound):
    """A circuit with its weights on the exact simulator."""

    def __init__(self, engine: Exact, circuit: Circuit, weights_GP: Tensor, calls: int) -> None:
        self.circuit = circuit
        self._engine, self._weights_GP, self._calls = engine, weights_GP, calls
        self._methods = methods_for(circuit, engine.method)
        self._ready: dict[bool, tuple[Plan, Run]] = {}  # with gradients and without: what is made under no_grad has none

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        count = inputs_GNI.shape[1]
        gradient = torch.is_grad_enabled() and (self._weights_GP.requires_grad or inputs_GNI.requires_grad)
        if gradient not in self._ready:
            plan = self.plan(count, gradient=gradient)
            self._ready[gradient] = plan, self._methods[plan.method].bind(self.circuit, self._weights_GP)
        plan, run = self._ready[gradient]
        mean_GNK = self._pieces(plan, run, inputs_GNI, gradient=gradient)
        if not (mean_GNK.is_cuda or math.isfinite(mean_GNK.detach().sum().item())):
            raise BackendError(f"angles lie beyond what {inputs_GNI.dtype} holds; scale the inputs before the circuit")
        if gradient and not mean_GNK.requires_grad:  # readouts that depend on nothing have derivatives too: zeros
            return mean_GNK + 0 * (self._weights_GP.sum() + inputs_GNI.sum())
        return mean_GNK

    @staticmethod
    def _pieces(plan: Plan, run: Run, inputs_GNI: Tensor, *, gradient: bool) -> Tensor:
        """All rows at once where they fit, else piece by piece; a backward pass runs each piece again."""
        if inputs_GNI.shape[1] <= plan.whole:
            return run(inputs_GNI)
        pieces = torch.split(inputs_GNI, plan.chunk, dim=1)
        if not gradient:
            return torch.cat([run(piece) for piece in pieces], dim=1)
        again = [checkpoint(run, piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
        return torch.cat(again, dim=1)

    def plan(self, rows: int, *, gradient: bool = True) -> Plan:
        """How calls of so many rows are run."""
        return self._engine.plan(self.circuit, self._weights_GP, rows=rows, calls=self._calls, gradient=gradient)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self.circuit.readout))
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, {"backend": "exact", "kind": "exact"})

    def form(self, rows: int) -> Form | None:
        """The weight-only tables of this circuit, for a whole-sequence kernel over so many rows; see `Form`.

        Up to 7 wires those of `real` where it fits, up to 6 those of `phase`, as no step loop is quicker than a kernel on them; else
        those of the method that is planned or asked for, where it has any.
        """
        gradient = torch.is_grad_enabled() and self._weights_GP.requires_grad
        free = self._engine.method == "auto" and not self.circuit.dephased
        method = next((name for name in FORMS if free and _tabled(name, self.circuit)), None)
        step = max(1, rows // self._calls)  # where there are no tables, a loop over the steps follows this plan
        plan = self._engine.plan(self.circuit, self._weights_GP, rows=step, calls=self._calls, gradient=gradient, method=method)
        return self._methods[plan.method].form(self.circuit, self._weights_GP)

    def states(self, inputs_GNI: Tensor) -> Tensor:
        """The state vectors (G, N, 2^W), complex; wire 0 is the most significant bit of the last axis.

        Raises:
            BackendError: as for a call; or the circuit is dephased, and has none.
        """
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        if self.circuit.dephased:
            raise BackendError("a dephased circuit has no state vectors; use the circuit it was made from")
        fused = self.circuit.wires <= FUSE_UP_TO and self._engine.method != "gates"
        task = Task(self.circuit, len(self._weights_GP), inputs_GNI.shape[1], itemsize=8, gradient=torch.is_grad_enabled())
        needed, allowed = METHODS["unitary" if fused else "gates"].cost(task).memory, self._engine.limit(inputs_GNI.device)
        if needed > allowed:
            raise BackendError(
                f"these states need about {needed / 1e9:.3g} GB, and {allowed / 1e9:.3g} GB are allowed; ask for fewer rows at a time"
            )
        return States(self.circuit, self._weights_GP, fused=fused)(inputs_GNI)
