"""Compile a regular expression, or masks, for the machine of machine.py, with Python's own parser; None where only Python's `re` will do.

What a set of characters holds is asked of `re` itself. The compiler knows which bytes the rest of an expression can begin with, and so
leaves out choices that cannot succeed: a branch that cannot begin at the next byte, giving back bytes that nothing follows.
Left to `re` are references to groups, conditionals, groups in negative looks, and possessive repeats of more than one character.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Places
from qlogad.logs.regex import machine as m

__all__ = ["Masks", "Program", "compile_masks", "compile_pattern"]

_parser: Any = import_module("re._parser")
_compiler: Any = import_module("re._compiler")

_STOP = 1 << 256  # the end of the text, as a member of a set
_ALL = (_STOP << 1) - 1  # sets are numbers: bit b for byte b
_WORD = sum(1 << code for code in b"_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LARGEST = 1 << 15  # longer programs are left to Python
_UNROLLED = 64  # nodes that a repeat may be written out into
_OWN = r"<\*>|<:\w+:>"  # what looks like a placeholder, as in events.py


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled expression: the arrays of machine.py.

    Attributes:
        slots: how many the machine needs: 2 n and 2 n + 1 are the ends of group n of `re`, from 1; 0 and 1 are not used.
        groups: the names of groups and their numbers.
    """

    code: Places
    sets: NDArray[np.uint8]
    jumps: Places
    entry: int
    slots: int
    groups: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Masks:
    """Compiled masks: the arguments of `machine.mask_line`.

    Attributes:
        entries: where the masks begin, and where the masks with the mask of placeholders before them do.
        names, offsets: the placeholders one after the other, and where each begins; the first is `<:ANY:>`.
        slots: how many the machine needs.
    """

    code: Places
    sets: NDArray[np.uint8]
    jumps: Places
    entries: Places
    names: NDArray[np.uint8]
    offsets: Places
    slots: int


class _Unsupported(Exception):
    """Something that is left to Python's `re`."""


# ---------------------------------------------------------------- what an expression consists of


@dataclass(frozen=True)
class _One:
    these: int  # a set


@dataclass(frozen=True)
class _Row:
    items: tuple[_Node, ...]


@dataclass(frozen=True)
class _Branch:
    items: tuple[_Node, ...]


@dataclass(frozen=True)
class _Repeat:
    least: int
    most: int  # -1: any number
    how: str  # "greedy", "lazy" or "possessive"
    item: _Node


@dataclass(frozen=True)
class _Group:
    number: int
    item: _Node


@dataclass(frozen=True)
class _At:
    kind: int


@dataclass(frozen=True)
class _Look:
    negative: bool
    back: int  # bytes
    item: _Node
    behind: bool


@dataclass(frozen=True)
class _Atomic:
    item: _Node


_Node = _One | _Row | _Branch | _Repeat | _Group | _At | _Look | _Atomic


@lru_cache(maxsize=1 << 12)
def _set(node: str, flags: int, make: _Item) -> int:
    """The ASCII characters that one item of a parsed expression matches."""
    state = _parser.State()
    state.flags = flags
    pattern = _compiler.compile(_parser.SubPattern(state, [make.item]), flags)
    return sum(1 << code for code in range(128) if pattern.fullmatch(chr(code)))


@dataclass(frozen=True)
class _Item:
    item: Any = field(compare=False)


def _row(parsed: Any, flags: int) -> _Row:
    return _Row(tuple(_node(op, value, flags) for op, value in parsed))


def _node(op: Any, value: Any, flags: int) -> _Node:
    name = str(op)
    if name in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
        return _One(_set(repr((op, value)), flags, _Item((op, value))))
    if name == "BRANCH":
        return _Branch(tuple(_row(one, flags) for one in value[1]))
    if name == "SUBPATTERN":
        number, more, less, parsed = value
        inner = _row(parsed, int(_compiler._combine_flags(flags, more, less)))
        return inner if number is None else _Group(number, inner)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, parsed = value
        how = {"MAX_REPEAT": "greedy", "MIN_REPEAT": "lazy"}.get(name, "possessive")
        item = _plain(_row(parsed, flags))
        return _Repeat(int(least), -1 if most is _parser.MAXREPEAT else int(most), how, item)
    if name == "AT":
        return _At(_anchor(str(value), flags))
    if name in ("ASSERT", "ASSERT_NOT"):
        direction, parsed = value
        inner = _row(parsed, flags)
        return _Look(name == "ASSERT_NOT", _shortest(inner) if direction < 0 else 0, inner, direction < 0)
    if name == "ATOMIC_GROUP":
        return _Atomic(_row(value, flags))
    if name == "FAILURE":
        return _One(0)
    raise _Unsupported(name)


def _plain(node: _Node) -> _Node:
    """A row of one item is that item."""
    return _plain(node.items[0]) if isinstance(node, (_Row, _Branch)) and len(node.items) == 1 else node


def _anchor(name: str, flags: int) -> int:
    lines = flags & re.MULTILINE
    kinds = {
        "AT_BEGINNING": m.LINE_START if lines else m.START,
        "AT_BEGINNING_STRING": m.START,
        "AT_END": m.LINE_END if lines else m.END_OR_NEWLINE,
        "AT_END_STRING": m.END,
        "AT_BOUNDARY": m.BOUNDARY,
        "AT_NON_BOUNDARY": m.NO_BOUNDARY_OR_EMPTY if re.search(r"\B", "") else m.NO_BOUNDARY,  # changed in Python 3.14
    }
    if name not in kinds:
        raise _Unsupported(name)
    return kinds[name]


def _children(node: _Node) -> tuple[_Node, ...]:
    if isinstance(node, (_Row, _Branch)):
        return node.items
    return (node.item,) if isinstance(node, (_Repeat, _Group, _Look, _Atomic)) else ()


def _size(node: _Node) -> int:
    return 1 + sum(map(_size, _children(node)))


def _has_groups(node: _Node) -> bool:
    return isinstance(node, _Group) or any(map(_has_groups, _children(node)))


def _shortest(node: _Node) -> int:
    """The fewest bytes that a node matches."""
    if isinstance(node, _One):
        return 1
    if isinstance(node, _Row):
        return sum(map(_shortest, node.items))
    if isinstance(node, _Branch):
        return min(map(_shortest, node.items))
    if isinstance(node, _Repeat):
        return node.least * _shortest(node.item)
    return _shortest(node.item) if isinstance(node, (_Group, _Atomic)) else 0


def _first(node: _Node, follow: int, before: int | None = None) -> int:
    """The bytes that a node can begin with (no fewer than there are), if `follow` comes after it and the byte `before` before it."""
    if isinstance(node, _One):
        return node.these
    if isinstance(node, _Row):
        still = next((place for place, one in enumerate(node.items) if not isinstance(one, (_At, _Look))), len(node.items))
        for place in range(len(node.items) - 1, -1, -1):
            follow = _first(node.items[place], follow, before if place <= still else None)
        return follow
    if isinstance(node, _Branch):
        found = 0
        for one in node.items:
            found |= _first(one, follow, before)
        return found
    if isinstance(node, _Repeat):
        if node.most == 0:
            return follow
        return _first(node.item, follow, before) | (0 if node.least else follow)
    if isinstance(node, (_Group, _Atomic)):
        return _first(node.item, follow, before)
    if isinstance(node, _At):
        return follow & _allowed(node.kind, before)
    if node.behind:
        inner = _plain(node.item)
        if before is None or not isinstance(inner, _One):
            return follow
        return follow if bool(inner.these >> before & 1) != node.negative else 0
    if not node.negative:
        return follow & _first(node.item, _ALL)
    for these in _sequences(node.item) or []:
        if len(these) == 1:
            follow &= ~these[0]
    return follow


def _allowed(kind: int, before: int | None) -> int:
    """The bytes that may come after an anchor."""
    if kind in (m.END, m.END_OR_NEWLINE, m.LINE_END):
        return _STOP if kind == m.END else _STOP | 1 << 10
    if before is None:
        return _ALL
    if kind == m.START:
        return _ALL if before == 256 else 0
    if kind == m.LINE_START:
        return _ALL if before in (256, 10) else 0
    unlike = _WORD if not _WORD >> before & 1 else _ALL & ~_WORD
    return unlike if kind == m.BOUNDARY else _ALL & ~unlike | (_STOP if before == 256 else 0)


def _is_decided(node: _Node) -> bool:
    """Whether `_first` knows exactly, by the bytes before and after, if a node matches there."""
    if isinstance(node, _Look):
        return node.behind and isinstance(_plain(node.item), _One)
    return isinstance(node, _At) and node.kind in (m.START, m.LINE_START, m.BOUNDARY)


def _optional(row: Sequence[_Node]) -> int:
    """The bytes of a repeat at the beginning that may as well not be there; 0 if there is none."""
    first = row[0] if row else None
    return (
        first.item.these
        if isinstance(first, _Repeat) and first.how != "lazy" and not first.least and isinstance(first.item, _One)
        else 0
    )


def _sequences(node: _Node) -> list[tuple[int, ...]] | None:
    """What a node matches as a few sequences of sets; None if it is not that simple."""
    if isinstance(node, _One):
        return [(node.these,)]
    if isinstance(node, _Row):
        found: list[tuple[int, ...]] = [()]
        for one in node.items:
            tails = _sequences(one)
            if tails is None or len(tails) * len(found) > 4:
                return None
            found = [head + tail for head in found for tail in tails]
        return found
    if isinstance(node, _Branch):
        several = [_sequences(one) for one in node.items]
        flat = [one for some in several if some is not None for one in some]
        return None if None in several or len(flat) > 4 else flat
    if isinstance(node, _Repeat) and node.least == node.most <= 8 and isinstance(node.item, _One):
        return [(node.item.these,) * node.least]
    return None


# ---------------------------------------------------------------- writing instructions


class _Label:
    """A place in the code, perhaps not known yet."""

    def __init__(self) -> None:
        self.place = 0


_NOWHERE = _Label()  # 0, where FAIL is


@dataclass(frozen=True)
class _Entry:
    tables: list[int]  # by the byte before a match


class _Assembly:
    """Instructions, sets and jump tables of a program being written.

    `follow` is the set of bytes that what comes afterwards can begin with; `sure` says that it cannot fail.
    """

    def __init__(self, *, groups: int, whole: bool) -> None:
        self.code: list[int | _Label] = [m.FAIL]
        self.sets: dict[int, int] = {0: 0}  # the set, and where it begins
        self.tables: list[list[_Label]] = []
        self.slots = 2 * groups if groups > 1 else 0
        self.groups = groups > 1
        self.whole = whole

    def set(self, these: int) -> int:
        return self.sets.setdefault(these, 257 * len(self.sets))

    def put(self, *words: int | _Label) -> None:
        self.code += words
        if len(self.code) > _LARGEST or len(self.tables) > 1 << 10:
            raise _Unsupported("too long")

    def here(self, label: _Label) -> None:
        label.place = len(self.code)

    def take(self, count: int) -> int:
        self.slots += count
        return self.slots - count

    def whole_program(self, branches: Sequence[tuple[_Node, int]], allowed: int = _ALL) -> _Entry:
        """Write alternatives, each with its mark; a match begins with an allowed byte."""
        follow, ways = _STOP if self.whole else _ALL, dict[tuple[int, ...], int]()
        labels = [_Label() for _ in branches]
        befores = []
        skipping = [_Label() for _ in branches]
        rows = [self.entered(node) for node, _ in branches]
        for before in (*range(128), 256):
            firsts = tuple(_first(node, follow, before) & allowed for node, _ in branches)
            if firsts not in ways:
                ways[firsts] = 257 * len(self.tables)
                choices = []
                for first, label, skip, row in zip(firsts, labels, skipping, rows, strict=True):
                    without = ~_optional(row)
                    choices += [(first & ~without, label), (first & without, skip)]
                self.tables.append(self.choose(choices))
            befores.append(ways[firsts])
        for (_, mark), label, skip, row in zip(branches, labels, skipping, rows, strict=True):
            self.here(label)
            if _optional(row):
                self.node(row[0], _first(_Row(row[1:]), follow), False)
            self.here(skip)
            self.row(row[1:] if _optional(row) else row, follow, not self.whole)
            self.put(m.MATCH, mark, int(self.whole))
        return _Entry([*befores[:-1], *befores[:1] * 128, befores[-1]])

    def entered(self, node: _Node) -> tuple[_Node, ...]:
        """What is left to match of an alternative after the tables of beginnings, which look at the bytes before and after."""
        while isinstance(node, _Group) and not self.groups:
            node = node.item
        items = node.items if isinstance(node, _Row) else (node,)
        while items and _is_decided(items[0]):
            items = items[1:]
        return items

    def choose(self, choices: Sequence[tuple[int, _Label]]) -> list[_Label]:
        """Where to go on by the next byte: at the first choice that it allows, and the others are kept."""
        chains = dict[tuple[_Label, ...], _Label]()

        def chain(labels: tuple[_Label, ...]) -> _Label:
            if len(labels) < 2:
                return labels[0] if labels else _NOWHERE
            if labels not in chains:
                after = chain(labels[1:])
                chains[labels] = _Label()
                self.here(chains[labels])
                self.put(m.FORK, labels[0], after)
            return chains[labels]

        return [chain(tuple(label for first, label in choices if first >> byte & 1)) for byte in range(257)]

    def switch(self, choices: Sequence[tuple[int, _Label]]) -> None:
        """Go on where the next byte says."""
        self.put(m.SWITCH, 257 * len(self.tables))
        place = len(self.tables)
        self.tables.append([])
        self.tables[place] = self.choose(choices)

    def node(self, node: _Node, follow: int, sure: bool) -> None:
        if isinstance(node, _One):
            self.put(m.SEQUENCE, 1, self.set(node.these))
        elif isinstance(node, _Row):
            self.row(node.items, follow, sure)
        elif isinstance(node, _Branch):
            labels, end = [_Label() for _ in node.items], _Label()
            self.switch([(_first(one, follow), label) for one, label in zip(node.items, labels, strict=True)])
            for one, label in zip(node.items, labels, strict=True):
                self.here(label)
                self.node(one, follow, sure)
                if label is not labels[-1]:
                    self.put(m.JUMP, end)
            self.here(end)
        elif isinstance(node, _Repeat):
            self.repeat(node, follow, sure)
        elif isinstance(node, _Group):
            if self.groups:
                self.put(m.SAVE, 2 * node.number)
            self.node(node.item, follow, sure)
            if self.groups:
                self.put(m.SAVE, 2 * node.number + 1)
        elif isinstance(node, _At):
            self.put(m.AT, node.kind)
        elif isinstance(node, _Look):
            self.look(node)
        else:
            self.atomic(node.item)

    def row(self, items: Sequence[_Node], follow: int, sure: bool) -> None:
        follows = [follow]
        for one in reversed(items[1:]):
            follows.append(_first(one, follows[-1]))
        together: list[int] = []
        for place, (one, after) in enumerate(zip(items, reversed(follows), strict=False)):
            fixed = _sequences(one) if isinstance(one, (_One, _Repeat)) else None
            if fixed is not None:
                together += fixed[0]
                continue
            self.sequence(together)
            together = []
            self.node(one, after, sure and place == len(items) - 1)
        self.sequence(together)

    def sequence(self, these: Sequence[int]) -> None:
        if these:
            self.put(m.SEQUENCE, len(these), *map(self.set, these))

    def repeat(self, node: _Repeat, follow: int, sure: bool) -> None:
        item, least, most, lazy = node.item, node.least, node.most, node.how == "lazy"
        if most == 0:
            return
        if isinstance(item, _One):
            if lazy and least != most:
                self.put(m.LAZY, self.set(item.these), least, most, self.set(follow))
                return
            keeps = node.how == "possessive" or sure or least == most or not follow & item.these
            self.put(m.RUN, self.set(item.these), least, most, self.set(follow), int(not keeps))
        elif node.how == "possessive":
            raise _Unsupported("a possessive repeat of more than one character")  # what Python makes of it is not what it documents
        elif not _shortest(item) or _size(item) * (least + max(most - least, 1)) > _UNROLLED:
            self.counted(node, follow)
        else:
            self.unrolled(node, follow, sure)

    def unrolled(self, node: _Repeat, follow: int, sure: bool) -> None:
        item, least, most, lazy = node.item, node.least, node.most, node.how == "lazy"
        first = _first(item, 0)
        for done in range(1, least + 1):
            after = (0 if done < least else follow) | (0 if done == most else first)
            self.node(item, after, sure and done == least)
        end = _Label()
        for left in range(most - least, 0, -1) if most >= 0 else [0]:
            head, body, out = _Label(), _Label(), _Label()
            self.here(head)
            choices = [(first, body), (follow, out if most < 0 else end)]
            self.switch(choices[::-1] if lazy else choices)
            self.here(body)
            self.node(item, follow | (0 if left == 1 else first), sure)
            if most < 0:
                self.put(m.JUMP, head)
                self.here(out)
        self.here(end)

    def counted(self, node: _Repeat, follow: int) -> None:
        slot, body, again, end = self.take(2), _Label(), _Label(), _Label()
        self.put(m.ENTER, slot)
        head = _Label()
        self.here(head)
        lazy = node.how == "lazy"
        self.put(m.REPEAT_LAZY if lazy else m.REPEAT, slot, node.least, node.most, again if lazy else body)
        self.put(m.JUMP, end)
        if lazy:
            self.here(again)
            self.put(m.AGAIN, slot, body)
        self.here(body)
        self.node(node.item, follow | _first(node.item, follow), False)
        self.put(m.JUMP, head)
        self.here(end)

    def atomic(self, item: _Node) -> None:
        slot = self.take(1)
        self.put(m.ATOMIC, slot)
        self.node(item, _ALL, True)
        self.put(m.CUT, slot)

    def look(self, node: _Look) -> None:
        if self.groups and node.negative and _has_groups(node.item):
            raise _Unsupported("groups in a negative look")
        fixed = None if self.groups and _has_groups(node.item) else _sequences(node.item)
        if fixed is not None and (node.negative or len(fixed) == 1):
            for these in fixed:
                self.put(m.LOOK, int(node.negative), node.back, len(these), *map(self.set, these))
        elif node.negative:
            slot, end = self.take(1), _Label()
            self.put(m.NOT, slot, node.back, end)
            self.node(node.item, _ALL, True)
            self.put(m.FOUND, slot)
            self.here(end)
        else:
            slot = self.take(2)
            self.put(m.AHEAD, slot, node.back)
            self.node(node.item, _ALL, True)
            self.put(m.SEEN, slot)

    def arrays(self, *entries: _Entry) -> tuple[Places, NDArray[np.uint8], Places, list[int]]:
        """Code, sets and jumps, and the places of the entries in the jumps."""
        words = [one.place if isinstance(one, _Label) else one for one in self.code]
        bits = [[these >> byte & 1 for byte in range(257)] for these in self.sets]
        jumps = [label.place for table in self.tables for label in table]
        jumps += [table for entry in entries for table in entry.tables]
        return (
            np.array(words, dtype=np.int32),
            np.array(bits, dtype=np.uint8).reshape(-1),
            np.array(jumps, dtype=np.int32),
            [len(jumps) - 257 * left for left in range(len(entries), 0, -1)],
        )


def _parsed(pattern: str, flags: int) -> tuple[_Row, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # is for whoever wrote the expression
            re.compile(pattern, flags)  # finds more errors than the parser
            parsed = _parser.parse(pattern, flags)
        return _row(parsed, parsed.state.flags), parsed.state
    except (re.error, RecursionError, OverflowError) as error:
        raise _Unsupported(str(error)) from error


@lru_cache(maxsize=1 << 8)
def compile_pattern(pattern: str, flags: int = 0, *, whole: bool = False) -> Program | None:
    r"""Compile a regular expression on text, to be used on text in ASCII.

    >>> compile_pattern(r"(?P<level>[A-Z]+): (.*)", whole=True).groups
    {'level': 1}
    >>> compile_pattern(r"(a)\1") is None
    True

    Args:
        pattern: the expression, as in `re.compile`.
        flags: as in `re.compile`.
        whole: a match reaches the end of the text, as `fullmatch` has it.

    Returns:
        The program; None if only `re` can decide, also whether this is an expression at all.
    """
    try:
        row, state = _parsed(pattern, flags)
        assembly = _Assembly(groups=state.groups, whole=whole)
        code, sets, jumps, (entry,) = assembly.arrays(assembly.whole_program([(row, 0)]))
        return Program(code, sets, jumps, entry, assembly.slots, dict(state.groupdict))
    except _Unsupported:
        return None


def compile_masks(masks: Sequence[tuple[str, str]], starts: str = "") -> Masks | None:
    r"""Compile masks, as they are given to `qlogad.logs.events.Mask`.

    >>> bytes(compile_masks([("NUM", r"\d+")]).names)
    b'<:ANY:><:NUM:>'

    Returns:
        The masks; None if only `re` can decide.
    """
    return _compiled_masks(tuple((name, expression) for name, expression in masks), starts)


@lru_cache(maxsize=1 << 6)
def _compiled_masks(masks: tuple[tuple[str, str], ...], starts: str) -> Masks | None:
    assembly = _Assembly(groups=0, whole=False)
    own_starts = f"<{starts}" if starts or not masks else ""
    try:
        both = _masks(assembly, masks, starts, 1), _masks(assembly, [("ANY", _OWN), *masks], own_starts, 0)
    except _Unsupported:
        return None
    texts = [f"<:{name}:>".encode() for name in ("ANY", *(name for name, _ in masks))]
    code, sets, jumps, entries = assembly.arrays(*both)
    return Masks(
        code,
        sets,
        jumps,
        entries=np.array(entries, dtype=np.int32),
        names=np.frombuffer(b"".join(texts), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, texts)], dtype=np.int32),
        slots=assembly.slots,
    )


def _masks(assembly: _Assembly, masks: Sequence[tuple[str, str]], starts: str, mark: int) -> _Entry:
    """Write masks, marked from `mark` on."""
    if not masks:
        return assembly.whole_program([])
    any_mask = "|".join(f"(?P<{name}>{expression})" for name, expression in masks)
    row, state = _parsed(f"(?=[{starts}])(?:{any_mask})" if starts else any_mask, 0)
    items, allowed = list(row.items), _ALL
    if starts:
        look = items.pop(0)
        if not isinstance(look, _Look) or look.negative or look.behind:
            raise _Unsupported("starts")
        allowed = _first(look, _ALL)  # the machine tries no other places
    body = _plain(_Row(tuple(items)))
    branches = [_plain(one) for one in body.items] if isinstance(body, _Branch) else [body]
    numbers = [one.number for one in branches if isinstance(one, _Group)]
    if numbers != [state.groupdict[name] for name, _ in masks] or len(numbers) != len(branches):
        raise _Unsupported("an alternative outside its group")
    return assembly.whole_program([(one, mark + place) for place, one in enumerate(branches)], allowed)
