"""A classical cell, as large as possible without exceeding the weights of the whole quantum network."""

from qlogad.nn.controls.control import Control
from qlogad.nn.core.core import Core
from qlogad.nn.core.same_total import SameTotal

__all__ = ["SameTotalControl"]


class SameTotalControl(Control):
    """Is a saving of weights due to the circuit?"""

    def of(self, core: Core) -> Core:
        return SameTotal(of=core)
