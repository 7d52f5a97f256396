"""Download one file over HTTP so that only the published bytes ever stand under its name.

What has arrived lies beside it in `NAME.part`, with a note `NAME.part.json` of what those bytes belong to; the next attempt, in this
process or a later one, asks for the rest alone (RFC 9110, section 14: Range, and section 13.1.5: If-Range).

    same file as noted   206: the rest is appended
    another one, or a server without ranges   200: from the first byte again
    whole   size and checksum are compared, then the part is renamed
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from qlogad import documents, files
from qlogad.errors import FetchError, FileError, InputError, one_line

__all__ = ["CHECKSUM", "Digests", "Patience", "Progress", "allowed", "check_space", "digests", "download", "part_of"]

CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")
Progress = Callable[[str, int, int | None], None]  # what is done, bytes done, bytes in all where they are known

_BLOCK = 1 << 18  # bytes read at once
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses after which the same request may succeed
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REST = re.compile(r"bytes \*/(\d+)")


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    stall: float = 60.0  # seconds without a byte until a connection is given up
    attempts: int = 6  # in a row that bring no new byte
    pause: float = 1.0  # seconds before the second attempt; doubled for each after it
    longest: float = 120.0  # seconds of a pause at most, whatever the server asks for


@dataclass(frozen=True)
class Digests:
    """The checksums of a file, in hexadecimal."""

    md5: str
    sha256: str

    def fits(self, checksum: str) -> bool:
        """Whether they agree with a checksum such as "md5:..."."""
        kind, _, digits = checksum.partition(":")
        return digits == (self.md5 if kind == "md5" else self.sha256)


class _Failure(Exception):
    """An attempt failed; another one may succeed."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        """Args: what happened; the seconds that the server asks to wait."""
        super().__init__(what)
        self.after = after


class _Refusal(Exception):
    """An attempt failed, and would fail again at the same address."""


@dataclass(frozen=True)
class _Note:
    """What the bytes of a part belong to."""

    url: str
    total: int | None = None  # bytes of the whole file
    validator: str = ""  # a strong ETag, or else a date, for If-Range


def part_of(to: Path) -> Path:
    """Where the bytes of a file lie until all have arrived.

    >>> part_of(Path("data/BGL.zip")).name
    'BGL.zip.part'
    """
    return to.with_name(f"{to.name}.part")


def allowed(url: str, source: str = "") -> bool:
    """Whether an address may be followed: https, and on this machine also http.

    Args:
        url: the address.
        source: the address that redirects to it, if any; only this machine may redirect to this machine.

    >>> allowed("https://zenodo.org/x"), allowed("http://zenodo.org/x"), allowed("file:///etc/passwd")
    (True, False, False)
    >>> allowed("http://localhost:8000/x"), allowed("http://localhost:8000/x", "https://zenodo.org/x")
    (True, False)
    """
    try:
        host, scheme, before = urlsplit(url).hostname, urlsplit(url).scheme, urlsplit(source).hostname
    except ValueError:  # no address
        return False
    if host in _LOCAL:
        return scheme in {"http", "https"} and (not source or before in _LOCAL)
    return bool(host) and scheme == "https"


def check_space(folder: Path, needed: int, what: str) -> None:
    """Hold the free space of a folder to the bytes needed; the folder need not be there yet.

    Raises:
        FileError: there is less.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise FileError(f"{what} needs {needed:,} bytes, and {there} has {free:,} left; free some space, or choose another place")


def digests(path: Path, progress: Progress = lambda what, done, total: None) -> Digests:
    """The checksums of a file.

    Raises:
        FileError: it cannot be read.
    """
    md5, sha256, done = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            total = os.fstat(file.fileno()).st_size
            while block := file.read(_BLOCK):
                md5.update(block)
                sha256.update(block)
                done += len(block)
                progress("checking", done, total)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; check the path and its permissions") from error
    return Digests(md5.hexdigest(), sha256.hexdigest())


def download(
    urls: Sequence[str],
    to: Path,
    *,
    size: int | None = None,
    checksum: str | None = None,
    patience: Patience | None = None,
    progress: Progress = lambda what, done, total: None,
    tell: Callable[[str], None] = lambda line: None,
) -> Digests:
    """Fetch what has not arrived of a file yet, and give it its name once it is whole.

    Args:
        urls: addresses of the same file; where one fails, the next is tried.
        to: the file; its folder is made, and what stands in its place is replaced.
        size: its published bytes, where known.
        checksum: its published checksum, "md5:..." or "sha256:...", where known.
        patience: how long to wait, and how often to try.
        progress: called as bytes arrive and are checked.
        tell: called with a line before every further attempt.

    Returns:
        The checksums of what now stands at `to`.

    Raises:
        FetchError: it could not be had, or what came is not what was published; `to` is as it was.
        FileError: it cannot be written, or there is no space for it.
    """
    with _part(to) as (part, file):
        found = _Download(urls, part, file, size, checksum, patience or Patience(), progress, tell).run()
        with _written(part):
            os.fsync(file)
            os.replace(part, to)
            _note_path(part).unlink(missing_ok=True)
        files.sync_folder(to.parent)
        return found


@contextmanager
def _part(to: Path) -> Iterator[tuple[Path, int]]:
    """Context with the part of a file, open and locked; without a byte in it, nothing of it is left behind."""
    part = part_of(to)
    while True:
        file = files.open_to_append(part)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FetchError(f"another process is fetching {to}; wait for it, or end it, and try again") from None
            except OSError:  # a file system without locks
                pass
            if _names(part, file):  # else another process finished it between our opening and locking it
                try:
                    yield part, file
                finally:
                    if _names(part, file) and not os.fstat(file).st_size:
                        with suppress(OSError):
                            part.unlink()
                            _note_path(part).unlink(missing_ok=True)
                            to.parent.rmdir()  # if nothing else is in it
                return
        finally:
            os.close(file)


def _names(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _note_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _written(part: Path) -> AbstractContextManager[None]:
    """Turn an error of the file system into one that says that nothing is lost."""
    return files.naming(part, mend="what has arrived is kept: free some space or check the path, then the same command continues")


class _Download:
    """The attempts at one file."""

    def __init__(
        self,
        urls: Sequence[str],
        part: Path,
        file: int,
        size: int | None,
        checksum: str | None,
        patience: Patience,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self.urls, self.part, self.file, self.size, self.checksum = list(dict.fromkeys(urls)), part, file, size, checksum
        self.patience, self.progress, self.tell = patience, progress, tell
        self.note = self._read_note()
        self.joined = True  # whether the bytes there came in several answers
        self.doubted = False  # whether joined bytes once were not what was published
        if self.arrived and (self._is_useless() or self.arrived > (self._total() or self.arrived)):
            self._clear()

    @property
    def arrived(self) -> int:
        """Bytes there."""
        return os.fstat(self.file).st_size

    def run(self) -> Digests:
        """Try until the file is whole."""
        refused: dict[str, str] = {}
        failed, most = 0, self.arrived
        while True:
            url = next(one for one in self.urls[failed % len(self.urls) :] + self.urls if one not in refused)
            try:
                if self.arrived != self._total():
                    self._attempt(url)
                return self._checked()
            except _Refusal as refusal:
                refused[url] = one_line(refusal)
                if len(refused) == len(self.urls):
                    causes = "; ".join(f"{at} {cause}" for at, cause in refused.items())
                    raise FetchError(f"{self._standing()}: {causes}") from None
                self.tell(f"{url} {refused[url]}; trying the next address")
            except _Failure as failure:
                failed = 0 if self.arrived > most else failed + 1
                most = max(most, self.arrived)
                if failed >= self.patience.attempts:
                    raise FetchError(
                        f"{self._standing()}: {url} {one_line(failure)}; the same command continues from there"
                    ) from None
                seconds = min(max(failure.after, self.patience.pause * 2 ** max(failed - 1, 0)), self.patience.longest)
                self.tell(f"{url} {one_line(failure)}; {self.arrived:,} bytes are kept, trying again in {seconds:.0f} s")
                time.sleep(seconds)

    def _attempt(self, url: str) -> None:
        """One request, and the bytes of its answer; they are all there when it returns.

        Raises:
            _Failure, _Refusal: they are not.
        """
        asked = self._range(url)
        with self._open(url, asked) as answer:
            if answer.status == 416:
                rest = _REST.fullmatch(answer.headers.get("Content-Range", ""))
                if rest is not None and int(rest[1]) == self.arrived == (self._total() or self.arrived):
                    self._write_note(replace(self.note or _Note(url), total=self.arrived))
                    return
                self._clear()
                raise _Failure("has no such part of the file")
            if answer.status == 206 and asked:
                self._join(url, answer)
            elif answer.status == 200:
                self._begin(url, answer)
            else:
                raise _Refusal(f"answers {answer.status} {answer.reason}")
            self._receive(answer)
        total = self._total()
        if total is None:  # a body of chunks that has ended
            self._write_note(replace(self.note or _Note(url), total=self.arrived))
        elif self.arrived < total:
            raise _Failure(f"ended after {self.arrived:,} of {total:,} bytes")

    def _range(self, url: str) -> dict[str, str]:
        """The headers that ask for the rest: only where no bytes of another file can be joined unnoticed."""
        if not self.arrived:
            return {}
        asked = {"Range": f"bytes={self.arrived}-"}
        if self.note and self.note.validator and self.note.url == url:
            return asked | {"If-Range": self.note.validator}
        return asked if self.checksum else {}

    def _open(self, url: str, asked: dict[str, str]) -> HTTPResponse:
        headers = {"User-Agent": f"qlogad/{_version()}", "Accept-Encoding": "identity", **asked}
        try:
            answer: HTTPResponse = _opener().open(urllib.request.Request(url, headers=headers), timeout=self.patience.stall)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _AGAIN:
                    raise _Failure(f"answers {error.code} {error.reason}", _seconds(error.headers.get("Retry-After"))) from None
                if 300 <= error.code < 400:
                    raise _Refusal("redirects in a circle, or too often") from None
                raise _Refusal(f"answers {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise _Refusal(f"has no certificate that is trusted here ({cause.verify_message})") from None
            raise _Failure(_broken(cause, self.patience.stall)) from None
        except ValueError as error:
            raise _Refusal(f"is no address that can be asked ({error})") from None
        return answer

    def _join(self, url: str, answer: HTTPResponse) -> None:
        """Hold the rest of the file to what was asked for and to what is noted.

        Raises:
            _Failure: it does not fit, and what was there is thrown away.
        """
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self.arrived or int(found[3]) != (self._total() or int(found[3])):
            self._clear()
            raise _Failure("sent another part than the one asked for")
        note = self.note or _Note(url)
        if not self.checksum and _validator(answer.headers) not in {"", note.validator}:
            self._clear()
            raise _Failure("has another file by now")
        self._check_space(int(found[3]))
        self._write_note(replace(note, total=int(found[3])))
        self.joined = True

    def _begin(self, url: str, answer: HTTPResponse) -> None:
        """Throw away what was there, and note what is coming.

        Raises:
            _Refusal: it is not the file, or its end could not be told.
        """
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
        if self.size is not None and total not in {None, self.size}:
            raise _Refusal(f"offers {total:,} bytes, and {self.size:,} are published")
        if not self.checksum and answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _Refusal("sends the file compressed once more, and there is no checksum to hold it to")
        if total is None and not answer.chunked and self.size is None and not self.checksum:
            raise _Refusal("does not say how many bytes the file has, and there is no checksum to hold it to")
        total = self.size if total is None else total
        self._check_space(total)
        self._clear()
        self.joined = total is None and not answer.chunked  # then a connection that breaks off looks like an end
        self._write_note(_Note(url, total, _validator(answer.headers)))

    def _receive(self, answer: HTTPResponse) -> None:
        total = self._total()
        while True:
            try:
                block = answer.read1(_BLOCK)
            except (OSError, HTTPException) as error:
                raise _Failure(_broken(error, self.patience.stall)) from None
            if not block:
                return
            if total is not None and self.arrived + len(block) > total:
                self._clear()
                raise _Failure(f"sent more than the {total:,} bytes of the file")
            with _written(self.part):
                while block:
                    block = block[os.write(self.file, block) :]
            self.progress("fetching", self.arrived, total)

    def _checked(self) -> Digests:
        """The checksums of what has arrived.

        Raises:
            _Failure, _Refusal: it is not what was published, and is thrown away.
        """
        found = digests(self.part, self.progress)
        if (self.checksum is None or found.fits(self.checksum)) and self.arrived == (
            self.arrived if self.size is None else self.size
        ):
            return found
        kind = (self.checksum or "").partition(":")[0]
        got = f"{self.arrived:,} bytes" if self.checksum is None else f"{kind}:{found.md5 if kind == 'md5' else found.sha256}"
        wanted = f"{self.size:,} bytes" if self.checksum is None else self.checksum
        self._clear()
        if self.joined and not self.doubted:
            self.doubted = True
            raise _Failure(f"what came in parts is {got}, and {wanted} is published: it was thrown away")
        raise _Refusal(f"sends {got}, and {wanted} is published: it was thrown away")

    def _total(self) -> int | None:
        return self.size if self.size is not None else self.note.total if self.note else None

    def _is_useless(self) -> bool:
        """Whether what is there may be of another file, and nothing would tell."""
        if self.checksum:
            return False
        return self.note is None or not self.note.validator or (self.size is not None and self.note.total != self.size)

    def _check_space(self, total: int | None) -> None:
        check_space(self.part.parent, (total or 0) - self.arrived, f"the rest of {self.part.stem}")

    def _clear(self) -> None:
        with _written(self.part):
            os.ftruncate(self.file, 0)
            self.note = None

    def _read_note(self) -> _Note | None:
        try:
            facts = files.read_facts(_note_path(self.part))
            return documents.from_mapping(_Note, facts, str(_note_path(self.part)), strict=True)
        except InputError:  # there is none, or it is damaged
            return None

    def _write_note(self, note: _Note) -> None:
        self.note = note
        files.write_facts(_note_path(self.part), documents.plain(note))

    def _standing(self) -> str:
        total = self._total()
        return (
            f"{self.part.stem} could not be fetched, {self.arrived:,}{'' if total is None else f' of {total:,}'} bytes have arrived"
        )


def _broken(error: object, stall: float) -> str:
    if isinstance(error, TimeoutError):
        return f"sent nothing for {stall:g} s"
    return f"broke the connection off ({one_line(error, 200) or type(error).__name__})"


def _validator(headers: Message) -> str:
    """What tells a file from a later one at the same address (RFC 9110, 8.8): a strong ETag, or a date well in the past."""
    tag, changed, now = (headers.get(name, "") for name in ("ETag", "Last-Modified", "Date"))
    if tag.startswith('"'):
        return tag
    try:
        return changed if (parsedate_to_datetime(now) - parsedate_to_datetime(changed)).total_seconds() >= 60 else ""
    except (ValueError, TypeError):  # no dates
        return ""


def _seconds(after: str | None) -> float:
    """What Retry-After asks for (RFC 9110, 10.2.3): seconds, or a date."""
    if after is None:
        return 0.0
    if after.isascii() and after.isdigit():
        return float(after[:9])
    try:
        return max((parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to addresses that are allowed; their number is bounded by the standard library."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """The request at the new address."""
        if not allowed(newurl, req.full_url):
            raise _Refusal(f"redirects to {one_line(newurl, 200)}, and only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class _Errors(urllib.request.HTTPErrorProcessor):
    """Leaves 416 to the caller: it can say that all bytes are there."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        """The answer, or its error."""
        return response if response.status == 416 else super().http_response(request, response)

    https_response = http_response


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https alone (no files, no FTP), by the proxies of the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        _Errors(),
    ):
        opener.add_handler(handler)
    return opener


def _version() -> str:
    try:
        return version("qlogad")
    except PackageNotFoundError:  # a checkout
        return "0"
