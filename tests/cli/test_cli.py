"""Laws of the command line: results on stdout, one-line errors with exit code 2, JSON for machines, an example in every help."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.core import TyperGroup

from qlogad import names
from qlogad.catalogue import listing
from qlogad.cli.commands import Verbs
from qlogad.cli.failures import INTERRUPTED, explain
from tests.command_line import qlogad

EXPERIMENT, STUDY = (Path(__file__).parents[2] / "experiments" / name for name in ("quickstart.toml", "quickstart.sweep.toml"))
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def verbs(package: str = "qlogad.cli.verbs") -> list[str]:
    """Every verb there is, those of groups with the group's name before them."""
    found: list[str] = []
    for name, command in Verbs(package).items():
        inner = verbs(f"{package}.{name}") if isinstance(command, TyperGroup) and isinstance(command.commands, Verbs) else [""]
        found += [f"{name} {one}".strip() for one in inner]
    return found


VERBS = verbs()


def process(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same as `qlogad` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "qlogad", *words], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str) -> None:
    done = qlogad(*verb.split(), "--help")
    assert done.returncode == 0
    assert f"Example: qlogad {verb}" in done.stdout


def test_the_verbs_are_the_files_and_their_helps_import_nothing_heavy() -> None:
    folder = Path(__file__).parents[2] / "qlogad" / "cli" / "verbs"
    files = {path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py") if path.name != "__init__.py"}
    assert {" ".join(file.parts).replace("_", "-") for file in files} == set(VERBS)
    assert "hardware submit" in VERBS
    walk = "def walk(verbs): [walk(one.commands) for one in verbs.values() if isinstance(getattr(one, 'commands', 0), Verbs)]"
    lines = ["import sys", "from qlogad.cli.commands import Verbs, root", walk, "walk(root().commands)"]
    code = "\n".join([*lines, "print([one for one in {} if one in sys.modules])"])
    heavy = ["torch", "pennylane", "qiskit", "pandas", "sklearn", "numpy", "optuna", "rich", "matplotlib"]
    done = subprocess.run([sys.executable, "-c", code.format(heavy)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_another_package_adds_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greeting.py").write_text(
        '"""Say good day.\n\nExample: qlogad greet Ada\n"""\n\n\ndef verb(name: str) -> None:\n    print("good day,", name)\n'
    )
    installed = tmp_path / "greetings-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[qlogad.verbs]\ngreet = greeting\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert process("greet", "Ada").stdout == "good day, Ada\n"
    assert "Say good day." in process("--help").stdout
    assert "Example: qlogad greet Ada" in process("greet", "--help").stdout
    assert "Did you mean 'greet'" in process("gret").stderr


@pytest.mark.parametrize("kind", listing.KINDS)
def test_lists_are_sorted_and_say_the_same_to_machines(kind: str) -> None:
    told, printed = qlogad("list", kind, "--json"), qlogad("list", kind)
    rows = json.loads(told.stdout)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert rows
    assert all(row["name"] in printed.stdout for row in rows)
    assert all("" not in row.values() for row in rows), "every name comes with a line on what it is"
    assert kind in " ".join(qlogad("list", "--help").stdout.split())


INTERRUPTIBLE = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
"""Runs a command that hears Ctrl-C, even where a shell has put the tests into the background, which leaves it ignored."""


def test_ctrl_c_says_that_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, sys.executable, "-m", "qlogad.cli", "run", "quickstart", "--workers", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "results" / "quickstart" / "work").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert "the same command continues from there" in process.communicate()[1]
    assert process.returncode == 130


def test_ctrl_c_is_heard_while_a_file_is_written(tmp_path: Path) -> None:
    """What cannot be closed then raises an error of its own."""

    def broken_off() -> None:
        with (tmp_path / "arrays.npz").open("wb") as file, ZipFile(file, "w"):
            file.close()
            raise KeyboardInterrupt

    with pytest.raises(ValueError, match="closed file") as raised:
        broken_off()
    said, code = explain(raised.value)
    assert "the same command continues from there" in str(said)
    assert code == INTERRUPTED
    assert explain(ValueError("seek of closed file")) == (None, 1)


BAD = {
    "a study for a run": (["run", str(STUDY)], f"qlogad sweep {STUDY}"),
    "an experiment for a sweep": (["sweep", str(EXPERIMENT)], f"qlogad run {EXPERIMENT}"),
    "no such file": (["run", "nowhere.toml"], "nowhere"),
    "a typo in a shipped name": (["run", "quickstrat"], "did you mean 'quickstart'"),
    "a typo in a key": (["run", "quickstart", "--set", "judge.seed=2"], "did you mean 'seeds'"),
    "a value that does not fit": (["run", "quickstart", "--set", "data.split.cuts=[1.5]"], "cut"),
    "a dataset that is not": (["run", "quickstart", "--set", "data.dataset=hfds"], "did you mean 'hdfs'"),
    "lines without end": (["run", "quickstart", "--set", "data.lines=1000000000000000000"], "lines must be from 1 to"),
    "a file that is not": (["data", "describe", "bgl", "--set", "path=nowhere.log"], "nowhere.log"),
    "a key a dataset lacks": (["data", "describe", "synthetic", "--set", "line=3"], "did you mean 'lines'"),
    "a log that is not": (["data", "parse", "nowhere.log", "--format", "<message>"], "nowhere.log"),
    "a path that is not": (["data", "parse", "nowhere.log"], "nowhere.log"),
    "a dataset of a log": (["data", "parse", "x.log", "--dataset", "bgll"], "did you mean 'bgl'"),
    "a mask that is none": (["data", "parse", "synthetic", "--set", "masks.NUM=(["], "masks: NUM"),
    "a kind of list": (["list", "detector"], "did you mean 'detectors'"),
    "a benchmark": (["bench", "parsr"], "did you mean 'parser'"),
    "an option of another benchmark": (["bench", "coverage", "--repeats", "2"], "see: qlogad bench coverage --help"),
    "a number out of bounds of the usual benchmark": (["bench", "--lines", "5"], "'--lines'"),
    "a design": (["show", "strongly-entangled"], "did you mean 'strongly-entangling'"),
    "a width": (["show", "strongly-entangling", "--wires", "0"], "wires"),
    "a benchmark cut short": (["bench", "backend"], f"did you mean 'backends'?); known: {', '.join(names.known('benchmark'))}"),
    "a plan of a detector": (["show", "deeplog", "--plan"], "there is no design 'deeplog'"),
    "an injection": (["run", "quickstart", "--set", "data.inject=swop:3"], "swap:3"),
    "a name of two lines": (["run", "quickstart", "--set", "name='''a\nb'''"], "one line"),
    "a path that is missing": (["data", "describe", "bgl"], "path: is required"),
    "a detector to draw": (["show", "deeplog", "--out", "deeplog.svg"], "not a circuit design"),
    "a depth of an encoding": (["show", "zz", "--depth", "2"], "leave out --depth"),
    "no such option": (["run", "quickstart", "--nope"], "see: qlogad run --help"),
    "a typo in an option": (["list", "ansatz", "--wirs", "3"], "--wires"),
    "no argument": (["show"], "see: qlogad show --help"),
    "an argument too many": (["show", "sim1", "sim2"], "see: qlogad show --help"),
    "a verb that is not": (["lst"], "list"),
    "no verb of data": (["data"], "see: qlogad data --help"),
    "a number that is none": (["run", "quickstart", "--workers", "two"], "--workers"),
    "a folder for an experiment": (["run", "/"], "is a folder"),
    "a file that is no text": (["run", sys.executable], "not UTF-8 text"),
    "a path no system takes": (["run", "x" * 5000], "no experiment file"),
    "an ansatz file that is not": (["run", "quickstart", "--set", "contender.quantum.core.ansatz=nofile.toml"], "no ansatz file"),
    "a folder for an ansatz": (["run", "quickstart", "--set", "contender.quantum.core.ansatz=/"], "is a folder"),
    "a kind of core": (["run", "quickstart", "--set", "contender.quantum.core.kind=quantun"], "did you mean 'quantum'"),
    "a folder to show": (["show", "/"], "is a folder"),
    "a measure without measuring": (["list", "ansatz", "--sort", "live"], "add --analyse"),
    "sequences without a file": (["data", "describe", "sequences"], "qlogad show sequences"),
    "an archive that is not published": (["data", "fetch", "bgll"], "did you mean 'bgl'"),
    "an archive's file that is not": (["data", "fetch", "nowhere.toml"], "nowhere.toml"),
    "an override without a value": (["run", "quickstart", "--set", "judge.seeds"], "key.sub=value"),
}


@pytest.mark.parametrize(("words", "says"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_with_the_next_step(words: list[str], says: str, tmp_path: Path) -> None:
    done = qlogad(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr
    assert not list(tmp_path.iterdir()), "bad input leaves nothing behind"


def test_alone_it_shows_its_help() -> None:
    alone, asked = process(), qlogad("--help")
    assert (alone.returncode, alone.stdout) == (0, asked.stdout)
    assert all(verb.split()[0] in alone.stdout for verb in VERBS)


def test_a_dataset_teaches_its_file_format() -> None:
    shown = qlogad("show", "sequences").stdout
    assert all(line in shown for line in README.partition("```text\n")[2].partition("```")[0].splitlines())


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    assert "Traceback" in process("run", "nowhere.toml", "--debug", cwd=tmp_path).stderr


TWINS = """
question = "Twins?"
[data]
dataset = "synthetic"
lines = 3000
split = { by = "time", cuts = [0.6] }
[[contender]]
name = "lstm"
detector = "deeplog"
history = 3
epochs = 1
core = { kind = "classical", hidden = 4 }
[[contender]]
name = "quantum"
like = "lstm"
core = { kind = "quantum", wires = 2, hidden = 4 }
[[contender]]
name = "quantum frozen"
like = "quantum"
control = "frozen"
[judge]
seeds = 1
contrasts = [["quantum", "quantum frozen"]]
"""


def test_a_run_writes_its_folder_and_says_the_same_to_machines(tmp_path: Path) -> None:
    (tmp_path / "twins.toml").write_text(TWINS)
    first = process("run", "twins.toml", "--workers", "1", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "least detectable difference" in first.stderr
    assert "warning: trainings still improved at their last epoch: 'lstm' (1 of 1), 'quantum' (1 of 1)" in first.stderr
    assert "declared contrasts" in first.stdout
    folder = tmp_path / "results" / "twins"
    made = {path.name for path in folder.iterdir()}
    assert {"manifest.json", "runs.csv", "table.md", "alarms.csv", "alarms.md", "pr-curves.png", "timeline.png"} <= made
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["experiment"]["data"]["source"]["lines"] == 3000
    assert manifest["intake"]["lines"] == 3000

    again = qlogad("run", "twins.toml", "--workers", "1", "--json", cwd=tmp_path)
    cells = len({row["cell"] for row in json.loads(again.stdout)})
    assert "and reused" not in first.stderr
    assert f"{cells} of {cells} cells were finished by an earlier run and reused" in again.stderr
    rows = json.loads(again.stdout)
    assert {row["contender"] for row in rows} == {"lstm", "quantum", "quantum frozen"}
    assert len(rows) == (folder / "runs.csv").read_text().count("\n") - 1


OWN = """
question = "own?"
[data]
dataset = "bgl"
path = "own.log"
window = { by = "count", size = 10 }
split = { by = "time", cuts = [0.5] }
[[contender]]
name = "new-event"
detector = "new-event"
"""


def test_public_results_hold_no_log_line(tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    secret = "SECRETWORD"
    head = "11178{i:05d} 2005.06.03 R0-M1 2005-06-03-15.{m:02d}.{s:02d}.363779 R0-M1 RAS KERNEL INFO {secret}"
    lines = []
    for i in range(1200):
        odd = i > 900 and i % 97 == 5
        said = head.format(i=i, m=i // 60, s=i % 60, secret=secret)
        lines.append(f"FAULT {said} never heard of before" if odd else f"- {said} {'abc'[i % 3]} done")
    lines.insert(600, f"{secret} is no line of this log")
    log.write_text("\n".join(lines) + "\n")
    toml = tmp_path / "own.toml"
    toml.write_text(OWN)
    done = qlogad("run", "own.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "own"
    public = [path for path in folder.iterdir() if path.is_file() and path.name not in {"alarms.md", "quarantine.md"}]
    assert all(secret.encode() not in path.read_bytes() for path in public)
    with ZipFile(folder / "record.npz") as packed:  # compressed
        assert all(secret.encode() not in packed.read(name) for name in packed.namelist())
    for name in ("alarms.md", "quarantine.md"):
        assert secret in (folder / name).read_text()
        assert name in (folder / ".gitignore").read_text().splitlines()
