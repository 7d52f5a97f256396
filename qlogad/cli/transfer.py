"""Progress of a transfer of bytes on stderr."""

from __future__ import annotations

import time

from qlogad.cli import printing
from qlogad.escape import terminal

__all__ = ["Transfer"]

_QUIET = 2.0  # seconds at the beginning without a word: what is quick needs none


class Transfer:
    """A bar of bytes; where stderr is not a terminal, a line for every tenth of them."""

    def __enter__(self) -> Transfer:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._begun, self._what, self._tenth = time.monotonic(), "", 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show how many bytes of all are done."""
        if time.monotonic() - self._begun < _QUIET:
            return
        tenth = done * 10 // total if total else done >> 28
        if what != self._what:
            self._what, self._tenth = what, tenth
            if not self._bar.disable:
                self._bar.start()
                for task in self._bar.task_ids:
                    self._bar.remove_task(task)
                self._task = self._bar.add_task(terminal(what), total=total, completed=done)
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, total=total)
        elif tenth > self._tenth:
            self._tenth = tenth
            printing.note(f"{what}: {done:,} of {total:,} bytes" if total else f"{what}: {done:,} bytes")

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar.disable:
            printing.note(line)
        else:
            self._console.print(terminal(line), markup=False, highlight=False, soft_wrap=True)
