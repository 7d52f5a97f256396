"""The contracts as functions, for our own tests and for anyone who adds a design, a backend or a detector of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from qlogad.backend.abilities import Estimate, Key
from qlogad.backend.backend import Backend, open_backend
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit, random_values, reference_means, refused_with

__all__ = ["check_backend"]


# ---------------------------------------------------------------- designs


# ---------------------------------------------------------------- backends


def check_backend(spec: str | Backend, *, tolerance: float = 1e-6, gradient: float = 1e-6, circuits: int = 12) -> None:
    """Hold a backend to its contract; an AssertionError says which law it breaks.

    What is asked goes by the `kind` that its estimates state. Exact readouts are those of the definition of the gates; noisy ones are
    not, but lie between them and nothing. Sampled ones depend on key and row, not on place, and scatter as their standard errors say.
    Gradients are true wherever readouts are not sampled.

    Args:
        spec: its name with its target, or an opened backend.
        tolerance: how far readouts may lie from the definition of the gates, and slopes (ten times as far) from those of the exact
            engine.
        gradient: how far derivatives may lie from finite differences.
        circuits: how many random circuits, over the whole gate table, to try.

    >>> check_backend("exact", circuits=2)
    """
    backend = open_backend(spec) if isinstance(spec, str) else spec
    ideal, found, again = [], [], []
    for number in range(circuits):
        random = generator(0, "check_backend", number)
        circuit = random_circuit(random, wires=1 + number % 4)
        weights_GP, inputs_GNI = random_values(circuit, random)
        expected_GNK = torch.from_numpy(reference_means(circuit, weights_GP.numpy(), inputs_GNI.numpy()))
        estimate = backend.bind(circuit, weights_GP, key=Key(number)).estimate(inputs_GNI)
        other = backend.bind(circuit, weights_GP, key=Key(number).at("again")).estimate(inputs_GNI)
        assert estimate.mean_GNK.shape == estimate.error_GNK.shape == expected_GNK.shape, "one mean and one error for each readout"
        assert torch.isfinite(estimate.error_GNK).all(), "a standard error is a number"
        assert (estimate.mean_GNK.abs() <= 1 + tolerance).all(), "readouts lie in [-1, 1]"
        assert estimate.executions >= expected_GNK.shape[0] * expected_GNK.shape[1], "an execution was not counted"
        _rows_independent(backend, circuit, weights_GP, inputs_GNI, tolerance)
        kind = _kind(estimate)
        sampled, noisy = kind.endswith("shots"), kind.startswith("noisy")
        assert sampled == (estimate.shots is not None) == backend.abilities.shots, (
            "the kind of the estimate says whether it was sampled"
        )
        if not noisy:
            close = tolerance + 6 * float(estimate.error_GNK.max())
            torch.testing.assert_close(estimate.mean_GNK, expected_GNK, rtol=0, atol=close)
        if not sampled and (backend.abilities.differentiable or backend.abilities.shift):
            _gradients_true(backend, circuit, weights_GP, inputs_GNI, gradient, noisy=noisy)
            if not noisy:
                _slopes_exact(backend, circuit, weights_GP, inputs_GNI, tolerance)
        ideal.append(expected_GNK.flatten())
        found.append(estimate)
        again.append(other)
    if sampled:
        _errors_calibrated(found, again)
    if noisy:
        _noise_takes_effect(torch.cat(ideal), found)
    _keeps_precision(backend)
    _takes_no_rows(backend)
    _refuses(backend)


def _kind(estimate: Estimate) -> str:
    kind = str(estimate.provenance.get("kind"))
    assert kind in {"exact", "noisy-exact", "shots", "noisy-shots"}, f"an estimate says what kind it is, got {kind}"
    return kind


def _rows_independent(
    backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float
) -> None:
    """Rows in any order and any company, with names and without, give what they gave; other keys give other samples."""
    count = inputs_GNI.shape[1]
    names = [f"window {n}" for n in range(count)]

    def run(order: list[int], key: Key, named: bool) -> torch.Tensor:
        bound = backend.bind(circuit, weights_GP, key=key)
        mean_GNK = bound(inputs_GNI[:, order], [names[n] for n in order] if named else None).detach()
        return mean_GNK[:, np.argsort(order)] if len(order) == count else mean_GNK

    sampled, key = backend.abilities.shots, Key(1).at("rows")
    near = 0.0 if sampled else tolerance
    for named in (False, True):
        mean_GNK = run(list(range(count)), key, named)
        turned_GNK = run(list(range(count))[::-1], key, named)
        split_GNK = torch.cat([run([n], key, named) for n in range(count)], dim=1)
        for other_GNK in (turned_GNK, split_GNK):
            torch.testing.assert_close(other_GNK, mean_GNK, rtol=0, atol=near, msg=lambda text: f"a row depends on others: {text}")
        if sampled:
            assert not torch.equal(run(list(range(count)), key.at("other"), named), mean_GNK), "another key gives other samples"


def _gradients_true(
    backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float, *, noisy: bool
) -> None:
    """Autograd's directional derivative against the central difference of the definition, or of the backend where it is noisy."""
    weights_GP, inputs_GNI = weights_GP.clone().requires_grad_(), inputs_GNI.clone().requires_grad_()
    random = generator(0, "check_backend", "direction", circuit.digest())
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    cost = torch.from_numpy(random.normal(size=tuple(mean_GNK.shape)))
    slopes = torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    ways = [torch.from_numpy(random.normal(size=tuple(values.shape))) for values in (weights_GP, inputs_GNI)]
    step = 1e-5

    def end(sign: int) -> float:
        there = [(v + sign * step * w).detach() for v, w in zip((weights_GP, inputs_GNI), ways, strict=True)]
        if noisy:
            return float((cost * backend.bind(circuit, there[0])(there[1])).sum())
        return float((cost.numpy() * reference_means(circuit, there[0].numpy(), there[1].numpy())).sum())

    found = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True))
    expected = (end(1) - end(-1)) / (2 * step)
    assert abs(found - expected) <= tolerance * (1 + abs(expected)) + 1e-7, (
        f"the gradient is {found}, the difference quotient {expected}"
    )


def _slopes_exact(backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float) -> None:
    """Slopes are as precise as readouts: those of the exact engine."""
    given = [values.clone().requires_grad_() for values in (weights_GP, inputs_GNI)]
    mine, its = (one.bind(circuit, given[0])(given[1]) for one in (backend, open_backend("exact:gates")))
    cost = torch.linspace(-1, 2, mine.numel(), dtype=mine.dtype).reshape(mine.shape)
    for one, two in zip(*(torch.autograd.grad((cost * mean).sum(), given) for mean in (mine, its)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=10 * tolerance * (1 + float(two.abs().max())))


def _errors_calibrated(found: list[Estimate], again: list[Estimate]) -> None:
    """The squared difference of two samples is, on average, the sum of their squared standard errors."""
    ratios = []
    for one, two in zip(found, again, strict=True):
        spread = one.error_GNK**2 + two.error_GNK**2
        open_GNK = (spread > 0) & (one.mean_GNK.abs() < 0.98)  # what is nearly certain hardly scatters
        ratios.append(((one.mean_GNK - two.mean_GNK) ** 2 / spread)[open_GNK])
    ratio = torch.cat(ratios)
    reach = 6 * math.sqrt(2 / len(ratio))  # the readouts of one row are correlated, hence 6 and not 3
    assert abs(float(ratio.mean()) - 1) < reach, f"squared differences are {float(ratio.mean()):.2f} times what the errors say"


def _noise_takes_effect(ideal: torch.Tensor, found: list[Estimate]) -> None:
    """Noise shrinks readouts: the slope of noisy on ideal ones is below 1 by more than chance."""
    mean, error = (torch.cat([getattr(one, name).flatten() for one in found]) for name in ("mean_GNK", "error_GNK"))
    slope = float((ideal @ mean) / (ideal @ ideal))
    chance = float(torch.sqrt((ideal**2) @ (error**2)) / (ideal @ ideal))
    assert 0 < slope < 1 - 1e-4 - 3 * chance, f"a noisy backend gives ideal readouts: slope {slope:.4f} with error {chance:.4f}"


def _keeps_precision(backend: Backend) -> None:
    """Readouts and slopes are in the precision of what is given."""
    circuit = random_circuit(generator(0, "check_backend", "precision"), wires=2)
    for dtype in (torch.float32, torch.float64):
        weights_GP = torch.full((1, circuit.weights), 0.3, dtype=dtype, requires_grad=True)
        inputs_GNI = torch.full((1, 2, circuit.inputs), 0.7, dtype=dtype, requires_grad=True)
        bound = backend.bind(circuit, weights_GP)
        estimate, mean_GNK = bound.estimate(inputs_GNI.detach()), bound(inputs_GNI)
        slopes = torch.autograd.grad(mean_GNK.sum(), (weights_GP, inputs_GNI))
        for what in (mean_GNK, estimate.mean_GNK, estimate.error_GNK, *slopes):
            assert what.dtype == dtype, f"{dtype} was given, and {what.dtype} came back"


def _takes_no_rows(backend: Backend) -> None:
    """No rows give no results, whose slopes are zero; so it is for circuits that read no inputs, or have no weights."""
    for encoding, depth in (("angle-y", 1), ("angle-y", 0)):
        circuit = assemble(encoding, "basic-entangler", 2, depth)
        for cut in (circuit, replace(circuit, gates=circuit.gates[circuit.wires :])):
            for wanted in ((True, True), (True, False), (False, True), (False, False)):
                weights_GP = torch.zeros(3, cut.weights, dtype=torch.float64, requires_grad=wanted[0])
                inputs_GNI = torch.zeros(1, 0, cut.inputs, dtype=torch.float64, requires_grad=wanted[1])
                bound = backend.bind(cut, weights_GP)
                mean_GNK = bound(inputs_GNI)
                assert mean_GNK.shape == bound.estimate(inputs_GNI.detach()).mean_GNK.shape == (3, 0, 2), "no rows give no results"
                given = [each for each in (weights_GP, inputs_GNI) if each.requires_grad]
                assert mean_GNK.requires_grad == bool(given), "no rows are differentiated as any others"
                for each, slope in zip(given, torch.autograd.grad(mean_GNK.sum(), given) if given else (), strict=True):
                    assert slope.shape == each.shape, "a slope has the shape of what it belongs to"
                    assert not slope.any(), "no rows have slopes of zero"


def _refuses(backend: Backend) -> None:
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    weights_GP, inputs_GNI = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(1, 4, 2, dtype=torch.float64)
    bound = backend.bind(circuit, weights_GP)
    bad = inputs_GNI.clone()
    bad[0, 1, 1] = torch.nan
    for wrong in (
        inputs_GNI[0],
        inputs_GNI[..., :1],
        inputs_GNI.expand(2, -1, -1),
        inputs_GNI.float(),
        bad,
        bad.nan_to_num(torch.inf),
    ):
        _refused(partial(bound, wrong))
    for wrong in (weights_GP[0], weights_GP[:, :1], weights_GP[:0], weights_GP.long(), weights_GP + torch.nan):
        _refused(partial(backend.bind, circuit, wrong))
    wide = assemble("angle-y", "separable", min(256, backend.abilities.max_wires + 1), 0)
    if wide.wires > backend.abilities.max_wires:
        _refused(partial(backend.bind, wide, torch.zeros(1, 0)))


def _refused(call: Callable[[], object]) -> None:
    refusal = refused_with(call, BackendError)
    assert refusal is not None, f"{call} was not refused"
    assert len(refusal.splitlines()) == 1, f"an error is one line, got {refusal}"


# ---------------------------------------------------------------- circuits to try
