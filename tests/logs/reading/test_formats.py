"""Laws of format files: each reads its own example, random lines of its form, and the real log it is made for, to the last line."""

import csv
import io
import json
import random
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qlogad import documents, names
from qlogad.logs.dataset import Dataset, Intake, LogRecord, RawLine
from qlogad.logs.faultinjection import Faultinjection
from qlogad.logs.iotdb import Iotdb
from qlogad.logs.lines import Lines
from qlogad.logs.openstack import Openstack
from qlogad.logs.reading.layout import Layout, format_table, masks_of
from qlogad.logs.reading.line_reader import LineReader
from qlogad.logs.reading.raw_lines import read_lines
from qlogad.logs.thunderbird import Thunderbird
from qlogad.seeds import derive

FORMATS = names.formats()
every = pytest.mark.parametrize("name", FORMATS)
LINED = [name for name in FORMATS if name != "loghub-csv"]  # which needs the header of its table
WORDS = ["started", "in 12 ms", "block", "a=b", "(x)", "[y]", "/tmp/a", "10.0.0.1:80", "é", "-", "%s", "{}", "0x1f", "C:\\x"]
ISO = re.compile(r"\d{4}-\d\d-\d\d(.)\d\d:\d\d:\d\d(?:([.,])(\d+))?(Z?)")


def example(name: str) -> str:
    return str(documents.read(FORMATS[name])["example"])


@every
def test_a_format_says_what_it_is_and_reads_its_example(name: str) -> None:
    table = documents.read(FORMATS[name])
    assert table["what"]
    layout = Layout(name).complete()
    found = LineReader(layout).record(RawLine(1, 0, table["example"]))
    assert found is None if layout.syntax == "csv" else isinstance(found, LogRecord) and found.message and found.time == found.time
    assert not set(table) - {"what", "example", "masks"} - set(Layout.__dataclass_fields__)
    assert all(re.compile(expression) for _, expression in masks_of(name))
    assert layout.complete() == layout, "a complete layout is its own preset"
    assert "format" not in format_table(name) or "<" in format_table(name)["format"]


def clock(dice: random.Random, form: str | None, written: str) -> tuple[str, float]:
    """A random moment as a format writes times, and its seconds."""
    second = dice.randrange(int(datetime(2000, 3, 1, tzinfo=UTC).timestamp()), int(datetime(2000, 12, 31, tzinfo=UTC).timestamp()))
    moment, thousandths = datetime.fromtimestamp(second, UTC), dice.randrange(1000)
    if form in {"s", "ms", "us", "ns"}:
        scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[form]
        return str(second * scale), second
    if form is None or form == "iso":
        middle, mark, digits, zone = ISO.fullmatch(written).groups()  # type: ignore[union-attr]
        fraction = f"{mark}{thousandths:03}{'0' * (len(digits) - 3)}" if mark else ""
        return f"{moment:%Y-%m-%d}{middle}{moment:%H:%M:%S}{fraction}{zone}", second + (thousandths / 1000 if mark else 0)
    part = 0.0 if "%f" not in form and "%L" not in form else thousandths / 1000
    form = form.replace("%f", f"{thousandths:03}").replace("%L", str(thousandths)).replace("%z", "+0000")
    return moment.strftime(form), second + part


def made(name: str, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A random line of a format, after its example, and what has to be read from it."""
    layout, line = Layout(name).complete(), example(name)
    message = " ".join(dice.choices(WORDS, k=dice.randrange(1, 6)))
    new = {"message": message, "level": dice.choice(["INFO", "ERROR"]), "component": dice.choice(["api", "org.Server", "x-1"])}
    wanted: dict[str, Any] = dict(new)
    if layout.levels == "syslog":
        new["level"] = str(dice.randrange(8))
        wanted["level"] = ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")[int(new["level"])]
    if layout.syntax in {"json", "logfmt"}:
        fields = json.loads(line) if layout.syntax == "json" else dict(re.findall(r'(\S+?)=("[^"]*"|\S+)', line))
        for role in ("time", "level", "component", "message"):
            key = next(way[0] for way in layout.fields(role) if way[0] in fields)  # type: ignore[arg-type]
            if role == "time":
                fields[key], wanted["time"] = clock(dice, layout.time_format, fields[key])
            else:
                fields[key] = new[role]
        if layout.syntax == "json":
            return json.dumps(fields), wanted
        return " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()), wanted
    match = re.fullmatch(layout.expression, line, re.ASCII)
    assert match is not None
    put = dict[str, str]()
    for role in ("level", "component", "message"):
        ways = layout.fields(role)  # type: ignore[arg-type]
        if not ways or (role == "component" and ways[0][0] == "Stream"):
            wanted.pop(role)
        elif len(ways[0]) > 1:
            put[ways[0][0]] = new[role].replace('"', "")
            wanted[role] = " ".join([put[ways[0][0]], *(match[part] for part in ways[0][1:])])
        else:
            put[ways[0][0]] = new[role]
    parts = layout.fields("time")[0]
    text, wanted["time"] = clock(dice, layout.time_format, " ".join(match[part] for part in parts))
    put |= dict(zip(parts, text.split(maxsplit=len(parts) - 1), strict=True))
    for group in sorted(put, key=match.start, reverse=True):
        line = line[: match.start(group)] + put[group] + line[match.end(group) :]
    return line, wanted


@pytest.mark.parametrize("name", LINED)
def test_random_lines_of_a_format_come_back(name: str, tmp_path: Path) -> None:
    dice = random.Random(derive(0, f"lines of {name}"))
    lines = [made(name, dice) for _ in range(40)]
    (tmp_path / "a.log").write_text("\n".join(line for line, _ in lines), encoding="utf-8")
    intake = Intake()
    records = list(Lines(format=name, year=2000, path=str(tmp_path / "a.log")).records(intake))
    assert (intake.records, intake.reasons(), intake.joined) == (len(lines), {}, 0)
    for record, (line, wanted) in zip(records, lines, strict=True):
        time = wanted.pop("time")
        assert abs(record.time - time) < 1e-6 or up_to_years(name, record.time, time), line
        assert {role: getattr(record, role) for role in wanted} == wanted, line


def up_to_years(name: str, found: float, wanted: float) -> bool:
    """Times without a year come back up to whole years, which the order of lines decides."""
    form = Layout(name).complete().time_format or ""
    days = abs(found - wanted) / 86400
    return "%" in form and "%Y" not in form and "%y" not in form and days % 1 == 0 and days % 365 in {0, 1}


# ---------------------------------------------------------------- real logs


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for item in tar:
            if item.isreg():
                file = tar.extractfile(item)
                assert file is not None
                yield item.name, file.read()


@pytest.mark.real
def test_every_line_of_loghubs_samples_has_the_columns_of_its_table(real_data: Path, tmp_path: Path) -> None:
    """All columns of the header, Content, Level and Component among them."""
    files = dict(members(real_data / "loghub_2k" / "loghub_2k_original.tar.xz"))
    logs = {name.rpartition("/")[2].removesuffix("_2k.log"): name for name in files if name.endswith("_2k.log")}
    assert len(logs) == 16
    for system, name in logs.items():
        (tmp_path / "a.log").write_bytes(files[name])
        rows = list(csv.DictReader(io.StringIO(files[f"{name}_structured.csv"].decode("utf-8", "backslashreplace"))))
        columns = [column for column in rows[0] if column not in {"LineId", "EventId", "EventTemplate"}]
        layout = Layout(system.lower()).complete()
        roles = {"message": "Content", "level": "Level", "component": "Component"}
        if system in {"Linux", "OpenSSH"}:
            roles = {"message": "Content"}  # its tables call the host Level and Component
        intake = Intake()
        records = list(Lines(format=system.lower(), path=str(tmp_path / "a.log")).records(intake))
        assert (len(records), intake.quarantine, intake.joined) == (2000, [], 0), system
        for line, record, row in zip(read_lines(tmp_path / "a.log", Intake()), records, rows, strict=True):
            match = re.fullmatch(layout.expression, line.text, re.ASCII)
            assert match is not None
            assert [(text or "").strip() for text in match.groups()] == [row[column].strip() for column in columns], line
            for role, column in roles.items():
                assert column not in row or getattr(record, role).strip() == row[column].strip(), line


@pytest.mark.real
def test_a_structured_table_is_a_log_too(real_data: Path, tmp_path: Path) -> None:
    files = dict(members(real_data / "loghub_2k" / "loghub_2k_original.tar.xz"))
    name = next(name for name in files if name.endswith("HDFS_2k.log_structured.csv"))
    (tmp_path / "a.csv").write_bytes(files[name])
    (tmp_path / "a.log").write_bytes(files[name.removesuffix("_structured.csv")])
    both = [
        list(names.find("dataset", "hdfs")(str(tmp_path / file), format=form).records(Intake()))
        for file, form in (("a.csv", "loghub-csv"), ("a.log", "hdfs"))
    ]
    assert [record[2:] for record in both[0]] == [record[2:] for record in both[1]]


def counts(dataset: Dataset) -> tuple[Intake, Counter[tuple[str, ...]], Counter[int]]:
    intake, sessions, labels = Intake(), Counter[tuple[str, ...]](), Counter[int]()
    for record in dataset.records(intake):
        sessions[record.sessions] += 1
        labels[record.label] += 1
    assert intake.lines == intake.records + intake.joined + intake.blank
    assert intake.quarantine == []
    return intake, sessions, labels


@pytest.mark.real
@pytest.mark.parametrize(
    ("campaign", "lines", "sessions", "labels"),
    [("nova", 530_433, 702, {1: 179, 0: 329, -1: 194}), ("cinder", 342_979, 430, {1: 103, 0: 215, -1: 112})],
)
def test_the_campaigns_of_fault_injection(
    campaign: str, lines: int, sessions: int, labels: dict[int, int], real_data: Path
) -> None:
    folder = real_data / "openstack"
    dataset = Faultinjection(str(folder / f"fi_{campaign}_infoplus.log.xz"), str(folder / f"fi_{campaign}_sessions.tsv.xz"))
    intake, found, _ = counts(dataset)
    assert intake.lines == lines
    given = dataset.session_labels()
    assert {session for named in found for session in named} == given.keys()
    assert (len(given), Counter(given.values())) == (sessions, labels)
    triggers = dataset.triggers()
    assert all(with_fault in triggers for with_fault, _ in dataset.pairs())
    assert all((labels[with_fault], labels[without]) == (1, 0) for labels in [given] for with_fault, without in dataset.pairs())


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "lines", "normal", "anomalous"),
    [
        ("kalaki_openstack-nova-sample", 25_659, 982, 180),
        ("kalaki_openstack-vm-destroy-immediately-after-create", 13_922, 0, 197),
        ("kalaki_openstack-nova-dhcpoff", 4_195, 0, 199),
    ],
)
def test_the_instances_of_nova(name: str, lines: int, normal: int, anomalous: int, real_data: Path) -> None:
    path = str(real_data / "openstack" / name)
    dataset = Openstack(f"{path}.log.xz", labels=f"{path}.instance_labels.csv.xz")
    intake, found, _ = counts(dataset)
    labels = dataset.session_labels()
    named = Counter(labels.get(session) for session in {session for sessions in found for session in sessions})
    assert (intake.lines, named[0], named[1]) == (lines, normal, anomalous)


@pytest.mark.real
def test_the_nodes_of_iotdb_are_read_inside_of_their_archive(real_data: Path) -> None:
    dataset = Iotdb(str(real_data / "iotdb_multilog" / "iotdb_single_nodes135.tar.xz" / "*" / "label*.log"))
    intake, _, labels = counts(dataset)
    assert (intake.lines, labels) == (330_000, {0: 133_059, 1: 196_941})


@pytest.mark.real
def test_thunderbirds_sample_is_normal(real_data: Path) -> None:
    path = real_data / "loghub_2k" / "loghub_2k_original.tar.xz"
    name = next(name for name, _ in members(path) if name.endswith("Thunderbird_2k.log"))
    intake, _, labels = counts(Thunderbird(str(path / name)))
    assert (intake.lines, labels) == (2000, {0: 2000})
