"""The common part of networks trained on labelled windows: the binary cross-entropy of logits, with both classes in balance.

    rows + labels ──► Pairs: distinct, with multiplicities ──► classify(network, pairs, held) ──► logits: higher is more anomalous

A detector adds its rows, network and scores: `class X(Labelled, Detector)`.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from qlogad.arrays import Floats, Ints
from qlogad.detect.batches import distinct
from qlogad.detect.trained import Examples, Trained
from qlogad.features.features import Features, Labels
from qlogad.nn.network import CoreNetwork

__all__ = ["Labelled", "Pairs"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Distinct pairs of row and label, with the number of windows that each represents.

    >>> features, labels = Features.from_sequences([[0], [1], [0]], size=2), Labels(np.array([0, 1, 0]))
    >>> pairs = Pairs.of(np.array([[5], [7], [5]]), features, labels)
    >>> pairs.rows_UX.tolist(), pairs.label_U.tolist(), pairs.weight_U.tolist()
    ([[5], [7]], [0, 1], [2.0, 1.0])
    """

    rows_UX: Ints
    label_U: Ints
    weight_U: Floats

    @classmethod
    def of(cls, rows_NX: Ints, features: Features, labels: Labels) -> Self:
        """The pairs of windows that are represented by rows (N, X); those without multiplicity are left out."""
        known_N = np.flatnonzero(features.weight_N > 0)
        pairs_UX, place_N = distinct(np.column_stack([rows_NX, labels.window_N])[known_N])
        weight_U = np.bincount(place_N, weights=features.weight_N[known_N], minlength=len(pairs_UX))
        return cls(pairs_UX[:, :-1], pairs_UX[:, -1], weight_U.astype(np.float64))


@dataclass(kw_only=True)
class Labelled(Trained, ABC):
    """A trained classifier of windows, whose network gives a logit per row: 0 is even odds in the balanced loss.

    The loss is the binary cross-entropy over all windows with their multiplicities. Early stopping uses that of the validation windows
    if they have both labels; otherwise all epochs are run.
    """

    balance: bool = True  # give normal windows and anomalies the same total weight in the loss

    def trimmed(self, rows_BX: Tensor) -> Tensor:
        """Rows of a batch as the network takes them: as they are, unless a detector cuts off what they all lack."""
        return rows_BX

    def classify(self, network: CoreNetwork, pairs: Pairs, held: Pairs | None) -> None:
        """Train a network on pairs and keep it as `network_`; `held` are pairs of validation windows."""
        share_C = np.ones(2)
        if self.balance:
            share_C = pairs.weight_U.sum() / (2 * np.bincount(pairs.label_U, weights=pairs.weight_U, minlength=2))
        both = held is not None and len(np.unique(held.label_U)) == 2
        self.learn(network, self._examples(pairs, share_C), self._examples(held, share_C) if held is not None and both else None)

    def _examples(self, pairs: Pairs, share_C: Floats) -> Examples:
        """The examples of pairs, their weights multiplied by the share of their class."""
        arrays = (
            pairs.rows_UX.copy(),
            pairs.label_U.astype(np.float32),
            (pairs.weight_U * share_C[pairs.label_U]).astype(np.float32),
        )
        rows_UX, label_U, weight_U = (torch.from_numpy(array).to(self.device) for array in arrays)

        def loss(rows_B: Tensor) -> Tensor:
            logits_B = self.network_(self.trimmed(rows_UX[rows_B]))
            return nn.functional.binary_cross_entropy_with_logits(
                logits_B, label_U[rows_B], weight=weight_U[rows_B], reduction="sum"
            )

        return Examples(weight_U, loss)
