"""A separable circuit that re-uploads the features often enough to match the circuit's number of live weights."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["NoEntanglementMatchedControl"]


class NoEntanglementMatchedControl(Control):
    """Does entanglement matter, at the same number of live weights?"""

    def of(self, core: Core) -> Core:
        return changed(core, matched=True)
