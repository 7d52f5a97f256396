"""The circuit without its multi-wire gates, including the CX gates of amplitude state preparation."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["NoEntanglementControl"]


class NoEntanglementControl(Control):
    """Does entanglement matter?"""

    def of(self, core: Core) -> Core:
        return changed(core, entangling=False)
