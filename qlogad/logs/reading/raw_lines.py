"""Stream the lines of a file, numbered and with byte offsets; plain, gzip, bzip2 or xz, told by content; on disk or in an archive."""

import bz2
import gzip
import lzma
import os
import re
import tarfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from itertools import chain
from pathlib import Path

import numpy as np

from qlogad.errors import DataError, did_you_mean, shown
from qlogad.logs.dataset import Intake, RawLine
from qlogad.logs.reading.archives import Archives, inside
from qlogad.logs.reading.digests import file_sha256

__all__ = [
    "FOREIGN",
    "LONGEST",
    "TOO_LONG",
    "UTF16",
    "Block",
    "Lines",
    "RawLine",
    "blocks",
    "expand",
    "file_digest",
    "open_unpacked",
    "pick_lines",
    "raw_lines",
    "read_lines",
    "text_of",
]

Lines = str | Path | Iterable[str | bytes]  # the path of a log, or its lines

LONGEST = 1 << 20  # bytes of the longest accepted line; longer ones are set aside
TOO_LONG = "longer than 1 MiB"
_CHUNK = 1 << 18  # bytes read at once
_BOM = b"\xef\xbb\xbf"
_UNPACK = "unpack it, or pack it with gzip, bzip2 or xz"
FOREIGN = {  # first bytes of files that are not text, what they are, and what to do
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", _UNPACK),
    b"\x04\x22\x4d\x18": ("an LZ4 file", _UNPACK),
    b"\x1f\x9d\x90": ("a compress file (.Z)", _UNPACK),
    b"PK\x03\x04": ("a zip archive (.zip, .npz, .xlsx)", "name a file in it (logs.zip/server.log), or save its table as CSV"),
    b"PK\x05\x06": ("an empty zip archive", "check the path"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it and name a file in it"),
    b"Rar!\x1a\x07": ("a RAR archive", "unpack it and name a file in it"),
    b"PAR1": ("a Parquet file", "save its table as CSV"),
    b"\x93NUMPY": ("a NumPy file", "save its table as CSV"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "save its table as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "save its table as CSV"),
    b"\x80\x04\x95": ("a Python pickle", "save its table as CSV"),
}
UTF16 = (b"\xff\xfe", b"\xfe\xff")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expand(path: str | Path) -> Path:
    """The file at a path, with `~` and `$NAME` expanded; one in an archive stays `archive.tar.gz/its/path`.

    Raises:
        DataError: a variable is not set, or there is no such file.
    """
    filled = Path(_VARIABLE.sub(_variable, str(path))).expanduser()
    if filled.is_dir():
        raise DataError(f"{filled} is a folder; name the file in it")
    if not filled.is_file() and inside(filled) is None:
        folder = filled.parent
        hint = did_you_mean(filled.name, (item.name for item in folder.iterdir())) if folder.is_dir() else ""
        raise DataError(f"there is no file {filled}{hint}; check the path in the [data] table")
    return filled


def _variable(match: re.Match[str]) -> str:
    name = match[1] or match[2]
    if not os.environ.get(name):
        raise DataError(f"the path '{match.string}' needs the variable {name}, which is not set; run: export {name}=FOLDER")
    return os.environ[name]


def file_digest(path: str | Path) -> str:
    """The SHA-256 of a file's stored bytes, in hexadecimal, as `sha256sum` prints it; of a file in an archive, that of the archive."""
    found = expand(path)
    within = inside(found)
    return file_sha256(found if within is None else within[0])


def read_lines(path: str | Path, intake: Intake, archives: Archives | None = None) -> Iterator[RawLine]:
    r"""Every non-blank line of a file, in order and in bounded memory; `intake` counts all lines.

    Undecodable bytes and NUL read as `\xff`; lines end with LF or CR LF, or with CR in a file without LF in its first MiB;
    blank lines are counted, lines over 1 MiB set aside.
    Line numbers continue from `intake.lines`, so the files of one source can be read one after another; with `archives`, those of one
    archive in one pass.

    Raises:
        DataError: the file is missing, unreadable or an archive, or a compressed stream is damaged; the message names the last line read.
    """
    return _texts(blocks(path, intake.lines, archives), intake)


def raw_lines(source: Lines, intake: Intake) -> Iterator[RawLine]:
    r"""Stream the lines of a log given as a path or as lines, with or without line ends.

    >>> [line.text for line in raw_lines(["one\n", b"two\r\n", "three"], Intake())]
    ['one', 'two', 'three']

    Raises:
        DataError: as in `read_lines`; or a line is neither text nor bytes.
    """
    return (
        read_lines(source, intake)
        if isinstance(source, (str, Path))
        else _texts(_blocks(map(_ended, source), intake.lines, 1), intake)
    )


def _ended(line: str | bytes) -> bytes:
    if not isinstance(line, (str, bytes)):
        raise DataError(f"a line of a log must be text or bytes, got {shown(line)}; pass the lines of a log, or its path")
    raw = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
    return raw if raw.endswith(b"\n") else raw + b"\n"


@dataclass(frozen=True)
class Block:
    """Whole lines, one after another, and the overlong lines before them."""

    number: int  # of its first line, from 1
    offset: int  # of its first byte in the uncompressed source
    data: bytes  # lines, each with its newline
    long: tuple[tuple[int, int], ...] = ()  # number and offset of lines that were too long to be kept

    @cached_property
    def lines(self) -> int:
        """How many lines it has."""
        return int(np.count_nonzero(np.frombuffer(self.data, np.uint8) == 10))  # several times as fast as bytes.count


def blocks(path: str | Path, lines: int = 0, archives: Archives | None = None, size: int = _CHUNK) -> Iterator[Block]:
    """A file as blocks of whole lines.

    Args:
        path: of the file.
        lines: how many lines of other files come before.
        archives: that are open, so that several files of one are read in one pass.
        size: of a block in bytes, at least; the last one may be smaller.

    Raises:
        DataError: as in `read_lines`.
    """
    return _blocks(_chunks(path, archives), lines, size)


def text_of(raw: bytes, *, first: bool = False) -> str | None:
    """The text of a line as it is read, without its newline; None if it is blank. `first`: of a file, which may begin with a mark."""
    if first and raw.startswith(_BOM):
        raw = raw[3:]
    if raw.endswith(b"\r"):
        raw = raw[:-1]
    if not raw or raw.isspace():
        return None
    text = raw.decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00") if "\0" in text else text


def _texts(blocks: Iterator[Block], intake: Intake) -> Iterator[RawLine]:
    first = intake.lines + 1
    for block in blocks:
        for number, offset in block.long:
            intake.lines = number
            intake.set_aside(number, offset, TOO_LONG)
        number, offset = block.number, block.offset
        for raw in block.data.split(b"\n")[:-1]:
            intake.lines = number
            if len(raw) > LONGEST:
                intake.set_aside(number, offset, TOO_LONG)
            elif (text := text_of(raw, first=number == first)) is None:
                intake.blank += 1
            else:
                yield RawLine(number, offset, text)
            number, offset = number + 1, offset + len(raw) + 1


def pick_lines(paths: str | Sequence[str], lines: Iterable[int]) -> dict[int, str]:
    """The text of the given line numbers; numbering continues from file to file. Blocks without one of them are only counted."""
    wanted, found, intake = set(lines), dict[int, str](), Intake()
    order, archives = sorted(wanted), Archives()
    try:
        for path in [paths] if isinstance(paths, str) else paths:
            for line in _texts(_holding(blocks(path, intake.lines, archives), order, intake), intake):
                if line.number in wanted:
                    found[line.number] = line.text
                if len(found) == len(wanted):
                    return found
    finally:
        archives.close()
    return found


def _holding(blocks: Iterator[Block], wanted: Sequence[int], intake: Intake) -> Iterator[Block]:
    """The blocks that hold a wanted line; `wanted` is sorted, and `intake` counts the lines of the others."""
    for block in blocks:
        last = block.number + block.data.count(b"\n") - 1
        place = bisect_left(wanted, block.number)
        if place < len(wanted) and wanted[place] <= last:
            yield block
        else:
            intake.lines = last


def _blocks(chunks: Iterator[bytes], lines: int, size: int) -> Iterator[Block]:
    number, offset, over = lines + 1, 0, 0  # over: bytes of an overlong line that were dropped
    rest, long = bytearray(), list[tuple[int, int]]()
    try:
        for chunk in _old_ends_replaced(chunks):
            if over:
                cut = chunk.find(b"\n")
                if cut < 0:
                    over += len(chunk)
                    continue
                long.append((number, offset))
                number, offset, over, chunk = number + 1, offset + over + cut + 1, 0, chunk[cut + 1 :]
            rest += chunk
            if len(rest) < size:
                continue
            cut = rest.rfind(b"\n") + 1
            if cut:
                block = Block(number, offset, bytes(memoryview(rest)[:cut]), tuple(long))
                yield block
                del rest[:cut]
                long.clear()
                number, offset = number + block.lines, offset + cut
            if len(rest) > LONGEST and not cut:
                over = len(rest)
                rest.clear()
    except _Damaged as error:
        whole = bytes(rest[: rest.rfind(b"\n") + 1])
        if whole or long:
            yield Block(number, offset, whole, tuple(long))
        raise DataError(f"{error.args[0]} after line {number + whole.count(10) - lines - 1}; fetch it again") from error
    if over:
        long.append((number, offset))
    elif rest and not rest.endswith(b"\n"):
        rest += b"\n"
    if rest or long:
        yield Block(number, offset, bytes(rest), tuple(long))


def _old_ends_replaced(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same with LF for CR if these are the line ends of classic Mac OS."""
    head = b""
    for chunk in chunks:
        head += chunk
        if b"\n" in chunk or len(head) > LONGEST:
            break
    old = b"\r" in head and b"\n" not in head
    for chunk in chain([head] if head else [], chunks):
        yield chunk.replace(b"\r", b"\n") if old else chunk


class _Damaged(Exception):
    """A compressed stream that cannot be read on."""


def _chunks(path: str | Path, archives: Archives | None) -> Iterator[bytes]:
    found = expand(path)
    try:
        with open_unpacked(found, archives) as file:
            head = file.read(tarfile.BLOCKSIZE)
            _check_head(found, head)
            yield head
            while chunk := file.read1(_CHUNK):
                yield chunk
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        reason = "ends too early" if isinstance(error, EOFError) else f"is damaged ({str(error).rstrip('.')})"
        raise _Damaged(f"the compressed file {found} {reason}") from error
    except OSError as error:
        if error.errno is None:  # how bzip2 reports a damaged stream
            raise _Damaged(f"the compressed file {found} is damaged") from error
        raise DataError(f"cannot read {found}: {error.strerror or error}") from error


@contextmanager
def open_unpacked(
    path: Path, archives: Archives | None = None
) -> Iterator[BufferedReader | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]:
    """The bytes of a file, unpacked."""
    within = inside(path)
    with ExitStack() as stack:
        if within is None:
            packed = stack.enter_context(open(path, "rb"))
        else:
            own = archives or Archives()
            if archives is None:
                stack.callback(own.close)
            packed = BufferedReader(stack.enter_context(own.opened(*within)))  # type: ignore[arg-type]
        magic = packed.peek(10)[:10]
        if magic.startswith(b"\x1f\x8b"):
            yield stack.enter_context(gzip.GzipFile(fileobj=packed))
        elif magic[:3] == b"BZh" and magic[4:] in {b"1AY&SY", b"\x17rE8P\x90"}:
            yield stack.enter_context(bz2.open(packed, "rb"))
        else:
            yield stack.enter_context(lzma.open(packed, "rb")) if magic.startswith(b"\xfd7zXZ\0") else packed


def _in_utf16(head: bytes) -> bool:
    """Whether bytes are UTF-16: by the mark in front, or because nearly every other byte is zero, and few of those between are."""
    if head.startswith(UTF16):
        return 4 * head.count(0) >= len(head) > 2
    zeros = sorted((head[::2].count(0), head[1::2].count(0)))
    return len(head) >= 32 and 20 * zeros[0] <= len(head) // 2 and 10 * zeros[1] >= 9 * (len(head) // 2)


def _check_head(path: Path, head: bytes) -> None:
    """Raise DataError for files that are not text, judged by their first (decompressed) bytes."""
    for start, (what, mend) in FOREIGN.items():
        if head.startswith(start):
            raise DataError(f"{path} is {what}; {mend}")
    if _in_utf16(head):
        raise DataError(f"{path} is text in UTF-16; save it as UTF-8, for example with: iconv -f UTF-16 -t UTF-8")
    if len(head) < tarfile.BLOCKSIZE:
        return
    try:
        member = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return
    raise DataError(
        f"{path} is a tar archive (of {shown(member.name)} and perhaps more); name a file in it: {path.name}/{shown(member.name)[1:-1]}"
    )
