"""Templates as text: `<*>` for a variable part, `<:NAME:>` for a masked value; known templates find the messages that fit them.

    Receiving block <*> src: /<*>:<*>      fits      Receiving block <:BLOCK:> src: <:IP:>

Masked messages are compared token by token. A placeholder stands for a text that is not known, so it may also hold what a template
spells out beside its `<*>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache

__all__ = ["PLACEHOLDER", "SLOT", "WILDCARD", "KnownTemplates", "fill", "masked_template"]

WILDCARD = "<*>"
PLACEHOLDER = re.compile(r"<:\w+:>")  # of a masked value
SLOT = re.compile(r"<\*>|<:\w+:>")
_LONGEST = 200  # characters of a token that may hold what a template spells out

Masker = Callable[[str], tuple[str, tuple[str, ...]]]


def fill(template: str, parameters: Sequence[str]) -> str:
    """A template with its wildcards and placeholders replaced by parameters, in order, with single blanks.

    >>> fill("sent <:NUM:> to <*>", ["7", "bob"])
    'sent 7 to bob'
    """
    left = iter(parameters)
    return " ".join(SLOT.sub(lambda _: next(left), template).split())


def masked_template(template: str, mask: Masker) -> str:
    """A template of raw messages as one of masked messages: masks apply to tokens without a variable part.

    >>> masked_template("error 404 of <*>", lambda text: (text.replace("404", "<:NUM:>"), ("404",)))
    'error <:NUM:> of <*>'
    """
    tokens = template.split()
    variable = [token for token in tokens if SLOT.search(token)]
    masked, _ = mask(" ".join(_STAND_IN if SLOT.search(token) else token for token in tokens))
    if masked.split().count(_STAND_IN) != len(variable):  # a mask has cut out a variable part as a whole
        return " ".join(tokens)
    left = iter(variable)
    return " ".join(next(left) if token == _STAND_IN else token for token in masked.split())


_STAND_IN = "\ue000"  # private use: for a token that masks leave alone


class KnownTemplates:
    """Templates that were given, and which of them a masked message fits: the one that spells out most, without `<*>`, the first.

    A message fits a template of as many tokens if each token does: `<*>` is a token or a part of one. If there is none, `<*>` may be
    any text, also several tokens or none. Work grows with the length of a message times that of a template, whatever they are.

    >>> known = KnownTemplates(["open <*>", "open <*> for <*>"])
    >>> [known.find(text) for text in ("open a.txt", "open a.txt for bob", "open a b c", "close a.txt")]
    [0, 1, 0, -1]
    >>> known.parameters(0, "open <:PATH:>", ["/tmp/x"])
    ('/tmp/x',)
    """

    def __init__(self, templates: Sequence[str]) -> None:
        """Args: the templates, each once; what is masked in messages is masked in them."""
        self.templates = tuple(dict.fromkeys(" ".join(template.split()) for template in templates))
        self._tokens = [template.split() for template in self.templates]
        spelled = [len(SLOT.sub("", template)) for template in self.templates]
        varies = [WILDCARD in template for template in self.templates]
        ranked = sorted(range(len(self.templates)), key=lambda place: (-spelled[place], varies[place], place))
        self._rank = {place: rank for rank, place in enumerate(ranked)}
        self._by_length: dict[Hashable, list[int]] = {}  # by the number of tokens and the first one, None if it varies
        self._by_start: dict[Hashable, list[int]] = {}  # by the first token
        for place in ranked:
            tokens = self._tokens[place]
            start = tokens[0] if tokens and WILDCARD not in tokens[0] else None
            self._by_length.setdefault((len(tokens), start), []).append(place)
            if WILDCARD in self.templates[place]:
                self._by_start.setdefault(start, []).append(place)

    def find(self, text: str) -> int:
        """The place of the template that a masked message fits; -1 where it fits none."""
        tokens = text.split()
        start = tokens[0] if tokens else None
        equal = self._ranked(self._by_length, (len(tokens), start), (len(tokens), None))
        for fits in (_token_fits, _token_may_fit):
            for place in equal:
                if all(map(fits, self._tokens[place], tokens)):
                    return place
        spaced = _spaced(tokens)
        for place in self._ranked(self._by_start, start, None):
            if _parts(_pieces(self.templates[place]), spaced) is not None:
                return place
        return -1

    def parameters(self, place: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The variable parts of a message that fits a template: inserted in order, they restore it (up to white space).

        Args:
            place: the template.
            text: the masked message.
            values: its masked values, one for each placeholder.
        """
        left = iter(values)
        template, tokens = self._tokens[place], text.split()
        if len(template) == len(tokens) and all(map(_token_may_fit, template, tokens)):
            return tuple(part for ours, token in zip(template, tokens, strict=True) for part in _of_token(ours, token, left))
        parts = iter(_parts(_pieces(self.templates[place]), _spaced(tokens)) or ())
        found = []
        for slot in SLOT.findall(self.templates[place]):
            if slot != WILDCARD:
                found.append(next(left, ""))
            else:
                found.append(_filled(" ".join(next(parts, "").split()), left))
        return tuple(found)

    def _ranked(self, buckets: Mapping[Hashable, list[int]], *keys: Hashable) -> list[int]:
        found = [place for key in dict.fromkeys(keys) for place in buckets.get(key, ())]
        return sorted(found, key=self._rank.__getitem__)


def _filled(text: str, left: Iterator[str]) -> str:
    return PLACEHOLDER.sub(lambda _: next(left, ""), text)


def _of_token(ours: str, token: str, left: Iterator[str]) -> list[str]:
    """The parameters of one token."""
    if WILDCARD not in ours:
        return [next(left, "") for _ in PLACEHOLDER.finditer(token)]
    parts = _parts(ours.split(WILDCARD), token, least=1)
    if parts is None:  # a placeholder holds what the template spells out
        whole = _filled(token, left)
        parts = _parts(SLOT.split(ours), whole)
        return parts if parts is not None else [whole, *[""] * (len(SLOT.findall(ours)) - 1)]
    inner = iter(parts)
    return [next(left, "") if slot != WILDCARD else _filled(next(inner), left) for slot in SLOT.findall(ours)]


def _token_fits(ours: str, token: str) -> bool:
    """Whether a token is as the template says; `<*>` holds one character or more."""
    if ours in (token, WILDCARD):
        return True
    return WILDCARD in ours and _parts(ours.split(WILDCARD), token, least=1) is not None


def _token_may_fit(ours: str, token: str) -> bool:
    """Whether a token could be as the template says, if its placeholders held the right texts."""
    if _token_fits(ours, token):
        return True
    if WILDCARD not in ours or not PLACEHOLDER.search(token) or max(len(ours), len(token)) > _LONGEST:
        return False
    return _may_be_equal(ours, token)


@lru_cache(maxsize=1 << 12)
def _may_be_equal(ours: str, token: str) -> bool:
    """Whether some text is both, where `<*>` and placeholders stand for any text."""
    one, other = _symbols(ours, WILDCARD), _symbols(PLACEHOLDER.sub(WILDCARD, token), WILDCARD)
    row = [all(symbol is None for symbol in other[:place]) for place in range(len(other) + 1)]
    for a in one:
        new = [row[0] and a is None]
        for place, b in enumerate(other, 1):
            either = a is None or b is None
            new.append((new[-1] or row[place]) if either else (row[place - 1] and a == b))
        row = new
    return row[-1]


def _symbols(text: str, wildcard: str) -> list[str | None]:
    """The characters of a text, None for a wildcard."""
    first, *others = text.split(wildcard)
    return [*first, *(symbol for piece in others for symbol in (None, *piece))]


def _spaced(tokens: Sequence[str]) -> str:
    """Tokens with blanks of their own on both sides, so that a wildcard can stand for no token."""
    return "".join(f" {token} " for token in tokens)


@lru_cache(maxsize=1 << 12)
def _pieces(template: str) -> tuple[str, ...]:
    """What a template spells out between its wildcards, spaced."""
    return tuple("".join(token if token == WILDCARD else f" {token} " for token in template.split()).split(WILDCARD))


def _parts(pieces: Sequence[str], text: str, least: int = 0) -> list[str] | None:
    """The texts between pieces, of which the first begins the text and the last ends it; None where they do not occur in that order.

    Each piece is taken where it first occurs after `least` characters, which finds a way if there is one. A placeholder is one character.
    """
    if not all(piece in text for piece in pieces):
        return None
    if masked := dict.fromkeys(PLACEHOLDER.findall(text)):
        letters = dict(zip(masked, _letters_beside(text, *pieces), strict=False))
        names = {letter: name for name, letter in letters.items()}
        own = [PLACEHOLDER.sub(lambda name: letters.get(name[0], name[0]), part) for part in (*pieces, text)]
        parts = _parts(own[:-1], own[-1], least)
        return None if parts is None else ["".join(names.get(letter, letter) for letter in part) for part in parts]
    if len(pieces) == 1:
        return [] if pieces[0] == text else None
    first, *middle, last = pieces
    place, end = len(first), len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last):
        return None
    parts = list[str]()
    for piece in middle:
        found = text.find(piece, place + least, max(end, 0))
        if found < 0:
            return None
        parts.append(text[place:found])
        place = found + len(piece)
    return [*parts, text[place:end]] if place + least <= end else None


def _letters_beside(*texts: str) -> Iterator[str]:
    """Characters of the private use planes that are in none of the texts."""
    used = set().union(*texts)
    return (letter for letter in map(chr, range(0xF0000, 0x110000)) if letter not in used)
