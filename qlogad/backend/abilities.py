"""Abilities of a backend, keys of its random numbers, and estimates with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["CALLS", "DEFAULT_KEY", "Abilities", "Estimate", "Key"]

Rows = Sequence[str | int]


@dataclass(frozen=True)
class Key:
    """The key of a random stream: the run's seed and a path of names below it (contender, cut, training step, ...)."""

    seed: int = 0
    path: tuple[str | int, ...] = ()

    def at(self, *names: str | int) -> Key:
        """The key further down the path."""
        return Key(self.seed, (*self.path, *names))


DEFAULT_KEY = Key()
CALLS = 10  # default: calls of a bound circuit


@dataclass(frozen=True)
class Abilities:
    """What a backend can do. Callers ask this, never the type."""

    differentiable: bool = False  # gradients in weights and inputs, of any order, by autograd
    shift: bool = False  # gradients by one more evaluation at shifted angles: see sampled.py
    shots: bool = False  # it can sample shots
    noise: bool = False  # it simulates noise, or is noisy
    device: bool = False  # it is hardware
    max_wires: int = 0
    native: tuple[str, ...] = ()  # the gates it runs natively
    counts: bool = False  # it can return counts
    states: bool = False  # it can return state vectors
    forms: bool = False  # can turn a circuit into weight-only tables


@dataclass(frozen=True, eq=False)
class Estimate:
    """Readouts with their standard errors and cost."""

    mean_GNK: Tensor
    error_GNK: Tensor  # standard error of the mean; 0 if not sampled
    shots: int | None  # None: exact expectation values
    executions: int  # circuits run: bindings x measurement bases
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)
