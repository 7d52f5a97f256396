"""The lines that a reader set aside, grouped by reason, with the text of some of them: what quarantine pages and summaries show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from qlogad.logs.dataset import Intake

__all__ = ["EXAMPLES", "SetAside", "by_reason"]

EXAMPLES = 3


@dataclass(frozen=True)
class SetAside:
    """The lines that were set aside for one reason."""

    reason: str
    lines: int  # how many
    first: int  # number of the first of them
    last: int  # number of the last
    examples: Mapping[int, str]  # number -> text, as it is in the log and not escaped; without lines whose text cannot be had


def by_reason(intake: Intake, text: Callable[[Iterable[int]], Mapping[int, str]], *, examples: int = EXAMPLES) -> list[SetAside]:
    """The lines in quarantine by reason, the most frequent first, each with examples from its first line to its last.

    >>> intake = Intake(lines=9, records=6)
    >>> for line in (2, 3, 7):
    ...     intake.set_aside(line, 0, "not JSON")
    >>> by_reason(intake, lambda lines: {line: f"line {line}" for line in lines}, examples=2)
    [SetAside(reason='not JSON', lines=3, first=2, last=7, examples={2: 'line 2', 7: 'line 7'})]

    Args:
        intake: of a log that was read.
        text: of lines by number, as `Dataset.text`; called once at most.
        examples: of each reason, at most.
    """
    lines: dict[str, list[int]] = {}
    for item in intake.quarantine:
        lines.setdefault(item.reason, []).append(item.line)
    ordered = {reason: sorted(lines[reason]) for reason in intake.reasons()}
    chosen = {reason: _spread(own, examples) for reason, own in ordered.items()}
    texts = text({line for some in chosen.values() for line in some}) if chosen else {}
    return [
        SetAside(reason, len(own), own[0], own[-1], {line: texts[line] for line in chosen[reason] if line in texts})
        for reason, own in ordered.items()
    ]


def _spread(lines: list[int], most: int) -> list[int]:
    """At most so many of them, evenly from the first to the last."""
    if len(lines) <= most or most < 2:
        return lines[:most]
    return [lines[place * (len(lines) - 1) // (most - 1)] for place in range(most)]
