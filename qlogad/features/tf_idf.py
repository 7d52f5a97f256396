"""Event counts weighted by how few training windows contain the event. Salton & Buckley, 1988, doi:10.1016/0306-4573(88)90021-0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats
from qlogad.errors import DataError
from qlogad.features.counts import Counts
from qlogad.features.view import Base, View

__all__ = ["TfIdf"]


@dataclass(frozen=True)
class TfIdf(View):
    """Counts times ln((1 + N) / (1 + N_e)) + 1, (N, V + 1), with N_e of N training windows containing event type e.

    The formula is that of scikit-learn's TfidfTransformer, without normalising rows: an event of every window keeps the weight 1, and an
    event type not seen in training has the largest weight, ln(1 + N) + 1.

    >>> from qlogad import Features
    >>> Features.from_sequences([[0, 1, 1], [0]], views=["tf-idf"]).view("tf-idf").round(3).tolist()
    [[1.0, 2.811, 0.0], [1.0, 0.0, 0.0]]
    """

    idf: tuple[float, ...]  # weight of each event type, and of those not seen in training, V + 1

    of: ClassVar[Literal["row"]] = "row"

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) for weight in self.idf):
            raise DataError("the weights of the view 'tf-idf' must be finite numbers")

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Count the training windows that contain each event type."""
        pair_P = np.unique(base.row_E * (base.size + 1) + base.ids_E)  # distinct pairs of row and event type
        holding_V = np.bincount(pair_P % (base.size + 1), weights=base.weight_N[pair_P // (base.size + 1)], minlength=base.size + 1)
        holding_V[-1] = 0.0  # the id V means "unseen"
        return cls(tuple((np.log((1 + base.weight_N.sum()) / (1 + holding_V)) + 1).tolist()))

    def make(self, base: Base) -> Floats:
        """The weighted counts of every row."""
        if len(self.idf) != base.size + 1:
            raise DataError(f"the view 'tf-idf' has {len(self.idf)} weights, but there are {base.size} event types and 'unseen'")
        return np.asarray(Counts().make(base) * np.asarray(self.idf))
