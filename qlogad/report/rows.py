"""The rows of a record: metrics of every finished cell on every set of windows. Pure functions of stored scores.

Sets of test windows: `all`; `distinct` (each sequence counts once per label); `unseen` (its sequence was not in training); one per
stratum and per kind of anomaly (those anomalies against all normals); and `in flight` (windows open at the cut, which are neither past
nor test).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from qlogad.arrays import Floats
from qlogad.evaluate.metrics import effective_n, measure
from qlogad.report.columns import Cut, Rows, ScoredCell, ScoredParts

__all__ = ["judge_cell", "sets"]


def sets(cut: Cut, form: ScoredParts) -> dict[str, tuple[str, Floats]]:
    """Every set of windows as (part, weight of each of its rows)."""
    test = form.test
    found: dict[str, tuple[str, Floats]] = {
        "all": ("test", test.weight_N),
        "distinct": ("test", 1.0 / _alike(test)),
        "unseen": ("test", test.weight_N * ~test.seen_N),
        "in flight": ("in_flight", form.in_flight.weight_N),
    }
    for number, stratum in enumerate(cut.facts.strata):
        found[f"stratum {stratum}"] = ("test", test.weight_N * ((test.label_N == 0) | (test.stratum_N == number)))
    for kind, weight_N in _kinds(cut, test).items():
        found[f"kind {kind}"] = ("test", np.where(test.label_N == 0, test.weight_N, weight_N))
    return found


def _effective_n(rows: Rows, weight_N: Floats) -> float:
    """The effective number of the anomalies' sequences, whether or not equal windows are merged."""
    return effective_n(np.bincount(rows.sequence_N, weights=weight_N * (rows.label_N == 1)))


def _alike(test: Rows) -> Floats:
    """The number of rows with the same sequence and label as each row: 1 if equal windows are merged."""
    _, same_N, count_S = np.unique(2 * test.sequence_N + test.label_N, return_inverse=True, return_counts=True)
    return np.asarray(count_S[same_N.reshape(-1)], dtype=np.float64)


def _kinds(cut: Cut, test: Rows) -> dict[str, Floats]:
    """The number of windows of each kind of anomaly in each row."""
    counted = {
        kind: np.bincount(test.row_W[(test.kind_W == number) & (test.label_W == 1)], minlength=len(test)).astype(float)
        for number, kind in enumerate(cut.facts.kinds)
        if kind
    }
    return {kind: weight_N for kind, weight_N in sorted(counted.items()) if weight_N.any()}


def judge_cell(cell: ScoredCell, cut: Cut, track: str) -> Iterator[dict[str, Any]]:
    """The rows of one cell: one per set of windows.

    Args:
        cell: the cell to evaluate.
        cut: its cut.
        track: what data its contender may learn from.
    """
    facts, form = cell.facts, cut.forms[cell.facts.form]
    weights = facts.weights
    for name, (part, weight_N) in sets(cut, form).items():
        rows: Rows = getattr(form, part)
        keep_N = weight_N > 0
        result = measure(cell.scores[part][keep_N], cell.alarms[part][keep_N], rows.label_N[keep_N], weight_N[keep_N])
        yield {
            "contender": facts.contender,
            "track": track,
            "cut": facts.cut,
            "seed": facts.seed,
            "windows": name,
            **asdict(result) | {"effective_n": _effective_n(rows, weight_N)},
            "threshold": facts.threshold,
            "weights_quantum": weights.get("quantum", 0),
            "weights_quantum_live": weights.get("live", 0),
            "weights_classical": weights.get("classical", weights["total"]),
            "weights_total": weights["total"],
            "circuit_executions": facts.executions,
            "fit_seconds": round(facts.fit_seconds, 3),
            "score_seconds": round(facts.score_seconds, 3),
            "base": facts.base,
            "cell": facts.identity,
        }
