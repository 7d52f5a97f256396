"""Laws of templates as text: a message made from one fits it, and its parameters restore the message."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qlogad.bench.parser import samples
from qlogad.errors import DataError
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.known import read_templates, templates_text
from qlogad.logs.parser.templates import SLOT, WILDCARD, KnownTemplates, fill, masked_template
from qlogad.logs.reading.mask import Mask

piece = st.sampled_from(["get", "put", "of", "k9", "7", "id=", "(", "a:b", WILDCARD, WILDCARD, "<:NUM:>"])
token = st.lists(piece, min_size=1, max_size=3).map("".join)
templates = st.lists(token, min_size=1, max_size=5).map(" ".join)
part = st.text("abxyz019=.", min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(templates, min_size=1, max_size=6), st.data())
def test_a_message_made_from_a_template_fits_one_and_is_restored(given_templates: list[str], data: st.DataObject) -> None:
    known = KnownTemplates(given_templates)
    template = data.draw(st.sampled_from(given_templates))
    text = SLOT.sub(lambda slot: data.draw(part) if slot[0] == WILDCARD else slot[0], template)
    values = [data.draw(part) for _ in re.findall(r"<:NUM:>", text)]
    left = iter(values)
    message = re.sub(r"<:NUM:>", lambda _: next(left), text)
    found = known.find(text)
    assert found >= 0
    assert fill(known.templates[found], known.parameters(found, text, values)) == message


@given(st.lists(templates, min_size=1, max_size=6))
@example(["<*>", "<*><*>", "<:NUM:>"])
def test_what_has_no_wildcard_is_found_verbatim_and_first(given_templates: list[str]) -> None:
    plain = [template for template in given_templates if WILDCARD not in template]
    known = KnownTemplates(given_templates)
    for template in plain:
        assert known.templates[known.find(template)] == template


@settings(deadline=None)
@given(st.lists(st.sampled_from("ab"), max_size=6).map("".join), st.text("ab", max_size=8))
def test_a_wildcard_holds_what_a_regular_expression_would_let_it(marked: str, text: str) -> None:
    """Of single tokens, for any two strings: `a` in the template is a wildcard."""
    template = marked.replace("a", WILDCARD)
    expected = re.fullmatch("".join("[ab]+" if letter == "a" else letter for letter in marked), text) is not None
    if template and text:
        loosely = re.fullmatch("".join("[ab]*" if letter == "a" else letter for letter in marked), text) is not None
        assert (KnownTemplates([template]).find(text) == 0) == (expected or (loosely and WILDCARD in template))


def test_the_template_that_spells_out_most_is_taken_and_whole_tokens_go_first() -> None:
    known = KnownTemplates(["<*> <*>", "open <*>", "open file", "open <*> now", "core.<*> at /<*>:<*>"])
    texts = ["open file", "open x", "shut x", "open now", "open a b now", "open a b c", "core.<:NUM:> at <:IP:>"]
    assert [known.templates[place] for place in map(known.find, texts)] == [
        "open file",
        "open <*>",
        "<*> <*>",
        "open <*>",
        "open <*> now",
        "open <*>",
        "core.<*> at /<*>:<*>",
    ]
    assert known.parameters(4, "core.<:NUM:> at <:IP:>", ["3", "/1.2.3.4:80"]) == ("3", "1.2.3.4", "80")


def test_masks_apply_to_what_a_template_spells_out() -> None:
    mask = Mask([("NUM", r"\b\d+\b"), ("ALL", r"eat \S+")])
    assert masked_template("error 404 of <*> at 10<*>", mask) == "error <:NUM:> of <*> at 10<*>"
    assert masked_template("a <:NUM:> b", mask) == "a <:NUM:> b"
    assert masked_template("eat <*>", mask) == "eat <*>", "a mask that would cut out the variable part leaves it"


HOSTILE = "a" * 40 + " <*>b" * 40


def test_hostile_templates_take_no_exponential_time() -> None:
    known = KnownTemplates([HOSTILE, "<*>a" * 60])
    assert known.find("a" * 5000) == 1
    assert known.find("a" * 5000 + "c") == -1


LINES = ["sent <*> bytes", "sent <:NUM:> bytes to <*>", '{"not": json', "a,b, <*>", "#5 <*>"]


def test_templates_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text(templates_text(LINES) + "\n\n" + LINES[0] + "\n")
    table = tmp_path / "t.csv"
    cells = ['"' + line.replace('"', '""') + '"' for line in LINES]
    table.write_text("EventId,EventTemplate,Occurrences\n" + "".join(f"E1,{cell},3\n" for cell in cells))
    record = {"body": {"stringValue": "x"}, "attributes": []}
    lines = []
    for line in LINES:
        tagged = {**record, "attributes": [{"key": "log.record.template", "value": {"stringValue": line}}]}
        lines.append(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record, tagged]}]}]}))
    (tmp_path / "otlp.jsonl").write_text("\n".join(lines))
    for path in (text, table, tmp_path / "otlp.jsonl"):
        assert read_templates(path) == tuple(LINES)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no templates"),
        ("\n \n", "no templates"),
        ("EventId,EventTemplate\nE1\n", "line 2"),
        ('{"resourceLogs": []}\n', "no templates"),
        ('{"resourceLogs": []}\nnot json\n', "line 2"),
        ("x" * (2 << 20), "line 1"),
    ],
)
def test_files_without_templates_are_told(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(DataError, match=says) as caught:
        read_templates(tmp_path / "t.txt")
    assert len(str(caught.value).splitlines()) == 1
    for missing in (tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(DataError):
            read_templates(missing)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from(["get", "put", "of", "k9", "<:NUM:>", "x", "y"]), min_size=1, max_size=5).map(" ".join)))
def test_what_a_parser_found_is_known_again(texts: list[str]) -> None:
    """Each training message fits a template of its parser, verbatim."""
    for parser in (Drain(), Identity()):
        parser.fit(texts)
        known = KnownTemplates(parser.templates)
        assert set(known.templates) == {template for template in parser.templates if template}
        assert all(known.find(text) >= 0 for text in texts)


@pytest.mark.real
def test_the_templates_of_loghub_find_their_messages(real_data: Path) -> None:
    """All but a few messages, whose published template is not theirs (five of 32,000), fit a template of the sample; most its own."""
    fit = own = count = 0
    for sample in samples(real_data / "loghub_2k").values():
        known = KnownTemplates(sample.corrected)
        for message, truth in zip(sample.messages, sample.corrected, strict=True):
            found = known.find(" ".join(message.split()))
            fit, own, count = fit + (found >= 0), own + (known.templates[found] == " ".join(truth.split())), count + 1
    assert fit >= count - 5
    assert own >= 0.97 * count
