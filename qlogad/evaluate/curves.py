"""How sure a precision-recall curve is: a pointwise interval over bootstrap resamples of distinct sequences.

Stratified by class, so that no resample lacks one: Boyd, Eng, Page, ECML PKDD 2013, doi:10.1007/978-3-642-40994-3_29.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["precision_band"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def precision_band(
    scores_N: Floats,
    label_N: Ints,
    weight_N: Floats,
    cluster_N: Ints,
    recall_R: Floats,
    *,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """The interval of the precision at which a share of the anomalies is found, low (R,) and high (R,); pointwise, not for all at once.

    Args:
        scores_N: higher is more anomalous; +inf is allowed.
        label_N: 1 is an anomaly; both kinds occur.
        weight_N: how many windows each row stands for.
        cluster_N: the sequence of each row, from 0: whole sequences are drawn.
        recall_R: shares in (0, 1].

    >>> low, high = precision_band(np.arange(4.0), np.array([0, 1, 0, 1]), np.ones(4), np.arange(4), np.array([0.5, 1.0]))
    >>> bool((low <= high).all()), float(high[0])
    (True, 1.0)
    """
    random = np.random.default_rng(seed)
    holds_C = np.zeros(int(cluster_N.max()) + 1, dtype=bool)
    holds_C[cluster_N[label_N == 1]] = True
    strata = [clusters_S for clusters_S in (np.flatnonzero(holds_C), np.flatnonzero(~holds_C)) if len(clusters_S)]
    order_N = np.argsort(-scores_N, kind="stable")
    last_T = np.flatnonzero(np.append(np.diff(scores_N[order_N]) != 0, True))  # where a threshold can lie: after equal scores
    true_N, sorted_N = (label_N[order_N] == 1) * weight_N[order_N], weight_N[order_N]
    found_BR = np.full((resamples, len(recall_R)), np.nan)
    for found_R in found_BR:
        times_C = np.zeros(len(holds_C))
        for clusters_S in strata:
            times_C[clusters_S] = random.multinomial(len(clusters_S), np.full(len(clusters_S), 1 / len(clusters_S)))
        times_N = times_C[cluster_N[order_N]]
        true_T, alarms_T = np.cumsum(true_N * times_N)[last_T], np.cumsum(sorted_N * times_N)[last_T]
        if true_T[-1] > 0:
            reach_R = np.searchsorted(true_T, recall_R * true_T[-1] * (1 - 1e-12))
            found_R[:] = true_T[reach_R] / alarms_T[reach_R]
    low_R, high_R = np.nanquantile(found_BR, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low_R, high_R
