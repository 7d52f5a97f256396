"""Laws of a kind of thing: functions that say what each keeps, and choose themselves by what the thing declares."""

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
    """What became of one law."""

    law: str  # "rows are judged alone"
    broken: str | None  # how it was broken, in one line; None where it holds
    seconds: float  # of wall clock; what laws share is counted with the first that asks for it


Tell = Callable[[Outcome], None]


class Laws(Generic[S]):
    """The laws of one kind, in the order in which they are written; a law that finds its subject at fault raises an AssertionError.

    >>> laws = Laws[int]()
    >>> @laws.law()
    ... def it_is_above_nought(number: int) -> None:
    ...     assert number > 0, f"got {number}"
    >>> @laws.law(when=lambda number: number % 2 == 0)
    ... def an_even_one_is_above_two(number: int) -> None:
    ...     assert number > 2
    >>> laws.hold(3)
    >>> laws.hold(-2, tell=lambda outcome: print(outcome.law, "-", outcome.broken))
    it is above nought - got -2
    an even one is above two - it does not hold
    """

    def __init__(self) -> None:
        self._laws: list[tuple[Callable[[S], None], Callable[[S], bool]]] = []

    def law(self, when: Callable[[S], bool] = lambda subject: True) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Makes a function a law, named as the function.

        Args:
            when: whether it is one for a subject, by what that declares.
        """

        def add(law: Callable[[S], None]) -> Callable[[S], None]:
            self._laws.append((law, when))
            return law

        return add

    def hold(self, subject: S, tell: Tell | None = None) -> None:
        """Hold a subject to all laws that are its own.

        Args:
            subject: what is looked at.
            tell: is told what became of each law; None: the first that is broken raises an error.

        Raises:
            AssertionError: with the name of the law; only where nobody is told.
        """
        for law, applies in self._laws:
            if not applies(subject):
                continue
            name, began, broken = law.__name__.strip("_").replace("_", " "), perf_counter(), None
            try:
                law(subject)
            except Exception as error:  # somebody else's code may fail in any way, and the other laws are asked nevertheless
                broken = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
                if tell is None:
                    raise AssertionError(f"{name}: {broken}") from error
            if tell is not None:
                tell(Outcome(name, None if broken is None else one_line(broken) or "it does not hold", perf_counter() - began))


def refusal(call: Callable[[], object], kind: type[Exception]) -> str | None:
    """What a call is refused with; None where it is not."""
    try:
        call()
    except kind as error:
        return str(error)
    return None


def assert_refused(call: Callable[[], object], kind: type[Exception], what: str) -> None:
    """A call is refused with an error of a kind, in one line."""
    said = refusal(call, kind)
    assert said is not None, f"{what}: expected {kind.__name__}, nothing was raised"
    assert len(said.splitlines()) == 1, f"{what}: an error is one line, got {said}"
