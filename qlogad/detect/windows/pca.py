"""PCA: a window is anomalous by the distance of its event counts from the principal subspace of training windows.

Xu et al., SOSP 2009, doi:10.1145/1629575.1629587: counts, tf-idf weighting, principal components, squared prediction error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from qlogad.arrays import Floats
from qlogad.bounds import Share
from qlogad.detect.detector import Detector, State
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays

__all__ = ["PCA"]

ROUNDING = 1e-12  # a squared error below this share of the squared norm is rounding error


@dataclass(kw_only=True)
class PCA(Detector):
    """The score is the squared prediction error (Q statistic), >= 0: the squared distance to the principal subspace.

    >>> PCA(weighting="none").fit([[0], [0, 0], [0, 0, 0]]).score_samples([[0] * 9, [0, 1, 1]]).round(6).tolist()
    [0.0, 4.0]
    """

    variance: Share = 0.95  # share of the training variance that the components must exceed, in (0, 1)
    weighting: Literal["tf-idf", "none"] = "tf-idf"  # counts times log((1 + N) / (1 + N_e)), N_e of N training windows with e

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        counts_NV = features.view("counts")
        share_N = features.weight_N / features.weight_N.sum()
        holding_V = features.weight_N @ (counts_NV > 0)
        idf_V = np.log((1 + features.weight_N.sum()) / (1 + holding_V))
        self._scale_V = idf_V if self.weighting == "tf-idf" else np.ones(features.size + 1)
        scaled_NV = counts_NV * self._scale_V
        self._mean_V = share_N @ scaled_NV
        centred_NV = scaled_NV - self._mean_V
        spread_V, axes_VV = np.linalg.eigh((centred_NV * share_N[:, None]).T @ centred_NV)
        spread_V, axes_VV = np.maximum(spread_V[::-1], 0.0), axes_VV[:, ::-1]
        explained_V = np.cumsum(spread_V) / max(float(spread_V.sum()), np.finfo(np.float64).tiny)
        kept = int(np.searchsorted(explained_V, self.variance, side="right")) + 1 if spread_V.any() else 0
        self._axes_VK = np.ascontiguousarray(axes_VV[:, :kept])

    def anomaly_score(self, features: Features) -> Floats:
        """The squared prediction error of each row, (N,)."""
        centred_NV = features.view("counts") * self._scale_V - self._mean_V
        # not with @, whose last digits of a row depend on how many rows there are
        projected_NK = np.einsum("nv,vk->nk", centred_NV, self._axes_VK)
        residual_NV = centred_NV - np.einsum("nk,vk->nv", projected_NK, self._axes_VK)
        error_N = np.square(residual_NV).sum(axis=1)
        return np.where(error_N > ROUNDING * np.square(centred_NV).sum(axis=1), error_N, 0.0)

    def _state(self) -> State:
        return {"scale": self._scale_V, "mean": self._mean_V, "axes": self._axes_VK}

    def _restore(self, state: State) -> None:
        size = self.size_ + 1
        known = {
            "scale": Array("float64", (size,)),
            "mean": Array("float64", (size,)),
            "axes": Array("float64", (size, "components")),
        }
        check_arrays(state, known)
        self._scale_V, self._mean_V, self._axes_VK = state["scale"], state["mean"], state["axes"]
