"""Progress of a run on stderr."""

from __future__ import annotations

from qlogad.cli import printing
from qlogad.escape import layout, terminal

__all__ = ["Progress"]


class Progress:
    """A counter while preparing, then a bar while cells run; if stderr is not a terminal, a line for every tenth of the cells."""

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None)
        self._count = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def preparing(self, what: str, count: int) -> None:
        """Show the count of a step whose length is unknown."""
        self._bar.update(self._task, description=terminal(what), completed=count)

    def prepared(self, text: str) -> None:
        """Print what is known before training."""
        if self._bar.disable:
            printing.note(text)
        else:
            self._bar.console.print(layout(text), markup=False, highlight=False, soft_wrap=True)
        self._bar.reset(self._task, description="cells", total=None)

    def finished(self, what: str, total: int) -> None:
        """Count one more finished cell."""
        self._count += 1
        self._bar.update(self._task, description=terminal(what), completed=self._count, total=total)
        if self._bar.disable and self._count * 10 // total > (self._count - 1) * 10 // total:
            printing.note(f"{self._count}/{total} cells")
