"""Whatever is remembered of a file, its digest is that of its bytes."""

import hashlib
import os
import random
from pathlib import Path

import pytest

from qlogad.errors import DataError
from qlogad.logs.reading import digests


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new cache, and small files that are remembered."""
    monkeypatch.setenv("QLOGAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_LEAST", 0)
    return tmp_path / "cache" / "digests"


def right(path: Path) -> bool:
    return digests.file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("settled", [0, digests._SETTLED])
def test_a_digest_is_that_of_the_bytes_whatever_is_done_to_the_file(
    settled: int, tmp_path: Path, notes: Path, drawn: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED", settled)
    path, other = tmp_path / "log", tmp_path / "other"

    def write() -> None:
        path.write_bytes(drawn.randbytes(8))

    def write_and_set_the_clock_back() -> None:
        found = path.stat()
        path.write_bytes(drawn.randbytes(8))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    def replace() -> None:
        other.write_bytes(drawn.randbytes(8))
        other.replace(path)

    def damage_notes() -> None:
        for note in notes.glob("*"):
            note.write_bytes(note.read_bytes().replace(b"0", b"1"))

    write()
    for _ in range(50):
        assert right(path)
        if settled:  # what is remembered at once cannot know of a second write within one tick of the clock
            drawn.choice([write, write_and_set_the_clock_back, replace, damage_notes])()


def test_a_file_that_rests_is_read_once(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_SETTLED", -(10**12))
    path = tmp_path / "log"
    path.write_bytes(b"one")
    found = digests.file_sha256(path)
    (note,) = notes.iterdir()
    known = digests.files.read_facts(note)
    digests.files.write_facts(note, {**known, "sha256": "remembered"})
    assert digests.file_sha256(path) == "remembered"
    path.write_bytes(b"two, and longer")
    assert digests.file_sha256(path) == hashlib.sha256(b"two, and longer").hexdigest() != found


def test_notes_of_many_files_do_not_pile_up(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_SETTLED", -(10**12))
    monkeypatch.setattr(digests, "_KEPT", 3)
    for n in range(6):
        (tmp_path / f"{n}").write_bytes(b"%d" % n)
        assert right(tmp_path / f"{n}")
    assert len(list(notes.iterdir())) == 3


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        digests.file_sha256(tmp_path / "nothing")
