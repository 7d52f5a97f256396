"""The event store: what was read of a log as columns on disk, so that the next experiment on it starts at once and memory stays flat.

    CACHE/events/KEY/
        line_E, offset_E, ..., member_session_M    a column each: its numbers end to end, little-endian
        values.offsets, values.ends, values.text   the values of all events, as in `Ragged`
        texts.ends, texts.text, ...                a table of words each
        store.json                                 sizes, digests, counts of the intake; written last, carries its own digest

KEY is a digest of the source's content, the masks, the code that reads it and the format. A column is written while its pieces stream
by and read as a memory map, so neither takes memory that grows with the log. Parquet and Arrow files keep a column in groups of rows, so
none can be mapped as one array: of 5 million events Parquet took 1 to 2 s of processor time to encode, 2 s and 850 MB to decode; these
columns took 0.2 s to write and 0.4 s to verify. `qlogad.logs.parquet` writes events as a Parquet file for other tools.

A store is whole or not there: it is filled under another name and renamed. Everything read from it is verified; what is damaged is told
and made anew. All stores together take at most $QLOGAD_STORE_GB gigabytes (20; 0: none is written), apart from the newest; those used
longest ago go first.
"""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import mmap
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from qlogad import documents, files
from qlogad.arrays import Ints
from qlogad.errors import DataError, InputError, QlogadWarning, ResultError, one_line, shown
from qlogad.logs.dataset import Intake, Quarantined
from qlogad.logs.reading.pieces import Piece, Ragged, StringTables
from qlogad.logs.reading.times import EARLIEST, LATEST

__all__ = ["FORMAT", "LEAST", "StoreUnusable", "Stored", "Usage", "Writer", "folder", "load", "room", "say", "turn", "usage"]

FORMAT = 1
LEAST = 20_000  # events of a log that is kept; a smaller one is read as fast
_VARIABLE = "QLOGAD_STORE_GB"
_GIGABYTES = 20.0
_FACTS = "store.json"
_BLOCK = 1 << 18  # bytes
_OURS = re.compile(r"[0-9a-f]{16}|\.[0-9a-f]{16}\.[0-9a-f]{12}\.tmp")  # nothing else in the folder is touched
_PARTS = ("", "train", "test")
_WORDS = tuple(field.name for field in fields(StringTables))


class StoreUnusable(Exception):
    """A store cannot be written or read; its text says why. Never leaves `qlogad.logs`."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What a store holds of a log."""

    columns: Mapping[str, NDArray[Any]]  # the columns of `Piece`, each of the whole log, mapped and read-only
    values_E: Ragged  # mapped
    words: Mapping[str, tuple[str, ...]]  # the tables of `StringTables`
    session_label_S: NDArray[np.int8] | None
    given_part_S: NDArray[np.str_] | None
    intake: Intake


# ---------------------------------------------------------------- what is in which file


@dataclass(frozen=True)
class _Column:
    """What is known of a file of numbers before it is read."""

    dtype: str
    axis: str  # the name of its length
    low: int = -(1 << 63)
    below: str | int | None = None  # values are smaller than this number, or than the length of this axis
    ends: str | None = None  # offsets from 0 to the length of this axis, never falling
    text: bool = False  # UTF-8


_COLUMNS = {
    "line_E": _Column("<i8", "E"),
    "offset_E": _Column("<i8", "E"),
    "time_E": _Column("<f8", "E"),
    "label_E": _Column("|i1", "E", low=-1, below=2),
    "kind_E": _Column("<i4", "E", low=0, below="kinds"),
    "level_E": _Column("<i4", "E", low=0, below="levels"),
    "component_E": _Column("<i4", "E", low=0, below="components"),
    "text_E": _Column("<i8", "E", low=0, below="texts"),
    "member_event_M": _Column("<i8", "M", low=0, below="E"),
    "member_session_M": _Column("<i8", "M", low=0, below="sessions"),
}
_VALUES = {
    "values.offsets": _Column("<i8", "E + 1", ends="V"),
    "values.ends": _Column("<i8", "V + 1", ends="B"),
    "values.text": _Column("|u1", "B", text=True),
}
_SESSIONS = {
    "session_label_S": _Column("|i1", "sessions", low=-1, below=2),
    "given_part_S": _Column("|i1", "sessions", low=0, below=len(_PARTS)),
}
_QUARANTINE = {
    "quarantine_line": _Column("<i8", "Q"),
    "quarantine_offset": _Column("<i8", "Q"),
    "quarantine_reason": _Column("<i4", "Q", low=0, below="reasons"),
}


def _table(name: str) -> dict[str, _Column]:
    """The files of a table of words."""
    return {
        f"{name}.ends": _Column("<i8", f"{name} + 1", ends=f"{name} bytes"),
        f"{name}.text": _Column("|u1", f"{name} bytes", text=True),
    }


_FILES = _COLUMNS | _VALUES | _SESSIONS | _QUARANTINE | {k: v for name in (*_WORDS, "reasons") for k, v in _table(name).items()}


@dataclass(frozen=True)
class _File:
    """A file of a store as it was written."""

    length: int  # numbers
    sha256: str


@dataclass(frozen=True)
class _Facts:
    """What store.json says."""

    format: int
    key: str
    intake: Mapping[str, Any]  # without the quarantine
    files: Mapping[str, _File]


# ---------------------------------------------------------------- where


def room() -> float:
    """The bytes that all stores together may take; 0: no store is kept.

    Raises:
        InputError: the variable is not a number of gigabytes.
    """
    text = os.environ.get(_VARIABLE) or str(_GIGABYTES)
    with suppress(ValueError):
        if (size := float(text)) >= 0:
            return size * 1e9
    raise InputError(f"the variable {_VARIABLE} is the gigabytes that stored events may take, 0 or more, got {shown(text)}")


def folder() -> Path:
    """The folder of all stores."""
    return documents.cache_folder() / "events"


def say(text: str) -> None:
    """Warn of what became of a store; the events are right all the same."""
    warnings.warn(text, QlogadWarning, stacklevel=3)


@dataclass(frozen=True)
class Usage:
    """What all stores take."""

    logs: int
    size: int  # bytes


def usage() -> Usage:
    """What all stores take together, unfinished ones included."""
    stores = _stores()
    return Usage(sum(not path.name.startswith(".") for path in stores), sum(map(_size, stores)))


@contextmanager
def turn(key: str) -> Iterator[None]:
    """Context of the one process that reads a log; others wait, and then find its store. Without effect where nothing can be locked."""
    with ExitStack() as held:
        with suppress(OSError):
            lock = held.enter_context(_lock_file(key))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another process is reading the same log; waiting for its event store")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_file(key: str) -> IO[str]:
    """One of 256 files that stay, as a lock that is removed is none."""
    locks = folder() / "locks"
    files.make_folder(locks)
    return open(locks / key[:2], "a")


# ---------------------------------------------------------------- writing


class Writer:
    """A store that is being filled: `add` every piece, then `finish`; a context that leaves nothing behind of an unfinished one.

    Raises:
        StoreUnusable: by every method, where the disk is full or the cache cannot be written.
    """

    def __init__(self, key: str) -> None:
        """Args: `key`, the name of the store; `turn(key)` is held."""
        self._key, self._path = key, _scratch(key)
        self._open: dict[str, tuple[IO[bytes], Any]] = {}  # file and hash, by name
        self._held = ExitStack()
        self._last = {"values.offsets": 0, "values.ends": 0}
        self._events = 0

    def __enter__(self) -> Self:
        with _unusable():
            half = list(folder().glob(f".{self._key}.*.tmp")) if folder().is_dir() else []
            if half:
                say(f"an unfinished event store is removed from {folder()}, and the log read again")
            for one in half:
                shutil.rmtree(one, ignore_errors=True)
            files.make_folder(self._path)
        for name in ("values.offsets", "values.ends"):
            self._put(name, np.zeros(1, np.int64))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what a full disk did not take
            self._held.close()
        shutil.rmtree(self._path, ignore_errors=True)

    def add(self, piece: Piece) -> None:
        """Write the columns of the next piece."""
        for name in _COLUMNS:
            column = getattr(piece, name)
            self._put(name, column + self._events if name == "member_event_M" else column)
        self._events += len(piece)
        values = piece.values_E
        for name, offsets in (("values.offsets", values.offsets_E1), ("values.ends", values.ends_V1)):
            self._put(name, offsets[1:] + self._last[name])
            self._last[name] += int(offsets[-1])
        self._put("values.text", values.text_B)

    def finish(
        self, words: StringTables, intake: Intake, session_label_S: NDArray[np.int8] | None, given_part_S: NDArray[np.str_] | None
    ) -> None:
        """Write the rest, and put the store in its place."""
        reasons = {reason: place for place, reason in enumerate(intake.reasons())}
        tables: dict[str, Iterable[str]] = {name: getattr(words, name) for name in _WORDS} | {"reasons": reasons}
        for name, table in tables.items():
            own = Ragged.of([list(table)])
            self._put(f"{name}.ends", own.ends_V1)
            self._put(f"{name}.text", own.text_B)
        set_aside = intake.quarantine
        self._put("quarantine_line", np.fromiter((item.line for item in set_aside), np.int64))
        self._put("quarantine_offset", np.fromiter((item.offset for item in set_aside), np.int64))
        self._put("quarantine_reason", np.fromiter((reasons[item.reason] for item in set_aside), np.int32))
        if session_label_S is not None:
            self._put("session_label_S", session_label_S)
        if given_part_S is not None:
            self._put("given_part_S", np.array([_PARTS.index(part) for part in given_part_S.tolist()], np.int8))
        told = {field.name: getattr(intake, field.name) for field in fields(Intake) if field.name != "quarantine"}
        with _unusable():
            facts = _Facts(FORMAT, self._key, told, {name: self._closed(name) for name in list(self._open)})
            files.write_facts(self._path / _FACTS, documents.plain(facts))
            place = folder() / self._key
            _remove(place)  # of a process that could not be waited for
            os.rename(self._path, place)
            files.sync_folder(place.parent)
            _evict(self._key)

    def _put(self, name: str, numbers: NDArray[Any]) -> None:
        data = np.ascontiguousarray(numbers, _FILES[name].dtype).reshape(-1).view(np.uint8).data
        with _unusable():
            if name not in self._open:
                made = self._held.enter_context(open(self._path / name, "xb", buffering=_BLOCK))  # noqa: SIM115
                self._open[name] = made, hashlib.sha256()
            file, hasher = self._open[name]
            file.write(data)
            hasher.update(data)

    def _closed(self, name: str) -> _File:
        file, hasher = self._open[name]
        length = file.tell() // np.dtype(_FILES[name].dtype).itemsize
        file.flush()
        os.fsync(file.fileno())
        file.close()
        return _File(length, hasher.hexdigest())


@contextmanager
def _unusable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnusable(error.strerror or one_line(error)) from error


def _scratch(key: str) -> Path:
    """A new name for a store that is not in its place."""
    return folder() / f".{key}.{uuid4().hex[:12]}.tmp"


def _remove(store: Path) -> None:
    """Remove whatever stands there, renamed first, so that no part of it is ever taken for a store."""
    aside = _scratch(_key_of(store))
    with suppress(FileNotFoundError):
        os.rename(store, aside)
        files.remove(aside, folders=True)


def _key_of(store: Path) -> str:
    return store.name.removeprefix(".").partition(".")[0]


def _evict(newest: str) -> None:
    """Remove the stores used longest ago until all take the room they may; not the newest, nor one that another process fills."""
    stores = {path: _size(path) for path in _stores()}
    over = sum(stores.values()) - room()
    for path in sorted(stores, key=_used):
        if over <= 0:
            return
        key = _key_of(path)
        if key == newest:
            continue
        with suppress(OSError), _lock_file(key) as lock:  # BlockingIOError is one
            if key[:2] != newest[:2]:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
            over -= stores[path]


def _stores() -> list[Path]:
    """Every store there is, finished or not."""
    try:
        return [path for path in folder().iterdir() if _OURS.fullmatch(path.name)]
    except OSError:
        return []


def _size(store: Path) -> int:
    total = 0
    with suppress(OSError):
        for file in store.iterdir():
            total += file.lstat().st_size
    return total


def _used(store: Path) -> float:
    """When a store was last read or written, in seconds."""
    with suppress(OSError):
        return store.stat().st_mtime
    return 0.0


# ---------------------------------------------------------------- reading


def load(key: str) -> Stored | None:
    """The store of this name; None if there is none, or if it is not as it was written, which is told; it is removed then.

    Everything is verified in blocks: digests, lengths, ranges, that offsets rise and positions exist.
    """
    place = folder() / key
    if not os.path.lexists(place):
        return None
    try:
        stored = _load(place, key)
    except (ResultError, DataError, OSError, ValueError, IndexError, OverflowError) as error:
        say(f"the event store {place} is not as it was written ({one_line(error, 120)}); the log is read again")
        with suppress(OSError):
            _remove(place)
        return None
    with suppress(OSError):
        os.utime(place)
    return stored


def _load(place: Path, key: str) -> Stored:
    facts = documents.from_mapping(_Facts, files.read_facts(place / _FACTS), _FACTS, strict=True)
    if (facts.format, facts.key) != (FORMAT, key):
        raise ResultError(f"it is of format {shown(facts.format)} and key {shown(facts.key)}")
    if set(_FILES) - set(_SESSIONS) - set(facts.files) or set(facts.files) - set(_FILES):
        raise ResultError("it has other files")
    length = _lengths(facts.files)
    arrays = {name: _read(place / name, _FILES[name], written, length) for name, written in facts.files.items()}
    words = {name: _words(arrays[f"{name}.ends"], arrays[f"{name}.text"]) for name in (*_WORDS, "reasons")}
    if not words["kinds"] or words["kinds"][0] != "" or any(len(set(table)) < len(table) for table in words.values()):
        raise ResultError("a table of words has one twice")
    reasons, parts_S = words.pop("reasons"), arrays.get("given_part_S")
    intake = documents.from_mapping(Intake, facts.intake, _FACTS, strict=True)
    set_aside = (arrays[name].tolist() for name in _QUARANTINE)
    intake.quarantine = [Quarantined(line, offset, reasons[reason]) for line, offset, reason in zip(*set_aside, strict=True)]
    return Stored(
        {name: arrays[name] for name in _COLUMNS},
        Ragged(*(arrays[name] for name in _VALUES)),
        words,
        arrays.get("session_label_S"),
        None if parts_S is None else np.array([_PARTS[part] for part in parts_S.tolist()], dtype=np.str_),
        intake,
    )


def _lengths(written: Mapping[str, _File]) -> dict[str, int]:
    """The length of every axis, on which all files agree."""
    length: dict[str, int] = {}
    for name, file in written.items():
        axis, _, more = _FILES[name].axis.partition(" + ")
        size = file.length - int(more or 0)
        if size < 0 or length.setdefault(axis, size) != size:
            raise ResultError(f"{name} has {file.length} entries, which does not fit the others")
    return length


def _read(path: Path, known: _Column, written: _File, length: Mapping[str, int]) -> NDArray[Any]:
    """The numbers of a file as a memory map, after they were read once and verified."""
    dtype = np.dtype(known.dtype)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != written.length * dtype.itemsize:
            raise ResultError(f"{path.name} has another size")
        hasher, check = hashlib.sha256(), _Check(path.name, known, length)
        while block := file.read(_BLOCK):
            hasher.update(block)
            check.block(np.frombuffer(block, dtype))
        check.end()
        if hasher.hexdigest() != written.sha256:
            raise ResultError(f"{path.name} has another digest")
        if not written.length:
            return np.zeros(0, dtype)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype)


class _Check:
    """Holds the numbers of a file to what is known of them, block by block."""

    def __init__(self, name: str, known: _Column, length: Mapping[str, int]) -> None:
        self._name, self._known = name, known
        self._high = length[known.below] if isinstance(known.below, str) else known.below
        self._end = None if known.ends is None else length[known.ends]
        self._last: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")

    def block(self, numbers: NDArray[Any]) -> None:
        known = self._known
        if known.text:
            self._decoder.decode(numbers.tobytes())
            return
        if known.dtype == "<f8":
            fine = bool((np.isnan(numbers) | ((numbers >= EARLIEST) & (numbers <= LATEST))).all())
        elif known.ends is not None:
            first = int(numbers[0])
            fine = (first == 0 if self._last is None else first >= self._last) and bool((numbers[1:] >= numbers[:-1]).all())
            self._last = int(numbers[-1])
        else:
            fine = known.low <= int(numbers.min()) and (self._high is None or int(numbers.max()) < self._high)
        if not fine:
            raise ResultError(f"{self._name} holds numbers that cannot be")

    def end(self) -> None:
        if self._known.text:
            self._decoder.decode(b"", final=True)
        if self._known.ends is not None and self._last != self._end:
            raise ResultError(f"{self._name} does not end where it should")


def _words(ends_V1: Ints, text_B: NDArray[np.uint8]) -> tuple[str, ...]:
    return Ragged(np.array([0, len(ends_V1) - 1], np.int64), ends_V1, text_B)[0]
