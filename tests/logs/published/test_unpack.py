"""Laws of unpacking: the files of an archive as they were packed, all or none, and never anything outside the folder."""

import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qlogad.errors import DataError, FileError, QlogadError
from qlogad.logs.published.unpack import unpack
from qlogad.logs.reading.archives import is_archive

FORMS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
Pack = Callable[[Path, dict[str, bytes]], None]


def pack(form: str, path: Path, members: list[tuple[str, bytes]]) -> None:
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members:
                packed.writestr(name, content)
        return
    with tarfile.open(path, f"w:{form.partition('.')[2]}") as tape:  # type: ignore[call-overload]
        for name, content in members:
            one = tarfile.TarInfo(name)
            one.size = len(content)
            tape.addfile(one, io.BytesIO(content))


@pytest.mark.parametrize("form", FORMS)
def test_what_was_packed_is_unpacked(form: str, tmp_path: Path) -> None:
    dice = random.Random(form)
    members = {f"{'sub/' * dice.randrange(3)}{n}.log": dice.randbytes(dice.choice([0, 7, 30_000])) for n in range(6)}
    archive = tmp_path / f"a.{form}"
    pack(form, archive, [*members.items()])
    assert is_archive(archive)
    made = unpack(archive, tmp_path / "out")
    assert {str(one.relative_to(tmp_path / "out")): one.read_bytes() for one in made} == members
    assert {one for one in (tmp_path / "out").rglob("*") if one.is_file()} == set(made)
    with pytest.raises(FileError, match="is there already"):
        unpack(archive, tmp_path / "out")


OUT = ["/etc/x", "../x", "a/../../x", "a/..", "..", ".", "C:/x", "..\\x", "a\nb", "a\x1b[2Jb", "safe\u202eexe"]


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", OUT)
def test_no_member_leads_out_of_the_folder(form: str, name: str, tmp_path: Path) -> None:
    archive = tmp_path / "a"
    pack(form, archive, [("first.log", b"1"), (name, b"2")])
    before = set(tmp_path.parent.rglob("*"))
    try:
        unpack(archive, tmp_path / "out")
    except DataError as error:
        said = str(error)
        assert said.isprintable()
        assert not (tmp_path / "out").exists()
        assert set(tmp_path.parent.rglob("*")) == before
    else:
        assert name == ".", "Python takes it for a folder"
        assert all(tmp_path / "out" in one.parents for one in set(tmp_path.parent.rglob("*")) - before - {tmp_path / "out"})


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tape_are_refused(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as tape:
        one = tarfile.TarInfo("sub")
        one.type, one.linkname = kind, "/etc"
        tape.addfile(one)
    with pytest.raises(DataError, match="'sub' is a link or a device"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_of_a_zip_archive_are_refused(kind: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as packed:
        one = zipfile.ZipInfo("sub")
        one.external_attr = (kind | 0o644) << 16
        packed.writestr(one, "/etc")
    with pytest.raises(DataError, match="'sub' is a link or a device"):
        unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_an_archive_that_swells_is_refused(form: str, tmp_path: Path) -> None:
    pack(form, tmp_path / "a", [("zeros.log", bytes(4_000_000))])
    with pytest.raises(DataError, match="more than 100 times its size"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert [*tmp_path.iterdir()] == [tmp_path / "a"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", FORMS)
def test_a_path_that_comes_twice_is_refused(form: str, tmp_path: Path) -> None:
    pack(form, tmp_path / "a", [("x.log", b"1"), ("./x.log", b"2")])
    with pytest.raises(DataError, match="twice"):
        unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_archive_gives_all_its_files_or_one_line(form: str, seed: int, tmp_path: Path, drawn: random.Random) -> None:
    dice = random.Random(f"{form} {seed} {drawn.random()}")
    archive, members = tmp_path / "a", [(f"{n}.log", dice.randbytes(9_000)) for n in range(4)]
    pack(form, archive, members)
    whole = bytearray(archive.read_bytes())
    if dice.random() < 0.5:
        del whole[dice.randrange(len(whole)) :]
    else:
        for _ in range(dice.randrange(1, 9)):
            whole[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
    archive.write_bytes(whole)
    try:
        made = unpack(archive, tmp_path / "out")
    except QlogadError as error:
        said = str(error)
        assert said.count("\n") == 0
        assert [*tmp_path.iterdir()] == [archive]
    else:
        assert form == "tar" or [(one.name, one.read_bytes()) for one in made] == members, "a plain tape has no checksums"
