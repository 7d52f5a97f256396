"""How a log moves away from its training part: templates new, vanished or changed in rate by part, and unseen events by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from qlogad.evaluate.drift import Changes, Span, drift
from qlogad.experiment.data import Data
from qlogad.experiment.ground import Ground, Source

__all__ = ["changes", "unseen_by_day"]

_PARTS = ("validation", "test", "in_flight")
_SPANS = 31  # the most that are shown
_DAY = 86_400  # seconds


def changes(made: Ground, source: Source, data: Data) -> Mapping[str, Changes]:
    """Each part against training, by name; parts without events are left out.

    Args:
        made: the ground of a cut, with its pipeline.
        source: the log.
        data: how its messages are parsed.
    """
    if made.pipeline is None:
        return {}
    events, size = source.events, made.train.features.size
    id_E = made.pipeline.event_ids(events)
    train_M = source.windows.take(made.train.windows_W).event_M
    before_V = np.bincount(id_E[train_M], minlength=size + 1)
    trained = set(events.text_E[train_M].tolist())
    found = {}
    for name in _PARTS:
        event_M = source.windows.take(getattr(made, name).windows_W).event_M
        if not len(event_M):
            continue
        changed = drift(before_V, np.bincount(id_E[event_M], minlength=size + 1))
        unseen = [text for text in dict.fromkeys(events.text_E[event_M[id_E[event_M] == size]].tolist()) if text not in trained]
        parser = data.new_parser(parsed=events.parsed, dataset=source.dataset).fit(events.texts[text] for text in unseen)
        new = {number for number in parser.ids([events.texts[text] for text in unseen]).tolist() if number >= 0}
        found[name] = Changes(len(new), int((changed.vanished < size).sum()), int((changed.changed < size).sum()))
    return found


def unseen_by_day(made: Ground, source: Source) -> tuple[Span, ...]:
    """The share of events unseen in training, day by day; of a log of more than 31 days, by as many spans of whole days.

    Args:
        made: the ground of a cut, with its pipeline.
        source: the log; its events without a time are left out.
    """
    time_E = source.events.time_E
    known_E = np.isfinite(time_E)
    if made.pipeline is None or not known_E.any():
        return ()
    unseen_K = (made.pipeline.event_ids(source.events) == made.train.features.size)[known_E]
    day_K = np.floor(time_E[known_E] / _DAY).astype(np.int64)
    length = -(-int(day_K.max() - day_K.min() + 1) // _SPANS)
    span_K = (day_K - day_K.min()) // length
    events_S, odd_S = np.bincount(span_K), np.bincount(span_K, weights=unseen_K)
    begins = [int(day_K.min()) + length * span for span in range(len(events_S))]
    return tuple(
        Span(_days(begin, min(begin + length - 1, int(day_K.max()))), int(count), float(odd / count))
        for begin, count, odd in zip(begins, events_S.tolist(), odd_S.tolist(), strict=True)
        if count
    )


def _days(first: int, last: int) -> str:
    words = [datetime.fromtimestamp(day * _DAY, UTC).strftime("%Y-%m-%d") for day in dict.fromkeys((first, last))]
    return " to ".join(words)
