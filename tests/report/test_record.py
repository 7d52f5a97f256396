"""Laws of records: all that a report says comes from them, they hold no word of the log and run nothing, and damage is told in a line."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import files
from qlogad.errors import DocumentError, ResultError
from qlogad.experiment import Experiment
from qlogad.experiment.experiment import Judge
from qlogad.report.contrasts import judged
from qlogad.report.folder import check, figure_names, folders, write
from qlogad.report.record import FILE, Record
from qlogad.report.table import table
from qlogad.run import run
from tests.report.records import apart, record

TOML = """
question = "Is it <b>so</b>?"
[data]
dataset = "synthetic"
lines = 3000
rate = 0.2
split = { by = "time", cuts = [0.4, 0.6] }
[[contender]]
name = "classical"
detector = "deeplog"
history = 2
epochs = 2
embedding = 3
core = { kind = "classical", hidden = 3 }
[[contender]]
name = "2-gram"
detector = "ngram"
[judge]
seeds = 2
resamples = 20
contrasts = [["classical", "2-gram"]]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """A results folder, and what the run gave back."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.toml").write_text(TOML)
    found = run(Experiment.load(folder / "small.toml"), folder, workers=1)
    assert not found.failed
    return folder / "small", found


def same(one: Any, other: Any) -> bool:
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other) or one != one  # NaN


records = st.builds(
    record,
    st.integers(0, 2**32),
    names=st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=4, unique=True),
    cuts=st.integers(1, 3),
    seeds=st.integers(1, 3),
    size=st.integers(0, 12),
    epochs=st.integers(0, 3),
    forms=st.sampled_from([("merged",), ("merged", "apart")]),
)


@settings(max_examples=40, deadline=None)
@given(records)
def test_whatever_is_stored_comes_back_and_equal_records_are_equal_files(tmp_path_factory: Any, made: Record) -> None:
    folder = tmp_path_factory.mktemp("record")
    made.save(folder)
    again = Record.load(folder)
    assert same(made, again)
    stored = (folder / FILE).read_bytes()
    again.save(folder)
    assert (folder / FILE).read_bytes() == stored
    assert [name for name in made.frame().columns if name.startswith("log")] == []


def made_again(folder: Path, to: Path) -> dict[str, bytes]:
    """What is made of the record of a folder, by file name."""
    write(Record.load(folder), to)
    return {path.name: path.read_bytes() for path in to.iterdir()}


def test_without_cells_and_data_set_every_file_is_made_again_byte_for_byte(finished: tuple[Path, Record], tmp_path: Path) -> None:
    folder, found = finished
    (tmp_path / "bare").mkdir()
    for name in (FILE, "manifest.json"):  # which says when it was written
        shutil.copy(folder / name, tmp_path / "bare")
    again = made_again(tmp_path / "bare", tmp_path / "again")
    public = {path.name for path in folder.iterdir() if path.is_file()} - {".gitignore", "alarms.md"}
    assert set(again) == public
    assert all((folder / name).read_bytes() == content for name, content in again.items())
    assert same(replace(found, reused=0), Record.load(tmp_path / "bare"))
    assert len(again[FILE]) < 100_000


def test_the_same_run_again_writes_the_same_record(finished: tuple[Path, Record], tmp_path: Path) -> None:
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "small")
    shutil.copy(folder.parent / "small.toml", tmp_path / "small.toml")
    again = run(Experiment.load(tmp_path / "small.toml"), tmp_path, workers=1)
    assert again.reused == len(again.cells)
    assert (tmp_path / "small" / FILE).read_bytes() == (folder / FILE).read_bytes()


def test_a_record_holds_no_word_of_the_log(finished: tuple[Path, Record]) -> None:
    folder, _ = finished
    shown = [line.split(": ", 1)[1] for line in (folder / "alarms.md").read_text().splitlines() if line[:2] in ("> ", "  ")]
    arrays = files.read_arrays(folder / FILE)
    text = arrays.pop("facts").tobytes().decode()
    assert len(shown) > 20
    assert not [line for line in shown if len(line) > 10 and line in text]
    assert {array.dtype.kind for array in arrays.values()} <= {"i", "u", "f", "b"}


# ---------------------------------------------------------------- checks


def altered(path: Path) -> None:
    """One digit or one byte of a file changed."""
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    place = random.Random(path.name).choice(digits if path.suffix != ".png" else range(len(content)))
    content[place] = content[place] ^ 1
    path.write_bytes(content)


def test_a_changed_digit_in_any_file_is_noticed(finished: tuple[Path, Record], tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "small")
    assert check(folder).differ == ()
    drawn = [f"{name}{ending}" for name in figure_names() for ending in (".png", ".svg")]
    told = ["manifest.json", "runs.csv", "table.md", "alarms.csv", *drawn]
    for name in told:
        altered(folder / name)
    assert list(check(folder).differ) == told
    for name in told:
        (folder / name).unlink()
    assert list(check(folder).differ) == told
    record = Record.load(folder)
    write(replace(record, cells=()), folder)  # what it no longer gives is not left behind
    assert check(folder).differ == ()
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        *(FILE, ".gitignore", "manifest.json", "runs.csv", "table.md", "alarms.md")
    }


def test_the_command_names_the_file_and_fails(finished: tuple[Path, Record], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "results" / "small")
    (tmp_path / "results" / "older").mkdir()
    (tmp_path / "results" / "older" / "runs.csv").write_text("")
    altered(tmp_path / "results" / "small" / "runs.csv")
    command = [sys.executable, "-m", "qlogad", "report", "--check"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1
    assert "results/small/runs.csv differs from its record" in found.stderr
    assert "results/older" in found.stdout
    assert f"no {FILE}" in found.stdout


COMMITTED = [folder for folder in folders(Path(__file__).parents[2] / "results") if (folder / FILE).exists()]


@pytest.mark.sample(2)
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_committed_results_are_what_their_records_give(folder: Path) -> None:
    """In a process of its own, as figures depend on what was drawn before."""
    done = subprocess.run([sys.executable, "-m", "qlogad", "report", "--check", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def test_folders_without_a_record_are_named_and_figures_of_other_versions_are_left_out(tmp_path: Path) -> None:
    made = record()
    write(made, tmp_path / "results" / "own")  # of a program that tells no version
    (tmp_path / "results" / "bench").mkdir()
    (tmp_path / "results" / "older").mkdir()
    (tmp_path / "results" / "older" / "runs.csv").write_text("")
    assert [path.name for path in folders(tmp_path / "results")] == ["older", "own"]
    altered(tmp_path / "results" / "own" / "timeline.svg")
    assert check(tmp_path / "results" / "own").differ == ()
    assert "figures" in check(tmp_path / "results" / "own").skipped
    assert FILE in check(tmp_path / "results" / "older").skipped
    with pytest.raises(ResultError, match="run the experiment again"):
        check(tmp_path / "results" / "bench")


# ---------------------------------------------------------------- damage


def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path) -> None:
    record().save(tmp_path)
    whole, generator = (tmp_path / FILE).read_bytes(), random.Random(1)
    for trial in range(60):
        content = bytearray(whole)
        if trial % 2:
            content = content[: generator.randrange(len(content))]
        else:
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        (tmp_path / FILE).write_bytes(content)
        refused(tmp_path, "damaged")


def refused(folder: Path, what: str) -> None:
    with pytest.raises(ResultError, match=what) as caught:
        Record.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / FILE) in str(caught.value)
    assert "run the experiment again" in str(caught.value)


def facts(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """A change of the facts of a record."""

    def changed(arrays: dict[str, Any]) -> None:
        content = json.loads(arrays["facts"].tobytes())
        change(content)
        arrays["facts"] = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)

    return changed


FALSE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no facts": lambda a: a.pop("facts"),
    "facts that are none": lambda a: a.update(facts=np.zeros(3)),
    "a list of facts": lambda a: a.update(facts=np.frombuffer(b"[1]", dtype=np.uint8)),
    "another format": facts(lambda f: f.update(format=99)),
    "an unknown fact": facts(lambda f: f.update(more=1)),
    "no judge": facts(lambda f: f.pop("judge")),
    "no cuts": facts(lambda f: f.update(cuts=[])),
    "equal cuts": facts(lambda f: f["cuts"].append(f["cuts"][0])),
    "a cell of no contender": facts(lambda f: f["cells"][0].update(contender="?")),
    "a cell of no cut": facts(lambda f: f["cells"][0].update(cut="?")),
    "a cell of no form": facts(lambda f: f["cells"][0].update(form="?")),
    "a cell without weights": facts(lambda f: f["cells"][0].update(weights={})),
    "a cell too few": facts(lambda f: f["cells"].pop()),
    "a missing column": lambda a: a.pop("0.1.merged.test.label_N"),
    "a column too many": lambda a: a.update(more=np.zeros(3)),
    "another shape": lambda a: a.update({"0.1.merged.test.weight_N": np.ones(3)}),
    "another type": lambda a: a.update({"0.1.merged.test.label_N": a["0.1.merged.test.label_N"].astype(float)}),
    "a label of 2": lambda a: a.update({"0.1.merged.test.label_N": a["0.1.merged.test.label_N"] + 2}),
    "a window of no row": lambda a: a.update({"0.1.merged.test.row_W": a["0.1.merged.test.row_W"] + 99}),
    "a kind that is none": lambda a: a.update({"0.1.merged.test.kind_W": a["0.1.merged.test.kind_W"] + 9}),
    "an alarm of no row": lambda a: a.update({"odd.row_A": a["odd.row_A"] + 99}),
    "a score that is none": lambda a: a.update({"0.1.merged.test.scores_CN": a["0.1.merged.test.scores_CN"] * np.nan}),
    "negative counts": lambda a: a.update({"epochs.count_C": -a["epochs.count_C"]}),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_whole_file_with_false_content_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    record().save(tmp_path)
    arrays: dict[str, Any] = files.read_arrays(tmp_path / FILE)
    FALSE[what](arrays)
    files.write_arrays(tmp_path / FILE, arrays)
    refused(tmp_path, "cannot be used")


def test_a_record_imports_and_runs_nothing_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('sprung')")
    monkeypatch.syspath_prepend(str(tmp_path))
    contender = {"name": "trap", "detector": "trap:Trap", "params": {"core": {"kind": "module", "factory": "trap:make"}}}
    facts = {**record().manifest, "experiment": {"name": "trap", "contenders": [contender]}, "versions": {"trap": "trap:version"}}
    made = replace(record(names=("trap:Trap", "trap")), name="trap", manifest=facts)
    write(made, tmp_path / "own")
    loaded = Record.load(tmp_path / "own")
    check(tmp_path / "own")
    assert "trap" in table(loaded)
    assert "trap" not in sys.modules
    arrays: dict[str, Any] = files.read_arrays(tmp_path / "own" / FILE)
    arrays["0.1.merged.test.kind_W"] = np.asarray([Sprung()], dtype=np.object_)
    files.write_arrays(tmp_path / "own" / FILE, arrays)
    refused(tmp_path / "own", "damaged")


class Sprung:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('sprung')",))


# ---------------------------------------------------------------- judging anew


@pytest.mark.sample(2)
@pytest.mark.parametrize("key", ["metric=pr_auc", "alpha=0.2", "resamples=30", "power=0.5", 'contrasts=[["c","a"]]'])
def test_judged_otherwise_is_said_and_changes_no_score(key: str, tmp_path: Path) -> None:
    made = record()
    other = made.judged([f"judge.{key}"])
    assert other.otherwise == [key.split("=")[0]]
    assert other.rows == made.rows
    for text in (table(other), json.dumps(json.loads(made_again_text(other, tmp_path)))):
        assert "otherwise" in text
        assert key.split("=")[0] in text
    assert "otherwise" not in table(made)
    assert Record.load(tmp_path).judged([f"judge.{f.name}={value(made.judge, f.name)}" for f in fields(Judge)]).otherwise == []


def made_again_text(made: Record, folder: Path) -> str:
    write(made, folder)
    return (folder / "manifest.json").read_text()


def value(judge: Judge, name: str) -> str:
    found = getattr(judge, name)
    return json.dumps(found) if name == "contrasts" else str(found)


@pytest.mark.parametrize(
    "key", ["judge.seeds=9", "data.lines=5", "name=x", "judge.metric=accuracy", 'judge.contrasts=[["a","z"]]', "?"]
)
def test_what_was_fixed_before_training_is_not_judged_anew(key: str) -> None:
    with pytest.raises(DocumentError) as caught:
        record().judged([key])
    assert "\n" not in str(caught.value)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 40))
def test_windows_apart_are_judged_as_the_rows_that_merge_them(seed: int, size: int) -> None:
    """Where scores are equal, all but what counts distinct rows is equal, and a contrast between the two forms is nothing."""
    made = record(seed, names=("a", "b"), size=size, forms=("merged", "apart"), epochs=2)
    cells = []
    for cell in made.cells:
        cut = next(cut for cut in made.cuts if cut.name == cell.facts.cut)
        if cell.facts.contender == "a" and cell.facts.seed == 0:
            parts = {"test": cut.merged.test, "in_flight": cut.merged.in_flight}
            lifted = ({part: one[parts[part].row_W] for part, one in told.items()} for told in (cell.scores, cell.alarms))
            scores, alarms = lifted
            cells += [cell, replace(cell, facts=replace(cell.facts, contender="b", form="apart"), scores=scores, alarms=alarms)]
    same_scores = replace(made, cells=tuple(cells), judge=replace(made.judge, seeds=1))
    frame = same_scores.frame()
    shown = frame.drop(columns=["distinct", "distinct_anomalies", "effective_n"])
    left, right = (shown[shown["contender"] == name].reset_index(drop=True) for name in ("a", "b"))
    np.testing.assert_allclose(*(one.select_dtypes("number").to_numpy() for one in (left, right)), rtol=1e-9)
    (one,) = judged(same_scores, frame)
    assert one.sequences is not None
    assert not np.nan_to_num(one.sequences.drawn_B).any()
    assert same(apart(made.cuts[0].merged.test), made.cuts[0].forms["apart"].test)


def test_a_notebook_shows_a_record_escaped() -> None:
    made = replace(record(names=("<script>", "b", "c")), question="<img src=x>")
    shown = made._repr_html_()
    assert "<script>" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" in str(made)
