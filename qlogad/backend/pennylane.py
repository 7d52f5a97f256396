"""Any PennyLane device as a backend: "pennylane" is default.qubit. Bergholm et al. (2018), arXiv:1811.04968.

default.qubit is differentiated by backpropagation; other devices by what PennyLane finds best for them (adjoint, shifts),
and their values come back in single precision. default.mixed gives probabilities alone, and gradients come from shifted angles; so it is
with shots on any device, as in "pennylane:default.qubit,shots=1024": outcomes are drawn by us, so that a seed fixes them row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import torch
from torch import Tensor

from qlogad.backend.backend import DEFAULT_KEY, Abilities, Backend, Bound, Estimate, Key, Rows, check_inputs, check_weights
from qlogad.backend.sampled import Answer, Floats, Lifted, SampledBackend, SampledBound, Target, number, options, read_chances
from qlogad.backend.sampled import draw as draw_shots
from qlogad.circuit.circuit import Angle, Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, is_projector
from qlogad.errors import BackendError, InputError

__all__ = ["PennyLane", "PennyLaneBound", "draw", "to_qnode"]

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


class PennyLane(Backend):
    """A PennyLane device.

    Args:
        target: the device's name; then `shots`, and with shots `gradient` (shift or spsa).

    Raises:
        BackendError: PennyLane has no such device, or it cannot be opened.
    """

    name = "pennylane"

    def __init__(self, target: str = "default.qubit") -> None:
        bare, found = options(target, ("shots", "gradient"))
        self.device = bare or "default.qubit"
        _open(self.device, 1)
        shots = number("shots", found.get("shots"), least=1)
        mixed = self.device == "default.mixed"
        if shots is None and not mixed and "gradient" in found:
            raise BackendError("without shots PennyLane differentiates by itself; leave out 'gradient', or add shots=1024")
        self.abilities = Abilities(differentiable=True, max_wires=24, native=tuple(GATES))
        self.sampled: SampledBackend | None = None
        if shots is not None or mixed:
            drawn = _Chances(f"pennylane:{target}", self.device, shots, wires=10 if mixed else 20)
            self.sampled = SampledBackend(drawn, gradient=found.get("gradient", "shift"))
            self.sampled.name = self.name
            self.abilities = self.sampled.abilities

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY) -> PennyLaneBound | SampledBound:
        """Prepare the device; PennyLane offers no work that weights alone could share."""
        if self.sampled is not None:
            return self.sampled.bind(circuit, weights_GP, key=key)
        check_weights(circuit, weights_GP)
        if circuit.wires > self.abilities.max_wires:
            raise BackendError(f"pennylane runs up to {self.abilities.max_wires} wires, got {circuit.wires}; use fewer")
        backprop = self.device == "default.qubit"
        return PennyLaneBound(_open(self.device, circuit.wires), "backprop" if backprop else "best", circuit, weights_GP)


def _open(name: str, wires: int) -> Any:
    try:
        return qml.device(name, wires=wires)
    except (qml.exceptions.DeviceError, ImportError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendError(f"PennyLane cannot open the device '{name}': {first}; try 'pennylane:default.qubit'") from error


class _Chances(Target):
    """The probabilities of outcomes on a device, or outcomes drawn from them."""

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
    """The probabilities (M, 2^W) of what is measured in a basis."""

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
        node = qml.QNode(lambda inputs, weights: _run(circuit, inputs, weights), device, interface="torch", diff_method=method)
        self._node = node if method == "backprop" else qml.transforms.broadcast_expand(node)  # shift rules know no broadcasting

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`. One run per circuit; on default.qubit the N rows are one broadcast."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        groups, count = len(self._weights_GP), inputs_GNI.shape[1]
        if count == 0:
            return inputs_GNI.new_zeros(groups, 0, len(self._circuit.readout))
        inputs = inputs_GNI.expand(groups, -1, -1)
        means = [self._one(inputs_NI, weights_P) for inputs_NI, weights_P in zip(inputs, self._weights_GP, strict=True)]
        return torch.stack([mean_KN.expand(-1, count).T for mean_KN in means]).to(inputs_GNI)

    def _one(self, inputs_NI: Tensor, weights_P: Tensor) -> Tensor:
        """(K, N), or (K, 1) where nothing depends on the inputs."""
        words = self._circuit.readout
        found = iter(self._node(inputs_NI, weights_P))
        states_ND = torch.as_tensor(next(found)).reshape(-1, 2**self._circuit.wires) if any(map(is_projector, words)) else None
        means = [
            torch.as_tensor(next(found)).reshape(-1) if states_ND is None or not is_projector(word) else states_ND[:, int(word, 2)]
            for word in words
        ]
        return torch.stack([mean_N.expand(max(map(len, means))) for mean_N in means])

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts, with a standard error of zero."""
        with torch.no_grad():
            mean_GNK = self(inputs_GNI, rows)
        executions = mean_GNK.shape[0] * mean_GNK.shape[1] * len(bases(self._circuit.readout))
        provenance = {"backend": "pennylane", "kind": "exact", "device": self.device.name, "version": qml.version()}
        return Estimate(mean_GNK, torch.zeros_like(mean_GNK), None, executions, provenance)


def _apply(circuit: Circuit, inputs_NI: Any, weights_P: Any) -> None:
    for gate in circuit.gates:
        _OPERATIONS[gate.name](*(_value(angle, inputs_NI, weights_P) for angle in gate.angles), wires=gate.wires)


def _run(circuit: Circuit, inputs_NI: Tensor, weights_P: Tensor) -> list[Any]:
    _apply(circuit, inputs_NI, weights_P)
    states = [qml.probs(wires=range(circuit.wires))] if any(map(is_projector, circuit.readout)) else []  # once, for all projectors
    return states + [qml.expval(qml.pauli.string_to_pauli_word(word)) for word in circuit.readout if not is_projector(word)]


def _value(angle: Angle, inputs_NI: Any, weights_P: Any) -> Any:
    if angle.source is None:
        return angle.shift
    source = inputs_NI[:, angle.index] if angle.source == "input" else weights_P[angle.index]
    return angle.scale * source + angle.shift


def to_qnode(circuit: Circuit, device: str = "default.qubit") -> Any:
    """The circuit as a PennyLane QNode of (inputs_NI, weights_P), torch tensors; `qml.matrix(node, wire_order=range(W))` is its unitary.

    It returns what PennyLane measures: the means of the Pauli words in order; where a readout is a basis state, first all 2^W
    probabilities, once.

    Raises:
        BackendError: there is no such device, or the circuit is dephased.
    """
    if circuit.dephased:
        raise BackendError("PennyLane runs no dephased circuits here; export the circuit it was made from")
    opened = _open(device, circuit.wires)
    return qml.QNode(lambda inputs_NI, weights_P: _run(circuit, inputs_NI, weights_P), opened, interface="torch")


def draw(circuit: Circuit, path: str | Path) -> None:
    """Draw with PennyLane into a .svg or .png file; inputs read `x0`, weights `w0`.

    Raises:
        InputError: the path ends otherwise.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"drawings are written as .svg or .png, got '{path.name}'")
    from matplotlib import pyplot, rc_context

    with qml.queuing.QueuingManager.stop_recording():
        operations = [_OPERATIONS[gate.name](*map(_label, gate.angles), wires=gate.wires) for gate in circuit.gates]
    words = [qml.pauli.string_to_pauli_word(word) for word in circuit.readout if not is_projector(word) and set(word) != {"I"}]
    tape = qml.tape.QuantumScript(operations, [qml.expval(word) for word in words])
    with rc_context({"svg.hashsalt": circuit.digest()}):  # equal circuits, equal files
        figure, _ = qml.drawer.tape_mpl(tape, wire_order=range(circuit.wires), show_all_wires=True, decimals=3)
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _label(angle: Angle) -> str | float:
    if angle.source is None:
        return angle.shift
    scale = "" if angle.scale == 1 else "-" if angle.scale == -1 else f"{angle.scale:.3g}"
    shift = f"{angle.shift:+.3g}" if angle.shift else ""
    return f"{scale}{'x' if angle.source == 'input' else 'w'}{angle.index}{shift}"
