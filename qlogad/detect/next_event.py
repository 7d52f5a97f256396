"""Next-event detection: an event is anomalous if the network finds it unlikely after the events before it.

    preceding events ── network ──► V logits ──► rank of the true event, or its negative log likelihood ── max ──► window

Du et al., CCS 2017, doi:10.1145/3133956.3134015. Equal inputs are run once, in training (with the counts of the next events as soft
targets) and in scoring. A detector of this kind is declared as `class X(NextEvent, Trained, Detector)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Floats, Ints, Numbers
from qlogad.bounds import room
from qlogad.detect.batches import distinct
from qlogad.detect.detector import EXPECTED
from qlogad.detect.parts.event_scores import largest
from qlogad.detect.trained import Examples, Trained
from qlogad.errors import DataError
from qlogad.features.features import Features, Labels

__all__ = ["NextEvent", "histories"]


class NextEvent(Trained, ABC):
    """A detector that predicts every event of a window from the events before it.

    A concrete detector implements `before`, and a `network` that maps its rows (B, H) to the logits of the next event (B, V). It
    declares `score` and `unseen` as fields if they are to be keys in an experiment.

    The event score is the rank of the true event among the V (1 is best, ties count against it; unseen = V + 1), or its negative log
    likelihood in nats (unseen = +inf). The score of a window is the maximum over its events, 0 without events. Early stopping uses
    the negative log likelihood of the validation windows or, if they have labels, of the normal ones.
    """

    score: Literal["rank", "nll"] = "rank"  # the event score: rank or negative log likelihood
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training; "ignore": they do not count

    @abstractmethod
    def before(self, features: Features) -> Ints | Floats:
        """The inputs from which each event is predicted, (E, H), finite; they must not depend on the event itself or on later ones.

        The network also receives rows filled with V + 1, the id of the padding.
        """

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        examples, held = self._examples(features, features.weight_N), None
        if len(examples) == 0:
            raise DataError("the training windows contain no known event; choose a later cut or more data")
        if validation is not None:
            rows, known = validation
            held = self._examples(rows, rows.weight_N if known is None else rows.weight_N * (known.window_N == 0))
        self.learn(self.built(self.network), examples, held)

    def anomaly_score(self, features: Features) -> Floats:
        """The highest event score of each row, (N,); 0 for an empty row."""
        return largest(self.event_score(features), features.offsets_N1)

    def event_score(self, features: Features) -> Floats:
        """Rank or negative log likelihood (nats) of each event, (E,)."""
        before_EH, target_E = self.before(features), features.ids_E
        scores_E = np.full(len(target_E), float(self.size_ + 1) if self.score == "rank" else np.inf)
        if self.unseen == "ignore":
            scores_E[:] = np.nan
        known_E = np.flatnonzero(target_E < self.size_)
        distinct_UH, before_K = distinct(before_EH[known_E])
        pair_P, pair_K = np.unique(before_K * self.size_ + target_E[known_E], return_inverse=True)
        scores_E[known_E] = self._pair_scores(distinct_UH, pair_P // self.size_, pair_P % self.size_)[pair_K]
        return scores_E

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """The most likely event types instead of each event; empty on backends where every circuit run has a cost."""
        if self.network_.priced:
            return [[] for _ in event_A]
        distinct_UH, before_A = distinct(self.before(features)[event_A])
        best_UK = np.zeros((len(distinct_UH), min(EXPECTED, self.size_)), dtype=np.int64)
        for logits_SV, slots_B, rows_B in self.outputs(distinct_UH, fill=self.size_ + 1):
            ranked_SV = torch.sort(logits_SV.double().cpu(), dim=1, descending=True, stable=True).indices.numpy()
            best_UK[rows_B] = ranked_SV[slots_B, : best_UK.shape[1]]
        return [best_UK[place].tolist() for place in before_A]

    def passes(self, features: Features) -> Floats:
        """The number of known events in each row, (N,): each is predicted."""
        return np.bincount(features.row_E[features.ids_E < self.size_], minlength=len(features)).astype(np.float64)

    def _examples(self, features: Features, weight_N: Floats) -> Examples:
        table = _Table.of(self.before(features), features.ids_E, weight_N[features.row_E], features.size, self.device)
        return Examples(table.total_U, partial(self._loss, table))

    def _loss(self, table: _Table, rows_B: Tensor) -> Tensor:
        """The negative log likelihood of the next events, weighted by their counts."""
        row_P, target_P, count_P = table.pairs(rows_B)
        log_BV = torch.log_softmax(self.network_(table.before_UH[rows_B]), dim=1)
        return -(log_BV[row_P, target_P] * count_P).sum()

    def _pair_scores(self, before_UH: Numbers, before_P: Ints, target_P: Ints) -> Floats:
        """Scores (P,) of pairs of an input and an event; `before_P` is sorted."""
        scores_P = np.empty(len(before_P))
        first_U1 = np.searchsorted(before_P, np.arange(len(before_UH) + 1))
        for logits_SV, slots_B, rows_B in self.outputs(before_UH, fill=self.size_ + 1):
            counts_B = first_U1[rows_B + 1] - first_U1[rows_B]
            pairs_Q = np.repeat(first_U1[rows_B] - np.cumsum(counts_B) + counts_B, counts_B) + np.arange(counts_B.sum())
            logits_QV = logits_SV.double()[torch.from_numpy(np.repeat(slots_B, counts_B))].cpu()
            true_Q1 = logits_QV.gather(1, torch.from_numpy(target_P[pairs_Q])[:, None])
            scores_P[pairs_Q] = (_rank if self.score == "rank" else _nll)(logits_QV, true_Q1).numpy()
        return scores_P


def histories(features: Features, history: int) -> Ints:
    """The `history` ids before every event in its row, oldest first, (E, history); V + 1 (padding) before the start of the row.

    >>> histories(Features.from_sequences([[0, 1, 1], [2]]), 2).tolist()
    [[4, 4], [4, 0], [0, 1], [4, 4]]
    """
    events = len(features.ids_E)
    room(24.0 * events * history, f"histories of {history:,} events before each of {events:,}", "take a smaller history")
    place_E = np.arange(events) - np.repeat(features.offsets_N1[:-1], features.lengths_N)
    histories_EH = np.full((events, history), features.size + 1)
    for back in range(1, min(history, int(features.lengths_N.max(initial=1)) - 1) + 1):
        there_E = np.flatnonzero(place_E >= back)
        histories_EH[there_E, history - back] = features.ids_E[there_E - back]
    return histories_EH


def _rank(logits_QV: Tensor, true_Q1: Tensor) -> Tensor:
    return (logits_QV >= true_Q1).sum(dim=1)


def _nll(logits_QV: Tensor, true_Q1: Tensor) -> Tensor:
    return torch.logsumexp(logits_QV, dim=1) - true_Q1[:, 0]


@dataclass(frozen=True, eq=False)
class _Table:
    """Distinct inputs with the weights of the events that followed: U inputs, P pairs (input, target), sorted by input."""

    before_UH: Tensor
    first_U1: Tensor
    target_P: Tensor
    weight_P: Tensor
    total_U: Tensor

    def pairs(self, rows_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(index in the batch, target, weight) of all pairs of a batch of inputs."""
        first_B, counts_B = self.first_U1[rows_B], self.first_U1[rows_B + 1] - self.first_U1[rows_B]
        place_Q = torch.repeat_interleave(counts_B)
        pairs_Q = torch.arange(len(place_Q), device=place_Q.device) + (first_B - counts_B.cumsum(0) + counts_B)[place_Q]
        return place_Q, self.target_P[pairs_Q], self.weight_P[pairs_Q]

    @classmethod
    def of(cls, before_EH: Ints | Floats, target_E: Ints, weight_E: Floats, size: int, device: str) -> _Table:
        known_E = np.flatnonzero((target_E < size) & (weight_E > 0))
        distinct_UH, before_K = distinct(before_EH[known_E])
        pair_P, pair_K = np.unique(before_K * size + target_E[known_E], return_inverse=True)
        weight_P = np.bincount(pair_K, weights=weight_E[known_E], minlength=len(pair_P))
        arrays = (
            distinct_UH,
            np.searchsorted(pair_P // max(size, 1), np.arange(len(distinct_UH) + 1)),
            pair_P % max(size, 1),
            weight_P.astype(np.float32),
            np.bincount(before_K, weights=weight_E[known_E], minlength=len(distinct_UH)).astype(np.float32),
        )
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))
