"""What parsers share that learn message by message, as tokens: fitted once on distinct messages, then frozen and looked up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from qlogad.arrays import Ints
from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.parser import FROZEN

__all__ = ["LearnsOnce"]


@dataclass(eq=False)
class LearnsOnce(ABC):
    """`fit` and `ids` of a parser that defines `_learn` and `_find`."""

    _frozen: bool = field(default=False, init=False, repr=False)

    @abstractmethod
    def _learn(self, tokens: list[str]) -> None:
        """Learn from one training message."""

    @abstractmethod
    def _find(self, tokens: list[str]) -> int:
        """The template of a message; -1 if none is similar enough."""

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn templates from masked training messages, in source order, and freeze. Repeated messages have no effect.

        Raises:
            DataError: the parser is already fitted.
        """
        if self._frozen:
            raise DataError(FROZEN)
        for text in dict.fromkeys(texts):
            self._learn(text.split())
        self._frozen = True
        return self

    def ids(self, texts: Sequence[str]) -> Ints:
        """The template id of each masked message, (N,); -1 if no template is similar enough."""
        if not self._frozen:
            raise NotFitted(f"this {type(self).__name__} parser is not fitted; call fit(texts) with the training messages first")
        known = {text: self._find(text.split()) for text in dict.fromkeys(texts)}
        return np.fromiter((known[text] for text in texts), dtype=np.int64, count=len(texts))
