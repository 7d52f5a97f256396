"""The command line, called in this process: what it prints and its exit code, without the seconds that torch takes to be imported."""

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

from qlogad.cli import main


def qlogad(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The verb with its words, as if typed in a folder."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
        warnings.catch_warnings(),
    ):
        warnings.resetwarnings()  # here they are errors, there they are shown
        sys.argv = ["qlogad", *words]
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.argv = before
    return subprocess.CompletedProcess(["qlogad", *words], code, out.getvalue(), err.getvalue())
