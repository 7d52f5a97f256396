"""Laws of the compiled expressions: they find what `re` finds, whatever the expression and the text, or say that `re` has to decide."""

import csv
import lzma
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import names
from qlogad.bench.parser import SETTINGS
from qlogad.logs.reading.mask import Mask

pytest.importorskip("numba")

from qlogad.logs.regex import machine
from qlogad.logs.regex.program import Masks, Program, compile_masks, compile_pattern

Found = list[tuple[int, int]] | None  # the spans of the match and its groups
BUDGET = 20_000
STACK = 3_000
MASKS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    **{name: (one.masks, one.mask_starts) for name in names.known("dataset") if (one := names.find("dataset", name))},
    **{
        f"{name} {place}": ((("SOME", mask),), "") for name, setting in SETTINGS.items() for place, mask in enumerate(setting.masks)
    },
}
FORMATS = [  # an HDFS line, the clock of BGL, nova
    re.compile(r"(\d{6} \d{6}) \d+ ([A-Z]+) ([^\s:]+): (.*)", re.ASCII),
    re.compile(r"(\d{4}-\d\d-\d\d-\d\d\.\d\d)\.([0-5]\d)\.(\d{6})", re.ASCII),
    re.compile(r"(\S+) +(\S+)(?: \[([^\]]*)\])? (.*?)\s*"),
]


def find(program: Program, text: str, at: int = 0, *, anchored: bool = False, advance: bool = False, budget: int = BUDGET) -> Found:
    """What the machine finds; OverflowError where `re` has to decide."""
    data, slots = np.frombuffer(text.encode("ascii"), np.uint8), np.empty(program.slots, np.int64)
    start, end, _ = machine.search(
        program.code,
        program.sets,
        program.jumps,
        program.entry,
        data,
        0,
        len(data),
        at,
        anchored,
        advance,
        slots,
        np.empty(STACK, np.int64),
        budget,
    )
    if start == machine.PYTHON:
        raise OverflowError
    pairs = slots[2 : 2 * max(program.groups.values(), default=0) + 2].reshape(-1, 2).tolist()
    return None if start < 0 else [(start, end), *((a, b) if b >= 0 else (-1, -1) for a, b in pairs)]


def mask(masks: Masks, message: str, budget: int = BUDGET) -> tuple[str, tuple[str, ...]] | None:
    """The masked message and its values; None where `re` has to decide."""
    data, room = np.frombuffer(message.encode("utf-8", "surrogatepass"), np.uint8), np.empty(20 * len(message) + 20, np.uint8)
    spans = np.empty((len(message) + 1, 3), np.int64)
    slots, stack = np.empty(masks.slots, np.int64), np.empty(STACK, np.int64)
    end, known = machine.mask_line(masks.arrays, data, 0, len(data), room, 0, spans, 0, slots, stack, budget)
    if end == machine.PYTHON:
        return None
    return room[:end].tobytes().decode("ascii"), tuple(message[a:b] for a, b, _ in spans[:known].tolist())


def masked(python: Mask, message: str) -> tuple[str, tuple[str, ...]]:
    text, values = python(message)
    return " ".join(text.split()), values


# ---------------------------------------------------------------- any expression, any text

atom = st.sampled_from([*"abcA1 ", "ab", "[ab]", "[^a]", ".", r"\w", r"\W", r"\d", r"\s", "[a-c1]", "\n", "-", "é", "[^é]"])
quantity = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,3}", "{2,}", "{0}", "{,9}", "{3,9}"])
anchor = st.sampled_from(["^", "$", r"\A", r"\Z", r"\b", r"\B"])
opening = st.sampled_from(["(?:", "(?:", "(?:", "(", "(?>", "(?i:", "(?s:", "(?m:", "(?=", "(?!", "(?<=", "(?<!"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    branches = st.lists(inner, min_size=1, max_size=3).map("|".join)
    return st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.builds("{}{})".format, opening, branches),
        st.builds("(?:{}){}{}".format, inner, quantity, st.sampled_from(["", "", "?"])),
        st.builds("{}{}{}".format, atom.filter(lambda one: len(one) == 1), quantity, st.sampled_from(["", "?", "+"])),
    )


expression = st.recursive(st.one_of(atom, atom, atom, anchor), _larger, max_leaves=8)
text = st.text(alphabet="aaabbbc1 A\n_-", max_size=10)
flag = st.sampled_from([0, 0, re.ASCII, re.IGNORECASE, re.MULTILINE, re.DOTALL, re.MULTILINE | re.DOTALL])


@settings(max_examples=300)
@given(expression, flag, st.lists(text, min_size=1, max_size=4))
def test_a_compiled_expression_finds_what_re_finds(pattern: str, flags: int, texts: list[str]) -> None:
    _same(pattern, flags, texts)


@pytest.mark.slow
@settings(max_examples=20_000)
@given(expression, flag, st.lists(text, min_size=1, max_size=4))
def test_many_compiled_expressions_find_what_re_finds(pattern: str, flags: int, texts: list[str]) -> None:
    _same(pattern, flags, texts)


def _same(pattern: str, flags: int, texts: list[str]) -> None:
    count = 0

    def named(_: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"(?P<g{count}>"

    pattern = re.sub(r"\((?!\?)", named, pattern)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            python = re.compile(pattern, flags)
        except re.error:
            assert compile_pattern(pattern, flags) is None
            return
    part, whole = compile_pattern(pattern, flags), compile_pattern(pattern, flags, whole=True)
    assert (part is None) == (whole is None)
    if part is None or whole is None:
        assert count  # only what concerns groups is left to Python
        return
    for one in texts:
        ways = ((part, False, python.search), (part, True, python.match), (whole, True, python.fullmatch))
        try:  # what takes the machine long can take `re` years
            found = [find(program, one, anchored=anchored, budget=2_000) for program, anchored, _ in ways]
            every = list(_every(part, one))
        except OverflowError:
            continue
        for spans, (_, _, way) in zip(found, ways, strict=True):
            match = way(one)
            assert spans == (match and [match.span(g) for g in range(python.groups + 1)])
        assert every == [match.span() for match in python.finditer(one)]


def _every(program: Program, one: str) -> Iterator[tuple[int, int]]:
    at, advance = 0, False
    while found := find(program, one, at, advance=advance):
        yield found[0]
        at, advance = found[0][1], found[0][0] == found[0][1]


@pytest.mark.parametrize("pattern", [r"(a)\1", r"(a)?(?(1)b|c)", "(", r"(?:ab|a)++", "(?L:a)", r"(?P<a>b)(?P=a)"])
def test_what_only_python_can_decide_is_left_to_it(pattern: str) -> None:
    assert compile_pattern(pattern) is None
    assert compile_masks([("A", pattern)]) is None


@pytest.mark.parametrize("pattern", ["(?:a|aa)+c", "(a+)+c", "(?:a?){30}a{30}c", "(?:a*)*c", "(?:a|b|ba)*c"])
def test_an_expression_that_takes_forever_is_left_to_python(pattern: str) -> None:
    program = compile_pattern(pattern)
    masks = compile_masks([("A", pattern + "(?<=d)")])  # the automaton does not look behind
    assert program is not None
    assert masks is not None
    with pytest.raises(OverflowError):
        find(program, "a" * 60 + "ba" * 30)
    assert mask(masks, "a" * 60 + "ba" * 30 + "a" * 60 + "c") is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_text_is_all_there_is_to_look_at(begin: int, length: int) -> None:
    """Looking back or ahead sees nothing of the bytes around it."""
    line = "12 a blk_7 0x1f 10.0.0.1:80 -5 word9 3.4 x" * 2
    begin, end = min(begin, len(line)), min(begin + length, len(line))
    python = re.compile(r"(?<![\w.])[-+]?\d+(?!\w)|\b0x|^a|k$|\bw")
    program = compile_pattern(python.pattern)
    assert program is not None
    data, stack = np.frombuffer(line.encode(), np.uint8), np.empty(STACK, np.int64)
    slots = np.empty(program.slots, np.int64)
    arrays = (program.code, program.sets, program.jumps, program.entry)
    found = machine.search(*arrays, data, begin, end, begin, False, False, slots, stack, BUDGET)[:2]
    match = python.search(line[begin:end])
    assert found == ((begin + match.start(), begin + match.end()) if match else (machine.NONE, machine.NONE))


# ---------------------------------------------------------------- masks and formats

WORDS = """
blk_ blk_-1 blk_12 12 7 . - + / : , 0x 0x1f 10.0.0.1 1.2.3.4:50 a f00dbabe R02-M1-N0-C:J12-U11 core.12 /usr/lib /a <*> <:NUM:> <: < x.y.z
mask_9 é 12:34:56 KB = 4G sec T17 2005-06-03-15.42.50.675872 081109 203518 INFO dfs.Node:
"""
piece = st.sampled_from([*WORDS.split(), "\t", "\x1f", "\x0b", "\n"])
message = st.lists(st.one_of(piece, st.just(" "), st.text(alphabet="ab0x.-_/:<*> ", max_size=3)), max_size=12).map("".join)


@pytest.mark.parametrize("name", MASKS)
@settings(max_examples=20)
@given(st.lists(message, min_size=1, max_size=10))
def test_masks_that_are_shipped_mask_as_python_does(name: str, messages: list[str]) -> None:
    _masks_alike(name, messages)


def _masks_alike(name: str, messages: Iterable[str]) -> None:
    compiled, python = compile_masks(*MASKS[name]), Mask(*MASKS[name])
    assert compiled is not None
    for one in messages:
        found = mask(compiled, one)
        assert found == masked(python, one) if one.isascii() else found is None


@given(st.lists(st.tuples(st.sampled_from("ABCD"), expression), max_size=3, unique_by=lambda pair: pair[0]), message, text)
def test_any_masks_mask_as_python_does(masks: list[tuple[str, str]], one: str, other: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            python = Mask(masks)
    except ValueError:
        return
    if compiled := compile_masks(masks):
        for given_text in (one, other):
            if found := mask(compiled, given_text, budget=2_000):
                assert found == masked(python, given_text)


def test_without_room_python_decides() -> None:
    masks = compile_masks([("NUM", r"\d")])
    assert masks is not None
    tables = (masks.arrays,)
    data, slots = np.frombuffer(b"1 2 3 abc", np.uint8), np.empty(masks.slots, np.int64)
    whole = len("<:NUM:> <:NUM:> <:NUM:> abc")
    for room in range(whole + 8):
        for rows in range(5):
            out, spans, stack = np.zeros(room + 9, np.uint8), np.zeros((rows, 3), np.int64), np.empty(STACK, np.int64)
            end, known = machine.mask_line(*tables, data, 0, len(data), out[:room], 0, spans, 0, slots, stack, BUDGET)
            assert not out[room:].any()
            if room >= whole + 4 and rows >= 3:
                assert (end, known) == (whole, 3)
            else:
                assert end == machine.PYTHON or (rows >= 3 and end == whole)


@pytest.mark.parametrize("pattern", FORMATS, ids=lambda one: one.pattern)
@given(message)
def test_formats_find_the_same_fields(pattern: re.Pattern[str], one: str) -> None:
    _formats_alike(pattern, [one])


def _formats_alike(pattern: re.Pattern[str], lines: Iterable[str]) -> None:
    number = 0

    def named(_: re.Match[str]) -> str:
        nonlocal number
        number += 1
        return f"(?P<g{number}>"

    program = compile_pattern(re.sub(r"(?<!\\)\((?!\?)", named, pattern.pattern), pattern.flags & ~re.UNICODE, whole=True)
    assert program is not None
    for one in lines:
        if one.isascii():
            match = pattern.fullmatch(one)
            assert find(program, one, anchored=True) == (match and [match.span(group) for group in range(pattern.groups + 1)])


# ---------------------------------------------------------------- real lines


@pytest.mark.real
def test_real_lines_are_masked_and_split_as_python_does(real_data: Path) -> None:
    for file in ("hdfs/hdfs_raw_2pct_early.log.xz", "openstack/fi_nova_infoplus.log.xz", "bgl/bgl_first10k.log.xz"):
        with lzma.open(real_data / file, "rt", encoding="utf-8", errors="replace") as log:
            lines = [line.rstrip("\n") for line in islice(log, 5_000)]
        for pattern in FORMATS:
            _formats_alike(pattern, lines)
        for name, (masks, _) in MASKS.items():
            if len(masks) > 1:
                _masks_alike(name, lines)


@pytest.mark.real
def test_messages_of_all_systems_are_masked_as_python_does(real_data: Path) -> None:
    with tarfile.open(real_data / "loghub_2k" / "loghub_2k_original.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith("_2k.log_structured.csv") else None
            if content is not None:
                rows = csv.DictReader(content.read().decode("utf-8", "replace").splitlines())
                messages = [row["Content"] for row in islice(rows, 500)]
                for name in MASKS:
                    _masks_alike(name, messages)
