"""DeepLog: a log line is anomalous when the model did not expect it.  Du et al., CCS 2017, doi:10.1145/3133956.3134015.

    last h events ── embedding ──► cell(core) ── last h ──► linear ──► V logits ──► rank of the true event ── max ──► window

Implements the log-key model only, with one recurrent layer, an LSTM as in the paper or a GRU, whose core is classical, quantum or a
control.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Ints
from qlogad.bounds import Between
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.next_event import NextEvent, histories
from qlogad.detect.trained import Trained
from qlogad.errors import ResultError
from qlogad.features.features import Features
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.kernel_speed import saved_by_compiling
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import GRU, LSTM

__all__ = ["DeepLog", "Network"]


@dataclass(kw_only=True)
class DeepLog(NextEvent, Trained, Detector):
    """Next-event detection: predict every event of a window from the `history` events before it.

    Histories are padded on the left; padding has its own embedding, and an event not seen in training is the zero vector.
    The event score is the rank of the true event among the V (1 is best, ties count against it; unseen = V + 1), or its negative
    log likelihood in nats (unseen = +inf). The score of a window is the maximum over its events, 0 without events.

    Early stopping uses the negative log likelihood of the validation windows or, if they have labels, of the normal ones.
    After `fit`: `history_`, the training history; `executions`, the number of circuit runs by this object.

    >>> windows = [[0, 1, 2, 3] * 5] * 20
    >>> detector = DeepLog(epochs=40, history=3).fit(windows, validation=windows)
    >>> detector.predict([[0, 1, 2, 3] * 3, [0, 2, 1, 3] * 3]).tolist()
    [0, 1]
    """

    core: Core = Classical()  # the core of the cell; its `hidden` is the size of the state
    cell: Literal["lstm", "gru"] = "lstm"  # the recurrent layer: see nn/recurrent.py
    history: Annotated[int, Between(1, 10_000)] = 10  # h, the number of preceding events used for a prediction
    embedding: Annotated[int, Between(1, 10_000)] = 32  # width of the event embedding
    score: Literal["rank", "nll"] = "rank"  # the event score: rank or negative log likelihood
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training; "ignore": they do not count

    def before(self, features: Features) -> Ints:
        return histories(features, self.history)

    def network(self, core: Core) -> Network:
        return Network(self.size_, self.embedding, core, self.seed, self.cell)

    def compiling_saves(self, features: Features) -> float:
        if (self.core.backend or "").partition(":")[0] != "exact":
            return 0.0
        distinct_UH, _ = distinct(self.before(features)[features.ids_E < features.size])
        rows = (4 if self.cell == "lstm" else 3) * self.history * len(distinct_UH)
        return self.usual_epochs * saved_by_compiling(max(circuit.wires for circuit in self.core.circuits()), rows)

    def _restore(self, state: State) -> None:
        sizes = {
            "embedding_VD": Array("float32", (self.size_ + 1, self.embedding)),
            "head_HV": Array("float32", ("hidden", self.size_)),
        }
        check_arrays({name: state[name] for name in sizes if name in state}, sizes)  # before allocating anything of these sizes
        numbers = sum(array.size for array in state.values())
        if self.core.linear and 3 * self.core.hidden * (self.core.hidden + self.embedding) > numbers:
            raise ResultError(f"there are too few of them for {self.core.hidden} hidden units")
        super()._restore(state)


class Network(CoreNetwork):
    """Embedding, recurrent layer and head: histories (N, h) of ids 0..V-1, V (unseen) and V + 1 (padding) -> logits (N, V)."""

    def __init__(self, size: int, width: int, core: Core, seed: int, cell: Literal["lstm", "gru"] = "lstm") -> None:
        super().__init__(core)
        hidden = core.hidden
        start_VD = torch.randn(size + 1, width, generator=seeds.torch_generator(seed, "embedding"))
        self.embedding_VD = nn.Parameter(start_VD)  # the last row is for padding
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
