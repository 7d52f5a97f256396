"""The event count vector of a window, its order forgotten. Xu et al., SOSP 2009, doi:10.1145/1629575.1629587."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from qlogad.features.features import Features, View

__all__ = ["Counts"]


class Counts(View):
    """How often each event type occurs: (N, V + 1); the last column counts events not seen in training."""

    def add(self, features: Features) -> Features:
        """The features with the table `counts`; each row sums to the row's length.

        >>> Counts().add(Features.from_sequences([[0, 1, 1], [5]], size=2)).view("counts").tolist()
        [[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
        """
        width = features.size + 1
        row_E = features.row_E
        counts_NV = np.bincount(row_E * width + features.ids_E, minlength=len(features) * width).reshape(-1, width)
        return replace(features, views=MappingProxyType({**features.views, "counts": counts_NV.astype(np.float64)}))
