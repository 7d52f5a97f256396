"""Laws of the alarms of a run: the mark stands at the odd event or nowhere, and what is said of a window is what is known of it."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlogad.experiment.experiment import Experiment
from qlogad.experiment.watch import Watch
from qlogad.run import run

SHAPES = ["alpha {} starts", "beta {} runs now", "gamma {} waits for it", "delta {} is done at last"]
ODD = "omega {} ![x](http://a) | broke <b>"
CONTENDERS = [
    {"name": name, "detector": detector, **keys}
    for name, detector, keys in (
        ("new-event", "new-event", {}),
        ("2-gram", "ngram", {}),
        ("markov", "markov", {}),
        ("count-vector", "count-vector", {}),
        ("length", "length", {}),
    )
]
WINDOWS, SIZE = 240, 10


def alarms_of(folder: Path, data: dict) -> tuple[pd.DataFrame, list[str], Path]:
    """The rows of alarms.csv and the sections of alarms.md."""
    document = {"question": "?", "data": data, "contender": CONTENDERS, "judge": {"seeds": 1, "resamples": 20}}
    path = folder / "exp.toml"
    path.write_text("\n".join(_toml(document)))
    run(Experiment.load(path), folder / "results", watch=Watch())
    out = folder / "results" / "exp"
    return (
        pd.read_csv(out / "alarms.csv", dtype={"expected_events": str}).fillna(""),
        re.split(r"(?m)^(?=## )", (out / "alarms.md").read_text())[1:],
        out,
    )


def _toml(document: dict) -> list[str]:
    lines = [f"question = {json.dumps(document['question'])}"]
    for name in ("data", "judge"):
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in document[name].items())]
    for contender in document["contender"]:
        lines += ["[[contender]]", *(f"{key} = {_value(value)}" for key, value in contender.items())]
    return lines


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def marked(section: str) -> list[str]:
    return re.findall(r"(?m)^> (.*)$", section)


def bgl(folder: Path, odd: dict[int, int]) -> dict:
    """A log of windows of ten lines, one of them broken in each window of `odd` (window -> place), and the [data] that reads it."""
    lines = []
    for number in range(WINDOWS * SIZE):
        window, place = divmod(number, SIZE)
        text = (ODD if odd.get(window) == place else SHAPES[place % len(SHAPES)]).format(number % 7)
        clock = pd.Timestamp("2005-06-03") + pd.Timedelta(minutes=number)
        label = "KERNDTLB" if window in odd else "-"
        node = "R02-M1-N0-C:J12-U11"
        lines.append(
            f"{label} {1117838570 + 60 * number} {clock:%Y.%m.%d} {node} {clock:%Y-%m-%d-%H.%M.%S}.000000 {node} RAS KERNEL INFO {text}"
        )
    (folder / "bgl.log").write_text("\n".join(lines) + "\n")
    window = {"by": "count", "size": SIZE}
    return {"dataset": "bgl", "path": str(folder / "bgl.log"), "window": window, "split": {"by": "time", "cuts": [0.5]}}


def test_the_mark_stands_at_the_unseen_line_and_nowhere_where_no_line_can_be_blamed(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    odd = {int(window): int(generator.integers(SIZE)) for window in range(130, 238, 6)}
    rows, sections, _ = alarms_of(tmp_path, bgl(tmp_path, odd))
    planted = {window * SIZE + place + 1 for window, place in odd.items()}
    assert set(rows["contender"]) == {"new-event", "2-gram", "markov", "count-vector"}  # lengths are all alike
    for row, section in zip(rows.itertuples(), sections, strict=True):
        assert section.startswith(f"## {row.contender} #{row.rank}: ")
        assert row.status == "labelled anomaly"
        assert "labelled anomaly" in section
        assert "threshold" in section.splitlines()[0]
        if row.contender == "count-vector":
            assert (row.worst_line, row.odd_place, row.odd_event, marked(section)) == (-1, -1, -1, [])
            assert "no single one" in section
        else:
            assert row.worst_line in planted
            assert [int(line.split(":")[0]) for line in marked(section)] == [row.worst_line]
            assert row.worst_line == row.first_line + row.odd_place - 1
            assert "Odd event: omega" in section
            assert "unseen in training" in section
            expected = [int(event) for event in row.expected_events.split()]
            assert all(0 <= event < row.odd_event for event in expected)
            assert bool(expected) == (row.contender != "new-event")
            assert "Expected: " in section
        assert "![x](http://a)" not in section
        assert "<b>" not in section


def sequences(folder: Path, labels: bool) -> dict:
    """Windows of event ids, of which some that come late hold 99 at one place, and the [data] that reads them."""
    generator, lines = np.random.default_rng(1), ["id,label,keys"]
    for number in range(WINDOWS):
        window = [str(10 + place % 4) for place in range(int(generator.integers(6, 12)))]
        broken = number > 130 and number % 5 == 0
        if broken:
            window[int(generator.integers(len(window)))] = "99"
        lines.append(f"w{number},{('Anomaly' if broken else 'Normal') if labels else ''},{' '.join(window)}")
    (folder / "windows.csv").write_text("\n".join(lines) + "\n")
    return {"dataset": "sequences", "path": str(folder / "windows.csv"), "split": {"by": "order", "cuts": [0.5]}}


def test_of_sequences_the_odd_event_and_its_place_are_shown(tmp_path: Path) -> None:
    rows, sections, _ = alarms_of(tmp_path, sequences(tmp_path, labels=True))
    localised = rows["contender"].isin(["new-event", "2-gram", "markov"])
    assert localised.sum() > 20
    for row, section in zip(rows.itertuples(), sections, strict=True):
        shown = re.findall(r"(?m)^[> ] event (\d+) of (\d+): (.*)$", section)
        assert len({place for place, _, _ in shown}) == len(shown), "no place is shown twice"
        assert {int(events) for _, events, _ in shown} == {row.events}
        if row.contender in ("new-event", "2-gram", "markov"):
            assert marked(section) == [f"event {row.odd_place} of {row.events}: 99"]
            assert f"Odd event: 99 (unseen in training), {row.odd_place} of {row.events}" in section
        if row.contender == "markov":
            assert f"Expected: {10 + (row.odd_place - 1) % 4} " in section


@pytest.mark.parametrize("labels", [True, False])
def test_labelled_is_said_only_of_what_was_labelled(tmp_path: Path, labels: bool) -> None:
    rows, sections, out = alarms_of(tmp_path, sequences(tmp_path, labels) | {"inject": "repeat:3"})
    said = {1: "injected anomaly", 0: "labelled normal" if labels else "no label, taken as normal"}
    assert set(rows["label"]) == {0, 1} or labels  # unlabelled 99s are taken as normal
    for row, section in zip(rows.itertuples(), sections, strict=True):
        assert row.status == said[row.label]
        assert said[row.label] in section
        assert len(marked(section)) == (row.odd_place > 0)
    assert "labelled anomaly" not in (out / "alarms.md").read_text()
    assert not any("\t" in section or "\x1b" in section for section in sections)
