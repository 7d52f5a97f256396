"""DeepLog: a log line is anomalous when the model did not expect it.  Du et al., CCS 2017, doi:10.1145/3133956.3134015.

    the h events before ── embedding ──► cell(core) ── last h ──► linear ──► V logits ──► rank of the true event ── max ──► window

Only the log-key model; one recurrent layer, an LSTM as in the paper or a GRU, whose core is classical, quantum or a control. Equal
histories are run once, in training (with the counts of what followed them as soft targets) and in scoring.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import documents, seeds
from qlogad.arrays import Floats, Ints
from qlogad.bounds import Between, Seed, room
from qlogad.detect.batches import SLOTS, distinct, micro_batches
from qlogad.detect.detector import EXPECTED, Detector, State
from qlogad.errors import DataError, ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.kernel_speed import saved_by_compiling
from qlogad.nn.layer import GateCircuits
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import GRU, LSTM
from qlogad.nn.train import Batch, Clip, Decay, Epochs, History, Patience, Rate, Schedule, Tolerance, check_device, train

__all__ = ["DeepLog", "Network"]


@dataclass(kw_only=True)
class DeepLog(Detector):
    """Next-event detection: predict every event of a window from the `history` events before it.

    Histories are padded on the left; the padding has an embedding of its own, an event unseen in training is the zero vector.
    The event score is the rank of the true event among the V (1 is best, ties count against it; unseen = V + 1), or its negative
    log likelihood (unseen = +inf). The score of a window is the largest of its events, 0 without events.

    Early stopping goes by the negative log likelihood of the validation windows, of those labelled normal where there are labels.
    After `fit`: `history_`, the training run; `executions`, the circuits run so far by this object.

    >>> windows = [[0, 1, 2, 3] * 5] * 20
    >>> detector = DeepLog(epochs=40, history=3).fit(windows, validation=windows)
    >>> detector.predict([[0, 1, 2, 3] * 3, [0, 2, 1, 3] * 3]).tolist()
    [0, 1]
    """

    core: Core = Classical()  # what runs inside the cell; its `hidden` is the size of the state
    cell: Literal["lstm", "gru"] = "lstm"  # the recurrent layer: see nn/recurrent.py
    history: Annotated[int, Between(1, 10_000)] = 10  # h, events a prediction is made from
    embedding: Annotated[int, Between(1, 10_000)] = 32  # width of the learned event vectors
    score: Literal["rank", "nll"] = "rank"  # of an event
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # an event unseen in training; "ignore": NaN, no part in the maximum
    epochs: Epochs = 30  # at most
    batch: Batch = 128  # distinct histories per step
    lr: Rate = 0.01  # Adam's step
    clip: Clip = 1.0  # largest norm of a gradient
    patience: Patience = 8  # epochs without a better validation loss
    decay: Decay = 1.0  # of Adam's step, after every epoch without a better validation loss
    tolerance: Tolerance = 0.0  # share of the validation loss that a better one is lower by
    seed: Seed = 0  # of weights and shuffling
    device: str = "cpu"  # a torch device

    def __post_init__(self) -> None:
        super().__post_init__()
        documents.enforce(self, DataError)
        self._schedule()
        check_device(self.device)

    def check(self) -> None:
        self.core.check()

    def _schedule(self) -> Schedule:
        return Schedule(self.epochs, self.batch, self.lr, self.clip, self.patience, self.decay, self.tolerance)

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        table = self._table(features, features.weight_N)
        if len(table) == 0:
            raise DataError("the training windows hold no known event; choose a later cut or more data")
        held = None
        if validation is not None:
            rows, known = validation
            held = self._table(rows, rows.weight_N if known is None else rows.weight_N * (known.window_N == 0))
        self._network = self._build()
        self.history_: History = train(
            self._network,
            partial(self._loss, table),
            len(table),
            validation=None if held is None or len(held) == 0 else partial(self._held_loss, held),
            schedule=self._schedule(),
            seed=self.seed,
            report=self._report,
        )

    def anomaly_score(self, features: Features) -> Floats:
        scores_N = np.zeros(len(features))
        np.maximum.at(scores_N, _row_E(features), np.nan_to_num(self.event_score(features), posinf=np.inf))
        return scores_N

    def event_score(self, features: Features) -> Floats:
        histories_EH, target_E = _histories(features, self.history), features.ids_E
        scores_E = np.full(len(target_E), float(self.size_ + 1) if self.score == "rank" else np.inf)
        if self.unseen == "ignore":
            scores_E[:] = np.nan
        known_E = np.flatnonzero(target_E < self.size_)
        distinct_UH, history_K = distinct(histories_EH[known_E])
        pair_P, pair_K = np.unique(history_K * self.size_ + target_E[known_E], return_inverse=True)
        scores_E[known_E] = self._score(distinct_UH, pair_P // self.size_, pair_P % self.size_)[pair_K]
        return scores_E

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """The likeliest event types after the history of each event; none where circuits are paid for."""
        if self._network.priced:
            return [[] for _ in event_A]
        distinct_UH, history_A = distinct(_histories(features, self.history)[event_A])
        best_UK = np.zeros((len(distinct_UH), min(EXPECTED, self.size_)), dtype=np.int64)
        for batch_SH, slots_B, rows_B in micro_batches(distinct_UH, fill=self.size_ + 1):
            with torch.no_grad():
                logits_SV = self._network(torch.from_numpy(batch_SH).to(self.device)).double().cpu()
            ranked_SV = torch.sort(logits_SV, dim=1, descending=True, stable=True).indices.numpy()
            best_UK[rows_B] = ranked_SV[slots_B, : best_UK.shape[1]]
        return [best_UK[history].tolist() for history in history_A]

    def weights(self) -> dict[str, int]:
        """Weights of the network by kind; `live`: of the quantum ones, those the readouts can tell apart (frozen ones included)."""
        return self._network.weights()

    @property
    def executions(self) -> int:
        """Circuits run by this object so far, in training and scoring; a micro-batch counts as a whole."""
        return self._network.executions

    def circuits(self) -> list[GateCircuits]:
        return self._network.layers()

    def passes(self, features: Features) -> Floats:
        """Known events of each row: every one of them is predicted."""
        return np.bincount(_row_E(features)[features.ids_E < self.size_], minlength=len(features)).astype(np.float64)

    def compiling_saves(self, features: Features) -> float:
        if (self.core.backend or "").partition(":")[0] != "exact":
            return 0.0
        distinct_UH, _ = distinct(_histories(features, self.history)[features.ids_E < features.size])
        rows = (4 if self.cell == "lstm" else 3) * self.history * len(distinct_UH)
        return self._schedule().expected * saved_by_compiling(max(circuit.wires for circuit in self.core.circuits()), rows)

    def _state(self) -> State:
        return self._network.arrays()

    def _restore(self, state: State) -> None:
        core = self.core.restored(len(state["head_HV"]))
        hidden = core.hidden
        sizes = {
            "embedding_VD": Array("float32", (self.size_ + 1, self.embedding)),
            "head_HV": Array("float32", (hidden, self.size_)),
        }
        check_arrays({name: state[name] for name in sizes if name in state}, sizes)  # before anything of such sizes is made
        if core.linear and 3 * hidden * (hidden + self.embedding) > sum(array.size for array in state.values()):
            raise ResultError(f"there are too few of them for {hidden} units")
        self._network = Network(self.size_, self.embedding, core, self.seed, self.cell).to(self.device)
        self._network.restore(state)

    def _build(self) -> Network:
        def build(core: Core) -> Network:
            return Network(self.size_, self.embedding, core, self.seed, self.cell)

        return build(self.core.resolve(lambda core: build(core).weights()["total"])).to(self.device)

    def _table(self, features: Features, weight_N: Floats) -> _Table:
        return _Table.of(_histories(features, self.history), features.ids_E, weight_N[_row_E(features)], features.size, self.device)

    def _loss(self, table: _Table, rows_B: Tensor) -> Tensor:
        """Negative log likelihood of a batch; its mean over batches is that over all events, each as often as it occurred."""
        return self._sum_loss(table, rows_B) / (len(rows_B) * table.total_U.mean())

    def _sum_loss(self, table: _Table, rows_B: Tensor) -> Tensor:
        row_P, target_P, count_P = table.pairs(rows_B)
        log_BV = torch.log_softmax(self._network(table.histories_UH[rows_B]), dim=1)
        return -(log_BV[row_P, target_P] * count_P).sum()

    def _held_loss(self, table: _Table) -> float:
        with torch.no_grad():
            parts = [self._sum_loss(table, rows_B) for rows_B in torch.split(torch.arange(len(table)), 4 * SLOTS)]
        return float(sum(parts) / table.total_U.sum())

    def _score(self, histories_UH: Ints, history_P: Ints, target_P: Ints) -> Floats:
        """Scores of (history, target) pairs; `history_P` is sorted."""
        scores_P = np.empty(len(history_P))
        first_U1 = np.searchsorted(history_P, np.arange(len(histories_UH) + 1))
        for batch_SH, slots_B, rows_B in micro_batches(histories_UH, fill=self.size_ + 1, whole=self._network.priced):
            with torch.no_grad():
                logits_SV = self._network(torch.from_numpy(batch_SH).to(self.device)).double()
            counts_B = first_U1[rows_B + 1] - first_U1[rows_B]
            pairs_Q = np.repeat(first_U1[rows_B] - np.cumsum(counts_B) + counts_B, counts_B) + np.arange(counts_B.sum())
            logits_QV = logits_SV[torch.from_numpy(np.repeat(slots_B, counts_B))].cpu()
            true_Q1 = logits_QV.gather(1, torch.from_numpy(target_P[pairs_Q])[:, None])
            scores_P[pairs_Q] = (_rank if self.score == "rank" else _nll)(logits_QV, true_Q1).numpy()
        return scores_P


def _rank(logits_QV: Tensor, true_Q1: Tensor) -> Tensor:
    return (logits_QV >= true_Q1).sum(dim=1)


def _nll(logits_QV: Tensor, true_Q1: Tensor) -> Tensor:
    return torch.logsumexp(logits_QV, dim=1) - true_Q1[:, 0]


class Network(CoreNetwork):
    """Embedding, recurrent layer and head: histories (N, h) of ids 0..V-1, V (unseen) and V + 1 (padding) -> logits (N, V)."""

    def __init__(self, size: int, width: int, core: Core, seed: int, cell: Literal["lstm", "gru"] = "lstm") -> None:
        super().__init__(core)
        hidden = core.hidden
        start_VD = torch.randn(size + 1, width, generator=seeds.torch_generator(seed, "embedding"))
        self.embedding_VD = nn.Parameter(start_VD)  # the last row is the padding's
        layer = LSTM if cell == "lstm" else GRU
        self.cell = layer(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "core")))
        bound = hidden**-0.5
        generator = seeds.torch_generator(seed, "head")
        self.head_HV = nn.Parameter((2 * torch.rand(hidden, size, generator=generator) - 1) * bound)
        self.bias_V = nn.Parameter((2 * torch.rand(size, generator=generator) - 1) * bound)

    def forward(self, histories_NT: Tensor) -> Tensor:
        size = len(self.bias_V)
        unseen_1D = self.embedding_VD.new_zeros(1, self.embedding_VD.shape[1])
        table_VD = torch.cat([self.embedding_VD[:size], unseen_1D, self.embedding_VD[size:]])
        _, (h_NH, *_) = self.cell(nn.functional.embedding(histories_NT, table_VD))
        return torch.addmm(self.bias_V, h_NH, self.head_HV)


@dataclass(frozen=True, eq=False)
class _Table:
    """Distinct histories with the weights of what followed them: U histories, P pairs (history, target), sorted by history."""

    histories_UH: Tensor
    first_U1: Tensor
    target_P: Tensor
    weight_P: Tensor
    total_U: Tensor

    def __len__(self) -> int:
        return len(self.total_U)

    def pairs(self, rows_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(place in the batch, target, weight) of all pairs of a batch of histories."""
        first_B, counts_B = self.first_U1[rows_B], self.first_U1[rows_B + 1] - self.first_U1[rows_B]
        place_Q = torch.repeat_interleave(counts_B)
        pairs_Q = torch.arange(len(place_Q), device=place_Q.device) + (first_B - counts_B.cumsum(0) + counts_B)[place_Q]
        return place_Q, self.target_P[pairs_Q], self.weight_P[pairs_Q]

    @classmethod
    def of(cls, histories_EH: Ints, target_E: Ints, weight_E: Floats, size: int, device: str) -> _Table:
        known_E = np.flatnonzero((target_E < size) & (weight_E > 0))
        distinct_UH, history_K = distinct(histories_EH[known_E])
        pair_P, pair_K = np.unique(history_K * size + target_E[known_E], return_inverse=True)
        weight_P = np.bincount(pair_K, weights=weight_E[known_E], minlength=len(pair_P))
        arrays = (
            distinct_UH,
            np.searchsorted(pair_P // max(size, 1), np.arange(len(distinct_UH) + 1)),
            pair_P % max(size, 1),
            weight_P.astype(np.float32),
            np.bincount(history_K, weights=weight_E[known_E], minlength=len(distinct_UH)).astype(np.float32),
        )
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))


def _row_E(features: Features) -> Ints:
    return np.repeat(np.arange(len(features)), features.lengths_N)


def _histories(features: Features, history: int) -> Ints:
    """The `history` ids before every event of its row, oldest first; V + 1 where the row has not begun."""
    events = len(features.ids_E)
    room(24.0 * events * history, f"histories of {history:,} events before each of {events:,}", "take a smaller history")
    place_E = np.arange(events) - np.repeat(features.offsets_N1[:-1], features.lengths_N)
    histories_EH = np.full((events, history), features.size + 1)
    for back in range(1, min(history, int(features.lengths_N.max(initial=1)) - 1) + 1):
        there_E = np.flatnonzero(place_E >= back)
        histories_EH[there_E, history - back] = features.ids_E[there_E - back]
    return histories_EH
