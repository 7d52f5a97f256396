"""Laws of a journal: whoever dies while writing, and wherever, whole records stay and the study opens again."""

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

from qlogad.errors import InputError, QlogadError, QlogadWarning, StorageError
from qlogad.jobs.storage import Journal, Timing, open_storage

BRIEF = Timing(heartbeat=1, grace=3, patience=0.5)


def filled(place: Path, trials: int = 4) -> optuna.Study:
    study = optuna.create_study(storage=open_storage(str(place)), study_name="study", load_if_exists=True)
    for number in range(trials):
        trial = study.ask()
        trial.set_user_attr("näme\n", "x" * random.randrange(200))
        study.tell(trial, trial.suggest_float("x", 0, 1) + number)
    return study


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_journal_cut_at_any_byte_opens_with_its_whole_records(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    filled(whole)
    data = whole.read_bytes()
    last = [place for place, byte in enumerate(data) if byte == 10][-5]
    for cut in [*range(50), *range(last, len(data) + 1)]:
        path = tmp_path / f"cut{cut}"
        path.write_bytes(data[:cut])
        end = data[:cut].rfind(b"\n") + 1
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            storage = open_storage(str(path))
        assert path.read_bytes() == data[:end]
        assert [warning.category for warning in said] == [QlogadWarning] * (end < cut)
        if end < cut:
            assert (tmp_path / f"cut{cut}.torn").read_bytes() == data[end:cut] + b"\n"
        before = storage.get_all_studies()
        study = optuna.create_study(storage=storage, study_name="study", load_if_exists=True)
        if before:
            known = len(study.trials)
            study.tell(study.ask(), 1.0)
            assert len(optuna.load_study(study_name="study", storage=open_storage(str(path))).trials) == known + 1


def test_the_next_writer_mends_what_another_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    study = filled(path)
    for rest in (b'{"op_code":', b'{"op_code": 4}', b"\0" * 5000):
        with path.open("ab") as file:
            file.write(rest)
        with pytest.warns(QlogadWarning, match="ended in the middle of a record"):
            study.tell(study.ask(), 2.0)
        assert all("op_code" in record for record in records(path))
        again = optuna.load_study(study_name="study", storage=open_storage(str(path)))
        assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]


def write_until_killed(path: str, who: int, acknowledged: str) -> None:
    study = optuna.create_study(storage=open_storage(path), study_name="study", load_if_exists=True)
    with open(acknowledged, "a") as file:
        for count in range(10**6):
            study.tell(study.ask(), who * 10**6 + count)
            file.write(f"{who * 10**6 + count}\n")
            file.flush()


def killed_writers(tmp_path: Path, rounds: int) -> None:
    """Writers killed at random instants: what was acknowledged is there once, and nothing else but what was under way."""
    path, spawn = tmp_path / "journal", multiprocessing.get_context("spawn")
    filled(path, 1)
    for number in range(rounds):
        pair = [
            spawn.Process(target=write_until_killed, args=(str(path), 2 * number + k + 1, f"{tmp_path}/told{2 * number + k + 1}"))
            for k in range(2)
        ]
        for process in pair:
            process.start()
        while not all((tmp_path / f"told{2 * number + k + 1}").exists() for k in range(2)):
            time.sleep(0.01)
        for process in pair:
            time.sleep(random.random() / 5)
            assert process.is_alive()
            process.kill()
            process.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QlogadWarning)
        found = optuna.load_study(study_name="study", storage=open_storage(str(path))).get_trials(
            states=(optuna.trial.TrialState.COMPLETE,)
        )
    values = [int(trial.values[0]) for trial in found][1:]
    told = [int(line) for file in tmp_path.glob("told*") for line in file.read_text().split("\n")[:-1]]
    assert len(values) == len(set(values))
    assert set(told) <= set(values)
    assert len(set(values) - set(told)) <= 2 * rounds


def test_writers_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    killed_writers(tmp_path, rounds=1)


@pytest.mark.slow
def test_writers_killed_again_and_again_lose_nothing(tmp_path: Path) -> None:
    killed_writers(tmp_path, rounds=15)


def fill_up(path: Path) -> None:
    study = optuna.load_study(study_name="study", storage=open_storage(str(path), BRIEF))
    while True:
        study.tell(study.ask(), 1.0)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    study = filled(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = len(study.trials)
    for room in (0, 1, 70, 301):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(path.read_bytes()) + room, limits[1]))
        try:
            with pytest.warns(QlogadWarning, match="trying for"), pytest.raises(StorageError, match="recorded is kept") as error:
                fill_up(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "\n" not in str(error.value)
        assert path.read_bytes().startswith(before)
        assert path.read_bytes().endswith(b"\n")
    study.tell(study.ask(), 1.0)
    assert [trial.values for trial in study.trials][:done] == [trial.values for trial in filled(path, 0).trials][:done]


def test_a_disk_with_room_again_within_the_patience_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    filled(path)
    code = (
        "import resource, signal, sys, threading, optuna, warnings; warnings.simplefilter('ignore')\n"
        "from qlogad.jobs.storage import Timing, open_storage\n"
        "study = optuna.load_study(study_name='study', storage=open_storage(sys.argv[1], Timing(patience=60)))\n"
        "size, hard = len(open(sys.argv[1], 'rb').read()), resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))\n"
        "threading.Timer(1.0, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))).start()\n"
        "study.tell(study.ask(), 77.0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert [trial.values for trial in filled(path, 0).trials][-1] == [77.0]


def hold(path: str) -> None:
    with Journal(Path(path), 1.0)._locked():
        Path(path + ".held").touch()
        time.sleep(60)


def test_the_lock_of_a_dead_process_is_none_and_that_of_a_stopped_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    study = filled(path)
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(str(path),))
    holder.start()
    while not Path(f"{path}.held").exists():
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGSTOP)
    with pytest.raises(StorageError, match="has been locked for"):
        open_storage(str(path), BRIEF)
    holder.kill()
    holder.join()
    open_storage(str(path), BRIEF)
    study.tell(study.ask(), 1.0)


def test_what_is_no_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    filled(journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    (tmp_path / "damaged").write_bytes(b"".join([*lines[:3], b"?\n", *lines[3:]]))
    (tmp_path / "text").write_text("some notes")
    (tmp_path / "lines").write_text("some notes\nand more\n")
    (tmp_path / "json").write_text("[1, 2]\n")
    refused: dict[str, type[QlogadError]] = {"text": InputError, "lines": InputError, "json": InputError, "damaged": StorageError}
    places = {str(tmp_path / name): kind for name, kind in refused.items()}
    places |= {str(tmp_path): InputError, str(tmp_path / "text" / "below"): StorageError, "sqlite:///x.db": InputError}
    for place, kind in places.items():
        before = Path(place).read_bytes() if Path(place).is_file() else b""
        with pytest.raises(kind) as error:
            open_storage(place)
        assert "\n" not in str(error.value)
        assert not before or Path(place).read_bytes() == before


def refusal(path: Path) -> str:
    """Why a journal is not read, in words; empty where it is."""
    try:
        open_storage(str(path), BRIEF).get_all_studies()
    except QlogadError as error:
        return str(error)
    return ""


def test_a_byte_altered_anywhere_is_told_with_the_line_and_nothing_is_lost(tmp_path: Path) -> None:
    whole, path, generator = tmp_path / "whole", tmp_path / "journal", random.Random(0)
    filled(whole)
    data = whole.read_bytes()
    last = data[:-1].rfind(b"\n") + 1
    for place in generator.sample(range(last), 60):
        altered = data[:place] + bytes([data[place] ^ 1 << generator.randrange(7)]) + data[place + 1 :]
        path.write_bytes(altered)
        said = refusal(path)
        assert path.read_bytes() == altered
        assert (str(path) in said and "copy" in said) or b'"seal"' not in altered[altered.rfind(b"\n", 0, place) + 1 :].split(
            b"\n"
        )[0]


def test_a_journal_is_not_written_through_a_link(tmp_path: Path) -> None:
    filled(tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "whole")
    with pytest.raises(StorageError, match="it is a link"):
        open_storage(str(tmp_path / "link"), BRIEF)
    assert (tmp_path / "whole").read_bytes() == data
