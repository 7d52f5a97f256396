"""The table of events: as many rows as lines understood, messages that come back whole, real lines grouped as experts do."""

import csv
import lzma
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, Intake, LogRecord
from qlogad.logs.events import read_events
from qlogad.logs.hdfs import Hdfs
from qlogad.logs.parser.drain import Drain
from qlogad.logs.reading.mask import Mask


@dataclass(frozen=True)
class Remembered(Dataset):
    """Records as they are given."""

    rows: tuple[LogRecord, ...]
    masks: ClassVar[tuple[tuple[str, str], ...]] = (("NUM", r"\d+"),)

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        for row in self.rows:
            intake.lines += 1
            intake.records += 1
            yield row

    def source_digest(self) -> str:
        return str(hash(self.rows))

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        return {line: self.rows[line - 1].message for line in lines}

    def session_labels(self) -> Mapping[str, int]:
        return {"a": 0, "b": 1}

    def given_split(self) -> Mapping[str, str]:
        return {"a": "train"}


record = st.builds(
    LogRecord,
    line=st.integers(1, 9),
    offset=st.integers(0, 9),
    time=st.floats(0, 1e9),
    sessions=st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
    level=st.sampled_from(["INFO", "FATAL"]),
    component=st.sampled_from(["x", "y", ""]),
    message=st.lists(st.sampled_from(["get", "12", "<*>", "<:NUM:>", "", "a7b"]), max_size=5).map(" ".join),
    label=st.sampled_from([-1, 0, 1]),
    kind=st.sampled_from(["", "fault"]),
)


@settings(deadline=None)
@given(st.lists(record, min_size=1, max_size=30))
def test_columns_say_what_the_records_say(rows: list[LogRecord]) -> None:
    seen: list[int] = []
    events = read_events(Remembered(tuple(rows)), seen.append)
    assert seen[-1] == len(rows) == len(events)
    assert events.kinds[0] == ""
    pairs = []
    for n, row in enumerate(rows):
        values = iter(events.values_E[n])
        message = " ".join(
            "".join(next(values) if part.startswith("<:") else part for part in split(word))
            for word in events.texts[events.text_E[n]].split(" ")
        )
        told = (int(events.line_E[n]), int(events.offset_E[n]), float(events.time_E[n]), int(events.label_E[n]))
        assert told == (row.line, row.offset, row.time, row.label)
        assert events.levels[events.level_E[n]] == row.level
        assert events.components[events.component_E[n]] == row.component
        assert events.kinds[events.kind_E[n]] == row.kind
        assert message == " ".join(row.message.split())
        pairs += [(n, name) for name in row.sessions]
    assert len(set(events.texts)) == len(events.texts) == len(set(events.text_E.tolist()))
    first = [events.text_E.tolist().index(text) for text in range(len(events.texts))]
    assert first == sorted(first)
    assert pairs == [(e, events.sessions[s]) for e, s in zip(events.member_event_M.tolist(), events.member_session_M, strict=True)]
    assert events.session_label_S is not None
    assert events.given_part_S is not None
    assert events.session_label_S.tolist() == [{"a": 0, "b": 1}.get(name, -1) for name in events.sessions]
    assert events.given_part_S.tolist() == ["train" if name == "a" else "" for name in events.sessions]


@pytest.mark.parametrize("time", [1_226_262_930_000.0, -1e11, float("inf"), float("-inf")])
def test_a_time_that_is_no_date_is_refused_when_read_whatever_the_data_set(time: float) -> None:
    rows = [LogRecord(line, 0, seconds, ("a",), "", "", "x", -1) for line, seconds in enumerate([5.0, time, float("nan")], start=1)]
    with pytest.raises(DataError, match=r"line 2: .*not between the years"):
        read_events(Remembered(tuple(rows)))


def split(word: str) -> list[str]:
    """A masked word, its placeholders apart from the rest."""
    return [part for piece in word.replace("<:", "\n<:").split("\n") for part in piece.replace(":>", ":>\n").split("\n")]


def test_a_source_without_one_understood_line_is_refused(tmp_path: Path) -> None:
    for content, reason in [("", "all blank"), ("what\nis\nthis", "3 of 3 lines cannot be read")]:
        (tmp_path / "x.log").write_text(content)
        with pytest.raises(DataError, match=reason):
            read_events(Hdfs(str(tmp_path / "x.log")))


def test_masks_that_are_no_expressions_are_refused() -> None:
    for masks in ([("NUM", "(")], [("NO NAME", "x")], [("A", "x"), ("A", "y")]):
        with pytest.raises(DataError, match="cannot be used"):
            Mask(masks)


def test_a_mask_with_groups_of_its_own_keeps_its_name() -> None:
    mask = Mask([("PAIR", r"(\w)=(\w)"), ("EMPTY", "q*")])
    assert mask("x=1 and y=2") == ("<:PAIR:> and <:PAIR:>", ("x=1", "y=2"))


REAL = Path(os.environ.get("QLOGAD_DATA", "")) / "hdfs"


@pytest.mark.real
def test_templates_of_real_hdfs_lines_are_the_known_keys_one_to_one() -> None:
    keys_file = REAL / "hdfs_raw_2pct_early.labels_and_keys.csv.xz"
    events = read_events(Hdfs(str(REAL / "hdfs_raw_2pct_early.log.xz"), str(keys_file)))
    with lzma.open(keys_file, "rt") as file:
        keys = {row["block_id"]: row["keys"].split() for row in csv.DictReader(file)}
    drain = Drain().fit(events.texts)
    id_E = drain.ids(events.texts)[events.text_E]
    assert (id_E >= 0).all()
    turn: dict[int, int] = defaultdict(int)
    met = set()
    for event, session in zip(events.member_event_M.tolist(), events.member_session_M.tolist(), strict=True):
        met.add((keys[events.sessions[session]][turn[session]], int(id_E[event])))
        turn[session] += 1
    assert len({key for key, _ in met}) == len({template for _, template in met}) == len(met) == len(drain.templates)
