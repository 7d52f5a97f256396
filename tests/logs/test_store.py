"""The event store gives back what was read, whatever happens to it: damage, full disks, other processes, changed logs."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlogad import documents
from qlogad.errors import InputError, QlogadWarning
from qlogad.experiment.data import data_of
from qlogad.logs import store
from qlogad.logs.dataset import Dataset, Intake, LogRecord
from qlogad.logs.events import Events, read_events
from qlogad.logs.hdfs import Hdfs
from qlogad.logs.synthetic import Synthetic

from .samples import SAMPLES


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which every log is kept, however short."""
    monkeypatch.setenv("QLOGAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QLOGAD_STORE_GB", raising=False)
    monkeypatch.setattr(store, "LEAST", 1)
    return tmp_path / "cache" / "events"


def stores(cache: Path) -> list[Path]:
    return [path for path in sorted(cache.iterdir()) if path.name != "locks"] if cache.is_dir() else []


def same(one: Events, two: Events) -> bool:
    """Whether two are equal field by field, types included."""

    def equal(a: object, b: object) -> bool:
        if isinstance(a, np.ndarray):
            return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        return a == b

    return all(equal(getattr(one, field.name), getattr(two, field.name)) for field in fields(Events))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_data_set_reads_the_same_with_a_store_and_without(name: str, tmp_path: Path, cache: Path) -> None:
    dataset = data_of(SAMPLES[name](tmp_path).data, name).open()
    plain = read_events(dataset, store=False)
    assert not stores(cache)
    seen: list[int] = []
    for _ in range(2):
        events = read_events(dataset, seen.append)
        assert same(events, plain)
        assert seen[-1] == plain.intake.lines
        assert not events.line_E.flags.writeable
        assert len(stores(cache)) == 1


@dataclass(frozen=True)
class Remembered(Dataset):
    """Records as they are given, with lines that are not understood between them."""

    rows: tuple[LogRecord, ...]
    reasons: tuple[str, ...] = ()
    labelled: bool = False
    masks: ClassVar[tuple[tuple[str, str], ...]] = (("NUM", r"\d+"), ("ODD", "[\ud800-\udfff]+"))

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        intake.warnings.extend(self.reasons[:1])
        for number, reason in enumerate(self.reasons):
            intake.lines += 1
            intake.set_aside(number, 10 * number, reason)
        for row in self.rows:
            intake.lines += 1
            intake.records += 1
            yield row

    def source_digest(self) -> str:
        return documents.digest(repr(self))

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        return {}

    def session_labels(self) -> Mapping[str, int] | None:
        return {"a": 0, "b": 1} if self.labelled else None

    def given_split(self) -> Mapping[str, str] | None:
        return {"a": "train", "b": "test"} if self.labelled else None


words = st.text(st.characters(codec=None), max_size=3) | st.sampled_from(["", "a", "b", "get 12 of 7", "<*> é 😀"])
record = st.builds(
    LogRecord,
    line=st.integers(0, 2**60),
    offset=st.integers(0, 2**60),
    time=st.floats(-9e9, 9e9) | st.just(float("nan")),
    sessions=st.lists(words, max_size=3, unique=True).map(tuple),
    level=words,
    component=words,
    message=words,
    label=st.sampled_from([-1, 0, 1]),
    kind=words,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(record, min_size=1, max_size=20), st.lists(st.sampled_from(["x", "y"]), max_size=4), st.booleans())
def test_whatever_the_records_say_comes_back(rows: list[LogRecord], reasons: list[str], labelled: bool) -> None:
    dataset = Remembered(tuple(rows), tuple(reasons), labelled)
    plain = read_events(dataset, store=False)
    assert same(read_events(dataset), plain)
    again = read_events(dataset)
    assert same(again, plain)
    assert not again.line_E.flags.writeable


def _flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def _truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


def _lengthen(path: Path, dice: random.Random) -> None:
    with open(path, "ab") as file:
        file.write(dice.randbytes(dice.randrange(1, 17)))


def _empty(path: Path, dice: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _swap(path: Path, dice: random.Random) -> None:
    """The file of a store of another log."""
    content = (read_store(Synthetic(lines=300, seed=dice.randrange(1, 1 << 30))) / path.name).read_bytes()
    path.write_bytes(content if content != path.read_bytes() else content + b" ")


def read_store(dataset: Dataset) -> Path:
    """The folder of a data set's store, which is written if missing."""
    before = set(stores(store.folder()))
    read_events(dataset)
    return (set(stores(store.folder())) - before).pop()


def _remove(path: Path, dice: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_flip, _truncate, _lengthen, _empty, _swap, _remove])
def test_a_damaged_store_is_told_and_made_anew(
    damage: Callable[[Path, random.Random], None], cache: Path, drawn: random.Random
) -> None:
    dataset = Synthetic(lines=300)
    plain = read_events(dataset, store=False)
    own = read_store(dataset)
    names = [path.name for path in sorted(own.iterdir()) if path.stat().st_size]
    for name in {"store.json", *drawn.sample(names, 8)}:
        damage(own / name, drawn)
        with pytest.warns(QlogadWarning, match="not as it was written") as told:
            assert same(read_events(dataset), plain)
        assert len(told) == 1
        with warnings.catch_warnings(action="error"):
            assert same(read_events(dataset), plain)
        assert own in stores(cache)


def test_a_store_whose_digests_are_right_is_still_held_to_what_can_be(cache: Path) -> None:
    """Numbers that no log gives, as a program of somebody else could write them, digests and all."""
    dataset = Synthetic(lines=300)
    plain = read_events(dataset, store=False)
    wrong = {
        "time_E": np.inf,
        "label_E": 2,
        "kind_E": 99,
        "level_E": -1,
        "text_E": 1 << 40,
        "member_event_M": 300,
        "member_session_M": 1 << 40,
        "values.offsets": -1,
        "values.ends": 1 << 40,
        "values.text": 255,
        "texts.text": 255,
        "sessions.ends": 1 << 20,
    }
    for name, number in wrong.items():
        own = read_store(dataset)
        numbers = np.fromfile(own / name, store._FILES[name].dtype)
        numbers[len(numbers) // 2] = number
        written = store.files.read_facts(own / "store.json")
        (own / name).write_bytes(numbers.tobytes())
        written["files"][name]["sha256"] = store.hashlib.sha256(numbers.tobytes()).hexdigest()
        store.files.write_facts(own / "store.json", written)
        with pytest.warns(QlogadWarning, match="not as it was written"):
            assert same(read_events(dataset), plain)
        shutil.rmtree(own)


def test_a_foreign_thing_in_a_stores_place_is_told_and_replaced(cache: Path) -> None:
    dataset = Synthetic(lines=300)
    own = read_store(dataset)
    shutil.rmtree(own)
    own.write_text("a file")
    with pytest.warns(QlogadWarning, match="not as it was written"):
        read_events(dataset)
    assert stores(cache) == [own]
    assert own.is_dir()


def test_a_half_written_store_is_told_and_removed(cache: Path) -> None:
    dataset = Synthetic(lines=300)
    own = read_store(dataset)
    half = own.with_name(f".{own.name}.{'0' * 12}.tmp")
    own.rename(half)
    (half / "store.json").unlink()
    with pytest.warns(QlogadWarning, match="unfinished"):
        assert same(read_events(dataset), read_events(dataset, store=False))
    assert stores(cache) == [own]


def test_an_error_while_reading_leaves_no_store(cache: Path) -> None:
    rows = [LogRecord(n + 1, n, float(n), (), "", "", "x", 0) for n in range(20_000)]
    with pytest.raises(InputError, match="not between the years"):
        read_events(Remembered((*rows, rows[0]._replace(time=1e12))))
    assert not stores(cache)


# ---------------------------------------------------------------- caches that are full, closed or shared


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/nowhere"])
def test_a_cache_that_cannot_be_written_costs_the_store_alone(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Synthetic(lines=300)
    monkeypatch.setenv("QLOGAD_CACHE", place)
    with pytest.warns(QlogadWarning, match="read into memory") as told:
        assert same(read_events(dataset), read_events(dataset, store=False))
    assert len(told) == 1


PROGRAM = """
import resource, sys, warnings
from qlogad.logs import store
from qlogad.logs.events import read_events
from qlogad.logs.synthetic import Synthetic
store.LEAST = 1
{first}
events = read_events(Synthetic(lines={lines}))
print(events.line_E.sum(), events.text_E.sum(), len(events.texts), events.values_E[len(events) - 1], events.line_E.flags.writeable)
"""


def started(first: str = "", lines: int = 3_000) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = PROGRAM.format(first=first, lines=lines)
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=-1, stderr=-1, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out.strip(), error


def test_a_full_disk_costs_the_store_alone(cache: Path) -> None:
    """Files that cannot grow stand for a disk that is full."""
    told, error = ended(started("resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))"))
    assert error.count("read into memory") == 1
    assert not stores(cache)
    assert told.removesuffix("True") == ended(started())[0].removesuffix("False")


def test_processes_that_read_one_log_at_once_all_end_right(cache: Path) -> None:
    together = [started() for _ in range(3)]
    assert len({ended(one)[0] for one in together}) == 1
    assert len(stores(cache)) == 1


def test_a_process_that_is_killed_leaves_nothing_in_the_way(cache: Path) -> None:
    killed = started("store.Writer.finish = lambda *_: __import__('os').kill(__import__('os').getpid(), 9)")
    killed.communicate()
    assert killed.returncode == -9
    assert len(stores(cache)) == 1
    assert "unfinished" in ended(started())[1]
    assert [path.name.startswith(".") for path in stores(cache)] == [False]


def test_stores_used_longest_ago_make_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "mine").mkdir(parents=True)
    (cache / "mine" / "thesis").write_bytes(bytes(100_000))
    made = []
    for seed in range(3):
        made.append(read_store(Synthetic(lines=300, seed=seed)))
        os.utime(made[-1], (seed, seed))
    each = max(sum(file.stat().st_size for file in one.iterdir()) for one in made)
    assert store.usage().logs == 3
    assert store.usage().size <= 3 * each
    read_events(Synthetic(lines=300, seed=0))  # used again
    monkeypatch.setenv("QLOGAD_STORE_GB", str(3.5 * each / 1e9))
    newest = read_store(Synthetic(lines=300, seed=3))
    assert {made[0], made[2], newest} <= set(stores(cache))
    assert made[1] not in stores(cache)
    monkeypatch.setenv("QLOGAD_STORE_GB", "1e-9")
    newest = read_store(Synthetic(lines=300, seed=4))
    assert stores(cache) == [newest, cache / "mine"]
    assert (cache / "mine" / "thesis").exists()
    monkeypatch.setenv("QLOGAD_STORE_GB", "0")
    assert read_events(Synthetic(lines=300, seed=5)).line_E.flags.writeable
    monkeypatch.setenv("QLOGAD_STORE_GB", "much")
    with pytest.raises(InputError, match="QLOGAD_STORE_GB"):
        read_events(Synthetic(lines=300, seed=5))


# ---------------------------------------------------------------- logs that change


def _hdfs(path: Path, many: int) -> None:
    path.write_text("".join(f"081109 2035{n % 60:02} 7 INFO dfs.A: moved blk_{n} to /10.0.0.{n % 9}\n" for n in range(many)))


def test_a_changed_log_is_read_anew(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "x.log"
    for many in (30, 31, 30):
        _hdfs(log, many)
        assert len(read_events(Hdfs(str(log)))) == many
    assert len(stores(cache)) == 2


def test_a_log_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "x.log"
    _hdfs(log, 30)
    grown: list[int] = []

    def grow(lines: int) -> None:
        if not grown:
            grown.append(lines)
            _hdfs(log, 40)

    with pytest.warns(QlogadWarning, match="changed while it was read"):
        assert len(read_events(Hdfs(str(log)), grow)) == 40
    assert not stores(cache)


# ---------------------------------------------------------------- memory

GROWTH = r"""
import re
from qlogad.logs.events import read_events
from tests.logs.test_store import Counted
peak = lambda: int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
read_events(Counted(60_000), store={kept})
before = peak()
read_events(Counted({lines}), store={kept})
print(1024 * (peak() - before))
"""


@dataclass(frozen=True)
class Counted(Dataset):
    """As many lines as asked for, of few messages."""

    lines: int
    masks: ClassVar[tuple[tuple[str, str], ...]] = (("NUM", r"\d+"),)

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        for n in range(self.lines):
            intake.lines += 1
            intake.records += 1
            yield LogRecord(n + 1, 90 * n, float(n), ("a", "b"), "INFO", "x", f"sent {n} of {n * 7919} to {n % 255}", 0)

    def source_digest(self) -> str:
        return str(self.lines)

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        return {}


def growth(lines: int, *, kept: bool) -> int:
    """How much the peak memory of a process grows, in bytes, by a log of so many lines after one of 60,000."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    program = GROWTH.format(kept=kept, lines=lines)
    return int(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("lines", [300_000, pytest.param(20_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_log(lines: int) -> None:
    assert growth(lines, kept=True) < min(40 * lines, 32 << 20)  # bytes; the columns take 160 a line


def test_memory_does_grow_with_the_log_where_nothing_is_stored() -> None:
    """So the law above can fail."""
    assert growth(120_000, kept=False) > 100 * 60_000
