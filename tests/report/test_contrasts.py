"""Laws of declared contrasts: paired over sequences, seeds and cuts; what has no randomness is one value; verdicts follow the intervals."""

import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlogad.experiment import Experiment
from qlogad.experiment.ground import Ground, ground, open_source, shared_sequences
from qlogad.experiment.runner import Prepared, cells, outcomes, prepare
from qlogad.report.contrasts import judged, spans
from qlogad.report.folder import Record
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
    for text in (table, record.text):
        assert "No randomness: 'new-event', 'length'" in text
        assert "smallest possible p" not in text


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, list[Any]]:
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
    run(experiment, folder / "results", workers=1)
    prepared = prepare(experiment, folder / "results" / "own", lambda what, count: None)
    return prepared, list(outcomes(cells(prepared)))


def rows_of(prepared: Prepared, finished: list[Any]) -> Any:
    import pandas as pd

    from qlogad.report.rows import judge_cell

    grounds = {made.cut: made for made in prepared.grounds}
    return pd.DataFrame([row for cell, outcome in finished for row in judge_cell(cell, outcome, grounds[cell.cut])])


@pytest.mark.parametrize("metric", ["f1", "recall", "mcc", "pr_auc", "roc_auc"])
def test_every_contrast_is_paired_and_of_values_that_are_there(nested: tuple[Prepared, list[Any]], metric: Any) -> None:
    from dataclasses import replace

    prepared, finished = nested
    judge = replace(prepared.experiment.judge, metric=metric)
    frame = rows_of(prepared, finished)
    floors, mixed, same, seeds = judged(prepared.grounds, finished, frame, judge)
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
    assert judged(prepared.grounds, finished, frame, judge)[0].sequences.interval() == floors.sequences.interval()


def test_seeds_that_make_no_difference_are_one_value(nested: tuple[Prepared, list[Any]]) -> None:
    """However many they are: copies of an outcome under other seeds change nothing."""
    from dataclasses import replace

    prepared, finished = nested
    frame = rows_of(prepared, finished)
    first = {cell.cut: outcome for cell, outcome in finished if cell.contender.name == "lstm" and cell.seed == 0}
    copied = [(cell, first[cell.cut] if cell.contender.name == "lstm" else outcome) for cell, outcome in finished]
    judge = replace(prepared.experiment.judge, metric="f1", contrasts=(("lstm", "untrained"), ("lstm", "new-event")))
    for one in judged(prepared.grounds, copied, rows_of(prepared, copied), judge):
        assert "lstm" in one.fixed
        assert math.isnan(one.seeds.p)
    alone = [(cell, outcome) for cell, outcome in copied if cell.contender.name != "lstm" or cell.seed == 0]
    pairs = zip(*(judged(prepared.grounds, some, frame, judge) for some in (copied, alone)), strict=True)
    for many, few in pairs:
        assert np.allclose(many.sequences.drawn_B, few.sequences.drawn_B)


def test_a_missing_cell_or_class_leaves_a_contrast_unsaid(nested: tuple[Prepared, list[Any]]) -> None:
    prepared, finished = nested
    frame = rows_of(prepared, finished)
    cut = prepared.grounds[0].cut
    less = [(cell, outcome) for cell, outcome in finished if not (cell.contender.name == "new-event" and cell.cut == cut)]
    floors, *_ = judged(
        prepared.grounds, less, frame[(frame["contender"] != "new-event") | (frame["cut"] != cut)], prepared.experiment.judge
    )
    assert floors.sequences is None
    assert floors.verdict == "-"
    gone = [(cell, outcome) for cell, outcome in finished if cell.contender.name != "new-event"]
    floors, *_ = judged(prepared.grounds, gone, frame[frame["contender"] != "new-event"], prepared.experiment.judge)
    assert math.isnan(floors.seeds.mean)
    assert floors.verdict == "-"
    only = [(cell, outcome) for cell, outcome in finished if cell.contender.name != "lstm" or cell.seed in (1, 4)]
    _, mixed, _, _ = judged(prepared.grounds, only, rows_of(prepared, only), prepared.experiment.judge)
    assert mixed.sequences is not None  # of the seeds that came through
    assert mixed.sequences.mean == pytest.approx(mixed.seeds.mean)


@pytest.mark.parametrize("metric", ["f1", "recall", "mcc", "pr_auc"])
def test_a_cut_without_one_of_the_classes_is_no_part_of_a_difference(nested: tuple[Prepared, list[Any]], metric: Any) -> None:
    from dataclasses import replace

    prepared, finished = nested
    frame, last = rows_of(prepared, finished), prepared.grounds[-1].cut
    frame.loc[frame["cut"] == last, "n_anomalies"] = 0
    judge = replace(prepared.experiment.judge, metric=metric)
    rest = frame[(frame["windows"] == "all") & (frame["cut"] != last)].pivot_table(index="contender", columns="cut", values=metric)
    for one in judged(prepared.grounds, finished, frame, judge):
        assert one.seeds.mean == pytest.approx(float((rest.loc[one.left] - rest.loc[one.right]).mean()), nan_ok=True)
        assert one.seeds.undefined >= 1


def test_few_seeds_are_told_by_those_that_came_through(nested: tuple[Prepared, list[Any]]) -> None:
    """However many were declared, and beside a side without randomness too: one seed of a random contender supports no verdict."""
    from dataclasses import replace

    prepared, finished = nested
    judge = replace(prepared.experiment.judge, metric="f1", contrasts=(("new-event", "lstm"), ("untrained", "lstm")))

    def blind(cell: Any, outcome: Any) -> Any:
        """The same contender, had it raised hardly an alarm, otherwise at every seed."""
        alarms_N = np.zeros_like(outcome.alarms["test"])
        alarms_N[cell.seed] = True
        return replace(outcome, alarms={**outcome.alarms, "test": alarms_N})

    def sees(cell: Any, outcome: Any) -> Any:
        ground = next(made for made in prepared.grounds if made.cut == cell.cut)
        alarms_N = ground.test.labels.window_N == 1
        alarms_N[cell.seed] = not alarms_N[cell.seed]
        return replace(outcome, alarms={**outcome.alarms, "test": alarms_N})

    made = {"lstm": blind, "untrained": sees, "new-event": lambda cell, outcome: sees(replace(cell, seed=0), outcome)}
    altered = [(cell, made.get(cell.contender.name, lambda cell, outcome: outcome)(cell, outcome)) for cell, outcome in finished]
    for through in (1, 2, 4, 6):
        some = [(cell, outcome) for cell, outcome in altered if cell.seed < through]
        fixed, both = judged(prepared.grounds, some, rows_of(prepared, some), judge)
        assert fixed.fixed == ("new-event",)
        assert both.fixed == ()
        assert fixed.seeds.seeds == both.seeds.seeds == through
        assert both.verdict == ("too few seeds to tell" if 2.0 ** (1 - through) > 0.05 / 2 else "ahead")
        assert fixed.verdict in (("too few seeds to tell",) if through == 1 else ("ahead", "not told apart"))
        if through == 1:
            assert math.isnan(fixed.seeds.low)
    assert fixed.verdict == "ahead"


def test_the_smallest_p_is_that_of_the_family(nested: tuple[Prepared, list[Any]]) -> None:
    """Six seeds reach .031 alone, and never .05 among four contrasts."""
    table = (nested[0].folder / "table.md").read_text()
    assert "With 6 seeds the smallest possible p is 0.031, 0.12 after Holm's correction: no difference can be significant." in table


def test_sequences_have_one_number_in_all_cuts(nested: tuple[Prepared, list[Any]]) -> None:
    grounds = nested[0].grounds
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


def test_intervals_hold_their_means(nested: tuple[Prepared, list[Any]]) -> None:
    prepared, finished = nested
    frame = rows_of(prepared, finished)
    whole = frame[frame["windows"] == "all"].groupby(["cut", "contender"])
    found = spans(prepared.grounds, finished, 200, {name: name for name in ("f1", "recall", "specificity")}).around
    assert len(found) == 3 * 6
    for (cut, name), metrics in found.items():
        for metric, around in metrics.items():
            assert 0 <= around.low <= whole.get_group((cut, name))[metric].mean() <= around.high <= 1
