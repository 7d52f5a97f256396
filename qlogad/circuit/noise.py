"""A noise model of a few rates: channels after every gate, and errors of every measured bit.

A channel is given by its Pauli transfer matrix (real, acting on Pauli expectation values), each wire in the order I, X, Y, Z; the first
wire is the most significant digit. Nielsen and Chuang, section 8.3; Greenbaum (2015), arXiv:1509.02921.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from qlogad.arrays import Floats
from qlogad.errors import BackendError, did_you_mean

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """Rates in [0, 1] of the channels after every gate, in this order, on its wires; and of readout errors.

    Args:
        depolarizing: after a gate on one wire, its state is replaced by the maximally mixed one with this probability.
        depolarizing2: the same after a gate on two wires, for both together.
        amplitude_damping: probability that 1 decays to 0, on each wire of a gate.
        phase_damping: probability that the phase is lost; coherences shrink by sqrt(1 - rate), on each wire of a gate.
        bit_flip: probability of an X, on each wire of a gate.
        readout: probability that a measured bit is read wrongly, either way.

    Raises:
        BackendError: a rate is not a number in [0, 1].

    >>> Noise.parse("depolarizing=0.01,readout=0.02")
    Noise(depolarizing=0.01, depolarizing2=0.0, amplitude_damping=0.0, phase_damping=0.0, bit_flip=0.0, readout=0.02)
    """

    depolarizing: float = 0.0
    depolarizing2: float = 0.0
    amplitude_damping: float = 0.0
    phase_damping: float = 0.0
    bit_flip: float = 0.0
    readout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not 0 <= rate <= 1:  # false for NaN too
                raise BackendError(f"noise: {field.name} must be a rate from 0 to 1, got {rate}")

    @staticmethod
    def parse(text: str) -> Noise:
        """Parse text such as "depolarizing=0.01,readout=0.02"."""
        known = [field.name for field in fields(Noise)]
        rates: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (side.strip() for side in part.partition("="))
            if name not in known:
                raise BackendError(f"noise has no rate '{name:.40}'{did_you_mean(name, known)}; known: {', '.join(known)}")
            if name in rates:
                raise BackendError(f"noise: {name} is given twice; give it once")
            try:
                rates[name] = float(value)
            except ValueError:
                raise BackendError(f"noise: {name} must be a number, got '{value:.40}'; write, for example, {name}=0.01") from None
        return Noise(**rates)

    def channel(self, wires: int) -> Floats:
        """The transfer matrix of the channel after a gate on one wire (4, 4) or on two (16, 16)."""
        return _channel(self, wires)

    @property
    def contrast(self) -> float:
        """The factor by which readout errors shrink the mean of a measured bit: 1 - 2 readout."""
        return 1 - 2 * self.readout


@lru_cache(maxsize=64)
def _channel(noise: Noise, wires: int) -> Floats:
    mixing = np.full(4**wires, 1 - (noise.depolarizing if wires == 1 else noise.depolarizing2))
    mixing[0] = 1
    kept, phase, flip = np.sqrt(1 - noise.amplitude_damping), np.sqrt(1 - noise.phase_damping), 1 - 2 * noise.bit_flip
    damping = np.diag([1, kept, kept, kept**2])
    damping[3, 0] = noise.amplitude_damping
    single = np.diag([1, 1, flip, flip]) @ np.diag([1, phase, phase, 1]) @ damping
    each = single if wires == 1 else np.kron(single, single)
    return np.asarray(each @ np.diag(mixing))
