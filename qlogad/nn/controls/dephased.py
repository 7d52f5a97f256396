"""The circuit, fully dephased between layers: a classical stochastic process with the same wiring. Runs on `exact` only."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["DephasedControl"]


class DephasedControl(Control):
    """Does coherence matter?"""

    def of(self, core: Core) -> Core:
        return changed(core, dephased=True, backend="exact")
