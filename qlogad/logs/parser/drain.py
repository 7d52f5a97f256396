"""Drain: log messages to templates with a tree of fixed depth.  He, Zhu, Zheng, Lyu, ICWS 2017, doi:10.1109/ICWS.2017.13.

    root ── number of tokens ── first token ── templates        (depth 4: four layers; each further layer branches on one more token)

Depth is counted as in the published settings of logparser and Drain3: equal settings build the same tree from the same messages.
A message follows the branch of its token, else that of the wildcard; the tree grows only if no template found is similar enough.
A parser is fitted on training messages and then frozen: later messages get a known template or none (-1). Variable parts of
messages are masked as `<:NAME:>` (see events.py); `<*>` marks positions where the messages of a template differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from typing import Annotated, Any, ClassVar, Self

from qlogad import documents
from qlogad.bounds import Between
from qlogad.errors import DataError, shown
from qlogad.logs.parser.fit_once import LearnsOnce
from qlogad.logs.parser.parser import Parser
from qlogad.logs.parser.templates import PLACEHOLDER, WILDCARD

__all__ = ["Drain"]

Token = str | None  # None is the wildcard: it equals no token, not even a message's own "<*>"
Path = tuple[Token, ...]  # the branches taken down the tree


@dataclass(eq=False)
class Drain(LearnsOnce, Parser):
    """Messages with equally many tokens and equal leading tokens share a template if enough of their tokens agree.

    The default depth branches on two leading tokens, unlike Drain3's default of 4: with one setting for LogHub's sixteen samples, the
    grouping accuracy is .80 at depth 5, .77 at 4 and .79 at 6.

    >>> drain = Drain().fit(["send <:NUM:> to alice", "send <:NUM:> to bob", "stop"])
    >>> drain.templates
    ('send <:NUM:> to <*>', 'stop')
    >>> drain.ids(["send <:NUM:> to carol", "restart"]).tolist()
    [0, -1]
    >>> drain.parameters(0, "send <:NUM:> to carol", ["7"])
    ('7', 'carol')
    """

    version: ClassVar[int] = 2

    depth: Annotated[int, Between(3, 1_000)] = 5  # layers of the tree, including root and templates; depth - 3 hold tokens
    similarity: Annotated[float, Between(0, 1)] = 0.4  # smallest share of tokens that must agree with the template, in [0, 1]
    max_children: Annotated[int, Between(1, 10**6)] = 100  # branches per node, including that of the wildcard
    _templates: list[list[Token]] = field(default_factory=list, init=False, repr=False)
    _children: dict[tuple[int, Path], set[Token]] = field(default_factory=dict, init=False, repr=False)
    _leaves: dict[tuple[int, Path], list[int]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.depth < 3 or not 0 <= self.similarity <= 1 or self.max_children < 1:
            raise DataError(
                "Drain needs depth >= 3 (root, number of tokens, templates), 0 <= similarity <= 1 and max_children >= 1, "
                f"got {shown(self.depth)}, {shown(self.similarity)} and {shown(self.max_children)}"
            )
        documents.enforce(self, DataError)

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates by id, in order of first appearance."""
        return tuple(" ".join(WILDCARD if token is None else token for token in tokens) for tokens in self._templates)

    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The variable parts of a message, in order of position: masked values and the tokens at wildcards.

        Inserted into the template in order, they restore the message (up to white space) if it fits the template.

        Args:
            template_id: the id of its template.
            text: the masked message.
            values: its masked values, one per placeholder.
        """
        left = iter(values)
        found: list[str] = []
        for ours, token in zip(self._templates[template_id], text.split(), strict=True):
            cut = [next(left) for _ in PLACEHOLDER.finditer(token)]
            if ours is None:
                parts = iter(cut)
                found.append(PLACEHOLDER.sub(lambda _, parts=parts: next(parts), token))  # type: ignore[misc]
            else:
                found.extend(cut)
        return tuple(found)

    def state(self) -> dict[str, Any]:
        """The fitted state, as JSON types. The tree is rebuilt from the templates in order."""
        settings = {"depth": self.depth, "similarity": self.similarity, "max_children": self.max_children}
        return {"parser": "drain", "version": self.version, **settings, "templates": [list(tokens) for tokens in self._templates]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted parser with the state that `state()` returned."""
        saved = documents.from_mapping(_Saved, state, "parser", strict=True)
        drain = cls(saved.depth, saved.similarity, saved.max_children)
        for template in saved.templates:
            drain._add(list(template))
        drain._frozen = True
        return drain

    def _learn(self, tokens: list[str]) -> None:
        path: Path = ()
        for token in self._leading(tokens):
            path = (*path, token if token in self._children.get((len(tokens), path), ()) else None)
        found = self._best(tokens, [path])
        if found < 0:
            self._add([*tokens])
        else:
            self._templates[found] = [a if a == b else None for a, b in zip(self._templates[found], tokens, strict=True)]

    def _add(self, tokens: list[Token]) -> None:
        """Add a template to the tree: a token takes its own branch if it exists or there is room, else the wildcard branch."""
        path: Path = ()
        for token in self._leading(tokens):
            known = self._children.setdefault((len(tokens), path), set())
            literal = len(known) - (None in known)
            if token not in known and (token is None or literal + 1 >= self.max_children or any(map(str.isdigit, token))):
                token = None
            known.add(token)
            path = (*path, token)
        self._leaves.setdefault((len(tokens), path), []).append(len(self._templates))
        self._templates.append(tokens)

    def _leading(self, tokens: Sequence[Token]) -> Sequence[Token]:
        """The tokens that select branches: never the last one."""
        return tokens[: max(0, min(self.depth - 3, len(tokens) - 1))]

    def _find(self, tokens: list[str]) -> int:
        """The best template on all paths down the tree, preferring one that the message fits exactly; or -1.

        A training message may have taken the wildcard branch before its token got its own, so both are searched.
        """
        paths: list[Path] = [()]
        for token in self._leading(tokens):
            known = [(path, self._children.get((len(tokens), path), ())) for path in paths]
            paths = [(*path, branch) for path, branches in known for branch in (token, None) if branch in branches]
        return self._best(tokens, paths, whole=True)

    def _best(self, tokens: list[str], paths: Sequence[Path], whole: bool = False) -> int:
        """The most similar template above the threshold (ties: more wildcards, then the older one); or -1."""
        best, rank = -1, (False, -1, -1, 0)
        for path in paths:
            for candidate in self._leaves.get((len(tokens), path), ()):
                template = self._templates[candidate]
                agree, wild = sum(map(eq, template, tokens)), template.count(None)
                score = (whole and agree + wild == len(tokens), agree, wild, -candidate)
                if score > rank and (not tokens or agree / len(tokens) >= self.similarity):
                    best, rank = candidate, score
        return best


@dataclass(frozen=True)
class _Saved:
    """The saved state of a Drain parser."""

    parser: str
    version: int
    depth: int
    similarity: float
    max_children: int
    templates: tuple[tuple[Token, ...], ...]
