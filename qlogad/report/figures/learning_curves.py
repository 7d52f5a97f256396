"""Loss by epoch: one panel per contender, one thin line per seed and cut; the dot marks the epoch that was kept."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from qlogad import escape
from qlogad.nn.epochs import History
from qlogad.report.drawing import INK, legend
from qlogad.report.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(record: Record) -> Figure | None:
    """Draw all trainings; None if nothing was trained in epochs."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullFormatter

    trained: dict[str, list[tuple[str, History]]] = {}
    for cell in record.cells:
        if cell.history is not None:
            trained.setdefault(cell.facts.contender, []).append((cell.facts.cut, cell.history))
    if not trained:
        return None
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
    return figure


def _decades(axis: Axes) -> float:
    low, high = axis.get_ylim()
    return float(np.log10(high / low))
