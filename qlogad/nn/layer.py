"""Parameterized circuits as torch modules: their weights are registered parameters, to be trained, moved, saved and counted as usual.

`QuantumLayer` is a single circuit for use in any network. `GateCircuits` holds the circuits of a cell's gates side by side. Their weights
are shared by the whole batch and all time steps, so `prepare` does the work that depends on the weights only once and returns a
function for all steps of a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from qlogad import documents, seeds
from qlogad.backend.abilities import CALLS, Key
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError, DesignError, InputError, shown
from qlogad.nn.kernel_speed import kernel_memory, speed_of

__all__ = ["GateCircuits", "InitOf", "Prepared", "QuantumLayer", "start"]

SMALL_ANGLE = 0.1  # radians

Prepared = Callable[[Tensor], Tensor]
InitOf = Literal["design", "uniform", "small-angle", "identity-block"]  # as the ansatz's file says, or one of the kinds it can name


def start(circuit: Circuit, gates: int, generator: torch.Generator) -> Tensor:
    """The initial weights (G, P) in radians, as `circuit.init` says.

    `uniform` in [-pi, pi]; `small-angle`: normal with mean 0 and standard deviation 0.1, close to the circuit without rotations
    (Zhang et al. (2022), arXiv:2203.09376); `identity-block`: uniform, but each inverse layer starts with the weights of the layer it
    undoes, and weights outside the layers with 0, so that the blocks act as the identity (Grant et al. (2019), arXiv:1903.05076).
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


class GateCircuits(nn.Module):
    """G copies of one circuit, each with its own weights: (1|G, N, D) features -> (G, N, K) readouts in [-1, 1].

    Args:
        circuit: the structure the copies share.
        gates: G, the number of copies.
        backend: where the circuits run.
        generator: draws the initial weights, see `start`; its seed also seeds the shots.
        frozen: keep the initial weights; they are still saved and counted.
        encoding: computes the circuit's inputs from the features. Its own weights, if any, start at 1 (scalings) or uniform in
            [-pi, pi] (angle tables). None: the features are the inputs, in radians.

    All its parameters are quantum weights. `executions` counts circuit runs, one per copy, row and measurement basis; it is not part of
    the saved state.
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
        """Bind the current weights; returns a function (1|G, N, D) -> (G, N, K) for one forward pass of about `calls` time steps."""
        bound = self.backend.bind(self.circuit, self.weights_GP, key=key or self.key, calls=calls)

        def run(x_GND: Tensor) -> Tensor:
            self.count(x_GND.shape[1])
            return bound(self.inputs(x_GND))

        return run

    def form(self, rows: int, key: Key | None = None, *, calls: int = CALLS) -> Form | None:
        """The current weights as tables for a whole-sequence kernel over `rows` rows in about `calls` steps.

        None if the backend has no tables for this circuit, a loop over the steps is faster, or an encoding computes the inputs.
        """
        if not self.backend.abilities.forms or self.encoding is not None:
            return None
        gradient = torch.is_grad_enabled()

        def kernel(form: Form) -> tuple[float, float]:
            speed = speed_of(self.weights_GP)
            return speed.seconds(form, rows, gradient=gradient), kernel_memory(form, rows)

        return self.backend.bind(self.circuit, self.weights_GP, key=key or self.key, calls=calls).form(rows, kernel)

    def count(self, rows: int) -> None:
        """Add `rows` rows, run by each of the G copies, to `executions`."""
        self.executions += self.gates * rows * self.bases

    def inputs(self, x_GND: Tensor) -> Tensor:
        """The circuit's inputs (1|G, N, I) for features."""
        return x_GND if self.encoding is None else cast(Tensor, self.encoding.inputs(x_GND, self.circuit.wires, self.encoding_GE))

    def forward(self, x_GND: Tensor) -> Tensor:
        return self.prepare(calls=1)(x_GND)

    def extra_repr(self) -> str:
        return f"{self.circuit.wires} wires, {self.gates} x {self.circuit.weights} weights, backend={self.backend.name}"


class QuantumLayer(nn.Module):
    """A parameterized circuit as an ordinary torch module: features (..., D) -> readouts (..., K) in [-1, 1].

    The encoding loads the features into the circuit, the ansatz with the weights follows, and the readouts are expectation values or
    probabilities. The sizes are `in_features` (D) and `out_features` (K). All parameters are quantum weights, in radians unless they
    are scalings. Like any module it supports `to`, `copy.deepcopy`, pickling and `state_dict`, and it is differentiable in weights and
    features. Sampling backends draw the same shots for the same features.

    Args:
        wires: of the circuit; None: those of a circuit passed as ansatz or encoding, else 4.
        ansatz: a name from `qlogad list ansatz`, the path of a design or OpenQASM file, or a circuit: a Design, a Qiskit circuit, a
            PennyLane QNode, TorchLayer or tape; see `Design.from_circuit`, which also takes the shapes of a QNode's weights. An ansatz
            that reads the features itself takes no encoding.
        encoding: a name from `qlogad list encoding`, or a file or circuit as above; determines D, the number of features.
        backend: where the circuit runs: a name with its target and options, such as "exact" or "aer:shots=1024", or a backend.
        depth: layers of the ansatz.
        readout: "z" (on every wire), "x+z", "zz", "parity", "probabilities", ...; or Pauli words: see qlogad.circuit.readout.
        init: initial weights: "design" (as the ansatz says), "uniform" in [-pi, pi], "small-angle" or "identity-block"; see `start`.
        reupload: repeat the encoding before every layer of the ansatz.
        scaling: every upload multiplies the features by its own trained weights, which start at 1.
        values: the number of distinct integers, for an encoding that takes integers and has a weight for each.
        seed: for the initial weights and the shots.

    >>> layer = QuantumLayer(wires=4, ansatz="sim14", encoding="angle-y", backend="exact", seed=0)
    >>> layer(torch.zeros(32, 10, 4)).shape, sum(weight.numel() for weight in layer.parameters())
    (torch.Size([32, 10, 4]), 16)
    >>> model = nn.Sequential(nn.Linear(20, 4), layer, nn.Linear(4, 2))

    Raises:
        InputError: there is no such design, backend, readout or init, or the designs do not fit the wires; on a call: the features are
            not a tensor of the layer's width, precision and device, or are outside the encoding's range.
        BackendError: the backend cannot run the circuit; on a call: a feature or weight is not finite.
    """

    def __init__(
        self,
        wires: int | None = None,
        ansatz: object = "strongly-entangling",
        encoding: object = "angle-y",
        backend: str | Backend = "exact",
        *,
        depth: int = 1,
        readout: str | Sequence[str] = "z",
        init: InitOf = "design",
        reupload: bool = False,
        scaling: bool = False,
        values: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = {"wires": wires, "depth": depth, "init": init, "values": values, "seed": seed}
        for name, hint in {"wires": int | None, "depth": int, "init": InitOf, "values": int | None, "seed": int}.items():
            documents.enforce_value(name, given[name], hint)
        second, first = Design.of(ansatz, "ansatz"), Design.of(encoding, "encoding")
        self.wires: int = second.wires or first.wires or 4 if wires is None else wires
        own = None if init == "design" else init
        circuit = assemble(first, second, self.wires, depth, reupload=reupload, scaling=scaling, readout=readout, init=own)
        encoder = Encoding.of(first, second, uploads=depth if reupload else 1, scaling=scaling, values=values)
        self.ansatz, self.depth, self.values = second.name, depth, values
        self.encoding = encoder
        self.in_features, self.out_features = encoder.features(self.wires), len(circuit.readout)
        opened = open_backend(backend) if isinstance(backend, str) else backend
        if not isinstance(opened, Backend):
            raise InputError(f"backend must be a name such as 'exact' or a Backend, got {shown(backend)}")
        if self.wires > opened.abilities.max_wires:
            raise BackendError(
                f"backend '{opened.name}' runs at most {opened.abilities.max_wires} wires, got {self.wires}; use fewer"
            )
        self.circuits = GateCircuits(circuit, backend=opened, generator=seeds.torch_generator(seed, "weights"), encoding=encoder)

    @property
    def circuit(self) -> Circuit:
        """The circuit that is run."""
        return self.circuits.circuit

    @torch._disable_dynamo  # type: ignore[attr-defined]  # torch.compiler.disable, without its import cost
    def forward(self, x: Tensor) -> Tensor:
        x = self._checked(x)
        with torch.autocast(x.device.type, enabled=False):
            mean_NK: Tensor = self.circuits(x.reshape(1, -1, self.in_features))[0]
        return mean_NK.reshape(*x.shape[:-1], self.out_features)

    def _checked(self, x: Tensor) -> Tensor:
        """The features, checked; cast to the weights' precision if they are integers or autocast has lowered their precision."""
        if not isinstance(x, Tensor):
            raise InputError(
                f"features must be a torch tensor (..., {self.in_features}), got {type(x).__name__}; use torch.as_tensor"
            )
        if x.layout != torch.strided:
            raise InputError(f"features must be a dense tensor, got {x.layout}; use x.to_dense()")
        weights = self._ready()
        got = x.shape[-1] if x.ndim else 0
        if got != self.in_features:
            takes = f"encoding '{self.encoding.design.name}' takes {self.in_features} features on {self.wires} wires"
            raise InputError(f"{takes}, got shape {tuple(x.shape)}; {self._mend(got)}")
        if x.device != weights.device:
            raise InputError(f"features are on {x.device} and weights on {weights.device}; use x.to('{weights.device}')")
        whole = not x.is_complex() and not x.is_floating_point()
        if (whole and self.encoding.design.takes.integer) or torch.is_autocast_enabled(x.device.type):
            x = x.to(weights.dtype)
        if x.dtype != weights.dtype:
            raise InputError(f"features are {x.dtype} and weights {weights.dtype}; use x.to({weights.dtype}), or layer.to(...)")
        return x

    def _ready(self) -> Tensor:
        """The weights, checked to be usable for running the circuit in this context."""
        if torch._C._functorch.maybe_current_level() is not None or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            raise InputError(
                "a QuantumLayer cannot run inside torch.func.vmap, grad or jacrev, or torch.jit.trace; pass all rows at once, "
                "(..., D), and take derivatives with torch.autograd"
            )
        weights = self.circuits.weights_GP
        if weights.is_meta:
            raise InputError("weights on the meta device have no values; call layer.to_empty(device='cpu') and load a state_dict")
        if weights.dtype not in (torch.float32, torch.float64):
            raise InputError(f"circuits run in float32 or float64, got weights of {weights.dtype}; call layer.float()")
        return weights

    def _mend(self, features: int) -> str:
        if not features:
            return "pass at least one row of features"
        try:
            other = self.encoding.wires_for(features)
            fits = self.encoding.features(other) == features and other <= self.circuits.backend.abilities.max_wires
        except DesignError:
            fits = False
        return f"use wires={other}" if fits else f"put torch.nn.Linear({features}, {self.in_features}) before it"

    def extra_repr(self) -> str:
        return (
            f"wires={self.wires}, ansatz='{self.ansatz}', depth={self.depth}, encoding='{self.encoding.design.name}', "
            f"in_features={self.in_features}, out_features={self.out_features}"
        )
