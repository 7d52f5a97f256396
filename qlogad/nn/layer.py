"""Parameterized circuits as torch modules: their weights are registered parameters, so they train, move, save and count.

`QuantumLayer` is one circuit in a network of anybody's own. `GateCircuits` is the circuits of a cell's gates, side by side: their weights
serve a whole batch and every time step alike, so `prepare` does whatever depends on the weights alone once, and what it returns serves
all steps of a sequence.
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
InitOf = Literal["design", "uniform", "small-angle", "identity-block"]  # as the design says, or one of its kinds


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


class GateCircuits(nn.Module):
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


class QuantumLayer(nn.Module):
    """A parameterized circuit as an ordinary torch module: features (..., D) -> readouts (..., K) in [-1, 1].

    The encoding puts the features into the circuit, the ansatz follows with the weights, and the readouts are expectation values or
    probabilities. Both shapes stand in `in_features` (D) and `out_features` (K). All its parameters are quantum weights, in radians;
    like any module it moves and changes its precision with `to`, copies, pickles and saves, and it has derivatives of its weights and
    features. Backends that sample draw the same shots again for the same features.

    Args:
        wires: of the circuit; unless said, those of a circuit made elsewhere, else 4.
        ansatz: a name of `qlogad list ansatz`, the path of a design or OpenQASM file, or a circuit: a Design, Qiskit's, a PennyLane
            QNode, TorchLayer or tape; see `Design.from_circuit`, which also takes the shapes of a QNode's weights. One that reads
            features itself stands without an encoding.
        encoding: a name of `qlogad list encoding`, or a file or circuit likewise; it says how many features the wires hold.
        backend: where the circuit runs: a name with its target and options, such as "exact" or "aer:shots=1024", or a backend.
        depth: layers of the ansatz.
        readout: what is read: "z" on every wire, "x+z", "zz", "parity", "probabilities", ...; or words: see qlogad.circuit.readout.
        init: how the weights start: "design" as the ansatz says, "uniform" in [-pi, pi], "small-angle" or "identity-block"; see `start`.
        reupload: the encoding before every layer of the ansatz.
        scaling: every upload multiplies the features by weights of its own, which start at 1.
        values: how many different integers there are, where the encoding takes integers and has a weight for each.
        seed: of the initial weights and of shots.

    >>> layer = QuantumLayer(wires=4, ansatz="sim14", encoding="angle-y", backend="exact", seed=0)
    >>> layer(torch.zeros(32, 10, 4)).shape, sum(weight.numel() for weight in layer.parameters())
    (torch.Size([32, 10, 4]), 16)
    >>> model = nn.Sequential(nn.Linear(20, 4), layer, nn.Linear(4, 2))

    Raises:
        InputError: there is no such design, backend, readout or init, or the designs do not fit the wires; on a call: the features are no
            tensor of the layer's width, precision and device, or outside the encoding's range.
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
            raise InputError(f"backend is a name such as 'exact', or a backend, got {shown(backend)}")
        if self.wires > opened.abilities.max_wires:
            raise BackendError(
                f"backend '{opened.name}' runs up to {opened.abilities.max_wires} wires, got {self.wires}; use fewer"
            )
        self.circuits = GateCircuits(circuit, backend=opened, generator=seeds.torch_generator(seed, "weights"), encoding=encoder)

    @property
    def circuit(self) -> Circuit:
        """The circuit that is run."""
        return self.circuits.circuit

    @torch._disable_dynamo  # type: ignore[attr-defined]  # torch.compiler.disable, but loaded with the first call
    def forward(self, x: Tensor) -> Tensor:
        x = self._checked(x)
        with torch.autocast(x.device.type, enabled=False):
            mean_NK: Tensor = self.circuits(x.reshape(1, -1, self.in_features))[0]
        return mean_NK.reshape(*x.shape[:-1], self.out_features)

    def _checked(self, x: Tensor) -> Tensor:
        """The features, in the precision of the weights where they are integers and may be, or autocast has lowered theirs."""
        if not isinstance(x, Tensor):
            raise InputError(f"features are a torch tensor (..., {self.in_features}), got {type(x).__name__}; use torch.as_tensor")
        if x.layout != torch.strided:
            raise InputError(f"features are a dense tensor, got {x.layout}; use x.to_dense()")
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
        """The weights, where a circuit can be run with them, and here."""
        if torch._C._functorch.maybe_current_level() is not None or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            raise InputError(
                "a QuantumLayer does not run inside torch.func.vmap, grad or jacrev, nor in torch.jit.trace; give it all rows at once, "
                "(..., D), and take derivatives with torch.autograd"
            )
        weights = self.circuits.weights_GP
        if weights.is_meta:
            raise InputError("weights on the device meta have no values; call layer.to_empty(device='cpu') and load a state")
        if weights.dtype not in (torch.float32, torch.float64):
            raise InputError(f"circuits run in float32 or float64, got weights of {weights.dtype}; call layer.float()")
        return weights

    def _mend(self, features: int) -> str:
        if not features:
            return "give a row of features or more"
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
