"""Loss by epoch: one panel per contender, one thin line per seed and cut; the dot marks the epoch that was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from qlogad import escape
from qlogad.arrays import Floats
from qlogad.nn.epochs import History
from qlogad.report.drawing import INK, POINTS, legend, thinned
from qlogad.report.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_FEW = 60  # runs; of more, the dots are rasterized


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
    every = [history for runs in trained.values() for _, history in runs]
    positive = all(epoch.loss > 0 and (epoch.validation or 1) > 0 for one in every for epoch in one.epochs)
    most = max(2, POINTS // (2 * len(every)))
    for axis, (name, runs) in zip(axes.flat, trained.items(), strict=False):
        for cut in cuts:
            own = [history for of, history in runs if of == cut]
            held = [history for history in own if history.validated]
            axis.plot(*_lines(own, _losses, most, positive), lw=0.6, ls=":", color=color[cut])
            axis.plot(*_lines(held, _validations, most, positive), lw=0.7, color=color[cut])
            kept = [(one.best, one.epochs[one.best - 1].validation) for one in held if one.best]
            x_K, y_K = np.asarray(kept, dtype=np.float64).reshape(-1, 2).T
            axis.plot(x_K, y_K, "o", ms=3, color=color[cut], rasterized=len(every) > _FEW)
        axis.set_title(fill(escape.terminal(name), 40), fontsize=9, loc="left", parse_math=False)
    for axis in axes.flat[len(trained) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("loss")
    for place in range(across):
        last = max(row for row in range(down) if row * across + place < len(trained))
        axes[last, place].set_xlabel("epoch")
        axes[last, place].tick_params(labelbottom=True)
    if positive:
        axes[0, 0].set_yscale("log")
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
        axes[0, 0].yaxis.set_minor_formatter("{x:g}" if _decades(axes[0, 0]) < 1 else NullFormatter())
        for axis in axes[:, 1:].flat:
            axis.tick_params(which="minor", left=False)
    keys = [Line2D([], [], color=color[cut], label=f"cut {cut}") for cut in cuts]
    keys += [
        Line2D([], [], lw=0.8, ls=":", color=INK, label="training"),
        Line2D([], [], lw=0.8, color=INK, label="validation"),
        Line2D([], [], ls="", marker="o", ms=3, color=INK, label="epoch that was kept"),
    ]
    legend(figure, keys, [str(key.get_label()) for key in keys], columns=6)
    return figure


def _losses(history: History) -> Floats:
    return np.asarray([epoch.loss for epoch in history.epochs])


def _validations(history: History) -> Floats:
    return np.asarray([epoch.validation for epoch in history.epochs], dtype=np.float64)


def _lines(histories: Sequence[History], of: Callable[[History], Floats], most: int, log: bool) -> tuple[Floats, Floats]:
    """Lines over epochs as one line with gaps, each of at most so many points, the epoch that was kept among them."""
    x: list[Floats] = [np.zeros(0)]
    y: list[Floats] = [np.zeros(0)]
    for history in histories:
        loss_T = of(history)
        known_T = np.flatnonzero(np.isfinite(loss_T))
        height_T = np.log(loss_T[known_T]) if log else loss_T[known_T]
        span = float(np.ptp(height_T)) if len(height_T) else 0.0
        kept = np.flatnonzero(known_T == history.best - 1).tolist()
        place_T = known_T[thinned(known_T / max(1, len(loss_T)), height_T / (span or 1.0), most, kept)]
        x.append(np.append(place_T + 1.0, np.nan))
        y.append(np.append(loss_T[place_T], np.nan))
    return np.concatenate(x), np.concatenate(y)


def _decades(axis: Axes) -> float:
    low, high = axis.get_ylim()
    return float(np.log10(high / low))
