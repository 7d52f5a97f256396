"""HDFS lines: all accounted for, in their sessions, with the labels of either spelling."""

import gzip
import math
import os
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qlogad.errors import DataError
from qlogad.logs.dataset import Intake
from qlogad.logs.events import read_events
from qlogad.logs.hdfs import Hdfs
from qlogad.logs.reading.mask import Mask
from qlogad.seeds import derive

GARBAGE = [
    b"",
    b"   ",
    b"\xff\xfe\x00",
    b"081109 203530 147 INFO",
    b"at java.lang.Thread.run(Thread.java:595)",
    b"081399 203530 1 INFO a: b",
]


def make_line(dice: random.Random) -> tuple[bytes, float, tuple[str, ...]]:
    """One line in the format of the real log, its time, and the blocks it names."""
    time = datetime.fromtimestamp(dice.randrange(1_226_000_000, 1_226_500_000), UTC)
    blocks = [f"blk_{dice.randrange(-50, 50)}" for _ in range(dice.choice([0, 1, 1, 1, 2, 5]))]
    address = f"/10.251.{dice.randrange(256)}.{dice.randrange(256)}:50010"
    message = f"asked {address} to drop {' '.join(blocks)}" if blocks else f"waited {dice.randrange(999)} for {address}"
    line = f"{time:%y%m%d %H%M%S} {dice.randrange(30)} {dice.choice(['INFO', 'WARN'])} dfs.Node$Part: {message}"
    return line.encode(), time.timestamp(), tuple(dict.fromkeys(blocks))


@pytest.mark.parametrize("seed", range(8))
def test_every_line_is_a_record_blank_or_set_aside(tmp_path: Path, seed: int) -> None:
    dice = random.Random(derive(seed, "hdfs"))
    made = [make_line(dice) for _ in range(200)]
    lines: list[tuple[bytes, float, tuple[str, ...]] | None] = [*made]
    rows = [line for line, _, _ in made]
    for _ in range(dice.randrange(60)):
        place = dice.randrange(len(rows) + 1)
        rows.insert(place, dice.choice(GARBAGE))
        lines.insert(place, None)
    path = tmp_path / "hdfs.log.gz"
    raw = b"\n".join(rows) + b"\n"
    path.write_bytes(gzip.compress(raw))
    intake = Intake()
    records = list(Hdfs(str(path)).records(intake))
    assert intake.lines == len(rows) == intake.records + intake.blank + len(intake.quarantine)
    assert intake.blank == sum(not row.strip() for row in rows)
    assert sum(intake.reasons().values()) == len(intake.quarantine)
    assert [(r.time, r.sessions) for r in records] == [(time, blocks) for _, time, blocks in made]
    for record in records:
        assert lines[record.line - 1] is not None
        assert raw[record.offset :].startswith(rows[record.line - 1])
        assert rows[record.line - 1].decode().endswith(f" {record.level} {record.component}: {record.message}")


def test_the_masks_leave_no_digit_and_need_their_hint_only_for_speed(tmp_path: Path) -> None:
    dice = random.Random(derive(0, "masks"))
    quick, slow = Mask(Hdfs.masks, Hdfs.mask_starts), Mask(Hdfs.masks)
    parts = [
        "blk_-12",
        "blk_7 blk_8",
        "/10.0.0.1:50010",
        "10.0.0.1, 10.0.0.2",
        "/a/b.c-1/d",
        "0xff",
        "-17",
        "size",
        "<*>",
        "(",
        ":",
        ",",
        "x9",
    ]
    for _ in range(2000):
        message = "".join(dice.choice(parts) + dice.choice([" ", " ", ""]) for _ in range(dice.randrange(1, 8)))
        assert quick(message) == slow(message)
    for _ in range(200):
        line, _, _ = make_line(dice)
        masked, values = quick(line.decode().split(": ", 1)[1])
        assert not any(character.isdigit() for character in masked)
        assert masked.count("<:") == len(values)


@pytest.mark.parametrize("header", ["BlockId,Label", "block_id,label,first_ts,n_lines", "n_lines,Label,Block_ID"])
def test_labels_by_either_header(tmp_path: Path, header: str) -> None:
    known = {"blk_1": 0, "blk_2": 1, "blk_3": 0}
    names = header.lower().replace("_", "").split(",")
    rows = [
        ",".join({"blockid": block, "label": ["Normal", "Anomaly"][label]}.get(name, "0") for name in names)
        for block, label in known.items()
    ]
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "hdfs.log").write_text("081109 203530 1 INFO dfs.A: x blk_1 blk_2\n081109 203531 1 INFO dfs.A: y blk_9 blk_3")
    events = read_events(Hdfs(str(tmp_path / "hdfs.log"), str(tmp_path / "labels.csv")))
    assert events.session_label_S is not None
    assert dict(zip(events.sessions, events.session_label_S.tolist(), strict=True)) == {**known, "blk_9": -1}
    assert events.member_event_M.tolist() == [0, 0, 1, 1]
    assert set(events.label_E.tolist()) == {-1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "BlockId"),
        ("id,what\n1,2", "BlockId"),
        ("BlockId,Label\nblk_1,Good", "Good"),
        ("BlockId,Label\nblk_1", "line 2: not 2 columns"),
        ("BlockId,Label\nblk_1,Normal\nblk_1,Anomaly", "both"),
    ],
)
def test_a_label_file_that_cannot_be_right_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Hdfs("unread", str(tmp_path / "labels.csv")).session_labels()


REAL = Path(os.environ.get("QLOGAD_DATA", "")) / "hdfs"


@pytest.mark.real
@pytest.mark.parametrize(
    ("log", "labels", "lines", "blocks", "anomalous"),
    [
        ("hdfs_raw_2pct_early.log.xz", "hdfs_raw_2pct_early.labels_and_keys.csv.xz", 165_449, 8_044, 276),
        ("hdfs_raw_first20k.log.xz", "hdfs_raw_first20k.labels.csv.xz", 20_000, 1_782, 43),
    ],
)
def test_real_logs_are_understood_wholly(log: str, labels: str, lines: int, blocks: int, anomalous: int) -> None:
    events = read_events(Hdfs(str(REAL / log), str(REAL / labels)))
    assert events.session_label_S is not None
    assert (len(events), events.intake.records, events.intake.reasons()) == (lines, lines, {})
    assert len(events.sessions) == blocks
    assert Counter(events.session_label_S.tolist()) == {0: blocks - anomalous, 1: anomalous}
    assert not math.isnan(events.time_E.sum())
