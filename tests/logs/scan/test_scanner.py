"""The compiled pass gives the events that the regular expressions of a layout give: of every format, clean or not, cut anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import jit, names
from qlogad.errors import DataError
from qlogad.logs.dataset import Intake
from qlogad.logs.events import read_pieces
from qlogad.logs.reading.layout import Layout, format_table, masks_of
from qlogad.logs.reading.line_files import LineFiles
from qlogad.logs.reading.line_reader import read_records
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.pieces import Piece, Ragged, StringTables, pieces_of
from qlogad.logs.reading.raw_lines import LONGEST, blocks, read_lines
from qlogad.logs.scan import scanner as scanning
from qlogad.logs.scan.scanner import Scanner
from tests.logs.samples import SAMPLES

pytestmark = pytest.mark.skipif(not jit.works(), reason="numba is not installed")

COLUMNS = ("line_E", "offset_E", "time_E", "label_E", "kind_E", "level_E", "component_E", "text_E", "member_session_M")
WORDS = ("kinds", "levels", "components", "texts", "sessions")
TEXT_FORMATS = [name for name in names.formats() if format_table(name).get("syntax", "text") == "text"]
DIRT = [
    "",
    " \t",
    "garbage",
    "\tat java.lang.Thread.run(Thread.java:745)",
    "é 12",
    "a\0b",
    "<*> <:NUM:> 7",
    "x" * 200,
    "Feb 29 99:00:00",
    "\x1c a  b",
]


def found(pieces: Iterator[Piece], words: StringTables, intake: Intake) -> dict[str, Any]:
    """Everything that was read, or why nothing was."""
    try:
        parts = list(pieces)
    except DataError as error:
        return {"error": str(error).partition(" cannot be read")[2]}
    told: dict[str, Any] = {name: [value for part in parts for value in getattr(part, name).tolist()] for name in COLUMNS}
    told["time_E"] = [repr(time) for time in told["time_E"]]
    first = np.cumsum([0, *map(len, parts)]).tolist()
    told["members"] = [event + start for start, part in zip(first, parts, strict=False) for event in part.member_event_M.tolist()]
    told["values"] = list(Ragged.joined([part.values_E for part in parts]))
    return told | {name: list(getattr(words, name)) for name in WORDS} | {"intake": intake}


def by_expressions(layout: Layout, mask: Mask, path: Path) -> dict[str, Any]:
    intake, words = Intake(), StringTables()
    records = read_records(layout, [("a.log", read_lines(path, intake))], intake)
    return found(pieces_of(records, words, mask), words, intake)


def by_scanner(layout: Layout, mask: Mask, path: Path, workers: int, size: int) -> dict[str, Any]:
    intake, words = Intake(), StringTables()
    scanner = Scanner(layout, mask, workers=workers)
    assert scanner.works
    return found(scanner.pieces([("a.log", blocks(path, size=size))], intake, words), words, intake)


def changed(dice: random.Random, line: str) -> str:
    """A line with other numbers and letters in places, or without its end."""
    kind = dice.random()
    if kind < 0.5:
        return "".join(dice.choice("0123456789") if c.isdecimal() and dice.random() < 0.15 else c for c in line)
    if kind < 0.7:
        return "".join(dice.choice("abcxyz0189 .:/<>-") if dice.random() < 0.03 else c for c in line)
    return line[: dice.randrange(len(line))] if kind < 0.75 else line


def log(dice: random.Random, example: str, many: int) -> bytes:
    lines = [changed(dice, example) if dice.random() < 0.85 else dice.choice(DIRT) for _ in range(many)]
    ends = [dice.choice(["\n", "\n", "\n", "\r\n"]) for _ in lines]
    return "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()[: -1 if dice.random() < 0.3 else None]


@pytest.mark.parametrize("name", TEXT_FORMATS)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 1 << 32))
def test_a_log_of_any_format_gives_the_same_events(tmp_path_factory: pytest.TempPathFactory, name: str, seed: int) -> None:
    dice = random.Random(seed)
    table = format_table(name)
    layout = Layout(name).complete()
    if dice.random() < 0.3 and layout.time_format != "s":
        layout = replace(layout, time_zone=dice.choice(["+05:30", "Europe/Berlin"]))
    if dice.random() < 0.3:
        layout = replace(layout, continuation=dice.choice([None, True, r"\s+(?P<message>.*)"]))
    path = tmp_path_factory.mktemp("log") / "a.log"
    path.write_bytes(log(dice, str(table["example"]), 60))
    mask = Mask(masks_of(name))
    if not Scanner(layout, mask).works:  # a year or a zone that turns, in lines that may go on: left to the expressions
        assert layout.continuation
        return
    expected = by_expressions(layout, mask, path)
    assert by_scanner(layout, mask, path, workers=dice.choice([1, 2, 3]), size=dice.choice([1, 300, 1 << 20])) == expected


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_data_set_of_lines_is_the_same_to_both(tmp_path: Path, name: str) -> None:
    data = dict(SAMPLES[name](tmp_path).data)
    cls = names.find("dataset", data.pop("dataset"))
    if not issubclass(cls, LineFiles):
        return
    dataset = cls(**{key: value for key, value in data.items() if key in cls.__dataclass_fields__})
    told = []
    for scan in (False, True):
        intake, words = Intake(), StringTables()
        told.append(found(read_pieces(dataset, intake, words, scan=scan), words, intake))
    assert told[0] == told[1]


def test_room_grows_for_whatever_a_line_needs(tmp_path: Path) -> None:
    layout = Layout(format="<Level> <Message>", session_pattern=r"s\d+", continuation=r"\s+(?P<message>.*)").complete()
    words: Sequence[str] = [f"s{number} {number}" for number in range(30_000)]
    rows = [
        "INFO " + " ".join(words),
        " more " * 9_000,
        "INFO " + "y" * (LONGEST + 1),
        *[f"L{number} one" for number in range(9_000)],
    ]
    path = tmp_path / "a.log"
    path.write_text("\n".join(rows))
    mask = Mask([("NUM", r"\b\d"), ("LETTER", "[a-z](?=o)")])
    expected = by_expressions(layout, mask, path)
    assert len(expected["line_E"]) == 9_001
    assert by_scanner(layout, mask, path, workers=2, size=1 << 16) == expected


def test_a_search_without_end_is_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_BUDGET", 40)
    layout = Layout(format="<Level> <Component>: <Message>", session_pattern=r"(?:a|b)+c").complete()
    path = tmp_path / "a.log"
    path.write_text("INFO x: short\n" + "INFO y: " + "ab" * 50 + "\nINFO z: abc 1\n")
    mask = Mask([("NUM", r"\d+")])
    assert by_scanner(layout, mask, path, workers=1, size=1 << 20) == by_expressions(layout, mask, path)
