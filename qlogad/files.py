"""Reading and writing files in results folders, which may be truncated, replaced or written concurrently.

    write    a scratch file of a unique name in the same folder, synced and renamed into place atomically; the folder is synced too
    facts    JSON, and arrays as npz, that carry their own digest, so that any damage is detected on reading

A link in a file's place is replaced; its target is never written to.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4
from zipfile import ZipFile

from qlogad import documents, escape
from qlogad.errors import FileError, ResultError, did_you_mean, shown

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "Array",
    "append",
    "at_work",
    "check_arrays",
    "facts_text",
    "figure_bytes",
    "make_folder",
    "naming",
    "open_to_append",
    "read_arrays",
    "read_facts",
    "remove",
    "sealed",
    "sync_folder",
    "unsealed",
    "write",
    "write_arrays",
    "write_by",
    "write_facts",
    "write_figure",
    "write_once",
]

_SEAL = 64  # characters of a SHA-256 digest


# ---------------------------------------------------------------- writing


def write(path: str | Path, content: str | bytes) -> None:
    """Write a file atomically: readers, and a crash, see the old content or the new, never a part.

    Raises:
        FileError: it cannot be written; the old content is kept.
    """
    _put(Path(path), lambda file: file.write(content.encode() if isinstance(content, str) else content))


def write_by(path: str | Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically by a function that gets it open, for what is written bit by bit.

    Raises:
        FileError: it cannot be written; the old content is kept.
    """
    _put(Path(path), fill)


def write_once(path: str | Path, content: str) -> str:
    """Write a file unless it exists, and return its content; concurrent writers, on any host, all get the same."""
    path = Path(path)
    with _scratch(path, lambda file: file.write(content.encode())) as scratch:
        try:
            os.link(scratch, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links: of two simultaneous writers, the second one wins
            if not path.exists():
                os.replace(scratch, path)
        sync_folder(path.parent)
        return path.read_text(encoding="utf-8")


def write_facts(path: str | Path, facts: Mapping[str, Any]) -> None:
    """Write a table as JSON that carries its own digest; `read_facts` reads it."""
    write(path, facts_text(facts))


def facts_text(facts: Mapping[str, Any]) -> str:
    """The text written by `write_facts`."""
    plain = json.loads(json.dumps(documents.plain(facts)))
    return json.dumps({**plain, "seal": documents.digest(plain)}, indent=1) + "\n"


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> None:
    """Write arrays as npz whose comment is a digest of all preceding bytes; `read_arrays` and numpy can read it.

    Equal arrays give equal files; if compressed, with the same version of zlib.
    """

    def fill(file: IO[bytes]) -> None:
        import numpy as np

        (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
        with ZipFile(file, "a") as packed:
            packed.comment = b"0" * _SEAL
        seal = _digest(file)
        file.seek(-_SEAL, os.SEEK_END)
        file.write(seal)

    _put(Path(path), fill)


def write_figure(figure: Figure, path: str | Path, **settings: Any) -> None:
    """Save a figure in the format of the path's suffix; equal figures give equal files. `settings` go to `savefig`."""
    path = Path(path)
    write(path, figure_bytes(figure, path.suffix.removeprefix("."), **settings))


def figure_bytes(figure: Figure, kind: str, **settings: Any) -> bytes:
    """The bytes written by `write_figure`; `kind` is png or svg."""
    metadata = {"svg": {"Date": None}, "png": {"Software": ""}}.get(kind)
    escape.figure(figure)
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=metadata, **settings)
    return file.getvalue()


def append(path: str | Path, content: bytes) -> None:
    """Append to a file, created if missing, and sync it."""
    file = open_to_append(Path(path))
    try:
        with naming(Path(path)):
            os.write(file, content)
            os.fsync(file)
    finally:
        os.close(file)


def open_to_append(path: Path) -> int:
    """Open a file for reading and appending, and return its descriptor; the file and its folder are created if missing.

    Raises:
        FileError: it cannot be opened, or is a link.
    """
    make_folder(path.parent)
    with naming(path):
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def make_folder(path: Path) -> None:
    """Create a folder and its parents if missing.

    Raises:
        FileError: it cannot be created, for example because a file is in its place.
    """
    with naming(path, "make the folder"):
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path, *, folders: bool = False) -> None:
    """Remove a file or a link, or with `folders` a whole folder, if it exists; a link's target stays.

    Raises:
        FileError: it cannot be removed, or is a folder.
    """
    with naming(path, "remove"), suppress(FileNotFoundError):
        if folders and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_unless_gone)
        else:
            path.unlink()


def _unless_gone(call: Callable[..., Any], path: str, found: tuple[type[BaseException], BaseException, Any]) -> None:
    """Ignore that another process removed it first."""
    if not isinstance(found[1], FileNotFoundError):
        raise found[1]


@contextmanager
def at_work(folder: Path, clear: Callable[[], None] | None = None, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Context of a process that writes to a folder, created if missing; the system releases it when the process ends.

    Args:
        folder: the folder.
        clear: called first, once no other process is at work there.
        waiting: called every second until then.
    """
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            if clear is not None:
                while not _locked(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    waiting()
                    time.sleep(1)
            else:
                _locked(descriptor, fcntl.LOCK_SH)
        if clear is not None:
            clear()
            with suppress(OSError):
                _locked(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
        with suppress(OSError):  # if nothing was written
            folder.rmdir()


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, if the file system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    with _scratch(path, fill) as scratch:
        os.replace(scratch, path)
        sync_folder(path.parent)


@contextmanager
def _scratch(path: Path, fill: Callable[[IO[bytes]], object]) -> Iterator[Path]:
    """Context with a filled scratch file beside its target, removed afterwards; system errors name the target."""
    make_folder(path.parent)
    scratch = path.with_name(f".{path.name[:100]}.{uuid4().hex[:12]}.tmp")
    with naming(path):
        try:
            with open(scratch, "x+b") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            yield scratch
        finally:
            scratch.unlink(missing_ok=True)


_MENDS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "allow larger files",
    errno.EACCES: "make it writable, or choose another place",
    errno.EPERM: "make it writable, or choose another place",
    errno.EROFS: "choose another place",
    errno.EISDIR: "a folder stands in its place: move it away",
    errno.ENOTDIR: "a file stands in the place of a folder above it: move it away",
    errno.EEXIST: "a file stands in its place: move it away",
    errno.ELOOP: "it is a link: move it away, or put the file itself in its place",
}


@contextmanager
def naming(path: Path, what: str = "write", mend: str | None = None) -> Iterator[None]:
    """Turn a system error into one that names the file and the fix.

    Raises:
        FileError: "cannot <what> <path>: <cause>; <mend>".
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        cause = error.strerror or str(error)
        raise FileError(f"cannot {what} {path}: {cause}; {mend or _MENDS.get(error.errno or 0, 'check the path')}") from error


# ---------------------------------------------------------------- reading


def read_facts(path: str | Path) -> dict[str, Any]:
    """Read a table written by `write_facts`.

    Raises:
        ResultError: it is missing or damaged.
    """
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
        if facts.pop("seal") == documents.digest(facts):
            return dict(facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error
    raise _damaged(path)


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read arrays written by `write_arrays`.

    Raises:
        ResultError: they are missing or damaged.
    """
    import numpy as np

    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > _SEAL and file.seek(-_SEAL, os.SEEK_END) and file.read() == _digest(file):
                file.seek(0)
                with np.load(file, allow_pickle=False) as stored:
                    return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    raise _damaged(path)


def _damaged(path: str | Path, error: Exception | None = None) -> ResultError:
    if isinstance(error, FileNotFoundError):
        return ResultError(f"{path} is missing")
    if isinstance(error, OSError):
        return ResultError(f"{path} cannot be read: {error.strerror or error}")
    return ResultError(f"{path} is damaged, or of another version")


def _digest(file: IO[bytes]) -> bytes:
    """The SHA-256 digest of a file up to its seal."""
    left = file.seek(0, os.SEEK_END) - _SEAL
    file.seek(0)
    hasher = hashlib.sha256()
    while left and (block := file.read(min(left, 1 << 20))):
        hasher.update(block)
        left -= len(block)
    return hasher.hexdigest().encode()


@dataclass(frozen=True)
class Array:
    """The expected dtype, shape and range of an array.

    Args:
        dtype: such as "float64".
        shape: a size or a name for each axis; axes with equal names must have equal sizes.
        low: the smallest value allowed.
        high: the largest value allowed.
        finite: False allows infinities and NaN.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float = -math.inf
    high: float = math.inf
    finite: bool = True


def check_arrays(arrays: Mapping[str, NDArray[np.generic]], known: Mapping[str, Array]) -> None:
    """Check arrays against their expected dtypes, shapes and ranges.

    >>> from numpy import zeros
    >>> check_arrays({"mean": zeros(3)}, {"mean": Array("float64", ("V",))})

    Raises:
        ResultError: an array is missing, unknown, or has another dtype, shape or range; with what was expected.
    """
    import numpy as np

    sizes: dict[str, int] = {}
    for name in arrays:
        if name not in known:
            raise ResultError(f"an array {shown(name)} does not belong here{did_you_mean(name, known)}; known: {', '.join(known)}")
    for name, one in known.items():
        if name not in arrays:
            raise ResultError(f"the array '{name}' is missing")
        array = arrays[name]
        if array.dtype.name != one.dtype:
            raise ResultError(f"'{name}' holds {array.dtype.name}, expected {one.dtype}")
        if array.ndim == len(one.shape):
            sizes = {axis: size for axis, size in zip(one.shape, array.shape, strict=True) if isinstance(axis, str)} | sizes
        expected = tuple(sizes.get(axis, -1) if isinstance(axis, str) else axis for axis in one.shape)
        if array.shape != expected:
            wanted = ", ".join(str(axis) for axis in one.shape)
            raise ResultError(f"'{name}' has the shape {array.shape}, expected ({wanted})")
        if one.finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ResultError(f"'{name}' holds values that are not finite")
        if one.finite and array.size and array.dtype.kind in "fi" and not (one.low <= array.min() and array.max() <= one.high):
            raise ResultError(f"'{name}' holds values from {array.min()} to {array.max()}, expected {one.low:g} to {one.high:g}")


def sealed(record: Mapping[str, Any]) -> bytes:
    """A record as a line of JSON whose last key is a digest of the text before it.

    >>> sealed({"a": 1})
    b'{"a":1,"seal":"8b0f0d75aabe01bb"}\\n'
    >>> unsealed(sealed({"a": 1})), unsealed(sealed({"a": 1}).replace(b"1", b"2", 1))
    ({'a': 1}, None)
    """
    line = json.dumps(record, separators=(",", ":")).encode()
    return line[:-1] + _tail(line[:-1]) + b"\n"


def unsealed(line: bytes) -> dict[str, Any] | None:
    """The record on a line, or None if it is damaged; earlier versions wrote lines without a digest."""
    body = line.rstrip(b"\n")
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or ("seal" in record and body[-_TAIL:] != _tail(body[:-_TAIL])):
        return None
    record.pop("seal", None)
    return record


def _tail(body: bytes) -> bytes:
    return f',"seal":"{hashlib.sha256(body).hexdigest()[:16]}"}}'.encode()


_TAIL = len(_tail(b""))
