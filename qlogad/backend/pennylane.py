"""Any PennyLane device as a backend: "pennylane" is default.qubit. Bergholm et al. (2018), arXiv:1811.04968.

default.qubit is differentiated by backpropagation; other devices by PennyLane's best method for them (adjoint, shifts), in double
precision. default.mixed gives probabilities only, and gradients come from shifted angles; the same holds for shots on any device, as in
"pennylane:default.qubit,shots=1024": qlogad draws the outcomes, so that a seed fixes them row by row.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import autograd
import numpy as np
import pennylane as qml
import pennylane.numpy as pnp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from qlogad import files
from qlogad.arrays import Floats
from qlogad.backend.abilities import CALLS, DEFAULT_KEY, Abilities, Estimate, Key, Rows
from qlogad.backend.backend import Backend, Bound, check_inputs, check_weights, tied
from qlogad.backend.check import Check
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.readings import draw as draw_shots
from qlogad.backend.readings import read_chances
from qlogad.backend.sampled import SampledBackend, SampledBound
from qlogad.backend.spec import number, options
from qlogad.backend.target import Answer, Target
from qlogad.backend.traced import Traced
from qlogad.circuit import expression
from qlogad.circuit.circuit import MAX_WIRES, Angle, Circuit, Gate, z_each
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, is_projector
from qlogad.errors import BackendError, DesignError, InputError, one_line, shown

__all__ = ["PennyLane", "PennyLaneBound", "draw", "from_pennylane", "from_qnode", "from_tape", "name_of", "to_qnode"]

_OPERATIONS: dict[str, Any] = {
    "h": qml.Hadamard,
    "x": qml.PauliX,
    "y": qml.PauliY,
    "z": qml.PauliZ,
    "s": qml.S,
    "sdg": lambda wires: qml.adjoint(qml.S(wires)),
    "t": qml.T,
    "tdg": lambda wires: qml.adjoint(qml.T(wires)),
    "sx": qml.SX,
    "sxdg": lambda wires: qml.adjoint(qml.SX(wires)),
    "rx": qml.RX,
    "ry": qml.RY,
    "rz": qml.RZ,
    "phase": qml.PhaseShift,
    "cx": qml.CNOT,
    "cy": qml.CY,
    "cz": qml.CZ,
    "swap": qml.SWAP,
    "crx": qml.CRX,
    "cry": qml.CRY,
    "crz": qml.CRZ,
    "rxx": qml.IsingXX,
    "ryy": qml.IsingYY,
    "rzz": qml.IsingZZ,
}


def _called(name: str) -> str:
    """PennyLane's name of a gate of the table."""
    kind = GATES[name]
    with qml.queuing.QueuingManager.stop_recording():
        return str(_OPERATIONS[name](*[0.0] * kind.angles, wires=range(kind.wires)).name)


_NAMES = {_called(name): name for name in _OPERATIONS}


class PennyLane(Backend):
    """A PennyLane device.

    Args:
        target: the device's name; then `shots`, and with shots `gradient` (shift or spsa).

    Raises:
        BackendError: PennyLane has no such device, or it cannot be opened.
    """

    name = "pennylane"
    checks = (
        Check("", "pennylane"),
        Check("default.mixed", "pennylane"),
        Check("lightning.qubit", "pennylane-lightning"),
        Check("lightning.kokkos", "pennylane-lightning-kokkos"),
        Check("lightning.gpu", "pennylane-lightning-gpu", cuda=True),
    )

    @classmethod
    def asks_account(cls, target: str) -> bool:
        """Whether it is not a simulator of PennyLane itself: a plugin may use any service."""
        return not re.match(r"\s*(?:(?:default|lightning)\.|null\.qubit|[^,=]*=|$)", target)

    def __init__(self, target: str = "default.qubit") -> None:
        bare, found = options(target, ("shots", "gradient"))
        self.device = bare or "default.qubit"
        _open(self.device, 1)
        shots = number("shots", found.get("shots"), least=1)
        mixed = self.device == "default.mixed"
        if shots is None and not mixed and "gradient" in found:
            raise BackendError("without shots, PennyLane chooses the gradient method; leave out 'gradient', or add shots=1024")
        self.abilities = Abilities(differentiable=True, max_wires=24, native=tuple(GATES))
        self.sampled: SampledBackend | None = None
        if shots is not None or mixed:
            drawn = _Chances(f"pennylane:{target}", self.device, shots, wires=10 if mixed else 20)
            self.sampled = SampledBackend(drawn, gradient=found.get("gradient", "shift"))
            self.sampled.name = self.name
            self.abilities = self.sampled.abilities

    def bind(
        self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS
    ) -> PennyLaneBound | SampledBound:
        """Prepare the device; PennyLane has no precomputation for weights alone."""
        if self.sampled is not None:
            return self.sampled.bind(circuit, weights_GP, key=key)
        check_weights(circuit, weights_GP)
        if circuit.wires > self.abilities.max_wires:
            raise BackendError(f"pennylane runs up to {self.abilities.max_wires} wires, got {circuit.wires}; use fewer")
        backprop = self.device == "default.qubit"
        return PennyLaneBound(_open(self.device, circuit.wires), "backprop" if backprop else "best", circuit, weights_GP)

    def jobs(self) -> Target | None:
        """The target that takes its rows, with shots and for default.mixed; else None."""
        return None if self.sampled is None else self.sampled.target

    @classmethod
    def read_circuit(cls, circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
        """Convert a QNode, a TorchLayer or a tape; `options` are those of `from_pennylane`."""
        return from_pennylane(circuit, encoding=encoding, readout=(), **options), name_of(circuit)


def _open(name: str, wires: int) -> Any:
    try:
        try:
            return qml.device(
                name, wires=wires, seed=0
            )  # qlogad draws all outcomes; without a seed NumPy's global state would be drawn from
        except TypeError:  # a device without one
            return qml.device(name, wires=wires)
    except (qml.exceptions.DeviceError, ImportError, TypeError, ValueError) as error:
        first = one_line(str(error).partition("\n")[0] or type(error).__name__, 200)
        raise BackendError(f"PennyLane cannot open the device {shown(name)}: {first}; try 'pennylane:default.qubit'") from error


class _Chances(Target):
    """Outcome probabilities on a device, or outcomes drawn from them."""

    def __init__(self, name: str, device: str, shots: int | None, wires: int) -> None:
        self.name, self._device, self.shots = name, device, shots
        self.abilities = Abilities(max_wires=wires, native=tuple(GATES))

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        circuit, found = lifted.circuit, bases(lifted.circuit.readout)
        device = _open(self._device, circuit.wires)
        chances_MBD = np.stack([_chances(device, circuit, basis, angles_MA) for basis in found], axis=1)
        provenance = {"version": qml.version()}
        if self.shots is not None:
            chances_MBD = draw_shots(chances_MBD, rows, self.shots)
            provenance["sampling"] = "drawn by qlogad from the device's outcome probabilities, seeded row by row"
        mean_MK, error_MK = read_chances(circuit.readout, chances_MBD, self.shots)
        return Answer(mean_MK, error_MK, len(angles_MA) * len(found), provenance=provenance)


def _chances(device: Any, circuit: Circuit, basis: str, angles_MA: Floats) -> Floats:
    """The outcome probabilities (M, 2^W) of a measurement basis."""

    def measure(angles_MA: Floats) -> Any:
        _apply(circuit, angles_MA, np.zeros(0))
        for wire, axis in enumerate(basis):
            if axis == "Y":
                qml.adjoint(qml.S(wire))
            if axis in "XY":
                qml.Hadamard(wire)
        return qml.probs(wires=range(circuit.wires))

    found = np.asarray(qml.QNode(measure, device, diff_method=None)(angles_MA), dtype=np.float64)
    return np.broadcast_to(found, (len(angles_MA), 2**circuit.wires))


class PennyLaneBound(Bound):
    """A circuit with its weights on a PennyLane device."""

    def __init__(self, device: Any, method: str, circuit: Circuit, weights_GP: Tensor) -> None:
        self._circuit, self._weights_GP, self.device = circuit, weights_GP, device
        self._backprop = method == "backprop"
        node = qml.QNode(lambda inputs, weights: _run(circuit, inputs, weights), device, diff_method=method)
        self._node = node if self._backprop else qml.transforms.broadcast_expand(node)  # shift rules do not support broadcasting

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`. One run per circuit; on default.qubit the N rows are one broadcast."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        groups, count = len(self._weights_GP), inputs_GNI.shape[1]
        if count == 0:
            return tied(inputs_GNI.new_zeros(groups, 0, len(self._circuit.readout)), self._weights_GP, inputs_GNI)
        inputs = inputs_GNI.expand(groups, -1, -1)
        means = [self._one(inputs_NI, weights_P) for inputs_NI, weights_P in zip(inputs, self._weights_GP, strict=True)]
        mean_GNK = torch.stack([mean_KN.expand(-1, count).T for mean_KN in means]).to(inputs_GNI)
        return tied(mean_GNK, self._weights_GP, inputs_GNI)

    def _one(self, inputs_NI: Tensor, weights_P: Tensor) -> Tensor:
        """The readouts of one circuit, (K, N), or (K, 1) if nothing depends on the inputs."""
        if self._backprop:
            means = _means(self._circuit, [torch.as_tensor(each) for each in self._node(inputs_NI, weights_P)])
            return torch.stack([mean_N.expand(max(map(len, means))) for mean_N in means])
        return cast(Tensor, _ByAutograd.apply(inputs_NI, weights_P, self._read))  # type: ignore[no-untyped-call]

    def _read(self, inputs_NI: Any, weights_P: Any) -> Any:
        """The readouts (K, N) or (K, 1) in PennyLane's autograd numpy."""
        means = _means(self._circuit, [pnp.asarray(each) for each in self._node(inputs_NI, weights_P)])
        rows = max(map(len, means))
        return pnp.stack([mean_N * np.ones(rows) for mean_N in means])

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self._circuit.readout))
        provenance = {"backend": "pennylane", "kind": "exact", "device": self.device.name, "version": qml.version()}
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, provenance)


class _ByAutograd(torch.autograd.Function):
    """Differentiates through PennyLane's autograd interface, which keeps float64; its torch interface casts device results to float32."""

    @staticmethod
    def forward(ctx: Any, inputs_NI: Tensor, weights_P: Tensor, read: Callable[..., Any]) -> Tensor:
        values = [each.detach().double().cpu().numpy() for each in (inputs_NI, weights_P)]
        ctx.wanted, ctx.like = [place for place in (0, 1) if ctx.needs_input_grad[place]], (inputs_NI, weights_P)
        if not ctx.wanted:
            return torch.from_numpy(np.array(read(*values)))
        ctx.back, mean_KN = autograd.make_vjp(read, ctx.wanted)(*values)
        return torch.from_numpy(np.array(mean_KN))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_KN: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        slopes: list[Tensor | None] = [None, None]
        for place, slope in zip(ctx.wanted, ctx.back(slope_KN.cpu().numpy()), strict=True):
            slopes[place] = torch.from_numpy(np.array(slope)).to(ctx.like[place])
        return slopes[0], slopes[1], None


def _means(circuit: Circuit, found: Sequence[Any]) -> list[Any]:
    """The readouts, each of N rows or one, from the results of a node: see `_run`."""
    rest = iter(found)
    states_ND = next(rest).reshape(-1, 2**circuit.wires) if any(map(is_projector, circuit.readout)) else None
    return [
        next(rest).reshape(-1) if states_ND is None or not is_projector(word) else states_ND[:, int(word, 2)]
        for word in circuit.readout
    ]


def _apply(circuit: Circuit, inputs: Any, weights_P: Any) -> None:
    for gate in circuit.gates:
        _OPERATIONS[gate.name](*(_value(angle, inputs, weights_P) for angle in gate.angles), wires=gate.wires)


def _run(circuit: Circuit, inputs: Tensor, weights_P: Tensor) -> list[Any]:
    _apply(circuit, inputs, weights_P)
    states = [qml.probs(wires=range(circuit.wires))] if any(map(is_projector, circuit.readout)) else []  # once, for all projectors
    return states + [qml.expval(qml.pauli.string_to_pauli_word(word)) for word in circuit.readout if not is_projector(word)]


def _value(angle: Angle, inputs: Any, weights_P: Any) -> Any:
    if angle.source is None:
        return angle.shift
    source = inputs[..., angle.index] if angle.source == "input" else weights_P[angle.index]
    return angle.scale * source + angle.shift


# ---------------------------------------------------------------- circuits


def to_qnode(circuit: Circuit, device: str = "default.qubit") -> Any:
    """The circuit as a PennyLane QNode of (inputs, weights), torch tensors (I,) or (N, I), and (P,).

    `qml.matrix(node, wire_order=range(W))` is its unitary, and `qml.qnn.TorchLayer(node, {"weights": (P,)})` a torch module of it.
    It returns what PennyLane measures: the means of the Pauli words in order; if a readout is a basis state, preceded by all 2^W
    probabilities.

    Raises:
        BackendError: there is no such device, or the circuit is dephased.
    """
    if circuit.dephased:
        raise BackendError("PennyLane cannot run dephased circuits; export the circuit it was made from")
    opened = _open(device, circuit.wires)
    return qml.QNode(lambda inputs, weights: _run(circuit, inputs, weights), opened, interface="torch")


def from_qnode(
    node: Any,
    weight_shapes: Mapping[str, int | Sequence[int]],
    *,
    inputs: int = 0,
    readout: Sequence[str] | None = None,
    wire_order: Sequence[Any] | None = None,
) -> Circuit:
    """A circuit from a PennyLane QNode, up to a global phase, by the conventions of `qml.qnn.TorchLayer`.

    The argument called `inputs` holds the inputs, every other one weights; templates and gates that are not in the gate table are
    decomposed. A circuit from `to_qnode` keeps its gates. The node is evaluated with torch tensors at two points, so angles may be any
    affine torch expressions; a rotation by a sum becomes one rotation for each term. An angle that is not affine in inputs, such as a
    product or an arctan, becomes a separate input, which `inputs_of` computes.

    Args:
        node: its function takes the arguments by name.
        weight_shapes: argument -> shape; weights are numbered in this order, and row by row.
        inputs: the length of one row of `inputs`.
        readout: default: the node's measurements (Pauli words and probabilities of all wires).
        wire_order: PennyLane's labels of wires 0, 1, ...; otherwise those of the device, or of the operations.

    >>> @qml.qnode(qml.device("default.qubit", wires=2))
    ... def node(inputs, weights):
    ...     qml.AngleEmbedding(inputs, wires=[0, 1], rotation="Y")
    ...     qml.BasicEntanglerLayers(weights, wires=[0, 1])
    ...     return qml.expval(qml.Z(0) @ qml.Z(1))
    >>> circuit = from_qnode(node, {"weights": (3, 2)}, inputs=2)
    >>> circuit.inputs, circuit.weights, circuit.readout
    (2, 6, ('ZZ',))

    Raises:
        DesignError: an operation or measurement has no counterpart, an angle is not affine in inputs and weights, or the node
        does not run with such arguments.
    """
    shapes = {name: (shape,) if isinstance(shape, int) else tuple(shape) for name, shape in weight_shapes.items()}
    takes = inspect.signature(node.func).parameters
    if inputs and "inputs" not in takes:
        raise DesignError(f"the QNode has no argument 'inputs' but {', '.join(takes) or 'none'}; rename the one that holds inputs")
    sizes = [math.prod(shape) for shape in shapes.values()]

    def record(inputs_I: Tensor, weights_P: Tensor) -> Any:
        parts = zip(shapes.items(), torch.split(weights_P, sizes), strict=True)
        given = {name: part.reshape(shape) for (name, shape), part in parts}
        given |= {"inputs": inputs_I} if "inputs" in takes else {}
        return qml.workflow.construct_tape(node, level=0)(**given)

    return _read(record, inputs, sum(sizes), readout, wire_order or list(node.device.wires or ()))


def from_pennylane(
    circuit: Any,
    *,
    encoding: bool = False,
    weight_shapes: Mapping[str, int | Sequence[int]] | None = None,
    inputs: int | Collection[int] | None = None,
    readout: Sequence[str] | None = None,
) -> Circuit:
    """A circuit from a PennyLane QNode, `qml.qnn.TorchLayer` or tape, up to a global phase: `from_qnode` or `from_tape`.

    Args:
        circuit: one of the three.
        encoding: of a tape: every trainable parameter is an input.
        weight_shapes: argument of a QNode -> shape; those of a TorchLayer are its own, and an argument whose default is an array has its
            shape.
        inputs: the number of a QNode's inputs (default: one per wire), or the positions of a tape's.
        readout: default: the circuit's measurements. Empty: <Z> on every wire instead.

    Raises:
        DesignError: as in these; or the shape of a QNode's argument is not known.
    """
    if isinstance(circuit, qml.tape.QuantumScript):
        places = circuit.trainable_params if encoding else inputs or ()
        return from_tape(circuit, inputs=[places] if isinstance(places, int) else places, readout=readout)
    shapes = dict(weight_shapes or {})
    if isinstance(circuit, qml.qnn.TorchLayer):
        shapes, circuit = {name: tuple(weight.shape) for name, weight in circuit.qnode_weights.items()}, circuit.qnode
    if not isinstance(circuit, qml.QNode):
        raise DesignError(f"a PennyLane circuit must be a QNode, a TorchLayer or a tape, got {type(circuit).__name__}")
    takes = inspect.signature(circuit.func).parameters
    for name, argument in takes.items():
        if name != "inputs" and name not in shapes:
            if argument.default is inspect.Parameter.empty or not qml.math.shape(argument.default):
                raise DesignError(f"the shape of the QNode's argument '{name}' is unknown; pass weight_shapes={{'{name}': (...)}}")
            shapes[name] = tuple(qml.math.shape(argument.default))
    if isinstance(inputs, int):
        return from_qnode(circuit, shapes, inputs=inputs, readout=readout)
    return _trimmed(from_qnode(circuit, shapes, inputs=_most(circuit, shapes) if "inputs" in takes else 0, readout=readout))


def _most(node: qml.QNode, shapes: Mapping[str, int | Sequence[int]]) -> int:
    """The number of features that a QNode may read: the number of its wires, on any device."""
    if wires := len(node.device.wires or ()):
        return wires
    for inputs in range(
        1, MAX_WIRES + 1
    ):  # the smallest number that the node runs with: templates take up to one per wire, indexing exactly as many as it names
        with suppress(DesignError):
            return from_qnode(node, shapes, inputs=inputs, readout=()).wires
    raise DesignError(
        "the QNode's device has no named wires, and no number of inputs that was tried works; pass for example inputs=4"
    )


def name_of(circuit: Any) -> str:
    """The name of a QNode's function, or of a tape."""
    node = circuit.qnode if isinstance(circuit, qml.qnn.TorchLayer) else circuit
    return str(node.func.__name__).strip("<>") if isinstance(node, qml.QNode) else "tape"


def _trimmed(circuit: Circuit) -> Circuit:
    """Drop trailing features that nothing reads."""
    slots = circuit.computed or tuple(f"x[{index}]" for index in range(circuit.inputs))
    angles = [angle for gate in circuit.gates for angle in gate.angles if angle.source == "input"]
    read = {int(number) for angle in angles for number in re.findall(r"x\[(\d+)\]", slots[angle.index])}
    idle = {f"x[{feature}]" for feature in range(max(read, default=-1) + 1, circuit.inputs)}
    kept = [slot for slot in slots if slot not in idle]

    def moved(angle: Angle) -> Angle:
        return replace(angle, index=kept.index(slots[angle.index])) if angle.source == "input" else angle

    gates = tuple(replace(gate, angles=tuple(map(moved, gate.angles))) for gate in circuit.gates)
    return replace(circuit, gates=gates, inputs=len(kept), computed=tuple(kept) if circuit.computed else None)


def from_tape(
    tape: Any, *, inputs: Collection[int] = (), readout: Sequence[str] | None = None, wire_order: Sequence[Any] | None = None
) -> Circuit:
    """A circuit from a PennyLane tape (`QuantumScript`), up to a global phase.

    The trainable parameters of its operations become weights, in the tape's order and row by row, so that `tape.get_parameters()` returns
    their values; the others stay constants.

    Args:
        tape: by default all its parameters are trainable; see `tape.trainable_params`.
        inputs: the positions of parameters that are inputs instead, counted as in `tape.trainable_params`.
        readout: default: the tape's measurements, or <Z> on every wire if it has none.
        wire_order: PennyLane's labels of wires 0, 1, ...; otherwise those of the operations.

    >>> tape = qml.tape.QuantumScript([qml.RX(0.1, 0), qml.CRot(0.2, 0.3, 0.4, wires=[0, 1])], [qml.expval(qml.Z(1))])
    >>> from_tape(tape).weights, from_tape(tape, inputs=[0]).weights
    (4, 3)

    Raises:
        DesignError: as for `from_qnode`; or `inputs` names a position without a parameter.
    """
    shapes = [tuple(qml.math.shape(one)) for one in tape.get_parameters(trainable_only=False, operations_only=True)]
    if not set(inputs) <= set(range(len(shapes))):
        raise DesignError(f"inputs names parameters {sorted(inputs)}, but the tape's operations have {len(shapes)}, from 0 on")
    weights = [place for place in tape.trainable_params if place < len(shapes) and place not in inputs]
    places = [*sorted(inputs), *weights]
    sizes = [math.prod(shapes[place]) for place in places]

    def record(inputs_I: Tensor, weights_P: Tensor) -> Any:
        parts = dict(zip(places, torch.split(torch.cat([inputs_I, weights_P]), sizes), strict=True))
        rising = sorted(parts)
        return tape.bind_new_parameters([parts[place].reshape(shapes[place]) for place in rising], rising)

    count = sum(sizes[: len(inputs)])
    return _read(record, count, sum(sizes) - count, readout, wire_order)


def _read(
    record: Callable[[Tensor, Tensor], Any], inputs: int, weights: int, readout: Sequence[str] | None, order: Sequence[Any] | None
) -> Circuit:
    """Read a circuit from the tape built from inputs and weights."""
    dice = torch.Generator().manual_seed(0)
    zero_A, other_A = (torch.zeros(inputs + weights, dtype=torch.float64) for _ in range(2))
    points = [zero_A.requires_grad_(), other_A.uniform_(0.1, 0.9, generator=dice).requires_grad_()]
    with torch.enable_grad():
        parts = [torch.split(point_A, [inputs, weights]) for point_A in points]
    trace = Traced(parts[1][0])
    try:
        with torch.enable_grad():
            tapes = [record(*parts[0])]
            first = [op for one in tapes[0].operations for op in _taken_apart(one)]
            with trace:
                tapes.append(record(*parts[1]))
                second = [op for one in tapes[1].operations for op in _taken_apart(one)]
    except DesignError:
        raise
    except Exception as error:  # a user's function may raise anything
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DesignError(
            f"PennyLane cannot evaluate it with {inputs} inputs and {weights} weights, torch tensors from 0 on: {said}; "
            "check their shapes, and compute anything not affine before the circuit"
        ) from error
    if [(one.name, one.wires) for one in first] != [(two.name, two.wires) for two in second]:
        raise DesignError(
            "its gates depend on the values of inputs or weights; write one circuit for each case, or with other gates"
        )
    labels = _labels(tapes[0], order)
    gates: list[Gate] = []
    reader = _Reader(points, inputs, trace, {f"x[{feature}]": feature for feature in range(inputs)})
    for one, two in zip(first, second, strict=True):
        name, wires = _NAMES[one.name], tuple(labels[wire] for wire in one.wires)
        pairs = zip(one.parameters, two.parameters, strict=True)
        terms = [angle for pair in pairs for angle in reader.terms(one.name, pair)]
        gates += [Gate(name, wires, (angle,)) for angle in terms] if GATES[name].angles else [Gate(name, wires)]
    words = readout if readout is not None else [word for measured in tapes[0].measurements for word in _words(measured, labels)]
    computed = tuple(reader.slots) if len(reader.slots) > inputs else None
    return Circuit(len(labels), tuple(gates), tuple(words) or z_each(len(labels)), len(reader.slots), weights, computed=computed)


def _taken_apart(operation: Any) -> Iterator[Any]:
    """Decompose an operation into gates of the table."""
    if operation.name in _NAMES:
        if operation.batch_size is not None:
            raise DesignError(
                f"'{operation.name}' is broadcast over {operation.batch_size} angles; give one row of inputs, not a batch"
            )
        yield operation
    elif getattr(operation, "has_decomposition", False):
        with qml.queuing.QueuingManager.stop_recording():
            parts = operation.decomposition()
        for part in parts:
            yield from _taken_apart(part)
    else:
        raise DesignError(
            f"operation '{operation.name}' is not a known gate and has no decomposition into known gates; remove or rewrite it"
        )


def _labels(tape: Any, order: Sequence[Any] | None) -> dict[Any, int]:
    """PennyLane's wire labels -> wires; integer labels are kept."""
    used = list(tape.wires)
    numbered = all(isinstance(label, int) for label in used)
    known = list(order or (range(max(used, default=0) + 1) if numbered else used))
    for label in used:
        if label not in known:
            raise DesignError(f"it acts on wire {label!r}, but the wires are {known}; name them all in wire_order")
    return {label: wire for wire, label in enumerate(known)}


@dataclass
class _Reader:
    """Reads angles from their values at two points (the first is 0), and collects the expressions that become inputs."""

    points: Sequence[Tensor]
    inputs: int
    trace: Traced
    slots: dict[str, int]

    def terms(self, name: str, values: Sequence[Any]) -> list[Angle]:
        """The angle with the given values at the two points, as the terms of a sum, each a separate rotation."""
        (start, slope_A), (end, other_A) = map(_tangent, values, self.points)
        if not torch.equal(slope_A, other_A) or not abs(start + float(slope_A @ self.points[1].detach()) - end) <= 1e-9:
            return [Angle("input", self._slot(name, values[1], end))]
        places = slope_A.nonzero().flatten().tolist()
        terms = [
            Angle("input", place, scale) if place < self.inputs else Angle("weight", place - self.inputs, scale)
            for place, scale in zip(places, slope_A[places].tolist(), strict=True)
        ]
        return [replace(terms[0], shift=start), *terms[1:]] if terms else [Angle(None, shift=start)]

    def _slot(self, name: str, value: object, there: float) -> int:
        """The number of the input for an angle that is not affine."""
        text = self.trace.text(value)
        closed = None if text is None else expression.closed(text, {}, inputs=self.inputs, table=0)
        features = list(self.points[1].detach()[: self.inputs, None])
        if closed is None or not math.isclose(float(expression.feature(closed, features)), there, rel_tol=1e-9, abs_tol=1e-9):
            raise DesignError(
                f"an angle of '{name}' is neither affine in inputs and weights nor a readable expression in inputs; compute it "
                "before the circuit as an input"
            )
        return self.slots.setdefault(closed, len(self.slots))


def _tangent(value: Any, point_A: Tensor) -> tuple[float, Tensor]:
    """A value and its derivatives with respect to each entry of its point."""
    if not (isinstance(value, Tensor) and value.requires_grad):
        return float(value), torch.zeros_like(point_A)
    (slope_A,) = torch.autograd.grad(value, point_A, retain_graph=True, materialize_grads=True)
    return float(value.detach()), slope_A


def _words(measured: Any, labels: Mapping[Any, int]) -> list[str]:
    """The readouts of a measurement."""
    if isinstance(measured, qml.measurements.ProbabilityMP) and list(measured.wires or labels) == list(labels):
        return ["".join(state) for state in product("01", repeat=len(labels))]
    if isinstance(measured, qml.measurements.ExpectationMP) and measured.obs is not None:
        words = list((measured.obs.pauli_rep or {}).items())
        if len(words) == 1 and words[0][1] == 1:
            return ["".join(words[0][0].get(label, "I") for label in labels)]
    raise DesignError(f"'{measured}' is not a supported readout; measure Pauli words, or pass readout = ['{'Z' * len(labels)}']")


# ---------------------------------------------------------------- drawing


def draw(circuit: Circuit, path: str | Path) -> None:
    """Draw with PennyLane into a .svg or .png file; inputs read `x0`, weights `w0`.

    Raises:
        InputError: the path has another suffix.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"drawings are written as .svg or .png, got '{path.name}'")
    from matplotlib import pyplot, rc_context

    with qml.queuing.QueuingManager.stop_recording():
        operations = [_OPERATIONS[gate.name](*map(_label, gate.angles), wires=gate.wires) for gate in circuit.gates]
    words = [qml.pauli.string_to_pauli_word(word) for word in circuit.readout if not is_projector(word) and set(word) != {"I"}]
    tape = qml.tape.QuantumScript(operations, [qml.expval(word) for word in words])
    with rc_context({"svg.hashsalt": circuit.digest()}):  # equal circuits give equal files
        figure, _ = qml.drawer.tape_mpl(tape, wire_order=range(circuit.wires), show_all_wires=True, decimals=3)
        files.write_figure(figure, path, bbox_inches="tight")
    pyplot.close(figure)


def _label(angle: Angle) -> str | float:
    if angle.source is None:
        return angle.shift
    scale = "" if angle.scale == 1 else "-" if angle.scale == -1 else f"{angle.scale:.3g}"
    shift = f"{angle.shift:+.3g}" if angle.shift else ""
    return f"{scale}{'x' if angle.source == 'input' else 'w'}{angle.index}{shift}"
