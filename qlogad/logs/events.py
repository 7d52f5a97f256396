"""Every parsed line of a source as columns: the table from which windows, templates and features are made.

Letters: E events (parsed lines) in source order, M memberships (event in session), S sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.import_closure import code, modules
from qlogad.logs import store as event_store
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.reading.line_files import LineFiles, stored_bytes
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.pieces import Piece, Places, Ragged, StringTables, pieces_of
from qlogad.logs.reading.raw_lines import Lines, blocks, raw_lines
from qlogad.logs.reading.times import EARLIEST, LATEST
from qlogad.logs.scan.scanner import SIZE, Scanner

__all__ = ["WORTH_SCANNING", "Events", "Texts", "read_events", "read_pieces"]


WORTH_SCANNING = 1 << 23  # stored bytes of a log from which on the compiled pass is used, which is compiled once, in half a minute
_COLUMNS = ("line_E", "offset_E", "time_E", "label_E", "kind_E", "level_E", "component_E", "text_E", "member_session_M")


@dataclass(frozen=True, eq=False)
class Events:
    """Parsed lines as columns. Equal messages (after masking) are stored once, in order of first appearance."""

    line_E: Ints  # 1-based line number in the source
    offset_E: Ints  # byte offset of the line in the uncompressed source
    time_E: Floats  # seconds since 1970-01-01 UTC; NaN unknown
    label_E: NDArray[np.int8]  # 1 anomaly, 0 normal, -1 unknown
    kind_E: NDArray[np.int32]  # kind of anomaly: a position in `kinds`
    kinds: tuple[str, ...]  # kinds[0] is "", not an anomaly
    level_E: NDArray[np.int32]  # a position in `levels`
    levels: tuple[str, ...]
    component_E: NDArray[np.int32]  # a position in `components`
    components: tuple[str, ...]
    text_E: Ints  # a position in `texts`
    texts: tuple[str, ...]  # distinct masked messages
    values_E: Sequence[tuple[str, ...]]  # the values masked in each message, in order
    member_event_M: Ints  # pairs (event, session) in source order: the event ...
    member_session_M: Ints  # ... and a position in `sessions`
    sessions: tuple[str, ...]
    session_label_S: NDArray[np.int8] | None  # None if labels belong to lines
    given_part_S: NDArray[np.str_] | None  # "train", "test" or "" where the source gives a split; else None
    intake: Intake
    parsed: bool  # messages are event ids already
    digest: str  # digest of everything the events depend on; "" for lines from another source

    def __len__(self) -> int:
        return len(self.line_E)


def read_events(
    dataset: Dataset,
    progress: Callable[[int], None] | None = None,
    *,
    lines: Lines | None = None,
    mask: Mask | None = None,
    store: bool = True,
) -> Events:
    """Read a whole source into columns and mask its messages.

    A long log is read through the event store: its columns are then read-only, and it is there at once the next time.

    Args:
        dataset: the source.
        progress: called with the number of lines read so far, periodically and at the end.
        lines: lines of another log in the same format, to read instead of the source; labels and parts in other files are unknown.
        mask: replaces the data set's own masks.
        store: False: into memory, whatever is stored. Lines of another log and other masks are never stored.

    Raises:
        DataError: the source cannot be read, or none of its lines could be parsed.
    """
    known = _digest(dataset) if lines is None else ""
    key = _key(dataset, known) if store and lines is None and mask is None and event_store.room() else ""
    if key and (stored := event_store.load(key)):
        if progress:
            progress(stored.intake.lines)
        return _as_stored(stored, dataset, known)
    log = _Reading(dataset, progress, lines, mask)
    pieces = log.pieces()
    first = list(_beginning(pieces, event_store.LEAST))
    if not first:
        raise DataError(_nothing(dataset, log.intake))
    if key and sum(map(len, first)) >= event_store.LEAST:
        try:
            return _as_stored(_through_store(key, log, chain(first, pieces), known), dataset, known)
        except event_store.StoreUnusable as error:
            event_store.say(f"the events of this log are not stored in {event_store.folder()}: {error}; they are read into memory")
            return read_events(dataset, progress, store=False)
    first.extend(pieces)
    first_event = np.cumsum([0, *map(len, first)])
    return Events(
        **{name: np.concatenate([getattr(piece, name) for piece in first]) for name in _COLUMNS},
        values_E=Ragged.joined([piece.values_E for piece in first]),
        member_event_M=np.concatenate([piece.member_event_M + start for start, piece in zip(first_event, first, strict=False)]),
        kinds=tuple(log.words.kinds),
        levels=tuple(log.words.levels),
        components=tuple(log.words.components),
        texts=tuple(log.words.texts),
        sessions=tuple(log.words.sessions),
        session_label_S=log.labels(),
        given_part_S=log.parts(),
        intake=log.intake,
        parsed=dataset.parsed,
        digest=known,
    )


@dataclass
class _Reading:
    """A log that is being read."""

    dataset: Dataset
    progress: Callable[[int], None] | None
    lines: Lines | None
    mask: Mask | None
    intake: Intake = field(default_factory=Intake)
    words: StringTables = field(default_factory=StringTables)

    def pieces(self) -> Iterator[Piece]:
        """Its pieces, in order."""
        for piece in read_pieces(self.dataset, self.intake, self.words, lines=self.lines, mask=self.mask):
            _check_times(piece)
            yield piece
            if self.progress:
                self.progress(self.intake.lines)
        if self.progress:
            self.progress(self.intake.lines)

    def labels(self) -> NDArray[np.int8] | None:
        """Labels of its sessions, once it is read."""
        return _labels(self.words.sessions, self.dataset.session_labels() if self.lines is None else None)

    def parts(self) -> NDArray[np.str_] | None:
        """Parts of its sessions, once it is read."""
        return _parts(self.words.sessions, self.dataset.given_split() if self.lines is None else None)


def read_pieces(
    dataset: Dataset,
    intake: Intake,
    words: StringTables,
    *,
    lines: Lines | None = None,
    mask: Mask | None = None,
    scan: bool | None = None,
) -> Iterator[Piece]:
    """Read a source as columns, piece by piece.

    Args:
        dataset: the source.
        intake: counts what becomes of every line.
        words: is added to.
        lines, mask: as in `read_events`.
        scan: in one compiled pass where there can be one; None: where that also pays.
    """
    mask = mask or Mask(dataset.masks, dataset.mask_starts)
    if isinstance(dataset, LineFiles) and dataset.is_plain() and (lines is None or isinstance(lines, (str, Path))):
        if scan is None:
            scan = stored_bytes(dataset.files() if lines is None else [str(lines)]) >= WORTH_SCANNING
        scanner = Scanner(dataset.layout, mask) if scan else None
        if scanner is not None and scanner.works:
            return (
                dataset.pieces(intake, words, scanner)
                if lines is None
                else scanner.pieces([("", blocks(lines, size=SIZE))], intake, words)
            )
    records = dataset.records(intake) if lines is None else dataset.read(raw_lines(lines, intake), intake)
    return pieces_of(records, words, mask)


def _beginning(pieces: Iterator[Piece], least: int) -> Iterator[Piece]:
    """Pieces until they have so many events, or all."""
    events = 0
    while events < least and (piece := next(pieces, None)) is not None:
        events += len(piece)
        yield piece


def _through_store(key: str, log: _Reading, pieces: Iterable[Piece], known: str) -> event_store.Stored:
    """The log as the store has it, which is filled with its pieces unless another process just did that."""
    with event_store.turn(key):
        stored = event_store.load(key)
        if stored is None:
            with event_store.Writer(key) as writer:
                for piece in pieces:
                    writer.add(piece)
                labels, parts = log.labels(), log.parts()
                if _digest(log.dataset) != known:
                    raise event_store.StoreUnusable("the log changed while it was read")
                writer.finish(log.words, log.intake, labels, parts)
            stored = event_store.load(key)
    if stored is None:
        raise event_store.StoreUnusable("what was written does not come back")
    return stored


def _as_stored(stored: event_store.Stored, dataset: Dataset, known: str) -> Events:
    columns: dict[str, Any] = {**stored.columns, **stored.words}
    return Events(
        **columns,
        values_E=stored.values_E,
        session_label_S=stored.session_label_S,
        given_part_S=stored.given_part_S,
        intake=stored.intake,
        parsed=dataset.parsed,
        digest=known,
    )


def _key(dataset: Dataset, known: str) -> str:
    """The name of a log in the event store: its content, and the code that reads it; "" if that code is in no file."""
    home = type(dataset).__module__
    if modules((home,))[home] is None:
        return ""
    return digest(event_store.FORMAT, known, type(dataset).__qualname__, code((home, __name__)), list(sys.version_info[:2]))


def _digest(dataset: Dataset) -> str:
    return digest(type(dataset).__name__, dataset.source_digest(), [list(pair) for pair in dataset.masks], dataset.parsed)


def _check_times(piece: Piece) -> None:
    """Raise DataError for times outside the range of 64-bit nanoseconds, which could not be displayed or split later."""
    time_E = piece.time_E
    bad_E = ~(np.isnan(time_E) | ((time_E >= EARLIEST) & (time_E <= LATEST)))
    if bad_E.any():
        first = int(np.argmax(bad_E))
        raise DataError(
            f"line {piece.line_E[first]}: {time_E[first]:g} seconds since 1970 is not between the years 1677 and 2262; correct the time"
        )


def _labels(sessions: Places, labels: Mapping[str, int] | None) -> NDArray[np.int8] | None:
    if labels is None:
        return None
    return np.fromiter((labels.get(session, -1) for session in sessions), dtype=np.int8, count=len(sessions))


def _parts(sessions: Places, parts: Mapping[str, str] | None) -> NDArray[np.str_] | None:
    return None if parts is None else np.array([parts.get(session, "") for session in sessions], dtype=np.str_)


def _nothing(dataset: Dataset, intake: Intake) -> str:
    name = type(dataset).__name__.lower()
    reasons = ", ".join(f"{count} {reason}" for reason, count in list(intake.reasons().items())[:3])
    what = f"none of {intake.lines} lines could be parsed ({reasons or 'all blank'})"
    return f"{what}; is this a log for dataset '{name}'? see: qlogad show {name}"
