"""The parser interface: templates from log messages, fitted on training messages, then frozen; and how any parser is steered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, Self

import numpy as np

from qlogad import documents, names
from qlogad.arrays import Ints
from qlogad.bounds import Between
from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.templates import KnownTemplates

__all__ = ["MaxTemplates", "Parser", "Steered", "load_parser"]

FROZEN = "this parser is fitted and frozen; make a new one to fit it on other messages"

MaxTemplates = Annotated[int, Between(1, 10**6)]


class Parser(Protocol):
    """Maps masked messages to template ids: fitted once, then frozen. Concrete parsers inherit from this class."""

    version: ClassVar[int]  # version of its saved state

    @property
    def complete(self) -> bool:
        """Whether its state is all that a saved parser needs; else code of the user's too, without which `ids` may raise DataError."""
        return True

    @property
    def templates(self) -> tuple[str, ...]: ...
    def fit(self, texts: Iterable[str]) -> Self: ...
    def ids(self, texts: Sequence[str]) -> Ints: ...
    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]: ...
    def state(self) -> dict[str, Any]: ...
    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self: ...


class Steered:
    """Any parser with known templates, which come first and are kept as they are, and with a cap on the number of templates.

    Messages that fit a known template get it; the parser learns from the rest. If there are more templates than the cap, those with the
    fewest training messages are dropped, of equally frequent ones those that appeared last; known templates are never dropped. Messages
    of a dropped template have none (-1).

    >>> from qlogad.logs.parser.identity import Identity
    >>> parser = Steered(Identity(), ["open <*>"], max_templates=2).fit(["open a", "stop", "start", "start"])
    >>> parser.templates, parser.ids(["open b", "stop", "start", "halt"]).tolist(), parser.dropped
    (('open <*>', 'start'), [0, -1, 1, -1], (('stop', 1),))
    """

    version: ClassVar[int] = 1

    def __init__(self, parser: Parser, known: Sequence[str] = (), max_templates: int | None = None) -> None:
        """Args: `parser`, not fitted yet; `known`, templates of masked messages; `max_templates`, the cap, None for none.

        Raises:
            DataError: there are more known templates than the cap.
        """
        self.parser = parser
        self.max_templates = max_templates
        self.dropped: tuple[tuple[str, int], ...] = ()  # templates and their training messages; of a fit, not of a saved state
        self._known = KnownTemplates(known)
        self._kept: Ints | None = None  # ids of the parser's own templates, in their order
        if max_templates is not None and max_templates < (count := len(self._known.templates)):
            raise DataError(
                f"there are {count} known templates, more than max_templates = {max_templates}; raise it, or give fewer"
            )

    @property
    def complete(self) -> bool:
        """Whether its state is all it needs."""
        return self.parser.complete

    @property
    def templates(self) -> tuple[str, ...]:
        """The known templates, then the parser's own that were kept, in its order."""
        own = self.parser.templates
        return (*self._known.templates, *(own[place] for place in (() if self._kept is None else self._kept.tolist())))

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn templates from the masked training messages that fit no known one, and freeze. Repetitions count for the cap.

        Raises:
            DataError: it is fitted already.
        """
        if self._kept is not None:
            raise DataError(FROZEN)
        counts = Counter(texts)  # in order of first appearance
        rest = [text for text in counts if self._known.find(text) < 0]
        self.parser.fit(rest)
        own = self.parser.templates
        kept = np.arange(len(own))
        if self.max_templates is not None and (room := self.max_templates - len(self._known.templates)) < len(own):
            found = self.parser.ids(rest)
            messages = Counter[int]()  # in order of first appearance
            for place, text in zip(found.tolist(), rest, strict=True):
                messages[place] += counts[text]
            frequent = [place for place, _ in messages.most_common() if place >= 0]  # a stable sort
            kept = np.array(sorted(frequent[:room]), dtype=np.int64)
            self.dropped = tuple((own[place], messages[place]) for place in frequent[room:])
        self._kept = kept.astype(np.int64)
        return self

    def ids(self, texts: Sequence[str]) -> Ints:
        """The template id of each masked message; -1 where there is none."""
        if self._kept is None:
            raise NotFitted("this parser is not fitted; call fit(texts) with the training messages first")
        count = len(self._known.templates)
        known = {text: self._known.find(text) for text in dict.fromkeys(texts)}
        rest = [text for text, place in known.items() if place < 0]
        number_P = np.full(len(self.parser.templates) + 1, -1, dtype=np.int64)  # the last place, -1, is "no match"
        number_P[self._kept] = count + np.arange(len(self._kept))
        found = {**known, **dict(zip(rest, number_P[self.parser.ids(rest)].tolist(), strict=True))}
        return np.fromiter((found[text] for text in texts), dtype=np.int64, count=len(texts))

    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The variable parts of a message, in order of position; see `Parser`."""
        count = len(self._known.templates)
        if template_id < count:
            return self._known.parameters(template_id, text, values)
        assert self._kept is not None, "there are no template ids before fit"
        return self.parser.parameters(int(self._kept[template_id - count]), text, values)

    def state(self) -> dict[str, Any]:
        """The fitted state as JSON types."""
        kept = [] if self._kept is None else self._kept.tolist()
        return {
            "parser": _STEERED,
            "version": self.version,
            "known": list(self._known.templates),
            "kept": kept,
            "of": self.parser.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted parser that `state()` was taken from."""
        saved = documents.from_mapping(_Saved, state, "parser", strict=True)
        if saved.of.get("parser") == _STEERED:
            raise DataError("parser: what is steered is a parser itself")
        inner = load_parser(saved.of)
        parser = cls(inner, saved.known)
        if len(set(saved.kept)) < len(saved.kept) or any(place >= len(inner.templates) for place in saved.kept):
            raise DataError("parser: kept names templates that are not there")
        parser._kept = np.asarray(saved.kept, dtype=np.int64)
        return parser


_STEERED = "steered"  # no name of a parser: written as the keys `known` and `max_templates` of any


@dataclass(frozen=True)
class _Saved:
    """What `Steered.state` gives."""

    parser: str
    version: int
    known: tuple[str, ...]
    kept: tuple[Annotated[int, Between(0, 10**9)], ...]
    of: Mapping[str, Any]


def load_parser(state: Mapping[str, Any]) -> Parser:
    """Restore a fitted parser of any kind from its state.

    Raises:
        DataError: the parser or its version is unknown.
    """
    name, version = state.get("parser"), state.get("version")
    kind: type[Any] | None = Steered if name == _STEERED else None
    if isinstance(name, str) and name in names.known("parser"):
        kind = names.find("parser", name)
    if kind is None or version != kind.version:
        raise DataError(f"no parser '{name}' of version {version}; the state was written by another version of qlogad")
    restored: Parser = kind.from_state(state)
    return restored
