"""How long and how fast a network is trained: the keys that every detector with a network has.

    learning rate of a step = lr * warm-up (linear, from 0 to 1) * annealing (from 1 to 0 at the last epoch) * decay^(epochs without
    improvement)

Optimizers: Adam (Kingma, Ba (2015), arXiv:1412.6980), AdamW (Loshchilov, Hutter (2019), arXiv:1711.05101), and stochastic gradient
descent with momentum. Cosine annealing: Loshchilov, Hutter (2017), arXiv:1608.03983.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from qlogad import documents
from qlogad.bounds import Between
from qlogad.errors import DataError

__all__ = [
    "Anneal",
    "Batch",
    "Clip",
    "Decay",
    "Epochs",
    "LearningRate",
    "Momentum",
    "Optimizer",
    "Patience",
    "Schedule",
    "Tolerance",
    "Warmup",
    "WeightDecay",
]

Epochs = Annotated[int, Between(1, 100_000)]
Batch = Annotated[int, Between(1, 1_000_000)]
LearningRate = Annotated[float, Between(0, 1_000, "low")]
Clip = Annotated[float, Between(0, 1e9, "low")]
Patience = Annotated[int, Between(1, 1_000_000)]
Decay = Annotated[float, Between(0, 1, "low")]
Tolerance = Annotated[float, Between(0, 1, "high")]
Optimizer = Literal["adam", "adamw", "sgd"]
WeightDecay = Annotated[float, Between(0, 1_000)]
Momentum = Annotated[float, Between(0, 1, "high")]
Warmup = Annotated[int, Between(0, 100_000)]
Anneal = Literal["constant", "linear", "cosine"]


USUAL = 10  # epochs per unit of patience: typical length of a training that stops early


@dataclass(kw_only=True)
class Schedule:
    """How long and how fast to train: the keys of every detector that trains in epochs.

    Raises:
        DataError: a number is out of range.
    """

    epochs: Epochs = 30  # the largest number of epochs
    batch: Batch = 128  # rows per step
    lr: LearningRate = 0.01  # the optimizer's learning rate
    clip: Clip = 1.0  # gradients are clipped to this norm
    patience: Patience = 8  # epochs without a better validation loss before stopping
    decay: Decay = 1.0  # factor on the learning rate after every epoch without improvement
    tolerance: Tolerance = 0.0  # an improvement lowers the validation loss by more than this share
    optimizer: Optimizer = "adam"  # Adam, AdamW, or stochastic gradient descent
    weight_decay: WeightDecay = 0.0  # L2 penalty on the weights; decoupled from the gradient with "adamw"
    momentum: Momentum = 0.0  # of "sgd"
    warmup: Warmup = 0  # epochs in which the learning rate rises from 0 to lr
    anneal: Anneal = "constant"  # how the learning rate falls to 0 over all `epochs`

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def usual_epochs(self) -> int:
        """A rough estimate of the number of epochs a training will take."""
        return min(self.epochs, USUAL * self.patience)

    def rate(self, epoch: float) -> float:
        """The factor on the learning rate after `epoch` epochs, in [0, 1].

        >>> [round(Schedule(epochs=10, warmup=2, anneal="linear").rate(epoch), 3) for epoch in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        if epoch < self.warmup:
            return epoch / self.warmup
        done = (epoch - self.warmup) / max(self.epochs - self.warmup, 1)
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.anneal]
