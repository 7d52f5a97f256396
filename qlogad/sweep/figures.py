"""The figures of a study: history, importances, Pareto front, parallel coordinates, best circuits; one panel per contender.

Importances: fANOVA (Hutter, Hoos, Leyton-Brown, ICML 2014) and PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023, arXiv:2304.10255).
They include every completed trial with its own value, even if it reuses the result of an equal design.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from qlogad import escape, files
from qlogad.arrays import Floats
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.draw import draw, to_svg
from qlogad.jobs.attempts import attempts, index_of
from qlogad.report.drawing import ALARM, INK, legend, named, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qlogad.sweep.study import Study

__all__ = ["attach", "circuits", "front", "history", "importance", "importances", "parallel", "write"]

Trials = Mapping[str, Sequence[FrozenTrial]]  # contender -> its completed trials, by index
NAMES = ("history", "parallel", "front", "importance", "circuits")
FILES = tuple(f"{name}.{kind}" for name in NAMES for kind in ("png", "svg"))
FEW = 4  # trials: with fewer, importances are not computed
DRAWN = 12  # circuits, at most
_AXES = 12  # parallel coordinates, at most
_WIDTH = 110  # characters of a drawn circuit


def attach(trial: optuna.Trial, circuit: Circuit, folder: Path) -> None:
    """Store a drawing of the trial's circuit as an artifact, which optuna-dashboard shows."""
    files.make_folder(folder)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "circuit.svg"
        path.write_text(to_svg(draw(circuit)), encoding="utf-8")
        upload_artifact(
            artifact_store=FileSystemArtifactStore(str(folder)), file_path=str(path), study_or_trial=trial, mimetype="image/svg+xml"
        )


def write(study: Study, studies: Mapping[str, optuna.Study], best: Mapping[str, Mapping[str, Circuit]], folder: Path) -> list[Path]:
    """Draw all figures that the trials allow; returns their paths.

    Args:
        study: the document.
        studies: the trials of every contender.
        best: the circuits to draw, by contender and title.
        folder: the study's results folder.
    """
    trials = {name: completed(study, one) for name, one in studies.items()}
    made: dict[str, Figure | None] = {}
    if any(trials.values()):
        made = {"history.png": history(study, trials), "parallel.png": parallel(study, trials)}
        if len(study.objectives) > 1:
            made["front.png"] = front(study, trials)
        made["importance.png"] = importance(study, studies)
        made["circuits.png"] = circuits(best)
    for name in FILES:
        files.remove(folder / name)
    written = []
    for name, figure in made.items():
        if figure is not None:
            save(figure, folder / name)
            written += [folder / name, (folder / name).with_suffix(".svg")]
    return written


def completed(study: Study, trials: optuna.Study) -> list[FrozenTrial]:
    """The completed logical trials within the budget, each by its last attempt, ordered by index."""
    chains = attempts(trials.get_trials(deepcopy=False))
    lasts = [chains[index][-1] for index in sorted(chains) if study.settings.trials is None or index < study.settings.trials]
    return [last for last in lasts if last.state == TrialState.COMPLETE]


def _firsts(some: Sequence[FrozenTrial]) -> list[bool]:
    """Which trials are the first of several equal ones; the others reuse its result."""
    seen: dict[str, int] = {}
    return [seen.setdefault(str(trial.user_attrs.get("key", place)), place) == place for place, trial in enumerate(some)]


def _panels(count: int, width: float, height: float, rows: int = 1) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    return figure, figure.subplots(rows, count, squeeze=False)


def _values(trials: Sequence[FrozenTrial], objective: int) -> Floats:
    return np.array([trial.values[objective] for trial in trials], dtype=np.float64)


def history(study: Study, trials: Trials) -> Figure:
    """Every completed trial's value against its index, with the best so far; one row of panels per objective."""
    figure, axes = _panels(len(trials), 4.6, 3.2, len(study.objectives))
    for column, (name, some) in enumerate(trials.items()):
        numbers = [index_of(trial) for trial in some]
        for row, aim in enumerate(study.objectives):
            values, axis = _values(some, row), axes[row, column]
            best = np.minimum.accumulate(values) if aim.direction == "minimize" else np.maximum.accumulate(values)
            axis.plot(numbers, values, ".", color=INK, alpha=0.5)
            axis.step(numbers, best, where="post", color=ALARM, lw=1.4)
            axis.set(xlabel="trial", ylabel=aim.name, title=named(name, 44) if row == 0 else "")
    return figure


def front(study: Study, trials: Trials) -> Figure:
    """The first objective against every other, with the Pareto-optimal trials.

    With two objectives the front is drawn as steps, without interpolating between trials.
    """
    others = range(1, len(study.objectives))
    figure, axes = _panels(len(others), 5.2, 4.2)
    signs = np.array([1 if way == "minimize" else -1 for way in study.directions])
    for axis, other in zip(axes[0], others, strict=True):
        for number, (name, some) in enumerate(trials.items()):
            x_N, y_N = _values(some, other), _values(some, 0)
            axis.plot(x_N, y_N, ".", color=f"C{number}", alpha=0.35)
            values_NO = np.stack([_values(some, one) for one in range(len(signs))], axis=1) * signs
            best = np.flatnonzero([not ((values_NO <= own).all(1) & (values_NO < own).any(1)).any() for own in values_NO])
            best = best[np.array(_firsts(some), dtype=bool)[best]]
            best = best[np.lexsort((y_N[best], x_N[best]))]
            steps = "steps-post" if signs[other] > 0 else "steps-pre"
            look = {"drawstyle": steps, "ls": "-" if len(signs) == 2 else ""}
            axis.plot(
                x_N[best], y_N[best], marker="o", ms=4, lw=1, color=f"C{number}", label=f"{name}: front of {len(best)}", **look
            )
        axis.set(xlabel=study.objectives[other].name, ylabel=study.objectives[0].name)
    legend(figure, *axes[0, 0].get_legend_handles_labels())
    return figure


def importances(study: Study, trials: optuna.Study, objective: int) -> dict[str, dict[str, float]]:
    """The importance of each parameter for an objective, by fANOVA and by PED-ANOVA, each summing to 1; empty if not computable.

    Parameters that some completed trials lack, and those that the objective does not depend on, are left out.
    """
    done = completed(study, trials)
    values = _values(done, objective)
    sign = 1 if study.directions[objective] == "minimize" else -1
    if len(done) < FEW or not np.isfinite(values).all() or np.ptp(values) == 0:
        return {}
    aim = study.objectives[objective]
    shared = [name for name in done[0].params if aim.depends(name) and all(name in trial.params for trial in done)]
    varied = [name for name in shared if len({trial.params[name] for trial in done}) > 1]
    if not varied:
        return {}
    found = {}
    counted = optuna.create_study(directions=list(study.directions))
    counted.add_trials(done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes", category=UserWarning)
        ways = {"fANOVA": FanovaImportanceEvaluator(seed=study.settings.seed % 2**32), "PED-ANOVA": PedAnovaImportanceEvaluator()}
        for name, way in ways.items():
            found[name] = get_param_importances(
                counted, evaluator=way, params=varied, target=lambda trial: sign * trial.values[objective]
            )
    return found


def importance(study: Study, studies: Mapping[str, optuna.Study]) -> Figure | None:
    """Bars of both importances for each contender and objective; None if none is computable."""
    found = [
        (f"{name}: {aim.name}", shares)
        for name, trials in studies.items()
        for number, aim in enumerate(study.objectives)
        if (shares := importances(study, trials, number))
    ]
    if not found:
        return None
    most = max(len(shares["fANOVA"]) for _, shares in found)
    figure, axes = _panels(len(found), 4.6, 1.2 + 0.36 * most)
    for axis, (title, shares) in zip(axes[0], found, strict=True):
        names = sorted(shares["fANOVA"], key=lambda key: shares["fANOVA"][key])
        place = np.arange(len(names))
        for offset, (way, share) in zip((0.2, -0.2), shares.items(), strict=True):
            axis.barh(place + offset, [share[name] for name in names], 0.38, label=way, color=INK if way == "fANOVA" else ALARM)
        axis.set(
            yticks=place, yticklabels=[escape.label(key) for key in names], title=named(title, 44), xlabel="importance", xlim=(0, 1)
        )
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


def parallel(study: Study, trials: Trials) -> Figure:
    """One line through the parameters of each completed trial; darker lines have better values of the first objective."""
    from matplotlib import colormaps

    most = max((len(_columns(some)) for some in trials.values()), default=1)
    figure, axes = _panels(1, max(6.0, 1.35 * most), 3.4, max(1, len(trials)))
    for axis, (name, some) in zip(axes[:, 0], trials.items(), strict=True):
        columns = _columns(some)
        sign = 1 if study.directions[0] == "minimize" else -1
        rank = (sign * _values(some, 0)).argsort().argsort() / max(1, len(some) - 1)
        for trial in np.argsort(-rank):
            places = [height.get(some[trial].params.get(key), math.nan) for key, height in columns.items()]
            axis.plot(places, color=colormaps["viridis"](0.8 * rank[trial]), alpha=0.25 + 0.7 * (1 - rank[trial]), lw=1.2)
        for x, height in enumerate(columns.values()):
            _ticks(axis, x, height)
        labels = [key.replace(".", ".\n", 1) for key in columns]
        axis.set(
            xticks=range(len(columns)),
            xticklabels=labels,
            yticks=[],
            ylim=(-0.05, 1.05),
            title=named(f"{name}: the darker, the better the {study.objectives[0].name}", 70),
        )
        axis.set_xlim(-0.3, max(0.7, len(columns) - 0.3))
    return figure


def _columns(some: Sequence[FrozenTrial]) -> dict[str, dict[Any, float]]:
    """For each parameter that varies, the position of each of its values on the axis, 0 to 1."""
    found: dict[str, dict[Any, float]] = {}
    names = {name: trial.distributions[name] for trial in some for name in trial.params}
    names = dict(
        sorted(names.items(), key=lambda item: item[0] if item[0].startswith("design.") and item[0] != "design.rows" else "")
    )
    for name, distribution in names.items():
        values = {trial.params[name] for trial in some if name in trial.params}
        if len(values) < 2:
            continue
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            ordered = [choice for choice in distribution.choices if choice in values]
            found[name] = {value: place / (len(ordered) - 1) for place, value in enumerate(ordered)}
        else:
            scale = math.log if getattr(distribution, "log", False) else float
            low, high = scale(min(values)), scale(max(values))
            found[name] = {value: (scale(value) - low) / (high - low) for value in values}
    return dict(list(found.items())[:_AXES])


def _ticks(axis: Axes, x: int, height: Mapping[Any, float]) -> None:
    """Draw a vertical axis with its values, or with the extremes only if there are many."""
    axis.axvline(x, color=INK, lw=0.6)
    ends = (
        height if len(height) <= 7 else [min(height, key=lambda value: height[value]), max(height, key=lambda value: height[value])]
    )
    for value in ends:
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        behind = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75}
        axis.annotate(text, (x, height[value]), xytext=(3, 0), textcoords="offset points", fontsize=7, va="center", bbox=behind)


def circuits(best: Mapping[str, Mapping[str, Circuit]]) -> Figure | None:
    """The circuits of the best trials, drawn as text under their titles; None if there are none."""
    from matplotlib.figure import Figure

    drawn = [(f"{name}, {title}", draw(circuit, width=_WIDTH)) for name, some in best.items() for title, circuit in some.items()][
        :DRAWN
    ]
    if not drawn:
        return None
    heights = [text.count("\n") + 3.5 for _, text in drawn]
    wide = max(len(line) for _, text in drawn for line in text.split("\n"))
    figure = Figure(figsize=(0.2 + 0.0692 * max(wide, 60), 0.12 * sum(heights) + 0.1))
    top = 0.0
    for (title, text), height in zip(drawn, heights, strict=True):
        y = 1 - (top + 0.8) / (sum(heights) + 0.8)
        figure.text(0.01, y, escape.label(title), fontsize=8, weight="bold", va="top")
        figure.text(0.01, y - 1.4 / (sum(heights) + 0.8), text, fontsize=8, family="monospace", va="top", linespacing=0.95)
        top += height
    return figure
