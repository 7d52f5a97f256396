"""Laws of the line reader: every line is accounted for, wherever it is stored and whatever it holds."""

import bz2
import gzip
import hashlib
import lzma
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.dataset import Intake
from qlogad.logs.reading.raw_lines import FOREIGN, LONGEST, UTF16, expand, file_digest, pick_lines, raw_lines, read_lines

NO_LINES = (*FOREIGN, *UTF16, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # what begins so is taken for something else
on_disk = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
piece = st.one_of(st.binary(max_size=30), st.sampled_from([b"", b" \t", b"\r", b"\x00\x00", b"\xff\xfe", "día".encode(), b"a\rb"]))
content = st.lists(piece, max_size=30).map(b"\n".join).filter(lambda raw: not raw.startswith(NO_LINES))


@on_disk
@given(content)
def test_every_line_is_counted_once_and_offsets_point_at_its_bytes(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(raw)
    intake = Intake()
    lines = list(read_lines(path, intake))
    end = b"\r" if b"\r" in raw and b"\n" not in raw else b"\n"
    pieces = raw.split(end)
    if not pieces[-1]:
        pieces.pop()
    assert intake.lines == len(pieces) == len(lines) + intake.blank
    for number, offset, text in lines:
        assert raw[offset:].startswith(pieces[number - 1])
        assert offset == 0 or raw[offset - 1 : offset] == end
        bare = pieces[number - 1].removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").removesuffix(b"\r")
        assert text == bare.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        assert "\n" not in text
        assert "\0" not in text


@on_disk
@given(content)
def test_packed_and_plain_read_alike_under_any_name(tmp_path: Path, raw: bytes) -> None:
    assume(not raw.startswith(NO_LINES))
    read = []
    for packed in (raw, gzip.compress(raw), bz2.compress(raw), lzma.compress(raw)):
        path = tmp_path / "a.log"  # the name says nothing
        path.write_bytes(packed)
        intake = Intake()
        read.append((list(read_lines(path, intake)), intake))
    assert read[0] == read[1] == read[2] == read[3]


@on_disk
@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")), min_size=1, max_size=20))
def test_a_file_of_any_line_ends_has_the_same_lines(tmp_path: Path, rows: list[bytes]) -> None:
    assume(not (rows[0] + b"\r\n").startswith(NO_LINES))
    read = []
    for end in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "a.log").write_bytes(end.join([*rows, b""]))
        read.append([(line.number, line.text) for line in read_lines(tmp_path / "a.log", Intake())])
    assert read[0] == read[1] == read[2]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_torn_file_is_a_data_error_after_the_lines_that_are_whole(tmp_path: Path, pack, share: float) -> None:
    raw = b"".join(b"%s\n" % hashlib.sha256(str(n).encode()).hexdigest().encode() for n in range(20_000))
    packed = pack(raw)
    path = tmp_path / "torn"
    path.write_bytes(packed[: max(12, int(len(packed) * share))])
    intake, lines = Intake(), []
    with pytest.raises(DataError, match="after line") as caught:
        lines.extend(read_lines(path, intake))
    assert f"after line {intake.lines}" in str(caught.value)
    assert intake.lines < 20_000
    if share > 0.9:
        assert intake.lines > 10_000


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_flipped_byte_is_noticed(tmp_path: Path, pack) -> None:
    packed = bytearray(pack(b"".join(b"%d\n" % (n * n) for n in range(5000))))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "flipped"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="after line"):
        list(read_lines(path, Intake()))


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST + 7])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nafter\n"])
def test_only_a_too_long_line_is_set_aside(tmp_path: Path, length: int, end: bytes) -> None:
    path = tmp_path / "long.log"
    raw = b"before\n" + b"x" * length + end
    path.write_bytes(raw)
    intake = Intake()
    lines = list(read_lines(path, intake))
    assert [item.line for item in intake.quarantine] == ([2] if length > LONGEST else [])
    assert intake.lines == len(raw.splitlines()) == len(lines) + len(intake.quarantine)
    assert all(raw[line.offset : line.offset + len(line.text)] == line.text.encode() for line in lines)


def test_files_of_one_source_are_numbered_on(tmp_path: Path) -> None:
    first, second = tmp_path / "1.log", tmp_path / "2.log"
    first.write_text("a\n\nb\n")
    second.write_text("c\nd")
    intake = Intake()
    numbers = [line.number for path in (first, second) for line in read_lines(path, intake)]
    assert numbers == [1, 3, 4, 5]
    assert pick_lines([str(first), str(second)], [5, 3, 99]) == {3: "b", 5: "d"}


def test_paths_are_filled_in_or_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").write_text("x")
    monkeypatch.setenv("SOME_LOGS", str(tmp_path))
    monkeypatch.delenv("NO_LOGS", raising=False)
    assert expand("$SOME_LOGS/a.log") == expand("${SOME_LOGS}/a.log") == tmp_path / "a.log"
    for path, message in [
        ("$NO_LOGS/a.log", "export NO_LOGS"),
        ("$SOME_LOGS/a.lgo", "did you mean 'a.log'"),
        ("$SOME_LOGS", "folder"),
    ]:
        with pytest.raises(DataError, match=message) as caught:
            expand(path)
        assert "\n" not in str(caught.value)


def test_another_packing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04....")
    with pytest.raises(DataError, match="zip"):
        list(read_lines(path, Intake()))


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(zlib.compress(b"x"))
    two.write_bytes(zlib.compress(b"x"))
    assert file_digest(one) == file_digest(two) == hashlib.sha256(zlib.compress(b"x")).hexdigest()
    two.write_bytes(b"y")
    assert file_digest(one) != file_digest(two)


@pytest.mark.parametrize("content", [b"\xff\n\n a\0b\r\n\nx", b"", b"\xef\xbb\xbfone\ntwo", b"y" * (1 << 20) + b"y\nz\n"])
def test_lines_by_themselves_are_those_of_their_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    mine, own = Intake(), Intake()
    assert list(raw_lines(content.splitlines(keepends=True), mine)) == list(read_lines(tmp_path / "log", own))
    assert mine == own


def test_what_is_no_line_is_refused() -> None:
    with pytest.raises(DataError, match="a line of a log must be text or bytes, got 97"):
        list(raw_lines(b"a", Intake()))  # type: ignore[arg-type]


def test_picked_lines_are_those_that_are_read(tmp_path: Path, drawn: random.Random) -> None:
    kinds = [b"", b" ", b"a\r", b"\xff\x00", b"x" * 9_000, b"y" * (LONGEST + 1)]
    paths, intake, read = [], Intake(), {}
    for name in "abc":
        paths.append(str(tmp_path / name))
        lines = drawn.choices(kinds, [9, 9, 9, 9, 9, 1], k=400)
        Path(paths[-1]).write_bytes(b"\n".join(lines) + drawn.choice([b"", b"\n"]))
        read |= {line.number: line.text for line in read_lines(paths[-1], intake)}
    for many in (0, 1, 2, 50):
        wanted = drawn.sample(range(1, intake.lines + 2), many)
        assert pick_lines(paths, wanted) == {number: read[number] for number in wanted if number in read}


@on_disk
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0xFF), min_size=30), st.booleans())
def test_text_in_utf_16_is_told_with_or_without_a_mark_and_in_archives(tmp_path: Path, text: str, packed: bool) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path = tmp_path / "a.log"
        raw = f"{text}\n".encode(encoding)
        path.write_bytes(gzip.compress(raw) if packed else raw)
        with pytest.raises(DataError, match=r"UTF-16.*iconv"):
            list(read_lines(path, Intake()))


@on_disk
@given(st.lists(st.sampled_from([b"up", b"\x00", b"\x00\x00\x00", b" a "]), min_size=20), st.integers(0, 19))
def test_zeros_in_text_are_not_utf_16(tmp_path: Path, pieces: list[bytes], start: int) -> None:
    pieces[start] = b"two words and more of them in a line without zeros"
    raw = b"".join(pieces)
    assume(raw.count(0) < 0.4 * len(raw))
    path = tmp_path / "a.log"
    path.write_bytes(raw)
    intake = Intake()
    assert len(list(read_lines(path, intake))) == intake.lines == 1
