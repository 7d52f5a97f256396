"""Laws of every parser: fitted once, then frozen; a message's template depends on nothing else; the state is complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np

from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.parser import Parser, load_parser
from qlogad.names import name_of
from qlogad.seeds import generator
from qlogad.testing.laws import Laws, Tell, assert_refused

__all__ = ["check_parser"]

LAWS = Laws["Subject"]()
WORDS = ("open", "close", "volume", "<:NUM:>", "id=<:NUM:>", "of", "<*>", "k9", "", "node-7")


def check_parser(cls: type[Parser], *, tell: Tell | None = None, **settings: Any) -> None:
    """Check a parser against its contract.

    Args:
        cls: the parser's class.
        tell: called with the outcome of each law; None: the first broken law raises an error.
        settings: its parameters.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> from qlogad.logs.parser.identity import Identity
    >>> check_parser(Identity)
    """
    LAWS.hold(Subject(partial(cls, **settings)), tell)


def messages(count: int, name: str) -> list[str]:
    random = generator(0, "check_parser", name)
    return [" ".join(random.choice(WORDS, size=int(random.integers(1, 6)))) for _ in range(count)]


class Subject:
    """A factory of parsers, random messages, and one parser fitted on them."""

    def __init__(self, make: Callable[[], Parser]) -> None:
        self.make, self.training, self.later = make, messages(60, "training"), messages(60, "later")

    @cached_property
    def fitted(self) -> Parser:
        return self.make().fit(self.training)


@LAWS.law()
def training_messages_have_templates(it: Subject) -> None:
    ids = it.fitted.ids(it.training)
    assert ids.dtype == np.int64, f"ids are int64, got {ids.dtype}"
    assert ids.shape == (len(it.training),), "one id for each message"
    assert (ids >= 0).all(), "every message it was fitted on has a template"
    assert ids.max() < len(it.fitted.templates) <= len(set(it.training)), "no more templates than messages"


@LAWS.law()
def messages_are_told_alone(it: Subject) -> None:
    ids = it.fitted.ids(it.later)
    assert ids.min() >= -1, "a message without a template is -1"
    assert [int(it.fitted.ids([message])[0]) for message in it.later] == ids.tolist(), "a message's template depends on others"
    assert it.fitted.ids(it.later[::-1]).tolist() == ids[::-1].tolist(), "order matters"
    assert it.fitted.ids([]).shape == (0,), "no messages, no ids"


@LAWS.law()
def it_is_frozen_once_it_is_fitted(it: Subject) -> None:
    before = json.dumps(it.fitted.state())
    it.fitted.ids(it.later)
    assert json.dumps(it.fitted.state()) == before, "to look at messages changes nothing"
    assert_refused(lambda: it.fitted.fit(it.later), DataError, "fitting twice")


@LAWS.law()
def fitting_repeats(it: Subject) -> None:
    assert it.make().fit(it.training).state() == it.fitted.state(), "equal messages, equal templates"
    assert it.make().fit(dict.fromkeys(it.training)).state() == it.fitted.state(), "a message seen before changes nothing"


@LAWS.law()
def its_state_keeps_what_training_gave(it: Subject) -> None:
    again = type(it.fitted).from_state(json.loads(json.dumps(it.fitted.state())))
    assert again.templates == it.fitted.templates, "templates survive JSON"
    assert again.ids(it.training).tolist() == it.fitted.ids(it.training).tolist(), "so do ids"


@LAWS.law(when=lambda it: not it.make().complete)
def what_its_state_lacks_is_said(it: Subject) -> None:
    again = type(it.fitted).from_state(json.loads(json.dumps(it.fitted.state())))
    assert_refused(lambda: again.ids(["never seen in training"]), DataError, "a message that needs the user's code")


@LAWS.law(when=lambda it: it.make().complete)
def its_state_is_all_it_knows(it: Subject) -> None:
    again = type(it.fitted).from_state(json.loads(json.dumps(it.fitted.state())))
    assert again.ids(it.later).tolist() == it.fitted.ids(it.later).tolist(), "so do ids"


@LAWS.law(when=lambda it: name_of("parser", type(it.make())) is not None)
def its_state_names_it(it: Subject) -> None:
    assert type(load_parser(it.fitted.state())) is type(it.fitted), "whoever reads a state finds the parser"


@LAWS.law()
def misuse_is_explained(it: Subject) -> None:
    assert_refused(lambda: it.make().ids(["a"]), NotFitted, "ids before fit")
