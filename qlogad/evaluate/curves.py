"""Uncertainty of a precision-recall curve: pointwise intervals over other sequences with the same frequencies."""

from __future__ import annotations

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.evaluate.compare import rates
from qlogad.seeds import generator

__all__ = ["precision_band"]


def precision_band(
    scores_N: Floats,
    label_N: Ints,
    weight_N: Floats,
    cluster_N: Ints,
    recall_R: Floats,
    *,
    level: float = 0.95,
    draws: int = 200,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Pointwise intervals of the precision at given recalls: low (R,) and high (R,).

    At every threshold the alarm rates of both classes are drawn as in `evaluate.compare.other_sequences`. Unlike a bootstrap, this gives
    an interval of nonzero width where no observed normal sequence scores above the threshold, since another one might.

    Args:
        scores_N: higher is more anomalous; +inf is allowed.
        label_N: 1 is an anomaly, 0 normal; both must occur.
        weight_N: the number of windows that each row represents.
        cluster_N: the sequence of each row, from 0.
        recall_R: recalls in (0, 1].

    >>> low, high = precision_band(np.arange(40.0), np.repeat([0, 1], 20), np.ones(40), np.arange(40), np.array([0.5]))
    >>> bool(0.5 < low[0] < 0.9), float(high[0])
    (True, 1.0)
    """
    random = generator(seed, "precision-recall")
    order_N = np.argsort(-scores_N, kind="stable")
    falling_N = scores_N[order_N]
    last_T = np.flatnonzero(np.append(falling_N[1:] != falling_N[:-1], True))  # possible thresholds: after the last of equal scores
    seen, drawn = [], []
    for turn, label in enumerate((1, 0)):
        own_N = weight_N * (label_N == label)
        weight_C = np.bincount(cluster_N, weights=own_N).astype(np.float64)
        seen.append(np.cumsum(own_N[order_N])[last_T])
        drawn.append(rates(seen[-1], weight_C[weight_C > 0], draws, turn, random) * own_N.sum())
    low_R, high_R = np.quantile(_precision(drawn[0], drawn[1], recall_R), [(1 - level) / 2, (1 + level) / 2], axis=0)
    (seen_R,) = _precision(seen[0][None], seen[1][None], recall_R)
    return np.minimum(low_R, seen_R), np.maximum(high_R, seen_R)


def _precision(true_BT: Floats, false_BT: Floats, recall_R: Floats) -> Floats:
    """Precision (B, R) at the highest threshold that reaches each recall; at the lowest threshold if none does."""
    wanted_R = recall_R * true_BT.max() * (1 - 1e-12)
    place_BR = np.stack([np.minimum(np.searchsorted(true_T, wanted_R), len(true_T) - 1) for true_T in true_BT])
    true_BR, false_BR = (np.take_along_axis(each_BT, place_BR, axis=1) for each_BT in (true_BT, false_BT))
    true_BR = np.maximum(true_BR, wanted_R)
    return np.asarray(true_BR / (true_BR + false_BR))
