"""The benchmark of backends measures what is usable, and writes what it measured."""

import json

import pytest

from qlogad import names
from qlogad.bench.backends import measure, shown, specs, write


def test_rates_agree_with_seconds_and_reach_the_table(tmp_path):
    told = []
    rows = measure(
        lambda what, done: told.append((what, done)), specs=("exact", "nobody", "aer:shots=10"), rows=12, loop=2, repeats=1
    )
    assert [row["backend"] for row in rows] == ["exact", "aer:shots=10"]
    assert [row["kind"] for row in rows] == ["exact", "shots"]
    assert told == [("backend exact", 0), ("backend aer:shots=10", 1)]
    for row in rows:
        assert row["expectations/s"] * row["seconds"] == pytest.approx(12 * 4)
        assert row["times a loop"] > 0 < row["times a loop that prepares"]
    path = write(rows, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["rows"] == rows
    assert all(cell in path.read_text() for row in shown(rows) for cell in row.values())


def test_every_backend_is_measured_and_a_ledger_without_a_file_is_not():
    assert {spec.partition(":")[0] for spec in specs()} == {*names.known("backend")}
    assert measure(lambda what, done: None, ("ledger",), rows=2, loop=1, repeats=1) == []
