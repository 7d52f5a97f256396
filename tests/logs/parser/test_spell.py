"""Laws of Spell, over any messages: what was learnt is found again and restored; the short cuts give what the long way would."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad.errors import DataError, InputError
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.parser import Parser, load_parser
from qlogad.logs.parser.spell import Spell
from qlogad.logs.parser.templates import WILDCARD, fill
from qlogad.logs.reading.mask import Mask

word = st.one_of(st.sampled_from(["get", "put", "of", "k9", "7", "<:NUM:>", "id=<:NUM:>,"]), st.text("abc", max_size=2))
texts = st.lists(st.lists(word, max_size=6).map(" ".join), max_size=30)
spells = st.builds(Spell, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))


@settings(deadline=None)
@given(spells, texts, texts)
def test_training_messages_find_a_template_and_a_state_survives_json(spell: Spell, training: list[str], later: list[str]) -> None:
    ids = spell.fit(training).ids(training)
    assert ids.dtype == np.int64
    assert (ids >= 0).all()
    again = load_parser(json.loads(json.dumps(spell.state())))
    assert again.state() == spell.state()
    assert again.templates == spell.templates
    assert again.ids(training + later).tolist() == spell.ids(training + later).tolist()
    with pytest.raises(DataError, match="frozen"):
        spell.fit(later)


message = st.lists(st.one_of(word, st.integers(0, 99).map("id={}".format), st.sampled_from([" ", "a\tb"])), max_size=6).map(
    " ".join
)


@settings(deadline=None)
@given(spells, st.lists(message, max_size=30))
def test_template_and_parameters_give_every_training_message_back(spell: Spell, messages: list[str]) -> None:
    mask = Mask([("WORD", r"\bput\b"), ("NUM", r"\d+")])
    masked = [mask(item) for item in messages]
    spell.fit(text for text, _ in masked)
    for item, (cut, values), number in zip(messages, masked, spell.ids([text for text, _ in masked]), strict=True):
        assert fill(spell.templates[number], spell.parameters(number, cut, values)) == " ".join(item.split())


def longest_common(one: list[str], other: list[str]) -> int:
    row = [0] * (len(other) + 1)
    for token in one:
        above = row[:]
        for place, b in enumerate(other):
            row[place + 1] = above[place] + 1 if token == b else max(above[place + 1], row[place])
    return row[-1]


@settings(deadline=None)
@given(spells, texts, texts)
def test_the_short_cuts_give_what_all_subsequences_would(spell: Spell, training: list[str], later: list[str]) -> None:
    """No message is left out that has enough in common with a template, and none is given one that it has too little in common with."""
    spell.fit(training)
    templates = [[token for token in template.split() if token != WILDCARD] for template in spell.templates]
    longest = [entry["longest"] for entry in spell.state()["templates"]]
    for text, number in zip(later, spell.ids(later).tolist(), strict=True):
        tokens = text.split()
        common = [longest_common(template, tokens) for template in templates]
        needed = max(spell.similarity * len(tokens), bool(tokens))
        enough = [place for place, count in enumerate(common) if count >= needed and (tokens or not templates[place])]
        inside = [
            place for place in range(len(templates)) if common[place] == len(templates[place]) and len(tokens) <= longest[place]
        ]
        assert number in {*enough, *inside} if number >= 0 else not enough
        if number >= 0 and number not in inside and common[number] < len(templates[number]):
            assert common[number] == max(common[place] for place in enough), "the longest is taken"


@settings(deadline=None)
@given(spells, texts)
def test_repetitions_change_nothing(spell: Spell, training: list[str]) -> None:
    once = Spell(spell.similarity).fit(dict.fromkeys(training)).state()
    assert spell.fit(training + training).state() == once


names = st.text("uvwxyz", min_size=1, max_size=4)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 6), st.lists(st.lists(names, min_size=3, max_size=3), min_size=2, max_size=8), st.randoms(use_true_random=False)
)
def test_planted_templates_are_found_again(count: int, values: list[list[str]], random) -> None:
    """Templates of words of their own, with variable parts that vary, in messages in any order, by every parser that learns."""
    planted = []
    for number in range(count):
        tokens = [f"{letter}{'abcdef'[number]}" for letter in "ABCDEFG"]
        for place in random.sample([2, 4, 6], random.randint(1, 3)):
            tokens[place] = WILDCARD
        planted.append(" ".join(tokens))
    varied = [[f"{name}{place}{row}" for place, name in enumerate(own)] for row, own in enumerate(values)]
    messages = [fill(template, own) for template in planted for own in varied]
    random.shuffle(messages)
    parsers: list[Parser] = [Drain(), Spell()]
    for parser in parsers:
        parser.fit(messages)
        assert set(parser.templates) == set(planted)
        for template in planted:
            fresh = fill(template, ["new1", "new2", "new3"])
            assert parser.templates[int(parser.ids([fresh])[0])] == template


def test_messages_of_different_lengths_share_a_template() -> None:
    spell = Spell().fit(["open file a", "open file a now", "open the file", "close"])
    assert spell.templates == ("open <*> file <*>", "close")
    assert spell.ids(["open file", "open a very long file name that goes on and on", "shut"]).tolist() == [0, -1, -1]


def test_damaged_states_are_refused() -> None:
    state = Spell().fit(["a b"]).state()
    (template,) = state["templates"]
    for damage in ({"templates": [{**template, "gaps": [True]}]}, {"similarity": 2}, {"templates": [3]}, {"version": 0}):
        with pytest.raises(InputError):
            load_parser({**state, **damage})
