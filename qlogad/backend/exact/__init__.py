"""qlogad's simulator: exact expectation values in torch, batched over rows and circuits, differentiable.

Precision and device are those of the weights: float32 gives complex64, float64 complex128, CPU or CUDA. A circuit can be run by
several methods, one per file (see method.py); they give the same numbers, and the planner chooses the fastest one that fits in
memory (planner.py). If not all rows fit, they run in pieces, which a backward pass recomputes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from qlogad import documents, names
from qlogad.backend.abilities import CALLS, DEFAULT_KEY, Abilities, Estimate, Key, Rows
from qlogad.backend.backend import Backend, Bound, check_inputs, check_weights, tied
from qlogad.backend.check import Check
from qlogad.backend.exact.method import Evaluator, Method, Task
from qlogad.backend.exact.methods.gates import States
from qlogad.backend.exact.noisy import NoisyBound
from qlogad.backend.exact.parts.version_cache import VersionCache
from qlogad.backend.exact.planner import Plan, Purpose, choose, choose_tables, memory_limit, speeds_of, too_wide
from qlogad.backend.form import Form, Kernel
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError, did_you_mean, shown
from qlogad.jit import allowed

__all__ = ["METHODS", "Exact", "ExactBound", "methods_for"]

_ALL: dict[str, Method] = {name: names.find("method", name)() for name in names.known("method")}
METHODS = {name: method for name, method in _ALL.items() if not method.dephased}  # methods a caller may choose

MAX_WIRES = 26


def methods_for(circuit: Circuit, chosen: str | Method = "auto", *, second: bool = False) -> Mapping[str, Method]:
    """The candidate methods for a circuit: all, those with second derivatives, or one; dephased circuits have their own."""
    if circuit.dephased:
        return {name: method for name, method in _ALL.items() if method.dephased}
    if isinstance(chosen, Method):
        return {chosen.name: chosen}
    if chosen != "auto":
        return {chosen: METHODS[chosen]}
    return {name: method for name, method in METHODS.items() if method.second or not second}


class Exact(Backend):
    """The exact simulator.

    Args:
        method: a name in METHODS, "auto" for the fastest, or a method of your own.
        memory: limit of a call in gigabytes; by default half of the device's memory, at most 8.
        noise: simulated exactly; the target of "exact:depolarizing=0.01,readout=0.02" is parsed into it.
        second: second derivatives will be taken (`create_graph=True`), so methods and kernels without them are excluded.

    Raises:
        BackendError: there is no such method, it lacks second derivatives with `second`, or the memory limit is invalid.

    >>> from qlogad.circuit.encoding import assemble
    >>> circuit = assemble("angle-y", "basic-entangler", wires=2, depth=0)
    >>> Exact().bind(circuit, torch.zeros(1, 0))(torch.zeros(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    name = "exact"
    checks = (Check(), Check(cuda=True, device="cuda"))
    abilities = Abilities(differentiable=True, max_wires=MAX_WIRES, native=tuple(GATES), noise=True, states=True, forms=True)

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """False: it runs locally."""
        return False

    def __init__(
        self, method: str | Method = "auto", *, memory: float | None = None, noise: Noise | None = None, second: bool = False
    ) -> None:
        if isinstance(method, str) and "=" in method:  # the target of "exact:depolarizing=0.01"
            method, noise = "auto", Noise.parse(method)
        known = ("auto", *METHODS)
        if isinstance(method, str) and method not in known:
            raise BackendError(f"exact has no method {shown(method)}{did_you_mean(method, known)}; known: {', '.join(known)}")
        if memory is not None and not 0 < memory < math.inf:
            raise BackendError(f"memory must be a number of gigabytes above 0, got {memory}")
        own = METHODS.get(method) if isinstance(method, str) else method
        if second and own is not None and not own.second:
            raise BackendError(f"method '{own.name}' has first derivatives only; use method 'blocks', or 'auto'")
        self.method, self.memory, self.noise, self.second = method, memory, noise, second
        self._plans: dict[tuple[Circuit, int, torch.dtype, str, bool, bool], Plan] = {}
        self._adopted: list[Plan] = []

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> ExactBound | NoisyBound:
        """Prepare calls; weight-only work is done at the first one, and again if weights change in place.

        Args:
            circuit: any of up to 26 wires.
            weights_GP: (G, P), radians.
            key: not used, as nothing is random.
            calls: about how many calls will follow (time steps), a hint for the plan.

        Raises:
            BackendError: the weights do not fit the circuit, it is too wide, or there are no calls.
        """
        if calls < 1:
            raise BackendError(f"a bound circuit must be called at least once, got calls={calls}")
        check_weights(circuit, weights_GP, dephased=True)
        if circuit.wires > MAX_WIRES:
            raise BackendError(f"exact runs up to {MAX_WIRES} wires, got {circuit.wires}; use fewer, or another backend")
        if self.noise is not None:
            return NoisyBound(circuit, weights_GP, self.noise, memory=self.limit(weights_GP.device) / 1e9)
        return ExactBound(self, circuit, weights_GP, calls)

    def plan(
        self, circuit: Circuit, weights_GP: Tensor, *, rows: int, calls: int = CALLS, gradient: bool, kernel: Kernel | None = None
    ) -> Plan:
        """The plan of a circuit: chosen at its first call, for the rows of that call, then kept for the lifetime of this object.

        Args:
            circuit: with its inputs.
            weights_GP: (G, P), radians.
            rows: of one call.
            calls: about how many calls follow each bind.
            gradient: forward and backward, or forward only.
            kernel: the cost of a whole-sequence kernel on tables, if it may replace all the calls.

        Raises:
            BackendError: no method fits the circuit and the memory.
        """
        device = weights_GP.device
        case = (circuit, len(weights_GP), weights_GP.dtype, device.type, gradient, kernel is not None)
        if case not in self._plans:
            methods = methods_for(circuit, self.method, second=self.second)
            itemsize: Literal[4, 8] = 4 if weights_GP.dtype == torch.float32 else 8
            task = Task(circuit, len(weights_GP), max(1, rows), calls, itemsize, gradient)
            purpose = Purpose.of(task, device.type, sequence=kernel is not None)
            kept = [
                plan
                for plan in self._adopted
                if plan.purpose == purpose and plan.method in methods and not methods[plan.method].unfit(circuit)
            ]
            self._plans[case] = kept[-1] if kept else self._choose(task, methods, weights_GP, kernel, purpose)
        return self._plans[case]

    def _choose(
        self, task: Task, methods: Mapping[str, Method], weights_GP: Tensor, kernel: Kernel | None, purpose: Purpose
    ) -> Plan:
        speeds, limit = speeds_of(weights_GP.device), self.limit(weights_GP.device)
        if kernel is not None:

            def form(method: Method) -> Form | None:
                with torch.no_grad():
                    return method.form(task.circuit, weights_GP)

            with allowed(speeds.compiled):
                found = choose_tables(task, methods, speeds, limit, kernel, form)
            if found:
                return found.plan(purpose, tables=True, compiled=speeds.compiled)
        return choose(task, methods, speeds, limit).plan(purpose, compiled=speeds.compiled)

    def limit(self, device: torch.device) -> float:
        """The memory limit of a call on a device, in bytes."""
        return memory_limit(device) if self.memory is None else 1e9 * self.memory

    def plans(self) -> list[dict[str, Any]]:
        """The plans used so far, and those adopted."""
        made = list(self._plans.values())
        return [documents.plain(plan) for plan in dict.fromkeys(self._adopted + made)]

    def adopt(self, plans: Sequence[Mapping[str, Any]]) -> None:
        self._adopted += [documents.from_mapping(Plan, plan, "a saved plan", strict=True) for plan in plans]
        self._plans.clear()


class ExactBound(Bound):
    """A circuit with bound weights on the exact simulator."""

    def __init__(self, engine: Exact, circuit: Circuit, weights_GP: Tensor, calls: int) -> None:
        self.circuit = circuit
        self._engine, self._weights_GP, self._calls = engine, weights_GP, calls
        self._methods = methods_for(circuit, engine.method, second=engine.second)
        self._planned: dict[bool, Plan] = {}  # with and without gradients
        self._run = VersionCache(weights_GP, self._bind)

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        gradient = torch.is_grad_enabled() and (self._weights_GP.requires_grad or inputs_GNI.requires_grad)
        if gradient not in self._planned:
            self._planned[gradient] = self.plan(inputs_GNI.shape[1], gradient=gradient)
        mean_GNK = self._pieces(self._planned[gradient], self._run(gradient), inputs_GNI, gradient=gradient)
        if not (mean_GNK.is_cuda or math.isfinite(mean_GNK.detach().sum().item())):
            raise BackendError(f"angles exceed the range of {inputs_GNI.dtype}; scale the inputs before the circuit")
        return tied(mean_GNK, self._weights_GP, inputs_GNI)

    def _bind(self, weights_GP: Tensor, gradient: bool) -> Evaluator:
        return self._methods[self._planned[gradient].method].bind(self.circuit, weights_GP)

    @staticmethod
    def _pieces(plan: Plan, run: Evaluator, inputs_GNI: Tensor, *, gradient: bool) -> Tensor:
        """Run all rows at once if they fit in memory, else in pieces; a backward pass recomputes each piece."""
        if inputs_GNI.shape[1] <= plan.whole:
            return run(inputs_GNI)
        pieces = torch.split(inputs_GNI, plan.chunk, dim=1)
        if not gradient:
            return torch.cat([run(piece) for piece in pieces], dim=1)
        again = [checkpoint(run, piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
        return torch.cat(again, dim=1)

    def plan(self, rows: int, *, gradient: bool = True) -> Plan:
        """The plan for calls of a number of rows."""
        return self._engine.plan(self.circuit, self._weights_GP, rows=rows, calls=self._calls, gradient=gradient)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self.circuit.readout))
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, {"backend": "exact", "kind": "exact"})

    def form(self, rows: int, kernel: Kernel | None = None) -> Form | None:
        """The weight-only tables of this circuit for a whole-sequence kernel; see `Form`.

        The fastest ones, or those of the requested method if it has any; None if a loop over the steps is faster, or with `second`,
        since the kernel has no second derivatives.
        """
        if self._engine.second:
            return None
        if self._engine.method != "auto" or kernel is None:
            return self._form(self.plan(max(1, rows // self._calls)))
        gradient = torch.is_grad_enabled() and self._weights_GP.requires_grad
        step = max(1, rows // self._calls)
        plan = self._engine.plan(self.circuit, self._weights_GP, rows=step, calls=self._calls, gradient=gradient, kernel=kernel)
        return self._form(plan) if plan.tables else None

    def _form(self, plan: Plan) -> Form | None:
        with allowed(plan.compiled):
            form = self._methods[plan.method].form(self.circuit, self._weights_GP)
        return None if form is None else replace(form, compiled=plan.compiled)

    def states(self, inputs_GNI: Tensor) -> Tensor:
        """The state vectors (G, N, 2^W), complex; wire 0 is the most significant bit of the last axis.

        Raises:
            BackendError: as for a call; or the circuit is dephased and so has no state vectors.
        """
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        if self.circuit.dephased:
            raise BackendError("a dephased circuit has no state vectors; use the circuit it was made from")
        task = Task(self.circuit, len(self._weights_GP), inputs_GNI.shape[1], itemsize=8, gradient=torch.is_grad_enabled())
        needed, allowed = METHODS["gates"].effort(task).memory, self._engine.limit(inputs_GNI.device)
        if needed > allowed:
            if reason := too_wide(task, {"gates": METHODS["gates"]}, allowed):
                raise BackendError(reason)
            raise BackendError(
                f"these states need about {needed / 1e9:.3g} GB, and {allowed / 1e9:.3g} GB are allowed; use fewer rows at a time"
            )
        return States(self.circuit, self._weights_GP)(inputs_GNI)
