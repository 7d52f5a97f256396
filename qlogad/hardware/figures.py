"""The figure of the ladder from exact numbers to a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qlogad.arrays import Floats
from qlogad.report.drawing import INK, legend, named, save

__all__ = ["Climb", "ladder"]


@dataclass(frozen=True, eq=False)
class Climb:
    """One model's ladder, by rung.

    Args:
        name: of the model.
        decisions: measure -> rung -> (mean, low, high).
        steps: (rung, loop) -> step -> error of expectation values.
        margin_N: score minus threshold of each row.
        flips: rung -> share of runs that flip each row.
    """

    name: str
    decisions: Mapping[str, Mapping[str, tuple[float, float, float]]]
    steps: Mapping[tuple[str, str], Mapping[str, float]]
    margin_N: Floats
    flips: Mapping[str, Floats]


def ladder(models: Sequence[Climb], path: Path) -> None:
    """Draw one row of panels per model: decisions by rung, expectation errors by step, flips against distance to the threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 5.6 * len(models)), layout="constrained")
    for part, model in zip(figure.subfigures(len(models), 1, squeeze=False)[:, 0], models, strict=True):
        part.suptitle(named(model.name, 160), fontsize=10)
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
            every = max(1, -(-len(by_step) // 6))  # a few markers tell lines apart
            steps, errors = [int(step) for step in by_step], list(by_step.values())
            erred.plot(steps, errors, ls=line, label=label, ms=5, lw=1.2, markevery=every, **looks[name])
        erred.set(title="closed and open loop", xlabel="step", ylabel="error of an expectation value, rms", ylim=(0, None))
        erred.set_xticks(sorted({int(step) for by_step in model.steps.values() for step in by_step}))
        for name, share_N in model.flips.items():
            flipped.plot(model.margin_N, share_N, ls="", ms=5, alpha=0.6, rasterized=True, **looks[name])
        flipped.axvline(0, color=INK, lw=0.8)
        flipped.set(title="closed loop", xlabel="exact score above the threshold", ylim=(-0.03, 1.05))
        flipped.set_ylabel("share of runs that flip the decision")
        handles, labels = erred.get_legend_handles_labels()
        legend(part, handles, labels, columns=5)
    save(figure, path)
