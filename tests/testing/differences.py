"""Short names for cases that are dataclasses."""

import dataclasses
from typing import Any


def differences(one: Any) -> str:
    """Its class, and the fields that are not defaults.

    >>> from qlogad.nn.core import Quantum
    >>> differences(Quantum(wires=2, shared=True))
    'Quantum wires=2 shared=True'
    """
    changed = [
        (field.name, getattr(one, field.name)) for field in dataclasses.fields(one) if getattr(one, field.name) != field.default
    ]
    return " ".join([type(one).__name__, *(f"{name}={getattr(value, '__name__', value)}" for name, value in changed)])
