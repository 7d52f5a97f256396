"""The circuit as a classical stochastic process of the same wiring: no phases between the layers; runs on `exact`."""

from qlogad.nn.controls.control import Control, changed
from qlogad.nn.core.core import Core

__all__ = ["Dephased"]


class Dephased(Control):
    """Does coherence matter?"""

    def of(self, core: Core) -> Core:
        return changed(core, dephased=True, backend="exact")
