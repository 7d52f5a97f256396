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

__all__ = ["NEVER", "UNSEEN", "NextEvent", "Predictions", "histories"]

UNSEEN, NEVER = -1, -2  # targets that are no class: an event type not seen in training; something that can never be right


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a detector predicts in some rows: S predictions, at most a few for each event."""

    before_SH: Ints | Floats  # the inputs of the network
    target_S: Ints  # what came: a class from 0 to K - 1, UNSEEN or NEVER
    event_S: Ints  # the position in `ids_E` of the event whose score it counts for

    def take(self, place_P: Ints) -> Predictions:
        """Some of them."""
        return Predictions(self.before_SH[place_P], self.target_S[place_P], self.event_S[place_P])

    def __add__(self, other: Predictions) -> Predictions:
        """Both, one after the other."""
        return Predictions(
            np.concatenate([self.before_SH, other.before_SH]),
            np.concatenate([self.target_S, other.target_S]),
            np.concatenate([self.event_S, other.event_S]),
        )


class NextEvent(Trained, ABC):
    """A detector that predicts every event of a window from the events before it.

    A concrete detector implements `before`, and a `network` that maps its rows (B, H) to the logits of the next event (B, K). It
    declares `score` and `unseen` as fields if they are to be keys in an experiment. The K classes are the V event types, and further
    ones if it overrides `classes` and `predictions`, by which it also says what is predicted in a window: by default, every event.

    The event score is the rank of what came among the K (1 is best, ties count against it; unseen = K + 1), or its negative log
    likelihood in nats (unseen = +inf); the highest if several predictions count for one event, NaN if none does. The score of a window
    is the maximum over its events, 0 if none is scored. Early stopping uses the negative log likelihood of the validation windows or, if
    they have labels, of the normal ones.
    """

    score: Literal["rank", "nll"] = "rank"  # the event score: rank or negative log likelihood
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training; "ignore": they do not count

    @abstractmethod
    def before(self, features: Features) -> Ints | Floats:
        """The inputs from which each event is predicted, (E, H), finite; they must not depend on the event itself or on later ones.

        The network also receives rows filled with V + 1, the id of the padding.
        """

    @property
    def classes(self) -> int:
        """K, the number of logits."""
        return self.size_

    def predictions(self, features: Features) -> Predictions:
        """What is predicted in these rows; for one event, its own prediction comes first."""
        target_E = np.where(features.ids_E < features.size, features.ids_E, UNSEEN)
        return Predictions(self.before(features), target_E, np.arange(len(target_E)))

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        examples, held = self._examples(features, features.weight_N), None
        if len(examples) == 0:
            raise DataError("the training windows contain no known event to predict; choose a later cut or more data")
        if validation is not None:
            rows, known = validation
            held = self._examples(rows, rows.weight_N if known is None else rows.weight_N * (known.window_N == 0))
        self.learn(self.built(self.network), examples, held)

    def anomaly_score(self, features: Features) -> Floats:
        """The highest event score of each row, (N,); 0 for a row without scored events."""
        return largest(self.event_score(features), features.offsets_N1)

    def event_score(self, features: Features) -> Floats:
        """Rank or negative log likelihood (nats) of each event, (E,); NaN if it is not predicted."""
        made = self.predictions(features)
        scores_E = np.full(len(features.ids_E), np.nan)
        np.fmax.at(scores_E, made.event_S, self._scores(made))
        return scores_E

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """The most likely event types instead of each event; empty where what was not expected is no event.

        Also empty on backends where every circuit run has a cost.
        """
        if self.network_.priced:
            return [[] for _ in event_A]
        made = self.predictions(features)
        made = made.take(np.flatnonzero(np.isin(made.event_S, event_A)))
        if len(np.unique(made.event_S)) < len(made.event_S):
            made = made.take(np.lexsort((-self._scores(made), made.event_S)))  # of each event, the highest first
            made = made.take(np.unique(made.event_S, return_index=True)[1])
        made = made.take(np.flatnonzero((made.target_S == UNSEEN) | ((made.target_S >= 0) & (made.target_S < self.size_))))
        distinct_UH, before_S = distinct(made.before_SH)
        best_UK = np.zeros((len(distinct_UH), min(EXPECTED, self.size_)), dtype=np.int64)
        for logits_SV, slots_B, rows_B in self.outputs(distinct_UH, fill=self.size_ + 1):
            logits_SV = logits_SV[:, : self.size_].double().cpu()
            ranked_SV = torch.sort(logits_SV, dim=1, descending=True, stable=True).indices.numpy()
            best_UK[rows_B] = ranked_SV[slots_B, : best_UK.shape[1]]
        found = {int(event): best_UK[place].tolist() for event, place in zip(made.event_S, before_S, strict=True)}
        return [found.get(int(event), []) for event in event_A]

    def passes(self, features: Features) -> Floats:
        """The number of predictions of something known in each row, (N,)."""
        made = self.predictions(features)
        row_S = features.row_E[made.event_S]
        return np.bincount(row_S[made.target_S >= 0], minlength=len(features)).astype(np.float64)

    def _examples(self, features: Features, weight_N: Floats) -> Examples:
        made = self.predictions(features)
        table = _Table.of(made, weight_N[features.row_E[made.event_S]], self.classes, self.device)
        return Examples(table.total_U, partial(self._loss, table))

    def _loss(self, table: _Table, rows_B: Tensor) -> Tensor:
        """The negative log likelihood of the next events, weighted by their counts."""
        row_P, target_P, count_P = table.pairs(rows_B)
        log_BV = torch.log_softmax(self.network_(table.before_UH[rows_B]), dim=1)
        return -(log_BV[row_P, target_P] * count_P).sum()

    def _scores(self, made: Predictions) -> Floats:
        """Rank or negative log likelihood (nats) of each prediction, (S,); NaN if it does not count."""
        scores_S = np.full(len(made.target_S), float(self.classes + 1) if self.score == "rank" else np.inf)
        if self.unseen == "ignore":
            scores_S[made.target_S == UNSEEN] = np.nan
        known_S = np.flatnonzero(made.target_S >= 0)
        distinct_UH, before_K = distinct(made.before_SH[known_S])
        pair_P, pair_K = np.unique(before_K * self.classes + made.target_S[known_S], return_inverse=True)
        scores_S[known_S] = self._pair_scores(distinct_UH, pair_P // self.classes, pair_P % self.classes)[pair_K]
        return scores_S

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
    def of(cls, made: Predictions, weight_S: Floats, classes: int, device: str) -> _Table:
        known_K = np.flatnonzero((made.target_S >= 0) & (weight_S > 0))
        distinct_UH, before_K = distinct(made.before_SH[known_K])
        pair_P, pair_K = np.unique(before_K * classes + made.target_S[known_K], return_inverse=True)
        weight_P = np.bincount(pair_K, weights=weight_S[known_K], minlength=len(pair_P))
        arrays = (
            distinct_UH,
            np.searchsorted(pair_P // max(classes, 1), np.arange(len(distinct_UH) + 1)),
            pair_P % max(classes, 1),
            weight_P.astype(np.float32),
            np.bincount(before_K, weights=weight_S[known_K], minlength=len(distinct_UH)).astype(np.float32),
        )
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))
