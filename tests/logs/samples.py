"""A small log of every data set, written by a random grammar in the data set's own format."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from qlogad.logs.synthetic import Synthetic

START = 1_226_000_000  # seconds since 1970


class Sample(NamedTuple):
    """A log as a file, and the keys of a [data] table that reads it."""

    data: dict[str, Any]  # with `dataset`
    log: Path  # its lines; other files hold labels


def _synthetic(folder: Path) -> Sample:
    made = Synthetic(lines=2_000, rate=0.2)
    made.write(folder / "synthetic.log")
    return Sample({"dataset": "synthetic", "lines": 2_000, "rate": 0.2}, folder / "synthetic.log")


def _bgl(folder: Path) -> Sample:
    Synthetic(lines=2_000, seed=4, rate=0.2).write(folder / "bgl.log")
    return Sample(
        {"dataset": "bgl", "path": str(folder / "bgl.log"), "window": {"by": "count", "size": 10, "stride": 7}}, folder / "bgl.log"
    )


def _sessions(dice: random.Random, many: int) -> list[tuple[list[int], int]]:
    """Sequences of events with a grammar, and their labels."""
    found = []
    for _ in range(many):
        odd = dice.random() < 0.1
        events = [*range(dice.randrange(2, 6))] * dice.randrange(1, 3)
        if odd:
            dice.shuffle(events)
            events.append(dice.randrange(6, 9))
        found.append((events, int(odd)))
    return found


def _hdfs(folder: Path) -> Sample:
    dice = random.Random(5)
    lines, labels = [], ["BlockId,Label"]
    for number, (events, label) in enumerate(_sessions(dice, 300)):
        labels.append(f"blk_{number},{'Anomaly' if label else 'Normal'}")
        clock = START + 60 * number
        for event in events:
            clock += dice.randrange(20)
            message = f"{'ABCDEFGHI'[event]} {'of ' * event}blk_{number} took {dice.randrange(99)} ms"
            lines.append((clock, f"{datetime.fromtimestamp(clock, UTC):%y%m%d %H%M%S} 12 INFO dfs.Node: {message}"))
    log, table = folder / "hdfs.log", folder / "labels.csv"
    log.write_text("".join(f"{text}\n" for _, text in sorted(lines)))
    table.write_text("\n".join(labels))
    return Sample({"dataset": "hdfs", "path": str(log), "labels": str(table)}, log)


def _sequences(folder: Path) -> Sample:
    lines = ["id,label,first_ts,last_ts,keys"]
    for number, (events, label) in enumerate(_sessions(random.Random(6), 300)):
        lines.append(f"w{number},{label},{START + 9 * number},{START + 9 * number + 7},{' '.join(map(str, events))}")
    log = folder / "sequences.csv"
    log.write_text("\n".join(lines))
    return Sample({"dataset": "sequences", "path": str(log)}, log)


def _lines(folder: Path) -> Sample:
    dice = random.Random(7)
    lines, labels = [], ["session,label"]
    for number, (events, label) in enumerate(_sessions(dice, 300)):
        labels.append(f"{number},{label}")
        clock = START + 60 * number
        for event in events:
            clock += dice.randrange(20)
            text = f"{datetime.fromtimestamp(clock, UTC):%d.%m.%Y %H:%M:%S},{dice.randrange(1000):03} [INFO] api - "
            text += f"{'ABCDEFGHI'[event]} {'of ' * event}request={number} took {dice.randrange(99)} ms"
            lines.append((clock, text + "\n   at Some.place(Some.java)" * (event == 1)))
    log, table = folder / "lines.log", folder / "labels.csv"
    log.write_text("".join(f"{text}\n" for _, text in sorted(lines)))
    table.write_text("\n".join(labels))
    keys = {
        "format": "<date> <time> [<level>] <component> - <message>",
        "time_format": "%d.%m.%Y %H:%M:%S,%f",
        "session_pattern": r"request=(\d+)",
        "continuation": True,
    }
    return Sample({"dataset": "lines", "path": str(log), "labels": str(table), **keys}, log)


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "bgl": _bgl,
    "hdfs": _hdfs,
    "lines": _lines,
    "sequences": _sequences,
    "synthetic": _synthetic,
}
