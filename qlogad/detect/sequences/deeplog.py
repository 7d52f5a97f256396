"""DeepLog: a log line is anomalous when the model did not expect it.  Du et al., CCS 2017, doi:10.1145/3133956.3134015.

    last h events ── inputs ──► layers of cell(core) ── last h ──► linear ──► V logits ──► rank of the true event ── max ──► window

The log-key model: recurrent layers, LSTMs as in the paper or GRUs, whose core is classical, quantum or a control. Two presets are the
paper's model and the one that is mostly run under this name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Ints
from qlogad.bounds import Between
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.next_event import NEVER, NextEvent, Predictions, histories
from qlogad.detect.trained import Trained
from qlogad.errors import ResultError, counted
from qlogad.features.features import Features
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.kernel_speed import saved_by_compiling
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import GRU, LSTM

__all__ = ["DeepLog", "Network"]

_PUBLISHED = {
    "core": {"kind": "classical", "hidden": 64},
    "cell": "lstm",
    "layers": 2,
    "history": 10,
    "end": False,
    "score": "rank",
    "unseen": "anomaly",
    "threshold": 9,  # g
}


@dataclass(kw_only=True)
class DeepLog(NextEvent, Trained, Detector):
    """Next-event detection: predict every event of a window from the `history` events before it.

    The event score is the rank of the true event among the V (1 is best, ties count against it; unseen = V + 1), or its negative log
    likelihood in nats (unseen = +inf). The score of a window is the maximum over its events, 0 if none is scored.

    The start of a window, by `padding`, in training as in scoring:
        left: every event is predicted; before the start stands padding.
        skip: the first h events are not predicted, and have no score.
        right: as skip, and a window of at most h events, which the common code (wuyifan18/DeepLog) pads on the right until it has h + 1, is
            one whose next event is padding; no prediction is right, so that it scores as an unseen event does, at its last event.
    With `end`, the end of a window is one more event after the last, of a type of its own: V + 1 types have ranks, an unseen event has the
    rank V + 2, and the end's score counts for the last event, where it is the higher one. A truncated session shows in nothing else. It is
    for windows that are sessions; where windows are cut by count or time, an end means nothing. An empty window has no end.

    Inputs: an event not seen in training is the zero vector; padding has an embedding of its own, and is the zero vector if one-hot. As an
    index, an event is its id, unseen V, padding -1, in one number, as in the common code: what order ids have then matters.

    Early stopping uses the negative log likelihood of the validation windows or, if they have labels, of the normal ones.
    Presets: "paper", the log-key model as published, and "common-code" (wuyifan18/DeepLog), which takes ids as numbers and finds every
    window of at most h events anomalous. Both have two layers of 64 units, h = 10, and g = 9 by hand. They leave the schedule as it is:
    the epochs and batches of others count events, where equal histories are one row here.

    After `fit`: `history_`, the training history; `executions`, the number of circuit runs by this object.

    >>> windows = [[0, 1, 2, 3] * 5] * 20
    >>> detector = DeepLog(epochs=40, history=3).fit(windows, validation=windows)
    >>> detector.predict([[0, 1, 2, 3] * 3, [0, 2, 1, 3] * 3]).tolist()
    [0, 1]
    """

    core: Core = Classical()  # the core of the cell; its `hidden` is the size of the state
    cell: Literal["lstm", "gru"] = "lstm"  # the recurrent layer: see nn/recurrent.py
    history: Annotated[int, Between(1, 10_000)] = 10  # h, the number of preceding events used for a prediction
    layers: Annotated[int, Between(1, 100)] = 1  # stacked recurrent layers, each with maps of the core
    inputs: Literal["embedding", "one-hot", "index"] = (
        "embedding"  # how an event enters: trained vector, one of V, or its id as a number
    )
    embedding: Annotated[int, Between(1, 10_000)] = 32  # width of the event embedding, with inputs = "embedding"
    padding: Literal["left", "right", "skip"] = (
        "left"  # the first h events: padded, an alarm if there are no more, or not predicted
    )
    end: bool = False  # whether the end of a window is predicted too, so that truncated sessions can be seen
    score: Literal["rank", "nll"] = "rank"  # the event score: rank or negative log likelihood
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training; "ignore": they do not count

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": _PUBLISHED | {"inputs": "one-hot", "padding": "skip"},
        "common-code": _PUBLISHED | {"inputs": "index", "padding": "right"},
    }

    def before(self, features: Features) -> Ints:
        return histories(features, self.history)

    @property
    def classes(self) -> int:
        return self.size_ + self.end

    def predictions(self, features: Features) -> Predictions:
        made = super().predictions(features)
        place_S = np.arange(len(made.event_S)) - features.offsets_N1[features.row_E]
        last_L = features.offsets_N1[1:][features.lengths_N > 0] - 1
        if self.end:
            before_LH = np.column_stack([made.before_SH[last_L, 1:], features.ids_E[last_L]]).astype(np.int64)
            made += Predictions(before_LH, np.full(len(last_L), features.size), last_L)
            place_S = np.append(place_S, place_S[last_L] + 1)
        if self.padding == "left":
            return made
        short_M = last_L[np.diff(features.offsets_N1)[features.row_E[last_L]] + self.end <= self.history]
        made = made.take(np.flatnonzero(place_S >= self.history))
        if self.padding == "skip":
            return made
        padding_MH = np.full((len(short_M), self.history), features.size + 1)
        return made + Predictions(padding_MH, np.full(len(short_M), NEVER), short_M)

    def network(self, core: Core) -> Network:
        return Network(self.size_, self._width, core, self.seed, self.cell, self.layers, self.inputs, self.end)

    def compiling_saves(self, features: Features) -> float:
        if (self.core.backend or "").partition(":")[0] != "exact":
            return 0.0
        made = self.predictions(features)
        distinct_UH, _ = distinct(made.before_SH[made.target_S >= 0])
        rows = (4 if self.cell == "lstm" else 3) * self.history * len(distinct_UH) * self.layers
        return self.usual_epochs * saved_by_compiling(max(circuit.wires for circuit in self.core.circuits()), rows)

    @property
    def _width(self) -> int:
        return {"embedding": self.embedding, "one-hot": self.size_, "index": 1}[self.inputs]

    def _restore(self, state: State) -> None:
        sizes = {"head_HV": Array("float32", ("hidden", self.size_ + self.end))}
        if self.inputs == "embedding":
            sizes["embedding_VD"] = Array("float32", (self.size_ + 1, self.embedding))
        check_arrays({name: state[name] for name in sizes if name in state}, sizes)  # before allocating anything of these sizes
        if self.core.linear:
            numbers, hidden = sum(array.size for array in state.values()), self.core.hidden
            if 3 * hidden * (hidden + self._width + (self.layers - 1) * 2 * hidden) > numbers:
                raise ResultError(f"there are too few of them for {counted(self.layers, 'layer')} of {hidden} hidden units")
        super()._restore(state)


class Network(CoreNetwork):
    """Inputs, recurrent layers and head: histories (N, h) of ids 0..V-1, V (unseen) and V + 1 (padding) -> logits (N, V + end).

    Args:
        size: V.
        width: of the inputs of the first layer.
        core: makes the maps of all layers.
        seed: for the weights; the first layer's do not depend on how many layers there are.
        cell: the kind of the layers.
        layers: how many.
        inputs: how an event enters.
        end: whether the end of a window has a logit, the last one.
    """

    def __init__(
        self,
        size: int,
        width: int,
        core: Core,
        seed: int,
        cell: Literal["lstm", "gru"] = "lstm",
        layers: int = 1,
        inputs: Literal["embedding", "one-hot", "index"] = "embedding",
        end: bool = False,
    ) -> None:
        super().__init__(core)
        self.size, self.inputs, hidden = size, inputs, core.hidden
        if inputs == "embedding":
            start_VD = torch.randn(size + 1, width, generator=seeds.torch_generator(seed, "embedding"))
            self.embedding_VD = nn.Parameter(start_VD)  # the last row is for padding
        layer = LSTM if cell == "lstm" else GRU
        self.cell = layer(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "core")))
        makes = [partial(core.map, generator=seeds.torch_generator(seed, "core", number)) for number in range(1, layers)]
        self.above = nn.ModuleList(layer(hidden, hidden, make=make) for make in makes)
        bound = hidden**-0.5
        generator = seeds.torch_generator(seed, "head")
        self.head_HV = nn.Parameter((2 * torch.rand(hidden, size + end, generator=generator) - 1) * bound)
        self.bias_V = nn.Parameter((2 * torch.rand(size + end, generator=generator) - 1) * bound)

    def forward(self, histories_NT: Tensor) -> Tensor:
        h_NTH, (h_NH, *_) = self.cell(self._inputs(histories_NT))
        for layer in self.above:
            h_NTH, (h_NH, *_) = layer(h_NTH)
        return torch.addmm(self.bias_V, h_NH, self.head_HV)

    def _inputs(self, histories_NT: Tensor) -> Tensor:
        if self.inputs == "one-hot":
            return nn.functional.one_hot(histories_NT, self.size + 2)[..., : self.size].to(self.head_HV)
        if self.inputs == "index":
            return histories_NT.masked_fill(histories_NT > self.size, -1)[..., None].to(self.head_HV)
        unseen_1D = self.embedding_VD.new_zeros(1, self.embedding_VD.shape[1])
        table_VD = torch.cat([self.embedding_VD[: self.size], unseen_1D, self.embedding_VD[self.size :]])
        return nn.functional.embedding(histories_NT, table_VD)
