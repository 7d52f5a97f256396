"""LogAnomaly: DeepLog with the meaning of events and with how often they have come.  Meng et al., IJCAI 2019, doi:10.24963/ijcai.2019/658.

    last h events ── template vectors ──► LSTM(core) ─┐
                                                      ├──► linear ──► V logits ──► rank of the true event ── max ──► window
    counts so far ── log(1 + n) ──► LSTM(core) ───────┘

Template vectors are those of the view `template-vectors` instead of the paper's template2vec, whose synonyms and antonyms were written
by operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Ints, Numbers
from qlogad.bounds import Between, room
from qlogad.detect.detector import Detector, State
from qlogad.detect.next_event import NextEvent, histories
from qlogad.detect.trained import Trained
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import LSTM

__all__ = ["LogAnomaly", "LogAnomalyNetwork"]

Counted = Literal["window", "history", "none"]


@dataclass(kw_only=True)
class LogAnomaly(NextEvent, Trained, Detector):
    """Next-event detection from the template vectors of the `history` events before an event and from running event counts.

    Both branches are LSTMs whose maps come from the core. Counts are running totals after each event of the history, as log(1 + n):
    from the start of the window, so that quantities anywhere before an event can tell, or from the start of the history, as in the
    paper's windows. Histories are padded on the left with a trained vector; an event not seen in training is the zero vector.

    Event and window scores, early stopping and `unseen` are those of `deeplog`.

    >>> windows = [[0, *[1, 2] * 3, 3]] * 20  # three rounds
    >>> detector = LogAnomaly(core=Classical(hidden=8), history=2, epochs=60, lr=0.02).fit(windows, validation=windows)
    >>> detector.predict([[0, *[1, 2] * rounds, 3] for rounds in (2, 3, 4)]).tolist()
    [1, 0, 1]
    """

    core: Core = Classical()  # the core of both cells; its `hidden` is the size of each state
    history: Annotated[int, Between(1, 10_000)] = 10  # h, the number of preceding events used for a prediction
    counted: Counted = "window"  # where counting starts; "none": without the branch of counts
    score: Literal["rank", "nll"] = "rank"  # the event score: rank or negative log likelihood
    unseen: Literal["anomaly", "ignore"] = "anomaly"  # events not seen in training; "ignore": they do not count

    reads: ClassVar[tuple[str, ...]] = ("ids", "template-vectors")

    def before(self, features: Features) -> Ints:
        """The history's ids, (E, h), and, if counted from the start of the window, the counts before it, (E, h + V + 1)."""
        histories_EH = histories(features, self.history)
        if self.counted != "window":
            return histories_EH
        size = features.size
        what = f"running counts of {size:,} event types before each of {len(features.ids_E):,} events"
        room(24.0 * len(features.ids_E) * (size + 1), what, "set counted = 'history'")
        own_EV = np.zeros((len(features.ids_E), size + 1), dtype=np.int64)
        own_EV[np.arange(len(own_EV)), features.ids_E] = 1
        before_EV = np.cumsum(own_EV, axis=0) - own_EV  # in this window and in those before it
        before_EV -= before_EV[features.offsets_N1[features.row_E]]
        for ids_E in histories_EH.T:
            there_E = np.flatnonzero(ids_E <= size)
            before_EV[there_E, ids_E[there_E]] -= 1
        return np.hstack([histories_EH, before_EV])

    def network(self, core: Core) -> LogAnomalyNetwork:
        return LogAnomalyNetwork(core, self._vectors_VD, self.history, self.counted, self.seed)

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        self._vectors_VD: Numbers = features.view("template-vectors").astype(np.float32)
        super()._fit(features, labels, validation)

    def _restore(self, state: State) -> None:
        hidden = "hidden" if self.counted == "none" else "both"
        sizes = {"vectors_VD": Array("float32", (self.size_, "width")), "head.weight": Array("float32", (self.size_, hidden))}
        check_arrays({name: state[name] for name in sizes if name in state}, sizes)  # before allocating anything of these sizes
        if "vectors_VD" not in state:
            raise ResultError("it has no array 'vectors_VD'")
        numbers = sum(array.size for array in state.values())
        if self.core.linear and 4 * self.core.hidden * self.core.hidden > numbers:
            raise ResultError(f"there are too few of them for {self.core.hidden} hidden units")
        self._vectors_VD = state["vectors_VD"]
        super()._restore(state)


class LogAnomalyNetwork(CoreNetwork):
    """Two LSTMs and a head: rows of `LogAnomaly.before` -> logits (N, V).

    Args:
        core: makes the maps of both cells.
        vectors_VD: the template vectors.
        history: h, the number of ids in front of each row.
        counted: where counting starts.
        seed: for the weights.
    """

    vectors_VD: Tensor

    def __init__(self, core: Core, vectors_VD: Numbers, history: int, counted: Counted, seed: int) -> None:
        super().__init__(core)
        self.history, self.counted = history, counted
        self.register_buffer("vectors_VD", torch.from_numpy(np.array(vectors_VD)))
        size, width = vectors_VD.shape
        self.padding_D = nn.Parameter(torch.randn(width, generator=seeds.torch_generator(seed, "embedding")))
        self.events = LSTM(width, core.hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "core")))
        branches = 1
        if counted != "none":
            branches = 2
            make = partial(core.map, generator=seeds.torch_generator(seed, "counts"))
            self.counts = LSTM(size + 1, core.hidden, make=make)
        self.head = nn.Linear(branches * core.hidden, size)

    def forward(self, rows_NI: Tensor) -> Tensor:
        size = len(self.vectors_VD)
        ids_NH = rows_NI[:, : self.history]
        table_VD = torch.cat([self.vectors_VD, torch.zeros_like(self.padding_D)[None], self.padding_D[None]])
        _, (h_NH, _) = self.events(nn.functional.embedding(ids_NH, table_VD))
        if self.counted == "none":
            return self.head(h_NH)  # type: ignore[no-any-return]
        counts_NTV = nn.functional.one_hot(ids_NH, size + 2)[..., : size + 1].cumsum(1)
        if self.counted == "window":
            counts_NTV = counts_NTV + rows_NI[:, None, self.history :]
        _, (g_NH, _) = self.counts(torch.log1p(counts_NTV.to(h_NH)))
        return self.head(torch.cat([h_NH, g_NH], dim=1))  # type: ignore[no-any-return]
