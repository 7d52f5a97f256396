"""A classical cell, as large as the weights of the whole quantum network allow."""

from qlogad.nn.controls.control import Control
from qlogad.nn.core.core import Core
from qlogad.nn.core.same_total import SameTotal as SameTotalCore

__all__ = ["SameTotal"]


class SameTotal(Control):
    """Is a saving of weights the circuit's?"""

    def of(self, core: Core) -> Core:
        return SameTotalCore(of=core)
