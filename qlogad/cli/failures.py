"""Errors as one line and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import typer

from qlogad.errors import InputError, QlogadError, one_line

__all__ = ["INTERRUPTED", "explain"]

INTERRUPTED = 130  # the exit code after Ctrl-C
_UsageError: Any = typer.BadParameter.__mro__[1]  # click's class, or that of typer's own copy of click


def explain(error: BaseException) -> tuple[str | None, int]:
    """The line to print for an error, and the exit code; no line for an internal error, which gets a traceback."""
    if isinstance(error, _UsageError):
        message, command = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "qlogad"
        return f"error: {one_line(message[:1].lower() + message[1:])}; see: {command} --help", 2
    if isinstance(error, QlogadError):
        return f"error: {one_line(error)}", 2 if isinstance(error, InputError) else 1
    if _interrupted(error):
        same = "the same command without --fresh" if "--fresh" in sys.argv else "the same command"
        return f"interrupted; what was finished or submitted is kept, and {same} continues from there", INTERRUPTED
    if isinstance(error, OSError):
        what = one_line(f"{error.strerror or error}: {error.filename}")
        return f"error: {what}; check the path, its permissions and the space left", 1
    return None, 1


def _interrupted(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or came while what Ctrl-C had broken off was being closed."""
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, typer.Abort)):
            return True
        error = error.__context__
    return False
