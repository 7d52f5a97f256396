"""The sequence of event ids itself: what every other view goes with (DeepLog and its kin read nothing else)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.features.view import Base, View

__all__ = ["Ids"]


@dataclass(frozen=True)
class Ids(View):
    """The event ids, (E, 1); as whole numbers they are `features.ids_E`."""

    of: ClassVar[Literal["event"]] = "event"

    @classmethod
    def fit(cls, base: Base) -> Self:
        """There is nothing to learn."""
        return cls()

    def make(self, base: Base) -> Floats:
        """The id of every event."""
        return base.ids_E[:, None].astype(np.float64)
