"""The highest alarms of a run with the events behind them: alarms.csv, numbers for everyone, and alarms.md, whose log lines stay local."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qlogad import escape, files
from qlogad.arrays import Ints
from qlogad.errors import counted
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.ground import Ground, Source
from qlogad.experiment.runner import Prepared
from qlogad.features.features import Features

__all__ = ["Alarm", "status", "top", "write"]

CONTEXT = 3  # events shown before and after the odd one


@dataclass(frozen=True, eq=False)
class Alarm:
    """One window above a contender's threshold. Places count from 0; -1 is no event."""

    contender: str
    rank: int  # from 1
    score: float
    threshold: float
    row: int  # of the test features
    window: int  # of the source, the first that the row stands for
    place: int  # of the odd event in the window
    expected: tuple[int, ...]  # event types in its place, likeliest first


def top(made: Ground, finished: Sequence[tuple[Cell, Outcome]]) -> Iterator[Alarm]:
    """The highest alarms of every contender at one cut, first seed."""
    row_W = made.test.features.row_W
    for cell, outcome in finished:
        if cell.cut != made.cut or cell.seed != 0:
            continue
        found = zip(*(outcome.odd[name].tolist() for name in ("row", "place", "expected")), strict=True)
        for rank, (row, place, expected) in enumerate(found, 1):
            window = int(np.flatnonzero(row_W == row)[0])
            ids = tuple(number for number in expected if number >= 0)
            score = float(outcome.scores["test"][row])
            yield Alarm(cell.contender.name, rank, score, outcome.facts["threshold"], row, window, place, ids)


def status(label: int, injected: str | None, assumed: bool) -> str:
    """What is known of a window: "labelled" is said only of what was labelled.

    >>> status(1, None, False), status(1, "swap:3", True), status(0, "swap:3", True)
    ('labelled anomaly', 'injected anomaly', 'no label, taken as normal')
    """
    if label == 1:
        return "labelled anomaly" if injected is None else "injected anomaly"
    return "no label, taken as normal" if assumed else "labelled normal"


def write(prepared: Prepared, finished: Sequence[tuple[Cell, Outcome]], folder: Path) -> None:
    """Write alarms.csv and alarms.md: last cut, first seed."""
    made, source = prepared.grounds[-1], prepared.source
    alarms = list(top(made, finished))
    known = {alarm.row: _known(prepared, made, alarm.row) for alarm in alarms}
    public = pd.DataFrame([_numbers(alarm, made, known[alarm.row]) for alarm in alarms])
    files.write(folder / "alarms.csv", escape.csv_table(public, "%.9g"))
    near = {int(line) for alarm in alarms for line in _lines(made.test.features, alarm.row)[_near(made, alarm)]}
    text = {} if source.events.parsed else source.dataset.text(near - {-1})
    title = f"Top alarms of {prepared.experiment.name}, cut {made.cut}, seed 0"
    parts = [f"# {escape.markdown(title)} (local file: it shows log lines)", ""]
    for alarm in alarms:
        parts += _shown(alarm, made, source, known[alarm.row], text, prepared.experiment.data.inject is not None)
    files.write(folder / "alarms.md", "\n".join(parts))


def _known(prepared: Prepared, made: Ground, row: int) -> str:
    return status(int(made.test.labels.window_N[row]), prepared.experiment.data.inject, prepared.source.assumed)


def _numbers(alarm: Alarm, made: Ground, known: str) -> dict[str, str | int | float]:
    features = made.test.features
    lines_L, ids_L = _lines(features, alarm.row), features.row(alarm.row)
    odd = alarm.place >= 0
    return {
        "contender": alarm.contender,
        "rank": alarm.rank,
        "score": alarm.score,
        "threshold": alarm.threshold,
        "label": int(made.test.labels.window_N[alarm.row]),
        "status": known,
        "windows_like_it": int(features.weight_N[alarm.row]),
        "first_line": int(lines_L[0]) if len(lines_L) else -1,
        "last_line": int(lines_L[-1]) if len(lines_L) else -1,
        "events": len(lines_L),
        "worst_line": int(lines_L[alarm.place]) if odd else -1,
        "odd_place": alarm.place + 1 if odd else -1,  # from 1
        "odd_event": int(ids_L[alarm.place]) if odd else -1,
        "expected_events": " ".join(map(str, alarm.expected)),
    }


def _lines(features: Features, row: int) -> Ints:
    return features.event_line_E[features.offsets_N1[row] : features.offsets_N1[row + 1]]


def _near(made: Ground, alarm: Alarm) -> slice:
    """The events around the odd one; where there is none, the first ones."""
    middle = alarm.place if alarm.place >= 0 else CONTEXT
    return slice(max(0, middle - CONTEXT), middle + CONTEXT + 1)


def _shown(alarm: Alarm, made: Ground, source: Source, known: str, text: dict[int, str], injected: bool) -> list[str]:
    features = made.test.features
    ids_L, lines_L = features.row(alarm.row), _lines(features, alarm.row)
    key, many = str(features.window_keys_W[alarm.window]), int(features.weight_N[alarm.row])
    head = f"{alarm.contender} #{alarm.rank}: score {alarm.score:.4g} (threshold {alarm.threshold:.4g}), window {key}, {known}"
    texts = _texts(made, source, alarm, injected)
    near = []
    for place in range(len(ids_L))[_near(made, alarm)]:
        where = f"event {place + 1} of {len(ids_L)}" if source.events.parsed else str(lines_L[place])
        what = texts[place] if source.events.parsed else text.get(int(lines_L[place]), "")
        near.append(f"{'>' if place == alarm.place else ' '} {where}: {escape.markdown(what)}")
    return [f"## {escape.markdown(head)}, {counted(many, 'window')} like it", "", _why(alarm, made, texts), "", *near, ""]


def _why(alarm: Alarm, made: Ground, texts: Sequence[str]) -> str:
    features = made.test.features
    ids_L = features.row(alarm.row)
    if alarm.place < 0:
        return f"Odd event: no single one; the window of {counted(len(ids_L), 'event')} is judged as a whole."
    number = int(ids_L[alarm.place])
    what = "unseen in training" if number == features.size else f"event {number}"
    odd = f"Odd event: {escape.markdown(texts[alarm.place])} ({what}), {alarm.place + 1} of {len(ids_L)} in the window."
    if alarm.expected:
        named = "; ".join(f"{escape.markdown(features.vocabulary[event])} (event {event})" for event in alarm.expected)
        return f"{odd} Expected: {named}."
    if number == features.size:
        return f"{odd} Expected: one of the {counted(features.size, 'event type')} seen in training."
    return f"{odd} Expected: not told."


def _texts(made: Ground, source: Source, alarm: Alarm, injected: bool) -> list[str]:
    """The template of each event of the window; of one unseen in training its masked message, where it can be found again."""
    features = made.test.features
    ids_L, lines_L, events = features.row(alarm.row), _lines(features, alarm.row), source.events
    if not events.parsed:
        event_L = np.searchsorted(events.line_E, lines_L)
    elif injected:
        event_L = np.full(len(ids_L), -1)  # the events of one sequence have one line, and their order was altered
    else:
        event_L = source.windows.row(int(made.test.windows_W[alarm.window]))
    return [
        features.vocabulary[number]
        if number < features.size
        else events.texts[events.text_E[event]]
        if event >= 0
        else "an event type"
        for number, event in zip(ids_L.tolist(), event_L.tolist(), strict=True)
    ]
