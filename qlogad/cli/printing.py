"""Everything that the command line prints: results on stdout, notes on stderr, neither with control sequences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qlogad import escape
from qlogad.errors import QlogadWarning, one_line
from qlogad.escape import layout

__all__ = ["note", "result", "show_warning", "table", "warn"]


def result(facts: object, text: str, as_json: bool) -> None:
    """Print a result: facts as JSON for programs, or a text for people."""
    _print(json.dumps(facts, indent=1) if as_json else text, sys.stdout)


def table(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print rows: as JSON for programs, or as a table for people."""
    _print(json.dumps(rows, indent=1) if as_json else escape.table(rows, "simple"), sys.stdout)


def note(text: str) -> None:
    """Print a line that is not part of the result."""
    _print(text, sys.stderr)


def warn(warnings: Iterable[str]) -> None:
    """Print warnings, one per line."""
    for warning in warnings:
        note(f"warning: {warning}")


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """Print a Python warning in one line; replaces `warnings.showwarning`."""
    kind = "" if issubclass(category, QlogadWarning) else f" ({category.__name__})"
    note(f"warning: {one_line(message)}{kind}")


def _print(text: str, stream: TextIO) -> None:
    print(layout(text), file=stream, flush=stream is sys.stderr)
