"""Lines to columns in one compiled pass: the same events as the regular expressions of a layout give, many times as fast.

    files ─► blocks of whole lines ─► compiled pass, in threads ─► in order: words to positions, labels, levels ─► pieces

Layouts of lines of text are compiled, as are most regular expressions (see qlogad.logs.regex). Single lines that the pass cannot decide,
such as those with text beyond ASCII, are read by `LineReader`.

Letters: L lines of a block, E its events, V their values, M memberships, R roles.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlogad import jit
from qlogad.arrays import Floats, Ints
from qlogad.logs.dataset import Intake, LogRecord, RawLine
from qlogad.logs.reading.layout import FILE, LINE, Layout, Role
from qlogad.logs.reading.line_reader import EARLY, MOST_JOINED, NO_LABEL, NO_SUCH_LABEL, NOT_OF_LAYOUT, Doubt, LineReader, entries
from qlogad.logs.reading.line_times import NO_TIME, LineTimes
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.pieces import Piece, Ragged, StringTables, pieces_of
from qlogad.logs.reading.raw_lines import LONGEST, TOO_LONG, Block, text_of
from qlogad.logs.reading.times import LATEST
from qlogad.logs.regex.program import Masks, Program, compile_masks, compile_pattern

__all__ = ["SIZE", "Scanner"]

_ROLES: tuple[Role, ...] = ("time", "level", "component", "message", "session", "label", "kind")  # their numbers in machine.py
_LEVEL, _COMPONENT, _SESSION, _LABEL, _KIND, _TEXT = 1, 2, 4, 5, 6, 7
_DIRECTIVES = ("Y", "y", "m", "b", "d", "H", "M", "S", "f", "L", "z")  # in the order of machine.directed_time
_NUMBERS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_BUDGET = 1 << 16  # steps of a search
_NEW = -(1 << 60)
_AHEAD = 2  # blocks read or waiting for each thread
_PARTS = 6  # most groups that make the text of a role
SIZE = 1 << 20  # bytes of a block that is worth a call
_LARGEST = 1 << 24  # bytes of lines that go on with one event before they are no longer joined


@dataclass(frozen=True, eq=False)
class _Plan:
    """A layout as the machine needs it."""

    form: tuple[Any, ...]
    ways: NDArray[np.int32]
    roles: frozenset[int]  # that lines have
    constant: Mapping[str, str]  # roles whose text is the name of the file
    time: tuple[int, tuple[Any, ...], Ints, int]  # kind, program, groups, base
    moves: bool  # see _Time
    session: tuple[Any, ...]
    session_groups: int
    more: tuple[Any, ...]
    more_group: int
    masks: tuple[Any, ...]
    continues: int


def _by_role(rows: list[list[int]], roles: list[int]) -> NDArray[np.int32]:
    """Rows of groups, which are in the order of roles, with the first row of each role in front."""
    table = np.full((max(len(rows), len(_ROLES) + 1), 1 + _PARTS), -1, np.int32)
    table[: len(rows), 1:] = np.array(rows, np.int32).reshape(-1, _PARTS)
    table[: len(_ROLES) + 1, 0] = np.searchsorted(roles, np.arange(len(_ROLES) + 1))
    return table


def _program(found: Program | None) -> tuple[Any, ...]:
    if found is None:
        found = compile_pattern("", whole=True)
        assert found is not None
    return (found.code, found.sets, found.jumps, found.entry, np.zeros(max(found.slots, 4), np.int64))


def _own_places(program: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same program with places for its groups that no other thread writes to."""
    return (*program[:-1], program[-1].copy())


class Scanner:
    """Reads files of one layout.

    Args:
        layout: complete.
        mask: of messages.
        workers: threads; None: as many as this process may use, at most 8.
    """

    def __init__(self, layout: Layout, mask: Mask, *, workers: int | None = None) -> None:
        self.layout = layout
        self._mask = mask
        self._plan = _plan_of(layout, mask.masks, mask.starts)
        self._workers = workers or min(8, len(os.sched_getaffinity(0)))

    @property
    def works(self) -> bool:
        """Whether the layout and its masks can be compiled, and numba works here."""
        return self._plan is not None

    def pieces(self, files: Iterable[tuple[str, Iterator[Block]]], intake: Intake, words: StringTables) -> Iterator[Piece]:
        """The events of files, one after another.

        Args:
            files: name and blocks of each.
            intake: counts what becomes of every line.
            words: is added to.

        Raises:
            DataError: most lines of the log are not of this layout.
        """
        assert self._plan is not None
        merge = _Merge(self.layout, self._mask, intake, words, self._plan)
        states = deque(_State(self.layout, self._plan) for _ in range(self._workers))  # one for each thread

        def read(file: str, block: Block, first: bool, room: _Room) -> _Read:
            state = states.popleft()
            try:
                return state.read(file, block, first, room)
            finally:
                states.append(state)

        rooms = [_Room() for _ in range(_AHEAD * self._workers + 1)]
        waiting: deque[Future[_Read]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for file, block, first in self._blocks(files):
                    if not rooms:
                        done = waiting.popleft().result()
                        yield from merge.next(done)
                        rooms.append(done.room)
                    waiting.append(pool.submit(read, file, block, first, rooms.pop()))
                while waiting:
                    yield from merge.next(waiting.popleft().result())
            finally:
                pool.shutdown(cancel_futures=True)
        merge.end()

    def _blocks(self, files: Iterable[tuple[str, Iterator[Block]]]) -> Iterator[tuple[str, Block, bool]]:
        """Blocks that begin with an event, where lines can go on with the one above; and whether each is the first of its file."""
        for file, blocks in files:
            cut, first = _Cut(self.layout, file), True
            for block in cut(blocks) if self.layout.continuation else blocks:
                yield file, block, first
                first = False


class _Cut:
    """Cuts blocks where an event begins, so that each can be read alone."""

    def __init__(self, layout: Layout, file: str) -> None:
        self._reader = LineReader(layout, file)

    def __call__(self, blocks: Iterator[Block]) -> Iterator[Block]:
        rest: Block | None = None
        for block in blocks:
            below = block.number + block.lines  # the number of the next line
            if rest is not None and block.long:  # lines that were too long lie between
                yield rest
            elif rest is not None:
                block = Block(rest.number, rest.offset, rest.data + block.data, rest.long)
            place = self._last_event(block.data)
            if place > 0:
                yield Block(block.number, block.offset, block.data[:place], block.long)
                left = block.data[place:]
                rest = Block(below - left.count(b"\n"), block.offset + place, left)
            elif len(block.data) > _LARGEST:  # whatever goes on with this event is counted and not kept
                yield block
                rest = None
            else:
                rest = block
        if rest is not None:
            yield rest

    def _last_event(self, data: bytes) -> int:
        """Where the last line that begins an event begins; 0 if that is the first line, or none is."""
        end = len(data)
        while end > 0:
            begin = data.rfind(b"\n", 0, end - 1) + 1
            text = text_of(data[begin : end - 1]) if begin and end - begin <= LONGEST else None
            if text is not None and _begins_event(self._reader, text):
                return begin
            end = begin
        return 0


def _begins_event(reader: LineReader, text: str) -> bool:
    if reader.layout.continuation is not True and reader.goes_on(text) is not None:
        return False
    return isinstance(reader.record(RawLine(0, 0, text)), LogRecord)


class _Room:
    """The columns that a block is read into; used again for other blocks."""

    def __init__(self) -> None:
        self.columns: dict[str, NDArray[Any]] = {}
        self._rows = self._size = 0

    def make(self, rows: int, size: int) -> None:
        """Room for so many rows, of a block of so many bytes; whatever is in it may be overwritten."""
        if rows > self._rows or size > self._size:
            self._rows = rows = max(rows, self._rows)
            self._size = size = max(size, self._size)
            self.columns = {
                "line": np.empty(rows, np.int64),
                "last": np.empty(rows, np.int64),
                "python": np.empty(rows, np.uint8),
                "time": np.empty(rows, np.float64),
                "fraction": np.empty(rows, np.float64),
                "words": np.empty((rows, 7), np.int64),
                "text": np.empty(rows, np.int64),
                "values": np.zeros(rows + 1, np.int64),
                "ends": np.zeros(max(size // 4, 64), np.int64),
                "bytes": np.empty(size + 64, np.uint8),
                "member_event": np.empty(2 * rows, np.int64),
                "member_word": np.empty(2 * rows, np.int64),
                "aside_line": np.empty(rows, np.int64),
                "aside_reason": np.empty(rows, np.int64),
            }

    def grow(self, *names: str) -> None:
        """Twice as much room in columns."""
        for name in names:
            self.columns[name] = np.concatenate([self.columns[name], np.zeros_like(self.columns[name])])


@dataclass(frozen=True, eq=False)
class _Read:
    """What the machine made of a block."""

    by: _State  # whose words it refers to
    words: int  # how many there were then
    file: str
    block: Block
    start_L1: Ints  # where lines begin in the block
    room: _Room
    state: Ints
    told: dict[int, str]  # why Python sets a line aside
    first: bool  # of its file


def _odd_lines(data: bytes, start_L1: Ints) -> list[int]:
    """The lines that have bytes beyond ASCII, or NUL."""
    odd = []
    if not data.isascii():
        many = len(data) // 8
        eight = np.flatnonzero(np.frombuffer(data, np.uint64, many) & np.uint64(0x8080808080808080)) * 8
        tail = np.arange(8 * many, len(data))
        near = np.concatenate([(eight[:, None] + np.arange(8)).reshape(-1), tail])
        odd.append(near[np.frombuffer(data, np.uint8)[near] >= 128])
    if b"\0" in data:
        odd.append(np.flatnonzero(np.frombuffer(data, np.uint8) == 0))
    return np.unique(np.searchsorted(start_L1, np.concatenate(odd), side="right") - 1).tolist() if odd else []


class _State:
    """The words of one thread. Their numbers stay, so that another thread can look up those of blocks that have been read."""

    def __init__(self, layout: Layout, plan: _Plan) -> None:
        from qlogad.logs.scan import machine

        self._machine, self._layout = machine, layout
        own = {"form": plan.form, "session": plan.session, "more": plan.more}
        self._form, self._session, self._more = (_own_places(program) for program in own.values())
        self._masks = (plan.masks[0], plan.masks[1].copy())
        self._time = (plan.time[0], _own_places(plan.time[1]), *plan.time[2:])
        self._plan = plan
        self._readers: dict[str, LineReader] = {}
        self.table = np.full(1 << 12, -1, np.int64)
        self.hashes = np.zeros(1 << 11, np.int64)
        self.starts = np.zeros((1 << 11) + 1, np.int64)
        self.spaces = np.zeros(1 << 11, np.uint8)
        self.arena = np.zeros(1 << 16, np.uint8)
        self.count = self.used = 0
        self._room = 1 << 12  # of one message

    def read(self, file: str, block: Block, first: bool, room: _Room) -> _Read:
        """Read a block; the result refers to words of this thread."""
        machine, plan = self._machine, self._plan
        data = np.frombuffer(block.data, np.uint8)
        start_L1 = np.concatenate([[0], np.flatnonzero(data == 10) + 1]).astype(np.int64)
        lines = len(start_L1) - 1
        told_L, why = np.zeros(lines, np.uint8), dict[int, str]()
        for line in _odd_lines(block.data, start_L1):
            self._tell(file, block, start_L1, line, first, told_L, why)
        room.make(lines + 1, len(data))
        state = np.zeros(11, np.int64)
        state[machine.COUNT], state[machine.USED] = self.count, self.used
        scratch, buffer, out, spans = self._scratch()
        stack = np.empty(1 << 14, np.int64)
        hanging = bool(self._layout.continuation) and not first
        while True:
            ended = machine.scan(
                data,
                start_L1,
                told_L,
                plan.continues,
                hanging,
                MOST_JOINED,
                LONGEST,
                self._form,
                plan.ways,
                self._time[0],
                self._time[1],
                self._time[2],
                self._time[3],
                LATEST,
                plan.moves,
                self._session,
                plan.session_groups,
                self._more,
                plan.more_group,
                self._masks,
                *room.columns.values(),
                self.table,
                self.hashes,
                self.starts,
                self.spaces,
                self.arena,
                state,
                scratch,
                buffer,
                out,
                spans,
                stack,
                np.zeros(10, np.int64),
                _BUDGET,
            )
            self.count, self.used = int(state[machine.COUNT]), int(state[machine.USED])
            if ended == machine.DONE:
                return _Read(self, self.count, file, block, start_L1, room, state, why, first)
            if ended == machine.UNDECIDED:
                self._tell(file, block, start_L1, int(state[machine.ASK]), first, told_L, why)
                continue
            self._grow(room)
            scratch, buffer, out, spans = self._scratch()

    def word(self, number: int) -> str:
        """A word of this thread."""
        return bytes(self.arena[self.starts[number] : self.starts[number + 1]]).decode("ascii")

    def reader(self, file: str) -> LineReader:
        if file not in self._readers:
            self._readers = {file: LineReader(self._layout, file)}
        return self._readers[file]

    def _tell(
        self, file: str, block: Block, start_L1: Ints, line: int, first: bool, told_L: NDArray[np.uint8], why: dict[int, str]
    ) -> None:
        """Say what a line is."""
        machine, reader = self._machine, self.reader(file)
        raw = block.data[start_L1[line] : start_L1[line + 1] - 1]
        if len(raw) > LONGEST:
            return
        text = text_of(raw, first=first and line == 0)
        if text is None:
            told_L[line], why[line] = machine.SKIP, ""
            return
        if self._layout.continuation is not True and self._layout.continuation and reader.goes_on(text) is not None:
            told_L[line] = machine.JOINS
            return
        found = reader.record(RawLine(block.number + line, 0, text))
        if isinstance(found, LogRecord):
            told_L[line] = machine.EVENT
        else:
            told_L[line], why[line] = machine.ASIDE, str(found)

    def _scratch(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], Ints]:
        room = self._room
        placeholder = int(np.diff(self._masks[0][-1]).max(initial=0)) + 1
        out = np.empty(placeholder * room + 64, np.uint8)
        return np.empty(room, np.uint8), np.empty(room, np.uint8), out, np.empty((room, 3), np.int64)

    def _grow(self, room: _Room) -> None:
        """Make room for whatever may be lacking."""
        machine = self._machine
        self._room = min(2 * self._room, 4 * LONGEST)
        room.grow("ends", "bytes", "member_event", "member_word")
        if 4 * self.count > len(self.table) or 2 * self.count > len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.zeros_like(self.hashes)])
            self.spaces = np.concatenate([self.spaces, np.zeros_like(self.spaces)])
            self.starts = np.concatenate([self.starts, np.zeros(len(self.hashes) + 1 - len(self.starts), np.int64)])
            table = np.full(2 * len(self.table), -1, np.int64)
            machine.rehash(table, self.hashes, self.count)
            self.table = table
        if len(self.arena) - self.used < 8 * self._room:
            self.arena = np.concatenate([self.arena, np.zeros(max(len(self.arena), 8 * self._room), np.uint8)])


class _Merge:
    """Puts what the threads have read in order and into the words of the log."""

    def __init__(self, layout: Layout, mask: Mask, intake: Intake, words: StringTables, plan: _Plan) -> None:
        self._layout, self._mask, self._intake, self._words, self._plan = layout, mask, intake, words, plan
        self._reader = LineReader(layout)
        self._doubt = Doubt(layout)
        self._places: dict[tuple[int, str], Ints] = {}  # by thread and use: what its words mean; _NEW: not looked at yet
        self._left_out = frozenset(layout.without or ())

    def next(self, read: _Read) -> Iterator[Piece]:
        """The pieces of one more block."""
        machine, intake, block = read.by._machine, self._intake, read.block
        if self._reader.file != read.file:
            self._reader.file = read.file
        for number, offset in block.long:
            intake.set_aside(number, offset, TOO_LONG)
        python, rows = read.room.columns["python"], int(read.state[machine.ROWS])
        aside = self._aside(read)
        turns_T = np.flatnonzero(np.diff(python[:rows])) + 1
        for first, last in zip([0, *turns_T.tolist()], [*turns_T.tolist(), rows], strict=True):
            if first == last:
                continue
            piece = self._by_python(read, first, last) if python[first] else self._fast(read, first, last, aside)
            if piece is not None and len(piece):
                yield piece
        lines = len(read.start_L1) - 1
        for line, reason in sorted(aside):
            offset = block.offset + int(read.start_L1[line])
            intake.set_aside(block.number + line, offset, reason)
            raw = block.data[read.start_L1[line] : read.start_L1[line + 1] - 1]
            self._doubt.note(RawLine(block.number + line, offset, text_of(raw[:LONGEST]) or ""))
        before, intake.lines = intake.lines, block.number + lines - 1
        intake.blank += int(read.state[machine.BLANKS]) + sum(not why for why in read.told.values())
        intake.joined += int(read.state[machine.JOINED])
        if intake.lines // EARLY > before // EARLY:
            self._doubt.settle(intake)

    def end(self) -> None:
        """After the last block."""
        self._doubt.settle(self._intake)
        self._intake.warnings.extend(self._reader.times.warnings())

    def _aside(self, read: _Read) -> list[tuple[int, str]]:
        machine = read.by._machine
        many = int(read.state[machine.ASIDES])
        said = {machine.TOO_LONG: TOO_LONG, machine.NOT: NOT_OF_LAYOUT}
        pairs = zip(read.room.columns["aside_line"][:many].tolist(), read.room.columns["aside_reason"][:many].tolist(), strict=True)
        return [(line, read.told[line] if reason == machine.TOLD else said[reason]) for line, reason in pairs]

    def _by_python(self, read: _Read, first: int, last: int) -> Piece | None:
        """Rows that Python has to read."""
        records = list[LogRecord]()
        for row in range(first, last):
            lines = range(int(read.room.columns["line"][row]), int(read.room.columns["last"][row]) + 1)
            raws = [(line, read.block.data[read.start_L1[line] : read.start_L1[line + 1] - 1]) for line in lines]
            texts = [
                RawLine(read.block.number + line, read.block.offset + int(read.start_L1[line]), text)
                for line, raw in raws
                if len(raw) <= LONGEST and (text := text_of(raw, first=read.first and line == 0)) is not None
            ]
            alone = Intake()
            records += entries(self._reader, iter(texts), alone)
            self._intake.records += alone.records
            self._intake.left_out += alone.left_out
        return next(pieces_of(records, self._words, self._mask, len(records)), None)

    def _fast(self, read: _Read, first: int, last: int, aside: list[tuple[int, str]]) -> Piece:
        words, columns, reader, block = self._words, read.room.columns, self._reader, read.block
        word_ER, line_E = columns["words"][first:last], columns["line"][first:last]
        roles = self._plan.roles
        many = last - first
        keep_E = np.ones(many, bool)
        time_E = columns["time"][first:last]
        if self._plan.moves:
            time_E = self._moved(time_E) + columns["fraction"][first:last]
            keep_E &= ~np.isinf(time_E)
            aside += [(line, NO_TIME) for line in line_E[np.isinf(time_E)].tolist()]
        label_E = np.full(many, -1, np.int64)
        if _LABEL in roles or "label" in self._plan.constant:
            label_E = self._codes(read, word_ER[:, _LABEL], "label", lambda word: reader.label_of(word))
            bad_E = (label_E == NO_LABEL) & keep_E
            aside += [(line, NO_SUCH_LABEL) for line in line_E[bad_E].tolist()]
            keep_E &= ~bad_E
        if self._left_out:
            out_E = self._codes(read, word_ER[:, _LEVEL], "out", lambda word: reader.level_of(word) in self._left_out).astype(bool)
            self._intake.left_out += int((out_E & keep_E).sum())
            keep_E &= ~out_E
        kept = slice(None) if keep_E.all() else keep_E
        self._intake.records += int(keep_E.sum())
        level_E = self._codes(read, word_ER[kept, _LEVEL], "level", lambda word: words.levels[reader.level_of(word)])
        component_E = self._codes(read, word_ER[kept, _COMPONENT], "component", lambda word: words.components[word])
        text_E = self._codes(read, columns["text"][first:last][kept], "", lambda word: words.texts[word])
        kind_E = np.zeros(int(keep_E.sum()), np.int64)
        odd_E = label_E[kept] == 1
        if odd_E.any() and (_KIND in roles or "kind" in self._plan.constant):
            kind_E[odd_E] = self._codes(read, word_ER[kept, _KIND][odd_E], "kind", lambda word: words.kinds[word])
        value_E1 = columns["values"][first : last + 1]
        ends_V1 = columns["ends"][value_E1[0] : value_E1[-1] + 1]
        values_E = Ragged(value_E1 - value_E1[0], ends_V1 - ends_V1[0], columns["bytes"][ends_V1[0] : ends_V1[-1]].copy())
        members = int(read.state[read.by._machine.MEMBERS])
        event_M, word_M = columns["member_event"][:members], columns["member_word"][:members]
        low, high = np.searchsorted(event_M, [first, last])
        event_M, word_M = event_M[low:high] - first, word_M[low:high]
        if not keep_E.all():
            values_E = values_E.take(np.flatnonzero(keep_E))
            stays_M = keep_E[event_M]
            event_M, word_M = (np.cumsum(keep_E) - 1)[event_M[stays_M]], word_M[stays_M]
        if "session" in self._plan.constant and read.file:
            event_M = np.arange(int(keep_E.sum()))
            word_M = np.full(len(event_M), words.sessions[read.file])
        else:
            word_M = self._codes(read, word_M, "session", lambda word: words.sessions[word])
        return Piece(
            line_E=block.number + line_E[kept],
            offset_E=block.offset + read.start_L1[line_E[kept]],
            time_E=time_E[kept].copy(),
            label_E=label_E[kept].astype(np.int8),
            kind_E=kind_E.astype(np.int32),
            level_E=level_E.astype(np.int32),
            component_E=component_E.astype(np.int32),
            text_E=text_E,
            values_E=values_E,
            member_event_M=event_M.astype(np.int64),
            member_session_M=word_M.astype(np.int64),
        )

    def _codes(self, read: _Read, word_E: Ints, role: str, code: Callable[[str], int]) -> Ints:
        """What words of a thread mean, looked up once for each word, in the order of the events."""
        if role in self._plan.constant:
            return np.full(len(word_E), code(self._reader.file)) if len(word_E) else np.zeros(0, np.int64)
        key = (id(read.by), role)
        known = self._places.get(key)
        if known is None or len(known) <= read.words:
            grown = np.full(2 * read.words + 2, _NEW, np.int64)
            if known is not None:
                grown[: len(known) - 1] = known[:-1]
                grown[-1] = known[-1]
            known = self._places[key] = grown
        found_E = known[word_E]  # -1, a field that the line lacks, is the last place
        if (found_E == _NEW).any():
            for word in dict.fromkeys(word_E[found_E == _NEW].tolist()):
                known[word] = code("" if word < 0 else read.by.word(word))
            found_E = known[word_E]
        return found_E

    def _moved(self, second_E: Floats) -> Floats:
        """Seconds by the clocks of a zone, or of a year that only the lines above tell; infinite where there is no such time."""
        moved_E = np.full(len(second_E), np.nan)
        turn_E = np.flatnonzero(np.diff(second_E, prepend=np.nan) != 0)  # after an unknown time everything turns
        known_E = turn_E[~np.isnan(second_E[turn_E])]
        moved_E[known_E] = [self._reader.times.moved(second) for second in second_E[known_E].tolist()]
        last_E = np.maximum.accumulate(np.where(np.isin(np.arange(len(second_E)), known_E), np.arange(len(second_E)), 0))
        return np.where(np.isnan(second_E), np.nan, moved_E[last_E])


def _plan_of(layout: Layout, masks: tuple[tuple[str, str], ...], starts: str) -> _Plan | None:
    """The plan of a layout; None if something in it is left to Python."""
    if layout.syntax not in {None, "text"} or not jit.works():
        return None
    form = compile_pattern(layout.expression, re.ASCII, whole=True)
    compiled_masks: Masks | None = compile_masks(masks, starts)
    if form is None or compiled_masks is None:
        return None
    rows, roles, constant = list[list[int]](), list[int](), dict[str, str]()
    for number, role in enumerate(_ROLES):
        ways = layout.fields(role)
        if ways == ((FILE,),):
            constant[role] = FILE
            continue
        for way in ways:
            if FILE in way or len(way) > _PARTS:
                return None
            groups = [0 if part == LINE else form.groups[part] for part in way]
            rows.append([*groups, *[-1] * (_PARTS - len(groups))])
            roles.append(number)
    if {"time", "message", "level"} & constant.keys():
        return None
    time = _time_of(layout)
    session = more = None
    session_groups, more_group, continues = -1, 0, 0
    if layout.session_pattern is not None:
        session = compile_pattern(layout.session_pattern, re.ASCII)
        session_groups = re.compile(layout.session_pattern, re.ASCII).groups
        if session is None or "session" in constant:
            return None
    if layout.continuation:
        continues = 1
        if isinstance(layout.continuation, str):
            more, continues = compile_pattern(layout.continuation, re.ASCII, whole=True), 2
            if more is None:
                return None
            more_group = more.groups.get("message", 0)
        if layout.fields("label") and layout.normal is None and layout.anomalous is None:
            return None  # whether a word is a label says whether a line is an event
    if time is None or (time.moves and layout.continuation):
        return None
    return _Plan(
        form=_program(form),
        ways=_by_role(rows, roles),
        roles=frozenset(roles),
        constant=constant,
        time=(time.kind, _program(time.program), time.groups, time.base),
        moves=time.moves,
        session=_program(session),
        session_groups=session_groups,
        more=_program(more),
        more_group=more_group,
        masks=(compiled_masks.arrays, np.zeros(max(compiled_masks.slots, 4), np.int64)),
        continues=continues,
    )


@dataclass(frozen=True, eq=False)
class _Time:
    """How times are read."""

    kind: int
    program: Program | None
    groups: Ints
    base: int
    moves: bool = False  # the machine reads a clock, which is put right afterwards


def _time_of(layout: Layout) -> _Time | None:
    from qlogad.logs.scan import machine

    none = np.zeros(len(_DIRECTIVES), np.int64)
    if not layout.fields("time"):
        return _Time(machine.UNTIMED, None, none, 0)
    times = LineTimes(layout.time_format, layout.time_zone or "UTC", layout.year)
    base = times.base  # None: the zone's clocks change
    form = layout.time_format
    if form in _NUMBERS:
        return _Time(machine.NUMBER, None, none, _NUMBERS[form])
    if form is None or form == "iso":
        return _Time(machine.ISO, None, none, base or 0, moves=base != 0)
    program = compile_pattern(times.expression, re.ASCII | re.IGNORECASE, whole=True)
    if program is None or not program.groups.keys() <= set(_DIRECTIVES):
        return None
    groups = np.array([program.groups.get(name, 0) for name in _DIRECTIVES], np.int64)
    yearless = not {"Y", "y"} & program.groups.keys()
    moves = "z" not in program.groups and (yearless or base is None)
    return _Time(machine.DIRECTED, program, groups, 0 if moves or "z" in program.groups else base or 0, moves=moves)
