"""How every wire's state starts: single-wire gates that read inputs, before any other gates, prepare a product state.

If a wire reads one angle a, its state is column @ (cos(a/2), sin(a/2)) up to a global phase: three real features per wire,
1, cos a and sin a, determine every readout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from qlogad.arrays import Complexes, Floats
from qlogad.backend.exact.parts.split import split
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import matrix, terms

__all__ = ["Start", "starts"]


@dataclass(frozen=True, eq=False)
class Start:
    """One wire's state as a function of its only angle."""

    angle: Angle | None  # None if it does not depend on inputs
    column: Complexes  # (2, 2): state = column @ (cos(a/2), sin(a/2)); without an angle (2, 1)

    def bloch(self) -> Floats:
        """(4, 3): the means of I, X, Y, Z as a linear map of (1, cos a, sin a); without an angle (4, 1).

        >>> from qlogad.circuit.encoding import assemble
        >>> starts(assemble("angle-y", "identity", 1, 0))[0].bloch().round().astype(int).tolist()
        [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
        """
        words = [matrix(name) if name else np.eye(2) for name in ("", "x", "y", "z")]
        forms = [(self.column.conj().T @ word @ self.column).real for word in words]  # means = v^T form v, v real
        if self.angle is None:
            return np.array([[form[0, 0]] for form in forms])
        # in half the angle: cos^2 = (1 + cos a) / 2, sin^2 = (1 - cos a) / 2, cos sin = sin a / 2
        rows = [[(form[0, 0] + form[1, 1]) / 2, (form[0, 0] - form[1, 1]) / 2, (form[0, 1] + form[1, 0]) / 2] for form in forms]
        return np.array(rows)


@lru_cache(maxsize=128)
def starts(circuit: Circuit) -> tuple[Start, ...] | None:
    """The start of every wire; None if a wire reads two angles, as in H-RY-RZ encodings."""
    found = [_start(gates) for gates in split(circuit).start]
    return None if any(start is None for start in found) else tuple(start for start in found if start is not None)


def _start(gates: tuple[Gate, ...]) -> Start | None:
    reading = [place for place, gate in enumerate(gates) if gate.reads("input")]
    if len(reading) > 1:
        return None
    zero = np.array([[1.0], [0.0]], dtype=complex)
    if not reading:
        return Start(None, _product(gates) @ zero)
    place = reading[0]
    gate = gates[place]
    part = terms(gate.name)
    if gate.name == "phase":  # diag(1, exp(i a)) is a z-rotation up to a global phase
        part = terms("rz")
    before, after = _product(gates[:place]) @ zero, _product(gates[place + 1 :])
    columns = [after @ part.cosine @ before, after @ part.sine @ before]  # a rotation is cos(a/2) 1 + sin(a/2) (-i P)
    return Start(gate.angles[0], np.concatenate(columns, axis=1))


def _product(gates: tuple[Gate, ...]) -> Complexes:
    found = [matrix(gate.name, sum(angle.shift for angle in gate.angles)) for gate in gates]
    return reduce(lambda product, one: one @ product, found, np.eye(2, dtype=complex))
