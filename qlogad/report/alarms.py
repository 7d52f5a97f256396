"""The highest alarms of a run as numbers: alarms.csv. Last cut, first seed; alarm_lines.py shows their log lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from qlogad import escape
from qlogad.report.columns import Rows
from qlogad.report.record import Record

__all__ = ["Alarm", "status", "text_of", "top"]


@dataclass(frozen=True)
class Alarm:
    """One window above a contender's threshold. Positions count from 0; -1 means no event."""

    contender: str
    rank: int  # from 1
    score: float
    threshold: float
    form: str  # of the rows: merged or apart
    row: int  # of the test part
    place: int  # position of the odd event in the window
    line: int  # of the odd event in the source
    event: int  # id of the odd event
    expected: tuple[int, ...]  # event ids expected in its place, likeliest first


def top(record: Record) -> Iterator[Alarm]:
    """The highest alarms of every contender at the last cut, first seed."""
    for cell in record.firsts(record.cuts[-1]):
        odd, facts = cell.odd, cell.facts
        columns = (odd.row_A, odd.place_A, odd.line_A, odd.event_A, odd.expected_AK)
        for rank, (row, place, line, event, ids) in enumerate(zip(*(one.tolist() for one in columns), strict=True), 1):
            expected = tuple(number for number in ids if number >= 0)
            score = float(cell.scores["test"][row])
            yield Alarm(facts.contender, rank, score, facts.threshold, facts.form, row, place, line, event, expected)


def status(label: int, injected: str | None, assumed: bool) -> str:
    """What the label of a window is based on; "labelled" only if the data set labels it.

    >>> status(1, None, False), status(1, "swap:3", True), status(0, "swap:3", True)
    ('labelled anomaly', 'injected anomaly', 'no label, taken as normal')
    """
    if label == 1:
        return "labelled anomaly" if injected is None else "injected anomaly"
    return "no label, taken as normal" if assumed else "labelled normal"


def text_of(record: Record) -> str:
    """The text of alarms.csv."""
    rows = [_numbers(record, alarm, record.cuts[-1].forms[alarm.form].test) for alarm in top(record)]
    return escape.csv_table(pd.DataFrame(rows), "%.9g")


def _numbers(record: Record, alarm: Alarm, test: Rows) -> dict[str, str | int | float]:
    label = int(test.label_N[alarm.row])
    return {
        "contender": alarm.contender,
        "rank": alarm.rank,
        "score": alarm.score,
        "threshold": alarm.threshold,
        "label": label,
        "status": status(label, record.injected, record.assumed),
        "windows_like_it": int(test.weight_N[alarm.row]),
        "first_line": int(test.first_line_N[alarm.row]),
        "last_line": int(test.last_line_N[alarm.row]),
        "events": int(test.length_N[alarm.row]),
        "worst_line": alarm.line,
        "odd_place": alarm.place + 1 if alarm.place >= 0 else -1,  # from 1
        "odd_event": alarm.event,
        "expected_events": " ".join(map(str, alarm.expected)),
    }
