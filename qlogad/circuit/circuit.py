"""A parameterized circuit as frozen, hashable data: a circuit is its own cache key.

Wire 0 is the most significant bit of a basis state, as in PennyLane. Angles are affine in one input or one weight; anything else is
computed before the circuit and enters as an input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress
from typing import Any, Literal

from qlogad import documents
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import is_projector, readout
from qlogad.errors import DesignError, did_you_mean, shown

__all__ = ["MAX_WIRES", "Angle", "Circuit", "Gate", "Init", "longest_chain", "z_each"]

MAX_WIRES = 256

Source = Literal["input", "weight"]
Init = Literal["uniform", "small-angle", "identity-block"]


@dataclass(frozen=True)
class Angle:
    """`scale * source[index] + shift`, radians; without a source, `shift` alone."""

    source: Source | None
    index: int = 0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.source not in (None, "input", "weight"):  # slots: circuits create millions of them
            documents.enforce(self, DesignError)

    def __neg__(self) -> Angle:
        return replace(self, scale=-self.scale, shift=-self.shift)


@dataclass(frozen=True)
class Gate:
    """A gate of the table on its wires; controls come first."""

    name: str
    wires: tuple[int, ...]
    angles: tuple[Angle, ...] = ()

    def inverse(self) -> Gate:
        """The inverse gate."""
        return Gate(GATES[self.name].inverse or self.name, self.wires, tuple(-angle for angle in self.angles))

    def reads(self, source: Source) -> bool:
        """Whether one of its angles depends on an input, or on a weight."""
        return any(angle.source == source for angle in self.angles)


@dataclass(frozen=True)
class Circuit:
    """Gates on |0...0>, then readouts, one letter per wire: Pauli words such as "ZIII", each a mean in [-1, 1], or basis states such as
    "0110", each a probability; readout.py makes them by name.

    `inputs` and `weights` are their numbers; every index of an angle is below them. If inputs are computed from features, `computed`
    holds one expression for each (evaluated by `qlogad.circuit.design.inputs_of`). `init` is how weights are initialized (drawn in
    nn/layer.py): with "identity-block", the second weight of each pair in `twins` starts equal to the first, and a weight without a
    twin starts at 0. `dephased` lists the gate counts after which all wires are dephased.

    >>> bell = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1))), ("ZZ",), inputs=0, weights=0)
    >>> bell.inverse().gates[0].name
    'cx'

    Raises:
        DesignError: a gate, wire, angle or readout does not fit.
    """

    wires: int
    gates: tuple[Gate, ...]
    readout: tuple[str, ...]
    inputs: int
    weights: int
    init: Init = "uniform"
    twins: tuple[tuple[int, int], ...] = ()
    dephased: tuple[int, ...] = ()
    computed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)
        if not 1 <= self.wires <= MAX_WIRES:
            raise DesignError(f"a circuit must have 1 to {MAX_WIRES} wires, got {self.wires}")
        if min(self.inputs, self.weights) < 0:
            raise DesignError(f"a circuit cannot have {self.inputs} inputs and {self.weights} weights")
        for problem in self._problems():
            raise DesignError(problem)

    def __hash__(self) -> int:
        """Cached, because every cache is keyed by circuits."""
        if "_hash" not in self.__dict__:
            object.__setattr__(self, "_hash", hash(tuple(getattr(self, each.name) for each in fields(self))))
        return int(self.__dict__["_hash"])

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the hash, which differs between processes."""
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    def _problems(self) -> Iterator[str]:
        for place, gate in enumerate(self.gates):
            kind = GATES.get(gate.name)
            if kind is None:
                yield f"gate {place}: there is no gate {shown(gate.name)}{did_you_mean(gate.name, GATES)}"
                return
            if len(gate.wires) != kind.wires or len(set(gate.wires)) != kind.wires:
                yield f"gate {place}: '{gate.name}' needs {kind.wires} distinct wires, got {gate.wires}"
            if not all(0 <= wire < self.wires for wire in gate.wires):
                yield f"gate {place}: '{gate.name}' on wires {gate.wires}, but the circuit has wires 0 to {self.wires - 1}"
            if len(gate.angles) != kind.angles:
                yield f"gate {place}: '{gate.name}' takes {kind.angles} angles, got {len(gate.angles)}"
            for angle in gate.angles:
                limit = {"input": self.inputs, "weight": self.weights, None: 1}[angle.source]
                if not 0 <= angle.index < limit:
                    yield f"gate {place}: '{gate.name}' reads {angle.source} {angle.index}, but there are {limit}"
                if not (math.isfinite(angle.scale) and math.isfinite(angle.shift)):
                    yield f"gate {place}: '{gate.name}' has an angle that is not finite"
        if not all(0 <= one < self.weights for pair in self.twins for one in pair):
            yield f"twins must be weights from 0 to {self.weights - 1}, got {self.twins}"
        if list(self.dephased) != sorted(set(self.dephased)) or not all(0 <= end <= len(self.gates) for end in self.dephased):
            yield f"dephased must list gate counts from 0 to {len(self.gates)} in ascending order, got {self.dephased}"
        if self.computed is not None and len(self.computed) != self.inputs:
            yield f"there are {self.inputs} inputs, but {len(self.computed)} expressions that compute them"
        if not self.readout:
            yield "a circuit needs at least one readout; use z_each(wires) for <Z> on every wire"
        for word in self.readout:
            if len(word) != self.wires or (set(word) - set("IXYZ") and not is_projector(word)):
                yield f"readout {shown(word)} is not a Pauli word of {self.wires} letters I, X, Y or Z, nor a basis state of 0 and 1"

    @property
    def two_qubit_gates(self) -> int:
        """The number of two-wire gates as written: a ZZ rotation counts as one, however a device decomposes it."""
        return sum(len(gate.wires) == 2 for gate in self.gates)

    @property
    def depth(self) -> int:
        """The circuit depth as written: the longest chain of dependent gates. Unrelated to the layers of a design.

        >>> Circuit(3, (Gate("h", (0,)), Gate("h", (2,)), Gate("cx", (0, 1))), ("ZII",), inputs=0, weights=0).depth
        2
        """
        return longest_chain(self.wires, ((gate.wires, 1) for gate in self.gates))

    @property
    def two_qubit_depth(self) -> int:
        """The depth in two-wire gates alone, as written."""
        return longest_chain(self.wires, ((gate.wires, int(len(gate.wires) == 2)) for gate in self.gates))

    def then(self, other: Circuit, *, shared: bool = False) -> Circuit:
        """This circuit followed by another, with the other's readout.

        Args:
            other: a circuit on as many wires.
            shared: both read the same inputs and weights; by default the other's are numbered after this one's.
        """
        if other.wires != self.wires:
            raise DesignError(f"a circuit on {self.wires} wires cannot be followed by one on {other.wires}")
        if self.computed is not None or other.computed is not None:
            raise DesignError("circuits whose inputs are computed from features cannot be joined; join their designs instead")
        init = other.init if other.weights else self.init
        dephased = self.dephased + tuple(
            end + len(self.gates) for end in other.dephased if end or len(self.gates) not in self.dephased
        )
        if shared:
            inputs, weights = max(self.inputs, other.inputs), max(self.weights, other.weights)
            twins = tuple(sorted({*self.twins, *other.twins}))
            return Circuit(self.wires, self.gates + other.gates, other.readout, inputs, weights, init, twins, dephased)
        offset = {"input": self.inputs, "weight": self.weights, None: 0}
        moved = tuple(
            replace(gate, angles=tuple(replace(angle, index=angle.index + offset[angle.source]) for angle in gate.angles))
            for gate in other.gates
        )
        inputs, weights = self.inputs + other.inputs, self.weights + other.weights
        twins = self.twins + tuple((one + self.weights, two + self.weights) for one, two in other.twins)
        return Circuit(self.wires, self.gates + moved, other.readout, inputs, weights, init, twins, dephased)

    def inverse(self) -> Circuit:
        """The inverse circuit, for the same inputs and weights.

        Raises:
            DesignError: a dephased circuit has no inverse.
        """
        if self.dephased:
            raise DesignError("a dephased circuit has no inverse; invert the circuit it was made from")
        return replace(self, gates=tuple(gate.inverse() for gate in reversed(self.gates)))

    def without_entanglement(self) -> Circuit:
        """The control without entanglement: fixed two-wire gates are dropped, and a two-wire rotation becomes a rotation of its last
        wire by the same angle, so the number of weights is unchanged and all are used. The CX gates of an amplitude encoding are
        dropped too: the rest prepares a product state, not the amplitudes."""
        stays = [len(gate.wires) == 1 or bool(GATES[gate.name].alone) for gate in self.gates]
        kept = compress(self.gates, stays)
        dephased = tuple(sorted({sum(stays[:end]) for end in self.dephased}))
        gates = (gate if len(gate.wires) == 1 else Gate(GATES[gate.name].alone, gate.wires[-1:], gate.angles) for gate in kept)
        return replace(self, gates=tuple(gates), dephased=dephased)

    def alive(self) -> Circuit:
        """The same circuit with <X> and <Z> read on every wire, so that weights without effect on <Z> get a gradient."""
        return replace(self, readout=readout("x+z", self.wires))

    def digest(self) -> str:
        """A content digest: equal circuits have equal digests, on every machine."""
        return documents.digest(self)


def longest_chain(wires: int, steps: Iterable[tuple[Sequence[int], int]]) -> int:
    """The length of the longest chain of dependent steps, given the wires and the duration of each.

    >>> longest_chain(3, [((0, 1), 1), ((1, 2), 1), ((0,), 1)])
    2
    """
    end_W = [0] * wires
    for acts_on, length in steps:
        end = length + max(end_W[wire] for wire in acts_on)
        for wire in acts_on:
            end_W[wire] = end
    return max(end_W)


def z_each(wires: int) -> tuple[str, ...]:
    """The readout <Z> on every wire.

    >>> z_each(2)
    ('ZI', 'IZ')
    """
    return tuple("I" * wire + "Z" + "I" * (wires - wire - 1) for wire in range(wires))
