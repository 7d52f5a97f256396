"""Laws of tables: whatever dialect a table is written in, what was written is read back, or one line says where and what to do."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.dataset import Intake, label_of
from qlogad.logs.events import Events, read_events
from qlogad.logs.hdfs import Hdfs
from qlogad.logs.reading.tables import items_of, read_labels
from qlogad.logs.sequences import Sequences

on_disk = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

EVENTS = ["5", "22", "E7", "a1b2c3d4", "R02-M1"]
NAMES = {
    "id": ["BlockId", "block_id", "id", "Session ID", "window-id", "#block_id"],
    "label": ["Label", "label", "is_anomaly"],
    "first": ["first_ts", "Start Time", "timestamp"],
    "last": ["last_ts", "end_time"],
    "keys": ["keys", "EventSequence", "Sequence", "Features", "event_ids"],
}
WORDS = {
    0: ["Normal", "normal", "0", "0.0", "Success", "PASS", "False", "-", "no", "NO_FAILURE"],
    1: ["Anomaly", "ABNORMAL", "anomalous", "1", "1.0", "Fail", "Failure", "true", "yes", "FAILURE"],
    -1: ["", "unknown", "NaN", "-1"],
}
LISTS = {
    "blanks": " ".join,
    "python": lambda row: repr(list(row)),
    "json": lambda row: json.dumps(list(row)),
    "bare list": lambda row: "[" + ",".join(row) + "]",
    "numpy": lambda row: str(np.array(row)).replace("\n", ""),
    "tuple": lambda row: "(" + ", ".join(map(repr, row)) + ")",
    "commas": ", ".join,
    "semicolons": ";".join,
}
TIMES = {
    "iso": lambda second: datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    "basic": lambda second: datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ"),
    "s": lambda second: f"{second}.0",
    "ms": lambda second: str(second * 10**3),
    "ns": lambda second: str(second * 10**9),
}
windows = st.lists(
    st.tuples(
        st.lists(st.sampled_from(EVENTS), min_size=1, max_size=6),
        st.sampled_from([0, 1, -1]),
        st.integers(0, 2 * 10**9).map(lambda n: n + 126_230_400),  # from 1974 on
        st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=6,
)


def tokens(events: Events) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in events.sessions]
    for event, session in zip(events.member_event_M, events.member_session_M, strict=True):
        found[session].append(events.texts[events.text_E[event]])
    return found


def test_items_may_stand_between_commas_in_a_table_of_one_column(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("keys\n5,22\n5\n5 22,Normal\n")
    events = read_events(Sequences(path=str(tmp_path / "w.csv")))
    assert tokens(events) == [["5", "22"], ["5"]]
    assert [one.line for one in events.intake.quarantine] == [4]


@on_disk
@given(windows, st.data())
def test_a_table_in_any_dialect_is_read_back(
    tmp_path: Path, rows: list[tuple[list[str], int, int, int]], data: st.DataObject
) -> None:
    columns = data.draw(st.permutations([*NAMES, "n_lines"]))
    kept = [c for c in columns if c == "keys" or data.draw(st.booleans())]
    delimiter = data.draw(st.sampled_from([",", "\t", ";", "|", " "]))
    listed, timed = data.draw(st.sampled_from(list(LISTS))), data.draw(st.sampled_from(list(TIMES)))
    pad = data.draw(st.sampled_from(["", " "])) if delimiter != " " else ""
    if delimiter == " " and len(kept) < 2:
        delimiter = ","
    header = [data.draw(st.sampled_from(NAMES.get(c, ["n_lines"]))) for c in kept]
    if delimiter == " ":
        header = [name.replace(" ", "") for name in header]
        kept = [c for c in kept if c != "n_lines"] if len(set(kept) & set(NAMES)) < 2 else kept
        if len(kept) < 2:
            return
        header = [name for name in header if name != "n_lines"] if "n_lines" not in kept else header

    def written(n: int) -> list[str]:
        row, label, first, took = rows[n]
        cells = {
            "id": f"blk_{n}",
            "label": data.draw(st.sampled_from([word for word in WORDS[label] if word or delimiter != " "])),
            "first": TIMES[timed](first),
            "last": TIMES[timed](first + took),
            "n_lines": str(len(row)),
            "keys": LISTS[listed](row),
        }
        return [cells[c] for c in kept]

    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([header, *map(written, range(len(rows)))])
    lines = [f"{pad}{line}{pad}" for line in text.getvalue().splitlines()]
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    raw = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + end.join([*lines, ""]).encode()
    pack = data.draw(st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]))
    (tmp_path / "w.csv").write_bytes(pack(raw))

    events = read_events(Sequences(path=str(tmp_path / "w.csv")))
    assert (events.intake.quarantine, events.intake.records, events.intake.warnings) == ([], len(rows), [])
    assert tokens(events) == [row for row, _, _, _ in rows]
    assert events.session_label_S is not None
    assert events.session_label_S.tolist() == [label if "label" in kept else -1 for _, label, _, _ in rows]
    if "id" in kept:
        assert events.sessions == tuple(f"blk_{n}" for n in range(len(rows)))
    for n, (row, _, first, took) in enumerate(rows):
        times = events.time_E[events.member_event_M[events.member_session_M == n]]
        assert times[0] == first if "first" in kept else np.isnan(times[0])
        assert len(row) == 1 or (times[-1] == first + took if "last" in kept else np.isnan(times[-1]))


@on_disk
@given(windows, st.data())
def test_json_lines_are_read_back(tmp_path: Path, rows: list[tuple[list[str], int, int, int]], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["keys", "templates", "EventSequence"]))
    made = [
        {"block_id": n, "label": label, "first_ts": first, name: row, "n": len(row)}
        for n, (row, label, first, _) in enumerate(rows)
    ]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, made)))
    events = read_events(Sequences(path=str(tmp_path / "w.jsonl")))
    assert tokens(events) == [row for row, _, _, _ in rows]
    assert events.sessions == tuple(str(n) for n in range(len(rows)))
    assert events.session_label_S is not None
    assert events.session_label_S.tolist() == [label for _, label, _, _ in rows]
    assert events.time_E[events.member_event_M[np.unique(events.member_session_M, return_index=True)[1]]].tolist() == [
        first for _, _, first, _ in rows
    ]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", ": ", " : ", ":\t", " -> ", " => ", " = "])
@on_disk
@given(rows=st.lists(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=6), min_size=2, max_size=6), packed=st.booleans())
def test_identifier_and_sequence_need_no_header(tmp_path: Path, delimiter: str, rows: list[list[str]], packed: bool) -> None:
    written = [json.dumps(row) if packed else " ".join(row) for row in rows]
    (tmp_path / "w.csv").write_text("\n".join(f"blk_{n}{delimiter}{row}" for n, row in enumerate(written)))
    events = read_events(Sequences(path=str(tmp_path / "w.csv")))
    assert tokens(events) == rows
    assert events.sessions == tuple(f"blk_{n}" for n in range(len(rows)))


@pytest.mark.parametrize("form", [" ".join, "\t".join, lambda row: repr(row), lambda row: json.dumps(row)])
@on_disk
@given(rows=st.lists(st.lists(st.sampled_from(EVENTS), min_size=3, max_size=6), min_size=1, max_size=6), header=st.booleans())
def test_sequences_alone_are_read_with_or_without_a_header(tmp_path: Path, form, rows: list[list[str]], header: bool) -> None:
    (tmp_path / "w.txt").write_text("\n".join([*(["EventSequence"] if header else []), *map(form, rows)]))
    events = read_events(Sequences(path=str(tmp_path / "w.txt")))
    assert tokens(events) == rows
    assert events.intake.blank == int(header)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("BlockId,Label,Type,E1,E2,E3,E4,E5,E6\nblk_1,Success,,0,1,2,3,4,5\n", "event counts have no order"),
        ("LineId,Date,Time,Pid,Level,Component,Content,EventId\n1,81109,203615,148,INFO,x,y,E10\n", "'keys'"),
        ("blk_1,Normal,5 22\nblk_2,Normal,5 22\n", "'keys'"),
        ("5,22,5\n5,22\n7\n", "between blanks or in"),
        ("blk_1\tNormal\t5 22\nblk_2\tNormal\t5 22\n", "'keys'"),
        ("something\n5 22 5\n5 22\n", "'keys'"),
        ("name,what\nblk_1,5 22\nblk_2,5 22\n", "'keys'"),
        ("campaign\tround\tlabel\tfirst_ts\nNova\t1\tFAILURE\t\n", "'keys'"),
        ("keys,Label,label\n5 22,0,1\n", "'Label' and 'label'"),
        ("keys,keys\n5 22,5 22\n", "'keys' and 'keys'"),
        ("id,BlockId,keys\n1,blk_1,5\n", "'id' and 'BlockId'"),
        ('{"text": ["a b", "c"], "label": 0}\n', "'keys'"),
        ('[{"keys": [5, 22]}]\n', "JSON Lines"),
        ("[[5, 22], [5]]\n", "JSON Lines"),
        ("[\n[5, 22],\n[5]\n]\n", "JSON Lines"),
    ],
)
def test_what_is_no_table_of_sequences_is_refused_with_file_line_and_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_events(Sequences(path=str(path)))
    assert str(caught.value).startswith(f"{path}, line 1: ")
    assert "\n" not in str(caught.value)


def test_a_name_that_one_line_alone_has_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("5 22\n5 22 5\nblk_1: 5 22 5\n7 8\n")
    events = read_events(Sequences(path=str(tmp_path / "w.txt")))
    assert tokens(events) == [["5", "22"], ["5", "22", "5"], ["7", "8"]]
    assert [item.line for item in events.intake.quarantine] == [3]


@pytest.mark.parametrize("header", ["", "BlockId,keys\n", "keys,BlockId\n", "BlockId,Label,keys\n", "Label,keys,BlockId\n"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_no_part_of_a_field_of_two_lines_is_a_window(tmp_path: Path, header: str, delimiter: str) -> None:
    """Whichever field the line breaks in."""
    fields = {"BlockId": "blk_1", "Label": "Normal", "keys": "5 22 5"}
    names = header.strip().split(",") if header else ["BlockId", "keys"]
    whole = [fields[name] for name in names]
    for place in range(len(names)):
        broken = [f'"{cell[:2]}\n{cell[2:]}"' if place == number else cell for number, cell in enumerate(whole)]
        lines = [delimiter.join(cell.replace("blk_1", f"blk_{line}") for cell in whole) for line in range(2, 6)]
        path = tmp_path / f"{place}.csv"
        path.write_text("\n".join([header.strip().replace(",", delimiter)] * bool(header) + lines + [delimiter.join(broken)]))
        events = read_events(Sequences(path=str(path)))
        assert events.sessions == ("blk_2", "blk_3", "blk_4", "blk_5")
        assert len(events.intake.quarantine) == 2


def test_lines_that_hold_no_window_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    bad = {
        'blk_1,"5 22': "a quote or bracket that does not close",
        'blk_2,5 22"': "a quote or bracket that does not close",
        'blk_3,"[5, 22"': "a quote or bracket that does not close",
        'blk_4,"[[5], [22]]"': "a set, counts or a list of lists, not one sequence",
        "blk_5,\"{'E5': 3}\"": "a set, counts or a list of lists, not one sequence",
        "blk_6,[5 22 ... 7]": "a list cut short by ...",
        'blk_7,"[5, None, 7]"': "an event without a name",
        'blk_8,"[]"': "no events",
        "blk_9,5\r22": "a carriage return inside the line",
        "blk_10,5 22,7": "not 2 columns",
    }
    (tmp_path / "w.csv").write_bytes("\n".join(["id,keys", *bad, "blk_11,5 22"]).encode())
    events = read_events(Sequences(path=str(tmp_path / "w.csv")))
    assert events.sessions == ("blk_11",)
    assert [(item.line, item.reason) for item in events.intake.quarantine] == list(enumerate(bad.values(), start=2))


@given(
    st.sampled_from([(label, word) for label, words in WORDS.items() for word in words]),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_label_words_in_any_case_and_between_blanks(pair: tuple[int, str], case) -> None:
    assert label_of(f" {case(pair[1])}\t") == pair[0]


@pytest.mark.parametrize("word", ["2", "0.5", "1.5", "10", "01", "maybe", "Normal Anomaly", "disk_full"])
def test_a_word_that_is_no_label_is_refused_with_its_place(tmp_path: Path, word: str) -> None:
    (tmp_path / "w.csv").write_text(f"keys,Label\n5 22,0\n\n5 22,{word}\n")
    (tmp_path / "labels.csv").write_text(f"BlockId,Label\nblk_1,0\n\nblk_2,{word}\n")
    for read, name in [(lambda p: read_events(Sequences(path=p)), "w.csv"), (read_labels, "labels.csv")]:
        with pytest.raises(DataError, match=f"{name}, line 4: '{word}' is not a label"):
            read(str(tmp_path / name))


@on_disk
@given(
    st.dictionaries(st.integers(-(2**63), 2**63).map("blk_{}".format), st.sampled_from([0, 1, -1]), min_size=1, max_size=8),
    st.data(),
)
def test_a_label_file_in_any_dialect_is_read_back(tmp_path: Path, known: dict[str, int], data: st.DataObject) -> None:
    delimiter, end = (
        data.draw(st.sampled_from([",", ", ", "\t", ";", " ; ", "|"])),
        data.draw(st.sampled_from(["\n", "\r\n", "\r"])),
    )
    order = data.draw(st.permutations(["id", "label", "more"]))
    names = {"id": data.draw(st.sampled_from(NAMES["id"])), "label": data.draw(st.sampled_from(NAMES["label"])), "more": "more"}
    long = data.draw(st.sampled_from(["x", "y" * 200_000, "[1, 2]", "it's", ""]))
    rows = [
        names,
        *({"id": block, "label": data.draw(st.sampled_from(WORDS[label])), "more": long} for block, label in known.items()),
    ]
    if "," in delimiter:
        rows = [{key: f'"{cell}"' if "," in cell else cell for key, cell in row.items()} for row in rows]
    path = tmp_path / "labels.csv"
    path.write_bytes(end.join(delimiter.join(row[c] for c in order) for row in rows).encode())
    assert read_labels(str(path)) == known
    assert Hdfs("unread", str(path)).session_labels() == known


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("blk_1,Normal\nblk_2,Normal\n", "line 1: .*'BlockId'"),
        ("BlockId,Label,Label\nblk_1,0,1\n", "line 1: .*'Label' and 'Label'"),
        ("BlockId,Label\nblk_1,Nor\rmal\n", "line 2: a carriage return"),
        ('BlockId,Label\nblk_1,0\n"blk_2,1\n', "line 3: a quote"),
        ("BlockId,Label\nblk_1,0\n,1\n", "line 3: no identifier"),
        ("BlockId,Label\nblk_1,0\n\nblk_2\n", "line 4: not 2 columns"),
        ("BlockId,Label\nblk_1,0\n" + "x" * (1 << 20) + ",0\n", "line 3: longer than 1 MiB"),
    ],
)
def test_a_label_file_loses_no_label_in_silence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text, newline="")
    with pytest.raises(DataError, match=says) as caught:
        read_labels(str(path))
    assert "\n" not in str(caught.value)


def packed_tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def packed_zip(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (packed_tar("HDFS.log", b"081109 203530 1 INFO dfs.A: x blk_1\n" * 50), "tar archive.*'HDFS.log'.*name a file in it"),
        (packed_zip("HDFS.log", b"081109 203530 1 INFO dfs.A: x blk_1\n"), "zip archive.*name a file in it"),
        ("block_id,keys\nblk_1,5 22\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "NumPy.*CSV"),
        (b"PAR1\x15\x04", "Parquet.*CSV"),
    ],
    ids=["tar", "zip", "utf-16", "npy", "parquet"],
)
def test_an_archive_is_refused_with_what_to_do_under_any_packing(tmp_path: Path, pack, content: bytes, says: str) -> None:
    path = tmp_path / "HDFS.log"
    path.write_bytes(pack(content))
    log = [] if "archive" in says else [lambda: read_events(Hdfs(str(path)))]  # logs are read from archives, tables are not
    for read in (
        *log,
        lambda: read_events(Sequences(path=str(path))),
        lambda: Hdfs("unread", str(path)).session_labels(),
    ):
        with pytest.raises(DataError, match=says) as caught:
            read()
        assert str(path) in str(caught.value)


LOG_LINES = [
    "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_{n} terminating",
    "Jun 14 15:16:{n} combo sshd(pam_unix)[19939]: authentication failure; logname= uid={n} euid=0 tty=NODEVssh",
    "the quick brown fox, number {n}, jumps over the lazy dog; so it goes. It's {n}!",
]


@pytest.mark.parametrize("line", LOG_LINES)
def test_text_given_as_sequences_is_read_with_a_warning_or_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "w.txt").write_text("".join(line.replace("{n}", str(n)) + "\n" for n in range(300)))
    try:
        events = read_events(Sequences(path=str(tmp_path / "w.txt")))
    except DataError:
        return
    assert ["free text" in warning for warning in events.intake.warnings] == [True]


@on_disk
@given(st.lists(st.binary(min_size=30, max_size=60), min_size=5, max_size=20))
def test_bytes_given_as_sequences_are_read_with_a_warning_or_refused(tmp_path: Path, rows: list[bytes]) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(b"\n".join(bytes([255, 0, 128]) + row for row in rows))
    intake = Intake()
    try:
        records = list(Sequences(path=str(path)).records(intake))
    except DataError:
        return
    assert not records or ["free text" in warning for warning in intake.warnings] == [True]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8).map(str.strip).filter(bool)
    )
)
def test_a_json_list_gives_back_its_items(items: list[str]) -> None:
    plain = [item for item in items if not set(item) & {'"', "\\"}]
    assert items_of(json.dumps(plain, ensure_ascii=False)) == plain
