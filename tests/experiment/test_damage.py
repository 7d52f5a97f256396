"""Laws of a results folder: whatever becomes of its files, the same command ends in the same table, or names the file and the next step."""

import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from qlogad.errors import QlogadError, QlogadWarning
from qlogad.experiment import Experiment
from qlogad.hardware.windows import trained
from qlogad.report.record import Record
from qlogad.run import run

TOML = """
[data]
dataset = "synthetic"
lines = 3000
rate = 0.2
split = { by = "time", cuts = [0.6] }
[[contender]]
name = "quantum"
detector = "deeplog"
history = 2
epochs = 1
embedding = 3
core = { kind = "quantum", wires = 2, hidden = 3 }
[[contender]]
name = "2-gram"
detector = "ngram"
[judge]
seeds = 1
resamples = 20
"""
TARGET = "somebody's own"
CLOCK = ("fit_seconds", "score_seconds")
Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "small.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a run."""
    out = tmp_path_factory.mktemp("finished")
    assert not run(Experiment.load(file), out, workers=1).failed
    return out / "small"


def again(file: Path, folder: Path) -> Record:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QlogadWarning)  # of a journal that was mended
        return run(Experiment.load(file), folder.parent, workers=1)


def rows(record: Record) -> Rows:
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in record.rows]


@pytest.fixture(scope="module")
def wanted(file: Path, finished: Path) -> Rows:
    """The rows of the same command again, on a folder that nothing befell."""
    return rows(again(file, finished))


def held(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and ".alive" not in str(path))


# ---------------------------------------------------------------- ways to damage a file; each is told a generator and a target


def emptied(path: Path, generator: random.Random, target: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path, generator: random.Random, target: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: generator.randrange(max(1, len(content)))])


def flipped(path: Path, generator: random.Random, target: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in generator.sample(range(len(content)), min(3, len(content))):
        content[place] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def linked(path: Path, generator: random.Random, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def of_another_version(path: Path, generator: random.Random, target: Path) -> None:
    content = path.read_bytes()
    for old, new in ((b'"format": 2', b'"format": 3'), (b"format = 2", b"format = 3"), (b"NUMPY\x01", b"NUMPY\x09")):
        content = content.replace(old, new)
    path.write_bytes(content.replace(b'{"op_code"', b'{"code"'))


def removed(path: Path, generator: random.Random, target: Path) -> None:
    path.unlink()


def a_folder(path: Path, generator: random.Random, target: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "kept").write_text(TARGET)


Damage = Callable[[Path, random.Random, Path], None]
WAYS: list[Damage] = [emptied, torn, flipped, linked, of_another_version, removed]


def copy(finished: Path, to: Path) -> tuple[Path, Path]:
    """A copy of a finished folder, and a file that links may point to."""
    (to / "target").write_text(TARGET)
    return Path(shutil.copytree(finished, to / "out" / "small")), to / "target"


def in_turn(path: Path, generator: random.Random, target: Path) -> None:
    generator.choice(WAYS)(path, generator, target)


@pytest.mark.parametrize("damage", [in_turn, *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS)])
def test_a_folder_of_which_every_file_is_damaged_is_made_again(
    damage: Damage, file: Path, finished: Path, wanted: Rows, tmp_path: Path
) -> None:
    """Each file in a way of its own; all in one way are slow laws."""
    folder, target = copy(finished, tmp_path)
    for path in held(folder):
        damage(path, random.Random(str(path.relative_to(folder))), target)
    record = again(file, folder)
    assert not record.failed
    assert rows(record) == wanted
    assert target.read_text() == TARGET
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert again(file, folder).reused == len(record.cells)
    assert trained(folder, "quantum").folder.is_dir()


def test_one_damaged_file_is_made_again(file: Path, finished: Path, wanted: Rows, tmp_path: Path) -> None:
    """Among files that are whole; all ways with all files are a slow law."""
    one_is_made_again(emptied, "scores.npz", file, finished, wanted, tmp_path)


def one_is_made_again(damage: Damage, name: str, file: Path, finished: Path, wanted: Rows, to: Path) -> None:
    folder, target = copy(finished, to)
    path = next(path for path in held(folder) if path.name == name)
    damage(path, random.Random(name), target)
    record = again(file, folder)
    assert not record.failed
    assert rows(record) == wanted
    assert target.read_text() == TARGET


@pytest.mark.slow
@pytest.mark.parametrize("damage", WAYS)
def test_any_damaged_file_is_made_again(damage: Damage, file: Path, finished: Path, wanted: Rows, tmp_path: Path) -> None:
    for number, name in enumerate(sorted({path.name for path in held(finished)})):
        (tmp_path / str(number)).mkdir()
        one_is_made_again(damage, name, file, finished, wanted, tmp_path / str(number))


def named_or_same(path: Path, file: Path, wanted: Rows, folder: Path) -> None:
    """A folder in a file's place is named, with what to do, and nothing in it is lost; or it is in nobody's way."""
    try:
        record = again(file, folder)
        said = list(record.failed.values())
        same = rows(record) == wanted
    except QlogadError as error:
        said, same = [str(error)], False
    assert same or any(str(path) in one and "move it away" in one and "\n" not in one for one in said)
    assert (path / "kept").read_text() == TARGET


@pytest.mark.parametrize("name", ["cell.json", "table.md"])
def test_a_folder_in_the_place_of_a_file_is_named(name: str, file: Path, finished: Path, wanted: Rows, tmp_path: Path) -> None:
    folder, target = copy(finished, tmp_path)
    path = next(path for path in held(folder) if path.name == name)
    a_folder(path, random.Random(0), target)
    named_or_same(path, file, wanted, folder)


@pytest.mark.slow
def test_a_folder_in_the_place_of_any_file_is_named(file: Path, finished: Path, wanted: Rows, tmp_path: Path) -> None:
    for number, name in enumerate(sorted({path.name for path in held(finished)})):
        (tmp_path / str(number)).mkdir()
        folder, target = copy(finished, tmp_path / str(number))
        path = next(path for path in held(folder) if path.name == name)
        a_folder(path, random.Random(0), target)
        named_or_same(path, file, wanted, folder)


READ = [
    (name, damage) for name in ("0.60.npz", "cell.json", "scores.npz") for damage in (emptied, torn, of_another_version, removed)
]


@pytest.mark.parametrize(("name", "damage"), [("runs.csv", emptied), ("runs.csv", removed), *READ])
def test_who_reads_a_damaged_folder_is_told_to_run_again(name: str, damage: Damage, finished: Path, tmp_path: Path) -> None:
    folder, target = copy(finished, tmp_path)
    for path in held(folder):
        if path.name == name:
            damage(path, random.Random(0), target)
    with pytest.raises(QlogadError, match="run the experiment again") as caught:
        trained(folder, "quantum")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- two at once


LIGHT = TOML[: TOML.index("[[contender]]")] + TOML[TOML.rindex("[[contender]]") :]  # no circuit, nor anything that needs torch


@pytest.mark.parametrize(
    ("text", "flags", "times"),
    [
        (LIGHT, [], 1),
        pytest.param(LIGHT, ["--fresh"], 5, marks=pytest.mark.slow),
        pytest.param(TOML, [], 10, marks=pytest.mark.slow),
        pytest.param(TOML, ["--fresh"], 10, marks=pytest.mark.slow),
    ],
)
def test_two_equal_commands_within_a_second_end_in_equal_tables(text: str, flags: list[str], times: int, tmp_path: Path) -> None:
    """That the second one of two which begin afresh waits for the first is a law of `files.at_work` too."""
    generator, file = random.Random(0), tmp_path / "small.toml"
    file.write_text(text)
    for number in range(times):
        out = tmp_path / str(number)
        command = [sys.executable, "-m", "qlogad.cli", "run", str(file), "--out", str(out), "--workers", "1", *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        both = [subprocess.Popen(command, **pipes)]  # type: ignore[call-overload]
        time.sleep(generator.random() * bool(number))  # the first two at once
        both.append(subprocess.Popen(command, **pipes))  # type: ignore[call-overload]
        said = [one.communicate() for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert said[0][0] == said[1][0]
        assert rows(again(file, out / "small")) == rows(again(file, tmp_path / "alone" / "small"))
