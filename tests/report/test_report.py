"""Laws of the report: what is said of a contender that raises no alarm, of unlabelled data, and of one thing or several."""

import random
from pathlib import Path

import pandas as pd
import pytest

from qlogad.errors import DataError
from qlogad.experiment import Experiment
from qlogad.report.record import Record
from qlogad.report.table import summary
from qlogad.run import run

TOML = """
[data]
dataset = "sequences"
split = { by = "order", cuts = [0.5] }
inject = "swap:1"
[[contender]]
name = "rank"
detector = "markov"
[[contender]]
name = "new-event"
detector = "new-event"
[[contender]]
name = "2-gram"
detector = "ngram"
fpr = 0.0
[judge]
seeds = 1
resamples = 20
contrasts = [["rank", "2-gram"]]
"""


def sequences(path: Path, *, labelled: bool, noise: float, count: int = 400) -> None:
    """Windows of a fixed order, a share of them shuffled; ids of their own."""
    drawn = random.Random(0)
    lines = ["id,label,keys" if labelled else "id,keys"]
    for number in range(count):
        row = ["5", "22", "11", "9", "26", "3"]
        if drawn.random() < noise:
            drawn.shuffle(row)
        lines.append(f"b{number},{'Normal,' if labelled else ''}{' '.join(row)}")
    path.write_text("\n".join(lines) + "\n")


def ran(folder: Path, data: str, text: str = TOML) -> tuple[Record, str]:
    (folder / "own.toml").write_text(text.replace("[[contender]]", f"{data}\n[[contender]]", 1))
    record = run(Experiment.load(folder / "own.toml"), folder / "results", workers=1)
    return record, (folder / "results" / "own" / "table.md").read_text()


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_who_raises_no_alarm_for_a_threshold_at_the_top_is_told_why(tmp_path: Path, noise: float) -> None:
    sequences(tmp_path / "own.csv", labelled=True, noise=noise)
    record, table = ran(tmp_path, f"path = '{tmp_path / 'own.csv'}'")
    whole = record.frame().query("windows == 'all'").set_index("contender")
    assert (whole.loc["rank", "recall"] == 0) == (noise > 0)  # shuffled rows teach it that anything may follow
    for text in (table, summary(record)):
        assert ("- 'rank' raised no alarm (at 1 of 1 seed): its threshold" in text) == (noise > 0)
        assert "'new-event' raised no alarm" not in text  # nothing is new: no score lies below its threshold
        assert "No randomness: 'rank', '2-gram'" in text


@pytest.mark.parametrize("value", [0.5, 99.0])
def test_a_threshold_fixed_by_hand_is_marked_and_no_other(tmp_path: Path, value: float) -> None:
    sequences(tmp_path / "own.csv", labelled=True, noise=0.0)
    text = TOML.replace('detector = "new-event"', f'detector = "new-event"\nthreshold = {value}')
    record, table = ran(tmp_path, f"path = '{tmp_path / 'own.csv'}'", text)
    again = Record.load(tmp_path / "results" / "own")
    for said in (table, summary(record), summary(again)):
        marked = [line for line in said.splitlines() if "fixed by hand" in line]
        assert len(marked) == 1
        assert marked[0].startswith(f"- 'new-event': its threshold, {value:g}, is fixed by hand")
    assert set(record.frame().query("contender == 'new-event'")["threshold"]) == {value}
    assert set(record.frame()["track"]) == {"normal-only"}


def test_unlabelled_windows_are_taken_as_normal_where_anomalies_are_injected(tmp_path: Path) -> None:
    rows = []
    for labelled in (True, False):
        folder = tmp_path / str(labelled)
        folder.mkdir()
        sequences(folder / "own.csv", labelled=labelled, noise=0.1)
        record, table = ran(folder, f"path = '{folder / 'own.csv'}'")
        assert ("**No labels**" in table) != labelled
        rows.append(record.frame()[["contender", "windows", "f1", "recall", "specificity"]])
    pd.testing.assert_frame_equal(*rows)


def test_unlabelled_test_windows_behind_given_training_windows_are_normal_too(tmp_path: Path) -> None:
    sequences(tmp_path / "train.csv", labelled=False, noise=0.1)
    (tmp_path / "test.csv").write_text((tmp_path / "train.csv").read_text().replace("b", "c"))
    data = f"train = '{tmp_path / 'train.csv'}'\npath = '{tmp_path / 'test.csv'}'"
    text = TOML.replace('by = "order", cuts = [0.5]', 'by = "given"')
    _, table = ran(tmp_path, data, text)
    assert "**No labels**" in table
    with pytest.raises(DataError, match=r"none of 400 windows is labelled.*inject = 'swap:3'"):
        ran(tmp_path, data, text.replace('inject = "swap:1"', ""))
