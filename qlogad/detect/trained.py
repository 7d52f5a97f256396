"""The common part of detectors with a trained network: building, training, circuits and saved state.

    fields ── core.resolve ──► network(core) ──► learn(examples, held) ──► outputs(rows) ──► scores: the detector's own part

A detector adds its network, loss and fields: `class X(Trained, Detector)`. tests/detect/counting_gru.py is a short example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from qlogad import documents, seeds
from qlogad.arrays import Ints, Numbers
from qlogad.bounds import Seed
from qlogad.detect.batches import SLOTS, micro_batches
from qlogad.detect.detector import Detector, State
from qlogad.errors import DataError
from qlogad.nn.core.core import Core
from qlogad.nn.layer import GateCircuits
from qlogad.nn.network import CoreNetwork
from qlogad.nn.schedule import Schedule
from qlogad.nn.train import History, check_device, train

__all__ = ["Examples", "Trained"]

N = TypeVar("N", bound=CoreNetwork)


@dataclass(frozen=True, eq=False)
class Examples:
    """U distinct examples for training or early stopping, and their loss."""

    weight_U: Tensor  # weight of each example
    loss: Callable[[Tensor], Tensor]  # example numbers (B,) -> the weighted sum of their losses

    def __len__(self) -> int:
        return len(self.weight_U)

    def batch_loss(self, rows_B: Tensor) -> Tensor:
        """The loss of a batch, scaled so that its mean over batches is the weighted mean over all examples."""
        return self.loss(rows_B) / (len(rows_B) * self.weight_U.mean())

    def mean_loss(self) -> float:
        """The weighted mean loss over all examples, without gradients."""
        with torch.no_grad():
            parts = [self.loss(rows_B) for rows_B in torch.split(torch.arange(len(self)), 4 * SLOTS)]
        return float(sum(parts) / self.weight_U.sum())


class _Fitted:
    """What `fit` leaves behind; not fields of a dataclass."""

    network_: CoreNetwork
    history_: History


@dataclass(kw_only=True)
class Trained(Schedule, _Fitted, Detector, ABC):
    """A detector with a network around a core, trained in epochs.

    A concrete detector declares the field `core` with a default, and those fields of `Schedule` whose defaults differ; it implements
    `network`, `_fit` and `anomaly_score`. After `fit`: `network_`; `history_`, the training history; `executions`, the number of
    circuit runs by this object.
    """

    core: Core  # the core of its maps
    seed: Seed = 0  # for weights and shuffling
    device: str = "cpu"  # a torch device

    def __post_init__(self) -> None:
        Detector.__post_init__(self)
        documents.enforce(self, DataError)
        check_device(self.device)

    @abstractmethod
    def network(self, core: Core) -> CoreNetwork:
        """The untrained network around a core, with sizes from the fields and `size_` (V), and weights from `seed`.

        torch's global generator is also seeded from `seed` when this is called.
        """

    def check(self) -> None:
        self.core.check()

    def built(self, make: Callable[[Core], N]) -> N:
        """An untrained network around the detector's core, on its device; resolves the size of a control that depends on the network."""

        def seeded(core: Core) -> N:
            with seeds.torch_default(self.seed, "network"):
                return make(core)

        return seeded(self.core.resolve(lambda core: seeded(core).total)).to(self.device)

    def learn(self, network: CoreNetwork, examples: Examples, held: Examples | None) -> None:
        """Train a network and keep it as `network_`; without `held` validation examples, all epochs are run."""
        self.network_ = network
        with seeds.torch_default(self.seed, "training", device=self.device):
            self.history_ = train(
                network,
                examples.batch_loss,
                len(examples),
                validation=None if held is None or len(held) == 0 else held.mean_loss,
                schedule=self,
                seed=self.seed,
                report=self._report,
            )

    def outputs(self, rows_UH: Numbers, *, fill: int) -> Iterator[tuple[Tensor, Ints, Ints]]:
        """Outputs of the trained network for distinct rows, by micro-batch: (outputs (SLOTS, ...), occupied slots, row index in each)."""
        for batch_SH, slots_B, rows_B in micro_batches(rows_UH, fill=fill, whole=self.network_.priced):
            with torch.no_grad():
                output_S = self.network_(torch.from_numpy(batch_SH).to(self.device))
            yield output_S, slots_B, rows_B

    def weights(self) -> dict[str, int]:
        """The number of network weights by kind; `live` is the effective number of quantum weights (including frozen ones)."""
        return self.network_.weights()

    @property
    def executions(self) -> int:
        """The number of circuit runs by this object, in training and scoring; empty slots of micro-batches count."""
        return self.network_.executions

    def circuits(self) -> list[GateCircuits]:
        return self.network_.layers()

    def _state(self) -> State:
        return self.network_.arrays()

    def _restore(self, state: State) -> None:
        self.network_ = self.built(self.network)
        self.network_.restore(state)
