"""The entry point of the command line."""

from __future__ import annotations

import sys
import traceback
import warnings
from io import TextIOWrapper

from qlogad.cli import failures, printing
from qlogad.cli.commands import root
from qlogad.credentials import hidden
from qlogad.documents import settle_caches

__all__ = ["main"]


def main() -> None:
    """Run the verb of `sys.argv`; an error becomes one line and an exit code, and --debug adds its traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for characters outside the terminal's encoding
    warnings.showwarning = printing.show_warning
    settle_caches()
    try:
        code = root().main(prog_name="qlogad", standalone_mode=False)
        if code == failures.INTERRUPTED:  # Typer returns this code after Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except (Exception, KeyboardInterrupt) as error:
        line, code = failures.explain(error)
        if debug or line is None:
            printing.note(hidden("".join(traceback.format_exception(error))).rstrip())
        if line is not None:
            printing.note(line)
        sys.exit(code)
