"""A separable circuit that encodes as often as it needs for the circuit's number of live weights."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["NoEntanglementMatched"]


class NoEntanglementMatched(Control):
    """Does entanglement matter, at as many live weights?"""

    def of(self, core: Core) -> Core:
        return changed(core, matched=True)
