"""The sequence of event ids, which every other view accompanies; DeepLog and similar detectors read only this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.features.view import Base, View

__all__ = ["Ids"]


@dataclass(frozen=True)
class Ids(View):
    """The event ids as floats, (E, 1); `features.ids_E` has them as integers."""

    of: ClassVar[Literal["event"]] = "event"

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Does nothing: this view has no fitted state."""
        return cls()

    def make(self, base: Base) -> Floats:
        """The id of every event."""
        return base.ids_E[:, None].astype(np.float64)
