"""Laws of the data set `lines`: what its keys say is what is read, and what they cannot mean is told in one line."""

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.documents import from_mapping
from qlogad.errors import InputError
from qlogad.experiment.data import data_of
from qlogad.experiment.ground import open_source, splits
from qlogad.logs.dataset import Intake, LogRecord
from qlogad.logs.events import read_events
from qlogad.logs.lines import Lines
from qlogad.logs.reading.layout import expression_of
from qlogad.logs.reading.line_reader import MOST_JOINED
from qlogad.logs.reading.raw_lines import raw_lines
from qlogad.seeds import derive

FORM = "<time> <level> <component>: <message>"


def opened(folder: Path, text: str, **keys: Any) -> Lines:
    (folder / "a.log").write_text(text, encoding="utf-8")
    return from_mapping(Lines, {"path": str(folder / "a.log"), **keys})


def read(folder: Path, text: str, **keys: Any) -> tuple[list[LogRecord], Intake]:
    intake = Intake()
    return list(opened(folder, text, **keys).records(intake)), intake


# ---------------------------------------------------------------- the line with its fields

MARKS = st.text("abc[](){}|.*+^$-:;,#=\"'/", min_size=1, max_size=3)
VALUES = st.text("xyz0123", min_size=1, max_size=5)


@given(st.lists(st.tuples(MARKS, VALUES), min_size=2, max_size=5), st.booleans())
def test_what_stands_between_fields_stands_for_itself(parts: list[tuple[str, str]], escaped: bool) -> None:
    """Whatever it means in regular expressions; with a backslash before each mark, as LogHub writes them, it is the same."""
    shown = ["".join(f"\\{c}" if escaped and not c.isalnum() else c for c in mark) for mark, _ in parts]
    form = "".join(f"{mark}<f{place}>" for place, mark in enumerate(shown))
    match = re.fullmatch(expression_of(form), "".join(mark + value for mark, value in parts))
    assert match is not None
    assert list(match.groups()) == [value for _, value in parts]


def test_blanks_are_any_white_space_and_parts_may_be_missing(tmp_path: Path) -> None:
    text = "2024-01-01T00:00:00  api[12]: one\n2024-01-01T00:00:01 api:\ttwo\n2024-01-01T00:00:02 api:\n"
    records, intake = read(tmp_path, text, format=r"<time> <component>(\[<pid>\])?: <message>", session="pid")
    assert [(record.component, record.sessions, record.message) for record in records] == [
        ("api", ("12",), "one"),
        ("api", (), "two"),
        ("api", (), ""),
    ]
    assert intake.quarantine == []


def test_a_pattern_a_format_and_a_format_file_read_the_same(tmp_path: Path) -> None:
    dice = random.Random(derive(0, "three ways"))
    text = "\n".join(f"{1_700_000_000 + i} INFO api-{dice.randrange(3)}: took {dice.randrange(99)} ms" for i in range(50))
    (tmp_path / "mine.toml").write_text(f'format = "{FORM}"\ntime_format = "s"\nsession = "component"\n')
    (tmp_path / "other.toml").write_text(f'format = "{tmp_path}/mine.toml"\nlevels = {{ INFO = "I" }}\n')
    ways: list[dict[str, Any]] = [
        {"format": FORM, "time_format": "s", "session": "component"},
        {"pattern": r"(?P<time>\d+) (?P<level>\w+) (?P<component>\S+): (?P<message>.*)", "session": "component"},
        {"format": str(tmp_path / "mine.toml")},
    ]
    found = [read(tmp_path, text, **keys)[0] for keys in ways]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 50
    based, _ = read(tmp_path, text, format=str(tmp_path / "other.toml"), session="level")
    assert [record.sessions for record in based] == [(record.level,) for record in found[0]]
    assert {record.level for record in based} == {"I"}


# ---------------------------------------------------------------- roles

LABELLED = "1 A n one\n2 B n two\n3 C a three\n"


@pytest.mark.parametrize(
    ("keys", "labels"),
    [
        ({"label": "mark", "normal": "n"}, [0, 0, 1]),
        ({"label": "mark", "anomalous": "a"}, [0, 0, 1]),
        ({"label": "level", "normal": "A", "anomalous": "C"}, [0, -1, 1]),
        ({"normal": r"\d [AB] .*"}, [0, 0, 1]),
        ({"anomalous": ".*t.*"}, [0, 1, 1]),
        ({}, [-1, -1, -1]),
    ],
)
def test_labels_by_field_word_and_expression(keys: dict[str, Any], labels: list[int], tmp_path: Path) -> None:
    records, _ = read(tmp_path, LABELLED, format="<time> <level> <mark> <message>", time_format="s", kind="mark", **keys)
    assert [record.label for record in records] == labels
    assert [record.kind for record in records] == [("n", "n", "a")[i] if label == 1 else "" for i, label in enumerate(labels)]


def test_a_field_that_is_called_label_is_one_only_if_told(tmp_path: Path) -> None:
    text = '{"label": "frontend", "msg": "a"}\n{"label": "anomaly", "msg": "b"}\n{"msg": "c"}'
    records, _ = read(tmp_path, text, syntax="json")
    assert [record.label for record in records] == [-1, 1, -1]
    records, intake = read(tmp_path, text, syntax="json", label="label")
    assert [record.label for record in records] == [1, -1]
    assert intake.reasons() == {"no such label": 1}


def test_labels_by_session_and_by_line_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("id,label\n1,0\n3,1\n")
    (tmp_path / "sessions.csv").write_text("session,label\nA,Normal\nC,Anomaly\n")
    keys = {"format": "<time> <level> <mark> <message>", "time_format": "s"}
    records, _ = read(tmp_path, LABELLED, labels=str(tmp_path / "lines.csv"), labels_by="line", **keys)
    assert [record.label for record in records] == [0, -1, 1]
    events = read_events(opened(tmp_path, LABELLED, labels=str(tmp_path / "sessions.csv"), session="level", **keys))
    assert events.session_label_S is not None
    assert dict(zip(events.sessions, events.session_label_S.tolist(), strict=True)) == {"A": 0, "B": -1, "C": 1}


def test_sessions_by_expression_are_those_in_the_message_each_once(tmp_path: Path) -> None:
    text = "x blk_1 blk_2 blk_1\nx none\nx id=7 blk_3\n"
    records, _ = read(tmp_path, text, format="<a> <message>", session_pattern=r"blk_(\d)|id=(\d)")
    assert [record.sessions for record in records] == [("1", "2"), (), ("7", "3")]


def test_json_by_keys_with_dots_whether_tables_or_names(tmp_path: Path) -> None:
    text = '{"t": 1700000000500, "e": {"text": "a"}, "log.level": "warn", "trace": {"id": 7}}\n{"e.text": "b", "n": null}\n[1]\n{"x": 1'
    text += '\n{"e": {"text": {"k": [1, "ä"]}}}'
    keys = {"syntax": "json", "time": "t", "message": "e.text", "session": "trace.id"}
    records, intake = read(tmp_path, text, **keys)
    assert [(record.message, record.level, record.sessions) for record in records] == [
        ("a", "warn", ("7",)),
        ("b", "", ()),
        ('{"k": [1, "ä"]}', "", ()),
    ]
    assert records[0].time == 1_700_000_000.5
    assert intake.reasons() == {"not JSON": 1, "not a JSON object": 1}


# ---------------------------------------------------------------- several lines, several files


@given(st.lists(st.one_of(st.just("event"), st.text("abc \t(.)", min_size=1, max_size=9).map(lambda t: f"  at {t}")), max_size=30))
def test_every_line_of_a_stack_trace_joins_the_event_above(kinds: list[str]) -> None:
    layout = from_mapping(Lines, {"path": "-", "format": FORM, "time_format": "s", "continuation": True})
    by_pattern = from_mapping(Lines, {"path": "-", "format": FORM, "time_format": "s", "continuation": r"\s+at .*"})
    lines = ["1 INFO api: first", *(f"{i + 2} INFO api: text {i}" if kind == "event" else kind for i, kind in enumerate(kinds))]
    for dataset in (layout, by_pattern):
        intake = Intake()
        records = list(dataset.read(raw_lines(lines, intake), intake))
        assert (intake.records, intake.joined) == (1 + kinds.count("event"), len(kinds) - kinds.count("event"))
        starts = [i for i, line in enumerate(lines) if not line.startswith(" ")]
        for record, start, end in zip(records, starts, [*starts[1:], len(lines)], strict=True):
            head = lines[start].partition(": ")[2]
            assert record.message == " ".join([head, *(line.strip() for line in lines[start + 1 : end])])
            assert record.line == start + 1


def test_a_trace_without_end_is_counted_and_not_kept_whole(tmp_path: Path) -> None:
    text = "1 INFO api: first\n" + "  at here\n" * MOST_JOINED
    (record,), intake = read(tmp_path, text, format=FORM, time_format="s", continuation=True)
    assert intake.joined == MOST_JOINED
    assert MOST_JOINED <= len(record.message) <= MOST_JOINED + 10


def test_levels_are_renamed_and_left_out_and_counted(tmp_path: Path) -> None:
    text = "1 D api: a\n2 E api: b\n3 I api: c\n"
    records, intake = read(tmp_path, text, format=FORM, time_format="s", levels={"D": "DEBUG", "E": "ERROR"}, without=["DEBUG"])
    assert [record.level for record in records] == ["ERROR", "I"]
    assert (intake.left_out, intake.records, intake.lines) == (1, 2, 3)


def test_train_and_test_files_are_the_split(tmp_path: Path) -> None:
    for name, start in (("old", 0), ("new", 500)):
        lines = [f"{1_700_000_000 + start + i} INFO api: took {i % 7} ms" for i in range(105)]
        (tmp_path / f"{name}.log").write_text("\n".join(lines))
    table = {
        "dataset": "lines",
        "train": str(tmp_path / "old.log"),
        "test": str(tmp_path / "new.log"),
        "format": FORM,
        "window": {"by": "count", "size": 10},
        "split": {"by": "given"},
        "inject": "swap:3",
    }
    data = data_of(table, "here")
    source = open_source(data)
    (split,) = splits(data, source)
    for part, held in ((np.concatenate([split.train, split.validation]), False), (split.test, True)):
        lines_M = np.concatenate([source.events.line_E[source.windows.row(w)] for w in part])
        assert len(part) == 10
        assert ((lines_M > 105) == held).all()


def test_globs_several_files_and_rotated_ones_are_read_in_a_row(tmp_path: Path) -> None:
    for place in range(3):
        (tmp_path / f"{place}.log").write_text(f"{place} INFO api: text {place}\n")
    keys: Mapping[str, Any] = {"format": FORM, "time_format": "s", "session": "file"}
    for path in (str(tmp_path / "*.log"), [str(tmp_path / f"{place}.log") for place in range(3)], str(tmp_path / "[0-2].log")):
        intake = Intake()
        dataset = from_mapping(Lines, {"path": path, **keys})
        records = list(dataset.records(intake))
        assert [(record.line, record.time, record.sessions) for record in records] == [(i + 1, i, (f"{i}.log",)) for i in range(3)]
        assert dataset.text([2]) == {2: "1 INFO api: text 1"}


# ---------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "a format is missing"),
        ({"format": FORM, "pattern": "(?P<message>.*)"}, "both format and pattern"),
        ({"format": "linx"}, "there is no format 'linx' .did you mean 'linux'"),
        ({"format": "nowhere.toml"}, "no format file 'nowhere.toml'"),
        ({"format": "<a><message>"}, "nothing divides <a> and <message>"),
        ({"format": "<a> <a> <message>"}, "<a> is twice in it"),
        ({"format": "<a b> <message>"}, "<a b> is no name"),
        ({"format": "<a> <b>"}, "no field is the message.*one of a, b"),
        ({"format": FORM, "time": "tme"}, "time = 'tme': a line has no field 'tme' .did you mean 'time'"),
        ({"pattern": "(?P<message>.*"}, "pattern is no regular expression"),
        ({"format": FORM, "session_pattern": "("}, "session_pattern is no regular expression"),
        ({"format": FORM, "time_format": "%Q"}, "'%Q' is not known"),
        ({"format": FORM, "time_format": "rfc"}, "time_format = 'rfc': write iso"),
        ({"format": FORM, "time_zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"format": FORM, "syntax": "json"}, "leave out format"),
        ({"format": FORM, "path": None}, "the log is missing"),
        ({"format": FORM, "path": None, "train": "a"}, "add test = "),
        ({"format": FORM, "labels": "a.csv"}, "no key says what a session is"),
        ({"format": FORM, "sesion": "a"}, "did you mean 'session'"),
        ({"format": FORM, "syntax": "xml"}, "known: 'text', 'json'"),
    ],
)
def test_a_key_that_cannot_be_meant_is_told_in_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_mapping(Lines, {"path": "a.log", **keys}, "my.toml: [data]")
    assert "\n" not in str(caught.value)


def test_a_log_of_another_format_is_told_with_three_lines_and_the_layout(tmp_path: Path) -> None:
    text = "1 INFO api: good\n" + "bad \x1b[31m line\n" * 5
    with pytest.raises(
        InputError, match=r"5 of 6 lines .*expected <time> <level> <component>: <message>; found line 2: .*line 4: "
    ) as caught:
        read(tmp_path, text, format=FORM, time_format="s")
    assert "\x1b" not in str(caught.value)
    assert "line 5" not in str(caught.value)
    records, intake = read(tmp_path, "1 INFO api: good\nbad\n", format=FORM, time_format="s")
    assert (len(records), len(intake.quarantine)) == (1, 1)
