"""Precision against recall with pointwise 95 % intervals over distinct sequences, one panel per cut; the dotted line is the base rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.evaluate.curves import precision_band
from qlogad.report.drawing import INK, POINTS, STYLES, legend, thinned
from qlogad.report.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(record: Record) -> Figure | None:
    """Draw the first seed of every contender."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from sklearn.metrics import precision_recall_curve

    if not record.cells:
        return None
    figure = Figure(figsize=(max(6.4, 4.6 * len(record.cuts)), 3.8), layout="constrained")
    axes = figure.subplots(1, len(record.cuts), squeeze=False)[0]
    shown: dict[str, object] = {}
    recall_R = np.linspace(0.02, 1, 50)
    most = max(2, POINTS // max(1, sum(len(record.firsts(cut)) for cut in record.cuts)))
    for axis, cut in zip(axes, record.cuts, strict=True):
        cells = record.firsts(cut)
        for number, cell in enumerate(cells):
            test, scores_N = cut.forms[cell.facts.form].test, cell.scores["test"]
            if not 0 < test.label_N.sum() < len(test):
                continue
            color = f"C{number % 10}"
            precision, recall, _ = precision_recall_curve(test.label_N, _dense(scores_N), sample_weight=test.weight_N)
            x_T, y_T = np.repeat(recall, 2)[1:], np.repeat(precision, 2)[:-1]  # steps
            place_T = thinned(x_T, y_T, most)
            (curve,) = axis.plot(x_T[place_T], y_T[place_T], lw=1.4, color=color, ls=STYLES[number // 10 % 4])
            low_R, high_R = precision_band(scores_N, test.label_N, test.weight_N, test.sequence_N, recall_R)
            axis.fill_between(recall_R, low_R, high_R, color=color, alpha=0.08, lw=0)
            shown.setdefault(cell.facts.contender, curve)
            shown.setdefault("95 %, pointwise", Patch(color=INK, alpha=0.12, lw=0))
        if cells and len(cut.merged.test):
            share = float(np.average(cut.merged.test.label_N, weights=cut.merged.test.weight_N))
            shown["base rate"] = axis.axhline(share, color=INK, lw=0.8, ls=":")
        axis.set(title=f"cut {cut.name}", xlabel="recall", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes[0].set_ylabel("precision")
    names = sorted(shown, key=lambda name: name in ("95 %, pointwise", "base rate"))  # contenders first
    legend(figure, [shown[name] for name in names], names)
    return figure


def _dense(scores_N: Floats) -> Ints:
    """Ranks in place of scores: they give the same curves and allow infinite scores."""
    return np.unique(scores_N, return_inverse=True)[1].astype(np.int64)
