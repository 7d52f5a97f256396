"""Readouts by name, for any width, and the measurement bases they need; words as in Nielsen and Chuang, section 10.5.

A readout is a tuple of words, one letter per wire. A word of I, X, Y, Z is a Pauli word, with an expectation value in [-1, 1]; a word of
0 and 1 is the projector onto that basis state, with a probability in [0, 1] as its expectation value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations, product

from qlogad.errors import DesignError, did_you_mean, shown

__all__ = ["bases", "is_projector", "readout"]

MAX_PROBABILITIES = 12  # wires: more would give too many (2^W) values


def readout(spec: str | Sequence[str], wires: int) -> tuple[str, ...]:
    """The words of a named readout for a given number of wires.

    Args:
        spec: `x`, `y`, `z` (on each wire), `z:0,2` (on chosen wires), `xyz` (all three on each wire), `xx`, `yy`, `zz` (on each pair),
            `parity` (Z on all wires at once), `probabilities` (of all 2^W basis states), `zeros` (the projector onto |0...0>), several
            of them joined by `+`; or a list of words. Repeated words are read once.
        wires: width of the circuit.

    Raises:
        DesignError: there is no such readout, or it does not fit the width.

    >>> readout("z:0,2", 3), readout("x+z", 2), readout("zeros", 2)
    (('ZII', 'IIZ'), ('XI', 'IX', 'ZI', 'IZ'), ('00',))
    """
    if not isinstance(spec, str):
        named = [word for word in spec if all(part in _NAMED or _LETTERS.fullmatch(part) for part in word.split("+"))]
        if named:
            raise DesignError(
                f"a list of readouts must contain words of {wires} letters, but {shown(named[0])} is a name; "
                f"write names as one string: readout = {shown('+'.join(named), 80)}"
            )
        return tuple(dict.fromkeys(spec))
    return tuple(dict.fromkeys(word for part in spec.split("+") for word in _part(part.strip(), wires)))


def is_projector(word: str) -> bool:
    """Whether a word is a projector onto a basis state, such as "010"; else it is a Pauli word."""
    return set(word) <= set("01")


def bases(words: Sequence[str]) -> tuple[str, ...]:
    """Measurement bases that cover all words; a basis reads each wire along one axis.

    Qubit-wise compatible words share a basis, assigned greedily, starting with the words of most letters. A projector is read along Z.

    >>> bases(("ZI", "IZ", "XI", "00"))
    ('ZZ', 'XI')
    """
    found: list[str] = []
    axes = ["Z" * len(word) if is_projector(word) else word for word in words]
    for word in sorted(dict.fromkeys(axes), key=lambda word: (word.count("I"), axes.index(word))):
        for place, basis in enumerate(found):
            if all(one == two or "I" in (one, two) for one, two in zip(word, basis, strict=True)):
                found[place] = "".join(two if one == "I" else one for one, two in zip(word, basis, strict=True))
                break
        else:
            found.append(word)
    return tuple(found)


def _on(places: Sequence[tuple[int, ...]], letter: str, wires: int) -> tuple[str, ...]:
    return tuple("".join(letter if wire in place else "I" for wire in range(wires)) for place in places)


def _xyz(wires: int) -> tuple[str, ...]:
    return tuple(word for letter in "XYZ" for word in _on([(wire,) for wire in range(wires)], letter, wires))


def _probabilities(wires: int) -> tuple[str, ...]:
    if wires > MAX_PROBABILITIES:
        raise DesignError(f"readout 'probabilities' has 2^{wires} values; it needs at most {MAX_PROBABILITIES} wires, or use 'z'")
    return tuple("".join(bits) for bits in product("01", repeat=wires))


_NAMED: dict[str, Callable[[int], tuple[str, ...]]] = {
    "xyz": _xyz,
    "parity": lambda wires: ("Z" * wires,),
    "probabilities": _probabilities,
    "zeros": lambda wires: ("0" * wires,),
}
_LETTERS = re.compile(r"([xyz])\1?(?::([0-9]{1,3}(?:,[0-9]{1,3})*))?")
_KNOWN = ("x", "y", "z", "z:0,2", "xx", "yy", "zz", *_NAMED)


def _part(name: str, wires: int) -> tuple[str, ...]:
    if name in _NAMED:
        return _NAMED[name](wires)
    found = _LETTERS.fullmatch(name)
    if found is None:
        raise DesignError(
            f"there is no readout {shown(name)}{did_you_mean(name, _KNOWN)}; known: {', '.join(_KNOWN)}, joined by '+'"
        )
    letter, chosen = found[1], found[2]
    places = [int(wire) for wire in chosen.split(",")] if chosen else list(range(wires))
    if max(places) >= wires:
        raise DesignError(
            f"readout {shown(name)} names wire {max(places)}, so it needs at least {max(places) + 1} wires, got {wires}"
        )
    together = 1 + name.startswith(2 * letter)
    if len(places) < together:
        raise DesignError(f"readout {shown(name)} reads pairs, so it needs at least 2 wires, got {len(places)}")
    return _on(list(combinations(places, together)), letter.upper(), wires)
