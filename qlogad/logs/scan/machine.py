"""The compiled pass: from the bytes of a piece of a log to columns, by the programs of a layout.

It is to be imported only where `qlogad.jit.works()`. What it cannot decide (text that is not ASCII, a search that takes too long) it leaves
to Python: it stops at that line, or goes by what Python has said of it before. All functions take plain arrays.

    line ─► layout's expression ─► fields ─► time in seconds, words to numbers, message masked ─► one row of the columns
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from qlogad.arrays import Floats, Ints, Numbers
from qlogad.jit import compiled
from qlogad.logs.regex.machine import NONE, PYTHON, mask_line, search

__all__ = [
    "ASIDE",
    "ASIDES",
    "ASK",
    "BLANKS",
    "COUNT",
    "DIRECTED",
    "DONE",
    "EVENT",
    "FULL",
    "ISO",
    "JOINED",
    "JOINS",
    "LINE",
    "MEMBERS",
    "NOT",
    "NUMBER",
    "ROWS",
    "SKIP",
    "TOLD",
    "TOO_LONG",
    "UNDECIDED",
    "UNTIMED",
    "USED",
    "VALUES",
    "VALUE_BYTES",
    "rehash",
    "scan",
]

_compiled = partial(compiled, counted=False)

DONE, FULL, UNDECIDED = range(3)  # why `scan` ended: all lines are read; room is needed; Python has to look at a line
EVENT, ASIDE, JOINS, SKIP = range(1, 5)  # what Python says of a line: 0 nothing; SKIP: blank, or the header of a table

ROWS, COUNT, USED, VALUES, VALUE_BYTES, MEMBERS, ASIDES, BLANKS, JOINED, LINE, ASK = range(11)  # places in `state`
TIME, LEVEL, COMPONENT, MESSAGE, SESSION, LABEL, KIND = range(7)  # roles, in the order of `ways`
TEXT = 7  # the words of masked messages
TOO_LONG, NOT, TOLD = range(3)  # why a line is set aside

ISO, NUMBER, DIRECTED, UNTIMED = range(4)  # how a time is read

_NEWLINE, _RETURN, _SPACE, _DOT, _COMMA, _MINUS, _PLUS, _COLON, _ZERO = b"\n\r .,-+:0"
_HALF = 1 << 29  # seconds: from 1987 on, nine digits of a fraction are rounded as Python rounds them


@_compiled
def intern(
    space: int,
    text: Numbers,
    begin: int,
    end: int,
    table: Ints,
    hashes: Ints,
    starts: Ints,
    spaces: Numbers,
    arena: Numbers,
    state: Ints,
) -> Any:
    """The number of a word of a space, a new one if it is new; -1 if there is no room."""
    prime = np.int64(1099511628211)
    h = np.int64(-3750763034362895579) ^ np.int64(space)
    a, b, c = h + 1, h + 2, h + 3  # four sums that do not wait for each other
    size = end - begin
    fours = begin + (size & ~3)
    for i in range(begin, fours, 4):
        h = (h ^ np.int64(text[i])) * prime
        a = (a ^ np.int64(text[i + 1])) * prime
        b = (b ^ np.int64(text[i + 2])) * prime
        c = (c ^ np.int64(text[i + 3])) * prime
    for i in range(fours, end):
        h = (h ^ np.int64(text[i])) * prime
    h = (((h * prime ^ a) * prime ^ b) * prime ^ c) * prime
    h ^= (h >> 32) & 0xFFFFFFFF
    mask = len(table) - 1
    place = h & mask
    while True:
        found = table[place]
        if found < 0:
            break
        if hashes[found] == h and spaces[found] == space and starts[found + 1] - starts[found] == size:
            at, differs = starts[found], np.uint8(0)
            for i in range(size):
                differs |= arena[at + i] ^ text[begin + i]
            if differs == 0:
                return found
        place = (place + 1) & mask
    new, used = state[COUNT], state[USED]
    if 2 * (new + 1) > len(table) or new + 2 > len(starts) or used + size > len(arena):
        return -1
    for i in range(size):
        arena[used + i] = text[begin + i]
    table[place], hashes[new], spaces[new], starts[new + 1] = new, h, space, used + size
    state[COUNT], state[USED] = new + 1, used + size
    return new


@_compiled
def rehash(table: Ints, hashes: Ints, count: int) -> None:
    """Put all words into an empty table."""
    mask = len(table) - 1
    for word in range(count):
        place = hashes[word] & mask
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = word


@_compiled
def number(data: Numbers, begin: int, end: int) -> int:
    """The digits of a part as a number; -1 if there is none, or another character."""
    value = 0
    for i in range(begin, end):
        digit = data[i] - _ZERO
        if digit < 0 or digit > 9:
            return -1
        value = 10 * value + digit
    return value if end > begin else -1


@_compiled
def days_of(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date; -1 << 40 if there is no such date.  Howard Hinnant, chrono-compatible low-level date algorithms."""
    if month < 1 or month > 12 or day < 1 or day > 31 or year < 1 or year > 9999:
        return -(1 << 40)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        if day > 28 + leap:
            return -(1 << 40)
    elif day == 31 and (month == 4 or month == 6 or month == 9 or month == 11):
        return -(1 << 40)
    y = year - (month <= 2)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


@_compiled
def with_fraction(second: int, digits: int, many: int) -> Any:
    """A time as seconds and a fraction, whose sum is rounded as Python rounds it; NaN if that cannot be promised."""
    if many == 0 or digits == 0:
        return float(second), 0.0
    if many > 9 or second < (_HALF if many > 6 else 1 << 20):
        return np.nan, 0.0
    scale = 1.0
    for _ in range(many):
        scale *= 10.0
    return float(second), digits / scale


@_compiled
def iso_time(data: Numbers, begin: int, end: int) -> Any:
    """Seconds of `2008-11-09 20:35:30,5`, UTC; NaN for any other form, which Python reads."""
    if end - begin < 19 or data[begin + 4] != _MINUS or data[begin + 7] != _MINUS:
        return np.nan, 0.0
    if data[begin + 13] != _COLON or data[begin + 16] != _COLON or (data[begin + 10] != _SPACE and data[begin + 10] != 84):
        return np.nan, 0.0
    many, digits = 0, 0
    if end - begin > 19:
        if data[begin + 19] != _DOT and data[begin + 19] != _COMMA:
            return np.nan, 0.0
        many = end - begin - 20
        digits = number(data, begin + 20, end)
        if many < 1 or many > 9 or digits < 0:
            return np.nan, 0.0
    year, month = number(data, begin, begin + 4), number(data, begin + 5, begin + 7)
    day, hour = number(data, begin + 8, begin + 10), number(data, begin + 11, begin + 13)
    minute, second = number(data, begin + 14, begin + 16), number(data, begin + 17, begin + 19)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59 or year < 1678 or year > 2261:
        return np.nan, 0.0
    days = days_of(year, month, day)
    if days == -(1 << 40):
        return np.nan, 0.0
    return with_fraction(86400 * days + 3600 * hour + 60 * minute + second, digits, many)


@_compiled
def month_of(data: Numbers, begin: int) -> int:
    """The month whose English name begins here; 0 if none does."""
    names = b"janfebmaraprmayjunjulaugsepoctnovdec"
    a, b, c = data[begin] | 32, data[begin + 1] | 32, data[begin + 2] | 32
    for month in range(12):
        if names[3 * month] == a and names[3 * month + 1] == b and names[3 * month + 2] == c:
            return month + 1
    return 0


@_compiled
def directed_time(data: Numbers, slots: Ints, groups: Ints, base: int, found: Ints) -> Any:
    """Seconds of a time that was matched by its directives; NaN if Python has to look.

    Args:
        data: the text.
        slots: of the match.
        groups: the groups of the directives Y y m b d H M S f L z, 0 for those that the format lacks.
        base: seconds to add, for a zone.
        found: room for ten numbers.
    """
    for place in range(10):
        found[place] = 0
    found[2] = found[4] = 1
    many = 0
    for place in range(10):
        group = groups[place]
        if group == 0:
            continue
        begin, end = slots[2 * group], slots[2 * group + 1]
        if begin < 0:
            return np.nan, 0.0
        if place == 3:
            found[2] = month_of(data, begin)
        else:
            found[place] = number(data, begin, end)
            if found[place] < 0:
                return np.nan, 0.0
        if place == 8:
            many = end - begin
        if place == 9:
            many = 3
    year = found[0]
    if groups[0] == 0 and groups[1] == 0:
        year = 2000
    elif groups[0] == 0:
        year = found[1] + (2000 if found[1] < 69 else 1900)
    if year < 1678 or year > 2261 or found[5] > 23 or found[6] > 59 or found[7] > 59:
        return np.nan, 0.0
    days = days_of(year, found[2], found[4])
    if days == -(1 << 40):
        return np.nan, 0.0
    zone = groups[10]
    if zone > 0 and (data[slots[2 * zone]] == _PLUS or data[slots[2 * zone]] == _MINUS):
        begin, end = slots[2 * zone], slots[2 * zone + 1]
        ahead = 3600 * number(data, begin + 1, begin + 3) + 60 * number(data, end - 2, end)
        if ahead < 0 or number(data, begin + 1, begin + 3) > 23 or number(data, end - 2, end) > 59:
            return np.nan, 0.0
        base -= ahead if data[begin] == _PLUS else -ahead
    digits = found[8] if groups[8] else found[9]
    return with_fraction(86400 * days + 3600 * found[5] + 60 * found[6] + found[7] + base, digits, many)


@_compiled
def take(role: int, ways: Numbers, slots: Ints, data: Numbers, begin: int, end: int, scratch: Numbers, at: int) -> Any:
    """Where the text of a role is: (begin, end, whether in `scratch`); begin is NONE if the line has none, PYTHON if room is needed.

    Column 0 of `ways` says in which rows a role begins; the other columns of a row are groups whose texts are joined by blanks: 0 is the
    whole line, -1 is no further group.
    """
    for row in range(ways[role, 0], ways[role + 1, 0]):
        parts, whole = 0, True
        for part in range(1, ways.shape[1]):
            group = ways[row, part]
            if group < 0:
                break
            parts += 1
            if group > 0 and slots[2 * group] < 0:
                whole = False
        if not whole:
            continue
        if parts == 1:
            group = ways[row, 1]
            if group == 0:
                return begin, end, False
            return slots[2 * group], slots[2 * group + 1], False
        place = at
        for part in range(1, parts + 1):
            group = ways[row, part]
            first, last = (begin, end) if group == 0 else (slots[2 * group], slots[2 * group + 1])
            if place + last - first + 1 > len(scratch):
                return PYTHON, PYTHON, True
            if part > 1:
                scratch[place] = _SPACE
                place += 1
            for i in range(first, last):
                scratch[place] = data[i]
                place += 1
        return at, place, True
    return NONE, NONE, False


@_compiled
def is_blank(data: Numbers, begin: int, end: int) -> bool:
    """Whether a line has no content, as `bytes.isspace` sees it."""
    for i in range(begin, end):
        byte = data[i]
        if byte != _SPACE and (byte < 9 or byte > 13):
            return False
    return True


@_compiled
def is_space(byte: int) -> bool:
    """Whether `str.strip` takes a character away."""
    return byte == _SPACE or 9 <= byte <= 13 or 28 <= byte <= 31


@_compiled
def finish(
    source: Numbers,
    begin: int,
    end: int,
    masks: Any,
    row: int,
    text_E: Ints,
    value_E: Ints,
    value_ends: Ints,
    value_text: Numbers,
    table: Ints,
    hashes: Ints,
    starts: Ints,
    spaces: Numbers,
    arena: Numbers,
    state: Ints,
    out: Numbers,
    spans: Numbers,
    slots: Ints,
    stack: Ints,
    budget: int,
) -> int:
    """Mask a message and end its row: DONE, FULL or UNDECIDED."""
    if len(spans) < end - begin:  # as many values as bytes; there is room for all their placeholders then
        return FULL
    size, known = mask_line(
        masks,
        source,
        begin,
        end,
        out,
        0,
        spans,
        0,
        slots,
        stack,
        budget,
    )
    if size == PYTHON:
        return UNDECIDED
    values, used = state[VALUES], state[VALUE_BYTES]
    if values + known + 1 > len(value_ends) or used + end - begin > len(value_text):
        return FULL
    text = intern(TEXT, out, 0, size, table, hashes, starts, spaces, arena, state)
    if text < 0:
        return FULL
    for k in range(known):
        for i in range(spans[k, 0], spans[k, 1]):
            value_text[used] = source[i]
            used += 1
        value_ends[values + k + 1] = used
    text_E[row] = text
    state[VALUES], state[VALUE_BYTES] = values + known, used
    value_E[row + 1] = values + known
    return DONE


@_compiled
def scan(
    data: Numbers,
    starts_L: Ints,
    told_L: Numbers,
    continues: int,
    hanging: bool,
    longest_join: int,
    longest_line: int,
    form: Any,
    ways: Numbers,
    time_kind: int,
    time_form: Any,
    time_groups: Ints,
    time_base: int,
    latest: float,
    apart: bool,
    session: Any,
    session_groups: int,
    more: Any,
    more_group: int,
    masks: Any,
    row_line: Ints,
    row_last: Ints,
    row_python: Numbers,
    time_E: Floats,
    fraction_E: Floats,
    word_ER: Ints,
    text_E: Ints,
    value_E: Ints,
    value_ends: Ints,
    value_text: Numbers,
    member_event: Ints,
    member_word: Ints,
    aside_line: Ints,
    aside_reason: Ints,
    table: Ints,
    hashes: Ints,
    starts: Ints,
    spaces: Numbers,
    arena: Numbers,
    state: Ints,
    scratch: Numbers,
    buffer: Numbers,
    out: Numbers,
    spans: Numbers,
    stack: Ints,
    found: Ints,
    budget: int,
) -> int:
    """Read lines from `state[LINE]` on, as far as possible.

    Args:
        data, starts_L: the bytes, and where lines begin; the last number is where the next piece begins.
        told_L: what Python has said of a line: 0 nothing, else EVENT, ASIDE, JOINS or SKIP.
        continues: 0: lines do not go on with events above; 1: those that are no events do; 2: those that match `more` do.
        hanging: the first lines may go on with an event of the piece before.
        longest_join, longest_line: in bytes.
        form, time_form, session, more: programs, as (code, sets, jumps, entry, slots).
        ways: how roles are taken from groups, see `take`.
        time_kind, time_groups, time_base: ISO, NUMBER, DIRECTED or UNTIMED, and what `directed_time` needs; the base of numbers is how many
            are a second.
        latest: the last second that is a time.
        apart: fractions of seconds are to be apart from the seconds.
        session_groups: of the expression that finds sessions; -1 if the text of the role is the session.
        more_group: of the message in `more`; 0: all of the line.
        masks: (arrays, slots), see `mask_line`.
        row_line to aside_reason: the columns, and lines that are set aside.
        table to state: the words, see `intern`.
        scratch to stack: room.

    Returns:
        DONE, FULL or UNDECIDED, with `state[LINE]` where to go on. Whatever belongs to lines from there on is not counted.
    """
    lines = len(starts_L) - 1
    line = state[LINE]
    pending = -1  # the first line of an event that may go on
    row_begin, row_end, in_buffer, joined_size, second, fraction = 0, 0, False, 0, np.nan, 0.0
    python_row = 0
    last_line = 0
    members, blanks, joined, asides = state[MEMBERS], state[BLANKS], state[JOINED], state[ASIDES]
    while True:
        told = 0
        begin = end = 0
        what, reason = 0, 0
        if line < lines:
            begin, end = starts_L[line], starts_L[line + 1] - 1  # without its newline
            told = told_L[line]
            if told == 0:
                if end - begin > longest_line:
                    what, reason = ASIDE, TOO_LONG
                else:
                    if end > begin and data[end - 1] == _RETURN:
                        end -= 1
                    if is_blank(data, begin, end):
                        what = SKIP
            else:
                if end > begin and data[end - 1] == _RETURN:
                    end -= 1
                what, reason = told, TOLD
            if what == SKIP:
                if told == 0:
                    blanks += 1
                line += 1
                if pending < 0:
                    state[LINE], state[BLANKS] = line, blanks
                continue
            if what == ASIDE and reason == TOO_LONG:
                aside_line[asides], aside_reason[asides] = line, reason
                asides += 1
                line += 1
                if pending < 0:
                    state[LINE], state[ASIDES] = line, asides
                continue
            more_begin, more_end = begin, end
            if what == 0 and continues == 2:
                start, _, _ = search(
                    more[0], more[1], more[2], more[3], data, begin, end, begin, True, False, more[4], stack, budget
                )
                if start == PYTHON:
                    state[LINE], state[ASK] = line if pending < 0 else pending, line
                    return UNDECIDED
                if start >= 0:
                    what = JOINS
                    if more_group > 0:
                        more_begin, more_end = more[4][2 * more_group], more[4][2 * more_group + 1]
                        if more_begin < 0:
                            more_begin, more_end = begin, begin
            if what == 0:
                start, _, _ = search(
                    form[0], form[1], form[2], form[3], data, begin, end, begin, True, False, form[4], stack, budget
                )
                if start == PYTHON:
                    state[LINE], state[ASK] = line if pending < 0 else pending, line
                    return UNDECIDED
                what = EVENT if start >= 0 else ASIDE
                reason = NOT
                second, fraction = np.nan, 0.0
                if what == EVENT and time_kind != UNTIMED:
                    first, last, inside = take(TIME, ways, form[4], data, begin, end, scratch, 0)
                    source = scratch if inside else data
                    if first == PYTHON:
                        state[LINE] = line if pending < 0 else pending
                        return FULL
                    if first < 0 or first == last:
                        pass  # the time is not known
                    elif time_kind == ISO:
                        second, fraction = iso_time(source, first, last)
                    elif time_kind == NUMBER:
                        whole = number(source, first, last)
                        if whole >= 0 and last - first <= 15:
                            second = whole / float(time_base)
                        if second > latest:
                            second, fraction = np.nan, 0.0
                    else:
                        start, _, _ = search(
                            time_form[0],
                            time_form[1],
                            time_form[2],
                            time_form[3],
                            source,
                            first,
                            last,
                            first,
                            True,
                            False,
                            time_form[4],
                            stack,
                            budget,
                        )
                        if start >= 0:
                            second, fraction = directed_time(source, time_form[4], time_groups, time_base, found)
                    if np.isnan(second) and first < last:
                        state[LINE], state[ASK] = line if pending < 0 else pending, line
                        return UNDECIDED
            if what == JOINS or (what == ASIDE and continues == 1 and reason != TOO_LONG):
                if pending >= 0:
                    joined += 1
                    if told:
                        python_row = 1
                    last_line = line
                    if python_row == 0 and joined_size < longest_join:
                        while more_begin < more_end and is_space(data[more_begin]):
                            more_begin += 1
                        while more_begin < more_end and is_space(data[more_end - 1]):
                            more_end -= 1
                        more_end = min(more_end, more_begin + longest_join - joined_size)
                        if row_end - row_begin + more_end - more_begin + 1 > len(buffer):
                            state[LINE] = pending
                            return FULL
                        if not in_buffer:
                            for i in range(row_end - row_begin):
                                buffer[i] = data[row_begin + i]
                            row_begin, row_end, in_buffer = 0, row_end - row_begin, True
                        buffer[row_end] = _SPACE
                        row_end += 1
                        for i in range(more_begin, more_end):
                            buffer[row_end] = data[i]
                            row_end += 1
                        joined_size += more_end - more_begin + 1
                    line += 1
                    continue
                if hanging and state[ROWS] == 0 and asides == 0:
                    joined += 1
                    line += 1
                    state[LINE], state[JOINED] = line, joined
                    continue
                what = ASIDE
                if reason == 0:
                    reason = NOT
            if what == ASIDE and (pending < 0 or continues == 2):
                aside_line[asides], aside_reason[asides] = line, reason
                asides += 1
                line += 1
                if pending < 0:
                    state[LINE], state[ASIDES] = line, asides
                continue
        if pending >= 0:  # the event above has ended
            row = state[ROWS]
            if python_row:
                text_E[row] = -1
                value_E[row + 1] = state[VALUES]
            else:
                ended = finish(
                    buffer if in_buffer else data,
                    row_begin,
                    row_end,
                    masks[0],
                    row,
                    text_E,
                    value_E,
                    value_ends,
                    value_text,
                    table,
                    hashes,
                    starts,
                    spaces,
                    arena,
                    state,
                    out,
                    spans,
                    masks[1],
                    stack,
                    budget,
                )
                if ended != DONE:
                    state[LINE], state[ASK] = pending, pending
                    return ended
            row_line[row], row_last[row], row_python[row] = pending, last_line, python_row
            state[ROWS] = row + 1
            state[MEMBERS], state[BLANKS], state[JOINED], state[ASIDES], state[LINE] = members, blanks, joined, asides, line
            pending = -1
        if line >= lines:
            return DONE
        if what == ASIDE:
            aside_line[asides], aside_reason[asides] = line, reason
            asides += 1
            line += 1
            state[LINE], state[ASIDES] = line, asides
            continue
        row = state[ROWS]
        pending, last_line, python_row, in_buffer = line, line, 1 if told else 0, False
        if told == 0:
            time_E[row], fraction_E[row] = (second, fraction) if apart else (second + fraction, 0.0)
            full = False
            for role in range(LEVEL, KIND + 1):
                if role in (MESSAGE, SESSION):
                    continue
                first, last, inside = take(role, ways, form[4], data, begin, end, scratch, 0)
                if first == PYTHON:
                    full = True
                    break
                if first == NONE:
                    word_ER[row, role] = -1
                    continue
                word = intern(role, scratch if inside else data, first, last, table, hashes, starts, spaces, arena, state)
                if word < 0:
                    full = True
                    break
                word_ER[row, role] = word
            if not full:
                first, last, inside = take(SESSION, ways, form[4], data, begin, end, scratch, 0)
                if first == PYTHON:
                    full = True
                elif first >= 0 and last > first:
                    source = scratch if inside else data
                    if session_groups < 0:
                        word = intern(SESSION, source, first, last, table, hashes, starts, spaces, arena, state)
                        if word < 0 or members >= len(member_word):
                            full = True
                        else:
                            member_event[members], member_word[members] = row, word
                            members += 1
                    else:
                        at, advance, first_member = first, False, members
                        while True:
                            start, stop, _ = search(
                                session[0],
                                session[1],
                                session[2],
                                session[3],
                                source,
                                first,
                                last,
                                at,
                                False,
                                advance,
                                session[4],
                                stack,
                                budget,
                            )
                            if start == PYTHON:
                                state[LINE], state[ASK] = line, line
                                return UNDECIDED
                            if start < 0:
                                break
                            low, high = start, stop
                            if session_groups > 0:
                                low, high = 0, 0
                                for group in range(1, session_groups + 1):
                                    if session[4][2 * group] >= 0 and session[4][2 * group + 1] > session[4][2 * group]:
                                        low, high = session[4][2 * group], session[4][2 * group + 1]
                                        break
                            if high > low:
                                word = intern(SESSION, source, low, high, table, hashes, starts, spaces, arena, state)
                                if word < 0 or members >= len(member_word):
                                    full = True
                                    break
                                known = False
                                for member in range(first_member, members):
                                    if member_word[member] == word:
                                        known = True
                                        break
                                if not known:
                                    member_event[members], member_word[members] = row, word
                                    members += 1
                            advance = start == stop
                            at = stop
            if full:
                state[LINE] = line
                return FULL
            row_begin, row_end, inside = take(MESSAGE, ways, form[4], data, begin, end, scratch, 0)
            if row_begin == NONE:  # an empty message
                row_begin, row_end = begin, begin
            if row_begin == PYTHON or (inside and row_end - row_begin > len(buffer)):
                state[LINE] = line
                return FULL
            if inside:
                for i in range(row_begin, row_end):
                    buffer[i - row_begin] = scratch[i]
                row_begin, row_end, in_buffer = 0, row_end - row_begin, True
            joined_size = row_end - row_begin
        line += 1
