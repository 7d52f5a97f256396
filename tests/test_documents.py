"""Laws of documents: what is written reads back, what is unknown is refused in one line, equal content has an equal digest."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad import documents
from qlogad.errors import DocumentError
from qlogad.experiment.data import Data
from qlogad.experiment.experiment import Judge

KEYS = st.text("abcdefgh_", min_size=1, max_size=6)
LEAVES = st.one_of(
    st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12)
)
TABLES = st.dictionaries(
    KEYS, st.one_of(LEAVES, st.lists(LEAVES, max_size=3), st.dictionaries(KEYS, LEAVES, max_size=3)), max_size=4
)


@given(TABLES)
def test_a_table_written_as_toml_reads_back(table: dict[str, Any]) -> None:
    assert documents.parse(documents.dump(table)) == table


@given(TABLES)
def test_the_digest_depends_on_content_not_on_order(table: dict[str, Any]) -> None:
    turned = dict(reversed(list(table.items())))
    assert documents.digest(table) == documents.digest(turned)
    assert documents.digest({**table, "extra": 1}) != documents.digest({**table, "extra": 2})


def test_digests_tell_arrays_apart_by_value_type_and_shape() -> None:
    array = np.arange(6)
    others = [array.astype(np.int32), array.reshape(2, 3), array + 1]
    assert documents.digest(array) == documents.digest(array.copy())
    assert all(documents.digest(array) != documents.digest(other) for other in others)


@given(TABLES, KEYS, LEAVES)
def test_an_override_changes_one_key_and_leaves_the_original(table: dict[str, Any], key: str, value: object) -> None:
    text = documents.dump({"v": value}).removeprefix("v = ").strip()
    before = documents.digest(table)
    changed = documents.override(table, f"{key}={text}")
    assert changed[key] == value
    assert {k: v for k, v in changed.items() if k != key} == {k: v for k, v in table.items() if k != key}
    assert documents.digest(table) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"sedes": 3}, "did you mean 'seeds'"),
        ({"seeds": "many"}, "seeds"),
        ({"metric": "f2"}, "metric"),
        ({"contrasts": [["a"]]}, "contrasts"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(content: dict[str, Any], says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        documents.from_mapping(Judge, content, "x.toml: [judge]")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x.toml: [judge]")


def test_nested_documents_are_checked_too() -> None:
    with pytest.raises(DocumentError, match="did you mean 'cuts'"):
        documents.from_mapping(Data, {"split": {"by": "time", "cut": [0.5]}})


def test_a_dataclass_survives_the_way_through_toml() -> None:
    judge = Judge(seeds=3, contrasts=(("a", "b"),))
    again = documents.from_mapping(Judge, documents.parse(documents.dump(judge)))
    assert dataclasses.asdict(again) == dataclasses.asdict(judge)


@pytest.mark.parametrize("assignment", ["novalue", "=3", "a.b.c=1", "list.nobody=1"])
def test_a_bad_override_is_one_line(assignment: str) -> None:
    with pytest.raises(DocumentError):
        documents.override({"a": {"b": 1}, "list": [{"name": "x"}]}, assignment)


HOSTILE = ["x" * 10**6, "a\n" * 10**5, "9" * 5000, "²", "contender.²", "contender." + "9" * 5000, ".".join("a" * 1000), "'" * 10**5]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    "form", ["{}", "{}=1", "judge.b={}", "judge.b=0x1{}", "contender.{}.b=1", "contender.0.{}.b=1", "judge.{}.b.c=1"]
)
def test_an_override_of_anything_is_done_or_refused_in_one_short_line(form: str, text: str) -> None:
    content = {"contender": [{"name": "a", "b": 1}], "judge": {"b": 2}, "x" * 10**6: 3}
    try:
        documents.override(content, form.format(text))
        said = ""
    except DocumentError as error:
        said = str(error)
    assert len(said) < 300
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    "value", ["x" * 10**6, "a\n" * 10**6, int("f" * 5000, 16), [[]] * 10**5, {"a" * 10**6: 1}, None], ids=range(6)
)
@pytest.mark.parametrize("key", ["metric", "seeds", "alpha", "contrasts"])
def test_a_value_that_does_not_fit_is_shown_in_one_short_line(key: str, value: object) -> None:
    with pytest.raises(DocumentError) as caught:
        documents.from_mapping(Judge, {key: value}, "my.toml")
    assert key in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 16**5000], ids=range(3))
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    with pytest.raises(DocumentError, match="more than 64 bits"):
        documents.parse(f"a = [{{ b = {hex(number) if number > 0 else number} }}]")
    assert documents.parse(f"a = {2**63 - 1}\nb = {-(2**63)}") == {"a": 2**63 - 1, "b": -(2**63)}
