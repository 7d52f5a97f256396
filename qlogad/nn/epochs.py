"""What a training run gave, epoch by epoch: data, without torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Epoch", "History"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    number: int  # from 1
    loss: float  # mean over the steps, before each step
    validation: float | None  # None where there is nothing to validate on
    seconds: float
    last: bool = False  # nothing comes after it: all epochs are run, or patience is at its end


@dataclass(frozen=True)
class History:
    """What a training run gave."""

    epochs: tuple[Epoch, ...]
    best: int  # the epoch whose weights were kept, from 1; 0: the initial ones

    @property
    def seconds(self) -> float:
        """Wall clock of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def validated(self) -> bool:
        """Whether there was a validation loss to stop by; without one nobody can tell when to stop."""
        return all(epoch.validation is not None for epoch in self.epochs)

    @property
    def improving(self) -> bool:
        """Whether the last epoch was the best one, so that more epochs might give better weights.

        >>> History((Epoch(1, 0.9, 0.8, 0.0), Epoch(2, 0.7, 0.6, 0.0, last=True)), best=2).improving
        True
        """
        return self.validated and self.best == len(self.epochs)
