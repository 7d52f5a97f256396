"""The circuit without its gates on two and more wires, the CX of amplitude state preparation among them."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["NoEntanglement"]


class NoEntanglement(Control):
    """Does entanglement matter?"""

    def of(self, core: Core) -> Core:
        return changed(core, entangling=False)
