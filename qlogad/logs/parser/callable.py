"""A parser of one's own: any function that learns templates, such as Drain3's (github.com/logpai/Drain3) in ten lines.

    from drain3 import TemplateMiner

    def drain3(texts):                                  # distinct masked messages, in source order
        miner = TemplateMiner()
        for text in texts:
            miner.add_log_message(text)
        def match(text):                                # frozen: a template, or None
            found = miner.match(text)
            return None if found is None else found.get_template()
        return match

    CallableParser(factory=drain3)                                       in Python
    parser = { name = "callable", factory = "package:drain3" }           in an experiment, for a package that is installed

A saved model holds the templates of its training messages by text. Loading one imports no code: messages of training keep their
templates, and others need the function again: `Model.load(folder, factory=drain3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import SkipValidation

from qlogad import documents
from qlogad.arrays import Ints
from qlogad.bounds import Between
from qlogad.errors import DataError, NotFitted, shown
from qlogad.installed import check_factory, imported
from qlogad.logs.parser.parser import FROZEN, Parser, Steered
from qlogad.logs.parser.templates import KnownTemplates

__all__ = ["CallableParser", "Factory", "Match", "resume"]

Match = Callable[[str], str | None]
Factory = Callable[[Iterable[str]], Match]


@dataclass(eq=False)
class CallableParser(Parser):
    """What a function learns: `factory(texts)` gives a function from a masked message to its template, or None.

    >>> def first_words(texts):
    ...     known = {text.split(" ")[0] for text in texts}
    ...     return lambda text: f"{text.split(' ')[0]} <*>" if text.split(" ")[0] in known else None
    >>> parser = CallableParser(factory=first_words).fit(["open a", "open b", "stop now"])
    >>> parser.templates, parser.ids(["open c", "halt"]).tolist(), parser.parameters(0, "open c", [])
    (('open <*>', 'stop <*>'), [0, -1], ('c',))
    """

    version: ClassVar[int] = 1

    factory: Annotated[str | Factory, SkipValidation]  # a function, or package:function of a package that is installed
    _texts: dict[str, int] | None = field(default=None, init=False, repr=False)  # training message -> template, -1 none
    _templates: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _match: Match | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_factory(self.factory, "from messages to a function", DataError)

    @property
    def complete(self) -> bool:
        """No: it also needs the function."""
        return False

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates by id, in order of first appearance."""
        return tuple(self._templates)

    def fit(self, texts: Iterable[str]) -> Self:
        """Call the function with the distinct training messages, in source order, and freeze.

        Raises:
            DataError: it is fitted already, or the function is not there, or does not give what it should.
        """
        if self._texts is not None:
            raise DataError(FROZEN)
        distinct = list(dict.fromkeys(texts))
        self._match = self._made(self.factory, distinct)
        self._texts = {text: self._number(self._match(text), grow=True) for text in distinct}
        return self

    def ids(self, texts: Sequence[str]) -> Ints:
        """The template id of each masked message; -1 where the function gives none, or one that no training message has.

        Raises:
            DataError: it was loaded, and messages that training did not see need the function.
        """
        if self._texts is None:
            raise NotFitted("this parser is not fitted; call fit(texts) with the training messages first")
        found = {text: self._texts.get(text) for text in dict.fromkeys(texts)}
        new = [text for text, number in found.items() if number is None]
        if new and self._match is None:
            raise DataError(
                f"the parser was made by '{_named(self.factory):.80}', and no saved file makes qlogad import code: {len(new)} messages "
                "that training did not see need it; import it yourself, and give it: Model.load(folder, factory=function)"
            )
        if self._match is not None:
            found |= {text: self._number(self._match(text)) for text in new}
        return np.fromiter((found[text] for text in texts), dtype=np.int64, count=len(texts))

    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The variable parts of a message where it fits its template as text, in order of position; else its masked values."""
        shape = KnownTemplates([self.templates[template_id]])
        return shape.parameters(0, text, values) if shape.find(text) == 0 else tuple(values)

    def resume(self, factory: Factory) -> None:
        """Give a loaded parser its function back: it learns from the training messages again, and has to give their templates again.

        Raises:
            DataError: the function gives other templates.
        """
        if self._texts is None:
            raise NotFitted("this parser is not fitted; call fit(texts) with the training messages first")
        match, numbers = self._made(factory, list(self._texts)), list(self._texts.values())
        if [self._number(match(text)) for text in self._texts] != numbers:
            raise DataError(f"'{_named(factory):.80}' gives the training messages other templates than when this parser was fitted")
        self.factory, self._match = factory, match

    def state(self) -> dict[str, Any]:
        """The fitted state as JSON types: templates by training message."""
        table = {"templates": list(self._templates), "texts": list((self._texts or {}).items())}
        return {"parser": "callable", "version": self.version, "factory": _named(self.factory), **table}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted parser that `state()` was taken from, without its function."""
        saved = documents.from_mapping(_Saved, state, "parser", strict=True)
        parser = cls(factory=saved.factory)
        parser._templates = {template: number for number, template in enumerate(saved.templates)}
        parser._texts = dict(saved.texts)
        if len(parser._templates) < len(saved.templates) or max(parser._texts.values(), default=-1) >= len(saved.templates):
            raise DataError("parser: its templates are not those of its texts")
        return parser

    def _made(self, factory: str | Factory, texts: Sequence[str]) -> Match:
        if not texts:  # a function of messages is not asked about none
            return lambda text: None
        match: object = (imported(factory, DataError) if isinstance(factory, str) else factory)(texts)
        if not callable(match):
            raise DataError(f"'{_named(factory):.80}' gives a function from a message to its template, got {shown(match, 80)}")
        made: Match = match
        return made

    def _number(self, template: object, *, grow: bool = False) -> int:
        if template is None:
            return -1
        if not isinstance(template, str):
            raise DataError(f"'{_named(self.factory):.80}' gives a template as text, or None, got {shown(template, 80)}")
        return self._templates.setdefault(template, len(self._templates)) if grow else self._templates.get(template, -1)


@dataclass(frozen=True)
class _Saved:
    """What `CallableParser.state` gives."""

    parser: str
    version: int
    factory: str
    templates: tuple[str, ...]
    texts: tuple[tuple[str, Annotated[int, Between(-1, 10**9)]], ...]


def resume(parser: Parser | Steered, factory: Factory) -> None:
    """Give a loaded parser, with or without known templates before it, its function back.

    Raises:
        DataError: the parser is of another kind, or the function gives the training messages other templates.
    """
    own = parser.parser if isinstance(parser, Steered) else parser
    if not isinstance(own, CallableParser):
        raise DataError("factory is for models whose parser is 'callable', and this one's is not; leave it out")
    own.resume(factory)


def _named(factory: str | Factory) -> str:
    if isinstance(factory, str):
        return factory
    return f"{getattr(factory, '__module__', type(factory).__module__)}:{getattr(factory, '__name__', type(factory).__name__)}"
