"""The cores a detector can run with, one per file; the file name is the `kind` in a core's TOML table.

    Classical     x ── linear ──► out                                   a linear map per gate, as in torch.nn.LSTM
    Quantum       x ── linear ──► angles ── circuit ──► <Z> ── linear ──► out
    SameWrapper   x ── linear ──► a      ── tanh(s a + b) ──► ── linear ──► out        (control)

Public names are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlogad.nn.core.classical import Classical as Classical
    from qlogad.nn.core.core import Core as Core
    from qlogad.nn.core.quantum import Quantum as Quantum

__all__ = ["Classical", "Core", "Quantum"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'qlogad.nn.core' has no attribute '{name}'")
    return getattr(import_module(f"qlogad.nn.core.{name.lower()}"), name)
