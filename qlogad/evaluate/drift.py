"""Drift between two periods of a log: templates that are new, that vanished, and those whose rate changed.

Rates are compared by G tests of homogeneity (likelihood ratio; Sokal and Rohlf, Biometry), with Holm's correction over all templates
that both periods have. Events of a log depend on each other and come in bursts, so the p values are too small: they rank, and small
changes of a long log are found too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr
from scipy.stats import chi2

from qlogad.arrays import Floats, Ints
from qlogad.bounds import Between
from qlogad.errors import DataError
from qlogad.evaluate.compare import holm

__all__ = ["Changes", "Drift", "Span", "drift"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What changed between two periods, as places in the counts."""

    new: Ints  # only later
    vanished: Ints  # only before
    changed: Ints  # in both, at different rates
    p_T: Floats  # Holm's adjusted p of each; NaN unless it is in both periods


@dataclass(frozen=True)
class Changes:
    """How many templates of a part are not as in training."""

    new: int  # among messages that training did not see, by a parser of their own
    vanished: int
    changed: int  # in rate


@dataclass(frozen=True)
class Span:
    """A day of the log, or several in a long one."""

    days: str  # "2008-11-09", or "2008-11-09 to 2008-11-12", in UTC
    events: int
    unseen: Annotated[float, Between(0, 1)]  # the share of its events that are unseen in training


def drift(before_T: ArrayLike, after_T: ArrayLike, *, alpha: float = 0.05) -> Drift:
    """Compare how often each of T templates occurs in two periods.

    Args:
        before_T: events of the earlier period by template.
        after_T: the same of the later one.
        alpha: the level at which a rate counts as changed, over all templates.

    Raises:
        DataError: there is not one count of each period for every template, or one is negative.

    >>> found = drift([900, 100, 5, 0], [500, 500, 0, 7])
    >>> found.new.tolist(), found.vanished.tolist(), found.changed.tolist()
    ([3], [2], [0, 1])
    """
    counts_2T = np.array([before_T, after_T], dtype=np.float64) if np.shape(before_T) == np.shape(after_T) else np.empty((0, 0))
    if counts_2T.ndim != 2 or len(counts_2T) != 2 or not (counts_2T >= 0).all():
        raise DataError(f"two counts of 0 or more are needed for each template, got {np.shape(before_T)} and {np.shape(after_T)}")
    both_T = (counts_2T > 0).all(axis=0)
    seen_2B = counts_2T[:, both_T]
    totals_21 = counts_2T.sum(axis=1, keepdims=True)
    observed_22B = np.stack([seen_2B, totals_21 - seen_2B])
    rate_2B = observed_22B.sum(axis=1) / max(totals_21.sum(), 1.0)
    expected_22B = rate_2B[:, None, :] * totals_21[None, :, :]
    p_T = np.full(counts_2T.shape[1], np.nan)
    p_T[both_T] = holm(chi2.sf(2 * rel_entr(observed_22B, expected_22B).sum(axis=(0, 1)), df=1))
    return Drift(
        new=np.flatnonzero((counts_2T[0] == 0) & (counts_2T[1] > 0)),
        vanished=np.flatnonzero((counts_2T[0] > 0) & (counts_2T[1] == 0)),
        changed=np.flatnonzero(np.nan_to_num(p_T, nan=1.0) <= alpha),
        p_T=p_T,
    )
