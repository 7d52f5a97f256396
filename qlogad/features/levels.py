"""The severity level of a line ("INFO", "ERROR", ...), one-hot encoded over the levels in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.features.view import Base, View

__all__ = ["Levels"]


@dataclass(frozen=True)
class Levels(View):
    """One-hot levels of events, (E, L + 1); the last column is for levels not seen in training.

    >>> from qlogad import Features
    >>> Features.from_sequences([[0, 1]], levels=[["INFO", "WARN"]], views=["levels"]).view("levels").tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    words: tuple[str, ...]  # L levels, in alphabetical order

    of: ClassVar[Literal["event"]] = "event"
    apart: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("level",)

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Collect the levels that occur in training."""
        columns = base.columns
        return cls(tuple(sorted(columns.levels[place] for place in np.unique(columns.level_E))))

    def make(self, base: Base) -> Floats:
        """The level of every event."""
        columns, size = base.columns, len(self.words)
        number = {word: place for place, word in enumerate(self.words)}
        column_L: Ints = np.asarray([number.get(word, size) for word in columns.levels], dtype=np.int64)
        return np.asarray(np.eye(size + 1)[column_L[columns.level_E]])
