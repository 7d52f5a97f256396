"""Lines of a file as they lie there: numbered, with their byte offset, streamed; plain, gzip or xz by content, not by name."""

import gzip
import hashlib
import lzma
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from qlogad.errors import DataError, did_you_mean
from qlogad.logs.dataset import Intake

__all__ = ["LONGEST", "RawLine", "expand", "file_digest", "pick_lines", "read_lines"]

LONGEST = 1 << 20  # bytes; a longer line is set aside
_CHUNK = 1 << 18  # bytes read at once
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK\x03\x04": "zip"}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class RawLine(NamedTuple):
    """One line of a source."""

    number: int  # 1-based
    offset: int  # of its first byte in the uncompressed stream
    text: str  # without the newline


def expand(path: str | Path) -> Path:
    """The file behind a path as users write it: `~` and `$NAME` are filled in.

    Raises:
        DataError: a variable is not set, or there is no such file.
    """
    filled = Path(_VARIABLE.sub(_variable, str(path))).expanduser()
    if filled.is_dir():
        raise DataError(f"{filled} is a folder; name the file in it")
    if not filled.is_file():
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
    """The SHA-256 of a file's stored bytes, in hexadecimal; what `sha256sum` prints."""
    with open(expand(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lines(path: str | Path, intake: Intake) -> Iterator[RawLine]:
    r"""Every line of a file that holds something, in order and in bounded memory; `intake` counts all of them.

    Undecodable bytes and NUL read as `\xff`; the end of a line is LF or CR LF; blank lines are counted, lines over 1 MiB set aside.
    Line numbers go on from `intake.lines`, so that the files of one source can be read one after the other.

    Raises:
        DataError: the file is missing, unreadable, or a compressed stream is torn; the message names the line it got to.
    """
    first = intake.lines
    for number, offset, raw in _split(path, intake):
        if number == first + 1 and raw.startswith(_BOM):
            raw = raw[3:]
        if raw.endswith(b"\r"):
            raw = raw[:-1]
        if not raw or raw.isspace():
            intake.blank += 1
            continue
        text = raw.decode("utf-8", "backslashreplace")
        yield RawLine(number, offset, text.replace("\0", "\\x00") if "\0" in text else text)


def pick_lines(paths: str | Sequence[str], lines: Iterable[int]) -> dict[int, str]:
    """The text of some lines by number; the lines of several files are numbered on from file to file."""
    wanted, found, intake = set(lines), dict[int, str](), Intake()
    for path in [paths] if isinstance(paths, str) else paths:
        for line in read_lines(path, intake):
            if line.number in wanted:
                found[line.number] = line.text
            if len(found) == len(wanted):
                return found
    return found


def _split(path: str | Path, intake: Intake) -> Iterator[tuple[int, int, bytes]]:
    number, offset, rest, over = intake.lines, 0, b"", 0  # over: bytes of a too long line that were let go
    for chunk in _chunks(path, intake):
        first, *others = chunk.split(b"\n")
        pieces = [rest + first, *others]
        rest = pieces.pop()
        for raw in pieces:
            number += 1
            intake.lines = number
            length = over + len(raw)
            if length > LONGEST:
                intake.set_aside(number, offset, "longer than 1 MiB")
            else:
                yield number, offset, raw
            offset, over = offset + length + 1, 0
        if over or len(rest) > LONGEST:
            over, rest = over + len(rest), b""
    if rest or over:
        intake.lines = number + 1
        if over + len(rest) > LONGEST:
            intake.set_aside(number + 1, offset, "longer than 1 MiB")
        else:
            yield number + 1, offset, rest


def _chunks(path: str | Path, intake: Intake) -> Iterator[bytes]:
    found, first = expand(path), intake.lines
    try:
        with _open(found) as file:
            while chunk := file.read1(_CHUNK):
                yield chunk
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        reason = "ends too early" if isinstance(error, EOFError) else f"is damaged ({str(error).rstrip('.')})"
        raise DataError(f"the compressed file {found} {reason} after line {intake.lines - first}; fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read {found}: {error.strerror or error}") from error


def _open(path: Path) -> BufferedReader | gzip.GzipFile | lzma.LZMAFile:
    with open(path, "rb") as file:
        magic = file.read(6)
    for start, name in _FOREIGN.items():
        if magic.startswith(start):
            raise DataError(f"{path} is packed with {name}; unpack it, or pack it with gzip or xz")
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")
    return lzma.open(path, "rb") if magic == b"\xfd7zXZ\0" else open(path, "rb")
