"""Published archives of log data sets: where they lie, what they hold, under which licence, and how to get one.

An archive is a TOML file of this folder, and its file name is its name; `qlogad data fetch NAME` also takes the path of such a file.
`{archive}` in its `[data]` table stands for the fetched file, or for the folder that it was unpacked to: the table reads both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from qlogad import documents
from qlogad.bounds import Between
from qlogad.errors import DocumentError, FetchError, UnknownName, shown
from qlogad.logs.published.download import CHECKSUM, Digests, Patience, Progress, allowed, check_space, digests, download, part_of
from qlogad.logs.published.unpack import unpack
from qlogad.logs.reading.archives import is_archive

__all__ = ["Archive", "Fetched", "Licence", "default_folder", "fetch", "folder_at", "known"]

Bytes = Annotated[int, Between(1, 10**15)]

_FOLDER = Path(__file__).parent
_PLACE = "{archive}"


@dataclass(frozen=True)
class Licence:
    """What a publisher allows, and what it asks for in return."""

    name: str
    demands: str  # one sentence
    url: str  # where it is stated


@dataclass(frozen=True)
class Archive:
    """One published file that holds a data set."""

    title: str
    holds: str  # what is in it: files, labels, time span
    file: str  # its name
    url: tuple[str, ...]  # where it can be had: the first that answers serves
    source: str  # the page that describes it
    licence: Licence
    size: Bytes | None = None
    checksum: str | None = None  # "md5:..." or "sha256:...", in lower-case hexadecimal; None where none could be confirmed
    unpacked: Bytes | None = None  # roughly, for the check of free space
    lines: Bytes | None = None
    cite: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)  # the [data] table that reads it; empty where no data set does yet

    def __post_init__(self) -> None:
        if not self.file or Path(self.file).name != self.file or self.file.startswith(".") or not self.file.isprintable():
            raise DocumentError(f"file is a plain file name, got {shown(self.file)}")
        if not self.url:
            raise DocumentError("url is a list of one address or more, got none")
        for one in (*self.url, self.source, self.licence.url):
            if urlsplit(one).scheme not in {"http", "https"} or not urlsplit(one).hostname:
                raise DocumentError(f"an address begins with https://, got {shown(one, 80)}")
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            raise DocumentError(
                f"checksum is 'md5:' or 'sha256:' and its digits in lower-case hexadecimal, got {shown(self.checksum, 80)}"
            )

    @classmethod
    def load(cls, name: str) -> Archive:
        """An archive by name, or by the path of its file.

        >>> Archive.load("bgl").file
        'BGL.zip'

        Raises:
            UnknownName: there is no such archive.
            DocumentError: the file is missing or not as it should be.
        """
        there = known()
        if name not in there and not name.endswith(".toml"):
            raise UnknownName("published archive", name, there)
        path = there.get(name, Path(name))
        return documents.from_mapping(cls, documents.read(path), str(path))

    @property
    def insecure(self) -> bool:
        """Whether it can only be had by plain http, so that nothing on the way vouches for it."""
        return not any(map(allowed, self.url))

    def table(self, folder: Path | str, *, unpacked: bool = False) -> dict[str, Any]:
        """The `[data]` table that reads it, or its unpacked files, from a folder; empty where no data set does."""

        def filled(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace(_PLACE, f"{folder}/{self.stem if unpacked else self.file}")
            if isinstance(value, list):
                return [filled(one) for one in value]
            return {key: filled(one) for key, one in value.items()} if isinstance(value, dict) else value

        return {key: filled(value) for key, value in self.data.items()}

    @property
    def stem(self) -> str:
        """The folder it is unpacked to, beside it.

        >>> Archive.load("bgl").stem, Archive.load("thunderbird").stem
        ('BGL', 'Thunderbird')
        """
        stem = self.file
        for ending in (".zip", ".tgz", ".gz", ".bz2", ".xz", ".tar"):
            stem = stem.removesuffix(ending)
        return stem if stem != self.file else f"{stem}.unpacked"


@dataclass(frozen=True)
class Fetched:
    """An archive that is there and whole."""

    path: Path
    size: int  # bytes
    digests: Digests
    unpacked: Path | None  # the folder with its files


def known() -> dict[str, Path]:
    """The files of the published archives by name, sorted.

    >>> "hdfs" in known()
    True
    """
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def default_folder(name: str) -> str:
    """The folder of an archive unless one is named, as written in `[data]` tables: `$QLOGAD_DATA/NAME`, else `data/NAME`."""
    return f"{'$QLOGAD_DATA' if os.environ.get('QLOGAD_DATA') else 'data'}/{Path(name).stem if name.endswith('.toml') else name}"


def folder_at(folder: str) -> Path:
    """The folder that a path with `$QLOGAD_DATA` and `~` means."""
    return Path(folder.replace("$QLOGAD_DATA", os.environ.get("QLOGAD_DATA", "$QLOGAD_DATA"))).expanduser()


def fetch(
    archive: Archive,
    folder: Path,
    *,
    unpacking: bool = False,
    patience: Patience | None = None,
    progress: Progress = lambda what, done, total: None,
    tell: Callable[[str], None] = lambda line: None,
) -> Fetched:
    """Have an archive in a folder: what is there already is checked and not fetched again.

    Args:
        archive: what to fetch.
        folder: where to; made if missing.
        unpacking: whether to unpack it too, to the folder `archive.stem` beside it, unless that is there.
        patience: how long to wait for the server.
        progress: called with what is done, and the bytes done and in all.
        tell: called with a line about what goes on.

    Raises:
        FetchError: it cannot be had, or is not what was published; what has arrived is kept.
        DataError: it cannot be unpacked.
        FileError: a file cannot be written, or there is no space.
    """
    to = folder / archive.file
    if to.is_file():
        found = digests(to, progress)
        size = to.stat().st_size
        if archive.size not in {None, size} or not (archive.checksum is None or found.fits(archive.checksum)):
            raise FetchError(f"{to} is there, and is not what {archive.source} publishes; move it away, and fetch it again")
        tell(f"{to} is there already")
    else:
        arrived = part_of(to).stat().st_size if part_of(to).is_file() else 0
        needed = max((archive.size or 0) - arrived, 0) + (archive.unpacked or 0) * unpacking
        check_space(folder, needed, f"{archive.file}{', unpacked,' * unpacking}")
        if archive.insecure:
            tell(f"{archive.file} is published by plain http, so anybody on the way could change it")
        found = download(
            archive.url, to, size=archive.size, checksum=archive.checksum, patience=patience, progress=progress, tell=tell
        )
        size = to.stat().st_size
    if not unpacking or not is_archive(to):
        return Fetched(to, size, found, None)
    unpacked = folder / archive.stem
    if unpacked.exists():
        tell(f"{unpacked} is there already; to unpack it again, move that folder away")
    else:
        unpack(to, unpacked, progress)
    return Fetched(to, size, found, unpacked)
