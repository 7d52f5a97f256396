"""Digests of whole files, remembered while a file's size, times and place on the disk stay as they were."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from qlogad import documents, files
from qlogad.errors import DataError, InputError

__all__ = ["file_sha256"]

_LEAST = 1 << 24  # bytes; the digest of a smaller file is computed in no time
_SETTLED = 2 * 10**9  # ns; what changed later than this before it was read may change again without another time
_KEPT = 1_000  # files


@dataclass(frozen=True)
class _Seen:
    """A file as the system describes it; any write changes the last."""

    device: int
    inode: int
    size: int
    modified: int  # ns since 1970
    changed: int  # ns since 1970


@dataclass(frozen=True)
class _Known:
    """What is remembered of a file."""

    seen: _Seen
    sha256: str


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            seen = _seen(file.fileno())
            if seen.size < _LEAST:
                return hashlib.file_digest(file, "sha256").hexdigest()
            note = documents.cache_folder() / "digests" / f"{documents.digest(os.path.abspath(path))}.json"
            if (known := _recalled(note)) and known.seen == seen:
                return known.sha256
            started = time.time_ns()
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if _seen(file.fileno()) == seen and max(seen.modified, seen.changed) < started - _SETTLED:
                _remember(note, _Known(seen, found))
            return found
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _seen(file: int) -> _Seen:
    found = os.fstat(file)
    return _Seen(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _recalled(note: Path) -> _Known | None:
    with suppress(InputError):
        return documents.from_mapping(_Known, files.read_facts(note), note.name, strict=True)
    return None


def _remember(note: Path, known: _Known) -> None:
    """Write a note; without effect where the cache cannot be written."""
    with suppress(OSError):
        files.write_facts(note, asdict(known))
        notes = sorted(note.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)
        for old in notes[:-_KEPT]:
            old.unlink()
