"""Laws of `qlogad data describe LOG`: what it writes reads the log, and understands no fewer lines than the format made for it."""

import json
import random
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from qlogad import documents, names
from qlogad.catalogue.profile import Profile, profile
from qlogad.errors import DataError
from qlogad.experiment.data import data_of
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import ground, open_source, splits
from qlogad.logs.dataset import Intake
from qlogad.logs.events import read_events
from qlogad.logs.guess.log_sample import take_sample
from qlogad.logs.reading.raw_lines import read_lines
from qlogad.seeds import derive
from tests.command_line import qlogad
from tests.logs.reading.test_formats import LINED, made
from tests.logs.samples import SAMPLES

START = 1_700_000_000


def described(log: Path, **how: bool) -> Profile:
    return profile(str(log), (), lambda what, count: None, **how)


def check_runs(found: Profile, folder: Path) -> None:
    """What was written is an experiment whose data have windows in every part of every cut, labelled or injected."""
    (folder / "mine.toml").write_text(found.experiment(), encoding="utf-8")
    experiment = Experiment.load(folder / "mine.toml")
    source = open_source(experiment.data)
    parts = splits(experiment.data, source)
    assert len(parts) == len(experiment.data.split.cuts)
    assert all(len(part.train) and len(part.validation) and len(part.test) for part in parts)
    made = ground(experiment.data, source, ["ids"], cut=0)
    assert len(made.train.normals().features)
    assert len(made.test.features)
    assert experiment.data.inject or (source.windows.label_W == 1).any()
    json.dumps(found.facts)


def read(table: dict[str, object]) -> tuple[dict[int, str], int]:
    """The messages of a log by line, and how many of its lines are understood."""
    intake = Intake()
    own = {key: value for key, value in table.items() if key not in {"window", "split", "inject"}}
    messages = {record.line: record.message for record in data_of(own, "a test").open().records(intake)}
    return messages, intake.records + intake.joined


@pytest.mark.sample(5)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_it_writes_of_the_log_of_any_data_set_runs(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name](tmp_path)
    found = described(sample.log)
    check_runs(found, tmp_path)
    if "path" in sample.data and name not in {"otel", "sequences"}:
        right = data_of(sample.data, name).open()
        intake = Intake()
        events = list(right.records(intake))
        messages, understood = read(dict(found.table))
        assert understood >= intake.records + intake.joined
        assert len(messages) >= len(events)


@pytest.mark.sample(6)
@pytest.mark.parametrize("name", LINED)
def test_lines_of_a_format_are_read_as_that_format_reads_them(name: str, tmp_path: Path) -> None:
    dice = random.Random(derive(0, f"describe {name}"))
    lines = [made(name, dice)[0] for _ in range(200)]
    (tmp_path / "a.log").write_text("\n".join(lines), encoding="utf-8")
    found = described(tmp_path / "a.log")
    check_runs(found, tmp_path)
    right, most = read({"dataset": "lines", "format": name, "path": str(tmp_path / "a.log")})
    messages, understood = read(dict(found.table))
    assert understood >= most
    assert messages == right


def _spring(dice: random.Random, number: int) -> str:
    level, name = dice.choice(["INFO", "WARN", "DEBUG"]), dice.choice(["c.e.shop.Orders", "c.e.shop.Stock"])
    return (
        f"2026-03-01T{8 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.123+01:00 {level:>5} 4711 --- "
        f"[{dice.choice(['main', 'nio-1'])}] {name:40} : order id={number // 4:08x} took {dice.randrange(99)} ms"
    )


def _nginx(dice: random.Random, number: int) -> str:
    what = dice.choice(["open() failed", "upstream timed out", "client closed"])
    stamp = f"2026/03/01 {8 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
    return f"{stamp} [{dice.choice(['error', 'warn'])}] 12#12: *{number // 4} {what}"


def _postgresql(dice: random.Random, number: int) -> str:
    stamp = f"2026-03-01 {8 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.5 CET"
    more = "\n\tDETAIL of it" if number % 12 == 0 else ""
    what = dice.choice(["duration:", "disconnection:", "checkpoint complete"])
    return f"{stamp} [{900 + number // 6}] app@shop {dice.choice(['LOG', 'ERROR'])}:  {what} {dice.random():.3f} ms{more}"


def _kernel(dice: random.Random, number: int) -> str:
    return f"[{number * 1.5:12.6f}] {dice.choice(['usb 1-1: new device', 'eth0: link up', 'sda: mounted'])} {number}"


@pytest.mark.parametrize(
    ("line", "level", "sessions"), [(_spring, True, True), (_nginx, True, True), (_postgresql, True, True), (_kernel, False, False)]
)
def test_of_a_log_that_no_format_is_made_for_a_layout_is_derived(
    line: Callable[[random.Random, int], str], level: bool, sessions: bool, tmp_path: Path
) -> None:
    dice = random.Random(derive(0, line.__name__))
    (tmp_path / "a.log").write_text("\n".join(line(dice, number) for number in range(600)), encoding="utf-8")
    found = described(tmp_path / "a.log")
    check_runs(found, tmp_path)
    assert found.facts["layout"] == "derived from its lines"
    assert found.facts["understood"] == 1.0
    assert found.facts["times"]["out of order"] == found.facts["times"]["without"] == 0
    assert bool(found.facts["levels"]) == level
    assert (found.table["window"] == {"by": "session"}) == sessions


@pytest.mark.parametrize("seed", range(4))
def test_lines_that_lack_a_piece_are_events_of_their_own_and_stack_traces_are_not(seed: int, tmp_path: Path) -> None:
    """One line in 50 ends or goes over into its message after any of its pieces."""
    draw = random.Random(seed)
    lines, own = list[str](), 0
    for number in range(2_000):
        when = f"2026-03-01 {10 + number // 600}:{number // 10 % 60:02}:{number % 10:02}.120"
        pieces = [f" [{draw.randrange(9)}]", f" {draw.choice(['LOG', 'INFO'])}:  ", f"{draw.choice(['query', 'checkpoint'])}: "]
        kept = pieces if number % 50 else pieces[: draw.randrange(4)]
        lines.append(f"{when}{''.join(kept)}{draw.choice([' deadlock detected', f'took {number} ms'])}")
        own += 1
        if number % 7 == 0:
            lines.append("    at line 7 of a function")
    log = tmp_path / "own.log"
    log.write_text("\n".join(lines) + "\n")
    messages, understood = read(described(log).table)
    assert len(messages) == own
    assert understood == len(lines)
    assert all(("deadlock" in message) == ("deadlock" in lines[line - 1]) for line, message in messages.items())


@pytest.mark.parametrize("syntax", ["json", "csv", "logfmt"])
def test_lines_that_name_their_fields_need_no_usual_names(syntax: str, tmp_path: Path) -> None:
    rows = [
        {"when": f"2026-03-01T08:{number // 60 % 60:02}:{number % 60:02}", "sev": "info", "said": f"did the step {number} of all"}
        for number in range(300)
    ]
    text = {
        "json": [json.dumps(row) for row in rows],
        "csv": ["when,sev,said", *(",".join(row.values()) for row in rows)],
        "logfmt": [f'when={row["when"]} sev={row["sev"]} said="{row["said"]}"' for row in rows],
    }[syntax]
    (tmp_path / "a.log").write_text("\n".join(text))
    found = described(tmp_path / "a.log")
    check_runs(found, tmp_path)
    events = read_events(data_of({key: found.table[key] for key in found.table if key != "inject"}, "a test").open())
    assert len(events) == len(rows)
    assert events.levels == ("info",)
    assert events.time_E[0] == 1_772_352_000.0


def test_a_sample_is_bounded_and_holds_lines_of_the_beginning_the_middle_and_the_end(tmp_path: Path) -> None:
    lines = [f"{START + number} INFO api: step {number} of many" for number in range(20_000)]
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines) + "\n")
    sample = take_sample(str(log), part=1 << 14)
    assert not sample.whole
    assert len(sample.parts) == 3
    assert sample.read <= 6 << 14
    assert set(sample.texts) <= set(lines)
    assert sample.texts[0] == lines[0]
    assert sample.texts[-1] == lines[-1]
    assert sample.expected_lines == pytest.approx(len(lines), rel=0.05)
    whole = take_sample(str(log))
    assert whole.whole
    assert whole.texts == lines


def test_dirt_is_counted_shown_and_escaped(tmp_path: Path) -> None:
    lines = [f"2026-03-01 08:{n // 60:02}:{n % 60:02} INFO api: did {n % 7} of a lot".encode() for n in range(300)]
    dirty = [b"\xff\xfe not text", b"a\0b", b"", b"\x1b[2Jboo", b"x" * (1 << 20) + b"y"]
    (tmp_path / "a.log").write_bytes(b"\n".join([*lines, *dirty, *lines[:1]]))
    found = described(tmp_path / "a.log")
    dirt = {what: one["lines"] for what, one in found.facts["dirt"].items()}
    assert dirt == {"not UTF-8": 1, "with NUL": 1, "blank": 1, "longer than 1 MiB": 1}
    assert sum(one["lines"] for one in found.facts["quarantined"].values()) + found.facts["joined to the line above"] == 3
    assert "\x1b" not in found.text()
    assert "\x1b" not in found.experiment()
    assert found.facts["times"]["out of order"] == 1


def test_the_first_lines_are_shown_with_what_is_read_in_them(tmp_path: Path) -> None:
    lines = [f"2026-03-01 08:{n // 60:02}:{n % 60:02} WARN api: did {n}\x1b[2J of a lot" for n in range(300)]
    (tmp_path / "a.log").write_text("\n".join(lines))
    found = described(tmp_path / "a.log")
    assert [one["line"] for one in found.facts["first lines"]] == lines[:3]
    for one, line in zip(found.facts["first lines"], lines, strict=False):
        assert one["read"]["time"].startswith(line[:19])
        assert (one["read"]["level"], one["read"]["component"], one["read"]["message"]) == ("WARN", "api", line.partition(": ")[2])
    assert "\x1b" not in found.text()


def test_a_data_set_is_described_with_lines_and_with_those_in_quarantine(tmp_path: Path) -> None:
    sample = SAMPLES["bgl"](tmp_path)
    with sample.log.open("a") as log:
        log.write("\x1b[2J is no line of it\n")
    done = qlogad("data", "describe", "bgl", "--set", f"path={sample.log}", "--set", "window={by='count', size=10}")
    assert done.returncode == 0, done.stderr
    assert "\\x1b[2J is no line of it" in done.stdout
    assert "\x1b" not in done.stdout
    assert sample.log.read_text().splitlines()[0][:100] in done.stdout


def test_all_of_a_log_is_read_on_demand(tmp_path: Path) -> None:
    lines = [f"2026-03-01 08:{n // 60:02}:{n % 60:02} INFO api: did {n % 7} of a lot" for n in range(300)]
    (tmp_path / "a.log").write_text("\n".join(lines))
    some, everything = described(tmp_path / "a.log"), described(tmp_path / "a.log", whole=True)
    assert everything.table == some.table
    assert everything.facts["templates"] == some.facts["templates"]


def test_the_verb_prints_the_page_and_writes_an_experiment(tmp_path: Path) -> None:
    lines = [f"2026-03-01 08:{n // 60:02}:{n % 60:02} INFO api: did {n % 7} of a lot" for n in range(300)]
    (tmp_path / "a.log").write_text("\n".join(lines))
    done = qlogad("data", "describe", "a.log", "--out", "mine.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[data]" in done.stdout
    assert "qlogad run mine.toml" in done.stderr
    facts = json.loads(qlogad("data", "describe", "a.log", "--json", cwd=tmp_path).stdout)
    assert documents.plain(documents.read(tmp_path / "mine.toml")["data"]) == facts["data"]
    told = json.loads(qlogad("data", "describe", "a.log", "--json", "--set", "format=log4j", cwd=tmp_path).stdout)
    assert told["layout"] == "as told"
    assert qlogad("data", "describe", "nothing.log", cwd=tmp_path).returncode == 2


def test_a_log_without_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n\n")
    with pytest.raises(DataError, match="has no lines"):
        described(tmp_path / "a.log")


@pytest.mark.real
def test_loghubs_samples_are_read_as_their_formats_read_them(real_data: Path, tmp_path: Path) -> None:
    formats = names.formats()
    with tarfile.open(real_data / "loghub_2k" / "loghub_2k_original.tar.xz") as tar:
        logs = {item.name: tar.extractfile(item).read() for item in tar if item.name.endswith("_2k.log")}  # type: ignore[union-attr]
    assert len(logs) == 16
    for name, content in logs.items():
        log = tmp_path / name.rpartition("/")[2]
        log.write_bytes(content)
        system = log.name.removesuffix("_2k.log").lower()
        assert system in formats
        found = described(log)
        check_runs(found, tmp_path)
        right, most = read({"dataset": "lines", "format": system, "path": str(log)})
        messages, understood = read(dict(found.table))
        assert understood >= most, system
        assert messages == right, system


RAW = {
    "hdfs/hdfs_raw_first20k.log": "hdfs",
    "bgl/bgl_first10k.log": "bgl",
    "openstack/fi_nova_infoplus.log": "faultinjection",
    "openstack/fi_cinder_infoplus.log": "faultinjection",
    "openstack/kalaki_openstack-nova-sample.log": "openstack",
}


@pytest.mark.real
@pytest.mark.parametrize("name", RAW)
def test_the_beginning_of_a_real_log_is_read_as_its_format_reads_it(name: str, real_data: Path, tmp_path: Path) -> None:
    (stored,) = (path for path in (real_data / name).parent.glob(f"{Path(name).name}*") if path.suffix in {".log", ".xz"})
    log = tmp_path / "a.log"
    log.write_text("".join(f"{line.text}\n" for line in islice(read_lines(stored, Intake()), 6_000)), encoding="utf-8")
    found = described(log)
    check_runs(found, tmp_path)
    right, most = read({"dataset": "lines", "format": RAW[name], "path": str(log)})
    messages, understood = read(dict(found.table))
    assert understood >= most
    assert messages == right


@pytest.mark.real
def test_an_archive_of_many_files_is_looked_into(real_data: Path, tmp_path: Path) -> None:
    found = described(real_data / "iotdb_multilog" / "iotdb_single_nodes135.tar.xz")
    assert found.facts["layout"] == "iotdb"
    assert found.facts["labels"].keys() == {"normal", "anomalous"}


def test_a_log_too_short_for_an_experiment_is_profiled_and_says_so(tmp_path: Path) -> None:
    path, out = tmp_path / "short.log", tmp_path / "mine.toml"
    path.write_text("2026-01-01 00:00:00 INFO a: up\n2026-01-01 00:00:00 INFO a: down\n")
    done = qlogad("data", "describe", str(path), "--out", str(out), "--json")
    assert done.returncode == 2
    assert "take more of the log" in done.stderr
    assert not out.exists()
    found = json.loads(done.stdout)
    assert found["times"]["same as the one before"] == 1
    assert any("no experiment can run" in note for note in found["notes"])
