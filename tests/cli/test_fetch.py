"""Laws of `qlogad data fetch`: a licence is accepted first, what it prints runs as it stands, and stopping it loses nothing."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlogad import documents
from qlogad.experiment.data import data_of
from qlogad.logs.dataset import Intake
from qlogad.logs.published.download import part_of
from qlogad.logs.published.fetch import known
from qlogad.logs.synthetic import Synthetic
from tests.cli.test_cli import INTERRUPTIBLE
from tests.command_line import qlogad
from tests.logs.http_server import Publisher, serving, truncates

OWN = """
title = "Own"
holds = "a log"
file = "Own.zip"
url = ["{url}"]
source = "https://a.example/own"
cite = ["A book"]
[licence]
name = "Own licence"
demands = "tell everybody"
url = "https://a.example/licence"
[data]
dataset = "bgl"
path = "{{archive}}/own.log"
window = {{ by = "count", size = 10 }}
"""


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.delenv("QLOGAD_DATA", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    Synthetic(lines=2_000, seed=4, rate=0.2).write(tmp_path / "own.log")
    with zipfile.ZipFile(tmp_path / "packed", "w") as packed:
        packed.write(tmp_path / "own.log", "own.log")
    with serving(Publisher((tmp_path / "packed").read_bytes())) as one:
        (tmp_path / "own.toml").write_text(OWN.format(url=one.url))
        yield one


def test_without_a_name_it_lists_what_is_published() -> None:
    rows = json.loads(qlogad("data", "fetch", "--json").stdout)
    assert [row["name"] for row in rows] == [*known()]
    assert all(name in qlogad("data", "fetch").stdout for name in known())


def test_the_licence_is_accepted_first(publisher: Publisher, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = qlogad("data", "fetch", "own.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert all(said in done.stderr for said in ("Own licence", "tell everybody", "https://a.example/licence", "--accept-licence"))
    assert sorted(tmp_path.iterdir()) == before
    assert not publisher.asked


@pytest.mark.parametrize(("said", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_on_a_terminal_it_asks(said: bytes, code: int, publisher: Publisher, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "qlogad", "data", "fetch", "own.toml"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.write(ours, said)
        out, told = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, told
    assert bool(out) == (tmp_path / "data").exists() == (code == 0)
    assert "accept this licence?" in told


def test_what_it_prints_runs_as_it_stands(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for further in ([], ["--unpack"]):
        done = qlogad("data", "fetch", "own.toml", "--accept-licence", *further, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "no published checksum is known" in done.stdout
        table, intake = documents.parse(done.stdout)["data"], Intake()
        assert len([*data_of(table, "printed").open().records(intake)]) == intake.lines == 2_000
        facts = json.loads(qlogad("data", "fetch", "own.toml", "--json", *further, cwd=tmp_path).stdout)
        assert facts["data"] == table
        assert facts["sha256"] in done.stdout
    assert len(publisher.asked) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_at_any_byte_it_goes_on_from_there(how: signal.Signals, publisher: Publisher, tmp_path: Path) -> None:
    part = part_of(tmp_path / "data" / "own" / "Own.zip")
    publisher.faults = [truncates(random.Random(2))]
    publisher.always = lambda handler, content: handler.publisher.over.wait() and None
    command = [sys.executable, "-m", "qlogad", "data", "fetch", "own.toml", "--accept-licence"]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *command], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(publisher.asked) < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(how)
        told = process.communicate()[1]
    arrived, publisher.always = part.stat().st_size, None
    assert arrived
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command continues from there" in told
    done = qlogad(*command[3:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert publisher.asked[-1]["Range"] == f"bytes={arrived}-"
    assert part.with_name("Own.zip").read_bytes() == publisher.content
    assert [*part.parent.iterdir()] == [part.with_name("Own.zip")]
