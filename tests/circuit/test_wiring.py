"""Wiring patterns keep to the wires there are, and to their shape."""

import math
from itertools import pairwise
from math import gcd

import pytest

from qlogad.circuit.wiring import PATTERNS, STEPPED, arity, place
from qlogad.errors import DesignError

WIDTHS = range(1, 9)


@pytest.mark.parametrize("on", PATTERNS)
@pytest.mark.parametrize("wires", WIDTHS)
def test_gates_lie_on_different_wires_that_exist(on, wires):
    steps = range(-3, 4) if on in STEPPED else [1]
    for stride in steps:
        for start in range(-2, 3) if on in STEPPED else [0]:
            found = place(on, wires, stride=stride, start=start)
            assert len(set(found)) == len(found)
            for group in found:
                assert len(set(group)) == len(group)
                assert arity(on) in (0, len(group))
                assert all(0 <= wire < wires for wire in group)


@pytest.mark.parametrize("wires", WIDTHS)
def test_what_each_pattern_covers(wires):
    assert len(place("each", wires)) == wires
    assert len(place("inner", wires)) == max(0, wires - 2)
    assert sorted(place("even", wires) + place("odd", wires)) == place("linear", wires)
    assert len(place("all", wires)) == wires * (wires - 1)
    touched = [wire for pair in place("even", wires) for wire in pair]
    assert sorted(touched) == list(range(wires - wires % 2))  # neighbours in parallel


@pytest.mark.parametrize("wires", range(1, 40))
def test_a_tree_halves_its_wires_until_one_is_left(wires):
    levels, tree = place("levels", wires), place("tree", wires)
    assert len(levels) == (math.ceil(math.log2(wires)) if wires > 1 else 0)
    assert levels[:1] == ([tuple(range(wires))] if wires > 1 else [])
    for level, following in pairwise(levels):
        assert following == level[::2]
    assert all(len(level) == 2 for level in levels[-1:])
    assert tree == [pair for level in levels for pair in batched_pairs(level)]
    assert sorted(second for _, second in tree) == list(range(1, wires))  # each but wire 0 drops out once
    assert place("pairs", wires) == [(one, two) for one in range(wires) for two in range(one + 1, wires)]


def batched_pairs(level):
    return list(zip(level[::2], level[1::2], strict=False))


@pytest.mark.parametrize("wires", range(2, 9))
@pytest.mark.parametrize("stride", range(-4, 5))
def test_a_ring_steps_and_a_walk_closes(wires, stride):
    ring, walk = place("ring", wires, stride=stride), place("walk", wires, stride=stride)
    if stride % wires == 0:
        assert ring == walk == []
        return
    assert [first for first, _ in ring] == list(range(wires))
    assert all((second - first - stride) % wires == 0 for first, second in ring)
    assert len(walk) == wires // gcd(wires, stride)
    assert [second for _, second in walk] == [walk[-1][0], *(first for first, _ in walk[:-1])]


def test_explicit_wires_say_how_many_they_need():
    assert place(((0, 2), (2, 1)), 3) == [(0, 2), (2, 1)]
    with pytest.raises(DesignError, match="needs at least 3 wires, got 2"):
        place(((0, 2),), 2)
    with pytest.raises(DesignError, match="groups of the same number of wires"):
        arity(((0, 1), (2,)))
    with pytest.raises(DesignError, match="did you mean 'ring'"):
        arity("rign")
