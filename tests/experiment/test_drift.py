"""Laws of what is said of drift before training: counts by part, the share of unseen events by day."""

from dataclasses import replace

import numpy as np
import pytest

from qlogad.experiment import Experiment
from qlogad.experiment.data import Data
from qlogad.experiment.drift import changes, unseen_by_day
from qlogad.experiment.ground import ground, open_source

CONTENDERS = [{"name": "length", "detector": "length"}]


def data_of(lines: int = 3000, **keys: object) -> Data:
    table = {"dataset": "synthetic", "lines": lines, "split": {"by": "time", "cuts": [0.6]}, **keys}
    return Experiment.from_document({"data": table, "contender": CONTENDERS}).data


@pytest.mark.parametrize("parser", [{}, {"name": "spell"}, {"name": "identity"}, {"max_templates": 30}])
def test_parts_are_counted_against_training(parser: dict[str, object]) -> None:
    data = data_of(parser=parser)
    source = open_source(data)
    made = ground(data, source, ["ids"], cut=0)
    found = changes(made, source, data)
    for name in ("validation", "test", "in_flight"):
        part = getattr(made, name)
        if name not in found:
            assert not len(part.features.ids_E)
            continue
        shown = set(part.features.ids_E.tolist())
        assert found[name].vanished == len(set(range(made.train.features.size)) - shown)
        assert (found[name].new > 0) <= (part.unseen > 0)
        assert found[name].changed <= made.train.features.size - found[name].vanished
        if not made.train.unseen:
            assert (found[name].new > 0) == (part.unseen > 0)


def test_days_hold_every_event_once_and_their_shares_are_those_of_the_log() -> None:
    data = data_of()
    source = open_source(data)
    made = ground(data, source, ["ids"], cut=0)
    days = unseen_by_day(made, source)
    assert made.pipeline is not None
    odd_E = made.pipeline.event_ids(source.events) == made.train.features.size
    assert sum(one.events for one in days) == len(source.events)
    assert sum(one.events * one.unseen for one in days) == pytest.approx(odd_E.sum())
    assert [one.days for one in days] == sorted({one.days for one in days})
    assert len(days) <= 31


def test_long_logs_are_shown_in_spans_and_logs_without_times_not_at_all() -> None:
    data = data_of()
    source = open_source(data)
    made = ground(data, source, ["ids"], cut=0)
    time_E = source.events.time_E
    for days in (1, 31, 32, 400):
        stretched = time_E[0] + (time_E - time_E[0]) * (days * 86_400 - 1) / (time_E[-1] - time_E[0])
        begin = stretched - stretched[0] % 86_400
        spans = unseen_by_day(made, replace(source, events=replace(source.events, time_E=begin)))
        assert sum(one.events for one in spans) == len(source.events)
        assert len(spans) <= 31
        assert (" to " in spans[0].days) == (days > 31)
    assert unseen_by_day(made, replace(source, events=replace(source.events, time_E=np.full(len(time_E), np.nan)))) == ()
