"""The one training loop: Adam, clipped gradients, seeded shuffling, early stopping on validation with the best weights restored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from qlogad import documents, seeds
from qlogad.bounds import Between
from qlogad.errors import DataError, QlogadError, counted, shown
from qlogad.nn.epochs import Epoch, History

__all__ = [
    "Batch",
    "Clip",
    "Decay",
    "Epoch",
    "Epochs",
    "History",
    "LearningRate",
    "Patience",
    "Schedule",
    "Tolerance",
    "check_device",
    "train",
]

Epochs = Annotated[int, Between(1, 100_000)]
Batch = Annotated[int, Between(1, 1_000_000)]
LearningRate = Annotated[float, Between(0, 1_000, "low")]
Clip = Annotated[float, Between(0, 1e9, "low")]
Patience = Annotated[int, Between(1, 1_000_000)]
Decay = Annotated[float, Between(0, 1, "low")]
Tolerance = Annotated[float, Between(0, 1, "high")]


USUAL = 10  # epochs for each one of patience: about what trainings take that patience ends


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Raises:
        DataError: a number that is out of range.
    """

    epochs: Epochs = 30  # at most
    batch: Batch = 128  # rows per step
    lr: LearningRate = 0.01  # Adam's step
    clip: Clip = 1.0  # largest norm of a gradient
    patience: Patience = 8  # epochs without a better validation loss before stopping
    decay: Decay = 1.0  # of the step, after every epoch that is no better
    tolerance: Tolerance = 0.0  # share of the best validation loss that a better one is lower by

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def expected(self) -> int:
        """About how many epochs a training will take."""
        return min(self.epochs, USUAL * self.patience)


def check_device(name: str) -> None:
    """Whether torch can use a device of that name.

    Raises:
        DataError: it cannot.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DataError(f"device is a torch device such as 'cpu' or 'cuda:0', got {shown(name)}") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device.type not in there:
        raise DataError(f"device is 'cpu', 'cuda' or 'mps', got {shown(name)}: nothing is computed on that here")
    if (device.index or 0) >= there[device.type]:
        found = counted(there[device.type], f"{device.type} device")
        raise DataError(f"device is '{name}', but torch finds {found} here; use device = 'cpu', or see `qlogad doctor`")


def train(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    validation: Callable[[], float] | None = None,
    schedule: Schedule = Schedule(),
    seed: int = 0,
    report: Callable[[Epoch], None] | None = None,
) -> History:
    """Train a module in place on shuffled batches of rows.

    Args:
        module: its parameters that require a gradient are trained.
        loss: row numbers (B,) -> the mean loss of that batch, weighted as the caller wants.
        rows: how many rows there are.
        validation: the loss to stop by; without it all epochs are run and the last weights kept.
        schedule: length and pace.
        seed: of the shuffling; the order of an epoch depends on the seed and the epoch's number only.
        report: called after each epoch.

    Raises:
        QlogadError: the loss is no longer a number.
    """
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=schedule.lr)
    epochs: list[Epoch] = []
    best, best_loss, best_state = 0, math.inf, _copy(module)
    for number in range(1, schedule.epochs + 1):
        started = time.perf_counter()
        module.train()
        total = _epoch(weights, optimizer, loss, rows, schedule, seeds.torch_generator(seed, "shuffle", number))
        module.eval()
        held = None if validation is None else validation()
        better = held is None or held < best_loss - schedule.tolerance * abs(best_loss) or best == 0
        last = number == schedule.epochs or (not better and number - best >= schedule.patience)
        epochs.append(Epoch(number, total, held, time.perf_counter() - started, last))
        if not math.isfinite(total) or (held is not None and not math.isfinite(held)):
            found = f"loss {total}, validation {held}"
            raise QlogadError(f"training diverged in epoch {number} ({found}); try a smaller step, lr = {schedule.lr / 10:g}")
        if report is not None:
            report(epochs[-1])
        if held is None:
            best = number
        elif better:
            best, best_loss, best_state = number, held, _copy(module)
        else:
            for group in optimizer.param_groups:
                group["lr"] *= schedule.decay
        if last:
            break
    if validation is not None:
        module.load_state_dict(best_state)
    return History(tuple(epochs), best)


def _epoch(
    weights: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    schedule: Schedule,
    generator: torch.Generator,
) -> float:
    total, steps = torch.zeros(()), 0
    for rows_B in torch.split(torch.randperm(rows, generator=generator), schedule.batch):
        optimizer.zero_grad()
        value = loss(rows_B)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, schedule.clip)
        optimizer.step()
        total, steps = total + value.detach().cpu(), steps + 1
    return float(total) / max(steps, 1)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
