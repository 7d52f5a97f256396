"""The history of a training run, epoch by epoch, as plain data without torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Epoch", "History"]


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch."""

    number: int  # from 1
    loss: float  # mean of the batch losses, each computed before its step
    validation: float | None  # validation loss; None without validation data
    seconds: float
    last: bool = False  # training stopped here: all epochs done, or patience exhausted


@dataclass(frozen=True)
class History:
    """The history of a training run."""

    epochs: tuple[Epoch, ...]
    best: int  # the epoch whose weights were kept, from 1; 0: the initial ones

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def validated(self) -> bool:
        """Whether every epoch has a validation loss, so that early stopping was possible."""
        return all(epoch.validation is not None for epoch in self.epochs)

    @property
    def improving(self) -> bool:
        """Whether the last epoch was the best one, so that more epochs might give better weights.

        >>> History((Epoch(1, 0.9, 0.8, 0.0), Epoch(2, 0.7, 0.6, 0.0, last=True)), best=2).improving
        True
        """
        return self.validated and self.best == len(self.epochs)
