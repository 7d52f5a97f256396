"""What every trained detector shares: a network around a core, its training run, its circuits and its saved state.

    fields ── core.resolve ──► network(core) ──► learn(examples, held) ──► outputs(rows) ──► scores: the detector's own part

A detector is its network, its loss and its fields; it is written `class X(Trained, Detector)`. tests/detect/counting_gru.py is a short one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from qlogad import documents, seeds
from qlogad.arrays import Ints, Numbers
from qlogad.detect.batches import SLOTS, micro_batches
from qlogad.detect.detector import Detector, State
from qlogad.errors import DataError
from qlogad.nn.core.core import Core
from qlogad.nn.layer import GateCircuits
from qlogad.nn.network import CoreNetwork
from qlogad.nn.train import History, Schedule, check_device, train

__all__ = ["Examples", "Trained"]

N = TypeVar("N", bound=CoreNetwork)


@dataclass(frozen=True, eq=False)
class Examples:
    """U distinct examples to learn from, or to stop by, and their loss."""

    weight_U: Tensor  # how much each counts
    loss: Callable[[Tensor], Tensor]  # numbers of examples (B,) -> the sum of their losses, each times its weight

    def __len__(self) -> int:
        return len(self.weight_U)

    def batch_loss(self, rows_B: Tensor) -> Tensor:
        """The loss of a batch; its mean over batches is that over all examples by weight."""
        return self.loss(rows_B) / (len(rows_B) * self.weight_U.mean())

    def mean_loss(self) -> float:
        """The loss over all examples by weight, without derivatives."""
        with torch.no_grad():
            parts = [self.loss(rows_B) for rows_B in torch.split(torch.arange(len(self)), 4 * SLOTS)]
        return float(sum(parts) / self.weight_U.sum())


class Trained(Detector, ABC):
    """A detector whose core runs in a network that is trained in epochs.

    A concrete one declares the field `core`; of `seed`, `device` and the fields of `Schedule` those it wants to be keys, with its own
    defaults; and writes `network`, `_fit` and `anomaly_score`. After `fit`: `network_`; `history_`, the training run; `executions`,
    the circuits run so far by this object.
    """

    core: Core
    seed: int = 0  # of weights and shuffling
    device: str = "cpu"  # a torch device

    network_: CoreNetwork
    history_: History

    def __post_init__(self) -> None:
        super().__post_init__()
        documents.enforce(self, DataError)
        self.schedule()
        check_device(self.device)

    @abstractmethod
    def network(self, core: Core) -> CoreNetwork:
        """The untrained network around a core, its sizes from fields and from `size_` (V), its weights from `seed`.

        What torch's own modules draw for themselves is of that seed too.
        """

    def check(self) -> None:
        self.core.check()

    def schedule(self) -> Schedule:
        """Length and pace of training: the fields of these names, else the usual."""
        own = self.get_params(deep=False)
        return Schedule(**{field.name: own[field.name] for field in fields(Schedule) if field.name in own})

    def built(self, make: Callable[[Core], N]) -> N:
        """An untrained network around the detector's core, on its device; a control's size is found by counting its twin's weights."""

        def seeded(core: Core) -> N:
            with seeds.torch_default(self.seed, "network"):
                return make(core)

        return seeded(self.core.resolve(lambda core: seeded(core).total)).to(self.device)

    def learn(self, network: CoreNetwork, examples: Examples, held: Examples | None) -> None:
        """Train a network, which then is the detector's; without held examples all epochs are run."""
        self.network_ = network
        with seeds.torch_default(self.seed, "training", device=self.device):
            self.history_ = train(
                network,
                examples.batch_loss,
                len(examples),
                validation=None if held is None or len(held) == 0 else held.mean_loss,
                schedule=self.schedule(),
                seed=self.seed,
                report=self._report,
            )

    def outputs(self, rows_UH: Numbers, *, fill: int) -> Iterator[tuple[Tensor, Ints, Ints]]:
        """What the trained network gives for distinct rows, by micro-batch: (outputs (SLOTS, ...), taken slots, which row is in each)."""
        for batch_SH, slots_B, rows_B in micro_batches(rows_UH, fill=fill, whole=self.network_.priced):
            with torch.no_grad():
                output_S = self.network_(torch.from_numpy(batch_SH).to(self.device))
            yield output_S, slots_B, rows_B

    def weights(self) -> dict[str, int]:
        """Weights of the network by kind; `live`: of the quantum ones, those the readouts can tell apart (frozen ones included)."""
        return self.network_.weights()

    @property
    def executions(self) -> int:
        """Circuits run by this object so far, in training and scoring; a micro-batch counts as a whole."""
        return self.network_.executions

    def circuits(self) -> list[GateCircuits]:
        return self.network_.layers()

    def _state(self) -> State:
        return self.network_.arrays()

    def _restore(self, state: State) -> None:
        self.network_ = self.built(self.network)
        self.network_.restore(state)
