"""The figures of a report: precision-recall curves, scores along time with the labelled anomalies marked, and ladders of hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qlogad import escape, files
from qlogad.nn.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Climb", "Line", "ladder", "learning_curves", "pr_curves", "timeline"]

INK, ALARM = "#30363d", "#c2410c"
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True, eq=False)
class Line:
    """One contender's scores on the test windows of one cut."""

    name: str
    scores_W: NDArray[np.float64]
    label_W: NDArray[np.int64]
    start_W: NDArray[np.float64]  # seconds since the epoch; NaN where unknown
    threshold: float


@dataclass(frozen=True, eq=False)
class Climb:
    """One model's ladder, by rung.

    Args:
        name: of the model.
        decisions: measure -> rung -> (mean, low, high).
        steps: (rung, loop) -> step -> error of expectation values.
        margin_N: how far each row lies above the threshold.
        flips: rung -> share of runs that flip each row.
    """

    name: str
    decisions: Mapping[str, Mapping[str, tuple[float, float, float]]]
    steps: Mapping[tuple[str, str], Mapping[str, float]]
    margin_N: NDArray[np.float64]
    flips: Mapping[str, NDArray[np.float64]]


def pr_curves(cuts: Mapping[str, Sequence[Line]], path: Path) -> None:
    """Precision against recall, one panel a cut, first seed; the dotted line is the base rate."""
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve

    figure = Figure(figsize=(4.6 * len(cuts), 4.4), layout="constrained")
    axes = figure.subplots(1, len(cuts), squeeze=False)[0]
    for axis, (cut, lines) in zip(axes, cuts.items(), strict=True):
        for number, line in enumerate(lines):
            if not 0 < line.label_W.sum() < len(line.label_W):
                continue
            precision, recall, _ = precision_recall_curve(line.label_W, _dense(line.scores_W))
            axis.step(
                recall,
                precision,
                where="post",
                lw=1.4,
                color=f"C{number % 10}",
                ls=STYLES[number // 10 % 4],
                label=escape.label(line.name),
            )
        if lines and len(lines[0].label_W):
            axis.axhline(lines[0].label_W.mean(), color=INK, lw=0.8, ls=":")
        axis.set(title=f"cut {cut}", xlabel="recall", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes[0].set_ylabel("precision")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    files.write_figure(figure, path, dpi=110)


def timeline(lines: Sequence[Line], path: Path, *, cut: str) -> None:
    """Score of every test window at its start, one panel a contender; orange marks are labelled anomalies, the line is the threshold."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 * len(lines) + 0.6), layout="constrained")
    axes = figure.subplots(len(lines), 1, sharex=True, squeeze=False)[:, 0]
    for axis, line in zip(axes, lines, strict=True):
        timed = bool(np.isfinite(line.start_W).all())
        x_W = [datetime.fromtimestamp(s, UTC) for s in line.start_W] if timed else list(range(len(line.scores_W)))
        finite_W = line.scores_W[np.isfinite(line.scores_W)]
        top = float(finite_W.max()) if len(finite_W) else 1.0
        y_W = np.where(np.isfinite(line.scores_W), line.scores_W, top * 1.1 + 1e-9)
        normal_W, anomaly_W = line.label_W == 0, line.label_W == 1
        x_all = np.asarray(x_W, dtype=object)
        axis.plot(x_all[normal_W], y_W[normal_W], ".", ms=2.5, color=INK, alpha=0.35, label="normal")
        axis.plot(x_all[anomaly_W], y_W[anomaly_W], "x", ms=4, mew=1, color=ALARM, label="labelled anomaly")
        if np.isfinite(line.threshold):
            axis.axhline(line.threshold, color=INK, lw=0.8)
        axis.set_title(line.name, fontsize=9, loc="left")
        axis.set_ylabel("score")
        if timed:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes[-1].set_xlabel(f"start of the window (test part of cut {cut})" if timed else f"window (test part of cut {cut})")
    axes[0].legend(loc="upper right", fontsize=7, framealpha=0.9)
    files.write_figure(figure, path, dpi=110)


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
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 3 if across < 3 else 6), fontsize=8, frameon=False)
    _save(figure, path)


def _decades(axis: Axes) -> float:
    low, high = axis.get_ylim()
    return float(np.log10(high / low))


def _save(figure: Figure, path: Path) -> None:
    """As PNG, and as SVG beside it."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "qlogad"}):
        for ending in (".png", ".svg"):
            files.write_figure(figure, path.with_suffix(ending), dpi=110)


def ladder(models: Sequence[Climb], path: Path) -> None:
    """A line of panels a model: decisions by rung, errors of expectation values by step, flips against the distance to the threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 5.6 * len(models)), layout="constrained")
    for part, model in zip(figure.subfigures(len(models), 1, squeeze=False)[:, 0], models, strict=True):
        part.suptitle(model.name, fontsize=10)
        decided, erred, flipped = part.subplots(1, 3)
        for number, (measure, values) in enumerate(model.decisions.items()):
            mean_G, low_G, high_G = np.array(list(values.values())).reshape(-1, 3).T
            place_G = np.arange(len(mean_G)) + 0.12 * (number - 1)
            around_2G = np.clip([mean_G - low_G, high_G - mean_G], 0, None)
            decided.errorbar(place_G, mean_G, yerr=around_2G, fmt="os^"[number % 3], ms=4, lw=1, capsize=2, label=measure)
            decided.set_xticks(range(len(values)), list(values), rotation=40, ha="right", fontsize=7)
        decided.set(title="closed loop, 95 % intervals over sequences", ylim=(-0.03, 1.05))
        if model.decisions:
            decided.legend(fontsize=7, framealpha=0.8)
        names = list(dict.fromkeys(name for name, _ in model.steps))
        looks = {name: {"color": f"C{place % 10}", "marker": "os^vDPX*"[place % 8]} for place, name in enumerate(names)}
        for (name, mode), by_step in model.steps.items():
            line, label = ("-", name) if mode == "closed" else ("--", f"{name}, open")
            erred.plot([int(step) for step in by_step], list(by_step.values()), ls=line, label=label, ms=5, lw=1.2, **looks[name])
        erred.set(title="closed and open loop", xlabel="step", ylabel="error of an expectation value, rms", ylim=(0, None))
        erred.set_xticks(sorted({int(step) for by_step in model.steps.values() for step in by_step}))
        for name, share_N in model.flips.items():
            flipped.plot(model.margin_N, share_N, ls="", ms=5, alpha=0.6, **looks[name])
        flipped.axvline(0, color=INK, lw=0.8)
        flipped.set(title="closed loop", xlabel="exact score above the threshold", ylim=(-0.03, 1.05))
        flipped.set_ylabel("share of runs that flip the decision")
        handles, labels = erred.get_legend_handles_labels()
        part.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7, frameon=False)
    files.write_figure(figure, path, dpi=110)


def _dense(scores_W: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ranks in place of scores: the same curves, and infinite scores are fine."""
    return np.unique(scores_W, return_inverse=True)[1].astype(np.int64)
