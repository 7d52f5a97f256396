"""A Parquet file has a row for every event, which says what the event says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlogad.experiment.data import data_of
from qlogad.logs import parquet
from qlogad.logs.dataset import LogRecord
from qlogad.logs.events import Events, read_events

from .samples import SAMPLES
from .test_store import Remembered, record


def same(table: pd.DataFrame, events: Events) -> bool:
    def shown(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode()

    def told(codes: np.ndarray, words: tuple[str, ...]) -> list[str]:
        return [shown(words[code]) for code in codes.tolist()]

    sessions: list[list[str]] = [[] for _ in range(len(events))]
    for event, session in zip(events.member_event_M.tolist(), events.member_session_M.tolist(), strict=True):
        sessions[event].append(shown(events.sessions[session]))
    return (
        all(
            np.array_equal(table[name].to_numpy(), column, equal_nan=name == "time")
            for name, column in [
                ("line", events.line_E),
                ("offset", events.offset_E),
                ("time", events.time_E),
                ("label", events.label_E),
            ]
        )
        and table["kind"].tolist() == told(events.kind_E, events.kinds)
        and table["level"].tolist() == told(events.level_E, events.levels)
        and table["component"].tolist() == told(events.component_E, events.components)
        and table["message"].tolist() == told(events.text_E, events.texts)
        and [list(own) for own in table["values"]] == [[shown(value) for value in own] for own in events.values_E]
        and [list(own) for own in table["sessions"]] == sessions
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_table_says_what_the_events_of_every_data_set_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 1_000)
    events = read_events(data_of(SAMPLES[name](tmp_path).data, name).open(), store=False)
    parquet.write_parquet(events, tmp_path / "events.parquet")
    assert same(pd.read_parquet(tmp_path / "events.parquet"), events)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(record, min_size=1, max_size=12), each=st.integers(1, 5))
def test_a_table_says_what_any_records_say(tmp_path: Path, rows: list[LogRecord], each: int) -> None:
    events = read_events(Remembered(tuple(rows)), store=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_ROWS", each)
        parquet.write_parquet(events, tmp_path / "events.parquet")
    assert same(pd.read_parquet(tmp_path / "events.parquet"), events)
