"""BGL lines: what is written is read back, nothing is dropped silently, and the real samples are understood to the last line."""

import lzma
import math
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.bgl import Bgl, format_line, parse_line
from qlogad.logs.dataset import Intake, LogRecord

WORDS = st.from_regex(r"[!-~]{1,12}", fullmatch=True)
MESSAGES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Zl", "Zp", "Cc"]))


@given(st.integers(0, 4_000_000_000_000_000), WORDS, WORDS, WORDS, WORDS, MESSAGES, WORDS)
def test_what_is_written_is_read_back(
    time: int, node: str, facility: str, component: str, level: str, message: str, category: str
) -> None:
    found = parse_line(format_line(time, node, facility, component, level, message, category), 7, 70)
    label, kind = (0, "") if category == "-" else (1, category)
    assert found == LogRecord(7, 70, time / 1e6, (node,), level, component, message, label, kind)


@given(st.integers(5, 9), st.booleans())
def test_a_line_that_ends_early_keeps_what_it_has(fields: int, alert: bool) -> None:
    line = format_line(1_117_838_570_675_872, "R02-M1-N0", "RAS", "KERNEL", "FATAL", "text", "KERNDTLB" if alert else "-")
    found = parse_line(" ".join(line.split(" ")[:fields]))
    assert isinstance(found, LogRecord)
    assert found.label == int(alert)
    assert found.message == ""
    assert (found.component, found.level) == ("KERNEL" if fields > 7 else "", "FATAL" if fields > 8 else "")


@pytest.mark.parametrize(
    "line",
    [
        "a word",
        "- 1117838570 2005.06.03 R02",
        "- then 2005.06.03 R02 2005-06-03-15.42.50.675872 R02 RAS KERNEL INFO text",
        "- 1117838570 2005.06.03 R02 2005-06-31-15.42.50.675872 R02 RAS KERNEL INFO no such day",
        "- 1117838570 2005.06.03 R02 2005-06-03-15.42.61.675872 R02 RAS KERNEL INFO no such second",
        "- 1117838570 2005.06.03 R02 2005-06-03 15:42:50 R02 RAS KERNEL INFO other clock",
    ],
)
def test_what_is_no_line_is_set_aside_and_counted(line: str, tmp_path: Path) -> None:
    good = format_line(1_500_000, "R00", "RAS", "KERNEL", "INFO", "text")
    (tmp_path / "bgl.log").write_bytes(f"{good}\r\n{line}\n\n{good}\n".encode())
    intake = Intake()
    records = list(Bgl(str(tmp_path / "bgl.log")).records(intake))
    assert [record.line for record in records] == [1, 4]
    assert records[1].offset == len(good) + 2 + len(line) + 1 + 1
    assert (intake.lines, intake.records, intake.blank, len(intake.quarantine)) == (4, 2, 1, 1)
    assert intake.quarantine[0].line == 2


@given(st.integers(0, 9999))
def test_a_year_that_no_calendar_here_has_is_set_aside_when_read(year: int) -> None:
    found = parse_line(f"- 1 {year:04}.06.03 R02 {year:04}-06-03-15.42.50.675872 R02 RAS KERNEL INFO text")
    assert isinstance(found, LogRecord) == (1678 <= year <= 2261)
    assert isinstance(found, LogRecord) or found == "not a valid time"


def test_another_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text("081109 203518 143 INFO dfs.DataNode$DataXceiver: Receiving block blk_1\n")
    with pytest.raises(DataError, match=r"1 of 1 line cannot be read.*expected <Label> .*found line 1: .*is this the format"):
        list(Bgl(str(tmp_path / "other.log")).records(Intake()))


@pytest.mark.real
def test_the_two_thousand_real_lines(real_data: Path, tmp_path: Path) -> None:
    with tarfile.open(real_data / "loghub_2k" / "loghub_2k_original.tar.xz") as tar:
        member = next(item for item in tar.getmembers() if item.name.endswith("/BGL_2k.log"))
        content = tar.extractfile(member)
        assert content is not None
        (tmp_path / "BGL_2k.log").write_bytes(content.read())
    dataset, intake = Bgl(str(tmp_path / "BGL_2k.log")), Intake()
    records = list(dataset.records(intake))
    assert (intake.lines, intake.records, intake.blank, intake.quarantine) == (2000, 2000, 0, [])
    assert Counter(record.label for record in records) == {0: 1857, 1: 143}
    assert all((record.kind != "") == (record.label == 1) for record in records)
    for record, text in zip(records, dataset.text(range(1, 2001)).values(), strict=True):
        assert text.endswith(record.message)
        behind = int(text.split(" ")[1]) - math.floor(record.time)  # UTC less the machine's clock, in California
        assert behind in {7 * 3600, 8 * 3600}
    assert all(not re.fullmatch(r"\d+", record.component + record.level) for record in records)


@pytest.mark.real
def test_the_first_ten_thousand_real_lines(real_data: Path) -> None:
    path = real_data / "bgl" / "bgl_first10k.log.xz"
    intake = Intake()
    records = list(Bgl(str(path)).records(intake))
    assert (intake.lines, intake.records, intake.quarantine) == (10000, 10000, [])
    assert {record.label for record in records} == {0}
    with lzma.open(path) as file:
        content = file.read()
    for record in records[::97]:
        assert content[record.offset :].split(b"\n", 1)[0].decode().rstrip("\r").endswith(record.message)
