"""The benchmark of backends measures what is usable, and writes what it measured."""

import json

import pytest

from qlogad.bench.backends import SPECS, measure, shown, write


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


def test_every_backend_of_ours_is_measured():
    from qlogad import names

    assert {spec.partition(":")[0] for spec in SPECS} >= {*names.known("backend")} - {"ledger"}  # which runs nothing itself
