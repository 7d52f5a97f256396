"""Laws of the engine benchmark: it goes on where it was stopped, leaves out what takes too long, and tells the planner's regret."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qlogad.backend.exact import METHODS
from qlogad.bench import engine
from qlogad.bench.engine import GOALS, LONG, Found, Point, Points, grid, measure, regret_of, tables, write
from qlogad.errors import InputError

TINY = [Point("cell", 2, 1, batch=2, steps=2), Point("methods", 2, 1, batch=2, steps=2), Point("wide", 3, 1)]


def silent(what: str, done: int) -> None:
    """No progress is shown."""


def test_the_quick_grid_is_measured_once_and_written(tmp_path):
    """Every workload of the grid gives times above 0, what the planner takes is one of them, and nothing is measured twice."""
    path, told, threads = tmp_path / "bench" / "points.jsonl", [], torch.get_num_threads()
    points = Points(path)
    measure(points, grid(quick=True), lambda what, done: told.append((what, done)))
    assert [done for _, done in told] == list(range(len(grid(quick=True))))
    assert list(points.found) == grid(quick=True)
    for point, one in points.found.items():
        assert all(ms > 0 for ms in one.ms.values() if ms is not None), point
        if point.workload in ("methods", "sequence"):
            assert one.choice in one.ms
            assert regret_of(one) >= 1
        if point.workload == "methods":
            assert set(one.ms) <= set(METHODS)
    measure(Points(path), grid(quick=True), lambda what, done: pytest.fail("it was there"))
    text = write(points, tmp_path / "bench").read_text()
    assert (tmp_path / "bench" / "engine.png").stat().st_size > 1000
    for name, rows in tables(points).items():
        assert (f"## {name}" in text) == bool(rows)
    assert "the planner's choice is within" in text
    assert torch.get_num_threads() == threads


def test_a_stopped_benchmark_goes_on(tmp_path):
    """Wherever writing was stopped, whole points are kept, and the rest is measured again."""
    path = tmp_path / "points.jsonl"
    points = Points(path)
    for number, point in enumerate(TINY):
        points.add(point, Found({"exact": 1.5 + number, "other": None}, "gates"))
    whole = path.read_text()
    ends = [place + 1 for place, letter in enumerate(whole) if letter == "\n"]
    for cut in (0, 1, 40, ends[0] - 1, ends[0], ends[0] + 1, ends[1] + 5, len(whole) - 1, len(whole)):
        path.write_text(whole[:cut])
        again = Points(path)
        assert list(again.found) == TINY[: sum(end <= cut for end in ends)]
        for point in TINY[len(again.found) :]:
            again.add(point, points.found[point])
        assert Points(path).found == points.found
        assert path.read_text() == whole


@pytest.mark.parametrize("text", ["workload,wires\n", "{}\n", "[1]\n"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "points.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="does not hold points of this version; move it away"):
        Points(path)


def test_points_of_another_machine_are_left_where_they_are(tmp_path):
    path = tmp_path / "points.jsonl"
    other = {"setup": "another", "point": asdict(TINY[0]), "choice": "", "ms": {"exact": 1.0}}
    path.write_text(json.dumps(other) + "\n")
    points = Points(path)
    assert not points.found
    points.add(TINY[0], Found({"exact": 2.0}))
    assert len(path.read_text().splitlines()) == 2
    assert Points(path).found == {TINY[0]: Found({"exact": 2.0})}


sizes = st.builds(Point, st.just("cell"), st.integers(2, 5), st.integers(1, 4), st.booleans(), st.integers(1, 4), st.integers(1, 4))


@given(sizes, sizes, st.sampled_from([None, 0.5, 2.0]))
def test_what_took_too_long_is_left_out_of_whatever_is_no_smaller(one, other, times):
    points = Points()
    points.add(one, Found({"rival": None if times is None else times * LONG * 1e3}))
    assert points.too_long("rival", other) == (times != 0.5 and one.within(other))
    assert not points.too_long("stranger", other)
    assert one.within(one)
    assert not one.within(replace(other, workload="peers"))


def test_a_peer_that_does_not_run_is_named(tmp_path):
    point = Point("peers", 2, 1)
    for python in (Path(shutil.which("false") or "false"), tmp_path / "none"):
        with pytest.raises(
            InputError, match=r"does not run PennyLane \+ JAX, jit: .*; --peers is a Python with its package"
        ) as refusal:
            measure(Points(), [point], silent, python=python)
        assert "\n" not in str(refusal.value)
    points = Points()
    measure(points, [point], silent)
    assert not points.found, "without --peers they are left out"


def test_the_full_grid_covers_what_it_says():
    full = grid()
    assert {Point("cell", *case) for case in GOALS} <= set(full)
    for workload in ("cell", "methods"):
        own = [point for point in full if point.workload == workload]
        assert {point.wires for point in own} == set(range(2, 13))
        assert {point.depth for point in own} >= {1, 2, 4}
        assert {point.batch for point in own} >= {16, 1024 if workload == "cell" else 256}
        assert {point.reupload for point in own} == {False, True}
    assert {point.threads for point in full} == {1, 2}
    assert [point.wires for point in full if point.workload == "wide"] == [16, 18, 20, 22]
    assert {point.workload for point in full} == {"cell", "peers", *engine.WORKLOADS}
