"""The command line. A file in `verbs/` is a verb of that name; a folder there is a group of verbs.

Progress goes to stderr, results to stdout. Exit codes: 0, 1 (failure), 2 (bad input), 130 (interrupted).
"""

from qlogad.cli.entry import main

__all__ = ["main"]
