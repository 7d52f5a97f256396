"""A detector of one's own: a GRU over the last events, beside how often each event type has come so far in the window."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Ints
from qlogad.bounds import Between
from qlogad.detect.detector import Detector
from qlogad.detect.next_event import NextEvent, histories
from qlogad.detect.trained import Trained
from qlogad.features.features import Features
from qlogad.nn.core import Classical, Core
from qlogad.nn.network import CoreNetwork
from qlogad.nn.recurrent import GRU
from qlogad.nn.schedule import Epochs, LearningRate


@dataclass(kw_only=True)
class CountingGRU(NextEvent, Trained, Detector):
    """Predicts the next event from the `history` events before it and from the counts of all events so far."""

    core: Core = Classical(hidden=16)
    history: Annotated[int, Between(1, 1_000)] = 3
    epochs: Epochs = 60
    lr: LearningRate = 0.02

    def before(self, features: Features) -> Ints:
        own_EV = np.eye(features.size + 1, dtype=np.int64)[features.ids_E]
        before_EV = np.cumsum(own_EV, axis=0) - own_EV  # in this window and in those before it
        first_E = features.offsets_N1[features.row_E]
        return np.hstack([histories(features, self.history), before_EV - before_EV[first_E]])

    def network(self, core: Core) -> CoreNetwork:
        return Network(core, self.size_, self.history, self.seed)


class Network(CoreNetwork):
    def __init__(self, core: Core, size: int, history: int, seed: int) -> None:
        super().__init__(core)
        self.history, self.embedding = history, nn.Embedding(size + 2, 8)
        self.cell = GRU(8, core.hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "core")))
        self.head = nn.Linear(core.hidden + size + 1, size)

    def forward(self, rows_NH: Tensor) -> Tensor:
        _, (h_NH,) = self.cell(self.embedding(rows_NH[:, : self.history]))
        return self.head(torch.cat([h_NH, rows_NH[:, self.history :].float()], dim=1))
