"""Laws of an equal chance: who still improved at the last epoch is counted and said, and shipped experiments train until all stop."""

import random
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qlogad import names
from qlogad.experiment import Experiment
from qlogad.experiment.runner import prepare
from qlogad.report.convergence import warnings
from qlogad.report.drawing import save
from qlogad.report.figures import learning_curves
from qlogad.report.record import Record
from qlogad.report.table import summary
from qlogad.run import run
from tests.report.records import record

TOML = """
[data]
dataset = "sequences"
split = { by = "order", cuts = [0.4, 0.6] }
inject = "swap:1"
path = "PATH"
[[contender]]
name = "stops"
detector = "deeplog"
core = { kind = "classical", hidden = 4 }
history = 3
embedding = 4
epochs = 300
patience = 2
lr = 0.1
[[contender]]
name = "cut off"
like = "stops"
epochs = 1
[[contender]]
name = "2-gram"
detector = "ngram"
[judge]
seeds = 2
resamples = 20
contrasts = [["stops", "2-gram"], ["cut off", "2-gram"], ["stops", "cut off"]]
"""
SHIPPED = {name: path for name, path in names.documents("experiment").items() if not name.endswith(".sweep")}


def ran(folder: Path, *, without: str = "") -> tuple[Record, str]:
    """The record and table.md of a run on windows of a fixed order, some of them shuffled; without one contender."""
    drawn = random.Random(0)
    lines = []
    for _ in range(300):
        row = ["5", "22", "11", "9", "26", "3"]
        if drawn.random() < 0.2:
            drawn.shuffle(row)
        lines.append(" ".join(row))
    (folder / "own.csv").write_text("keys\n" + "\n".join(lines) + "\n")
    content = TOML.replace("PATH", str(folder / "own.csv"))
    if without:
        parts = content.split("[[contender]]")
        content = "[[contender]]".join(part for part in parts if f'"{without}"\n' not in part).partition("contrasts")[0]
    (folder / "own.toml").write_text(content)
    record = run(Experiment.load(folder / "own.toml"), folder / "results", workers=1)
    return record, (folder / "results" / "own" / "table.md").read_text()


def cells(text: str, column: str) -> dict[str, set[str]]:
    """What stands in a column of any table of table.md, by contender."""
    found: dict[str, set[str]] = {}
    head: list[str] = []
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        head = row if row and not head else head if row else []
        if column in head and row != head and "---" not in line:
            found.setdefault(row[0], set()).add(row[head.index(column)])
    return found


def test_trainings_that_still_improved_are_counted_warned_of_and_their_contrasts_marked(tmp_path: Path) -> None:
    record, table = ran(tmp_path)
    assert cells(table, "still improving") == {
        "stops": {"0 of 2", "0 of 4"},  # of a cut, and of all cuts
        "cut off": {"2 of 2", "4 of 4"},
        "2-gram": {"-"},
    }
    (warning,) = warnings(record)
    assert "'cut off' (4 of 4)" in warning
    assert "'stops'" not in warning
    assert "epochs = 2" in warning
    assert "patience" in warning
    assert f"- warning: {warning}" in table
    for text in (table, summary(record)):
        assert "cut off - 2-gram †" in text
        assert "stops - cut off †" in text
        assert "stops - 2-gram" in text
        assert "stops - 2-gram †" not in text
    assert "2 of 2" in summary(record)
    for kind in ("png", "svg"):
        assert (tmp_path / "results" / "own" / f"learning-curves.{kind}").stat().st_size > 5_000


def test_where_all_trainings_stop_nothing_is_said(tmp_path: Path) -> None:
    record, table = ran(tmp_path, without="cut off")
    assert warnings(record) == []
    assert "†" not in table + summary(record)
    assert cells(table, "used all epochs") == {"stops": {"0 of 4"}}


@pytest.mark.parametrize(("cuts", "contenders"), [(1, 1), (1, 13), (3, 4), (5, 6)])
def test_learning_curves_name_every_contender_and_cut_and_all_of_it_is_inside(tmp_path: Path, cuts: int, contenders: int) -> None:
    names = [f"contender {number}" for number in range(contenders)]
    made = record(names=[name for each in names for name in (each, f"untrained {each}")], cuts=cuts, seeds=3, epochs=8)
    figure = learning_curves.draw(made)
    assert figure is not None
    save(figure, tmp_path / "curves.png")
    drawn = (tmp_path / "curves.svg").read_text()
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    for word in (*names, *(f"cut 0.{cut + 1}" for cut in range(cuts)), "validation"):
        assert f"<!-- {word} -->" in drawn


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_experiment_gives_all_contenders_the_same_epochs_and_a_patience_that_ends_them(name: str) -> None:
    budgets = {}
    for contender in Experiment.load(SHIPPED[name]).contenders:
        params = contender.build().get_params(deep=False)
        if "epochs" in params:
            assert "patience" in contender.params, "it is said, not left to a default"
            budgets[contender.name] = {key: params[key] for key in ("epochs", "batch", "lr", "clip", "patience")}
            assert params["patience"] <= params["epochs"] / 8
    assert len({tuple(budget.items()) for budget in budgets.values()}) == 1


def test_what_is_compiled_is_said_by_the_run_alone_and_kept_with_it(tmp_path: Path) -> None:
    small = ["data.lines=3000", "data.split.cuts=[0.6]"]
    chosen = {}
    for cap, seeds in ((400, 1), (10**5, 1000)):
        changes = [*small, f"judge.seeds={seeds}", f"contender.lstm.epochs={cap}", f"contender.lstm.patience={cap // 8}"]
        experiment = Experiment.load("quickstart", changes)
        speeds = prepare(experiment, tmp_path / f"{seeds}", lambda what, count: None).speeds["cpu"]
        chosen[seeds] = speeds.compiled
        again = replace(experiment, judge=replace(experiment.judge, seeds=1001 - seeds))
        assert prepare(again, tmp_path / f"{seeds}", lambda what, count: None).speeds["cpu"] == speeds, "kept with the run"
    assert chosen == {1: False, 1000: True}
