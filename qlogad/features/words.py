"""The words of an event's message, as a set: what is compared where templates are too coarse. LightAD, Yu et al., ICSE 2024."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.errors import DataError
from qlogad.features.view import Base, View

__all__ = ["Words"]

_VARIABLE = re.compile(r"\d|<\*>|<:[A-Z]+:>")  # a digit or a masked part


@dataclass(frozen=True)
class Words(View):
    """The number of distinct words of each message, then the numbers of those known from training, ascending, (E, 1 + most); NaN: none.

    Words are separated by white space; those with a digit or a masked part are left out. Of a message with more than `most` known words,
    the first ones are kept.

    >>> from qlogad import Features
    >>> Features.from_sequences([[0, 1]], texts=[["disk sda1 is full", "link is up"]], views=["words"]).view("words").tolist()
    [[3.0, 0.0, 1.0, 2.0, nan, nan], [3.0, 2.0, 3.0, 4.0, nan, nan]]
    """

    words: tuple[str, ...]  # of training messages, in alphabetical order
    most: int  # 16, or twice the largest number of distinct words in a training message; at most the number of words

    of: ClassVar[Literal["event"]] = "event"
    apart: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        if not 0 <= self.most <= len(self.words):
            raise DataError(f"the view 'words' has {len(self.words)} words, but room for {self.most} in a message")

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Collect the words of training messages."""
        columns = base.columns
        found = [_words(columns.texts[text]) for text in np.unique(columns.text_E).tolist()]
        words = sorted(set().union(*found))
        return cls(tuple(words), min(len(words), max(16, 2 * max(map(len, found), default=0))))

    def make(self, base: Base) -> Floats:
        """The words of every event's message."""
        columns = base.columns
        number = {word: place for place, word in enumerate(self.words)}
        row_TD = np.full((len(columns.texts), 1 + self.most), np.nan)
        for text in np.unique(columns.text_E).tolist():
            own = _words(columns.texts[text])
            known = sorted(number[word] for word in own if word in number)[: self.most]
            row_TD[text, 0] = len(own)
            row_TD[text, 1 : 1 + len(known)] = known
        return np.asarray(row_TD[columns.text_E])


def _words(text: str) -> set[str]:
    return {word for word in text.split() if not _VARIABLE.search(word)}
