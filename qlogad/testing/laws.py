"""Laws of a kind: test functions that apply to everything of the kind, or to what declares a property."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from qlogad.errors import one_line

__all__ = ["Laws", "Outcome", "Tell", "assert_refused", "refusal"]

S = TypeVar("S")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one law."""

    law: str  # "rows are judged alone"
    broken: str | None  # one line saying how; None if it holds
    seconds: float  # wall-clock time; shared work counts towards the first law that needs it


Tell = Callable[[Outcome], None]


class Laws(Generic[S]):
    """The laws of one kind, checked in source order. A broken law raises an AssertionError.

    >>> laws = Laws[int]()
    >>> @laws.law()
    ... def it_is_positive(number: int) -> None:
    ...     assert number > 0, f"got {number}"
    >>> @laws.law(when=lambda number: number % 2 == 0)
    ... def an_even_one_is_above_two(number: int) -> None:
    ...     assert number > 2
    >>> laws.hold(3)
    >>> laws.hold(-2, tell=lambda outcome: print(outcome.law, "-", outcome.broken))
    it is positive - got -2
    an even one is above two - it does not hold
    """

    def __init__(self) -> None:
        self._laws: list[tuple[Callable[[S], None], Callable[[S], bool]]] = []

    def law(self, when: Callable[[S], bool] = lambda subject: True) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """A decorator that adds a function as a law; the function's name is the law's.

        Args:
            when: whether the law applies to a subject.
        """

        def add(law: Callable[[S], None]) -> Callable[[S], None]:
            self._laws.append((law, when))
            return law

        return add

    def hold(self, subject: S, tell: Tell | None = None) -> None:
        """Check a subject against all laws that apply to it.

        Args:
            subject: what is checked.
            tell: called with the outcome of each law; None: the first broken law raises an error.

        Raises:
            AssertionError: with the name of the broken law; only without `tell`.
        """
        for law, applies in self._laws:
            name, began, broken = law.__name__.strip("_").replace("_", " "), perf_counter(), None
            try:
                if not applies(subject):
                    continue
                law(subject)
            except Exception as error:  # third-party code may fail in any way; the other laws are still checked
                broken = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
                if tell is None:
                    raise AssertionError(f"{name}: {broken}") from error
            if tell is not None:
                tell(Outcome(name, None if broken is None else one_line(broken) or "it does not hold", perf_counter() - began))


def refusal(call: Callable[[], object], kind: type[Exception]) -> str | None:
    """The message of the error that a call raises; None if it raises none of this kind."""
    try:
        call()
    except kind as error:
        return str(error)
    return None


def assert_refused(call: Callable[[], object], kind: type[Exception], what: str) -> None:
    """Assert that a call raises an error of a kind, with a one-line message."""
    said = refusal(call, kind)
    assert said is not None, f"{what}: expected {kind.__name__}, nothing was raised"
    assert len(said.splitlines()) == 1, f"{what}: an error is one line, got {said}"
