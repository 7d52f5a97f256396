"""What a control is: it makes, from a quantum core, the core that stands beside it in the table. One per file, named by its file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from typing import Any

from qlogad import names
from qlogad.errors import InputError
from qlogad.nn.core.core import Core

__all__ = ["Control", "changed", "control"]


class Control(ABC):
    """One way to take away what a circuit is said to do."""

    @abstractmethod
    def of(self, core: Core) -> Core:
        """The control of a core that runs circuits.

        Raises:
            InputError: a core of this kind cannot be controlled like that.
        """


def control(name: str, core: Core) -> Core:
    """The control of that name for a quantum core.

    Raises:
        UnknownName: with the nearest known name.
        InputError: the core runs no circuits, cannot be controlled like that, or would not be changed.

    >>> from qlogad import Quantum
    >>> control("frozen", Quantum(wires=2)).frozen
    True
    """
    found: Control = names.find("control", name)()
    if core.backend is None:
        raise InputError(f"control '{name}' is made from a quantum core, got kind = '{core.kind}'; say `like` a quantum contender")
    made = found.of(core)
    if made == core:
        raise InputError(f"control '{name}' changes nothing in this core: it would stand beside itself; choose another control")
    return made


def changed(core: Core, **values: object) -> Core:
    """A core with some of its fields replaced.

    Raises:
        InputError: it has no such field.
    """
    table: Any = core  # a dataclass, as every core is
    for name in values.keys() - {field.name for field in fields(table)}:
        raise InputError(f"a core of kind '{core.kind}' has no key '{name}' that this control could set; choose another control")
    made: Core = replace(table, **values)
    return made
