"""Output of the `hardware` verbs about campaigns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qlogad.cli import printing
from qlogad.errors import QlogadError, counted

if TYPE_CHECKING:
    from qlogad.hardware.campaign import Collected

__all__ = ["print_campaigns", "print_skipped"]


def print_campaigns(found: Sequence[Collected], skipped: Mapping[str, str], result: Path, as_json: bool) -> None:
    """Print the state of campaigns.

    Raises:
        QlogadError: one has stopped or was skipped; a campaign that waits for its device is no failure.
    """
    from qlogad.hardware.campaign import not_begun

    printing.table([*(one.facts() for one in found), *(not_begun(result, skipped) if skipped else ())], as_json)
    for one in found:
        for cause in dict.fromkeys(one.stopped):
            printing.note(f"{one.state}: {cause}")
    print_skipped(skipped)
    if any(one.state == "stopped" for one in found):
        raise QlogadError(f"not every run has finished; continue with: qlogad hardware collect {result}")


def print_skipped(skipped: Mapping[str, str]) -> None:
    """Print why campaigns were skipped.

    Raises:
        QlogadError: some were.
    """
    for name, cause in skipped.items():
        printing.note(f"skipped: {name}: {cause}")
    if skipped:
        raise QlogadError(f"{counted(len(skipped), 'campaign')} cannot be shown; the others are above")
