"""Laws of archives: a file inside of one has the lines of the file; what is damaged, missing or ambiguous is told."""

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qlogad.errors import DataError
from qlogad.logs.dataset import Intake
from qlogad.logs.reading.archives import Archives, is_archive, members
from qlogad.logs.reading.line_files import sources
from qlogad.logs.reading.raw_lines import file_digest, pick_lines, read_lines
from qlogad.seeds import derive

FILES = {f"app/{place}.log": "".join(f"{place} line {i}\n" for i in range(200)).encode() for place in range(4)}
FILES["app/packed.log.gz"] = gzip.compress(b"packed\n")


def _tar(mode: str) -> Callable[[Path], None]:
    def pack(path: Path) -> None:
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            for name, content in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    return pack


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("__MACOSX/app/._0.log", "nothing")
        for name, content in FILES.items():
            packed.writestr(name, content)


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "a.tar": _tar("w"),
    "a.tar.gz": _tar("w:gz"),
    "a.tar.bz2": _tar("w:bz2"),
    "a.tar.xz": _tar("w:xz"),
    "a.zip": _zip,
}
every = pytest.mark.parametrize("name", ARCHIVES)


def texts(path: str | Path, archives: Archives | None = None) -> list[str]:
    return [line.text for line in read_lines(path, Intake(), archives)]


@every
def test_members_have_the_lines_of_their_files_in_any_order(name: str, tmp_path: Path) -> None:
    archive = tmp_path / name
    ARCHIVES[name](archive)
    assert is_archive(archive)
    assert list(members(archive)) == list(FILES)
    dice, shared = random.Random(derive(0, name)), Archives()
    for inner in (*FILES, *dice.choices(list(FILES), k=8)):
        content = FILES[inner]
        wanted = (gzip.decompress(content) if inner.endswith(".gz") else content).decode().splitlines()
        assert texts(archive / inner) == texts(archive / inner, shared) == wanted
    shared.close()
    assert file_digest(archive / "app/0.log") == file_digest(archive)


@every
def test_an_archive_stands_for_its_members_and_a_pattern_for_some(name: str, tmp_path: Path) -> None:
    archive = tmp_path / name
    ARCHIVES[name](archive)
    whole = [f"{archive}/{inner}" for inner in FILES]
    assert sources([str(archive)]) == sources([f"{tmp_path}/a.*"]) == whole
    assert sources([f"{archive}/app/[12].log", f"{archive}/app/0.log"]) == [whole[1], whole[2], whole[0]]
    assert pick_lines(whole, [1, 201, 801]) == {1: "0 line 0", 201: "1 line 0", 801: "packed"}
    with pytest.raises(DataError, match="no file matches"):
        sources([f"{archive}/app/x*.log"])


@every
def test_a_member_that_is_not_there_is_told_who_is_near(name: str, tmp_path: Path) -> None:
    ARCHIVES[name](tmp_path / name)
    with pytest.raises(DataError, match=r"has no file 'app/9.log' .did you mean 'app/"):
        texts(tmp_path / name / "app/9.log")


@every
def test_an_archive_cut_short_is_told(name: str, tmp_path: Path) -> None:
    ARCHIVES[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"damaged|ends too early"):
        [texts(tmp_path / name / inner) for inner in FILES]


@every
def test_an_archive_itself_has_no_lines(name: str, tmp_path: Path) -> None:
    ARCHIVES[name](tmp_path / name)
    with pytest.raises(DataError, match="name a file in it"):
        texts(tmp_path / name)
