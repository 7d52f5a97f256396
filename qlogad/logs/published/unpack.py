"""Unpack an archive, zip or tar, below one folder: no member leads out of it, and none is a link or a device."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple
from uuid import uuid4

from qlogad import files
from qlogad.errors import DataError, FileError, one_line, shown
from qlogad.logs.published.download import check_space

__all__ = ["TIMES", "unpack"]

TIMES = 100  # of its packed size: an archive that unpacks to more is refused (logs: 10 to 25 times)
_BLOCK = 1 << 18  # bytes read at once


class _Member(NamedTuple):
    name: str
    size: int  # bytes, as the archive says
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path, folder: Path, progress: Callable[[str, int, int | None], None] = lambda what, done, total: None
) -> list[Path]:
    """Write the files of an archive to a new folder, which appears once all are written.

    Args:
        archive: a zip archive, or a tar archive, plain or packed with gzip, bzip2 or xz.
        folder: it must not be there.
        progress: called with "unpacking", and the bytes written and in all.

    Returns:
        The files, in the order of the archive.

    Raises:
        DataError: it is damaged, or a member is a link, a device or encrypted, has a path out of the folder or the path of an earlier
            one, or all of it is over 100 times the archive's size; nothing is written then.
        FileError: the folder is there, or a file cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise FileError(f"{folder} is there already; move it away to unpack {archive.name} again")
    scratch = folder.with_name(f".{folder.name[:100]}.{uuid4().hex[:12]}.tmp")
    files.make_folder(scratch)
    try:
        names = _fill(archive, scratch, progress)
        with _write(folder):
            os.rename(scratch, folder)
        files.sync_folder(folder.parent)
    except BaseException:
        files.remove(scratch, folders=True)
        raise
    return [folder / name for name in names]


def _fill(archive: Path, folder: Path, progress: Callable[[str, int, int | None], None]) -> list[PurePosixPath]:
    most, done = TIMES * max(archive.stat().st_size, 1 << 14), 0
    names: dict[PurePosixPath, None] = {}
    with _read(archive), _members(archive, folder, most) as (members, total):
        for member in members:
            name = _safe(member.name, archive)
            if name in names:
                raise DataError(f"{archive} holds {shown(member.name, 100)} twice; unpack it by hand, and look at both")
            names[name] = None
            to = folder / name
            files.make_folder(to.parent)
            with member.open() as source, _write(to), open(to, "xb") as file:
                while block := _block(source, archive):
                    done += len(block)
                    if done > most:
                        raise DataError(
                            f"{archive} unpacks to more than {TIMES} times its size, which no log does; look at it by hand"
                        )
                    file.write(block)
                    progress("unpacking", done, total)
    return list(names)


def _block(source: IO[bytes], archive: Path) -> bytes:
    with _read(archive):
        return source.read(_BLOCK)


@contextmanager
def _members(archive: Path, folder: Path, most: int) -> Iterator[tuple[Iterator[_Member], int | None]]:
    """Context with the files in an archive, and their bytes in all where they are known beforehand."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            total = sum(one.file_size for one in packed.infolist())
            if total <= most:
                check_space(folder, total, f"unpacking {archive.name}")
            yield (member for one in packed.infolist() if (member := _of_zip(one, packed, archive))), total
    else:
        with tarfile.open(archive) as tape:
            yield (member for one in tape if (member := _of_tar(one, tape, archive))), None
            while tape.fileobj is not None and tape.fileobj.read(_BLOCK):  # the checksum stands at the end
                pass


def _of_zip(one: zipfile.ZipInfo, packed: zipfile.ZipFile, archive: Path) -> _Member | None:
    kind = stat.S_IFMT(one.external_attr >> 16)
    if one.filename.endswith("/"):
        return None
    if kind not in {0, stat.S_IFREG}:
        raise _refused(archive, one.filename, "is a link or a device")
    if one.flag_bits & 1:
        raise _refused(archive, one.filename, "is encrypted")
    return _Member(one.filename, one.file_size, lambda: packed.open(one))


def _of_tar(one: tarfile.TarInfo, tape: tarfile.TarFile, archive: Path) -> _Member | None:
    if one.isdir():
        return None
    source = tape.extractfile(one) if one.isreg() else None
    if source is None:
        raise _refused(archive, one.name, "is a link or a device")
    return _Member(one.name, one.size, lambda: source)


def _safe(name: str, archive: Path) -> PurePosixPath:
    """A member's path, which stays below the folder on every system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or not name.isprintable() or "\\" in name or name[1:2] == ":":
        raise _refused(archive, name, "has a path that could lead out of the folder")
    return path


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive}: its member {shown(name, 100)} {why}, so it is not unpacked; look at the archive by hand")


@contextmanager
def _read(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        cause = next(iter(str(error).splitlines()), "").rstrip(".:") or "it ends too early"
        raise DataError(f"{archive} is damaged ({one_line(cause, 200)}); remove it, and fetch it again") from error
    except FileError:
        raise
    except OSError as error:
        if error.errno is None:  # how gzip and bzip2 report a damaged stream
            raise DataError(f"{archive} is damaged ({one_line(error, 200)}); remove it, and fetch it again") from error
        raise FileError(f"cannot read {archive}: {error.strerror}; check the path and its permissions") from error


@contextmanager
def _write(to: Path) -> Iterator[None]:
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot write {to}: {error.strerror}; free some space, or check the path") from error
