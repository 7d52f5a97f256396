"""Amplitude encoding by multiplexed RY gates: Moettoenen, Vartiainen, Bergholm, Salomaa (2005), quant-ph/0407010.

Features x of norm |x| give the amplitudes (x / |x|, 0, ..., 0, |x|), normalized: the direction of x and, in the last amplitude
(the sink), its norm, which plain amplitude encoding discards (for counts it is the session's length).
The sink takes |x|^2 / (1 + |x|^2) of the probability: scale features so that a typical norm is about 1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qlogad.arrays import Floats
from qlogad.circuit.circuit import Angle, Gate
from qlogad.circuit.expression import namespace
from qlogad.errors import DesignError

__all__ = ["amplitudes", "angles", "gates"]


def gates(wires: int) -> tuple[Gate, ...]:
    """The gates that prepare real amplitudes from |0...0>; they read 2^wires - 1 inputs, see `angles`.

    >>> [gate.name for gate in gates(2)]
    ['ry', 'ry', 'cx', 'ry', 'cx']
    """
    found: list[Gate] = []
    for wire in range(wires):
        size = 2**wire
        for k in range(size):
            found.append(Gate("ry", (wire,), (Angle("input", size - 1 + k),)))
            if wire:
                turned = _gray(k) ^ _gray((k + 1) % size)  # one bit; bit 0 is the wire before the target
                found.append(Gate("cx", (wire - turned.bit_length(), wire)))
    return tuple(found)


def amplitudes(x_ND: Any, wires: int) -> Any:
    """The amplitudes (..., 2^wires) of features (..., D <= 2^wires - 1), with the norm in the last one; numpy or torch.

    Raises:
        DesignError: a row is zero and so has no direction; or a feature is not finite.
    """
    array = namespace(x_ND)
    largest_N1 = array.amax(abs(x_ND), -1)[..., None]  # divided out first: squares above 1e154 overflow
    if not array.isfinite(largest_N1).all():
        raise DesignError("amplitude encoding needs finite features, got NaN or infinity; fill or drop such rows first")
    if not (largest_N1 > 0).all():
        raise DesignError("amplitude encoding cannot encode a row of zeros; drop empty rows, or use another encoding")
    scaled_ND = x_ND / largest_N1
    length_N1 = (scaled_ND * scaled_ND).sum(-1)[..., None] ** 0.5
    unit_N1 = array.maximum(largest_N1, array.ones_like(largest_N1))
    one_N1, norm_N1 = 1 / unit_N1, largest_N1 / unit_N1 * length_N1  # 1 and |x| in this unit
    missing = 2**wires - 1 - x_ND.shape[-1]
    parts = [scaled_ND / length_N1 * one_N1, *[scaled_ND[..., :1] * 0] * missing, norm_N1]
    return array.concatenate(parts, -1) / array.hypot(one_N1, norm_N1)


def angles(amplitudes_ND: Any) -> Any:
    """The angles (..., D - 1), radians, with which `gates` prepare these real amplitudes (..., D)."""
    array = namespace(amplitudes_ND)
    level, found = amplitudes_ND, []
    while level.shape[-1] > 1:
        zero, one = level[..., ::2], level[..., 1::2]
        square = zero * zero + one * one
        empty = square == 0  # excluded from roots and quotients to avoid NaN derivatives
        turn_Nk = 2 * array.arctan2(one, array.where(empty, square + 1, zero))
        found.append(turn_Nk @ _like(_uniform(turn_Nk.shape[-1]), turn_Nk))
        level = array.where(empty, square, array.where(empty, square + 1, square) ** 0.5)
    return array.concatenate(found[::-1], -1)


@lru_cache
def _uniform(size: int) -> Floats:
    """The matrix (size, size) from angles by control state to angles of the RY gates between the CX gates."""
    return np.array([[(-1.0) ** (state & _gray(k)).bit_count() / size for k in range(size)] for state in range(size)])


def _like(values: Floats, like: Any) -> Any:
    array = namespace(like)
    return array.asarray(values, dtype=like.dtype, **({"device": like.device} if array.__name__ == "torch" else {}))


def _gray(k: int) -> int:
    return k ^ (k >> 1)
