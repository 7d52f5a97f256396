"""Laws of what steers any parser: known templates are kept verbatim and go first, the cap drops what its rule says."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import names
from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.parser import Parser, Steered, load_parser
from qlogad.logs.parser.templates import WILDCARD, KnownTemplates, fill
from tests.logs.parser.parsers import new_parser

word = st.sampled_from(["get", "put", "of", "k9", "7", "<:NUM:>", "id=<:NUM:>", "node-7", "up", "down"])
texts = st.lists(st.lists(word, min_size=1, max_size=5).map(" ".join), max_size=30)
known = st.lists(st.lists(st.one_of(word, st.just(WILDCARD)), min_size=1, max_size=4).map(" ".join), max_size=4)
parsers = st.sampled_from(names.known("parser"))


@settings(deadline=None)
@given(parsers, texts, texts, known)
def test_known_templates_are_kept_verbatim_and_first(
    name: str, training: list[str], later: list[str], given_templates: list[str]
) -> None:
    parser = Steered(new_parser(name), given_templates).fit(training)
    first = tuple(dict.fromkeys(given_templates))
    assert parser.templates[: len(first)] == first
    matcher = KnownTemplates(given_templates)
    learnt = new_parser(name).fit([text for text in training if matcher.find(text) < 0])
    assert parser.templates[len(first) :] == learnt.templates, "it learns from the rest alone"
    for text, found in zip(training + later, parser.ids(training + later).tolist(), strict=True):
        place = matcher.find(text)
        assert found == (place if place >= 0 else (own + len(first) if (own := int(learnt.ids([text])[0])) >= 0 else -1))
        if place >= 0:
            values = [str(number) for number in range(text.count("<:"))]
            left = iter(values)
            message = "".join(next(left) + part.split(":>", 1)[1] if at else part for at, part in enumerate(text.split("<:")))
            assert fill(parser.templates[found], parser.parameters(found, text, values)) == message


@settings(deadline=None)
@given(parsers, texts, known, st.integers(0, 6))
def test_the_cap_drops_the_least_frequent_and_of_equals_the_last(
    name: str, training: list[str], given_templates: list[str], room: int
) -> None:
    count = len(dict.fromkeys(given_templates))
    if count + room == 0:
        return
    whole = Steered(new_parser(name), given_templates).fit(training)
    capped = Steered(new_parser(name), given_templates, max_templates=count + room).fit(training)
    lines = Counter(place for place in whole.ids(training).tolist() if place >= count)
    appeared = list(dict.fromkeys(place for place in whole.ids(training).tolist() if place >= count))
    kept = sorted(sorted(appeared, key=lambda place: (-lines[place], appeared.index(place)))[:room])
    if len(whole.templates) <= count + room:
        kept = list(range(count, len(whole.templates)))
    assert capped.templates == tuple(whole.templates[place] for place in [*range(count), *kept])
    number = {place: new for new, place in enumerate([*range(count), *kept])}
    assert capped.ids(training).tolist() == [number.get(place, -1) for place in whole.ids(training).tolist()]
    assert sum(lines for _, lines in capped.dropped) == sum(lines[place] for place in appeared if place not in number)


@settings(deadline=None)
@given(parsers, texts, known)
def test_a_steered_state_survives_json(name: str, training: list[str], given_templates: list[str]) -> None:
    parser = Steered(new_parser(name), given_templates, max_templates=len(given_templates) + 3).fit(training)
    again = load_parser(json.loads(json.dumps(parser.state())))
    assert again.templates == parser.templates
    assert again.ids(training).tolist() == parser.ids(training).tolist()
    assert again.state() == parser.state()
    with pytest.raises(DataError, match="frozen"):
        again.fit(training)


def steered(**settings: object) -> Parser:
    return Steered(new_parser("identity"), **settings)  # type: ignore[arg-type]


def test_misuse_is_explained() -> None:
    with pytest.raises(DataError, match="2 known templates, more than max_templates = 1"):
        steered(known=["a", "b"], max_templates=1)
    with pytest.raises(NotFitted, match="fit"):
        steered(known=["a"]).ids(["a"])
    state = steered(known=["a"]).fit(["b"]).state()
    for damage in ({"kept": [3]}, {"kept": [0, 0]}, {"version": 0}, {"of": state}):
        with pytest.raises(DataError):
            load_parser({**state, **damage})
