"""How the trainings of a run ended: by themselves, or at their last epoch, still improving.

A contender that still improved has had no equal chance: a contrast with it says what so many epochs give, and no more.
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

    most: int  # epochs that each was given
    histories: tuple[History, ...]

    @property
    def improving(self) -> int:
        """How many had their best epoch last."""
        return sum(history.improving for history in self.histories)

    @property
    def capped(self) -> int:
        """How many used all epochs up, so that patience did not stop them."""
        return sum(len(history.epochs) >= self.most for history in self.histories)


@dataclass(frozen=True)
class Ended:
    """How some trainings ended: as text, how many still improved at their last epoch; "-" where nothing tells."""

    improving: int = 0
    of: int = 0  # those with a validation loss to see it by
    epochs: int = 0  # the most that one of the improving was given

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.improving + other.improving, self.of + other.of, max(self.epochs, other.epochs))

    def __str__(self) -> str:
        return f"{self.improving} of {self.of}" if self.of else "-"


def ended(histories: Iterable[History]) -> Ended:
    """How some trainings ended.

    >>> from qlogad.nn.epochs import Epoch
    >>> str(ended([History((Epoch(1, 0.9, 0.8, 0.0), Epoch(2, 0.7, 0.6, 0.0, last=True)), best=2)]))
    '1 of 1'
    """
    seen = [history for history in histories if history.validated]
    early = [len(history.epochs) for history in seen if history.improving]
    return Ended(len(early), len(seen), max(early, default=0))


def history_of(training: Mapping[str, Any]) -> History | None:
    """The training that a cell told of; None of what is not trained epoch by epoch."""
    return documents.from_mapping(History, training, "the training of a cell") if training else None


def trainings(record: Record) -> dict[str, Trainings]:
    """Those of every contender that is trained epoch by epoch, by its name."""
    most = {one.name: one.epochs for one in record.entrants}
    found: dict[str, list[History]] = {}
    for cell in record.cells:
        if cell.history is not None:
            found.setdefault(cell.facts.contender, []).append(cell.history)
    return {name: Trainings(most[name] or 0, tuple(histories)) for name, histories in found.items()}


def still(histories: Sequence[History]) -> str:
    """How many of some trainings still improved at their last epoch; "-" where there are none, or nothing to see it by."""
    if not histories or not all(history.validated for history in histories):
        return "-"
    return f"{sum(history.improving for history in histories)} of {len(histories)}"


def rows(found: Mapping[str, Trainings]) -> list[dict[str, Any]]:
    """A line for each contender, over all seeds and cuts."""
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
    """One that names all contenders that still improved at their last epoch, and what to do; none where there are none."""
    by_name = {name: replace(ended(one.histories), epochs=one.most) for name, one in trainings(record).items()}
    return warning(by_name, f"their numbers, and every contrast marked {MARK}, depend")


def warning(found: Mapping[str, Ended], what: str) -> list[str]:
    """The same of trainings by any name; `what` depends on where training was cut off."""
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
    """What stands behind a contrast a side of which still improved at its last epoch."""
    return f" {MARK}" if any(found[name].improving for name in names if name in found) else ""


def marked(found: Mapping[str, Trainings], contrasts: Iterable[tuple[str, str]]) -> str:
    """What the mark means, to be added to a note; empty where no contrast has it."""
    if not any(mark(found, *pair) for pair in contrasts):
        return ""
    return (
        f" {MARK} A side still improved at its last epoch: the difference is that of so many epochs, not of what the two can learn."
    )
