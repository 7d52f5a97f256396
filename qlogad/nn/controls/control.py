"""The interface of a control: it derives a comparison core from a quantum core. One per file; the file name is the control's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from typing import Any

from qlogad import names
from qlogad.errors import InputError
from qlogad.nn.core.core import Core

__all__ = ["Control", "changed", "control"]


class Control(ABC):
    """An ablation: derives the core to compare a quantum core with."""

    @abstractmethod
    def of(self, core: Core) -> Core:
        """The control of a quantum core.

        Raises:
            InputError: this control does not apply to a core of this kind.
        """


def control(name: str, core: Core) -> Core:
    """The named control of a quantum core.

    Raises:
        UnknownName: there is no such control; the message suggests the nearest name.
        InputError: the core runs no circuits, the control does not apply to it, or it would change nothing.

    >>> from qlogad import Quantum
    >>> control("frozen", Quantum(wires=2)).frozen
    True
    """
    found: Control = names.find("control", name)()
    if core.backend is None:
        raise InputError(f"control '{name}' needs a quantum core, got kind = '{core.kind}'; set `like` to a quantum contender")
    made = found.of(core)
    if made == core:
        raise InputError(
            f"control '{name}' changes nothing in this core, so it would be compared with itself; choose another control"
        )
    return made


def changed(core: Core, **values: object) -> Core:
    """A copy of a core with some fields replaced.

    Raises:
        InputError: the core has no such field.
    """
    table: Any = core  # every core is a dataclass
    for name in values.keys() - {field.name for field in fields(table)}:
        raise InputError(f"a core of kind '{core.kind}' has no key '{name}', which this control sets; choose another control")
    made: Core = replace(table, **values)
    return made
