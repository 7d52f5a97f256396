"""Compile a regular expression, or masks, for the machine of machine.py, with Python's own parser; None where only Python's `re` will do.

What a set of characters holds is asked of `re` itself. The compiler knows which bytes the rest of an expression can begin with, and so
leaves out choices that cannot succeed: a branch that cannot begin at the next byte, giving back bytes that nothing follows.
Left to `re` are references to groups, conditionals, groups in negative looks, and possessive repeats of more than one character.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Ints, Places
from qlogad.logs.regex import machine as m
from qlogad.logs.regex.automaton import MOST_MARKS, build
from qlogad.logs.regex.syntax import (
    At,
    Atomic,
    Branch,
    Concatenation,
    Group,
    Look,
    Node,
    One,
    Repeat,
    Unsupported,
    parse,
    plain,
    shortest,
)

__all__ = ["Masks", "Program", "compile_masks", "compile_pattern"]

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
    """Compiled masks: what `machine.mask_line` reads.

    Attributes:
        arrays: code, sets and jumps of all masks; beginnings: numbers whose bit k says that mask k may begin between two bytes; entries:
            where the beginnings of the masks are, and those with the mask of placeholders before them; labels: where the code of each mask
            is; classes, moves and accepts of the automaton; names: the placeholders one after the other, the first is `<:ANY:>`; offsets:
            where each of them begins.
        slots: how many the machine needs.
    """

    arrays: tuple[NDArray[np.integer], ...]
    slots: int

    @property
    def names(self) -> bytes:
        """The placeholders one after the other."""
        return self.arrays[9].tobytes()

    @property
    def offsets(self) -> NDArray[np.integer]:
        """Where each placeholder begins in `names`, and where the last one ends."""
        return self.arrays[10]


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, (Concatenation, Branch)):
        return node.items
    return (node.item,) if isinstance(node, (Repeat, Group, Look, Atomic)) else ()


def _size(node: Node) -> int:
    return 1 + sum(map(_size, _children(node)))


def _has_groups(node: Node) -> bool:
    return isinstance(node, Group) or any(map(_has_groups, _children(node)))


def _first(node: Node, follow: int, before: int | None = None) -> int:
    """The bytes that a node can begin with (no fewer than there are), if `follow` comes after it and the byte `before` before it."""
    if isinstance(node, One):
        return node.these
    if isinstance(node, Concatenation):
        still = next((place for place, one in enumerate(node.items) if not isinstance(one, (At, Look))), len(node.items))
        for place in range(len(node.items) - 1, -1, -1):
            follow = _first(node.items[place], follow, before if place <= still else None)
        return follow
    if isinstance(node, Branch):
        found = 0
        for one in node.items:
            found |= _first(one, follow, before)
        return found
    if isinstance(node, Repeat):
        if node.most == 0:
            return follow
        return _first(node.item, follow, before) | (0 if node.least else follow)
    if isinstance(node, (Group, Atomic)):
        return _first(node.item, follow, before)
    if isinstance(node, At):
        return follow & _allowed(node.kind, before)
    if node.behind:
        inner = plain(node.item)
        if before is None or not isinstance(inner, One):
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


def _is_decided(node: Node) -> bool:
    """Whether `_first` knows exactly, by the bytes before and after, if a node matches there."""
    if isinstance(node, Look):
        return node.behind and isinstance(plain(node.item), One)
    return isinstance(node, At) and node.kind in (m.START, m.LINE_START, m.BOUNDARY)


def _optional(row: Sequence[Node]) -> int:
    """The bytes of a repeat at the beginning that may as well not be there; 0 if there is none."""
    first = row[0] if row else None
    return (
        first.item.these
        if isinstance(first, Repeat) and first.how != "lazy" and not first.least and isinstance(first.item, One)
        else 0
    )


def _sequences(node: Node) -> list[tuple[int, ...]] | None:
    """What a node matches as a few sequences of sets; None if it is not that simple."""
    if isinstance(node, One):
        return [(node.these,)]
    if isinstance(node, Concatenation):
        found: list[tuple[int, ...]] = [()]
        for one in node.items:
            tails = _sequences(one)
            if tails is None or len(tails) * len(found) > 4:
                return None
            found = [head + tail for head in found for tail in tails]
        return found
    if isinstance(node, Branch):
        several = [_sequences(one) for one in node.items]
        flat = [one for some in several if some is not None for one in some]
        return None if None in several or len(flat) > 4 else flat
    if isinstance(node, Repeat) and node.least == node.most <= 8 and isinstance(node.item, One):
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
            raise Unsupported("too long")

    def here(self, label: _Label) -> None:
        label.place = len(self.code)

    def take(self, count: int) -> int:
        self.slots += count
        return self.slots - count

    def whole_program(self, node: Node) -> _Entry:
        """Write a whole expression."""
        follow, ways = _STOP if self.whole else _ALL, dict[int, int]()
        label, skip, row, befores = _Label(), _Label(), self.entered(node), []
        without = ~_optional(row)
        for before in (*range(128), 256):
            first = _first(node, follow, before)
            if first not in ways:
                ways[first] = 257 * len(self.tables)
                self.tables.append(self.choose([(first & ~without, label), (first & without, skip)]))
            befores.append(ways[first])
        self.here(label)
        if _optional(row):
            self.node(row[0], _first(Concatenation(row[1:]), follow), False)
        self.here(skip)
        self.row(row[1:] if _optional(row) else row, follow, not self.whole)
        self.put(m.MATCH, 0, int(self.whole))
        return _Entry([*befores[:-1], *befores[:1] * 128, befores[-1]])

    def marked(self, node: Node, mark: int) -> _Label:
        """Write one of several alternatives, which is begun only where its first byte and the one before allow."""
        label = _Label()
        self.here(label)
        self.row(self.entered(node), _ALL, True)
        self.put(m.MATCH, mark, 0)
        return label

    def entered(self, node: Node) -> tuple[Node, ...]:
        """What is left to match of an alternative after the tables of beginnings, which look at the bytes before and after."""
        while isinstance(node, Group) and not self.groups:
            node = node.item
        items = node.items if isinstance(node, Concatenation) else (node,)
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

    def node(self, node: Node, follow: int, sure: bool) -> None:
        if isinstance(node, One):
            self.put(m.SEQUENCE, 1, self.set(node.these))
        elif isinstance(node, Concatenation):
            self.row(node.items, follow, sure)
        elif isinstance(node, Branch):
            labels, end = [_Label() for _ in node.items], _Label()
            self.switch([(_first(one, follow), label) for one, label in zip(node.items, labels, strict=True)])
            for one, label in zip(node.items, labels, strict=True):
                self.here(label)
                self.node(one, follow, sure)
                if label is not labels[-1]:
                    self.put(m.JUMP, end)
            self.here(end)
        elif isinstance(node, Repeat):
            self.repeat(node, follow, sure)
        elif isinstance(node, Group):
            if self.groups:
                self.put(m.SAVE, 2 * node.number)
            self.node(node.item, follow, sure)
            if self.groups:
                self.put(m.SAVE, 2 * node.number + 1)
        elif isinstance(node, At):
            self.put(m.AT, node.kind)
        elif isinstance(node, Look):
            self.look(node)
        else:
            self.atomic(node.item)

    def row(self, items: Sequence[Node], follow: int, sure: bool) -> None:
        follows = [follow]
        for one in reversed(items[1:]):
            follows.append(_first(one, follows[-1]))
        together: list[int] = []
        for place, (one, after) in enumerate(zip(items, reversed(follows), strict=False)):
            fixed = _sequences(one) if isinstance(one, (One, Repeat)) else None
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

    def repeat(self, node: Repeat, follow: int, sure: bool) -> None:
        item, least, most, lazy = node.item, node.least, node.most, node.how == "lazy"
        if most == 0:
            return
        if isinstance(item, One):
            if lazy and least != most:
                self.put(m.LAZY, self.set(item.these), least, most, self.set(follow))
                return
            keeps = node.how == "possessive" or sure or least == most or not follow & item.these
            self.put(m.RUN, self.set(item.these), least, most, self.set(follow), int(not keeps))
        elif node.how == "possessive":
            raise Unsupported("a possessive repeat of more than one character")  # what Python makes of it is not what it documents
        elif not shortest(item) or _size(item) * (least + max(most - least, 1)) > _UNROLLED:
            self.counted(node, follow)
        else:
            self.unrolled(node, follow, sure)

    def unrolled(self, node: Repeat, follow: int, sure: bool) -> None:
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

    def counted(self, node: Repeat, follow: int) -> None:
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

    def atomic(self, item: Node) -> None:
        slot = self.take(1)
        self.put(m.ATOMIC, slot)
        self.node(item, _ALL, True)
        self.put(m.CUT, slot)

    def look(self, node: Look) -> None:
        if self.groups and node.negative and _has_groups(node.item):
            raise Unsupported("groups in a negative look")
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

    def arrays(self) -> tuple[Places, NDArray[np.uint8], Places]:
        """Code, sets and jump tables."""
        words = [one.place if isinstance(one, _Label) else one for one in self.code]
        bits = [[these >> byte & 1 for byte in range(257)] for these in self.sets]
        jumps = [label.place for table in self.tables for label in table]
        return np.array(words, dtype=np.int32), np.array(bits, dtype=np.uint8).reshape(-1), np.array(jumps, dtype=np.int32)


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
        row, state = parse(pattern, flags)
        assembly = _Assembly(groups=state.groups, whole=whole)
        entry = assembly.whole_program(row)
        code, sets, jumps = assembly.arrays()
        jumps, place = np.concatenate([jumps, np.array(entry.tables, dtype=np.int32)]), len(jumps)
        return Program(code, sets, jumps, place, assembly.slots, dict(state.groupdict))
    except Unsupported:
        return None


def compile_masks(masks: Sequence[tuple[str, str]], starts: str = "") -> Masks | None:
    r"""Compile masks, as they are given to `qlogad.logs.events.Mask`.

    >>> compile_masks([("NUM", r"\d+")]).names
    b'<:ANY:><:NUM:>'

    Returns:
        The masks; None if only `re` can decide.
    """
    return _compiled_masks(tuple((name, expression) for name, expression in masks), starts)


@lru_cache(maxsize=1 << 6)
def _compiled_masks(masks: tuple[tuple[str, str], ...], starts: str) -> Masks | None:
    assembly = _Assembly(groups=0, whole=False)
    own = [("ANY", _OWN), *masks]
    try:
        branches, own_allowed = _branches(own, f"<{starts}" if starts or not masks else "")
        allowed = _branches(masks, starts)[1] if masks else 0
        if len(branches) > MOST_MARKS:
            return None
        labels = [assembly.marked(node, mark) for mark, node in enumerate(branches)]
        begins, entries = _beginnings(branches, [[0, *[allowed] * len(masks)], [own_allowed] * len(own)])
    except Unsupported:
        return None
    texts = [f"<:{name}:>".encode() for name, _ in own]
    automaton = build(branches)
    arrays = (
        *assembly.arrays(),
        begins,
        entries,
        np.array([label.place for label in labels], dtype=np.int32),
        automaton.classes,
        automaton.moves,
        automaton.accepts,
        np.frombuffer(b"".join(texts), dtype=np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int32),
    )
    return Masks(arrays, slots=assembly.slots)


def _beginnings(branches: Sequence[Node], allowed: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """Which branches may begin where, by the bytes that each is allowed to begin with, and where the table of bytes before is for each."""
    tables, entries, numbers = list[int](), list[int](), dict[tuple[int, ...], int]()
    befores = list[int]()
    for own in allowed:
        row = []
        for before in (*range(128), 256):
            firsts = tuple(_first(node, _ALL, before) & these for node, these in zip(branches, own, strict=True))
            if firsts not in numbers:
                numbers[firsts] = len(tables)
                tables += [sum((first >> byte & 1) << mark for mark, first in enumerate(firsts)) for byte in range(257)]
            row.append(numbers[firsts])
        befores += [*row[:-1], *row[:1] * 128, row[-1]]
    entries = [len(tables) + 257 * place for place in range(len(allowed))]
    return np.array([*tables, *befores], np.int64), np.array(entries, np.int64)


def _branches(masks: Sequence[tuple[str, str]], starts: str) -> tuple[list[Node], int]:
    """The alternatives that masks are, and the bytes that a match may begin with."""
    any_mask = "|".join(f"(?P<{name}>{expression})" for name, expression in masks)
    row, state = parse(f"(?=[{starts}])(?:{any_mask})" if starts else any_mask, 0)
    items, allowed = list(row.items), _ALL
    if starts:
        look = items.pop(0)
        if not isinstance(look, Look) or look.negative or look.behind:
            raise Unsupported("starts")
        allowed = _first(look, _ALL)  # the machine tries no other places
    body = plain(Concatenation(tuple(items)))
    branches: list[Node] = [plain(one) for one in body.items] if isinstance(body, Branch) else [body]
    numbers = [one.number for one in branches if isinstance(one, Group)]
    if numbers != [state.groupdict[name] for name, _ in masks] or len(numbers) != len(branches):
        raise Unsupported("an alternative outside its group")
    return branches, allowed
