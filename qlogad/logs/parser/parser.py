"""The parser interface: templates from log messages, fitted on training messages, then frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from qlogad import names
from qlogad.arrays import Ints
from qlogad.errors import DataError

__all__ = ["Parser", "load_parser"]

FROZEN = "this parser is fitted and frozen; make a new one to fit it on other messages"


class Parser(Protocol):
    """Maps masked messages to template ids: fitted once, then frozen. A concrete parser names this class as its base."""

    version: ClassVar[int]  # of its state

    @property
    def templates(self) -> tuple[str, ...]: ...
    def fit(self, texts: Iterable[str]) -> Self: ...
    def ids(self, texts: Sequence[str]) -> Ints: ...
    def parameters(self, template_id: int, text: str, values: Sequence[str]) -> tuple[str, ...]: ...
    def state(self) -> dict[str, Any]: ...
    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self: ...


def load_parser(state: Mapping[str, Any]) -> Parser:
    """Restore a fitted parser of any kind from its state.

    Raises:
        DataError: the parser or its version is not known.
    """
    name, version = state.get("parser"), state.get("version")
    kind: type[Parser] | None = names.find("parser", name) if isinstance(name, str) and name in names.known("parser") else None
    if kind is None or version != kind.version:
        raise DataError(f"no parser '{name}' of version {version}; it was written by another qlogad")
    return kind.from_state(state)
