"""Who is told what happens while an experiment runs."""

from __future__ import annotations

__all__ = ["Watch"]

WAITING = "waiting for those at work in the results folder to end"  # before it is cleared


class Watch:
    """Callbacks of a run; each does nothing unless overridden."""

    def preparing(self, what: str, count: int) -> None:
        """So many lines are read, or cuts prepared."""

    def prepared(self, text: str) -> None:
        """What is known before training."""

    def finished(self, what: str, total: int) -> None:
        """One more of `total` cells is done."""
