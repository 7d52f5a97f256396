"""Laws of declared contrasts: paired over sequences, seeds and cuts; what has no randomness is one value; verdicts follow the intervals."""

import math
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from qlogad.experiment import Experiment
from qlogad.experiment.ground import Ground, ground, open_source, shared_sequences
from qlogad.report.columns import Cut, ScoredCell
from qlogad.report.contrasts import judged, spans
from qlogad.report.record import Record
from qlogad.report.table import summary
from qlogad.run import run

NORMAL = ["1", "2", "3", "4", "5"]


def distinct(drawn: random.Random, count: int, length: int, known: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Sequences of the usual events that are not known yet."""
    found: list[tuple[str, ...]] = []
    while len(found) < count:
        row = tuple(drawn.choices(NORMAL, k=length))
        if row not in known:
            known.add(row)
            found.append(row)
    return found


def write(path: Path, rows: list[tuple[str, tuple[str, ...]]]) -> None:
    lines = [f"{path.stem}{number},{label},{' '.join(row)}" for number, (label, row) in enumerate(rows)]
    path.write_text("\n".join(["id,label,keys", *lines]) + "\n")


def ran(folder: Path, contenders: str, judge: str, data: str) -> tuple[Record, str]:
    (folder / "own.toml").write_text(f"[data]\ndataset = 'sequences'\n{data}\n{contenders}\n[judge]\n{judge}\n")
    record = run(Experiment.load(folder / "own.toml"), folder / "results", workers=1)
    return record, (folder / "results" / "own" / "table.md").read_text()


def contrast_rows(table: str) -> list[dict[str, str]]:
    lines = [line for line in table.split("## Declared contrasts")[1].split("## ")[0].splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


FLOORS = "".join(f"[[contender]]\nname = '{name}'\ndetector = '{name}'\n" for name in ("new-event", "length", "ngram"))


@pytest.mark.parametrize(("seed", "normals", "anomalies"), [(0, 50, 50), (1, 40, 60)])
def test_one_alarm_more_is_no_evidence(tmp_path: Path, seed: int, normals: int, anomalies: int) -> None:
    """`new-event` finds exactly one anomaly more than `length`; both are one value, and zero stays in the interval."""
    drawn, known = random.Random(seed), set()
    write(tmp_path / "train.csv", [("Normal", row) for row in distinct(drawn, 300, 6, known)])
    long = [(*row, "9") for row in distinct(drawn, anomalies // 2, 30, known)]  # found by both
    unseen = [(*row[:5], "9") for row in distinct(drawn, 1, 6, known)]  # by new-event alone
    silent = distinct(drawn, anomalies - len(long) - 1, 6, known)
    rows = [("Normal", row) for row in distinct(drawn, normals, 6, known)] + [("Anomaly", row) for row in (*long, *unseen, *silent)]
    write(tmp_path / "test.csv", rows)
    data = f"train = '{tmp_path / 'train.csv'}'\npath = '{tmp_path / 'test.csv'}'\nsplit = {{ by = 'given' }}"
    record, table = ran(tmp_path, FLOORS, "seeds = 10\ncontrasts = [['new-event', 'length'], ['length', 'length']]", data)
    one, same = contrast_rows(table)
    assert float(one["f1 difference"]) > 0
    low, high = (float(end) for end in re.findall(r"[+-][\d.]+", one["over sequences [95 %]"]))
    assert low == 0
    assert 0.03 <= high <= 0.08
    assert same["over sequences [95 %]"] == "[+0.000, +0.000]"
    for row in (one, same):
        assert (row["p"], row["p, Holm"], row["over seeds [95 %]"], row["verdict"]) == ("-", "-", "-", "not told apart")
    assert "(nominal)" in one["sequences judged differently"]
    for text in (table, summary(record)):
        assert "No randomness: 'new-event', 'length'" in text
        assert "smallest possible p" not in text


class Nested(NamedTuple):
    record: Record
    grounds: list[Ground]
    folder: Path


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Nested:
    """Three nested cuts, a contender with seeds that differ, one whose seeds make no difference, and floors."""
    folder = tmp_path_factory.mktemp("nested")
    drawn, known = random.Random(0), set()
    pool = distinct(drawn, 40, 5, known)
    rows = [("Normal", pool[min(int(drawn.expovariate(0.15)), 39)]) for _ in range(500)]
    for place in drawn.sample(range(500), 60):
        row = list(rows[place][1])
        rows[place] = ("Anomaly", (*row[:3], "9") if place % 3 else (*row, *row))
    write(folder / "own.csv", rows)
    text = f"""
[data]
dataset = "sequences"
path = "{folder / "own.csv"}"
split = {{ by = "order", cuts = [0.3, 0.5, 0.7] }}
{FLOORS}
[[contender]]
name = "lstm"
detector = "deeplog"
history = 3
epochs = 2
core = {{ kind = "classical", hidden = 4 }}
[[contender]]
name = "untrained"
detector = "deeplog"
history = 3
epochs = 2
core = {{ kind = "classical", hidden = 4 }}
lr = 1e-12
[[contender]]
name = "lstm again"
like = "lstm"
[judge]
seeds = 6
resamples = 300
metric = "pr_auc"
contrasts = [["new-event", "length"], ["lstm", "ngram"], ["lstm", "lstm again"], ["lstm", "untrained"]]
"""
    (folder / "own.toml").write_text(text)
    experiment = Experiment.load(folder / "own.toml")
    record = run(experiment, folder / "results", workers=1)
    source = open_source(experiment.data)
    return Nested(
        record, [ground(experiment.data, source, ("ids",), cut=number) for number in range(3)], folder / "results" / "own"
    )


def by(record: Record, **changed: Any) -> Record:
    """The record with keys of its judge changed."""
    return replace(record, judge=replace(record.judge, **changed))


@pytest.mark.sample(2)
@pytest.mark.parametrize("metric", ["f1", "recall", "mcc", "pr_auc", "roc_auc"])
def test_every_contrast_is_paired_and_of_values_that_are_there(nested: Nested, metric: Any) -> None:
    record = by(nested.record, metric=metric)
    frame = record.frame()
    floors, mixed, same, seeds = judged(record, frame)
    whole = frame[frame["windows"] == "all"].pivot_table(index="contender", columns="cut", values=metric)  # over seeds
    for one in (floors, mixed, same, seeds):
        assert one.seeds.mean == pytest.approx(float((whole.loc[one.left] - whole.loc[one.right]).mean()), nan_ok=True)
        if one.sequences is not None and not one.seeds.undefined:
            assert one.sequences.mean == pytest.approx(one.seeds.mean)
    assert floors.fixed == ("new-event", "length")
    assert mixed.fixed == ("ngram",)
    assert math.isnan(floors.seeds.p)
    assert math.isnan(floors.seeds.low)
    assert math.isnan(mixed.seeds.p)
    assert same.seeds.p == 1
    assert (same.seeds.low, same.seeds.high, same.sequences.interval().low, same.sequences.interval().high) == (0, 0, 0, 0)
    assert same.verdict == "not told apart"
    assert seeds.fixed == ()
    assert 2.0 ** (1 - 6) <= seeds.seeds.p <= 1
    assert judged(record, frame)[0].sequences.interval() == floors.sequences.interval()


def test_seeds_that_make_no_difference_are_one_value(nested: Nested) -> None:
    """However many they are: copies of an outcome under other seeds change nothing."""
    record = by(nested.record, metric="f1", contrasts=(("lstm", "untrained"), ("lstm", "new-event")))
    first = {cell.facts.cut: cell for cell in record.cells if cell.facts.contender == "lstm" and cell.facts.seed == 0}
    copied = replace(
        record,
        cells=[
            replace(first[cell.facts.cut], facts=cell.facts) if cell.facts.contender == "lstm" else cell for cell in record.cells
        ],
    )
    for one in judged(copied, copied.frame()):
        assert "lstm" in one.fixed
        assert math.isnan(one.seeds.p)
    alone = replace(copied, cells=[cell for cell in copied.cells if cell.facts.contender != "lstm" or cell.facts.seed == 0])
    pairs = zip(*(judged(some, record.frame()) for some in (copied, alone)), strict=True)
    for many, few in pairs:
        assert np.allclose(many.sequences.drawn_B, few.sequences.drawn_B)


def test_a_missing_cell_or_class_leaves_a_contrast_unsaid(nested: Nested) -> None:
    record = nested.record
    frame, cut = record.frame(), record.cuts[0].name
    less = [cell for cell in record.cells if not (cell.facts.contender == "new-event" and cell.facts.cut == cut)]
    floors, *_ = judged(replace(record, cells=less), frame[(frame["contender"] != "new-event") | (frame["cut"] != cut)])
    assert floors.sequences is None
    assert floors.verdict == "-"
    gone = [cell for cell in record.cells if cell.facts.contender != "new-event"]
    floors, *_ = judged(replace(record, cells=gone), frame[frame["contender"] != "new-event"])
    assert math.isnan(floors.seeds.mean)
    assert floors.verdict == "-"
    only = replace(record, cells=[cell for cell in record.cells if cell.facts.contender != "lstm" or cell.facts.seed in (1, 4)])
    _, mixed, _, _ = judged(only, only.frame())
    assert mixed.sequences is not None  # of the seeds that came through
    assert mixed.sequences.mean == pytest.approx(mixed.seeds.mean)


@pytest.mark.parametrize("metric", ["f1", "recall", "mcc", "pr_auc"])
def test_a_cut_without_one_of_the_classes_is_no_part_of_a_difference(nested: Nested, metric: Any) -> None:
    record = by(nested.record, metric=metric)
    frame, last = record.frame(), record.cuts[-1].name
    frame.loc[frame["cut"] == last, "n_anomalies"] = 0
    rest = frame[(frame["windows"] == "all") & (frame["cut"] != last)].pivot_table(index="contender", columns="cut", values=metric)
    for one in judged(record, frame):
        assert one.seeds.mean == pytest.approx(float((rest.loc[one.left] - rest.loc[one.right]).mean()), nan_ok=True)
        assert one.seeds.undefined >= 1


def test_few_seeds_are_told_by_those_that_came_through(nested: Nested) -> None:
    """However many were declared, and beside a side without randomness too: one seed of a random contender supports no verdict."""
    record = by(nested.record, metric="f1", contrasts=(("new-event", "lstm"), ("untrained", "lstm")))
    cuts = {cut.name: cut for cut in record.cuts}

    def blind(cell: ScoredCell, cut: Cut, seed: int) -> ScoredCell:
        """The same contender, had it raised hardly an alarm, otherwise at every seed."""
        alarms_N = np.zeros_like(cell.alarms["test"])
        alarms_N[seed] = True
        return replace(cell, alarms={**cell.alarms, "test": alarms_N})

    def sees(cell: ScoredCell, cut: Cut, seed: int) -> ScoredCell:
        alarms_N = cut.merged.test.label_N == 1
        alarms_N[seed] = not alarms_N[seed]
        return replace(cell, alarms={**cell.alarms, "test": alarms_N})

    made = {"lstm": blind, "untrained": sees, "new-event": lambda cell, cut, seed: sees(cell, cut, 0)}
    altered = [
        made[cell.facts.contender](cell, cuts[cell.facts.cut], cell.facts.seed) if cell.facts.contender in made else cell
        for cell in record.cells
    ]
    for through in (1, 2, 4, 6):
        some = replace(record, cells=[cell for cell in altered if cell.facts.seed < through])
        fixed, both = judged(some, some.frame())
        assert fixed.fixed == ("new-event",)
        assert both.fixed == ()
        assert fixed.seeds.seeds == both.seeds.seeds == through
        assert both.verdict == ("too few seeds to tell" if 2.0 ** (1 - through) > 0.05 / 2 else "ahead")
        assert fixed.verdict in (("too few seeds to tell",) if through == 1 else ("ahead", "not told apart"))
        if through == 1:
            assert math.isnan(fixed.seeds.low)
    assert fixed.verdict == "ahead"


def test_the_smallest_p_is_that_of_the_family(nested: Nested) -> None:
    """Six seeds reach .031 alone, and never .05 among four contrasts."""
    table = (nested.folder / "table.md").read_text()
    assert "With 6 seeds the smallest possible p is 0.031, 0.12 after Holm's correction: no difference can be significant." in table


def test_sequences_have_one_number_in_all_cuts(nested: Nested) -> None:
    grounds = nested.grounds
    numbers = shared_sequences(grounds)
    by_window: dict[int, set[int]] = {}
    by_text: dict[tuple[str, ...], set[int]] = {}
    for made, number_N in zip(grounds, numbers, strict=True):
        features = made.test.features
        assert len(number_N) == len(features)
        texts = [tuple((*features.vocabulary, "?")[i] for i in row) for row in features.rows()]
        for window, row in zip(made.test.windows_W, features.row_W, strict=True):
            by_window.setdefault(int(window), set()).add(int(number_N[row]))
        for text, number in zip(texts, number_N, strict=True):
            by_text.setdefault(text, set()).add(int(number))
        for left, right in zip(made.sequence_N, number_N, strict=True):
            assert (number_N[made.sequence_N == left] == right).all()
    assert all(len(found) == 1 for found in by_window.values())
    assert all(len(found) == 1 for text, found in by_text.items() if "?" not in text)
    assert len({number for found in by_text.values() for number in found}) > 20  # and others have others


@pytest.mark.parametrize("cut", ["synthetic", "injected"])
def test_windows_of_a_parsed_log_are_followed_through_the_cuts(cut: str) -> None:
    """Templates are made anew at every cut: the same window is the same sequence all the same."""
    content: dict[str, Any] = {"dataset": "synthetic", "lines": 3000, "split": {"by": "time", "cuts": [0.3, 0.6]}}
    if cut == "injected":
        content["inject"] = "swap:1"
    data = Experiment.from_document({"data": content, "contender": [{"name": "n", "detector": "new-event"}]}).data
    source = open_source(data)
    grounds: list[Ground] = [ground(data, source, ("ids",), cut=number) for number in range(2)]
    first, second = shared_sequences(grounds)
    seen = {
        (int(window), int(label)): int(number)
        for window, label, number in zip(
            grounds[0].test.windows_W, grounds[0].test.label_W, first[grounds[0].test.features.row_W], strict=True
        )
    }
    later = grounds[1].test
    shared = [
        (seen[int(window), int(label)], int(number))
        for window, label, number in zip(later.windows_W, later.label_W, second[later.features.row_W], strict=True)
        if (int(window), int(label)) in seen
    ]
    assert shared
    assert all(one == other for one, other in shared)


def test_few_sequences_make_an_interval_nominal_and_their_simulation_is_printed(tmp_path: Path) -> None:
    drawn, known = random.Random(2), set()
    pool = distinct(drawn, 6, 6, known)
    write(tmp_path / "train.csv", [("Normal", pool[n % 6]) for n in range(200)])
    write(tmp_path / "test.csv", [("Normal", pool[n % 6]) for n in range(60)] + [("Anomaly", ("9", str(n % 3))) for n in range(30)])
    data = f"train = '{tmp_path / 'train.csv'}'\npath = '{tmp_path / 'test.csv'}'\nsplit = {{ by = 'given' }}"
    _, table = ran(tmp_path, FLOORS, "resamples = 100", data)
    found = re.search(
        r"intervals of this cut are nominal: 3\.0 effective anomalous and 6\.0 normal .* that of F1 covers (\d+)", table
    )
    assert found
    assert 50 < int(found[1]) <= 100
    row = next(line for line in table.splitlines() if line.startswith("| new-event"))
    low, high = (float(end) for end in re.search(r"1\.000 \[([\d.]+), ([\d.]+)\]", row).groups())
    assert low < 0.9  # three sequences, all found, are no certainty
    assert high == 1


def test_intervals_hold_their_means(nested: Nested) -> None:
    record = by(nested.record, resamples=200)
    frame = record.frame()
    whole = frame[frame["windows"] == "all"].groupby(["cut", "contender"])
    found = spans(record, {name: name for name in ("f1", "recall", "specificity")}).around
    assert len(found) == 3 * 6
    for (cut, name), metrics in found.items():
        for metric, around in metrics.items():
            assert 0 <= around.low <= whole.get_group((cut, name))[metric].mean() <= around.high <= 1
