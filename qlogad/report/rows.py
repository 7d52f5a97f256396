"""The rows of a record: every finished cell judged on every set of windows. Pure functions of saved scores, so they can be made again.

Sets of test windows: `all`; `distinct` (each sequence counts once for a label); `unseen` (its sequence was not in training); one per
stratum and per kind of anomaly (those anomalies against all normals); and `in flight` (windows open at the cut, which are neither past
nor test).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from qlogad.arrays import Floats
from qlogad.evaluate.metrics import measure
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.ground import STRATA, Ground, Part

__all__ = ["judge_cell", "sets"]


def sets(made: Ground) -> dict[str, tuple[str, Floats]]:
    """Every set of windows as (part, weight of each of its rows)."""
    test = made.test.features
    label_N = made.test.labels.window_N
    found: dict[str, tuple[str, Floats]] = {
        "all": ("test", test.weight_N),
        "distinct": ("test", np.ones(len(test))),
        "unseen": ("test", test.weight_N * ~test.seen_N),
        "in flight": ("in_flight", made.in_flight.features.weight_N),
    }
    for stratum in STRATA:
        found[f"stratum {stratum}"] = ("test", test.weight_N * ((label_N == 0) | (made.stratum_N == stratum)))
    for kind, weight_N in _kinds(made.test).items():
        found[f"kind {kind}"] = ("test", np.where(label_N == 0, test.weight_N, weight_N))
    return found


def _kinds(part: Part) -> dict[str, Floats]:
    """How many windows of each kind of anomaly a row stands for."""
    kinds = sorted({str(kind) for kind in part.kind_W[part.label_W == 1]} - {""})
    return {
        kind: np.bincount(part.features.row_W[(part.kind_W == kind) & (part.label_W == 1)], minlength=len(part.features)).astype(
            float
        )
        for kind in kinds
    }


def judge_cell(cell: Cell, outcome: Outcome, made: Ground) -> Iterator[dict[str, Any]]:
    """The rows of one cell: one per set of windows."""
    facts = outcome.facts
    weights = facts["weights"]
    for name, (part_name, weight_N) in sets(made).items():
        part: Part = getattr(made, part_name)
        keep_N = weight_N > 0
        result = measure(
            outcome.scores[part_name][keep_N], outcome.alarms[part_name][keep_N], part.labels.window_N[keep_N], weight_N[keep_N]
        )
        yield {
            "contender": cell.contender.name,
            "track": cell.contender.track(cell.training),
            "cut": cell.cut,
            "seed": cell.seed,
            "windows": name,
            **asdict(result),
            "threshold": facts["threshold"],
            "weights_quantum": weights.get("quantum", 0),
            "weights_quantum_live": weights.get("live", 0),
            "weights_classical": weights.get("classical", weights["total"]),
            "weights_total": weights["total"],
            "circuit_executions": facts["executions"],
            "fit_seconds": round(facts["fit_seconds"], 3),
            "score_seconds": round(facts["score_seconds"], 3),
            "base": facts["base"],
            "cell": cell.identity,
        }
