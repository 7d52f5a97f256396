r"""What could make sessions of a log's lines: identifiers that recur in several lines that are near each other.

    request=41 started · blk_-12 allocated · instance: b9000564-...    a word and a value, a prefix and a number, a field

After Xu et al., SOSP 2009, doi:10.1145/1629575.1629587 (identifiers are values that are many and recur), without its study of source code.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Candidate", "candidates"]

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_PAIR = re.compile(rf"\b([A-Za-z_][\w.]*?)(=|: ?|#| )\"?({_UUID}|[\w-]*\d[\w-]*)(?![\w.])", re.ASCII)
_PREFIX = re.compile(rf"(?<![\w-])([A-Za-z]+[_-])(-?\d+(?:[_-]\d+)*|{_UUID})(?![\w.])", re.ASCII)
_MARK = re.compile(r"(?<!\S)([*#])(\d+)\b", re.ASCII)
_BARE = re.compile(_UUID)
_NAME = re.compile(
    r"(?:^|_|\b)(?:\w*(?:id|uuid|session|request|req|trace|transaction|tx|job|task|conn|connection|client|pid))$", re.I
)
FEWEST, SHORTEST, LONGEST = 12, 2, 2_000  # sessions, and events of the median session, of a sensible candidate
_COVERED = 0.4  # of the lines name one
_NEAR = 0.6  # of the distance that chance would give
_PER_LINE = 6


@dataclass(frozen=True)
class Candidate:
    """A way to make sessions, found on a sample."""

    what: str  # for people: "request=...", "the field Pid"
    data: Mapping[str, Any]  # keys of [data]
    sessions: int  # distinct identifiers
    covered: float  # share of the lines that name one
    length: float  # events of the median session
    near: float  # how near lines of a session are to each other: 1 is what chance gives, 0 next to each other

    @property
    def sensible(self) -> bool:
        """Whether windows by these sessions are worth the try."""
        return self.sessions >= FEWEST and self.covered >= _COVERED and SHORTEST < self.length <= LONGEST and self.near <= _NEAR


def candidates(messages: Iterable[tuple[str, Mapping[str, str]]]) -> list[Candidate]:
    """What could make sessions, the best first; those whose identifiers hardly recur are left out.

    >>> lines = [(f"step {step} of request={number} took {7 * step} ms", {}) for number in range(40) for step in range(4)]
    >>> best = candidates(lines)[0]
    >>> best.what, best.sessions, best.length
    ('request=...', 40, 4.0)

    Args:
        messages: the message of every event in order, and the other fields of its line by name.
    """
    places: dict[tuple[str, ...], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    total = 0
    for place, (message, others) in enumerate(messages):
        total += 1
        seen = set[tuple[tuple[str, ...], str]]()
        for match in list(_PAIR.finditer(message))[:_PER_LINE]:
            seen.add((("pair", match[1], match[2]), match[3]))
        for match in list(_PREFIX.finditer(message))[:_PER_LINE]:
            seen.add((("prefix", match[1]), match[0]))
        for match in list(_MARK.finditer(message))[:_PER_LINE]:
            seen.add((("mark", match[1]), match[2]))
        for match in list(_BARE.finditer(message))[:_PER_LINE]:
            seen.add((("uuid",), match[0]))
        for name, value in others.items():
            if value and value not in {"-", "?"} and len(value) <= 200:
                seen.add((("field", name), value))
        for key, value in seen:
            places[key][value].append(place)
    found = [_candidate(key, values, total) for key, values in places.items() if 2 <= len(values) < 0.8 * total]
    kept = [one for one in found if one.length > 1 and one.sessions >= 3 and one.covered >= 0.05]
    return sorted(kept, key=lambda one: (one.sensible, _named(one), round(one.covered, 1), one.sessions), reverse=True)


def _named(one: Candidate) -> bool:
    """Whether its name says that it is an identifier."""
    return _NAME.search(one.what.removesuffix("=...").removesuffix(": ...").removesuffix("...").rstrip("_-# ")) is not None


def _candidate(key: tuple[str, ...], values: Mapping[str, list[int]], total: int) -> Candidate:
    lengths = [len(own) for own in values.values()]
    covered = len({place for own in values.values() for place in own}) / total
    spans = [(own[-1] - own[0]) / (total * (len(own) - 1) / (len(own) + 1)) for own in values.values() if len(own) > 1]
    near = sum(spans) / len(spans) if spans else 1.0
    what, data = _said(key)
    return Candidate(what, data, len(values), covered, float(median(lengths)), near)


def _said(key: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    if key[0] == "field":
        return f"the field {key[1]}", {"session": key[1]}
    if key[0] == "pair":
        before = rf"\b{re.escape(key[1])}{re.escape(key[2])}"
        return f"{key[1]}{key[2]}...", {"session_pattern": rf'{before}"?({_UUID}|[\w-]*\d[\w-]*)(?![\w.])'}
    if key[0] == "mark":
        return f"{key[1]}...", {"session_pattern": rf"(?<!\S){re.escape(key[1])}(\d+)\b"}
    if key[0] == "prefix":
        return f"{key[1]}...", {"session_pattern": rf"(?<![\w-]){re.escape(key[1])}(?:-?\d+(?:[_-]\d+)*|{_UUID})(?![\w.])"}
    return "UUIDs", {"session_pattern": _UUID}
