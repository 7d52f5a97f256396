"""Laws of the figures: legends lie inside and hold every name, what is infinite or assumed is marked, equal figures are equal files."""

from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import binom, norm

from qlogad.evaluate.curves import precision_band
from qlogad.evaluate.metrics import pr_curve
from qlogad.report.drawing import save, thinned, written
from qlogad.report.figures import pr_curves, timeline
from qlogad.report.folder import figure_names
from qlogad.report.record import Record
from tests.report.records import record

SHORT = [f"contender {number}" for number in range(13)]
LONG = [
    f"quantum angle-y strongly-entangling with {number} layers and whatever else a grid puts into a name " * 2
    for number in range(13)
]
ODD = ["_hidden", "$x_1$", "a$b", "<b>", "$\\frac{1}{", *"abcdefgh"]


def legend_lies_inside(figure: Figure) -> list[str]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (drawn,) = figure.legends
    box, whole = drawn.get_window_extent(canvas.get_renderer()), figure.bbox
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1
    assert whole.y0 <= box.y0
    panels = [axis.get_tightbbox(canvas.get_renderer()) for axis in figure.axes]
    assert box.y1 <= min(panel.y0 for panel in panels) + 1, "it covers no panel"
    assert all(panel.height > 0.25 * figure.dpi for panel in panels), "panels keep room"
    return [text.get_text().replace("\n", " ").strip() for text in drawn.get_texts()]


@pytest.mark.sample(6)
@pytest.mark.parametrize(("names", "cuts"), [(SHORT, 1), (SHORT, 3), (LONG, 1), (ODD, 1), (LONG, 3)])
@pytest.mark.parametrize("count", [1, 2, 13])
def test_legends_are_whole(names: list[str], cuts: int, count: int) -> None:
    made = record(names=names[:count], cuts=cuts)
    told = legend_lies_inside(pr_curves.draw(made))
    assert len(told) == count + 2  # the interval and the base rate
    for name, shown in zip(names[:count], told, strict=False):
        assert " ".join(name.split()).replace("- ", "-") == shown.replace("\\$", "$").replace("- ", "-")
    legend_lies_inside(timeline.draw(made))


def with_threshold(made: Record, name: str, threshold: float) -> Record:
    cells = [
        replace(cell, facts=replace(cell.facts, threshold=threshold)) if cell.facts.contender == name else cell
        for cell in made.cells
    ]
    return replace(made, cells=tuple(cells))


def test_infinite_scores_and_what_is_assumed_are_marked_and_the_threshold_is_named() -> None:
    plain = record(names=("a", "b"))
    made = with_threshold(with_threshold(replace(plain, injected="swap:1", assumed=True), "a", 1.25), "b", np.inf)
    made.firsts(made.cuts[0])[0].scores["test"][3:5] = np.inf
    figure = timeline.draw(made)
    told = legend_lies_inside(figure)
    assert {"no label, taken as normal, infinite score", "injected anomaly, infinite score", "threshold"} <= {*told}
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a: threshold 1.25", "b: threshold inf"]
    told = legend_lies_inside(timeline.draw(record(names=("a", "b"))))
    assert not any("infinite" in name for name in told)
    assert "labelled anomaly" in told


@pytest.mark.parametrize("name", figure_names())
def test_png_and_svg_are_written_and_equal_figures_are_equal_files(name: str, tmp_path: Path) -> None:
    draw = import_module(f"qlogad.report.figures.{name.replace('-', '_')}").draw
    for folder in (tmp_path / "a", tmp_path / "b"):
        save(draw(record(cuts=2)), folder / f"{name}.png")
    made = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert made == [f"{name}.png", f"{name}.svg"]
    assert all((tmp_path / "a" / one).read_bytes() == (tmp_path / "b" / one).read_bytes() for one in made)


@pytest.mark.parametrize("name", figure_names())
def test_a_figure_is_small_whatever_the_run(name: str) -> None:
    """Thirteen contenders that train for 200 epochs with 10 seeds, as many floors beside them, and losses as ragged as can be."""
    whole = record(names=[*map(str, range(26))], seeds=10, epochs=200, size=1500)
    assert len([cell for cell in whole.cells if cell.history]) == 130
    made = written(import_module(f"qlogad.report.figures.{name.replace('-', '_')}").draw(whole))
    assert len(made[".svg"]) < 200_000
    assert len(made[".png"]) < 400_000


LINES = st.lists(st.tuples(st.floats(-1, 1, width=16), st.floats(-1, 1, width=16)), min_size=1, max_size=40)


@given(LINES, st.integers(2, 50))
def test_a_thinned_line_keeps_its_ends_and_what_stands_out(points: list[tuple[float, float]], most: int) -> None:
    x_T, y_T = np.array(points).T
    keep = list({0, len(points) // 2})
    place_T = thinned(x_T, y_T, most, keep)
    assert {0, len(points) - 1, *keep} <= {*place_T.tolist()}
    assert (np.diff(place_T) > 0).all()
    assert len(place_T) <= max(most, 3)
    if len(place_T) < most:  # then the line is the same
        for start, end in pairwise(place_T.tolist()):
            way = np.array(points[end]) - points[start]
            off_T = (np.array(points[start : end + 1]) - points[start]) @ [-way[1], way[0]]
            assert np.allclose(off_T, 0, atol=1e-6)


@pytest.mark.parametrize("name", figure_names())
def test_a_record_without_cells_has_no_figures(name: str) -> None:
    assert import_module(f"qlogad.report.figures.{name.replace('-', '_')}").draw(replace(record(), cells=())) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.sampled_from(["tied", "infinite", "distinct"]))
def test_the_band_lies_around_the_curve_and_is_never_certain(seed: int, rows: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    scores_N = random.random(rows) if kind == "distinct" else random.integers(0, 3, rows).astype(float)
    if kind == "infinite":  # equal infinite scores are one threshold, as any equal scores are
        scores_N[scores_N == 2] = np.inf
    label_N, recall_R = np.append([0, 1], random.integers(0, 2, rows - 2)), np.linspace(0.05, 1, 20)
    given, ones_N = (np.ones(rows), np.arange(rows), recall_R), np.ones(rows)
    low_R, high_R = precision_band(scores_N, label_N, *given, draws=50)
    assert (low_R > 0).all()
    assert (high_R <= 1).all()
    precision_G, recall_G = pr_curve(scores_N, label_N, ones_N)
    seen_R = precision_G[np.searchsorted(recall_G, recall_R - 1e-12)]
    assert (low_R <= seen_R + 1e-12).all()
    assert (seen_R <= high_R + 1e-12).all()
    turned = precision_band(scores_N[::-1], label_N[::-1], ones_N, np.arange(rows)[::-1], recall_R, draws=50)
    assert np.allclose(turned, (low_R, high_R))  # the order of rows says nothing
    low_R, high_R = precision_band(label_N * 1.0, label_N, *given, draws=50)
    assert (low_R < 1).all()  # no normal above the anomalies is no proof that there is none
    assert (high_R == 1).all()


def test_the_band_covers_the_curve_at_every_recall() -> None:
    random, recall_R = np.random.default_rng(2), np.array([0.1, 0.3, 0.6, 0.9])
    above_R = norm.sf(norm.isf(recall_R) + 2)  # the false alarms of a threshold, scores N(0, 1) and N(2, 1)
    label_N, trials, held_R = np.repeat([1, 0], [25, 100]), 150, np.zeros(4)
    for seed in range(trials):
        low_R, high_R = precision_band(
            random.normal(size=125) + 2 * label_N, label_N, np.ones(125), np.arange(125), recall_R, seed=seed
        )
        truth_R = recall_R / (recall_R + 4 * above_R)
        held_R += (low_R <= truth_R) & (truth_R <= high_R)
    assert (held_R >= binom.ppf(0.001, trials, 0.94)).all()
