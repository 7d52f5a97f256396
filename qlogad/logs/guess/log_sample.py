"""A bounded sample of a log: lines from its beginning, middle and end, so that a log of any size is looked at in seconds.

    file ─► │ head │ ........ │ middle │ ........ │ tail │        each at most `PART` bytes; a file of three parts or less is read whole

A packed file has no middle that could be reached without reading all before it: its sample is its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qlogad.errors import DataError
from qlogad.logs.reading.archives import Archives, inside
from qlogad.logs.reading.line_files import sources
from qlogad.logs.reading.raw_lines import LONGEST, TOO_LONG, blocks, text_of

__all__ = ["PART", "Dirt", "LogSample", "dirt_of", "take_sample"]

PART = 1 << 20  # bytes of each of the parts of a sample
FILES = 9  # files of a log of many files that are looked into


@dataclass
class Dirt:
    """What is wrong with lines before anything is read from them: counts, and up to three examples of each."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, example: bytes | None = None, count: int = 1) -> None:
        """Count a line; the example is kept as it will be shown."""
        self.counts[what] = self.counts.get(what, 0) + count
        if example is not None and len(kept := self.examples.setdefault(what, [])) < _EXAMPLES:
            kept.append(example[:_SHOWN].decode("utf-8", "backslashreplace"))


_EXAMPLES = 3
_SHOWN = 200  # bytes of an example


@dataclass(frozen=True)
class LogSample:
    """Lines of a log as they are stored, without line ends; those that are blank or too long are counted only."""

    files: tuple[str, ...]  # all files of the log
    parts: tuple[tuple[bytes, ...], ...]  # consecutive lines, part by part, in the order of the log
    whole: bool  # the parts are all lines of the log
    size: int  # bytes of the log as it is stored
    read: int  # unpacked bytes that were read
    packed: bool  # of some file only the beginning could be sampled
    dirt: Dirt

    @property
    def lines(self) -> list[bytes]:
        """All lines of the sample."""
        return [line for part in self.parts for line in part]

    @property
    def texts(self) -> list[str]:
        """All lines as they are read."""
        return [text for line in self.lines if (text := text_of(line)) is not None]

    @property
    def expected_lines(self) -> int | None:
        """The number of lines of the log, estimated from the length of those sampled; None where it is packed."""
        many = sum(map(len, self.parts))
        return many if self.whole else None if self.packed or not self.read else round(many * self.size / self.read)


def take_sample(path: str, part: int = PART) -> LogSample:
    """A sample of a log.

    Args:
        path: a file, a glob, an archive, a file in an archive.
        part: bytes of its head, its middle and its tail.

    Raises:
        DataError: there is no such file, it is no text, or it has no lines.
    """
    files, dirt = sources([path]), Dirt()
    step = max(1, -(-len(files) // FILES))
    chosen = files[::step]
    share = max(1 << 14, part // len(chosen))
    parts, read, whole, packed = list[tuple[bytes, ...]](), 0, len(chosen) == len(files), False
    archives = Archives()
    try:
        for name in chosen:
            found, own_whole, own_packed = _of_file(Path(name), share, archives, dirt)
            for raw in found:
                read += len(raw)
                parts.append(_lines_of(raw, dirt))
            whole, packed = whole and own_whole, packed or own_packed
    finally:
        archives.close()
    if not any(parts):
        raise DataError(f"{path} has no lines")
    size = sum(os.stat(stored).st_size for stored in {_stored(name) for name in files})
    return LogSample(tuple(files), tuple(filter(None, parts)), whole, size, read, packed, dirt)


def dirt_of(lines: Iterable[bytes]) -> Dirt:
    """What is wrong with lines that are given without their ends.

    >>> dirt_of([b"a", b"", b"b\\xff", b"c\\0"]).counts
    {'blank': 1, 'not UTF-8': 1, 'with NUL': 1}
    """
    dirt = Dirt()
    for line in lines:
        _look(line, dirt)
    return dirt


def _look(line: bytes, dirt: Dirt) -> bool:
    """Count what is wrong with a line; whether it can be read."""
    if len(line) > LONGEST:
        dirt.add(TOO_LONG, line)
        return False
    if not line or line.isspace():
        dirt.add("blank")
        return False
    if not line.isascii():
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            dirt.add("not UTF-8", line)
    if b"\0" in line:
        dirt.add("with NUL", line)
    if b"\r" in line.rstrip(b"\r"):
        dirt.add("with a carriage return inside", line)
    return True


def _lines_of(raw: bytes, dirt: Dirt) -> tuple[bytes, ...]:
    lines = raw.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return tuple(line for line in lines if _look(line, dirt))


def _stored(name: str) -> Path:
    within = inside(Path(name))
    return Path(name) if within is None else within[0]


def _of_file(path: Path, part: int, archives: Archives, dirt: Dirt) -> tuple[Sequence[bytes], bool, bool]:
    """The parts of a file, whether they are all of it, and whether its middle cannot be reached."""
    head, most = bytearray(), 3 * part
    for block in blocks(path, archives=archives, size=min(part, 1 << 18)):
        head += block.data
        for _ in block.long:
            dirt.add(TOO_LONG)
        if len(head) >= most:
            break
    else:
        return [bytes(head).removeprefix(b"\xef\xbb\xbf")], True, False
    if inside(path) is not None or _is_packed(path):
        return [bytes(head)], False, True
    size = os.stat(path).st_size
    first = head[: head.rfind(b"\n", 0, part) + 1] or head
    return [bytes(first), _piece(path, (size - part) // 2, part), _piece(path, size - part, part)], False, False


def _is_packed(path: Path) -> bool:
    with open(path, "rb") as file:
        magic = file.read(6)
    return magic.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))


def _piece(path: Path, start: int, size: int) -> bytes:
    """Whole lines around a place."""
    with open(path, "rb") as file:
        file.seek(start)
        found = file.read(size)
        if file.read(1):  # not the end
            found = found[: found.rfind(b"\n") + 1]
    return found[found.find(b"\n") + 1 :] if b"\n" in found else b""
