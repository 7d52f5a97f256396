"""Which masks can match at a place at all: a deterministic automaton that reads each byte once, where the machine would try every mask.

    text at a place ─► automaton ─► masks that can match there, most often none or one ─► machine of machine.py, which decides

Anchors and looking around are left out, so the automaton may say that a mask can match which does not, never the reverse. It is built by
subsets (Rabin and Scott, IBM J. Res. Dev. 3, 1959, doi:10.1147/rd.32.0114); where it would be too large, it says that any mask can match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Ints, Places
from qlogad.logs.regex.syntax import At, Atomic, Branch, Concatenation, Group, Look, Node, One, Repeat

__all__ = ["MOST_MARKS", "Automaton", "build"]

MOST_MARKS = 62  # they are bits of a number
_LARGEST = 1 << 10  # states
_COPIES = 1 << 8  # states that one repeat may take; a longer one counts as any number of times
_DEAD, _UNKNOWN, _START = range(3)


@dataclass(frozen=True, eq=False)
class Automaton:
    """An automaton as the arrays of machine.py.

    Attributes:
        classes: the class of each of 256 bytes, then the shift s by which states are stored.
        moves: place `(state << s) + class` has the next state, shifted; 0 is the end, and what was read until then counts.
        accepts: bit k of a state says that mark k can match what has been read. State 2 is the beginning.
    """

    classes: NDArray[np.uint8]
    moves: Places
    accepts: Ints


class _Net:
    """A nondeterministic automaton: states with steps on a set of bytes, steps on nothing, and marks."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []  # a set and where it leads; the set is 0 if there is no such step
        self.free: list[list[int]] = []
        self.marks: dict[int, int] = {}

    def state(self) -> int:
        self.steps.append((0, 0))
        self.free.append([])
        return len(self.steps) - 1

    def add(self, node: Node, at: int) -> int:
        """Read a node from a state on; the state after it."""
        if isinstance(node, One):
            after = self.state()
            before = self.state()
            self.free[at].append(before)
            self.steps[before] = node.these, after
            return after
        if isinstance(node, Concatenation):
            for one in node.items:
                at = self.add(one, at)
            return at
        if isinstance(node, Branch):
            after = self.state()
            for one in node.items:
                self.free[self.add(one, at)].append(after)
            return after
        if isinstance(node, Repeat):
            return self.repeat(node, at)
        if isinstance(node, (Group, Atomic)):
            return self.add(node.item, at)
        assert isinstance(node, (At, Look))
        return at

    def repeat(self, node: Repeat, at: int) -> int:
        begun = len(self.steps)
        least, most = node.least, node.most
        for _ in range(least):
            at = self.add(node.item, at)
            if len(self.steps) - begun > _COPIES:
                most = -1
                break
        if most < 0:
            head = self.state()
            self.free[at].append(head)
            self.free[self.add(node.item, head)].append(head)
            return head
        after = self.state()
        self.free[at].append(after)
        for _ in range(most - least):
            if len(self.steps) - begun > _COPIES:
                self.free[at].append(self.repeat(Repeat(0, -1, node.how, node.item), at))
                break
            at = self.add(node.item, at)
            self.free[at].append(after)
        self.free[at].append(after)
        return after

    def closures(self) -> list[int]:
        """Per state the states that it leads to without a byte, as bits; only those that step or have a mark."""
        found = []
        for state in range(len(self.steps)):
            waiting, seen = [state], {state}
            while waiting:
                for one in self.free[waiting.pop()]:
                    if one not in seen:
                        seen.add(one)
                        waiting.append(one)
            found.append(sum(1 << one for one in seen if self.steps[one][0] or one in self.marks))
        return found


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _classes(sets: set[int]) -> tuple[list[int], list[int]]:
    """The class of each byte, and a byte of each class: bytes of a class are in the same sets. Class 0 is in none."""
    known: dict[tuple[bool, ...], int] = {(False,) * len(sets): 0}
    ordered, classes, examples = sorted(sets), list[int](), {0: -1}
    for byte in range(256):
        own = tuple(byte < 128 and bool(one >> byte & 1) for one in ordered)
        classes.append(known.setdefault(own, len(known)))
        examples.setdefault(classes[-1], byte)
    return classes, [examples[number] for number in range(len(known))]


def build(branches: Sequence[Node]) -> Automaton:
    """The automaton of alternatives, which are marked 0, 1, ... in order, at most `MOST_MARKS`.

    >>> found = build([One(1 << 97), Concatenation(())])  # an "a", and nothing
    >>> found.accepts[2:].tolist()
    [2, 1]
    """
    net = _Net()
    begin = net.state()
    for mark, node in enumerate(branches):
        first = net.state()
        net.free[begin].append(first)
        net.marks[net.add(node, first)] = mark
    closures = net.closures()
    classes, examples = _classes({these for these, _ in net.steps if these})
    shift = max(len(examples) - 1, 1).bit_length()
    leads = [[closures[to] if byte >= 0 and these >> byte & 1 else 0 for byte in examples] for these, to in net.steps]
    states, order = {0: _DEAD, -1: _UNKNOWN, closures[begin]: _START}, [0, -1, closures[begin]]
    moves = [[_DEAD] * len(examples) for _ in range(2)]
    for own in islice(order, _START, None):  # which grows
        moves.append(_moves(own, leads, len(examples), states, order))
    table = np.zeros((len(order), 1 << shift), np.int32)
    table[:, : len(examples)] = np.array(moves, np.int32) << shift
    every = (1 << len(branches)) - 1
    accepts = [every if own < 0 else sum(1 << net.marks[one] for one in _bits(own) if one in net.marks) for own in order]
    return Automaton(np.array([*classes, shift], np.uint8), table.reshape(-1), np.array(accepts, np.int64))


def _moves(own: int, leads: Sequence[Sequence[int]], classes: int, states: dict[int, int], order: list[int]) -> list[int]:
    """Where a subset of states goes on by each class; new subsets get a number."""
    found, members = [], list(_bits(own))
    for number in range(classes):
        to = 0
        for one in members:
            to |= leads[one][number]
        if to not in states:
            if len(order) >= _LARGEST:
                to = -1
            else:
                states[to] = len(order)
                order.append(to)
        found.append(states[to])
    return found
