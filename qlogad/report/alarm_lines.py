"""The highest alarms of a run with their log lines: alarms.md, which stays local and needs the data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qlogad import escape
from qlogad.arrays import Ints
from qlogad.errors import counted
from qlogad.experiment.ground import Ground, Source
from qlogad.features.features import Features
from qlogad.report.alarms import Alarm, status, top
from qlogad.report.columns import APART
from qlogad.report.record import Record

__all__ = ["text_of"]

CONTEXT = 3  # events shown before and after the odd event


def text_of(record: Record, made: Ground, source: Source) -> str:
    """The text of alarms.md.

    Args:
        record: the record of the run.
        made: the ground of its last cut.
        source: its data set.
    """
    alarms = list(top(record))
    grounds = [made.apart if alarm.form == APART and made.apart is not None else made for alarm in alarms]
    near = {
        int(line)
        for alarm, own in zip(alarms, grounds, strict=True)
        for line in _lines(own.test.features, alarm.row)[_near(own, alarm)]
    }
    text = {} if source.events.parsed else source.dataset.text(near - {-1})
    title = f"Top alarms of {record.name}, cut {made.cut}, seed 0"
    parts = [f"# {escape.markdown(title)} (local file: it shows log lines)", ""]
    for alarm, own in zip(alarms, grounds, strict=True):
        known = status(int(own.test.labels.window_N[alarm.row]), record.injected, record.assumed)
        parts += _shown(alarm, own, source, known, text, record.injected is not None)
    return "\n".join(parts)


def _lines(features: Features, row: int) -> Ints:
    return features.event_line_E[features.offsets_N1[row] : features.offsets_N1[row + 1]]


def _window(made: Ground, alarm: Alarm) -> int:
    """The number of the first window of the alarm's row."""
    return int(np.flatnonzero(made.test.features.row_W == alarm.row)[0])


def _near(made: Ground, alarm: Alarm) -> slice:
    """The events around the odd event; the first events if there is none."""
    middle = alarm.place if alarm.place >= 0 else CONTEXT
    return slice(max(0, middle - CONTEXT), middle + CONTEXT + 1)


def _shown(alarm: Alarm, made: Ground, source: Source, known: str, text: dict[int, str], injected: bool) -> list[str]:
    features = made.test.features
    ids_L, lines_L = features.row(alarm.row), _lines(features, alarm.row)
    key, many = str(features.window_keys_W[_window(made, alarm)]), int(features.weight_N[alarm.row])
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
    """The template of each event of the window; for one unseen in training its masked message, if that can be located."""
    features = made.test.features
    ids_L, lines_L, events = features.row(alarm.row), _lines(features, alarm.row), source.events
    if not events.parsed:
        event_L = np.searchsorted(events.line_E, lines_L)
    elif injected:
        event_L = np.full(
            len(ids_L), -1
        )  # all events of a sequence share one line and their order was altered: none can be located
    else:
        event_L = source.windows.row(int(made.test.windows_W[_window(made, alarm)]))
    return [
        features.vocabulary[number]
        if number < features.size
        else events.texts[events.text_E[event]]
        if event >= 0
        else "an event type"
        for number, event in zip(ids_L.tolist(), event_L.tolist(), strict=True)
    ]
