"""Laws of the parsers, over any messages: what was learnt is found again, nothing changes once frozen, nothing is lost."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad.errors import DataError, NotFitted
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.parser import load_parser
from qlogad.logs.parser.templates import PLACEHOLDER
from qlogad.logs.reading.mask import Mask

word = st.one_of(st.sampled_from(["get", "put", "of", "<*>", "k9", "7", "<:NUM:>", "id=<:NUM:>,", "x<*>y"]), st.text(max_size=4))
text = st.lists(word, max_size=6).map(" ".join)
texts = st.lists(text, max_size=40)
drains = st.builds(
    Drain, depth=st.integers(3, 7), similarity=st.sampled_from([0.0, 0.3, 0.4, 0.7, 1.0]), max_children=st.integers(1, 4)
)


@settings(deadline=None)
@given(drains, texts)
def test_every_training_message_finds_a_template_that_fits_it(drain: Drain, training: list[str]) -> None:
    ids = drain.fit(training).ids(training)
    assert ids.dtype == np.int64
    assert (ids >= 0).all()
    assert len(set(drain.templates)) <= len(drain.templates) <= len(set(training))


@settings(deadline=None)
@given(drains, texts, texts)
def test_a_state_survives_json(drain: Drain, training: list[str], later: list[str]) -> None:
    drain.fit(training)
    again = load_parser(json.loads(json.dumps(drain.state())))
    assert isinstance(again, Drain)
    assert again.templates == drain.templates
    assert again.state() == drain.state()
    assert again.ids(training + later).tolist() == drain.ids(training + later).tolist()


@settings(deadline=None)
@given(drains, texts, texts)
def test_frozen_means_frozen(drain: Drain, training: list[str], later: list[str]) -> None:
    drain.fit(training)
    state = json.dumps(drain.state())
    alone = [drain.ids([message])[0] for message in later]
    assert drain.ids(later).tolist() == alone  # neither order nor company matters
    assert drain.ids(later[::-1]).tolist() == alone[::-1]
    assert json.dumps(drain.state()) == state
    with pytest.raises(DataError, match="frozen"):
        drain.fit(later)


@settings(deadline=None)
@given(texts)
def test_repetitions_change_nothing_and_the_same_order_gives_the_same_state(training: list[str]) -> None:
    once = Drain().fit(dict.fromkeys(training)).state()
    assert Drain().fit(training).state() == once
    assert Drain().fit([message for message in training for _ in range(2)] + training).state() == once


def refill(template: str, parameters: tuple[str, ...]) -> str:
    """Put the parameters into the wildcards and placeholders of a template, one by one."""
    left = iter(parameters)
    full = " ".join(next(left) if token == "<*>" else PLACEHOLDER.sub(lambda _: next(left), token) for token in template.split())
    assert next(left, None) is None
    return full


message = st.lists(st.one_of(word, st.integers(0, 999).map("id={}".format), st.sampled_from([" ", "a\tb"])), max_size=6).map(
    " ".join
)


@settings(deadline=None)
@given(drains, st.lists(message, max_size=30))
def test_template_and_parameters_give_every_training_message_back(drain: Drain, messages: list[str]) -> None:
    mask = Mask([("WORD", r"\bput\b"), ("NUM", r"\d+")])
    masked = [mask(item) for item in messages]
    drain.fit(text for text, _ in masked)
    for item, (cut, values), number in zip(messages, masked, drain.ids([text for text, _ in masked]), strict=True):
        assert " ".join(refill(drain.templates[number], drain.parameters(number, cut, values)).split()) == " ".join(item.split())


def test_lengths_and_leading_tokens_separate_and_similar_messages_join() -> None:
    drain = Drain(depth=5).fit(
        ["open file a now", "open file b now", "open file a", "shut file a now", "open 7 a now", "open 8 a now"]
    )
    ids = drain.ids(["open file c now", "open file z", "shut file q now", "open 9 a now", "open", "lift file a now"]).tolist()
    assert drain.templates == ("open file <*> now", "open file a", "shut file a now", "open <*> a now")
    assert ids == [0, 1, 2, 3, -1, -1]


def test_a_full_node_sends_further_tokens_to_its_wildcard() -> None:
    drain = Drain(max_children=3).fit([f"{letter} went down" for letter in "abcdefgh"])
    assert drain.templates == ("a went down", "b went down", "<*> went down")
    assert drain.ids(["z went down"]).tolist() == [2]


words = st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=1, max_size=5, unique=True)
tail = st.lists(st.text("uvwxyz", min_size=1, max_size=4), min_size=2, max_size=6)


@given(words, tail, st.integers(0, 3), st.data())
def test_a_token_that_has_proved_variable_grows_no_further_template(names: list[str], rest: list[str], place: int, data) -> None:
    """A leading token with a digit opens the wildcard's branch; later words in its place are similar to what lies there."""
    place = min(place, len(rest))
    first = data.draw(st.sampled_from(["n7", "7", "10.0.0.1", "x9y"]))
    messages = [" ".join([*rest[:place], name, *rest[place:]]) for name in (first, *names)]
    drain = Drain(depth=4 + place).fit(messages)
    assert drain.templates == (" ".join([*rest[:place], "<*>", *rest[place:]]),)
    assert (drain.ids(messages) == 0).all()


class Node:
    """A node of the tree as published: literal and wildcard branches, or at a leaf the clusters."""

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.clusters: list[list[str]] = []


def published(messages: list[str], depth: int, similarity: float, max_children: int) -> list[str]:
    """Drain as its authors' logparser and Drain3 run it, node by node; templates in order of creation."""
    trees: dict[int, Node] = {}
    made: list[list[str]] = []

    def search(tokens: list[str]) -> list[str] | None:
        node = trees.get(len(tokens))
        for token in tokens[: min(depth - 3, len(tokens) - 1)]:
            node = None if node is None else node.children.get(token, node.children.get("<*>"))
        scored = [
            (sum(a == b for a, b in zip(cluster, tokens, strict=True)) / len(tokens), cluster.count("<*>"), -number, cluster)
            for number, cluster in enumerate([] if node is None else node.clusters)
        ]
        best = max(scored, default=(-1.0, 0, 0, None))
        return best[3] if best[0] >= similarity else None

    def insert(tokens: list[str]) -> None:
        node = trees.setdefault(len(tokens), Node())
        for token in tokens[: min(depth - 3, len(tokens) - 1)]:
            branch = token
            if token not in node.children:
                room = len(node.children) + ("<*>" not in node.children) < max_children
                branch = token if room and not any(map(str.isdigit, token)) else "<*>"
            node = node.children.setdefault(branch, Node())
        node.clusters.append(tokens)
        made.append(tokens)

    for message in messages:
        tokens = message.split()
        found = search(tokens)
        if found is None:
            insert(tokens)
        else:
            found[:] = [a if a == b else "<*>" for a, b in zip(found, tokens, strict=True)]
    return [" ".join(tokens) for tokens in made]


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.sampled_from([*"abcde", "k9", "7", "<:NUM:>"]), min_size=1, max_size=5).map(" ".join), max_size=40, unique=True
    ),
    st.integers(3, 7),
    st.sampled_from([0.0, 0.3, 0.39, 0.4, 0.5, 0.7, 1.0]),
    st.integers(1, 6),
)
def test_equal_settings_grow_the_published_tree(messages: list[str], depth: int, similarity: float, max_children: int) -> None:
    assert list(Drain(depth, similarity, max_children).fit(messages).templates) == published(
        messages, depth, similarity, max_children
    )


@given(texts, texts)
def test_identity_is_a_template_per_message(training: list[str], later: list[str]) -> None:
    parser = Identity().fit(training)
    again = load_parser(json.loads(json.dumps(parser.state())))
    for number, item in zip(parser.ids(training + later), training + later, strict=True):
        assert parser.templates[number] == item if item in training else number == -1
    assert again.ids(training + later).tolist() == parser.ids(training + later).tolist()
    with pytest.raises(DataError, match="frozen"):
        parser.fit(later)


@pytest.mark.parametrize("parser", [Drain, Identity])
def test_a_parser_that_is_not_fitted_says_so(parser) -> None:
    with pytest.raises(NotFitted, match="fit"):
        parser().ids(["x"])


@pytest.mark.parametrize("setting", [{"depth": 2}, {"similarity": 1.5}, {"max_children": 0}])
def test_senseless_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(DataError, match="Drain needs"):
        Drain(**setting)


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(DataError, match="another version of qlogad"):
        load_parser({**Drain().fit([]).state(), "version": 1})
