"""The circuit keeps its random initial weights; everything around it is trained."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["FrozenControl"]


class FrozenControl(Control):
    """Does training the angles matter?"""

    def of(self, core: Core) -> Core:
        return changed(core, frozen=True)
