"""Base of backends without autograd: gate angles in, readouts out, and gradients by evaluation at shifted angles.

    weights_GP, inputs_GNI ── scale, shift ──► angles_MA ── Target.evaluate ──► mean_MK        M = G x N rows, A angles
                                torch                 once per call, once per gradient

Each use of a weight or an input in a gate is a separate angle, so a shift rule holds for it; autograd propagates the gradient
to weights and inputs. Two-term rule: Schuld et al. (2019), arXiv:1811.11184, eq. 12; four-term rule of controlled rotations:
Anselmetti et al. (2021), arXiv:2104.05695, eq. 8; simultaneous perturbation: Spall (1992), doi:10.1109/9.119632.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from qlogad import seeds
from qlogad.arrays import Floats
from qlogad.backend.abilities import CALLS, DEFAULT_KEY, Estimate, Key, Rows
from qlogad.backend.backend import Bound, check_inputs, check_weights, tied
from qlogad.backend.parameter_shift import Lifted, lift
from qlogad.backend.target import Answer, Target
from qlogad.circuit.circuit import Circuit
from qlogad.errors import BackendError, shown

__all__ = ["Gradient", "SampledBackend", "SampledBound", "Tally"]

Gradient = Literal["shift", "spsa"]

MAX_SHOTS = 10**7  # of a row; a service may allow fewer
SPSA_STEP = 0.1  # radians
DECIMALS = 5  # of sampled angles, radians: equal rows of a network differ in their last bits, which no device resolves


@dataclass
class Tally:
    """Counts of what a backend has run so far."""

    calls: int = 0  # sequential rounds: forward or backward
    jobs: int = 0  # submissions
    executions: int = 0  # circuits


class SampledBackend:
    """A backend on a target; see `Backend`. A concrete backend names both as its bases and passes its target.

    Args:
        target: runs lifted circuits.
        gradient: "shift" is exact and costs 2 or 4 evaluations per angle; "spsa" costs 2 in total and is a random estimate,
        unbiased up to second order in its step.

    `tally` counts the runs of all circuits bound to it.
    """

    name: str

    def __init__(self, target: Target, *, gradient: str = "shift") -> None:
        if gradient not in ("shift", "spsa"):
            raise BackendError(f"gradient must be 'shift' or 'spsa', got {shown(gradient)}")
        self.target = target
        self.gradient = cast(Gradient, gradient)
        self.abilities = replace(target.abilities, shift=True, shots=target.shots is not None)
        self.tally = Tally()

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> SampledBound:
        """Lift the circuit; the target prepares it at the first call and caches it."""
        check_weights(circuit, weights_GP)
        if circuit.wires > self.abilities.max_wires:
            raise BackendError(f"{self.target.name} runs up to {self.abilities.max_wires} wires, got {circuit.wires}; use fewer")
        return SampledBound(self, circuit, weights_GP, key)

    def jobs(self) -> Target:
        """The target."""
        return self.target

    def told_apart(self, angles_MA: Floats) -> Floats:
        """The angles as passed to the target: rounded if it samples."""
        return angles_MA if self.target.shots is None else np.round(angles_MA, DECIMALS) + 0.0  # no -0

    def evaluate(self, lifted: Lifted, angles_MA: Floats, rows: Sequence[str]) -> Answer:
        """Evaluate in one call; duplicate rows (equal angles and, with shots, equal names) are run once."""
        sampled = self.target.shots is not None
        angles_MA = self.told_apart(angles_MA)
        seen: dict[tuple[bytes, str], int] = {}
        place_M = [
            seen.setdefault((angles_A.tobytes(), row if sampled else ""), len(seen))
            for angles_A, row in zip(angles_MA, rows, strict=True)
        ]
        first_U = np.unique(place_M, return_index=True)[1]
        answer = self.target.evaluate(lifted, angles_MA[first_U], rows=[rows[m] for m in first_U])
        self.tally.calls += 1
        self.tally.jobs += answer.jobs
        self.tally.executions += answer.executions
        if not np.isfinite(answer.mean_MK).all():
            raise BackendError(f"{self.target.name} returned readouts that are not all finite; run again, or check the circuit")
        return replace(
            answer, mean_MK=answer.mean_MK[place_M], error_MK=None if answer.error_MK is None else answer.error_MK[place_M]
        )


class SampledBound(Bound):
    """A circuit with bound weights on a target.

    Without names, a row is identified by its angles: equal rows of a call share samples, whatever their order. Names make them
    independent. Calls are numbered from 0: a later call draws new samples, and a new binding with the same key repeats the samples.
    """

    def __init__(self, backend: SampledBackend, circuit: Circuit, weights_GP: Tensor, key: Key) -> None:
        self._backend, self._circuit, self._weights_GP, self._key = backend, circuit, weights_GP, key
        self._lifted = lift(circuit)
        self._calls = 0

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`. One evaluation, and one more for all gradients."""
        angles_MA, names = self._rows(inputs_GNI, rows)
        reads = {"input": inputs_GNI.requires_grad, "weight": self._weights_GP.requires_grad}
        wanted_A = [torch.is_grad_enabled() and reads[angle.source or "input"] for angle in self._lifted.angles]
        if any(wanted_A) and names:
            run = _Run(self._backend, self._lifted, names, wanted_A)
            mean_MK = cast(Tensor, _Evaluate.apply(angles_MA, run))  # type: ignore[no-untyped-call]
        else:
            mean_MK = torch.from_numpy(self._answer(angles_MA, names).mean_MK)
        return tied(self._shaped(mean_MK, inputs_GNI), self._weights_GP, inputs_GNI)

    def estimate(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Estimate:
        """The same readouts with their standard error and cost; without gradients."""
        answer = self._answer(*self._rows(inputs_GNI, rows))
        error_MK = np.zeros_like(answer.mean_MK) if answer.error_MK is None else answer.error_MK
        mean_GNK, error_GNK = (self._shaped(torch.from_numpy(each), inputs_GNI) for each in (answer.mean_MK, error_MK))
        target = self._backend.target
        provenance = {"backend": self._backend.name, "target": target.name, "kind": target.kind, **answer.provenance}
        return Estimate(mean_GNK, error_GNK, target.shots, answer.executions, provenance)

    def _rows(self, inputs_GNI: Tensor, rows: Rows | None) -> tuple[Tensor, list[str]]:
        """The angles (M, A) and the M names of the next call."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        count = inputs_GNI.shape[1]
        if rows is not None and len(rows) != count:
            raise BackendError(f"there are {count} rows of inputs but {len(rows)} row names; give one name per row")
        angles_MA = self._lifted.values(self._weights_GP, inputs_GNI).cpu()
        groups = range(len(self._weights_GP))
        named: Sequence[str | int] = [
            hashlib.sha256(angles_A.tobytes()).hexdigest()[:16] for angles_A in self._backend.told_apart(angles_MA.detach().numpy())
        ]
        if rows is not None:
            named = [*rows] * len(groups)
        path = "/".join(map(str, (self._key.seed, *self._key.path, f"call {self._calls}")))
        self._calls += 1
        places = product(groups, range(count))
        return angles_MA, [f"{path}/circuit {group}/{row}" for (group, _), row in zip(places, named, strict=True)]

    def _answer(self, angles_MA: Tensor, names: list[str]) -> Answer:
        if not names:
            return Answer(np.zeros((0, len(self._circuit.readout))), None, executions=0, jobs=0)
        return self._backend.evaluate(self._lifted, angles_MA.detach().numpy(), names)

    def _shaped(self, found_MK: Tensor, inputs_GNI: Tensor) -> Tensor:
        return found_MK.reshape(len(self._weights_GP), inputs_GNI.shape[1], len(self._circuit.readout)).to(inputs_GNI)


@dataclass(frozen=True, eq=False)
class _Run:
    """One differentiable call, from rows of angles to readouts."""

    backend: SampledBackend
    lifted: Lifted
    rows: list[str]
    wanted_A: Sequence[bool]

    def means(self, angles_MA: Floats) -> Floats:
        return self.backend.evaluate(self.lifted, angles_MA, self.rows).mean_MK

    def slopes(self, angles_MA: Floats, slope_MK: Floats) -> Floats:
        """The derivatives (M, A) of sum(slope_MK * mean_MK)."""
        if self.backend.gradient == "shift":
            offsets_SA, factors_SA = self.lifted.shifts(self.wanted_A)
            mean_MSK = self._around(angles_MA, np.broadcast_to(offsets_SA, (len(angles_MA), *offsets_SA.shape)))
            return np.asarray(np.einsum("mk,msk->ms", slope_MK, mean_MSK) @ factors_SA)
        draws = [seeds.generator(0, row, "spsa") for row in self.rows]
        way_MA = np.stack([random.choice([-1.0, 1.0], size=angles_MA.shape[1]) for random in draws]) * np.array(self.wanted_A)
        mean_MSK = self._around(angles_MA, SPSA_STEP * np.stack([way_MA, -way_MA], axis=1))
        along_M = (slope_MK * (mean_MSK[:, 0] - mean_MSK[:, 1])).sum(axis=1) / (2 * SPSA_STEP)
        return np.asarray(along_M[:, None] * way_MA)

    def _around(self, angles_MA: Floats, offsets_MSA: Floats) -> Floats:
        """The readouts (M, S, K) at S offsets around each row, in one evaluation."""
        rows, places = offsets_MSA.shape[:2]
        names = [f"{row}/shift {place}" for row in self.rows for place in range(places)]
        around_MA = (angles_MA[:, None] + offsets_MSA).reshape(rows * places, -1)
        return self.backend.evaluate(self.lifted, around_MA, names).mean_MK.reshape(rows, places, -1)


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, angles_MA: Tensor, run: _Run) -> Tensor:
        ctx.save_for_backward(angles_MA)
        ctx.run = run
        return torch.from_numpy(run.means(angles_MA.detach().numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_MK: Tensor) -> tuple[Tensor, None]:
        (angles_MA,) = ctx.saved_tensors
        return torch.from_numpy(ctx.run.slopes(angles_MA.detach().numpy(), slope_MK.numpy())), None


# ---------------------------------------------------------------- from measured bits to readouts


# ---------------------------------------------------------------- targets written as text
