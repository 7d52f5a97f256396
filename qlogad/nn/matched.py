"""The separable circuit that has as many live weights as an entangled one: entanglement's control at equal effective size.

A separable circuit behind one encoding has at most two live weights a wire for <Z>; encoding again raises that, since a readout is then a
trigonometric polynomial of higher degree (Schuld, Sweke, Meyer (2021), arXiv:2008.08605).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from scipy.linalg import qr

from qlogad import seeds
from qlogad.backend.exact.live_weights import jacobian, live_weights, random_rows
from qlogad.circuit.circuit import Angle, Circuit
from qlogad.circuit.encoding import Encoding
from qlogad.errors import DesignError

__all__ = ["matched"]

MAX_UPLOADS = 64
_STALLED = 3  # uploads without a new live weight: more will not bring any


def matched(separable: Callable[[int], Circuit], live: int, encoding: Encoding | None = None) -> Circuit:
    """The separable circuit of the fewest uploads that reaches so many live weights, and has exactly as many weights.

    Rotations beyond them stay at angles that are drawn once and never change: which ones, a pivoted QR of the Jacobian says.

    Args:
        separable: the circuit that encodes so many times, with a general rotation on every wire after each.
        live: how many live weights to reach.
        encoding: makes the circuit's inputs, where they are not free; without weights of its own.

    Raises:
        DesignError: no number of uploads reaches them.
    """
    reached: list[int] = []
    for uploads in range(MAX_UPLOADS + 1):
        circuit = separable(uploads)
        reached.append(live_weights(circuit, seeds.generator(0, "matched", uploads), draws=1, encoding=encoding))
        if reached[-1] >= live:
            return _keep(circuit, live, encoding)
        if uploads > _STALLED and reached[-1] == reached[-1 - _STALLED]:
            break
    raise DesignError(
        f"control 'no-entanglement-matched': a separable circuit stays at {max(reached)} live weights however often it encodes, and "
        f"{live} are wanted; compare with 'no-entanglement' and report the difference, or use fewer layers"
    )


def _keep(circuit: Circuit, count: int, encoding: Encoding | None) -> Circuit:
    """The same circuit with so many weights, independent of each other; the others become numbers."""
    if circuit.weights == count:
        return circuit
    random = seeds.generator(0, "matched", "angles")
    weights_P = random.uniform(-math.pi, math.pi, circuit.weights)
    x_ND = random_rows(circuit, random, max(16, 2 * circuit.weights), encoding)
    slopes_MP = jacobian(circuit, torch.from_numpy(weights_P), x_ND, encoding).flatten(0, 1).numpy()
    order = qr(slopes_MP, mode="r", pivoting=True)[1]
    index = {int(weight): place for place, weight in enumerate(sorted(order[:count]))}

    def turned(angle: Angle) -> Angle:
        if angle.source != "weight":
            return angle
        if angle.index in index:
            return replace(angle, index=index[angle.index])
        return Angle(None, shift=angle.scale * float(weights_P[angle.index]) + angle.shift)

    gates = tuple(replace(gate, angles=tuple(map(turned, gate.angles))) for gate in circuit.gates)
    return replace(circuit, gates=gates, weights=count)
