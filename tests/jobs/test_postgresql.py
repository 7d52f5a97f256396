"""Laws of a study on a real PostgreSQL server: shared by drivers that have nothing else in common, and no trial is lost to any death."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from qlogad.errors import InputError, StorageError
from qlogad.jobs.attempts import attempts, cause
from qlogad.jobs.storage import Timing, open_storage
from tests.jobs.worker_jobs import SHORT, Bowl, random_sampler

pytestmark = pytest.mark.postgresql


def program(name: str) -> str:
    """One of PostgreSQL's programs: on the path, or where pg_config says."""
    found = shutil.which(name)
    if found is None and (config := shutil.which("pg_config")):
        found = shutil.which(
            name, path=subprocess.run([config, "--bindir"], check=True, capture_output=True, text=True).stdout.strip()
        )
    assert found, f"there is no {name} on the path; install PostgreSQL's server"
    return found


@dataclass
class Server:
    """A server of our own in a folder of its own; as root it runs as 'nobody', for PostgreSQL refuses root."""

    folder: Path
    port: int
    drivers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def run(self, name: str, *options: str) -> "subprocess.Popen[bytes]":
        user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.getuid() == 0 else {}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [program(name), "-D", str(self.folder / "data"), *options], cwd=self.folder, stdout=log, stderr=log, **user
            )

    def start(self) -> None:
        import psycopg

        options = ("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-F")
        self.process = self.run("postgres", *options)
        ended = 0
        while True:
            try:
                psycopg.connect(self.place.replace("/studies", "/postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None:  # what is left of a killed one is in the way for a moment
                    ended += 1
                    assert ended < 300, (self.folder / "postgres.log").read_text()[-2000:]
                    self.process = self.run("postgres", *options)
                time.sleep(0.1)

    def stop(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait()

    @property
    def place(self) -> str:
        return f"postgresql://tester:secret@127.0.0.1:{self.port}/studies"

    def empty(self) -> None:
        """Begin with a database without tables."""
        import psycopg

        with psycopg.connect(self.place.replace("/studies", "/postgres"), autocommit=True) as connection:
            connection.execute("drop database if exists studies")
            connection.execute("create database studies")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="qlogad-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Server(folder, free.getsockname()[1])
    try:
        assert made.run("initdb", "-U", "tester", "-A", "trust", "--no-sync").wait() == 0, (folder / "initdb.log").read_text()
        made.start()
        made.empty()
        yield made
        for process in made.drivers:
            if process.poll() is None:  # of a law that does not hold
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        made.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)


def driver(
    server: Server, study: str, home: Path, notes: Path, *, trials: int, pause: float, grace: int = 20
) -> "subprocess.Popen[bytes]":
    """A driver with two workers, in a session and a home of its own."""
    for folder in (home, notes):
        folder.mkdir(exist_ok=True)
    timing = (SHORT.heartbeat, grace, SHORT.patience)
    orders = {
        "place": server.place,
        "notes": str(notes),
        "trials": trials,
        "workers": 2,
        "pause": pause,
        "timing": timing,
        "study": study,
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("worker_jobs.py")), json.dumps(orders)],
        cwd=home,
        env={**os.environ, "HOME": str(home)},
        start_new_session=True,
    )
    server.drivers.append(process)
    return process


def begun(notes: Path) -> Counter[int]:
    return Counter(int(note.name.split("-")[0]) for note in notes.iterdir())


def wait_for(notes: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while begun(notes).total() < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finished(server: Server, study: str, trials: int) -> dict[int, list[FrozenTrial]]:
    """The attempts of every index: the last of each, and no other, has the value it must have."""
    chains = attempts(optuna.load_study(study_name=study, storage=open_storage(server.place)).trials)
    assert sorted(chains) == list(range(trials))
    for index, chain in chains.items():
        assert chain[-1].values == [Bowl()(optuna.create_study(sampler=random_sampler(index)).ask())]
        assert [trial.state for trial in chain] == [TrialState.FAIL] * (len(chain) - 1) + [TrialState.COMPLETE]
    return chains


def test_two_drivers_share_a_study(server: Server, tmp_path: Path) -> None:
    server.empty()  # whoever comes first makes the tables
    both = [driver(server, "shared", tmp_path / f"home{k}", tmp_path / f"notes{k}", trials=24, pause=0.2) for k in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    finished(server, "shared", 24)
    parts = [begun(tmp_path / f"notes{k}") for k in range(2)]
    assert parts[0] + parts[1] == Counter(range(24))
    assert all(parts)


def test_a_killed_worker_is_replaced_and_its_trial_tried_again(server: Server, tmp_path: Path) -> None:
    process = driver(server, "killed", tmp_path / "home", tmp_path / "notes", trials=8, pause=0.5)
    wait_for(tmp_path / "notes", 3)
    latest = max((tmp_path / "notes").iterdir(), key=lambda note: note.stat().st_mtime_ns)
    os.kill(int(latest.name.split("-")[2]), signal.SIGKILL)
    assert process.wait(60) == 0
    interrupted = [trial for chain in finished(server, "killed", 8).values() for trial in chain[:-1]]
    assert [str(cause(trial)).startswith("interrupted: its worker died (signal SIGKILL") for trial in interrupted] == [True]


def test_a_server_killed_in_mid_study_loses_no_trial(server: Server, tmp_path: Path) -> None:
    process = driver(server, "outage", tmp_path / "home", tmp_path / "notes", trials=12, pause=0.4)
    for count in (3, 7):
        wait_for(tmp_path / "notes", count)
        server.stop(signal.SIGKILL)
        time.sleep(1.5)  # trials end meanwhile, and their values wait
        assert process.poll() is None
        server.start()
    assert process.wait(60) == 0
    finished(server, "outage", 12)
    assert begun(tmp_path / "notes") == Counter(range(12))


def test_a_node_that_falls_silent_is_replaced_and_may_come_back(server: Server, tmp_path: Path) -> None:
    silent = driver(server, "silent", tmp_path / "home0", tmp_path / "notes0", trials=6, pause=1.0, grace=3)
    wait_for(tmp_path / "notes0", 2)
    os.killpg(silent.pid, signal.SIGSTOP)
    other = driver(server, "silent", tmp_path / "home1", tmp_path / "notes1", trials=6, pause=0.1, grace=3)
    assert other.wait(60) == 0
    before = {index: [trial.number for trial in chain] for index, chain in finished(server, "silent", 6).items()}
    assert sum(len(numbers) - 1 for numbers in before.values()) in (1, 2)
    os.killpg(silent.pid, signal.SIGCONT)
    assert silent.wait(60) == 0
    after = finished(server, "silent", 6)
    assert {index: [trial.number for trial in chain] for index, chain in after.items()} == before
    assert all("no heartbeat" in str(cause(trial)) for chain in after.values() for trial in chain[:-1])


def test_a_server_that_stays_away_is_one_line_without_the_password(server: Server) -> None:
    away = server.place.replace(str(server.port), "9")
    with pytest.raises(StorageError, match="cannot be opened") as error:
        open_storage(away)
    with pytest.raises(StorageError, match="cannot be reached") as late, pytest.warns(match="trying for"):
        open_storage(away, Timing(patience=0.3), wait=True)
    for caught in (error, late):
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match=r"cannot be parsed.*postgresql://user@host/database"):
        open_storage("postgresql://host:port/database")
