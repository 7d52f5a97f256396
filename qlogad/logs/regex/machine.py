"""A backtracking machine for regular expressions, compiled by numba: what Python's `re` finds in ASCII text, byte for byte.

It is to be imported only where `qlogad.jit.works()`. All functions take plain arrays and can be called from other compiled functions;
arrays are not checked against each other. The first call compiles, about ten seconds of computing, kept on disk; read-only arrays and
others are compiled apart. A program (see program.py) is four arrays, a choice is three numbers on a stack that the caller lends:

    code    int32   instructions, each an operation and its operands
    sets    uint8   1 where a byte is in a set; a set is 257 numbers, the last one for the end of the text
    jumps   int32   where to go on by the next byte: a table is 257 numbers, 0 goes nowhere
    slots   int64   where groups begin and end (-1: not matched), then the counters of repeats
    stack   int64   choices left open, three numbers each

The operations, and what each does at the next byte:

    MATCH mark whole            succeed; if `whole`, only at the end of the text
    SEQUENCE n set...           n bytes, each in its set
    RUN set least most rest gives  as many bytes of a set as there are, before a byte of `rest`; whether it gives some back
    LAZY set least most rest    as few as will do, taking more only up to a byte of `rest`
    SWITCH table                go on where the next byte says
    FORK first second           try the first; if that fails, the second
    JUMP to
    SAVE slot                   remember the place
    AT kind                     an anchor
    LOOK negative back n set... n bytes, from `back` bytes earlier, are each in their set, or not all are; nothing is consumed
    ATOMIC slot / CUT slot      what is between keeps no choices
    AHEAD slot back / SEEN slot what is between is matched from `back` bytes earlier, and nothing is consumed
    NOT slot back to / FOUND slot what is between must not match; go on at `to`
    ENTER slot                  begin to count
    REPEAT slot least most body once more, or go on; REPEAT_LAZY slot least most again: go on, or once more, which AGAIN slot body does

Spencer's and Perl's way; Python's own is in CPython, Modules/_sre/sre_lib.h, whose rules on empty repeats are kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from qlogad.arrays import Ints, Numbers
from qlogad.jit import compiled

__all__ = ["NONE", "PYTHON", "is_ascii", "mask_line", "search"]

NONE = -1  # no match
PYTHON = -2  # undecided: Python's `re` has to decide

FAIL, MATCH, SEQUENCE, RUN, LAZY, SWITCH, FORK, JUMP, SAVE, AT, LOOK, ATOMIC, CUT, AHEAD, SEEN, NOT, FOUND = range(17)
ENTER, REPEAT, REPEAT_LAZY, AGAIN = range(17, 21)

START, END, END_OR_NEWLINE, LINE_START, LINE_END, BOUNDARY, NO_BOUNDARY, NO_BOUNDARY_OR_EMPTY = range(8)  # kinds of anchors

_compiled = partial(compiled, counted=False)

_RESUME, _GIVE, _MORE, _UNDO = range(4)  # kinds of entries of the stack
_START = 2  # the state of an automaton at the beginning, see automaton.py
_STOP = 256  # where sets and tables have the end of the text
_NEWLINE, _SPACE, _LESS, _STAR, _MORE_THAN, _COLON = b"\n <*>:"


@_compiled
def _get(numbers: Numbers, place: int) -> Any:
    """What is at a place, which is not negative: a number without sign is taken as it is, others are first compared with 0."""
    return numbers[np.uint64(place)]


@_compiled
def _push(stack: Ints, height: int, what: int, first: int, second: int) -> int:
    """Put an entry on the stack; the new height."""
    stack[np.uint64(height)] = what
    stack[np.uint64(height + 1)] = first
    stack[np.uint64(height + 2)] = second
    return height + 3


@_compiled
def is_ascii(data: Numbers, begin: int, end: int) -> bool:
    """Whether all bytes of a part are below 128."""
    seen = 0
    for i in range(begin, end):
        seen |= data[i]
    return seen < 128


@_compiled
def _is_word(byte: int) -> bool:
    return 97 <= byte <= 122 or 48 <= byte <= 57 or 65 <= byte <= 90 or byte == 95


@_compiled
def _holds(kind: int, data: Numbers, begin: int, end: int, i: int) -> bool:
    """Whether an anchor holds between two bytes."""
    if kind == START:
        return i == begin
    if kind == END:
        return i == end
    if kind == END_OR_NEWLINE:
        return i == end or (i + 1 == end and data[i] == _NEWLINE)
    if kind == LINE_START:
        return i == begin or data[i - 1] == _NEWLINE
    if kind == LINE_END:
        return i == end or data[i] == _NEWLINE
    if begin == end:
        return kind == NO_BOUNDARY_OR_EMPTY
    before = i > begin and _is_word(data[i - 1])
    after = i < end and _is_word(data[i])
    return (before != after) == (kind == BOUNDARY)


@_compiled
def _cut(stack: Ints, low: int, high: int) -> int:
    """Forget the choices of a part of the stack, but not what must be undone; the new height."""
    kept = low
    for place in range(low, high, 3):
        if stack[place] & 3 == _UNDO:
            stack[kept], stack[kept + 1], stack[kept + 2] = stack[place], stack[place + 1], stack[place + 2]
            kept += 3
    return kept


_BLANKS = np.arange(256, dtype=np.uint8)  # every kind of white space is a blank
_BLANKS[[9, 10, 11, 12, 13, 28, 29, 30, 31]] = _SPACE


@_compiled
def _attempt(
    code: Numbers,
    sets: Numbers,
    jumps: Numbers,
    pc: int,
    data: Numbers,
    begin: int,
    end: int,
    start: int,
    least: int,
    slots: Ints,
    stack: Ints,
    height: int,
    budget: int,
) -> Any:
    """Run a program at one place, with choices that are on the stack already.

    Returns:
        The end of the match, NONE or PYTHON; its mark; what is left of the budget.
    """
    i, top = start, len(stack) - 3
    while True:
        budget -= 1
        if budget < 0 or height > top - 6:
            return PYTHON, 0, budget
        good = True
        op = _get(code, pc)
        if op == SWITCH:
            pc = _get(jumps, _get(code, pc + 1) + (_get(data, i) if i < end else _STOP))
            good = pc > 0
        elif op == SEQUENCE:
            n = _get(code, pc + 1)
            if n > end - i:
                good = False
            else:
                pc += 2
                for k in range(n):
                    if _get(sets, _get(code, pc + k) + _get(data, i + k)) == 0:
                        good = False
                        break
                pc += n
                i += n
        elif op == RUN:
            these, low, most, rest = _get(code, pc + 1), i + _get(code, pc + 2), _get(code, pc + 3), _get(code, pc + 4)
            limit = end if most < 0 or most > end - i else i + most
            while i < limit and _get(sets, these + _get(data, i)) != 0:
                i += 1
            if i < low:
                good = False
            else:
                good = _get(sets, rest + (_get(data, i) if i < end else _STOP)) != 0
                if i > low and _get(code, pc + 5) != 0:
                    height = _push(stack, height, pc << 2 | _GIVE, low, i)
                pc += 6
        elif op == FORK:
            height = _push(stack, height, _get(code, pc + 2) << 2 | _RESUME, i, 0)
            pc = _get(code, pc + 1)
        elif op == LOOK:
            n, p, hit = _get(code, pc + 3), i - _get(code, pc + 2), False
            if p >= begin and n <= end - p:
                hit = True
                for k in range(n):
                    if _get(sets, _get(code, pc + 4 + k) + _get(data, p + k)) == 0:
                        hit = False
                        break
            good = hit != (_get(code, pc + 1) != 0)
            pc += 4 + n
        elif op == AT:
            good = _holds(_get(code, pc + 1), data, begin, end, i)
            pc += 2
        elif op == JUMP:
            pc = _get(code, pc + 1)
        elif op == MATCH:
            if i >= least and (_get(code, pc + 2) == 0 or i == end):
                return i, _get(code, pc + 1), budget
            good = False
        elif op == SAVE:
            slot = _get(code, pc + 1)
            if height > 0:
                height = _push(stack, height, slot << 2 | _UNDO, _get(slots, slot), 0)
            slots[np.uint64(slot)] = i
            pc += 2
        elif op == LAZY:
            these, low, most = _get(code, pc + 1), i + _get(code, pc + 2), _get(code, pc + 3)
            limit = end if most < 0 or most > end - i else i + most
            if low > limit:
                good = False
            else:
                while i < low and _get(sets, these + _get(data, i)) != 0:
                    i += 1
                if i < low:
                    good = False
                else:
                    height = _push(stack, height, pc << 2 | _MORE, i, limit)
                    good = _get(sets, _get(code, pc + 4) + (_get(data, i) if i < end else _STOP)) != 0
                    pc += 5
        elif op == ATOMIC:
            slots[np.uint64(_get(code, pc + 1))] = height
            pc += 2
        elif op == CUT:
            height = _cut(stack, _get(slots, _get(code, pc + 1)), height)
            pc += 2
        elif op == AHEAD:
            slot = _get(code, pc + 1)
            slots[np.uint64(slot)], slots[np.uint64(slot + 1)] = height, i
            i -= _get(code, pc + 2)
            good = i >= begin
            pc += 3
        elif op == SEEN:
            slot = _get(code, pc + 1)
            height, i = _cut(stack, _get(slots, slot), height), _get(slots, slot + 1)
            pc += 2
        elif op == NOT:
            slots[np.uint64(_get(code, pc + 1))] = height
            if i - _get(code, pc + 2) < begin:
                pc = _get(code, pc + 3)
            else:
                height = _push(stack, height, _get(code, pc + 3) << 2 | _RESUME, i, 0)
                i -= _get(code, pc + 2)
                pc += 4
        elif op == FOUND:
            low = _get(slots, _get(code, pc + 1))
            while height > low:
                height -= 3
                if _get(stack, height) & 3 == _UNDO:
                    slots[np.uint64(_get(stack, height) >> 2)] = _get(stack, height + 1)
            good = False
        elif op == ENTER:
            slot = _get(code, pc + 1)
            height = _push(stack, height, slot << 2 | _UNDO, _get(slots, slot), 0)
            height = _push(stack, height, (slot + 1) << 2 | _UNDO, _get(slots, slot + 1), 0)
            slots[np.uint64(slot)], slots[np.uint64(slot + 1)] = 0, -1
            pc += 2
        elif op >= REPEAT:  # or lazily, or again
            slot = _get(code, pc + 1)
            count, last = _get(slots, slot), _get(slots, slot + 1)
            if op == AGAIN:
                once, body, where = True, _get(code, pc + 2), i
            elif count < _get(code, pc + 2):
                once, body, where = True, _get(code, pc + 4), last
                if op == REPEAT_LAZY:
                    body = _get(code, body + 2)
            else:
                once, body, where = (_get(code, pc + 3) < 0 or count < _get(code, pc + 3)) and i != last, _get(code, pc + 4), i
                if once:  # a choice
                    height = _push(stack, height, (pc + 5 if op == REPEAT else body) << 2 | _RESUME, i, 0)
                    once = op == REPEAT
            if once:
                height = _push(stack, height, slot << 2 | _UNDO, count, 0)
                height = _push(stack, height, (slot + 1) << 2 | _UNDO, last, 0)
                slots[np.uint64(slot)], slots[np.uint64(slot + 1)] = count + 1, where
                pc = body
            else:
                pc += 5
        else:
            good = False
        if good:
            continue
        while height > 0:
            height -= 3
            kind, pc = _get(stack, height) & 3, _get(stack, height) >> 2
            if kind == _RESUME:
                i = _get(stack, height + 1)
                good = True
                break
            if kind == _UNDO:
                slots[np.uint64(pc)] = _get(stack, height + 1)
            elif kind == _GIVE:
                low, i, rest = _get(stack, height + 1), _get(stack, height + 2) - 1, _get(code, pc + 4)
                while i >= low and _get(sets, rest + _get(data, i)) == 0:
                    i -= 1
                if i >= low:
                    if i > low:
                        stack[np.uint64(height + 2)] = i
                        height += 3
                    pc += 6
                    good = True
                    break
            else:
                these, rest, i, limit = _get(code, pc + 1), _get(code, pc + 4), _get(stack, height + 1), _get(stack, height + 2)
                while i < limit and _get(sets, these + _get(data, i)) != 0:
                    i += 1
                    if _get(sets, rest + (_get(data, i) if i < end else _STOP)) != 0:
                        good = True
                        break
                if good:
                    stack[np.uint64(height + 1)] = i
                    height += 3
                    pc += 5
                    break
        if not good:
            return NONE, 0, budget


@_compiled
def search(
    code: Numbers,
    sets: Numbers,
    jumps: Numbers,
    entry: int,
    data: Numbers,
    begin: int,
    end: int,
    at: int,
    anchored: bool,
    advance: bool,
    slots: Ints,
    stack: Ints,
    budget: int,
) -> Any:
    """The first match at or after a place.

    Args:
        code, sets, jumps: a program.
        entry: where its tables of beginnings are.
        data: bytes; those of the text are below 128.
        begin, end: the text: anchors and looking around see nothing beyond.
        at: where to begin to look.
        anchored: a match must begin there.
        advance: a match there must not be empty.
        slots: as many as the program says.
        stack: of any size.
        budget: the number of steps after which Python has to decide.

    Returns:
        start, end and mark of the match; start is NONE without one, and PYTHON where stack or budget did not do. `slots` has the groups.
    """
    start = at
    while True:
        table = _get(jumps, entry + (_get(data, start - 1) if start > begin else _STOP))
        pc = 0
        while start < end:
            byte = _get(data, start)
            pc = _get(jumps, table + byte)
            if pc > 0 or anchored:
                break
            table = _get(jumps, entry + byte)
            start += 1
        if start == end:
            pc = _get(jumps, table + _STOP)
        if pc == 0:
            return NONE, NONE, 0
        least = at + 1 if advance and start == at else start
        for slot in range(len(slots)):
            slots[np.uint64(slot)] = -1
        stop, mark, budget = _attempt(code, sets, jumps, pc, data, begin, end, start, least, slots, stack, 0, budget)
        if stop == PYTHON:
            return PYTHON, PYTHON, 0
        if stop >= 0:
            return start, stop, mark
        if anchored or start >= end:
            return NONE, NONE, 0
        start += 1


@_compiled
def _next_mask(
    code: Numbers,
    sets: Numbers,
    jumps: Numbers,
    begins: Ints,
    entry: int,
    labels: Numbers,
    classes: Numbers,
    moves: Numbers,
    accepts: Ints,
    data: Numbers,
    begin: int,
    end: int,
    at: int,
    advance: bool,
    slots: Ints,
    stack: Ints,
    budget: int,
) -> Any:
    """As `search`, for masks: only those are tried that can begin at a place by the bytes around it and by the automaton."""
    shift, start = int(classes[_STOP]), at
    if 3 * len(labels) + 9 > len(stack):
        return PYTHON, PYTHON, 0
    while True:
        table = _get(begins, entry + (_get(data, start - 1) if start > begin else _STOP))
        may = np.int64(0)
        while start < end:
            byte = _get(data, start)
            may = _get(begins, table + byte)
            if may != 0:
                state = _START << shift
                seen, place = accepts[_START], start
                while place < end:
                    state = _get(moves, state + _get(classes, _get(data, place)))
                    if state == 0:
                        break
                    seen |= _get(accepts, state >> shift)
                    place += 1
                may &= seen
                if may != 0:
                    break
            table = _get(begins, entry + byte)
            start += 1
        if start == end:
            may = _get(begins, table + _STOP) & accepts[_START]
        if may == 0:
            return NONE, NONE, 0
        least = at + 1 if advance and start == at else start
        for slot in range(len(slots)):
            slots[np.uint64(slot)] = -1
        height, pc = 0, 0
        for mark in range(len(labels) - 1, -1, -1):
            if may >> mark & 1:
                if pc > 0:
                    height = _push(stack, height, pc << 2 | _RESUME, start, 0)
                pc = int(labels[mark])
        stop, which, budget = _attempt(code, sets, jumps, pc, data, begin, end, start, least, slots, stack, height, budget)
        if stop == PYTHON:
            return PYTHON, PYTHON, 0
        if stop >= 0:
            return start, stop, which
        if start >= end:
            return NONE, NONE, 0
        start += 1


@_compiled
def mask_line(
    masks: Any,
    data: Numbers,
    begin: int,
    end: int,
    out: Numbers,
    at: int,
    spans: Numbers,
    known: int,
    slots: Ints,
    stack: Ints,
    budget: int,
) -> Any:
    """Mask a message as `qlogad.logs.events.Mask` does, and write it with single blanks between its words.

    Args:
        masks: the arrays of `program.Masks`.
        data, begin, end: the message.
        out, at: where the masked message goes.
        spans, known: where values go, each a row: where it begins and ends in `data`, and its mask; the row of the first one.
        slots, stack, budget: as in `search`, for each search.

    Returns:
        The end of the masked message in `out`, and of its values in `spans`; or PYTHON, if a byte is not ASCII, room or budget do not do.
    """
    code, sets, jumps, begins, entries, labels, classes, moves, accepts, names, offsets = masks
    seen, less, room = np.uint8(0), np.uint8(0), len(out) - 2
    for i in range(begin, end):
        byte = _get(data, i)
        seen |= byte
        less |= np.uint8(byte == _LESS)
    if seen >= 128:
        return PYTHON, known
    entry = entries[0]
    if less:  # its own placeholders are masked too
        for i in range(begin, end - 1):
            after = _get(data, i + 1)
            if data[i] == _LESS and (after == _COLON or (after == _STAR and i + 2 < end and data[i + 2] == _MORE_THAN)):
                entry = entries[1]
                break
    i, advance, blank = begin, False, 1  # blank: 1 after a blank, which others that follow do not add to
    written = at
    while True:
        start, stop, mark = _next_mask(
            code, sets, jumps, begins, entry, labels, classes, moves, accepts, data, begin, end, i, advance, slots, stack, budget
        )
        if start == PYTHON:
            return PYTHON, known
        last = start if start >= 0 else end
        if last - i + 2 > room - at:
            return PYTHON, known
        for k in range(i, last):
            byte = _get(_BLANKS, _get(data, k))
            out[np.uint64(at)] = byte
            again = blank
            blank = int(byte == _SPACE)
            at += 1 - (blank & again)
        if start < 0:
            return at - (blank if at > written else 0), known
        advance = start == stop
        i = stop
        if advance:
            continue
        if known >= len(spans) or offsets[mark + 1] - offsets[mark] + 2 > room - at:
            return PYTHON, known
        blank = 0
        for k in range(_get(offsets, mark), _get(offsets, mark + 1)):
            out[np.uint64(at)] = _get(names, k)
            at += 1
        spans[known, 0], spans[known, 1], spans[known, 2] = start, stop, mark
        known += 1
