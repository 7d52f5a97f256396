"""Spell: a template is the longest common subsequence of its messages.  Du and Li, ICDM 2016, doi:10.1109/ICDM.2016.0103, and TKDE 2018.

    send 7 bytes to alice        send <*> bytes to <*>
    send 12 bytes to bob now     what both say, in order, and `<*>` for any tokens, or none, wherever one of them says more

A message joins the template with the longest common subsequence, if that covers enough of its tokens. As in the paper, a prefix tree
finds the templates that are in the message as a whole before any subsequence is computed. In place of the paper's loop over all
templates there is an index from tokens to templates: subsequences are computed only for those that share enough tokens, the most
promising first, in words of bits (Hyyro 2004); the result is that of computing all of them. On a log of OpenStack with 330 templates
that is about 17,000 different messages per second in fitting and 20,000 once frozen, on one core; a message seen before is looked up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from qlogad import documents
from qlogad.bounds import Between
from qlogad.errors import DataError
from qlogad.logs.parser.fit_once import LearnsOnce
from qlogad.logs.parser.parser import Parser
from qlogad.logs.parser.templates import PLACEHOLDER, WILDCARD

__all__ = ["Spell"]

Places = dict[str, list[int]]  # token -> where it stands in a message, ascending


@dataclass(eq=False)
class Spell(LearnsOnce, Parser):
    """Messages whose longest common subsequence with a template covers enough of their tokens share it; they may differ in length.

    Once it is frozen, a message gets the template that it fits with the most tokens in common, else the one with the longest common
    subsequence that is long enough, else none.

    >>> spell = Spell().fit(["send <:NUM:> bytes to alice", "send <:NUM:> bytes to bob now", "stop"])
    >>> spell.templates
    ('send <:NUM:> bytes to <*>', 'stop')
    >>> spell.ids(["send <:NUM:> bytes to carol", "restart"]).tolist()
    [0, -1]
    >>> spell.parameters(0, "send <:NUM:> bytes to bob now", ["7"])
    ('7', 'bob now')
    """

    version: ClassVar[int] = 1

    similarity: Annotated[float, Between(0, 1)] = 0.5  # the least share of a message's tokens in the common subsequence (tau)
    _templates: list[_Template] = field(default_factory=list, init=False, repr=False)
    _index: dict[str, set[int]] = field(default_factory=dict, init=False, repr=False)  # token -> the templates that have it
    _root: _Node = field(default_factory=lambda: _Node(), init=False, repr=False)

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates by id, in order of first appearance."""
        return tuple(template.text() for template in self._templates)

    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The variable parts of a message, in order of position: masked values, and the tokens at wildcards, which may be none.

        Inserted into the template in order, they restore the message (up to white space) if it fits the template.

        Args:
            template_id: its template.
            text: the masked message.
            values: its masked values, one for each placeholder.
        """
        template, tokens, left = self._templates[template_id], text.split(), iter(values)
        whole = [PLACEHOLDER.sub(lambda _: next(left, ""), token) for token in tokens]
        cut = [PLACEHOLDER.findall(token) for token in tokens]
        offsets = np.concatenate([[0], np.cumsum([len(own) for own in cut])]).astype(int).tolist()
        places = template.places_in(tokens) or _aligned(template.tokens, tokens)
        found, last = [], -1
        for number, (gap, place) in enumerate(zip(template.gaps, [*places, len(tokens)], strict=True)):
            at = len(tokens) if place is None else place
            if gap:  # up to the next token that both have
                until = next((later for later in [*places[number:], len(tokens)] if later is not None), at)
                found.append(" ".join(whole[last + 1 : until]))
                last = until - 1
            if number < len(template.tokens):
                if place is None:
                    found.extend("" for _ in PLACEHOLDER.findall(template.tokens[number]))
                else:
                    found.extend(values[offsets[place] : offsets[place + 1]])
                    last = place
        return tuple(found)

    def state(self) -> dict[str, Any]:
        """The fitted state as JSON types. The prefix tree and the index follow from the templates."""
        templates = [{"tokens": list(one.tokens), "gaps": list(one.gaps), "longest": one.longest} for one in self._templates]
        return {"parser": "spell", "version": self.version, "similarity": self.similarity, "templates": templates}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted parser that `state()` was taken from."""
        saved = documents.from_mapping(_Saved, state, "parser", strict=True)
        spell = cls(saved.similarity)
        for template in saved.templates:
            spell._add(template)
        spell._frozen = True
        return spell

    def _learn(self, tokens: list[str]) -> None:
        places = _places(tokens)
        inside = [number for number in self._inside(places) if self._is_enough(len(self._templates[number].tokens), len(tokens))]
        found = min(inside, key=lambda number: (-len(self._templates[number].tokens), number), default=-1)
        if found < 0:
            found = self._most_common(tokens)
        if found < 0:
            self._add(_Template(tuple(tokens), (False,) * (len(tokens) + 1), len(tokens)))
            return
        old = self._templates[found]
        if old.places_in(tokens) is not None:
            if len(tokens) > old.longest:
                self._templates[found] = replace(old, longest=len(tokens))
            return
        new = old.joined(tokens)
        if new.tokens != old.tokens:
            self._unlink(found, old)
            self._link(found, new)
        self._templates[found] = new

    def _add(self, template: _Template) -> None:
        self._templates.append(template)
        self._link(len(self._templates) - 1, template)

    def _link(self, number: int, template: _Template) -> None:
        node = self._root
        for token in template.tokens:
            self._index.setdefault(token, set()).add(number)
            node = node.children.setdefault(token, _Node())
        node.ends.append(number)

    def _unlink(self, number: int, template: _Template) -> None:
        path = [self._root]
        for token in template.tokens:
            self._index[token].discard(number)
            path.append(path[-1].children[token])
        path[-1].ends.remove(number)
        for above, token, node in zip(path[-2::-1], reversed(template.tokens), path[:0:-1], strict=True):
            if node.ends or node.children:
                break
            del above.children[token]

    def _find(self, tokens: list[str]) -> int:
        fit = [number for number in self._inside(_places(tokens)) if self._fits(number, tokens)]
        if fit:
            return min(fit, key=lambda number: (-len(self._templates[number].tokens), number))
        return self._most_common(tokens)

    def _fits(self, number: int, tokens: Sequence[str]) -> bool:
        template = self._templates[number]
        size = len(tokens)
        return (size <= template.longest or self._is_enough(len(template.tokens), size)) and template.places_in(tokens) is not None

    def _is_enough(self, common: int, size: int) -> bool:
        """Whether so many tokens in common are enough for a message of a size; of the empty message, none."""
        return common >= max(self.similarity * size, 1 if size else 0)

    def _inside(self, places: Places) -> Iterator[int]:
        """The templates whose tokens all stand in a message, in their order: a walk down the prefix tree."""
        waiting = [(self._root, -1)]
        while waiting:
            node, last = waiting.pop()
            yield from node.ends
            children = node.children
            for token in children if len(children) < len(places) else places:
                if token in children and token in places:
                    later = bisect_left(places[token], last + 1)
                    if later < len(places[token]):
                        waiting.append((children[token], places[token][later]))

    def _most_common(self, tokens: list[str]) -> int:
        """The template with the longest common subsequence that is enough (ties: the shorter one, then the older one); or -1."""
        counts, shared = Counter(tokens), Counter[int]()
        for token, count in counts.items():
            for number in self._index.get(token, ()):
                shared[number] += count
        bits = _bits(tokens)
        best, rank = -1, (0, 0, 0)
        for number, bound in shared.most_common():  # no subsequence is longer than the number of shared tokens
            if bound < rank[0] or not self._is_enough(bound, len(tokens)):
                break
            template = self._templates[number].tokens
            common = _common(bits, len(tokens), template)
            score = (common, -len(template), -number)
            if self._is_enough(common, len(tokens)) and (best < 0 or score > rank):
                best, rank = number, score
        return best


@dataclass(frozen=True)
class _Template:
    """Tokens, and between which of them there may be more."""

    tokens: tuple[str, ...]
    gaps: tuple[bool, ...]  # before each token, and after the last one
    longest: Annotated[int, Between(0, 10**9)]  # tokens of its longest message in training

    def __post_init__(self) -> None:
        if len(self.gaps) != len(self.tokens) + 1:
            raise DataError(f"a template of {len(self.tokens)} tokens has a gap more, got {len(self.gaps)}")

    def text(self) -> str:
        """The template with `<*>` in its gaps."""
        words = [
            word for gap, token in zip(self.gaps, self.tokens, strict=False) for word in ((WILDCARD, token) if gap else (token,))
        ]
        return " ".join([*words, WILDCARD] if self.gaps[-1] else words)

    def joined(self, tokens: Sequence[str]) -> _Template:
        """What this and a message have in common, with gaps wherever one of them says more."""
        places = _aligned(self.tokens, tokens)
        kept, gaps, last, gap = [], list[bool](), -1, False
        for own, token, place in zip(self.gaps, self.tokens, places, strict=False):
            gap = gap or own
            if place is None:
                gap = True
            else:
                gaps.append(gap or place > last + 1)
                kept.append(token)
                last, gap = place, False
        gaps.append(gap or self.gaps[-1] or last + 1 < len(tokens))
        return _Template(tuple(kept), tuple(gaps), max(self.longest, len(tokens)))

    def places_in(self, tokens: Sequence[str]) -> list[int | None] | None:
        """Where its tokens stand in a message that fits it, with more only in gaps; None where it does not fit.

        Stretches without a gap are taken where they first occur, which finds a way if there is one.
        """
        begin, size, place, found = 0, len(self.tokens), 0, list[int | None]()
        while begin < size:
            end = next((later for later in range(begin + 1, size) if self.gaps[later]), size)
            stretch, length = list(self.tokens[begin:end]), end - begin
            last = len(tokens) - length
            if end == size and not self.gaps[-1]:  # it ends the message
                starts = range(last, last + 1) if last >= place and (self.gaps[begin] or last == place) else range(0)
            else:
                starts = range(place, last + 1) if self.gaps[begin] else range(place, min(place, last) + 1)
            at = next((start for start in starts if list(tokens[start : start + length]) == stretch), None)
            if at is None:
                return None
            found.extend(range(at, at + length))
            begin, place = end, at + length
        return found if self.gaps[-1] or place == len(tokens) else None


@dataclass(eq=False)
class _Node:
    """A node of the prefix tree."""

    children: dict[str, _Node] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)  # the templates that end here


@dataclass(frozen=True)
class _Saved:
    """What `Spell.state` gives."""

    parser: str
    version: int
    similarity: float
    templates: tuple[_Template, ...]


def _places(tokens: Sequence[str]) -> Places:
    places: Places = {}
    for place, token in enumerate(tokens):
        places.setdefault(token, []).append(place)
    return places


def _bits(tokens: Sequence[str]) -> dict[str, int]:
    """Where each token stands, as bits."""
    bits: dict[str, int] = {}
    for place, token in enumerate(tokens):
        bits[token] = bits.get(token, 0) | 1 << place
    return bits


def _common(bits: Mapping[str, int], size: int, other: Iterable[str]) -> int:
    """The length of the longest common subsequence of a message (`bits` of `size` tokens) and other tokens."""
    every = (1 << size) - 1
    row = every
    for token in other:
        if found := row & bits.get(token, 0):
            row = (row + found | row - found) & every
    return size - row.bit_count()


def _aligned(ours: Sequence[str], tokens: Sequence[str]) -> list[int | None]:
    """Where our tokens stand in a message by a longest common subsequence; None for those that are not in it."""
    lengths = [[0] * (len(tokens) + 1)]  # of what is left of both, from the end
    for token in reversed(ours):
        row, below = [0], lengths[-1]
        for place, other in enumerate(reversed(tokens), 1):
            row.append(below[place - 1] + 1 if token == other else max(below[place], row[-1]))
        lengths.append(row)
    found, place = list[int | None](), 0
    for number, token in enumerate(ours):
        whole, rest = lengths[len(ours) - number], lengths[len(ours) - number - 1]
        while place < len(tokens) and tokens[place] != token and rest[len(tokens) - place] < whole[len(tokens) - place]:
            place += 1
        if place < len(tokens) and tokens[place] == token:
            found.append(place)
            place += 1
        else:
            found.append(None)
    return found
