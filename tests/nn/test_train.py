"""Laws of the training loop."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qlogad import seeds
from qlogad.errors import QlogadError
from qlogad.nn.schedule import Schedule
from qlogad.nn.train import Epoch, train


def regression(seed: int = 0, rows: int = 64) -> tuple[nn.Linear, Callable[[Tensor], Tensor], list[Tensor]]:
    generator = seeds.torch_generator(seed, "data")
    x, slope = torch.randn(rows, 3, generator=generator), torch.randn(3, 1, generator=generator)
    module = nn.Linear(3, 1)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    seen: list[Tensor] = []

    def loss(rows_B: Tensor) -> Tensor:
        seen.append(rows_B)
        return (module(x[rows_B]) - x[rows_B] @ slope).square().mean()

    return module, loss, seen


def test_it_learns_and_reports_every_epoch() -> None:
    module, loss, _ = regression()
    told: list[Epoch] = []
    history = train(module, loss, 64, schedule=Schedule(epochs=60, batch=16, lr=0.05), report=told.append)
    assert history.epochs == tuple(told)
    assert [epoch.number for epoch in told] == list(range(1, 61))
    assert history.best == 60
    assert told[-1].loss < 0.01 * told[0].loss
    assert history.seconds > 0
    assert all(epoch.validation is None for epoch in told)


@pytest.mark.parametrize(("rows", "batch"), [(64, 16), (65, 16), (3, 16), (1, 1)])
def test_every_row_is_seen_once_per_epoch_in_a_new_order(rows: int, batch: int) -> None:
    module, loss, seen = regression(rows=rows)
    train(module, loss, rows, schedule=Schedule(epochs=2, batch=batch))
    first, second = (torch.cat(seen[k * len(seen) // 2 : (k + 1) * len(seen) // 2]) for k in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(rows))
    assert rows < 10 or first.tolist() != second.tolist()
    assert max(len(rows_B) for rows_B in seen) <= batch


def test_the_same_seed_gives_the_same_weights_and_another_one_other_weights() -> None:
    found = []
    for seed in (0, 0, 1):
        module, loss, _ = regression()
        train(module, loss, 64, schedule=Schedule(epochs=3, batch=8), seed=seed)
        found.append(module.weight.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best_weights(patience: int) -> None:
    module, loss, _ = regression()
    weights: list[Tensor] = []

    def validation() -> float:
        weights.append(module.weight.detach().clone())
        return abs(len(weights) - 3.0)  # best in the third epoch

    history = train(module, loss, 64, validation=validation, schedule=Schedule(epochs=50, patience=patience))
    assert history.best == 3
    assert len(history.epochs) == 3 + patience
    assert torch.equal(module.weight, weights[2])
    assert not torch.equal(module.weight, weights[-1])


@pytest.mark.parametrize("anneal", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.7), ("adam", 0.0), ("adamw", 0.0)])
def test_a_step_is_that_of_the_papers(optimizer: str, momentum: float, anneal: str) -> None:
    """One weight, loss w^2 / 2, so that the gradient is w: the rules of the papers in ten lines."""
    module = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(module.weight)
    schedule = Schedule(
        epochs=6, batch=1, lr=0.1, clip=1e6, optimizer=optimizer, momentum=momentum, weight_decay=0.3, warmup=2, anneal=anneal
    )
    train(module, lambda rows_B: module.weight.square().sum() / 2, 3, schedule=schedule)
    w, first, second = 1.0, 0.0, 0.0
    for step in range(1, 6 * 3 + 1):
        done = (step - 0.5) / 3  # epochs, at the middle of the step
        lr = 0.1 * min(done / 2, 1.0)
        if done > 2:
            lr *= {"constant": 1.0, "linear": 1 - (done - 2) / 4, "cosine": 0.5 + 0.5 * math.cos(math.pi * (done - 2) / 4)}[anneal]
        gradient = w + (0.0 if optimizer == "adamw" else 0.3 * w)
        if optimizer == "sgd":
            first = momentum * first + gradient
            w -= lr * first
            continue
        w -= lr * 0.3 * w if optimizer == "adamw" else 0.0
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        w -= lr * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    assert module.weight.item() == pytest.approx(w, rel=1e-9)


@settings(max_examples=50)
@given(losses=st.lists(st.floats(-5, 5), min_size=1, max_size=12), patience=st.integers(1, 4), most=st.integers(1, 12))
def test_a_training_still_improves_where_its_last_epoch_is_better_than_all_before(
    losses: list[float], patience: int, most: int
) -> None:
    module, loss, _ = regression(rows=1)
    held = iter([*losses, *[6.0] * most])
    history = train(module, loss, 1, validation=lambda: next(held), schedule=Schedule(epochs=most, patience=patience))
    seen = [*losses, *[6.0] * most][: len(history.epochs)]
    assert history.improving == all(seen[-1] < one for one in seen[:-1])
    assert history.improving <= (len(seen) == most), "patience stops none that improves"


def test_without_validation_nobody_can_tell_whether_a_training_still_improves() -> None:
    module, loss, _ = regression()
    history = train(module, loss, 64, schedule=Schedule(epochs=3))
    assert (history.validated, history.improving, history.best) == (False, False, 3)


def test_a_step_is_no_longer_than_the_clip_allows() -> None:
    module, loss, _ = regression()
    grads: list[float] = []
    module.weight.register_post_accumulate_grad_hook(lambda weight: grads.append(float(weight.grad.norm())))
    optimizer_step = torch.optim.Adam.step
    after: list[float] = []

    def step(self: torch.optim.Adam, closure: None = None) -> None:
        after.append(float(torch.cat([p.grad.flatten() for p in module.parameters()]).norm()))
        optimizer_step(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        train(module, lambda rows_B: 1000 * loss(rows_B), 64, schedule=Schedule(epochs=1, batch=16, clip=0.5))
    assert min(grads) > 0.5
    assert max(after) <= 0.5 + 1e-4


def test_weights_without_gradient_stay() -> None:
    module, loss, _ = regression()
    module.bias.requires_grad_(False)
    train(module, loss, 64, schedule=Schedule(epochs=2))
    assert module.bias.item() == 0


def test_a_loss_that_is_not_a_number_says_what_to_try() -> None:
    module, loss, _ = regression()
    with pytest.raises(QlogadError, match=r"diverged in epoch 1 .* lr = 0.001"):
        train(module, lambda rows_B: loss(rows_B) * math.nan, 64)
    with pytest.raises(QlogadError, match="diverged in epoch 1"):
        train(module, loss, 64, validation=lambda: math.inf)
