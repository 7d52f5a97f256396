"""How the trainings of a run ended: stopped early, or at their last epoch, still improving.

If a contender was still improving, the comparison is unfair to it: the contrast holds for that number of epochs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qlogad import documents
from qlogad.nn.epochs import History
from qlogad.report.record import Record

__all__ = [
    "NOTE",
    "Ended",
    "Trainings",
    "ended",
    "history_of",
    "mark",
    "marked",
    "rows",
    "still",
    "trainings",
    "warning",
    "warnings",
]

MARK = "†"

NOTE = (
    "`still improving` counts the trainings whose best epoch was the last one they were given; where it is not 0, more epochs may"
    " change the table."
)


@dataclass(frozen=True)
class Trainings:
    """All trainings of one contender, over seeds and cuts."""

    most: int  # the largest number of epochs of each
    histories: tuple[History, ...]

    @property
    def improving(self) -> int:
        """How many had their best epoch last."""
        return sum(history.improving for history in self.histories)

    @property
    def capped(self) -> int:
        """How many used all epochs, without being stopped early."""
        return sum(len(history.epochs) >= self.most for history in self.histories)


@dataclass(frozen=True)
class Ended:
    """How some trainings ended; as text, how many were still improving at their last epoch, "-" if unknown."""

    improving: int = 0
    of: int = 0  # trainings with a validation loss
    epochs: int = 0  # the largest number of epochs of those still improving

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.improving + other.improving, self.of + other.of, max(self.epochs, other.epochs))

    def __str__(self) -> str:
        return f"{self.improving} of {self.of}" if self.of else "-"


def ended(histories: Iterable[History]) -> Ended:
    """Summarize how some trainings ended.

    >>> from qlogad.nn.epochs import Epoch
    >>> str(ended([History((Epoch(1, 0.9, 0.8, 0.0), Epoch(2, 0.7, 0.6, 0.0, last=True)), best=2)]))
    '1 of 1'
    """
    seen = [history for history in histories if history.validated]
    early = [len(history.epochs) for history in seen if history.improving]
    return Ended(len(early), len(seen), max(early, default=0))


def history_of(training: Mapping[str, Any]) -> History | None:
    """The history in the facts of a cell; None if it was not trained in epochs."""
    return documents.from_mapping(History, training, "the training of a cell") if training else None


def trainings(record: Record) -> dict[str, Trainings]:
    """The trainings of every contender trained in epochs, by its name."""
    most = {one.name: one.epochs for one in record.entrants}
    found: dict[str, list[History]] = {}
    for cell in record.cells:
        if cell.history is not None:
            found.setdefault(cell.facts.contender, []).append(cell.history)
    return {name: Trainings(most[name] or 0, tuple(histories)) for name, histories in found.items()}


def still(histories: Sequence[History]) -> str:
    """How many of some trainings were still improving at their last epoch; "-" if there are none, or none has a validation loss."""
    if not histories or not all(history.validated for history in histories):
        return "-"
    return f"{sum(history.improving for history in histories)} of {len(histories)}"


def rows(found: Mapping[str, Trainings]) -> list[dict[str, Any]]:
    """One row per contender, over all seeds and cuts."""
    return [
        {
            "contender": name,
            "epochs, at most": one.most,
            "epochs run": _span([len(history.epochs) for history in one.histories]),
            "best epoch": _span([history.best for history in one.histories]),
            "still improving": still(one.histories),
            "used all epochs": f"{one.capped} of {len(one.histories)}",
        }
        for name, one in found.items()
    ]


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} - {high}"


def warnings(record: Record) -> list[str]:
    """A warning that names all contenders still improving at their last epoch, and what to do; empty if there are none."""
    by_name = {name: replace(ended(one.histories), epochs=one.most) for name, one in trainings(record).items()}
    return warning(by_name, f"their numbers, and every contrast marked {MARK}, depend")


def warning(found: Mapping[str, Ended], what: str) -> list[str]:
    """The same for trainings under any names; `what` is the subject that depends on where training was cut off."""
    early = {name: one for name, one in found.items() if one.improving}
    if not early:
        return []
    who = ", ".join(f"'{name}' ({one})" for name, one in early.items())
    more = 2 * max(one.epochs for one in early.values())
    return [
        f"trainings still improved at their last epoch: {who}; {what} on where training was cut off; give all contenders more epochs"
        f" (epochs = {more}, say) and let patience stop them"
    ]


def mark(found: Mapping[str, Trainings], *names: str) -> str:
    """The mark on a contrast with a side that was still improving at its last epoch, or ""."""
    return f" {MARK}" if any(found[name].improving for name in names if name in found) else ""


def marked(found: Mapping[str, Trainings], contrasts: Iterable[tuple[str, str]]) -> str:
    """The explanation of the mark, to append to a note; "" if no contrast has it."""
    if not any(mark(found, *pair) for pair in contrasts):
        return ""
    return (
        f" {MARK} A side still improved at its last epoch: the difference is that of so many epochs, not of what the two can learn."
    )
