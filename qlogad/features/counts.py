"""The event count vector of a window, which ignores order. Xu et al., SOSP 2009, doi:10.1145/1629575.1629587."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.features.view import Base, View

__all__ = ["Counts"]


@dataclass(frozen=True)
class Counts(View):
    """The number of occurrences of each event type, (N, V + 1); the last column counts events not seen in training.

    >>> from qlogad import Features
    >>> Features.from_sequences([[0, 1, 1], [5]], size=2).view("counts").tolist()
    [[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
    """

    of: ClassVar[Literal["row"]] = "row"

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Does nothing: this view has no fitted state."""
        return cls()

    def make(self, base: Base) -> Floats:
        """The counts (N, V + 1); each row sums to its length."""
        width = base.size + 1
        counts_NV = np.bincount(base.row_E * width + base.ids_E, minlength=len(base) * width).reshape(-1, width)
        return counts_NV.astype(np.float64)
