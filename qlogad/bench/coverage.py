"""Confidence intervals: how often they contain the truth, in simulation (minutes).

For each metric, effective number of sequences and shape of their weights. Singles are 95 % intervals of one detector
(`evaluate.compare.other_sequences`), pairs those of differences (`evaluate.compare.difference`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from qlogad import escape, files
from qlogad.arrays import Floats, Ints
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress
from qlogad.evaluate.compare import Paired, coverage, difference
from qlogad.evaluate.metrics import effective_n
from qlogad.seeds import generator

__all__ = ["EFFECTIVE", "SHAPES", "CoverageBenchmark", "measure", "pairs", "singles", "weights", "write"]

Row = dict[str, Any]
SHAPES = ("equal", "hdfs-like", "adversarial")
EFFECTIVE = (10, 20, 50, 200)
METRICS = ("recall", "precision", "f1", "specificity", "mcc")
RATES = ((0.3, 0.01), (0.6, 0.02), (0.9, 0.01), (0.9, 0.05))  # recall, false alarm rate
DESIGNS = (
    (0.7, 0.7, 0.01, 0.5),
    (0.8, 0.5, 0.01, 0.3),
    (0.7, 0.6, 0.02, 0.8),
)  # recall left and right, false alarm rate, share of equal judgements


@dataclass(frozen=True, kw_only=True)
class CoverageBenchmark(Benchmark):
    """Both kinds of interval for all weights and effective numbers."""

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        found = measure(progress)
        path = write(found, out / "bench-coverage")
        return BenchmarkResult(found, path.read_text(encoding="utf-8"), path)


def weights(shape: str, n: int) -> Floats:
    """Multiplicities with an effective number of sequences of n.

    Args:
        shape: `equal`; `hdfs-like`, 20 n sequences by a power law; `adversarial`, one heavy sequence beside 20 n equal light ones.

    >>> [round(effective_n(weights(shape, 10))) for shape in SHAPES]
    [10, 10, 10]
    """
    if shape == "equal":
        return np.ones(n)
    many = np.arange(1.0, 20 * n + 1)

    def unequal(power: float) -> Floats:
        return many**-power if shape == "hdfs-like" else np.append(power * len(many), np.ones(len(many)))

    power = brentq(lambda power: effective_n(unequal(power)) - n, 1e-3, 5.0)
    return unequal(power)


def _test(shape: str, n: int) -> tuple[Ints, Floats]:
    """Labels and multiplicities: n effective anomalies, and 4 n effective normals with ten times their weight."""
    anomalies, normals = weights(shape, n), weights(shape, 4 * n)
    weight_N = np.concatenate([anomalies / anomalies.sum(), 10 * normals / normals.sum()])
    return np.repeat([1, 0], [len(anomalies), len(normals)]), weight_N


def singles(shape: str, n: int, recall: float, fpr: float, *, sets: int) -> Row:
    """The coverage of every metric's interval for one detector."""
    label_N, weight_N = _test(shape, n)
    return {"weights": shape, "effective n": n, "recall, truly": recall, "false alarms, truly": fpr} | coverage(
        METRICS, label_N, weight_N, recall=recall, fpr=fpr, sets=sets
    )


def pairs(shape: str, n: int, left: float, right: float, fpr: float, alike: float, *, sets: int, resamples: int = 500) -> Row:
    """The coverage of the interval of a difference in F1 between two detectors; the right one has half the false alarm rate."""
    label_N, weight_N = _test(shape, n)
    random = generator(0, "pairs", shape, n)
    rates_2N = np.where(label_N == 1, np.array([[left], [right]]), np.array([[fpr], [fpr / 2]]))
    sizes = [float(weight_N[label_N == label].sum()) for label in (1, 0)]
    f1 = [2 * p * sizes[0] / (p * sizes[0] + q * sizes[1] + sizes[0]) for p, q in ((left, fpr), (right, fpr / 2))]
    held, apart, told = 0, 0, []
    for seed in range(sets):
        number_2N = random.random((2, len(label_N)))
        number_2N[1] = np.where(random.random(len(label_N)) < alike, number_2N[0], number_2N[1])
        one, other = number_2N < rates_2N
        found = difference("f1", [Paired(one, other, label_N, weight_N, np.arange(len(label_N)))], resamples=resamples, seed=seed)
        around = found.interval()
        held += around.low - 1e-9 <= f1[0] - f1[1] <= around.high + 1e-9
        apart += around.low > 0 or around.high < 0
        told.append(found.told_apart)
    design = {"recalls, truly": f"{left} - {right}", "false alarms, truly": f"{fpr} - {fpr / 2}", "judged alike": alike}
    return (
        {"weights": shape, "effective n": n}
        | design
        | {
            "judged differently": float(np.median(told)),
            "f1 difference": held / sets,
            "zero left out": apart / sets,
        }
    )


def measure(progress: Progress, *, sets: int = 1000, of_pairs: int = 200) -> dict[str, list[Row]]:
    """The whole grid, with `sets` simulated test sets per row (`of_pairs` for pairs)."""
    found: dict[str, list[Row]] = {"singles": [], "pairs": []}
    for shape in SHAPES:
        for n in EFFECTIVE:
            progress(f"{shape} weights, effective n", n)
            found["singles"] += [singles(shape, n, *rates, sets=sets) for rates in RATES]
            found["pairs"] += [pairs(shape, n, *design, sets=of_pairs) for design in DESIGNS if n in EFFECTIVE[:3]]
    return found


def write(found: dict[str, list[Row]], folder: Path, *, sets: int = 1000, of_pairs: int = 200) -> Path:
    """Write coverage.json and table.md; returns the table's path."""
    every = [row[metric] for row in found["singles"] for metric in METRICS]
    inside = sum(0.93 <= value <= 0.97 for value in every)
    text = [
        "# How often 95 % intervals hold the truth",
        f"Written by `qlogad bench coverage`. Sequences raise alarms with the chances given, however frequent they are; {sets} simulated "
        f"test sets a row ({of_pairs} of pairs). One set of draws serves a row, as it serves a run: a figure has a standard error of "
        "about 0.01 (pairs: 0.015). Normals have four times the effective "
        "number of the anomalies, by the same shape, and ten times their weight. Weights: `equal`; `hdfs-like`, a power law over twenty "
        "times as many sequences; `adversarial`, one heavy sequence beside as many equal light ones.",
        "## One detector",
        f"{inside} of {len(every)} figures lie in 0.93 to 0.97, {sum(value > 0.97 for value in every)} above: few equal sequences at rates "
        "near 0 or 1, where a share has few possible values and no interval can have a smaller coverage; "
        f"{sum(value < 0.93 for value in every)} below, the least {min(every):.3f}.",
        _table(found["singles"]),
        "## Differences of two detectors",
        "Both judge a share of the sequences (`judged alike`) by the same random number. `judged differently` is the effective number of "
        "those that they judge differently (median).",
        _table(found["pairs"]),
    ]
    files.write(folder / "coverage.json", json.dumps(found, indent=1) + "\n")
    files.write(folder / "table.md", "\n\n".join(text) + "\n")
    return folder / "table.md"


def _table(rows: Sequence[Row]) -> str:
    shares = (*METRICS, "f1 difference", "zero left out")
    shown = [
        {
            key: f"{value:.3f}" if key in shares else f"{value:.1f}" if key == "judged differently" else value
            for key, value in row.items()
        }
        for row in rows
    ]
    return escape.table(shown, "github")
