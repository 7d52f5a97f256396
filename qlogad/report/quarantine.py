"""What became of every line of a log: quarantine.md, which shows the lines that could not be read and stays local.

lines = events + joined to the event above + left out by level + blank + in quarantine
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qlogad import escape
from qlogad.errors import DataError, counted
from qlogad.logs.clock import clock, duration
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.events import Events
from qlogad.logs.guess.derive import goes_on
from qlogad.logs.guess.log_sample import LogSample, take_sample
from qlogad.logs.quarantine import SetAside, by_reason
from qlogad.logs.reading.line_files import LineFiles
from qlogad.logs.reading.line_reader import NO_SUCH_LABEL, NOT_OF_LAYOUT, TOLERATED
from qlogad.logs.reading.line_times import NO_TIME
from qlogad.logs.reading.raw_lines import TOO_LONG

__all__ = ["account", "odd", "text_of"]

_SHOWN = 200  # characters of a line
_EXAMPLES = 5
_REASONS = 30  # shown with examples; the others are counted
_FILES = 9  # of a log that are looked into for odd bytes


def text_of(name: str, dataset: Dataset, events: Events) -> str | None:
    """The text of quarantine.md; None where every line with content became an event and nothing about one is odd.

    Args:
        name: of the experiment.
        dataset: the log.
        events: of the whole log.
    """
    intake = events.intake
    groups = by_reason(intake, dataset.text, examples=_EXAMPLES)
    strange = list(odd(dataset, events))
    if not (groups or strange or intake.left_out):
        return None
    parts = [f"# {escape.markdown(f'Lines of {name} that are set aside or odd')} (local file: it shows log lines)", ""]
    rows = [
        {"lines": f"{count:,}", "share": f"{_share(count, intake):.2%}", "what became of them": what}
        for what, count in account(intake)
    ]
    parts += [escape.table(rows, "github"), ""]
    if groups:
        parts += [
            "A line in quarantine is in no window and no template, and has no score. A log with more than "
            f"{TOLERATED:.0%} of such lines is refused.",
            "",
        ]
        if isinstance(dataset, LineFiles):
            parts += [f"Lines are expected to be: {escape.markdown(dataset.layout.expected())}", ""]
    for group in groups[:_REASONS]:
        parts += _group(group, intake, dataset)
    if rest := groups[_REASONS:]:
        parts += [f"{counted(len(rest), 'more reason')}: {counted(sum(group.lines for group in rest), 'line')}.", ""]
    if strange:
        parts += ["## Odd, and read all the same", "", *(f"- {escape.markdown(one)}" for one in strange), ""]
    return "\n".join(parts)


def account(intake: Intake) -> list[tuple[str, int]]:
    """What became of the lines of a log, and of how many; the counts add up to its lines."""
    return [
        ("events", intake.records),
        ("joined to the event above", intake.joined),
        ("left out by level", intake.left_out),
        ("blank, or the header of a table", intake.blank),
        ("in quarantine", len(intake.quarantine)),
    ]


def odd(dataset: Dataset, events: Events) -> Iterator[str]:
    """What is strange about lines that were read: warnings, odd bytes in a sample, and a clock that does not go on as it should."""
    yield from events.intake.warnings
    for what, (count, examples, looked) in _odd_bytes(dataset).items():
        shown = f", such as {' and '.join(examples)}" if examples else ""
        yield f"{counted(count, 'line')} {what} (of {looked:,} that were looked at){shown}"
    found = clock(events.time_E, np.zeros(len(events), dtype=np.int64), None)
    if "first" not in found:
        return
    if found["without"]:
        yield f"{counted(found['without'], 'event')} without a time"
    if found["out of order"]:
        back = duration(found["largest step back, s"])
        yield (
            f"{counted(found['out of order'], 'event')} earlier than the one before, by {back} at most: is a time zone, "
            "a year or the order of the files wrong?"
        )
    if found["jumps ahead"]:
        yield f"{counted(found['jumps ahead'], 'jump')} of the clock ahead, by {duration(found['largest jump ahead, s'])} at most"


def _odd_bytes(dataset: Dataset) -> dict[str, tuple[int, list[str], int]]:
    """Lines with bytes that no text has, in a bounded sample of the log: how many, examples, and of how many lines."""
    if not isinstance(dataset, LineFiles):
        return {}
    samples = list(_samples(dataset.files()[:_FILES]))
    looked = sum(len(sample.lines) for sample in samples)
    found: dict[str, tuple[int, list[str], int]] = {}
    for sample in samples:
        for what, count in sample.dirt.counts.items():
            if what in {"blank", TOO_LONG}:  # these are counted in all of the log
                continue
            before, examples, _ = found.get(what, (0, [], 0))
            more = [escape.terminal(one)[:_SHOWN] for one in sample.dirt.examples.get(what, [])]
            found[what] = (before + count, [*examples, *more][:2], looked)
    return found


def _samples(paths: Sequence[str]) -> Iterator[LogSample]:
    for path in paths:
        try:
            yield take_sample(path)
        except DataError:  # a file without lines among others
            continue


def _share(count: int, intake: Intake) -> float:
    return count / max(1, intake.lines)


def _group(group: SetAside, intake: Intake, dataset: Dataset) -> list[str]:
    """What is said of the lines with one reason."""
    where = f"line {group.first:,}" if group.first == group.last else f"from line {group.first:,} to line {group.last:,}"
    head = f"{group.reason}: {counted(group.lines, 'line')}, {_share(group.lines, intake):.2%}, {where}"
    shown = [
        f"- {line:,}: {escape.markdown(text[:_SHOWN])}{' ...' if len(text) > _SHOWN else ''}"
        for line, text in group.examples.items()
    ]
    return [
        f"## {escape.markdown(head)}",
        "",
        *shown,
        *([""] if shown else []),
        f"What to do: {escape.markdown(_mend(group, dataset))}",
        "",
    ]


_MENDS: Mapping[str, str] = {
    TOO_LONG: "no line of a log is that long; look for bytes that are no text, or for line ends that were lost on the way, and split it",
    NO_TIME: "say how times are written with time_format = '...' in [data]; a date that no calendar has is a fault of what wrote the log",
    NO_SUCH_LABEL: "say which words are normal = '...' or anomalous = '...' in [data]",
}


def _mend(group: SetAside, dataset: Dataset) -> str:
    """The next step for lines with one reason."""
    if group.reason in _MENDS:
        return _MENDS[group.reason]
    texts = list(group.examples.values())
    layout: Any = dataset.layout if isinstance(dataset, LineFiles) else None
    if layout is not None and not layout.continuation and group.reason == NOT_OF_LAYOUT and texts:
        if 2 * sum(map(goes_on, texts)) >= len(texts):
            return "these look like the rest of the event above, as stack traces do: set continuation = true in [data], and they join it"
        return (
            "if they are events, the layout does not fit them: qlogad data describe LOG tries all formats and writes the keys; if they are "
            "not, nothing need be done"
        )
    return "if they should count, mend these lines; if they say nothing, nothing need be done"
