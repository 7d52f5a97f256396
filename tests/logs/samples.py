"""A small log of every data set, written by a random grammar in the data set's own format."""

from __future__ import annotations

import json
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


def _timed(seed: int) -> list[tuple[int, int, int, int]]:
    """Sessions whose lines interleave: (time, session, event, label) of every line, in order of time."""
    dice, found = random.Random(seed), []
    for number, (events, label) in enumerate(_sessions(dice, 300)):
        clock = START + 60 * number
        for event in events:
            clock += dice.randrange(20)
            found.append((clock, number, event, label))
    return sorted(found, key=lambda line: line[0])


def _said(event: int) -> str:
    return f"{'ABCDEFGHI'[event]} {'of ' * event}took {7 * event + 3} ms"


def _written(folder: Path, name: str, lines: list[str], labels: dict[str, object] | None = None) -> tuple[Path, Path]:
    """A log, and a table of labels by session."""
    log, table = folder / f"{name}.log", folder / "labels.csv"
    log.write_text("".join(f"{line}\n" for line in lines))
    table.write_text("\n".join(["session,label", *(f"{session},{label}" for session, label in (labels or {}).items())]))
    return log, table


def _at(clock: int, form: str) -> str:
    return datetime.fromtimestamp(clock, UTC).strftime(form)


def _lines(folder: Path) -> Sample:
    lines = [
        f"{_at(clock, '%d.%m.%Y %H:%M:%S')},{clock % 1000:03} [INFO] api - {_said(event)} request={number}"
        + "\n   at Some.place(Some.java)" * (event == 1)
        for clock, number, event, _ in _timed(7)
    ]
    log, table = _written(folder, "lines", lines, {str(number): label for _, number, _, label in _timed(7)})
    keys = {
        "format": "<date> <time> [<level>] <component> - <message>",
        "time_format": "%d.%m.%Y %H:%M:%S,%f",
        "session_pattern": r"request=(\d+)",
        "continuation": True,
    }
    return Sample({"dataset": "lines", "path": str(log), "labels": str(table), **keys}, log)


def _alerts(name: str) -> Callable[[Path], Sample]:
    """Spirit and its kin: alerts are lines."""

    def made(folder: Path) -> Sample:
        lines = [
            f"{'ECC' if label and event > 5 else '-'} {clock} {_at(clock, '%Y.%m.%d')} dn{number % 7} {_at(clock, '%b %-d %H:%M:%S')} "
            f"dn{number % 7}/dn{number % 7} kernel: {_said(event)}"
            for clock, number, event, label in _timed(8)
        ]
        log, _ = _written(folder, name, lines)
        return Sample({"dataset": name, "path": str(log), "window": {"by": "count", "size": 10, "stride": 7}}, log)

    return made


def _iotdb(folder: Path) -> Sample:
    lines = []
    for clock, number, event, label in _timed(9):
        mark = "" if label and event > 5 else "- "
        lines.append(
            f"{mark}{_at(clock, '%Y-%m-%d %H:%M:%S')},000 [main-{number % 3}] INFO  o.a.i.Node:{10 + event} - {_said(event)}"
        )
    log, _ = _written(folder, "iotdb", lines)
    return Sample({"dataset": "iotdb", "path": str(log), "window": {"by": "count", "size": 10, "stride": 7}}, log)


def _instance(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def _openstack(folder: Path) -> Sample:
    lines = [
        f"nova-compute.log {_at(clock, '%Y-%m-%d %H:%M:%S')}.500 2931 INFO nova.compute.manager [req-{number} - - - - -] "
        f"[instance: {_instance(number)}] {_said(event)}"
        for clock, number, event, _ in _timed(10)
    ]
    log, table = _written(folder, "openstack", lines, {_instance(number): label for _, number, _, label in _timed(10)})
    return Sample({"dataset": "openstack", "path": str(log), "labels": str(table)}, log)


def _hadoop(folder: Path) -> Sample:
    lines = [
        f"hadoop/application_1445087491445_{number:04}/container_01.log:{_at(clock, '%Y-%m-%d %H:%M:%S')},978 INFO [main] org.Task: "
        f"{_said(event)}"
        for clock, number, event, _ in _timed(11)
    ]
    log, table = _written(folder, "hadoop", lines)
    headings = {0: ["### WordCount", "Normal:"], 1: ["Disk full:"]}
    for label, heading in headings.items():
        applications = dict.fromkeys(number for _, number, _, own in _timed(11) if own == label)
        heading += [f"+ application_1445087491445_{number:04}" for number in applications]
    table.write_text("\n".join(headings[0] + headings[1]))
    return Sample({"dataset": "hadoop", "path": str(log), "labels": str(table)}, log)


def _faultinjection(folder: Path) -> Sample:
    lines, rows = [], {}
    for clock, number, event, label in _timed(12):
        test, turn = (f"Test_{number}", 1 if label else 2)
        lines.append(f"{test} {turn} nova/api\t{_at(clock, '%Y-%m-%d %H:%M:%S')}.202 2550 INFO nova.wsgi [-] {_said(event)}")
        if event == 1:
            lines.append(f"{test} {turn} nova/api\tmore of it")
        rows[f"{test}\t{turn}"] = f"{'FAILURE' if label else 'NO_FAILURE'}\t{_at(clock, '%Y-%m-%d %H:%M:%S.5') if label else ''}"
    log, table = _written(folder, "faultinjection", lines)
    table.write_text("\n".join(["test\tround\tlabel\ttrigger_first", *(f"{name}\t{row}" for name, row in rows.items())]))
    return Sample({"dataset": "faultinjection", "path": str(log), "labels": str(table)}, log)


def _otel(folder: Path) -> Sample:
    lines = [
        json.dumps(
            {
                "resourceLogs": [
                    {
                        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
                        "scopeLogs": [
                            {"scope": {"name": "s"}, "logRecords": [_otel_record(*line) for line in _timed(13)[at : at + 3]]}
                        ],
                    }
                ]
            }
        )
        for at in range(0, len(_timed(13)), 3)
    ]
    log, table = _written(folder, "otel", lines, {f"{number:032x}": label for _, number, _, label in _timed(13)})
    return Sample({"dataset": "otel", "path": str(log), "labels": str(table)}, log)


def _otel_record(clock: int, number: int, event: int, label: int) -> dict[str, Any]:
    return {
        "timeUnixNano": f"{clock}500000000",
        "severityNumber": 9,
        "traceId": f"{number:032x}",
        "body": {"stringValue": _said(event)},
        "attributes": [{"key": "log.record.template", "value": {"stringValue": f"event {event} took <*> ms"}}],
    }


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "bgl": _bgl,
    "faultinjection": _faultinjection,
    "hadoop": _hadoop,
    "hdfs": _hdfs,
    "iotdb": _iotdb,
    "liberty": _alerts("liberty"),
    "lines": _lines,
    "openstack": _openstack,
    "otel": _otel,
    "sequences": _sequences,
    "spirit": _alerts("spirit"),
    "synthetic": _synthetic,
    "thunderbird": _alerts("thunderbird"),
}
