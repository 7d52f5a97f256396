"""LogRobust: a supervised classifier of windows, event by event in both directions.  Zhang et al., FSE 2019, doi:10.1145/3338906.3338931.

    template vectors ──► LSTM(core) forward  ─┐
                                              ├──► h_t ──► sum of tanh(w h_t) h_t ──► linear ──► logit
    template vectors ──► LSTM(core) backward ─┘

Template vectors are those of the view `template-vectors` instead of the paper's fastText vectors of words, which are a download.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Floats, Ints, Numbers
from qlogad.bounds import Between, room
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.labelled import Labelled, Pairs
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import LSTM

__all__ = ["LogRobust", "LogRobustNetwork"]

Pool = Literal["attention", "mean"]


@dataclass(kw_only=True)
class LogRobust(Labelled, Detector):
    """A classifier of windows; the score is the logit of an anomaly: higher is more anomalous, 0 is even odds in the balanced loss.

    A window is the sequence of its events' template vectors; an event not seen in training is the zero vector. Of a window longer than
    `longest`, the first events are read. `pool` says how the states of all events become one: by the paper's attention, the sum of
    tanh(w h_t) h_t with trained w, or by their mean, as in re-implementations whose attention is not trained.

    The loss is the binary cross-entropy over all windows with their multiplicities. Early stopping uses that of the validation windows
    if they have both labels; otherwise all epochs are run. After `fit`: `history_`, the training history; `executions`, the number of
    circuit runs by this object.

    >>> windows, labels = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2]] * 10, [0, 1, 0, 1] * 10
    >>> detector = LogRobust(core=Classical(hidden=8), epochs=60, lr=0.02).fit(windows, labels)
    >>> (detector.score_samples([[0, 1, 2], [0, 2, 1]]) > 0).tolist()
    [False, True]
    """

    core: Core = Classical()  # the core of both cells; its `hidden` is the size of each state
    pool: Pool = "attention"  # how the states of a window's events become one
    longest: Annotated[int, Between(1, 100_000)] = 100  # the number of events that are read of a window

    reads: ClassVar[tuple[str, ...]] = ("ids", "template-vectors")
    supervised: ClassVar[bool] = True

    def network(self, core: Core) -> LogRobustNetwork:
        return LogRobustNetwork(core, self._vectors_VD, self.pool, self.seed)

    def anomaly_score(self, features: Features) -> Floats:
        """The logit of each row, (N,)."""
        rows_UT, place_N = distinct(self._rows(features))
        lengths_U = (rows_UT <= self.size_).sum(axis=1)
        scores_U = np.empty(len(rows_UT))
        for width_U in np.unique(_width(lengths_U)).tolist():  # rows of a similar length together, whatever other rows there are
            part_R = np.flatnonzero(_width(lengths_U) == width_U)
            own_RT = np.full((len(part_R), width_U), self.size_ + 1)
            own_RT[:, : rows_UT.shape[1]] = rows_UT[part_R, :width_U]
            for logits_S, slots_B, rows_B in self.outputs(own_RT, fill=self.size_ + 1):
                scores_U[part_R[rows_B]] = logits_S.cpu().numpy()[slots_B]
        return scores_U[place_N]

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        self._vectors_VD: Numbers = features.view("template-vectors").astype(np.float32)
        held = None
        if validation is not None and validation[1] is not None:
            held = Pairs.of(self._rows(validation[0]), validation[0], validation[1])
        self.classify(self.built(self.network), Pairs.of(self._rows(features), features, labels), held)

    def trimmed(self, rows_BT: Tensor) -> Tensor:
        longest = max(int((rows_BT <= self.size_).sum(dim=1).max()), 1)
        return rows_BT[:, :longest]

    def _restore(self, state: State) -> None:
        sizes = {"vectors_VD": Array("float32", (self.size_, "width")), "attention_H": Array("float32", ("states",))}
        check_arrays({name: state[name] for name in sizes if name in state}, sizes)  # before allocating anything of these sizes
        if "vectors_VD" not in state:
            raise ResultError("it has no array 'vectors_VD'")
        numbers = sum(array.size for array in state.values())
        if self.core.linear and 8 * self.core.hidden * self.core.hidden > numbers:
            raise ResultError(f"there are too few of them for {self.core.hidden} hidden units")
        self._vectors_VD = state["vectors_VD"]
        super()._restore(state)

    def _rows(self, features: Features) -> Ints:
        """The first `longest` ids of every row, (N, T), padded on the right with V + 1."""
        steps = min(int(features.lengths_N.max(initial=1)), self.longest)
        what = f"the first {steps:,} events of each of {len(features):,} windows"
        room(24.0 * len(features) * steps, what, "take a smaller longest")
        rows_NT = np.full((len(features), max(steps, 1)), self.size_ + 1)
        place_E = np.arange(len(features.ids_E)) - np.repeat(features.offsets_N1[:-1], features.lengths_N)
        read_E = np.flatnonzero(place_E < steps)
        rows_NT[features.row_E[read_E], place_E[read_E]] = features.ids_E[read_E]
        return rows_NT


class LogRobustNetwork(CoreNetwork):
    """Two LSTMs, a pool and a head: ids (N, T), padded on the right with V + 1 -> logits (N,).

    Args:
        core: makes the maps of both cells.
        vectors_VD: the template vectors.
        pool: how the states of a row become one.
        seed: for the weights.
    """

    vectors_VD: Tensor

    def __init__(self, core: Core, vectors_VD: Numbers, pool: Pool, seed: int) -> None:
        super().__init__(core)
        self.register_buffer("vectors_VD", torch.from_numpy(np.array(vectors_VD)))
        width, hidden = vectors_VD.shape[1], core.hidden
        self.forwards = LSTM(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "core")))
        self.backwards = LSTM(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "backwards")))
        self.attention_H: nn.Parameter | None = None
        if pool == "attention":
            start_H = torch.randn(2 * hidden, generator=seeds.torch_generator(seed, "attention"))
            self.attention_H = nn.Parameter(start_H * (2 * hidden) ** -0.5)
        self.head = nn.Linear(2 * hidden, 1)

    def forward(self, ids_NT: Tensor) -> Tensor:
        size, steps = len(self.vectors_VD), ids_NT.shape[1]
        none_2D = self.vectors_VD.new_zeros(2, self.vectors_VD.shape[1])
        x_NTD = nn.functional.embedding(ids_NT, torch.cat([self.vectors_VD, none_2D]))
        there_NT = ids_NT <= size
        lengths_N = there_NT.sum(dim=1)
        turned_NT = (lengths_N[:, None] - 1 - torch.arange(steps, device=ids_NT.device)) % steps  # its own inverse within a row
        # cells order rows by length to skip padding, and kernels may round differently by position: not where scores are compared
        skipped_N = lengths_N if self.training or self.priced else None
        h_NTH, _ = self.forwards(x_NTD, skipped_N)
        back_NTH, _ = self.backwards(_taken(x_NTD, turned_NT), skipped_N)
        h_NTH = torch.cat([h_NTH, _taken(back_NTH, turned_NT)], dim=2) * there_NT[..., None]
        if self.attention_H is None:
            pooled_NH = h_NTH.sum(dim=1) / lengths_N.clamp(min=1)[:, None]
        else:
            pooled_NH = (torch.tanh(h_NTH @ self.attention_H)[..., None] * h_NTH).sum(dim=1)
        logits_N1: Tensor = self.head(pooled_NH)
        return logits_N1[:, 0]


def _taken(x_NTD: Tensor, place_NT: Tensor) -> Tensor:
    return x_NTD.gather(1, place_NT[..., None].expand(-1, -1, x_NTD.shape[2]))


def _width(lengths_U: Ints) -> Ints:
    """The smallest power of two that is no smaller than each length, at least 1."""
    return 2 ** np.ceil(np.log2(np.maximum(lengths_U, 1))).astype(np.int64)
