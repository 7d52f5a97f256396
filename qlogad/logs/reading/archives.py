"""Files inside of archives, read where they are: `logs.tar.gz/app/server.log`; zip, and tar plain or packed with gzip, bzip2 or xz."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from qlogad.errors import DataError, did_you_mean, shown

__all__ = ["Archives", "inside", "is_archive", "members"]

_NOT_LOGS = (".xlsx", ".docx", ".npz", ".jar", ".whl")  # zip archives that hold no logs
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError)


def is_archive(path: Path) -> bool:
    """Whether a file is an archive whose members can be read."""
    try:
        return path.is_file() and path.suffix.lower() not in _NOT_LOGS and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    except OSError:
        return False


def inside(path: Path) -> tuple[Path, str] | None:
    """The archive and the member that a path names; None if it leads into no file.

    >>> inside(Path("/no/such/logs.zip/a.log")) is None
    True
    """
    for archive in path.parents:
        if archive.is_file():
            return archive, str(path.relative_to(archive).as_posix())
    return None


def members(archive: Path) -> tuple[str, ...]:
    """The names of an archive's files in their order, without folders, links and the notes of file managers.

    Raises:
        DataError: it is damaged.
    """
    found = archive.stat()
    return _members(archive, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _members(archive: Path, changed: int, size: int) -> tuple[str, ...]:
    with _told(archive):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                names = [member.filename for member in packed.infolist() if not member.is_dir()]
        else:
            with tarfile.open(archive, "r|*") as tar:
                names = [member.name for member in tar if member.isreg()]
    return tuple(name for name in names if not name.startswith("__MACOSX/") and not name.rpartition("/")[2].startswith("."))


class Archives:
    """Opens members. The archive of the last one stays open, so that members in their order are read in one pass."""

    def __init__(self) -> None:
        self._archive: Path | None = None
        self._tar: tarfile.TarFile | None = None
        self._rest: Iterator[tarfile.TarInfo] = iter(())

    @contextmanager
    def opened(self, archive: Path, member: str) -> Iterator[IO[bytes]]:
        """The bytes of a member.

        Raises:
            DataError: there is no such member, or the archive is damaged.
        """
        with _told(archive):
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as packed:
                    if member not in packed.namelist():
                        raise self._missing(archive, member)
                    with packed.open(member) as file:
                        yield file
                return
            unpacked = self._next(archive, member) or self._from_the_start(archive, member)
            if unpacked is None:
                raise self._missing(archive, member)
            with unpacked:
                yield unpacked

    def close(self) -> None:
        """Close the archive that is open."""
        if self._tar is not None:
            self._tar.close()
        self._archive = self._tar = None

    def _next(self, archive: Path, member: str) -> IO[bytes] | None:
        if self._tar is None or archive != self._archive:
            return None
        for info in self._rest:
            if info.name == member and info.isreg():
                return self._tar.extractfile(info)
        return None

    def _from_the_start(self, archive: Path, member: str) -> IO[bytes] | None:
        self.close()
        self._archive, self._tar = archive, tarfile.open(archive, "r:*")  # noqa: SIM115
        self._rest = iter(self._tar)
        return self._next(archive, member)

    @staticmethod
    def _missing(archive: Path, member: str) -> DataError:
        hint = did_you_mean(member, members(archive))
        return DataError(f"{archive} has no file {shown(member, 80)}{hint}; list it with tar tf, or unzip -l")


@contextmanager
def _told(archive: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        why = "is encrypted" if "encrypted" in str(error) else f"is damaged ({str(error).rstrip('.') or 'it ends too early'})"
        raise DataError(f"the archive {archive} {why}; fetch it again, or unpack it") from error
    except OSError as error:
        raise DataError(f"cannot read {archive}: {error.strerror or error}") from error
