"""Callbacks for the progress of an experiment."""

from __future__ import annotations

__all__ = ["Watch"]

WAITING = "waiting for other processes in the results folder to end"  # before it is cleared


class Watch:
    """Callbacks of a run; each does nothing unless overridden."""

    def preparing(self, what: str, count: int) -> None:
        """`count` lines were read, or cuts prepared."""

    def prepared(self, text: str) -> None:
        """Preparation is finished; `text` says what is known before training."""

    def finished(self, what: str, total: int) -> None:
        """One more of `total` cells is finished."""
