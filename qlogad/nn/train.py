"""The one training loop: clipped gradients, seeded shuffling, early stopping on validation with the best weights restored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from qlogad import seeds
from qlogad.errors import DataError, QlogadError, counted, shown
from qlogad.nn.epochs import Epoch, History
from qlogad.nn.schedule import Schedule

__all__ = ["Epoch", "History", "check_device", "train"]


def check_device(name: str) -> None:
    """Check that torch can compute on a device.

    Raises:
        DataError: it cannot, or there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DataError(f"device must be a torch device such as 'cpu' or 'cuda:0', got {shown(name)}") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device.type not in there:
        raise DataError(f"device must be 'cpu', 'cuda' or 'mps', got {shown(name)}")
    if (device.index or 0) >= there[device.type]:
        found = counted(there[device.type], f"{device.type} device")
        raise DataError(f"device is '{name}', but torch finds {found} here; use device = 'cpu', or see `qlogad doctor`")


def train(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    validation: Callable[[], float] | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    report: Callable[[Epoch], None] | None = None,
) -> History:
    """Train a module in place on shuffled batches of rows.

    Args:
        module: its parameters that require a gradient are trained.
        loss: maps row numbers (B,) to the mean loss of that batch.
        rows: the number of training rows.
        validation: returns the validation loss for early stopping; None: run all epochs and keep the last weights.
        schedule: epochs, batch size, optimizer, learning rate and stopping rule. Default: `Schedule()`.
        seed: for shuffling; the order within an epoch depends on the seed and the epoch's number only.
        report: called after each epoch.

    Raises:
        QlogadError: the loss is no longer finite.
    """
    schedule = schedule or Schedule()
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = _optimizer(schedule, weights)
    epochs: list[Epoch] = []
    lr = schedule.lr
    best, best_loss, best_state = 0, math.inf, _copy(module)
    for number in range(1, schedule.epochs + 1):
        started = time.perf_counter()
        module.train()
        total = _epoch(weights, optimizer, loss, rows, schedule, number, lr, seeds.torch_generator(seed, "shuffle", number))
        module.eval()
        held = None if validation is None else validation()
        better = held is None or held < best_loss - schedule.tolerance * abs(best_loss) or best == 0
        last = number == schedule.epochs or (not better and number - best >= schedule.patience)
        epochs.append(Epoch(number, total, held, time.perf_counter() - started, last))
        if not math.isfinite(total) or (held is not None and not math.isfinite(held)):
            found = f"loss {total}, validation {held}"
            raise QlogadError(
                f"training diverged in epoch {number} ({found}); try a smaller learning rate, lr = {schedule.lr / 10:g}"
            )
        if report is not None:
            report(epochs[-1])
        if held is None:
            best = number
        elif better:
            best, best_loss, best_state = number, held, _copy(module)
        else:
            lr *= schedule.decay
        if last:
            break
    if validation is not None:
        module.load_state_dict(best_state)
    return History(tuple(epochs), best)


def _optimizer(schedule: Schedule, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay)
    kind = torch.optim.AdamW if schedule.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=schedule.lr, weight_decay=schedule.weight_decay)


def _epoch(
    weights: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    rows: int,
    schedule: Schedule,
    number: int,
    lr: float,
    generator: torch.Generator,
) -> float:
    total, steps = torch.zeros(()), 0
    batches = torch.split(torch.randperm(rows, generator=generator), schedule.batch)
    for place, rows_B in enumerate(batches, 1):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule.rate(number - 1 + (place - 0.5) / len(batches))
        optimizer.zero_grad()
        value = loss(rows_B)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, schedule.clip)
        optimizer.step()
        total, steps = total + value.detach().cpu(), steps + 1
    return float(total) / max(steps, 1)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
