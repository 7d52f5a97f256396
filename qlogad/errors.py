"""Every error that qlogad raises on purpose; each states what was expected, what was found, and how to fix it.

QlogadError
├── InputError               something the user wrote or pointed at; the command line exits with 2
│   ├── DocumentError        a TOML document does not fit its schema
│   ├── DataError            a log, label file or window table cannot be used as it is
│   ├── DesignError          a circuit design, encoding or circuit is not well formed
│   │   └── WidthError       a design does not exist for this number of wires
│   ├── ResultError          a results folder, a saved model or a ledger is damaged, or does not fit what reads it
│   │   └── AccountNeeded    a saved model names a backend that may use an account, so the user must choose the backend
│   └── UnknownName          no detector, dataset, backend, ansatz, encoding ... of that name
├── FileError                a file cannot be written; what stood there before is kept
├── FetchError               a published archive cannot be fetched; what has arrived is kept
├── MissingExtra             an optional package is not installed
├── NotFitted                a detector or pipeline was used before `fit`
├── BackendError             a backend cannot run this circuit (width, gate, gradient, device)
├── Pending                  a device has not answered yet; the same command continues later
└── StorageError             a study's storage cannot be reached, read or written; what was recorded is kept

QlogadWarning                a Python warning: the request was carried out, perhaps not as intended; a run lists it in its table
"""

from collections.abc import Iterable
from difflib import get_close_matches

from qlogad.credentials import hidden
from qlogad.escape import layout, terminal

__all__ = [
    "AccountNeeded",
    "BackendError",
    "DataError",
    "DesignError",
    "DocumentError",
    "FetchError",
    "FileError",
    "InputError",
    "MissingExtra",
    "NotFitted",
    "Pending",
    "QlogadError",
    "QlogadWarning",
    "ResultError",
    "StorageError",
    "UnknownName",
    "WidthError",
    "counted",
    "did_you_mean",
    "one_line",
    "shown",
]


_BEGINNING = 10  # multiple of the shown characters that is scanned: secrets are found before text is cut
_SHOWN = 40  # characters of a shown value


class QlogadError(Exception):
    """The base class: catch it to catch every error qlogad raises on purpose. Its text is free of secrets and control codes."""

    def __init__(self, *said: object) -> None:
        super().__init__(*map(_harmless, said))


class InputError(QlogadError, ValueError):
    """Something the user wrote or pointed at cannot be used as it is."""


class DocumentError(InputError):
    """A TOML document does not fit its schema."""


class DataError(InputError):
    """A log, a label file or a window table cannot be used as it is."""


class DesignError(InputError):
    """A circuit design, an encoding or a circuit is not well formed."""


class WidthError(DesignError):
    """A design does not exist for this number of wires, but may for others."""


class UnknownName(InputError):
    """There is no detector, dataset, backend, ansatz or encoding of that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str], instead: str = "") -> None:
        names = sorted(known)
        hint = f"; {instead}" if instead else did_you_mean(name, names)
        super().__init__(f"there is no {kind} {shown(name)}{hint}; known: {', '.join(names) or 'none'}")


class ResultError(InputError):
    """A results folder, a saved model or a ledger is damaged, or does not fit what reads it."""


class AccountNeeded(ResultError):
    """A saved model names a backend that may use an account; only the user may choose such a backend."""


class FileError(QlogadError, OSError):
    """A file cannot be written; what stood there before is kept."""


class FetchError(QlogadError):
    """A published archive cannot be fetched; what has arrived is kept."""


class MissingExtra(QlogadError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package '{package}' is not installed; run: pip install 'qlogad[{extra}]'")


class NotFitted(QlogadError, AttributeError):
    """A detector or a pipeline was used before `fit`."""


class BackendError(QlogadError):
    """A backend cannot run this circuit as asked."""


class Pending(QlogadError):
    """A device has not answered yet; everything submitted is recorded."""


class StorageError(QlogadError):
    """A study's storage cannot be reached, read or written."""


class QlogadWarning(UserWarning):
    """The request was carried out, perhaps not as intended. Its text is free of secrets and control codes."""

    def __init__(self, *said: object) -> None:
        super().__init__(*map(_harmless, said))


def _harmless(said: object) -> object:
    return layout(hidden(said)) if isinstance(said, str) else said


def counted(number: int, thing: str) -> str:
    """A count with its noun in singular or plural.

    >>> counted(1, "seed"), counted(2, "cell")
    ('1 seed', '2 cells')
    """
    return f"{number} {thing}{'s' * (number != 1)}"


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """A short hint naming the closest known words, the nearest first, or nothing.

    >>> did_you_mean("rign", ["ring", "linear"])
    " (did you mean 'ring'?)"
    >>> did_you_mean("depth 2", ["depth=1", "depth=2", "ring"], most=3)
    " (did you mean 'depth=2' or 'depth=1'?)"
    """
    close = [f"'{one}'" for one in get_close_matches(word[: 2 * _SHOWN], list(known), n=most)]
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def shown(value: object, limit: int = _SHOWN) -> str:
    """A value as one line of at most `limit` characters (20 or more), quoted if it is text.

    >>> shown("ring"), shown("two\\nlines"), len(shown("x" * 10**6))
    ("'ring'", "'two\\\\nlines'", 40)
    """
    try:
        text = repr(hidden(value[: _BEGINNING * limit])[:limit] if isinstance(value, str) else value)
    except (ValueError, RecursionError):  # a number of thousands of digits, alone or in a list
        return f"<a {type(value).__name__}, too large to show>"[:limit]
    if not isinstance(value, str):
        text = terminal(hidden(text[: _BEGINNING * limit]))
    cut = len(text) > limit or (isinstance(value, str) and len(value) > limit)
    return text[: limit - 3] + "..." if cut else text


def one_line(text: object, limit: int = 1000) -> str:
    """Any text as one line of at most `limit` characters, without secrets and terminal control codes.

    >>> one_line("no such\\n  thing")
    'no such thing'
    """
    joined = terminal(hidden(" ".join(str(text)[: _BEGINNING * limit].split())))
    return joined if len(joined) <= limit else joined[: limit - 3] + "..."
