"""Score of every test window at its start, one panel per contender, with its threshold; infinite scores are triangles at the top."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from qlogad.report.alarms import status
from qlogad.report.columns import Rows, ScoredCell
from qlogad.report.drawing import ALARM, INK, legend, named
from qlogad.report.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(record: Record) -> Figure | None:
    """Draw the last cut and first seed of the contenders in the first two contrasts, or of the first four contenders if there are none."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    cut = record.cuts[-1]
    cells = _headline(record, record.firsts(cut))
    if not cells:
        return None
    figure = Figure(figsize=(9, 1.9 * len(cells) + 0.5), layout="constrained")
    axes = figure.subplots(len(cells), 1, sharex=True, squeeze=False)[:, 0]
    shown: dict[str, object] = {}
    known = {label: status(label, record.injected, record.assumed) for label in (0, 1)}
    for axis, cell in zip(axes, cells, strict=True):
        shown |= _panel(axis, cell, cut.forms[cell.facts.form].test, known)
    timed = bool(np.isfinite(cut.merged.test.start_W).all())
    if timed:
        for axis in axes:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axis.xaxis.set_major_locator(locator)
            axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    what = "start of the window" if timed else "window"
    axes[-1].set_xlabel(f"{what} (test part of cut {cut.name})")
    legend(figure, [*shown.values()], [*shown], columns=5)
    return figure


def _headline(record: Record, cells: Sequence[ScoredCell]) -> Sequence[ScoredCell]:
    named = {name for pair in record.judge.contrasts[:2] for name in pair} or {one.name for one in record.entrants[:3]}
    return [cell for cell in cells if cell.facts.contender in named] or cells[:4]


def _panel(axis: Axes, cell: ScoredCell, test: Rows, known: dict[int, str]) -> dict[str, object]:
    """Draw one contender; returns the handles for the legend."""
    shown: dict[str, object] = {}
    threshold = cell.facts.threshold
    timed = bool(np.isfinite(test.start_W).all())
    x_W = [datetime.fromtimestamp(s, UTC) for s in test.start_W] if timed else list(range(len(test.row_W)))
    x_all, score_W, label_W = np.asarray(x_W, dtype=object), cell.scores["test"][test.row_W], test.label_W
    finite_W = np.isfinite(score_W)
    top = float(np.append(score_W[finite_W], threshold if np.isfinite(threshold) else -np.inf).max())
    top = top if np.isfinite(top) else 1.0
    looks = {known[0]: (0, ".", 2.5, INK, 0.35), known[1]: (1, "x", 4.0, ALARM, 1.0)}
    for what, (label, mark, size, color, alpha) in looks.items():
        for name, chosen_W, marker in ((what, finite_W, mark), (f"{what}, infinite score", ~finite_W, "^")):
            own_W = (label_W == label) & chosen_W
            if own_W.any():
                y_W = np.where(finite_W, score_W, top + 0.1 * abs(top) + 1e-9)[own_W]
                ms = size if marker == mark else 4.0
                (shown[name],) = axis.plot(x_all[own_W], y_W, marker, ms=ms, color=color, alpha=alpha, rasterized=True)
    if np.isfinite(threshold):
        shown["threshold"] = axis.axhline(threshold, color=INK, lw=0.8)
    axis.set_title(named(f"{cell.facts.contender}: threshold {threshold:.4g}", 110), fontsize=9, loc="left")
    axis.set_ylabel("score")
    return shown
