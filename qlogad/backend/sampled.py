"""What backends without autograd share: one list of gate angles in, readouts out, and gradients by evaluating shifted angles.

    weights_GP, inputs_GNI ── scale, shift ──► angles_MA ── Target.evaluate ──► mean_MK        M = G x N rows, A angles
                                torch                 once per call, once per gradient

Each place where a gate reads a weight or an input is an angle of its own, so a shift rule holds for it; autograd carries the gradient
on to weights and inputs. Two-term rule: Schuld et al. (2019), arXiv:1811.11184, eq. 12; four-term rule of controlled rotations:
Anselmetti et al. (2021), arXiv:2104.05695, eq. 8; simultaneous perturbation: Spall (1992), doi:10.1109/9.119632.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from math import pi, sqrt
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from qlogad import seeds
from qlogad.backend.backend import CALLS, DEFAULT_KEY, Abilities, Bound, Estimate, Key, Rows, check_inputs, check_weights, tied
from qlogad.circuit.circuit import Angle, Circuit
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, is_projector
from qlogad.errors import BackendError, did_you_mean, shown

if TYPE_CHECKING:
    from qlogad.backend.service import Service

__all__ = [
    "Answer",
    "Cost",
    "Gradient",
    "Kind",
    "Lifted",
    "SampledBackend",
    "SampledBound",
    "Tally",
    "Target",
    "draw",
    "lift",
    "number",
    "options",
    "read_chances",
    "read_counts",
]

Floats = NDArray[np.float64]
Kind = Literal["exact", "noisy-exact", "shots", "noisy-shots"]
Gradient = Literal["shift", "spsa"]

MAX_SHOTS = 10**7  # of a row; a service may take fewer
SPSA_STEP = 0.1  # radians
DECIMALS = 5  # of sampled angles, radians: equal rows of a network differ in their last bits, and no device tells these apart

_TWO_TERMS = ((pi / 2, 0.5), (-pi / 2, -0.5))
_NEAR, _FAR = (sqrt(2) + 1) / (4 * sqrt(2)), (sqrt(2) - 1) / (4 * sqrt(2))
_FOUR_TERMS = ((pi / 2, _NEAR), (-pi / 2, -_NEAR), (3 * pi / 2, -_FAR), (-3 * pi / 2, _FAR))


@dataclass(frozen=True)
class Lifted:
    """A circuit whose inputs are its gate angles, one for each place that reads a weight or an input.

    Args:
        circuit: the lifted circuit: A inputs, each read once as it is, and no weights.
        angles: what each of the A angles was before: scale * source[index] + shift.
        rules: its derivative as (shift, factor): the sum of factor * mean(angle + shift), radians.
    """

    circuit: Circuit
    angles: tuple[Angle, ...]
    rules: tuple[tuple[tuple[float, float], ...], ...]

    def values(self, weights_GP: Tensor, inputs_GNI: Tensor) -> Tensor:
        """The angles (G x N, A), float64, radians, differentiable; the rows of the first circuit come first."""
        groups, count = len(weights_GP), inputs_GNI.shape[1]
        parts = inputs_GNI.double().expand(groups, -1, -1), weights_GP.double()[:, None].expand(-1, count, -1)
        offset = {"input": 0, "weight": inputs_GNI.shape[2]}
        places = [offset[angle.source or "input"] + angle.index for angle in self.angles]
        scale_A, shift_A = (parts[0].new_tensor([getattr(angle, name) for angle in self.angles]) for name in ("scale", "shift"))
        angles_GNA = torch.cat(parts, dim=2)[..., places] * scale_A + shift_A
        return angles_GNA.reshape(groups * count, len(self.angles))

    def shifts(self, wanted_A: Sequence[bool]) -> tuple[Floats, Floats]:
        """Where to evaluate for the derivatives in the wanted angles: offsets_SA, and factors_SA of what is found there."""
        terms = [(a, *term) for a, wanted in enumerate(wanted_A) if wanted for term in self.rules[a]]
        offsets_SA, factors_SA = np.zeros((2, len(terms), len(self.angles)))
        for s, (a, shift, factor) in enumerate(terms):
            offsets_SA[s, a], factors_SA[s, a] = shift, factor
        return offsets_SA, factors_SA


@lru_cache(maxsize=64)
def lift(circuit: Circuit) -> Lifted:
    """The same circuit with one input for each gate angle that reads a weight or an input.

    >>> from qlogad.circuit.circuit import Gate
    >>> one = Angle("weight", 0, scale=2.0)
    >>> lifted = lift(Circuit(2, (Gate("rx", (0,), (one,)), Gate("crx", (0, 1), (one,))), ("ZZ",), inputs=0, weights=1))
    >>> lifted.circuit.inputs, lifted.circuit.weights, [len(rule) for rule in lifted.rules]
    (2, 0, [2, 4])
    """
    angles: list[Angle] = []
    rules = []
    gates = []
    for gate in circuit.gates:
        mine = []
        for angle in gate.angles:
            if angle.source is None:
                mine.append(angle)
                continue
            mine.append(Angle("input", len(angles)))
            angles.append(angle)
            rules.append(_FOUR_TERMS if GATES[gate.name].controls else _TWO_TERMS)
        gates.append(replace(gate, angles=tuple(mine)))
    bare = Circuit(circuit.wires, tuple(gates), circuit.readout, inputs=len(angles), weights=0, dephased=circuit.dephased)
    return Lifted(bare, tuple(angles), tuple(rules))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a target gives for M rows of angles."""

    mean_MK: Floats
    error_MK: Floats | None  # standard error of the mean; None: nothing was sampled
    executions: int  # circuits run: rows x measurement bases
    jobs: int = 1  # submissions they went in
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What running rows in one call takes, known before anything is submitted."""

    rows: int
    jobs: int  # submissions
    executions: int  # circuits run
    shots: int  # over all executions; 0: nothing is sampled
    depth: int  # of one circuit as it runs there
    two_qubit_gates: int
    seconds: float  # of the device; the truth lies between seconds / spread and seconds * spread
    spread: float
    dollars: float
    bytes: int  # of the largest answer
    formula: str  # where seconds and dollars come from


class Target(ABC):
    """Where lifted circuits run: a simulator, a device, or a ledger of recorded answers."""

    name: str
    abilities: Abilities
    shots: int | None = None  # for each row and measurement basis; None: expectation values without sampling
    noise: bool = False  # whether it is noisy
    service: Service | None = None  # takes jobs that are paid for or waited for; None: `evaluate` is all there is

    @abstractmethod
    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        """The readouts of M >= 1 rows of angles, finite and in radians.

        Args:
            lifted: the circuit; it is frozen, so whatever depends on it alone can be kept for the next call.
            angles_MA: the values of its inputs.
            rows: M names. What is sampled for a row depends on its name and angles only: never on its place or on other rows.

        Raises:
            BackendError: the target cannot run this circuit, or did not answer.
        """

    def cost(self, lifted: Lifted, rows: int) -> Cost:
        """What so many rows take; unless a target says otherwise they are one job, and nobody charges for them."""
        circuit = lifted.circuit
        end_W = [0] * circuit.wires
        for gate in circuit.gates:
            for wire, end in zip(gate.wires, [1 + max(end_W[wire] for wire in gate.wires)] * len(gate.wires), strict=True):
                end_W[wire] = end
        executions = rows * len(bases(circuit.readout))
        return Cost(
            rows=rows,
            jobs=min(rows, 1),
            executions=executions,
            shots=executions * (self.shots or 0),
            depth=max(end_W),
            two_qubit_gates=sum(len(gate.wires) == 2 for gate in circuit.gates),
            seconds=0.0,
            spread=1.0,
            dollars=0.0,
            bytes=8 * rows * len(circuit.readout),
            formula="a simulator: no device time",
        )

    @property
    def kind(self) -> Kind:
        """What its numbers are; numbers of different kinds do not belong in one column."""
        return ("noisy-exact" if self.noise else "exact") if self.shots is None else ("noisy-shots" if self.noise else "shots")


@dataclass
class Tally:
    """What a backend has run so far."""

    calls: int = 0  # rounds that wait for one another: forward or backward
    jobs: int = 0  # submissions
    executions: int = 0  # circuits


class SampledBackend:
    """A target as a backend; see `Backend`. A concrete backend names both as its bases and hands its target over.

    Args:
        target: where lifted circuits run.
        gradient: "shift" is exact and costs 2 or 4 evaluations for every angle; "spsa" costs 2 altogether and is a random estimate,
            right on average up to terms of the second order in its step.

    `tally` counts what was run by all circuits bound to it.
    """

    name: str

    def __init__(self, target: Target, *, gradient: str = "shift") -> None:
        if gradient not in ("shift", "spsa"):
            raise BackendError(f"gradient is 'shift' or 'spsa', got {shown(gradient)}")
        self.target = target
        self.gradient = cast(Gradient, gradient)
        self.abilities = replace(target.abilities, shift=True, shots=target.shots is not None)
        self.tally = Tally()

    def bind(self, circuit: Circuit, weights_GP: Tensor, *, key: Key = DEFAULT_KEY, calls: int = CALLS) -> SampledBound:
        """Lift the circuit; the target prepares it at the first call and keeps it for all later ones."""
        check_weights(circuit, weights_GP)
        if circuit.wires > self.abilities.max_wires:
            raise BackendError(f"{self.target.name} runs up to {self.abilities.max_wires} wires, got {circuit.wires}; use fewer")
        return SampledBound(self, circuit, weights_GP, key)

    def jobs(self) -> Target:
        """Its target."""
        return self.target

    def told_apart(self, angles_MA: Floats) -> Floats:
        """The angles as the target gets them: rounded where it samples."""
        return angles_MA if self.target.shots is None else np.round(angles_MA, DECIMALS) + 0.0  # no -0

    def evaluate(self, lifted: Lifted, angles_MA: Floats, rows: Sequence[str]) -> Answer:
        """The target's answer, in one call; a row that comes twice is run once: the same angles and, with shots, the same name."""
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
            raise BackendError(f"{self.target.name} gave readouts that are not all finite; run again, or look at the circuit")
        return replace(
            answer, mean_MK=answer.mean_MK[place_M], error_MK=None if answer.error_MK is None else answer.error_MK[place_M]
        )


class SampledBound(Bound):
    """A circuit with its weights on a target.

    Without names, a row is known by its angles: equal rows of a call are one experiment, whatever their places. Names make them
    independent ones. Calls are numbered from 0: a later call samples anew, and a new binding under the same key repeats the samples.
    """

    def __init__(self, backend: SampledBackend, circuit: Circuit, weights_GP: Tensor, key: Key) -> None:
        self._backend, self._circuit, self._weights_GP, self._key = backend, circuit, weights_GP, key
        self._lifted = lift(circuit)
        self._calls = 0

    def __call__(self, inputs_GNI: Tensor, rows: Rows | None = None) -> Tensor:
        """The readouts mean_GNK; see `Bound`. One evaluation, and another one for all gradients."""
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
        """The angles (M, A) and the M names of one more call."""
        check_inputs(self._circuit, self._weights_GP, inputs_GNI)
        count = inputs_GNI.shape[1]
        if rows is not None and len(rows) != count:
            raise BackendError(f"there are {count} rows of inputs but {len(rows)} names of rows; give one name for each")
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
    """One call that may be differentiated: rows of angles to readouts, and back."""

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
        """The readouts (M, S, K) at S places around each row, in one evaluation."""
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


def draw(chances_MBD: Floats, rows: Sequence[str], shots: int) -> Floats:
    """The shares of so many outcomes drawn in each basis; what is drawn for a row depends on its name and chances alone."""
    chances_MBD = np.clip(chances_MBD, 0, None)
    chances_MBD /= chances_MBD.sum(axis=2, keepdims=True)
    draws = [
        seeds.generator(0, row, "shots").multinomial(shots, chances_BD) for row, chances_BD in zip(rows, chances_MBD, strict=True)
    ]
    return np.stack(draws) / shots


def read_chances(words: Sequence[str], chances_MBD: Floats, shots: int | None) -> tuple[Floats, Floats | None]:
    """The readouts mean_MK and their standard errors from what is measured in each basis.

    Args:
        words: the circuit's readouts.
        chances_MBD: for each of `bases(words)` the share of every outcome, 0 to 2^W - 1; wire 0 is the most significant bit.
        shots: how many outcomes the shares come from; None: they are exact, and there are no errors.
    """
    basis_K = [_basis(word, bases(words)) for word in words]
    values_KD = np.stack([_outcomes(word) for word in words])
    mean_MK = np.einsum("mkd,kd->mk", chances_MBD[:, basis_K], values_KD)
    return mean_MK, None if shots is None else _errors(words, mean_MK, shots)


def read_counts(words: Sequence[str], counts: Sequence[Sequence[Mapping[str, int]]]) -> tuple[Floats, Floats]:
    """The readouts mean_MK and their standard errors from counts, for each row and each of `bases(words)` a mapping from outcomes, such as
    "0110" (letter k is wire k), to how often they came.

    >>> read_counts(("ZI", "11"), [[{"00": 3, "11": 1}]])[0].tolist()
    [[0.5, 0.25]]
    """
    basis_K = [_basis(word, bases(words)) for word in words]
    mean_MK, error_MK = np.zeros((2, len(counts), len(words)))
    for m, row in enumerate(counts):
        for k, (word, basis) in enumerate(zip(words, basis_K, strict=True)):
            shots = sum(row[basis].values())
            mean_MK[m, k] = sum(_value(word, outcome) * times for outcome, times in row[basis].items()) / shots
            error_MK[m, k] = _errors([word], mean_MK[m, k][None, None], shots)[0, 0]
    return mean_MK, error_MK


def _basis(word: str, found: Sequence[str]) -> int:
    """Which basis serves a word."""
    axes = "Z" * len(word) if is_projector(word) else word
    return next(place for place, basis in enumerate(found) if all(one in ("I", two) for one, two in zip(axes, basis, strict=True)))


def _value(word: str, outcome: str) -> float:
    """What an outcome counts for a word: 1 or -1, for a projector 1 or 0."""
    if is_projector(word):
        return float(word == outcome)
    return float((-1) ** sum(letter != "I" and bit == "1" for letter, bit in zip(word, outcome, strict=True)))


@lru_cache(maxsize=1024)
def _outcomes(word: str) -> Floats:
    """`_value` of every outcome (2^W,)."""
    values_D: Floats = np.ones(1)
    for letter in word:
        two = {"I": (1, 1), "0": (1, 0), "1": (0, 1)}.get(letter, (1, -1))
        values_D = np.asarray(np.kron(values_D, np.array(two, dtype=np.float64)))
    return values_D


def _errors(words: Sequence[str], mean_MK: Floats, shots: int) -> Floats:
    """Standard errors of means of so many shots, from Laplace's share (x + 1) / (n + 2): 0 of n is no certainty."""
    projector_K = np.array([is_projector(word) for word in words])
    share_MK = np.where(projector_K, mean_MK, (1 + mean_MK) / 2)
    share_MK = (np.clip(share_MK, 0, 1) * shots + 1) / (shots + 2)
    fixed_K = np.array([set(word) == {"I"} for word in words])
    reach_K = np.where(fixed_K, 0.0, np.where(projector_K, 1.0, 2.0))
    return np.asarray(reach_K * np.sqrt(share_MK * (1 - share_MK) / shots))


# ---------------------------------------------------------------- targets written as text


def options(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """A target such as "fake_manila,shots=1024" as its bare name (or "") and its options.

    Raises:
        BackendError: an option is not known, or given twice.

    >>> options("fake_manila,shots=1024", ["shots"])
    ('fake_manila', {'shots': '1024'})
    """
    bare = ""
    found: dict[str, str] = {}
    for place, part in enumerate(part.strip() for part in text.split(",")):
        name, equals, value = (side.strip() for side in part.partition("="))
        if place == 0 and not equals:
            bare = name
            continue
        if name not in known or not equals:
            raise BackendError(
                f"a target has no option {shown(name)}{did_you_mean(name, known)}; known: {', '.join(known)}, as in 'shots=1024'"
            )
        if name in found:
            raise BackendError(f"the option '{name}' is given twice; give it once")
        found[name] = value
    return bare, found


def number(name: str, text: str | None, *, least: int, most: int = MAX_SHOTS) -> int | None:
    """An option that is a whole number from `least` to `most`, or None where it is not given.

    Raises:
        BackendError: it is no such number.
    """
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,15}", text) or not least <= int(text) <= most:
        example = min(max(least, 1024), most)
        raise BackendError(f"{name} is a whole number from {least} to {most:,}, got {shown(text)}; write {name}={example}, say")
    return int(text)
