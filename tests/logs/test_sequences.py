"""Pre-parsed windows: each form says the same, and the parts and labels are what their files are given as."""

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlogad.catalogue.data import describe, facts_text
from qlogad.documents import from_mapping
from qlogad.errors import DataError, DocumentError
from qlogad.logs.dataset import Intake
from qlogad.logs.events import Events, read_events
from qlogad.logs.sequences import Sequences

windows = st.lists(st.lists(st.sampled_from(["5", "22", "a1b2", "E7"]), min_size=1, max_size=6), min_size=1, max_size=8)
on_disk = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tokens(events: Events) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in events.sessions]
    for event, session in zip(events.member_event_M, events.member_session_M, strict=True):
        found[session].append(events.texts[events.text_E[event]])
    return found


@on_disk
@given(windows, st.lists(st.sampled_from([0, 1, -1]), min_size=8, max_size=8))
def test_every_form_gives_the_same_windows(tmp_path: Path, rows: list[list[str]], labels: list[int]) -> None:
    names = {0: "Normal", 1: "Anomaly", -1: ""}
    forms = {
        "bare": [" ".join(row) + " " for row in rows],
        "pair": [f"w{n},{' '.join(row)}" for n, row in enumerate(rows)],
        "table": ["block_id,label,first_ts,last_ts,n_lines,keys"]
        + [f'w{n},{names[labels[n]]},2008-11-09 20:35:30,1226263000.5,{len(row)},"{" ".join(row)}"' for n, row in enumerate(rows)],
    }
    for form, lines in forms.items():
        path = tmp_path / form
        path.write_text("\n".join(lines) + "\n\n")
        events = read_events(Sequences(path=str(path)))
        intake = events.intake
        assert tokens(events) == rows
        assert events.parsed
        assert intake.lines == intake.records + intake.blank + len(intake.quarantine)
        assert intake.records == len(rows)
        assert events.session_label_S is not None
        assert events.session_label_S.tolist() == (labels[: len(rows)] if form == "table" else [-1] * len(rows))
        assert events.given_part_S is None
        if form == "table":
            assert events.sessions == tuple(f"w{n}" for n in range(len(rows)))
            for n, row in enumerate(rows):
                times = events.time_E[events.member_event_M[events.member_session_M == n]]
                assert times[0] == 1226262930.0
                assert len(row) == 1 or times[-1] == 1226263000.5
                assert np.isnan(times[1:-1]).all()
        else:
            assert np.isnan(events.time_E).all()


@on_disk
@given(windows, windows, windows)
def test_files_decide_part_and_label(tmp_path: Path, train: list[list[str]], normal: list[list[str]], bad: list[list[str]]) -> None:
    for name, rows in {"train": train, "normal": normal, "bad": bad}.items():
        (tmp_path / name).write_text("\n".join(map(" ".join, rows)))
    dataset = from_mapping(
        Sequences, {"train": str(tmp_path / "train"), "normal": str(tmp_path / "normal"), "anomalous": [str(tmp_path / "bad")]}
    )
    events = read_events(dataset)
    counts = [len(train), len(normal), len(bad)]
    assert events.given_part_S is not None
    assert events.session_label_S is not None
    assert events.given_part_S.tolist() == ["train"] * counts[0] + ["test"] * (counts[1] + counts[2])
    assert events.session_label_S.tolist() == [0] * (counts[0] + counts[1]) + [1] * counts[2]
    assert tokens(events) == train + normal + bad
    assert dataset.text(events.line_E.tolist()) == {line: " ".join(row) for line, row in enumerate(train + normal + bad, start=1)}


def test_what_is_no_window_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("keys,id,first_ts\n5 6,a,\n5 6,a,\n,b,\n5,c,soon\n5,e,inf\n5\n,,\n\n7,d,2008-11-09T20:35:30+01:00\n8,,\n")
    intake = Intake()
    records = list(Sequences(path=str(path)).records(intake))
    assert intake.reasons() == {"no events": 2, "not a valid time": 2, "not 3 columns": 1, "duplicate window identifier": 1}
    assert intake.lines == 11 == intake.records + intake.blank + len(intake.quarantine)
    assert [record.sessions for record in records] == [("a",), ("a",), ("d",), ("path:11",)]
    assert [record.time for record in records if not math.isnan(record.time)] == [1226259330.0]


@pytest.mark.parametrize("text", ["a,b,c\n", "block_id,label\nx,Normal\n", '{"a": 1, "b": 2, "c": 3}\n'])
def test_a_table_without_sequences_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(DataError, match="'keys'"):
        list(Sequences(path=str(tmp_path / "w.csv")).records(Intake()))


def test_a_label_against_its_file_is_refused_and_so_is_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("id,label,keys\na,Normal,5\nb,Anomaly,5\n")
    with pytest.raises(DataError, match="give it as 'path'"):
        read_events(Sequences(normal=str(tmp_path / "w.csv")))
    assert Sequences(train=str(tmp_path / "w.csv")).session_labels() == {"a": 0, "b": 1}
    with pytest.raises(DocumentError, match="needs a file"):
        from_mapping(Sequences, {})


def test_a_doubt_about_the_events_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("the fox jumps!\nand so it went.\n" * 30)
    facts = describe("sequences", [f"path={tmp_path / 'w.txt'}"], lambda what, count: None)
    assert len(facts["warnings"]) == 1
    assert "free text" in facts_text(facts)
    (tmp_path / "w.txt").write_text("5 22 5\n22 5\n" * 30)
    assert "warnings" not in describe("sequences", [f"path={tmp_path / 'w.txt'}"], lambda what, count: None)


REAL = Path(os.environ.get("QLOGAD_DATA", ""))


@pytest.mark.real
@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({"train": "hdfs/deeplog_hdfs_train.xz", "anomalous": "hdfs/deeplog_hdfs_test_abnormal.xz"}, {0: 4_855, 1: 16_838}),
        ({"normal": "hdfs/hdfs_loghub_normal.csv.xz", "anomalous": "hdfs/hdfs_loghub_abnormal.csv.xz"}, {0: 5_542, 1: 16_764}),
        ({"normal": "hdfs/hdfs_xu_normal.csv.xz", "anomalous": "hdfs/hdfs_xu_abnormal.csv.xz"}, {0: 5_551, 1: 16_764}),
        ({"path": "hdfs/hdfs_raw_2pct_early.labels_and_keys.csv.xz"}, {0: 7_768, 1: 276}),
        ({"path": "hdfs/hdfs_100k_sessions.jsonl.xz"}, {0: 7_627, 1: 313}),
        ({"path": "bgl/bgl_windows20.jsonl.xz"}, {0: 750, 1: 121}),
        ({"path": "thunderbird/thunderbird_cfdr_normal_node_sequences.csv.xz"}, {-1: 16}),
    ],
)
def test_real_sequences_are_read_wholly(files: dict[str, str], labels: dict[int, int]) -> None:
    intake = Intake()
    dataset = Sequences(**{role: str(REAL / path) for role, path in files.items()})
    assert len({record.sessions for record in dataset.records(intake)}) == intake.records == sum(labels.values())
    assert intake.quarantine == []
    assert Counter(dataset.session_labels().values()) == labels
