"""Commands from files: `verbs/x_y.py` is `qlogad x-y`, a folder is a group, and a file is imported only when its verb is used.

The docstring of a verb's module is its help and ends with a line `Example: qlogad ...`. Its `verb` is a function with one parameter for
each argument and option, or a `TyperGroup`. Other packages add verbs as entry points `qlogad.verbs` (name -> module).
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from qlogad import names

__all__ = ["SETTINGS", "Command", "Verbs", "command", "root"]

Command = TyperCommand | TyperGroup
SETTINGS = {"help_option_names": ["-h", "--help"]}


class Verbs(Mapping[str, Command]):
    """The verbs of a package by name, sorted; each is imported when it is looked up.

    >>> "doctor" in Verbs("qlogad.cli.verbs")
    True
    """

    def __init__(self, package: str, entries: str = "") -> None:
        """Args: the package whose files are verbs; the entry-point group that other packages add to, or nothing."""
        self._package, self._entries = package, entries
        folder = Path(__file__).parents[2].joinpath(*package.split("."))
        self._own = {found.name.replace("_", "-"): found.ispkg for found in pkgutil.iter_modules([str(folder)])}

    def __getitem__(self, name: str) -> Command:
        if name not in self._own:
            return of_module(name, self._foreign()[name].load())
        package = f"{self._package}.{name.replace('-', '_')}"
        module = import_module(package)
        return group(name, Verbs(package), inspect.getdoc(module) or "") if self._own[name] else of_module(name, module)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._own, *self._foreign()}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._foreign()

    def _foreign(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in names.entries(self._entries)} if self._entries else {}


def of_module(name: str, module: ModuleType) -> Command:
    """Make the command of a verb's module."""
    told, _, example = (inspect.getdoc(module) or "").rpartition("\n\nExample: ")
    if isinstance(module.verb, TyperGroup):
        module.verb.help, module.verb.epilog = told, f"Example: {example}"
        return module.verb
    return command(name, module.verb, told, example)


def command(name: str, verb: Callable[..., None], told: str, example: str) -> Command:
    """Make a command whose arguments and options are a function's parameters."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, help=told, epilog=f"Example: {example}", context_settings=SETTINGS)(verb)
    return cast(TyperCommand, get_command(app))


def group(name: str, verbs: Mapping[str, Command], told: str) -> TyperGroup:
    """Make a group of verbs."""
    commands = cast(dict[str, Any], verbs)  # only ever read
    return TyperGroup(name=name, commands=commands, help=told, rich_markup_mode=None, context_settings=SETTINGS)


def root() -> TyperGroup:
    """Make the command `qlogad` itself."""
    about = "Quantum-classical experiments in log anomaly detection: one detector, two cores, the same features, the same judge."
    return group("qlogad", Verbs("qlogad.cli.verbs", "qlogad.verbs"), about)
