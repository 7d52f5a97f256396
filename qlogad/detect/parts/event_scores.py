"""From event scores to window scores.

Event scores of all windows lie end to end: window n has score_E[offsets_N1[n]:offsets_N1[n + 1]]. NaN: the event is not scored.
"""

from __future__ import annotations

import numpy as np

from qlogad.arrays import Floats, Ints

__all__ = ["highest", "largest"]


def largest(score_E: Floats, offsets_N1: Ints) -> Floats:
    """The highest event score of each window, (N,); 0 if none is above 0.

    >>> largest(np.array([1.0, np.nan, np.inf, -1.0]), np.array([0, 2, 3, 4, 4])).tolist()
    [1.0, inf, 0.0, 0.0]
    """
    score_N = np.zeros(len(offsets_N1) - 1)
    np.fmax.at(score_N, _row_E(offsets_N1), score_E)
    return score_N


def highest(score_E: Floats, offsets_N1: Ints) -> Ints:
    """The position of each window's highest event score above 0, the first of equal ones, (N,); -1 if there is none."""
    row_E, top_N = _row_E(offsets_N1), largest(score_E, offsets_N1)
    place_E = np.flatnonzero((score_E > 0) & (score_E == top_N[row_E]))
    found_N = np.full(len(top_N), -1, dtype=np.int64)
    found_N[row_E[place_E][::-1]] = place_E[::-1]  # the first of several is written last
    return found_N


def _row_E(offsets_N1: Ints) -> Ints:
    return np.repeat(np.arange(len(offsets_N1) - 1), np.diff(offsets_N1))
