"""The figures of a report: precision-recall curves, scores along time with the anomalies marked, and ladders of hardware.

Each is written as PNG and, beside it, as SVG. Legends stand below the panels, in as many columns as fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill, wrap
from typing import TYPE_CHECKING

import numpy as np

from qlogad import escape, files
from qlogad.arrays import Floats, Ints
from qlogad.evaluate.curves import precision_band
from qlogad.nn.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["Line", "learning_curves", "legend", "pr_curves", "save", "timeline"]

INK, ALARM = "#30363d", "#c2410c"
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True, eq=False)
class Line:
    """One contender's scores on the test windows of one cut."""

    name: str
    scores_N: Floats  # of the distinct rows
    label_N: Ints
    weight_N: Floats  # windows of each row
    sequence_N: Ints  # the number of each row's sequence
    row_W: Ints  # window -> row
    start_W: Floats  # seconds since the epoch; NaN where unknown
    threshold: float
    normal: str = "labelled normal"  # what is known of windows with label 0 ...
    anomaly: str = "labelled anomaly"  # ... and with label 1


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "qlogad"}):  # equal figures are equal files
        for ending in (".png", ".svg"):
            files.write_figure(figure, path.with_suffix(ending), dpi=110)


def named(name: str, width: int) -> str:
    """A name as figures show it, in lines of at most `width` characters."""
    return "\n".join(escape.label(line) for line in wrap(escape.terminal(name), width) or [""])


def legend(figure: Figure | SubFigure, handles: Sequence[object], labels: Sequence[str], columns: int = 4) -> None:
    """A legend below the panels, whole: in as many columns as the figure is wide enough for, and long names in several lines."""
    if not handles:
        return
    width = figure.get_window_extent().width
    characters = max(12, int(width / figure.dpi * 72 / 5.2) - 8)  # of eight points, beside the line
    shown = [named(label, characters) for label in labels]
    for count in range(min(columns, len(shown)), 0, -1):
        drawn = figure.legend(handles, shown, loc="outside lower center", ncols=count, fontsize=8, frameon=False)  # type: ignore[call-overload]
        if drawn.get_window_extent().width <= 0.98 * width or count == 1:
            break
        drawn.remove()
    whole = figure.figure
    whole.set_size_inches(whole.get_figwidth(), whole.get_figheight() + drawn.get_window_extent().height / figure.dpi)


def pr_curves(cuts: Mapping[str, Sequence[Line]], path: Path) -> None:
    """Precision against recall with pointwise 95 % intervals over distinct sequences, one panel a cut; dotted is the base rate."""
    save(draw_pr_curves(cuts), path)


def draw_pr_curves(cuts: Mapping[str, Sequence[Line]]) -> Figure:
    """The figure that `pr_curves` writes."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from sklearn.metrics import precision_recall_curve

    figure = Figure(figsize=(max(6.4, 4.6 * len(cuts)), 3.8), layout="constrained")
    axes = figure.subplots(1, len(cuts), squeeze=False)[0]
    shown: dict[str, object] = {}
    recall_R = np.linspace(0.02, 1, 50)
    for axis, (cut, lines) in zip(axes, cuts.items(), strict=True):
        for number, line in enumerate(lines):
            if not 0 < line.label_N.sum() < len(line.label_N):
                continue
            color = f"C{number % 10}"
            precision, recall, _ = precision_recall_curve(line.label_N, _dense(line.scores_N), sample_weight=line.weight_N)
            (curve,) = axis.step(recall, precision, where="post", lw=1.4, color=color, ls=STYLES[number // 10 % 4])
            low_R, high_R = precision_band(line.scores_N, line.label_N, line.weight_N, line.sequence_N, recall_R)
            axis.fill_between(recall_R, low_R, high_R, color=color, alpha=0.08, lw=0)
            shown.setdefault(line.name, curve)
            shown.setdefault("95 %, pointwise", Patch(color=INK, alpha=0.12, lw=0))
        if lines and len(lines[0].label_N):
            share = float(np.average(lines[0].label_N, weights=lines[0].weight_N))
            shown["base rate"] = axis.axhline(share, color=INK, lw=0.8, ls=":")
        axis.set(title=f"cut {cut}", xlabel="recall", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes[0].set_ylabel("precision")
    names = sorted(shown, key=lambda name: name in ("95 %, pointwise", "base rate"))  # contenders first
    legend(figure, [shown[name] for name in names], names)
    return figure


def timeline(lines: Sequence[Line], path: Path, *, cut: str) -> None:
    """Score of every test window at its start, one panel a contender, with its threshold; infinite scores are triangles at the top."""
    save(draw_timeline(lines, cut=cut), path)


def draw_timeline(lines: Sequence[Line], *, cut: str) -> Figure:
    """The figure that `timeline` writes."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 * len(lines) + 0.5), layout="constrained")
    axes = figure.subplots(len(lines), 1, sharex=True, squeeze=False)[:, 0]
    shown: dict[str, object] = {}
    for axis, line in zip(axes, lines, strict=True):
        timed = bool(np.isfinite(line.start_W).all())
        x_W = [datetime.fromtimestamp(s, UTC) for s in line.start_W] if timed else list(range(len(line.row_W)))
        x_all, score_W, label_W = np.asarray(x_W, dtype=object), line.scores_N[line.row_W], line.label_N[line.row_W]
        finite_W = np.isfinite(score_W)
        top = float(np.append(score_W[finite_W], line.threshold if np.isfinite(line.threshold) else -np.inf).max())
        top = top if np.isfinite(top) else 1.0
        looks = {line.normal: (0, ".", 2.5, INK, 0.35), line.anomaly: (1, "x", 4.0, ALARM, 1.0)}
        for what, (label, mark, size, color, alpha) in looks.items():
            for name, chosen_W, marker in ((what, finite_W, mark), (f"{what}, infinite score", ~finite_W, "^")):
                own_W = (label_W == label) & chosen_W
                if own_W.any():
                    y_W = np.where(finite_W, score_W, top + 0.1 * abs(top) + 1e-9)[own_W]
                    look = {"ms": size if marker == mark else 4.0, "color": color, "alpha": alpha, "rasterized": True}
                    (shown[name],) = axis.plot(x_all[own_W], y_W, marker, **look)
        if np.isfinite(line.threshold):
            shown["threshold"] = axis.axhline(line.threshold, color=INK, lw=0.8)
        axis.set_title(named(f"{line.name}: threshold {line.threshold:.4g}", 110), fontsize=9, loc="left")
        axis.set_ylabel("score")
        if timed:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes[-1].set_xlabel(f"start of the window (test part of cut {cut})" if timed else f"window (test part of cut {cut})")
    legend(figure, [*shown.values()], [*shown], columns=5)
    return figure


def learning_curves(trained: Mapping[str, Sequence[tuple[str, History]]], path: Path) -> None:
    """Loss by epoch, one panel a contender, a thin line for each seed and cut; the dot is the epoch that was kept.

    Args:
        trained: contender -> the cut and the history of every training.
        path: of the PNG; an SVG is written beside it.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullFormatter

    if not trained:
        return
    across = min(4, len(trained))
    down = -(-len(trained) // across)
    figure = Figure(figsize=(max(3.0 * across, 5.0), 2.4 * down + 0.9), layout="constrained")
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    cuts = list(dict.fromkeys(cut for runs in trained.values() for cut, _ in runs))
    color = {cut: f"C{place % 10}" for place, cut in enumerate(cuts)}
    for axis, (name, runs) in zip(axes.flat, trained.items(), strict=False):
        for cut, history in runs:
            numbers = [epoch.number for epoch in history.epochs]
            axis.plot(numbers, [epoch.loss for epoch in history.epochs], lw=0.6, ls=":", color=color[cut])
            if history.validated:
                held = [epoch.validation for epoch in history.epochs]
                axis.plot(numbers, held, lw=0.7, color=color[cut])
                axis.plot(history.best, held[history.best - 1], "o", ms=3, color=color[cut])
        axis.set_title(fill(escape.terminal(name), 40), fontsize=9, loc="left", parse_math=False)
    for axis in axes.flat[len(trained) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("loss")
    for place in range(across):
        last = max(row for row in range(down) if row * across + place < len(trained))
        axes[last, place].set_xlabel("epoch")
        axes[last, place].tick_params(labelbottom=True)
    if all(epoch.loss > 0 and (epoch.validation or 1) > 0 for runs in trained.values() for _, one in runs for epoch in one.epochs):
        axes[0, 0].set_yscale("log")
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
        axes[0, 0].yaxis.set_minor_formatter("{x:g}" if _decades(axes[0, 0]) < 1 else NullFormatter())
    keys = [Line2D([], [], color=color[cut], label=f"cut {cut}") for cut in cuts]
    keys += [
        Line2D([], [], lw=0.8, ls=":", color=INK, label="training"),
        Line2D([], [], lw=0.8, color=INK, label="validation"),
        Line2D([], [], ls="", marker="o", ms=3, color=INK, label="epoch that was kept"),
    ]
    legend(figure, keys, [str(key.get_label()) for key in keys], columns=6)
    save(figure, path)


def _decades(axis: Axes) -> float:
    low, high = axis.get_ylim()
    return float(np.log10(high / low))


def _dense(scores_W: Floats) -> Ints:
    """Ranks in place of scores: the same curves, and infinite scores are fine."""
    return np.unique(scores_W, return_inverse=True)[1].astype(np.int64)
