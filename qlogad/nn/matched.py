"""A separable circuit with as many live weights as an entangled one: the control for entanglement at equal effective size.

With one encoding, a separable circuit has at most two live weights per wire for <Z>; re-uploading raises that number, because a readout
is then a trigonometric polynomial of higher degree (Schuld, Sweke, Meyer (2021), arXiv:2008.08605).
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
_STALLED = 3  # give up after this many uploads without a new live weight


def matched(separable: Callable[[int], Circuit], live: int, encoding: Encoding | None = None) -> Circuit:
    """The separable circuit with the fewest uploads that reaches `live` live weights, with exactly that many trained weights.

    The other rotations keep fixed random angles; a pivoted QR decomposition of the Jacobian selects the weights to train.

    Args:
        separable: given a number of uploads, the circuit with a general rotation on every wire after each.
        live: the number of live weights to reach.
        encoding: computes the circuit's inputs from features, without weights of its own; None: the inputs are free.

    Raises:
        DesignError: no number of uploads reaches it.
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
        f"control 'no-entanglement-matched': a separable circuit reaches at most {max(reached)} live weights with any number of uploads, "
        f"but {live} are needed; compare with 'no-entanglement' and report the difference, or use fewer layers"
    )


def _keep(circuit: Circuit, count: int, encoding: Encoding | None) -> Circuit:
    """The same circuit with only `count` independent weights; the others become constants."""
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
