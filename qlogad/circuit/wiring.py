"""Wiring patterns: the wires that the gates of a row act on, in order; after Sim et al. (2019), arXiv:1905.10876.

each  0 1 2 3        linear  01 12 23        even  01 23        all  01 02 03 10 12 13 20 ...
inner   1 2          ring    01 12 23 30     odd     12         walk 10 21 32 03
pairs  01 02 03 12 13 23                     tree    01 23 02   levels 0123 02

`tree` and `levels` are after Grant et al. (2018), arXiv:1804.03680: neighbours are paired; the first of each pair moves up a level.
A wire without a partner goes on alone, so there are ceil(log2(wires)) levels at any width.
"""

from collections.abc import Callable
from itertools import combinations
from math import gcd

from qlogad.errors import DesignError, WidthError, did_you_mean, shown

__all__ = ["PATTERNS", "STEPPED", "Wires", "arity", "place"]

Wires = tuple[int, ...]


def _each(wires: int, stride: int, start: int) -> list[Wires]:
    return [(wire,) for wire in range(wires)]


def _inner(wires: int, stride: int, start: int) -> list[Wires]:
    return [(wire,) for wire in range(1, wires - 1)]


def _linear(wires: int, stride: int, start: int) -> list[Wires]:
    return [(wire, wire + 1) for wire in range(wires - 1)]


def _even(wires: int, stride: int, start: int) -> list[Wires]:
    return [(wire, wire + 1) for wire in range(0, wires - 1, 2)]


def _odd(wires: int, stride: int, start: int) -> list[Wires]:
    return [(wire, wire + 1) for wire in range(1, wires - 1, 2)]


def _all(wires: int, stride: int, start: int) -> list[Wires]:
    return [(one, two) for one in range(wires) for two in range(wires) if one != two]


def _pairs(wires: int, stride: int, start: int) -> list[Wires]:
    return list(combinations(range(wires), 2))


def _levels(wires: int, stride: int, start: int) -> list[Wires]:
    """The active wires at each level: all, every second, every fourth, ... down to two."""
    return [tuple(range(0, wires, 2**level)) for level in range((wires - 1).bit_length())]


def _tree(wires: int, stride: int, start: int) -> list[Wires]:
    return [pair for level in _levels(wires, 1, 0) for pair in zip(level[::2], level[1::2], strict=False)]


def _ring(wires: int, stride: int, start: int) -> list[Wires]:
    if stride % wires == 0:
        return []
    return [((start + k) % wires, (start + k + stride) % wires) for k in range(wires)]


def _walk(wires: int, stride: int, start: int) -> list[Wires]:
    """The second wire of each gate is the first wire of the previous gate; wires advance by `stride` until the walk closes."""
    if stride % wires == 0:
        return []
    return [((start + k * stride) % wires, (start + (k - 1) * stride) % wires) for k in range(1, wires // gcd(wires, stride) + 1)]


PATTERNS: dict[str, tuple[int, Callable[[int, int, int], list[Wires]]]] = {  # name: wires per gate (0: varies), and their positions
    "each": (1, _each),
    "inner": (1, _inner),
    "linear": (2, _linear),
    "ring": (2, _ring),
    "walk": (2, _walk),
    "even": (2, _even),
    "odd": (2, _odd),
    "all": (2, _all),
    "pairs": (2, _pairs),
    "tree": (2, _tree),
    "levels": (0, _levels),
}
STEPPED = frozenset({"ring", "walk"})  # the patterns that read stride and start


def arity(on: str | tuple[Wires, ...]) -> int:
    """The number of wires per gate of a pattern or an explicit list; 0 if it varies, as for `levels`.

    Raises:
        DesignError: there is no such pattern, or the list mixes lengths.
    """
    if isinstance(on, str):
        if on not in PATTERNS:
            known = ", ".join(PATTERNS)
            raise DesignError(f"on = {shown(on)}{did_you_mean(on, PATTERNS)}; known: {known}, or a list such as [[0, 1], [1, 2]]")
        return PATTERNS[on][0]
    lengths = {len(wires) for wires in on}
    if len(lengths) != 1:
        raise DesignError("on = [...] must list groups of the same number of wires, such as [[0, 1], [1, 2]]")
    return lengths.pop()


def place(on: str | tuple[Wires, ...], wires: int, *, stride: int = 1, start: int = 0) -> list[Wires]:
    """The wires of each gate, in order.

    >>> place("ring", 3), place("even", 4)
    ([(0, 1), (1, 2), (2, 0)], [(0, 1), (2, 3)])

    Raises:
        WidthError: an explicit list needs more wires.
    """
    if isinstance(on, str):
        return PATTERNS[on][1](wires, stride, start)
    needed = max(wire for group in on for wire in group) + 1
    if needed > wires:
        raise WidthError(f"on = [...] names wire {needed - 1}, so the design needs at least {needed} wires, got {wires}")
    return list(on)
