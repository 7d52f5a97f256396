"""The standing of a sweep on stderr."""

from __future__ import annotations

from qlogad.cli import printing
from qlogad.escape import layout

__all__ = ["Board"]


class Board:
    """A table of the best trials, redrawn in place; if stderr is not a terminal, a line for every tenth of the trials."""

    def __enter__(self) -> Board:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False) if self._console.is_terminal else None
        self._told = ""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def _draw(self, text: str) -> None:
        from rich.text import Text

        if self._live:
            self._live.update(Text(layout(text), no_wrap=True), refresh=True)

    def preparing(self, what: str, count: int) -> None:
        """Show the count of a step whose length is unknown."""
        self._draw(f"{what}: {count}")

    def prepared(self, text: str) -> None:
        """Print what is known before the first trial."""
        self._console.print(layout(text), markup=False, highlight=False, soft_wrap=True)

    def standing(self, text: str, ended: int, total: int | None) -> None:
        """Show the best trials so far."""
        self._draw(text)
        line = text.split("\n", 1)[0]
        part = f"{line.split(':')[0]} {ended * 10 // (total or 1)}"
        if self._live is None and part != self._told:
            self._told = part
            printing.note(line)
