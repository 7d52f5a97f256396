"""Laws of quarantine.md: it accounts for every line, shows lines of every reason as they are, and none acts on its reader."""

import random
import re
from pathlib import Path

import pytest

from qlogad import escape, names
from qlogad.errors import DataError
from qlogad.logs.dataset import Intake
from qlogad.logs.events import read_events
from qlogad.logs.quarantine import by_reason
from qlogad.report import quarantine
from tests.logs.samples import SAMPLES

DIRT = [
    b"\xff\xfe not text \x1b[2J",
    b"a\0b | c <b>",
    b"    at org.x.Y(Y.java:3)",
    b"",
    b" \t ",
    b"one\rtwo",
    b"![x](http://a) `y`",
    b"\xe2\x80\xaetxt.exe",
    b"{}",
    b'{"a": [}',
]
TOO_LONG = b"x" * ((1 << 20) + 1)


def dirtied(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    """The lines with others among them, some twice, some out of order; most stay as they are."""
    found = lines[:1]  # the header of a table
    for line in lines[1:]:
        if dice.random() < 0.05:
            found.append(dice.choice(DIRT))
        if dice.random() < 0.02:
            found.insert(dice.randrange(1, len(found) + 1), line)
        found.append(line)
    found.insert(dice.randrange(1, len(found)), TOO_LONG)
    return found


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"synthetic"}))
def test_every_line_of_a_dirty_log_of_any_data_set_is_accounted_for(name: str, tmp_path: Path) -> None:
    dice = random.Random(name)
    sample = SAMPLES[name](tmp_path)
    end = dice.choice([b"\n", b"\r\n"])
    content = end.join(dirtied(dice, sample.log.read_bytes().split(b"\n")))
    sample.log.write_bytes(content)
    cls = names.find("dataset", name)
    dataset = cls(**{key: value for key, value in sample.data.items() if key in cls.__dataclass_fields__})
    events = read_events(dataset, store=False)
    intake = events.intake
    assert intake.lines == content.count(b"\n") + (not content.endswith(b"\n"))
    assert intake.lines == sum(count for _, count in quarantine.account(intake))
    assert "longer than 1 MiB" in intake.reasons()

    groups = by_reason(intake, dataset.text)
    assert {group.reason: group.lines for group in groups} == intake.reasons()
    page = quarantine.text_of(name, dataset, events)
    assert page is not None
    counts = [int(cell.replace(",", "")) for cell in re.findall(r"(?m)^\| ([\d,]+) +\| +[\d.]+% ", page)]
    assert sum(counts) == intake.lines
    assert "\x1b" not in page
    assert all(character == "\n" or character.isprintable() for character in page)
    assert page.count("What to do: ") == len(groups)
    stored = content.split(b"\n")
    for group in groups:
        assert escape.markdown(group.reason) in page
        for line, text in group.examples.items():
            assert stored[line - 1].removesuffix(b"\r").decode("utf-8", "backslashreplace").replace("\0", "\\x00") == text
            assert escape.markdown(text[:20])[:10] in page


def test_a_clean_log_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"2026-03-01 08:00:{n:02} INFO api: did {n} of it\n" for n in range(60)))
    dataset = names.find("dataset", "lines")(path=str(tmp_path / "a.log"), format="<date> <time> <level> <component>: <message>")
    assert quarantine.text_of("clean", dataset, read_events(dataset)) is None


def test_stack_traces_in_quarantine_are_told_the_key_that_joins_them(tmp_path: Path) -> None:
    lines = [f"2026-03-01 08:00:{n:02} INFO api: did {n} of it\n" + "   at a.b(C.java:3)\n" * (n % 9 == 1) for n in range(60)]
    (tmp_path / "a.log").write_text("".join(lines))
    keys = {"path": str(tmp_path / "a.log"), "format": "<date> <time> <level> <component>: <message>"}
    dataset = names.find("dataset", "lines")(**keys)
    assert "continuation = true" in str(quarantine.text_of("traces", dataset, read_events(dataset)))
    mended = names.find("dataset", "lines")(**keys, continuation=True)
    assert quarantine.text_of("traces", mended, read_events(mended)) is None


def test_a_log_of_another_layout_is_refused_with_three_of_its_lines_and_the_layout(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"\x1b[2J{n} said something else\n" for n in range(60)))
    dataset = names.find("dataset", "lines")(path=str(tmp_path / "a.log"), format="<date> <time> <level> <component>: <message>")
    with pytest.raises(DataError) as told:
        list(dataset.records(Intake()))
    said = str(told.value)
    assert [f"line {n}: " in said for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert "<date> <time> <level> <component>: <message>" in said
    assert "\x1b" not in said
    assert "\n" not in said
