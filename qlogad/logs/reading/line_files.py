"""What data sets of raw lines have in common: files, globs and archives, one after another, read by a layout."""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TypeVar

from qlogad.documents import digest
from qlogad.errors import DataError, shown
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.reading.archives import Archives, inside, is_archive, members
from qlogad.logs.reading.layout import FILE, ROLES, Layout
from qlogad.logs.reading.line_reader import read_records
from qlogad.logs.reading.pieces import Piece, StringTables
from qlogad.logs.reading.raw_lines import Block, blocks, expand, file_digest, pick_lines, read_lines
from qlogad.logs.reading.tables import read_labels
from qlogad.logs.scan.scanner import SIZE, Scanner

__all__ = ["Files", "LineFiles", "listed", "sources", "stored_bytes"]

Files = File | tuple[File, ...]
T = TypeVar("T")


def listed(paths: Files | None) -> list[str]:
    """One or several paths as a list."""
    return [] if paths is None else [paths] if isinstance(paths, str) else list(paths)


def sources(paths: Iterable[str]) -> list[str]:
    """The files that paths stand for, in order: `logs/*.log` for all of that name by name, an archive for all its members.

    Raises:
        DataError: there is no such file.
    """
    found = list[str]()
    for path in paths:
        found += _members(path) if any(mark in path for mark in "*?[") and not Path(path).exists() else _whole(expand(path))
    return found


def stored_bytes(paths: Iterable[str]) -> int:
    """How many bytes the files of paths take on disk.

    Raises:
        DataError: there is no such file.
    """
    return sum(os.path.getsize(name) for name in {_stored(str(expand(name))) for name in sources(paths)})


def _whole(path: Path) -> list[str]:
    return [str(path / name) for name in members(path)] if inside(path) is None and is_archive(path) else [str(path)]


def _members(pattern: str) -> list[str]:
    """The files that a pattern matches, on disk or inside of an archive."""
    folder = pattern
    while any(mark in folder for mark in "*?["):
        folder = os.path.dirname(folder)
    base = Path(os.path.expandvars(folder)).expanduser()
    rest = pattern[len(folder) :].lstrip("/")
    within = (base, "") if base.is_file() else inside(base)
    if within is not None and is_archive(within[0]):
        archive, inner = within
        found = [str(archive / name) for name in members(archive) if PurePosixPath(name).match(str(PurePosixPath(inner) / rest))]
    else:
        found = [str(base / name) for name in sorted(glob.glob(rest, root_dir=base, recursive=True)) if (base / name).is_file()]
        found = [name for path in found for name in _whole(Path(path))]
    if not found:
        raise DataError(f"no file matches {shown(pattern, 200)}; check the path in the [data] table")
    return found


class LineFiles(Dataset, ABC):
    """Data sets whose files hold lines of one layout. A class that is one has `path` as a field, and any other of these that it allows."""

    path: Files | None  # the log: a file, several, globs, archives
    train: Files | None = None  # instead: a log for training ...
    test: Files | None = None  # ... and one to be judged
    labels: File | None = None  # a table of labels by session

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """How its lines are read, complete."""

    def files(self) -> list[str]:
        """Its logs, as written in an experiment, in order; those for testing are the last.

        Raises:
            DataError: none is given, or one of two parts.
        """
        if (self.path is None) == (self.train is None and self.test is None):
            raise DataError("the log is missing: write path = 'FILE', or train = 'FILE' and test = 'FILE'")
        if (self.train is None) != (self.test is None):
            raise DataError(f"train and test belong together; add {'test' if self.test is None else 'train'} = 'FILE'")
        return [path for paths in (self.path, self.train, self.test) for path in listed(paths)]

    def unfolded(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[RawLine]:
        """The lines of its layout in the lines of a file: the same, unless a line can hold several."""
        return lines

    def is_plain(self) -> bool:
        """Whether its records are what the layout says of its lines, and nothing is done to either."""
        return True

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in file order, file by file."""
        with closing(Archives()) as archives:
            opened = self._opened(intake, lambda: intake.lines, lambda name: read_lines(name, intake, archives))
            yield from read_records(self.layout, ((name, self.unfolded(lines, intake)) for name, lines in opened), intake)

    def pieces(self, intake: Intake, words: StringTables, scanner: Scanner) -> Iterator[Piece]:
        """The same as columns, read by a scanner of its layout."""
        with closing(Archives()) as archives:
            lines = [intake.lines]  # of the files so far

            def read(name: str) -> Iterator[Block]:
                for block in blocks(name, lines[0], archives, SIZE):
                    yield block
                    lines[0] = block.number - 1 + block.lines

            yield from scanner.pieces(self._opened(intake, lambda: lines[0], read), intake, words)

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Lines of its layout, wherever they come from."""
        return read_records(self.layout, [("", self.unfolded(lines, intake))], intake)

    def source_digest(self) -> str:
        """Digest of its files and how they are read."""
        names, held = sources(self.files()), len(sources(listed(self.test)))
        packed = {archive: file_digest(archive) for archive in {_stored(name) for name in names}}
        by_name = any(FILE in way for role in ROLES for way in self.layout.fields(role))
        said = _relative(names) if by_name or any(_stored(name) != name for name in names) else []
        content, labels = [packed[_stored(name)] for name in names], file_digest(self.labels) if self.labels else ""
        return digest(self.options(), self.layout, content, held, said, labels)

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The text of the given line numbers, reread from the files."""
        return pick_lines(sources(self.files()), lines)

    def _opened(
        self, intake: Intake, so_far: Callable[[], int], read: Callable[[str], Iterator[T]]
    ) -> Iterator[tuple[str, Iterator[T]]]:
        """Name and contents of each file in order; `intake` is told where those for testing begin."""
        names, held = sources(self.files()), len(sources(listed(self.test)))
        for place, (name, file) in enumerate(zip(names, _relative(names), strict=True)):
            if held and place == len(names) - held:
                intake.test_from = so_far() + 1
            yield file, read(name)

    def session_labels(self) -> Mapping[str, int] | None:
        """Labels by session: those of the table; without one, None if lines have labels themselves, else none is known."""
        if self.labels is not None:
            return read_labels(self.labels)
        return None if self.layout.fields("label") else {}


def _stored(name: str) -> str:
    within = inside(Path(name))
    return name if within is None else str(within[0])


def _relative(names: Sequence[str]) -> list[str]:
    """The names of files from the folder on that they share."""
    folder = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    return [os.path.relpath(name, folder) if folder else name for name in names]
