"""The seconds between an event and the previous one in its window.

Du et al., CCS 2017, doi:10.1145/3133956.3134015: the elapsed time is the first of an event's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.features.view import Base, View

__all__ = ["Gaps"]


@dataclass(frozen=True)
class Gaps(View):
    """Seconds since the previous event, (E, 1), not scaled; NaN for the first event of a window and where a time is unknown.

    >>> from qlogad import Features
    >>> Features.from_sequences([[0, 1, 1]], times=[[10.0, 10.5, 12.0]]).view("gaps")[:, 0].tolist()
    [nan, 0.5, 1.5]
    """

    of: ClassVar[Literal["event"]] = "event"
    apart: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("time",)

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Does nothing: this view has no fitted state."""
        return cls()

    def make(self, base: Base) -> Floats:
        """The gap before every event."""
        gap_E = np.diff(base.columns.time_E, prepend=np.nan)
        gap_E[base.offsets_N1[:-1][base.lengths_N > 0]] = np.nan
        return gap_E[:, None]
