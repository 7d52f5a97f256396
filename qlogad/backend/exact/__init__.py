"""Our own simulator: exact expectation values in torch, batched over rows and circuits, differentiable.

Precision and device are those of the weights: float32 gives complex64, float64 complex128, CPU or CUDA. A circuit can be run by
several methods, a file each (method.py says what a method is); they give the same numbers, and the cheapest one is chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qlogad.backend.backend import DEFAULT_KEY, Abilities, Backend, Bound, Estimate, Key, Rows, check_inputs, check_weights
from qlogad.backend.exact.dephased import DephasedBound
from qlogad.backend.exact.method import Form, Method, Task
from qlogad.backend.exact.noisy import NoisyBound
from qlogad.backend.exact.state import Gates, States, Unitary
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError, did_you_mean

__all__ = ["METHODS", "Exact", "ExactBound"]

METHODS: dict[str, Method] = {method.name: method for method in (Unitary(), Gates())}

FUSE_UP_TO = 8  # wires: beyond, building the unitary costs more than it saves
MAX_WIRES = 26


class Exact(Backend):
    """The exact simulator.

    Args:
        method: a name in METHODS, or "auto" for the cheapest.
        memory: refuse a call that would need more than so many gigabytes.
        noise: simulated exactly; the target of "exact:depolarizing=0.01,readout=0.02" is parsed into it.

    >>> from qlogad.circuit.design import assemble
    >>> circuit = assemble("angle-y", "basic-entangler", wires=2, depth=0)
    >>> Exact().bind(circuit, torch.zeros(1, 0))(torch.zeros(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    name = "exact"
    abilities = Abilities(differentiable=True, max_wires=MAX_WIRES, native=tuple(GATES), noise=True, states=True)

    def __init__(self, method: str = "auto", *, memory: float = 8.0, noise: Noise | None = None) -> None:
        if "=" in method:  # the target of "exact:depolarizing=0.01"
            method, noise = "auto", Noise.parse(method)
        known = ("auto", *METHODS)
        if method not in known:
            raise BackendError(f"exact has no method '{method:.40}'{did_you_mean(method, known)}; known: {', '.join(known)}")
        self.method, self.memory, self.noise = method, memory, noise

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY) -> ExactBound | DephasedBound | NoisyBound:
        """Fuse or prepare everything that depends on weights alone; `key` is not used, nothing is random here."""
        check_weights(circuit, weights_GP, dephased=True)
        if circuit.wires > MAX_WIRES:
            raise BackendError(f"exact runs up to {MAX_WIRES} wires, got {circuit.wires}; use fewer, or another backend")
        if self.noise is not None:
            return NoisyBound(circuit, weights_GP, self.noise, memory=self.memory)
        if circuit.dephased:
            return DephasedBound(circuit, weights_GP, memory=self.memory)
        auto = "unitary" if circuit.wires <= FUSE_UP_TO else "gates"
        return ExactBound(circuit, weights_GP, METHODS[auto if self.method == "auto" else self.method], memory=self.memory)


class ExactBound(Bound):
    """A circuit with its weights on the exact simulator."""

    def __init__(self, circuit: Circuit, weights_GP: Tensor, method: Method, *, memory: float) -> None:
        if reason := method.unfit(circuit):
            raise BackendError(f"method '{method.name}' cannot run this circuit: {reason}; use method 'auto'")
        self.circuit, self.method = circuit, method
        self._weights_GP, self._memory = weights_GP, memory
        self._refuse(method, 0)
        self._run = method.bind(circuit, weights_GP)

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`."""
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        self._refuse(self.method, inputs_GNI.shape[1])
        return self._run(inputs_GNI)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self.circuit.readout))
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, {"backend": "exact", "kind": "exact"})

    def form(self) -> Form | None:
        """The weight-only tables of this circuit, where its method has them; see `Form`."""
        return self.method.form(self.circuit, self._weights_GP)

    def states(self, inputs_GNI: Tensor) -> Tensor:
        """The state vectors (G, N, 2^W), complex; wire 0 is the most significant bit of the last axis.

        Raises:
            BackendError: as for a call.
        """
        check_inputs(self.circuit, self._weights_GP, inputs_GNI)
        method = METHODS["unitary" if self.circuit.wires <= FUSE_UP_TO else "gates"]
        self._refuse(method, inputs_GNI.shape[1])
        return States(self.circuit, self._weights_GP, fused=method.name == "unitary")(inputs_GNI)

    def _refuse(self, method: Method, rows: int) -> None:
        """Refuse what would not fit, before it is tried."""
        itemsize = self._weights_GP.element_size()
        task = Task(self.circuit, len(self._weights_GP), rows, 1, 4 if itemsize == 4 else 8, torch.is_grad_enabled())
        size = method.cost(task).memory / 1e9
        if size > self._memory:
            fix = "use fewer rows at a time, or fewer wires" if rows else "use method 'gates'"
            raise BackendError(f"this call needs about {size:.1f} GB, and {self._memory:g} GB are allowed; {fix}")
