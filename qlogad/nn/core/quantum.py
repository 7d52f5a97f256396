"""The quantum core: a circuit per gate, x ── linear ──► angles ── circuit ──► <Z> ── linear ──► out.

With one linear map per gate this is the cell of Chen, Yoo, Fang (2020), arXiv:2009.01783; with `shared=True` all gates share both
linear maps, as in QuLog (2024), arXiv:2412.13529. The first linear map returns as many features as the encoding takes on the circuit's
wires: for angle encodings unbounded angles in radians, as in QuLog (Chen et al. apply an arctan: see the encoding `chen`). For an
encoding with a limited range, a tanh maps them into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import BeforeValidator

from qlogad import documents, seeds
from qlogad.backend.backend import open_backend
from qlogad.backend.exact.live_weights import live_weights
from qlogad.bounds import Between
from qlogad.circuit.circuit import MAX_WIRES, Circuit
from qlogad.circuit.design import UNSAID, Design, Role
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.circuit.row import MAX_DEPTH
from qlogad.errors import BackendError, DesignError
from qlogad.nn.core.core import Core, Encoded
from qlogad.nn.layer import GateCircuits, InitOf
from qlogad.nn.maps import Direct, Middle, Wrapped
from qlogad.nn.matched import matched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Quantum"]


@dataclass(frozen=True)
class Quantum(Core, Encoded):
    """A parameterized circuit per gate, between two linear maps.

    `encoding` and `ansatz` are names, paths of design files, or circuits of another library, converted by `Design.from_circuit`.
    """

    kind: Literal["quantum"] = "quantum"  # the name of this kind of core
    encoding: Annotated[str | Design, BeforeValidator(lambda given: _as_data(given, "encoding"))] = UNSAID  # how features enter
    ansatz: Annotated[str | Design, BeforeValidator(lambda given: _as_data(given, "ansatz"))] = (
        "strongly-entangling"  # trained part
    )
    wires: Annotated[int, Between(1, MAX_WIRES)] = 4  # qubits
    depth: Annotated[int, Between(0, MAX_DEPTH)] = 1  # layers of the ansatz
    backend: str = "exact"  # where its circuits run: see `qlogad list backends`
    hidden: Annotated[int, Between(1, 8_192)] = 32  # H, hidden units of the cell
    shared: bool = False  # all gates share the linear maps in and out (the cell of QuLog)
    reupload: bool = False  # repeat the encoding before every layer of the ansatz
    scaling: bool = False  # every upload multiplies the features by its own trained weights
    readout: str | tuple[str, ...] = "z"  # a name, several joined by "+", or Pauli words: see circuit/readout.py
    frozen: bool = False  # the circuit's weights keep their initial values
    entangling: bool = True  # False: drop all multi-wire gates
    matched: bool = False  # True: use a separable circuit with as many live weights (nn/matched.py)
    dephased: bool = False  # True: dephase every wire after each encoding and each layer
    init: InitOf = "design"  # initial weights; "design": as the ansatz's file says

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", _as_data(self.encoding, "encoding"))
        object.__setattr__(self, "ansatz", _as_data(self.ansatz, "ansatz"))
        documents.enforce(self, DesignError)

    def circuit(self) -> Circuit:
        """The circuit that every gate runs."""
        if self.matched:
            return _matched(replace(self, matched=False, frozen=False))
        init = None if self.init == "design" else self.init
        circuit = assemble(
            self.encoding,
            self.ansatz,
            self.wires,
            self.depth,
            reupload=self.reupload,
            scaling=self.scaling,
            readout=self.readout,
            init=init,
            dephased=self.dephased,
        )
        return circuit if self.entangling else circuit.without_entanglement()

    def circuits(self) -> tuple[Circuit, ...]:
        return (self.circuit(),)

    def with_backend(self, backend: str) -> Self:
        return replace(self, backend=backend)

    def check(self) -> None:
        self.map(2, 2, 1, seeds.torch_generator(0, "check"))

    def encoding_on(self) -> tuple[Encoding, int]:
        return Encoding.of(self.encoding, self.ansatz), self.wires

    def encoder(self, values: int | None = None) -> Encoding:
        """The encoding, which computes the circuit's inputs from features.

        Args:
            values: the number of distinct integers, if the features are integers.

        Raises:
            DesignError: the encoding takes integers but `values` is None: a linear map returns real numbers.
        """
        encoding = Encoding.of(self.encoding, self.ansatz)
        if encoding.design.takes.integer:
            if values is None:
                raise DesignError(
                    f"encoding '{encoding.design.name}' takes integers, but a core's linear map returns real numbers; "
                    "use another one, such as angle-y"
                )
            return Encoding.of(self.encoding, self.ansatz, values=values, scaling=self.scaling)
        if not self.scaling or self.matched:  # the live weights of a matched circuit are all in the circuit
            return encoding
        one = encoding.circuit(encoding.features(self.wires), self.wires)
        return Encoding.of(self.encoding, self.ansatz, uploads=self.circuit().inputs // max(1, one.inputs), scaling=True)

    def live(self, values: int | None = None) -> int:
        return _live(self.circuit(), self.encoder(values))

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Wrapped:
        middle = self._middle(self.encoder(), gates, generator)
        return self.wrap(in_features, out_features, gates, generator, self.circuit(), middle)

    def direct(
        self, in_features: int, out_features: int, gates: int, generator: torch.Generator, values: int | None = None
    ) -> Direct:
        encoding = self.room(in_features, values)
        middle = self._middle(encoding, gates, generator)
        return Direct(
            out_features,
            gates,
            inputs=encoding.features(self.wires),
            readouts=len(self.circuit().readout),
            middle=middle,
            shared=self.shared,
            generator=generator,
        )

    def aliases(self, features_ND: NDArray[np.float64], values: int | None = None) -> str:
        return "" if self.scaling else self.encoder(values).aliases(features_ND, self.wires)  # trained scalings separate them

    def room(self, in_features: int, values: int | None = None) -> Encoding:
        """The encoding, checked to hold that many features on the core's wires.

        Raises:
            DesignError: they do not fit; the message suggests a number of wires or an alternative.
        """
        encoding = self.encoder(values)
        limits, many = encoding.limits(self.wires), "" if values is None else f" of {values} values"
        if in_features <= encoding.features(self.wires) and (values is None or limits is None or values - 1 <= limits[1]):
            return encoding
        try:
            fix = f"use wires = {encoding.wires_for(in_features)}"
        except DesignError:
            fix = "no number of wires does; use another encoding"
        raise DesignError(
            f"encoding '{encoding.design.name}' does not hold {in_features} features{many} on {self.wires} wires; {fix}, or feed = 'linear'"
        )

    def _middle(self, encoding: Encoding, gates: int, generator: torch.Generator) -> Callable[[], GateCircuits]:
        circuit, backend = self.circuit(), open_backend(self.backend)
        if not (backend.abilities.differentiable or backend.abilities.shift):
            raise BackendError(
                f"backend '{self.backend}' has no gradients, so a core cannot be trained on it; use 'exact' or 'pennylane'"
            )
        if circuit.wires > backend.abilities.max_wires:
            raise BackendError(
                f"backend '{self.backend}' runs at most {backend.abilities.max_wires} wires, got {circuit.wires}; use fewer"
            )

        def middle() -> GateCircuits:
            return GateCircuits(circuit, gates=gates, backend=backend, generator=generator, frozen=self.frozen, encoding=encoding)

        return middle

    def wrap(
        self,
        in_features: int,
        out_features: int,
        gates: int,
        generator: torch.Generator,
        circuit: Circuit,
        middle: Callable[[], Middle],
    ) -> Wrapped:
        """This core's linear maps around any middle with the circuit's number of inputs and readouts."""
        encoding = self.encoder()
        return Wrapped(
            in_features,
            out_features,
            gates,
            inputs=encoding.features(self.wires),
            limits=encoding.limits(self.wires),
            readouts=len(circuit.readout),
            middle=middle,
            shared=self.shared,
            generator=generator,
        )


def _as_data(given: object, role: Role) -> object:
    """A name or path unchanged; circuits of other libraries and OpenQASM files as a Design."""
    return given if isinstance(given, str) and not given.endswith(".qasm") else Design.of(given, role)


@cache
def _matched(core: Quantum) -> Circuit:
    if core.encoder().design.role == "ansatz":
        raise DesignError(
            "an ansatz that reads features itself has no separable counterpart with the same encoding; use another control"
        )

    def separable(uploads: int) -> Circuit:
        plain = replace(core, ansatz="separable", entangling=False, scaling=False, init="uniform")
        return replace(plain, depth=uploads, reupload=uploads > 0).circuit()

    return matched(separable, core.live(), replace(core, scaling=False).encoder())


@cache
def _live(circuit: Circuit, encoding: Encoding) -> int:
    return live_weights(circuit, seeds.generator(0, "live weights"), encoding=encoding)
