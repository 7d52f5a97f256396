"""The syntax of a regular expression as frozen nodes, by Python's own parser: what its sets of characters hold is asked of `re` itself."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

from qlogad.logs.regex import machine as m

__all__ = [
    "At",
    "Atomic",
    "Branch",
    "Concatenation",
    "Group",
    "Look",
    "Node",
    "One",
    "Repeat",
    "Unsupported",
    "parse",
    "plain",
    "shortest",
]

_parser: Any = import_module("re._parser")
_compiler: Any = import_module("re._compiler")


class Unsupported(Exception):
    """Something that is left to Python's `re`."""


# ---------------------------------------------------------------- what an expression consists of


@dataclass(frozen=True)
class One:
    these: int  # a set


@dataclass(frozen=True)
class Concatenation:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Branch:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    least: int
    most: int  # -1: any number
    how: str  # "greedy", "lazy" or "possessive"
    item: Node


@dataclass(frozen=True)
class Group:
    number: int
    item: Node


@dataclass(frozen=True)
class At:
    kind: int


@dataclass(frozen=True)
class Look:
    negative: bool
    back: int  # bytes
    item: Node
    behind: bool


@dataclass(frozen=True)
class Atomic:
    item: Node


Node = One | Concatenation | Branch | Repeat | Group | At | Look | Atomic


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


def _row(parsed: Any, flags: int) -> Concatenation:
    return Concatenation(tuple(_node(op, value, flags) for op, value in parsed))


def _node(op: Any, value: Any, flags: int) -> Node:
    name = str(op)
    if name in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
        return One(_set(repr((op, value)), flags, _Item((op, value))))
    if name == "BRANCH":
        return Branch(tuple(_row(one, flags) for one in value[1]))
    if name == "SUBPATTERN":
        number, more, less, parsed = value
        inner = _row(parsed, int(_compiler._combine_flags(flags, more, less)))
        return inner if number is None else Group(number, inner)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, parsed = value
        how = {"MAX_REPEAT": "greedy", "MIN_REPEAT": "lazy"}.get(name, "possessive")
        item = plain(_row(parsed, flags))
        return Repeat(int(least), -1 if most is _parser.MAXREPEAT else int(most), how, item)
    if name == "AT":
        return At(_anchor(str(value), flags))
    if name in ("ASSERT", "ASSERT_NOT"):
        direction, parsed = value
        inner = _row(parsed, flags)
        return Look(name == "ASSERT_NOT", shortest(inner) if direction < 0 else 0, inner, direction < 0)
    if name == "ATOMIC_GROUP":
        return Atomic(_row(value, flags))
    if name == "FAILURE":
        return One(0)
    raise Unsupported(name)


def plain(node: Node) -> Node:
    """A row of one item is that item."""
    return plain(node.items[0]) if isinstance(node, (Concatenation, Branch)) and len(node.items) == 1 else node


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
        raise Unsupported(name)
    return kinds[name]


def shortest(node: Node) -> int:
    """The fewest bytes that a node matches."""
    if isinstance(node, One):
        return 1
    if isinstance(node, Concatenation):
        return sum(map(shortest, node.items))
    if isinstance(node, Branch):
        return min(map(shortest, node.items))
    if isinstance(node, Repeat):
        return node.least * shortest(node.item)
    return shortest(node.item) if isinstance(node, (Group, Atomic)) else 0


def parse(pattern: str, flags: int) -> tuple[Concatenation, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # is for whoever wrote the expression
            re.compile(pattern, flags)  # finds more errors than the parser
            parsed = _parser.parse(pattern, flags)
        return _row(parsed, parsed.state.flags), parsed.state
    except (re.error, RecursionError, OverflowError) as error:
        raise Unsupported(str(error)) from error
