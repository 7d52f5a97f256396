"""Identity parser, for logs of event ids: the text of an event is its template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from qlogad import documents
from qlogad.arrays import Ints
from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.parser import FROZEN, Parser

__all__ = ["Identity"]


@dataclass(eq=False)
class Identity(Parser):
    """Parser for pre-parsed data: each distinct message is its own template, without parameters.

    >>> Identity().fit(["5", "22", "5"]).ids(["22", "7"]).tolist()
    [1, -1]
    """

    version: ClassVar[int] = 1

    _ids: dict[str, int] | None = field(default=None, init=False, repr=False)

    @property
    def templates(self) -> tuple[str, ...]:
        """The distinct messages by id, in order of first appearance."""
        return tuple(self._ids or ())

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the training messages and freeze.

        Raises:
            DataError: the parser is already fitted.
        """
        if self._ids is not None:
            raise DataError(FROZEN)
        self._ids = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        return self

    def ids(self, texts: Sequence[str]) -> Ints:
        """The id of each message, (N,); -1 if it was not seen in training."""
        if self._ids is None:
            raise NotFitted("this Identity parser is not fitted; call fit(texts) with the training messages first")
        return np.fromiter((self._ids.get(text, -1) for text in texts), dtype=np.int64, count=len(texts))

    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The masked values, unchanged."""
        return tuple(values)

    def state(self) -> dict[str, Any]:
        """The fitted state as JSON types."""
        return {"parser": "identity", "version": self.version, "templates": list(self.templates)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted parser with the state that `state()` returned."""
        return cls().fit(documents.from_mapping(_Saved, state, "parser", strict=True).templates)


@dataclass(frozen=True)
class _Saved:
    """The saved state of an Identity parser."""

    parser: str
    version: int
    templates: tuple[str, ...]
