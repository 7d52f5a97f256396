"""Laws of every backend: random circuits over the whole gate table, against the definition of the gates and its declared abilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch

from qlogad.backend.abilities import Estimate, Key
from qlogad.backend.backend import Backend, open_backend
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError
from qlogad.seeds import generator
from qlogad.testing.circuits import random_circuit, random_values, reference_means
from qlogad.testing.laws import Laws, Tell, assert_refused

__all__ = ["check_backend"]

LAWS = Laws["Subject"]()


def check_backend(
    spec: str | Backend | type[Backend],
    *,
    tell: Tell | None = None,
    tolerance: float = 1e-6,
    gradient: float = 1e-6,
    circuits: int | Sequence[int] = 12,
) -> None:
    """Check a backend against its contract.

    Laws are chosen by the `kind` that its estimates state. Exact readouts agree with the definition of the gates; noisy ones shrink
    towards zero. Sampled ones depend on key and row, not on the row's position, and scatter according to their standard errors.
    Gradients are correct wherever readouts are not sampled.

    Args:
        spec: its name with its target, an opened backend, or a class that is opened without a target.
        tell: called with the outcome of each law; None: the first broken law raises an error.
        tolerance: how far readouts may lie from the definition of the gates, and slopes (ten times as far) from those of the exact
            engine.
        gradient: how far derivatives may lie from finite differences.
        circuits: how many random circuits, over the whole gate table, to try; or the numbers of those to try, each 0 or more.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> check_backend("exact", circuits=2)
    """
    backend = open_backend(spec) if isinstance(spec, str) else spec() if isinstance(spec, type) else spec
    numbers = range(circuits) if isinstance(circuits, int) else circuits
    LAWS.hold(Subject(backend, tolerance, gradient, tuple(numbers)), tell)


@dataclass(frozen=True)
class Trial:
    """A random circuit with weights and inputs, its exact readouts, and two estimates with different keys."""

    circuit: Circuit
    weights_GP: torch.Tensor
    inputs_GNI: torch.Tensor
    expected_GNK: torch.Tensor
    found: Estimate
    again: Estimate


@dataclass(frozen=True)
class Subject:
    """A backend, its tolerances, and the random circuits that most laws share."""

    backend: Backend
    tolerance: float
    gradient: float
    circuits: tuple[int, ...]

    @cached_property
    def trials(self) -> Sequence[Trial]:
        return [self._trial(number) for number in self.circuits]

    def _trial(self, number: int) -> Trial:
        random = generator(0, "check_backend", number)
        circuit = random_circuit(random, wires=1 + number % 4)
        weights_GP, inputs_GNI = random_values(circuit, random)
        expected_GNK = torch.from_numpy(reference_means(circuit, weights_GP.numpy(), inputs_GNI.numpy()))
        keys = (Key(number), Key(number).at("again"))
        found, again = (self.backend.bind(circuit, weights_GP, key=key).estimate(inputs_GNI) for key in keys)
        return Trial(circuit, weights_GP, inputs_GNI, expected_GNK, found, again)

    @cached_property
    def kind(self) -> str:
        """The kind that its estimates state."""
        (kind,) = {str(trial.found.provenance.get("kind")) for trial in self.trials}
        return kind

    @property
    def noisy(self) -> bool:
        return self.kind.startswith("noisy")

    @property
    def differentiates(self) -> bool:
        return not self.backend.abilities.shots and (self.backend.abilities.differentiable or self.backend.abilities.shift)


@LAWS.law()
def estimates_are_readouts_with_errors(it: Subject) -> None:
    for trial in it.trials:
        mean_GNK, error_GNK = trial.found.mean_GNK, trial.found.error_GNK
        assert mean_GNK.shape == error_GNK.shape == trial.expected_GNK.shape, "one mean and one error for each readout"
        assert torch.isfinite(error_GNK).all(), "a standard error is a number"
        assert (mean_GNK.abs() <= 1 + it.tolerance).all(), "readouts lie in [-1, 1]"
        groups, rows, _ = mean_GNK.shape
        assert trial.found.executions >= groups * rows, "an execution was not counted"


@LAWS.law()
def estimates_say_what_they_are(it: Subject) -> None:
    kinds = {"exact", "noisy-exact", "shots", "noisy-shots"}
    assert it.kind in kinds, f"an estimate says what kind it is, got {it.kind}"
    for trial in it.trials:
        sampled = trial.found.shots is not None
        assert it.kind.endswith("shots") == sampled == it.backend.abilities.shots, "the kind says whether it was sampled"


@LAWS.law(when=lambda it: not it.noisy)
def readouts_are_those_of_the_gates(it: Subject) -> None:
    for trial in it.trials:
        close = it.tolerance + 6 * float(trial.found.error_GNK.max())
        torch.testing.assert_close(trial.found.mean_GNK, trial.expected_GNK, rtol=0, atol=close)


@LAWS.law()
def rows_are_run_alone(it: Subject) -> None:
    """A row gives the same in any order and any batch, named or not; other keys give other samples."""
    for trial in it.trials:
        for named in (False, True):
            _rows_independent(it, trial, named)


def _rows_independent(it: Subject, trial: Trial, named: bool) -> None:
    count = trial.inputs_GNI.shape[1]
    names = [f"window {n}" for n in range(count)]

    def run(order: list[int], key: Key) -> torch.Tensor:
        bound = it.backend.bind(trial.circuit, trial.weights_GP, key=key)
        mean_GNK = bound(trial.inputs_GNI[:, order], [names[n] for n in order] if named else None).detach()
        return mean_GNK[:, np.argsort(order)] if len(order) == count else mean_GNK

    sampled, key = it.backend.abilities.shots, Key(1).at("rows")
    mean_GNK = run(list(range(count)), key)
    turned_GNK = run(list(range(count))[::-1], key)
    split_GNK = torch.cat([run([n], key) for n in range(count)], dim=1)
    for other_GNK in (turned_GNK, split_GNK):
        near = 0.0 if sampled else it.tolerance
        torch.testing.assert_close(other_GNK, mean_GNK, rtol=0, atol=near, msg=lambda text: f"a row depends on others: {text}")
    if sampled:
        assert not torch.equal(run(list(range(count)), key.at("other")), mean_GNK), "another key gives other samples"


@LAWS.law(when=lambda it: it.differentiates)
def gradients_are_true(it: Subject) -> None:
    for trial in it.trials:
        _gradients_true(it.backend, trial.circuit, trial.weights_GP, trial.inputs_GNI, it.gradient, noisy=it.noisy)


@LAWS.law(when=lambda it: it.differentiates and not it.noisy)
def slopes_are_as_precise_as_readouts(it: Subject) -> None:
    for trial in it.trials:
        _slopes_exact(it.backend, trial.circuit, trial.weights_GP, trial.inputs_GNI, it.tolerance)


@LAWS.law(when=lambda it: it.backend.abilities.shots)
def samples_scatter_as_their_errors_say(it: Subject) -> None:
    _errors_calibrated([trial.found for trial in it.trials], [trial.again for trial in it.trials])


@LAWS.law(when=lambda it: it.noisy)
def noise_takes_effect(it: Subject) -> None:
    _noise_takes_effect(torch.cat([trial.expected_GNK.flatten() for trial in it.trials]), [trial.found for trial in it.trials])


@LAWS.law()
def precision_is_kept(it: Subject) -> None:
    _keeps_precision(it.backend)


@LAWS.law()
def no_rows_give_no_results(it: Subject) -> None:
    _takes_no_rows(it.backend)


@LAWS.law()
def what_cannot_be_run_is_refused(it: Subject) -> None:
    _refuses(it.backend)


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
    """Gradients against those of the exact engine."""
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
    """Noise shrinks readouts: the regression slope of noisy on ideal ones is below 1 by more than chance."""
    mean, error = (torch.cat([getattr(one, name).flatten() for one in found]) for name in ("mean_GNK", "error_GNK"))
    slope = float((ideal @ mean) / (ideal @ ideal))
    chance = float(torch.sqrt((ideal**2) @ (error**2)) / (ideal @ ideal))
    assert 0 < slope < 1 - 1e-4 - 3 * chance, f"a noisy backend gives ideal readouts: slope {slope:.4f} with error {chance:.4f}"


def _keeps_precision(backend: Backend) -> None:
    """Readouts and gradients have the precision of weights and inputs."""
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
    """Zero rows give zero results with zero gradients, also for circuits without inputs or without weights."""
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
        assert_refused(partial(bound, wrong), BackendError, f"inputs of shape {tuple(wrong.shape)} and {wrong.dtype}")
    for wrong in (weights_GP[0], weights_GP[:, :1], weights_GP[:0], weights_GP.long(), weights_GP + torch.nan):
        assert_refused(
            partial(backend.bind, circuit, wrong), BackendError, f"weights of shape {tuple(wrong.shape)} and {wrong.dtype}"
        )
    wide = assemble("angle-y", "separable", min(256, backend.abilities.max_wires + 1), 0)
    if wide.wires > backend.abilities.max_wires:
        assert_refused(partial(backend.bind, wide, torch.zeros(1, 0)), BackendError, f"{wide.wires} wires")
