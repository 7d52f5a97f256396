"""Forecast what a saved detector takes on hardware, before anything is submitted or paid.

A forecast rehearses the whole forward pass on the exact engine, counts the rows each round would send, and asks the target for their cost.

    closed loop   every round's readouts feed the next one: the detector as it is, one round per step of a recurrence
    open loop     the exact readouts feed the next step, and all rows are sent at once: one round, which compares expectation values

Equal rows of a round (in open loop, of all rounds) are run once. Reference rows, the detector's own circuit at fixed angles, are part
of every round, to distinguish device drift from other errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any, Literal, cast

import numpy as np
import torch

from qlogad import documents, escape, seeds
from qlogad.arrays import Floats, Ints
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact import Exact
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.sampled import DECIMALS, SampledBackend
from qlogad.backend.target import Answer, Cost, Target
from qlogad.detect.detector import Detector
from qlogad.errors import BackendError, InputError, did_you_mean, shown
from qlogad.features.features import Features

__all__ = [
    "REFERENCES",
    "Call",
    "Forecast",
    "Mode",
    "Rehearsal",
    "WhichThreshold",
    "check_limits",
    "exact_means",
    "forecast",
    "mode_of",
    "reference_angles",
    "rehearse",
    "target_of",
    "threshold_of",
    "with_shots",
]

Mode = Literal["open", "closed"]
WhichThreshold = Literal["clean", "recalibrated"]
REPEATS = 5  # runs of a sampled closed loop

REFERENCES = 3


@dataclass(frozen=True)
class Forecast:
    """The resources a run on hardware takes; nothing has been submitted."""

    backend: str
    mode: Mode
    windows: int
    circuits: int  # circuits with different weights
    rows_before: int  # without merging equal windows and equal rows
    rounds: int  # sequential calls
    references: int  # reference rows in each round
    cost: Cost  # of all rounds together
    validation: int = 0  # validation windows that a second threshold is fixed on

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def passes(self) -> int:
        """How often `submit` runs it by default: five times in a sampled closed loop, as noise feeds back; else once."""
        return REPEATS if self.mode == "closed" and self.cost.shots else 1

    def times(self, repeats: int) -> Forecast:
        """The forecast of `repeats` runs, which do not wait for one another."""
        total = {name: repeats * getattr(self.cost, name) for name in ("rows", "jobs", "executions", "shots", "seconds", "dollars")}
        return replace(self, cost=replace(self.cost, **total))

    def beside(self, calibration: Forecast) -> Forecast:
        """The forecast including validation windows, which are run at the same time."""
        return replace(
            self,
            rows_before=self.rows_before + calibration.rows_before,
            rounds=max(self.rounds, calibration.rounds),
            cost=_total([self.cost, calibration.cost]),
            validation=calibration.windows,
        )

    @property
    def range(self) -> tuple[float, float]:
        """The lower and upper estimate of device seconds."""
        return self.cost.seconds / self.cost.spread, self.cost.seconds * self.cost.spread

    def facts(self) -> dict[str, Any]:
        """The forecast as plain data."""
        low, high = self.range
        own = {name: value for name, value in asdict(self).items() if name != "cost"}
        return own | asdict(self.cost) | {"seconds_low": low, "seconds_high": high}

    @property
    def text(self) -> str:
        """The forecast as a table."""
        cost, (low, high) = self.cost, self.range
        rows = [
            ("backend", self.backend),
            ("mode", f"{self.mode} loop"),
            ("windows", f"{self.windows:,}"),
            *([("validation windows, for the threshold", f"{self.validation:,}")] if self.validation else []),
            ("circuits with own weights", f"{self.circuits:,}"),
            ("rows before de-duplication", f"{self.rows_before:,}"),
            ("rows after de-duplication, with references", f"{cost.rows:,}"),
            ("sequential rounds", f"{self.rounds:,}"),
            ("reference rows in each", f"{self.references:,}"),
            ("jobs", f"{cost.jobs:,}"),
            ("depth after translation", f"{cost.depth:,}"),
            ("two-qubit gates after translation", f"{cost.two_qubit_gates:,}"),
            ("executions (circuits)", f"{cost.executions:,}"),
            ("shots in all", f"{cost.shots:,}"),
            ("device seconds", f"{cost.seconds:,.0f} ({low:,.0f} to {high:,.0f})"),
            ("price, USD", f"{cost.dollars:,.2f} ({cost.dollars / cost.spread:,.2f} to {cost.dollars * cost.spread:,.2f})"),
            ("memory of the largest answer, MB", f"{cost.bytes / 1e6:,.1f}"),
        ]
        return f"{escape.table(rows, 'simple', ())}\nseconds and price: {cost.formula}"


def forecast(detector: Detector, features: Features, backend: str, *, mode: Mode = "closed", references: int = 0) -> Forecast:
    """Forecast scoring these windows on a backend.

    Args:
        detector: a fitted one; left unchanged.
        features: the windows, with `weight_N` of each row.
        backend: such as "ibm:fake_torino,shots=1024".
        mode: open or closed loop.
        references: reference rows in every round.

    Raises:
        InputError: the detector runs no circuits, or the number of references is out of range.
        BackendError: the backend cannot run them, or does not take jobs.
    """
    if references < 0:
        raise InputError(f"the number of reference rows must be 0 or more, got {references}")
    layers = detector.circuits()
    if not layers:
        raise InputError(
            f"this {type(detector).__name__} runs no circuits, so there is nothing to run on hardware; choose a quantum core"
        )
    target = target_of(backend)
    rehearsals = rehearse(detector, features, target)
    calls = [call for rehearsal in rehearsals for call in (rehearsal.calls if mode == "closed" else rehearsal.together())]
    passes = int((features.weight_N * detector.passes(features)).sum())
    return Forecast(
        backend=backend,
        mode=mode,
        windows=int(features.weight_N.sum()),
        circuits=sum(layer.gates for layer in layers),
        rows_before=passes * sum(layer.gates * len(rehearsal.calls) for layer, rehearsal in zip(layers, rehearsals, strict=True)),
        rounds=len(calls) if mode == "closed" else min(len(calls), 1),
        references=references,
        cost=_total([target.cost(call.lifted, len(call.angles_MA) + references) for call in calls]),
    )


def target_of(backend: str) -> Target:
    """The target of a backend.

    Raises:
        UnknownName: there is no such backend.
        BackendError: it does not take jobs.
    """
    target = open_backend(backend).jobs()
    if target is None:
        raise BackendError(f"'{backend:.60}' runs no jobs to plan or record; use for example 'ibm:fake_torino' or 'aer:shots=1024'")
    return target


def rehearse(detector: Detector, features: Features, target: Target) -> list[Rehearsal]:
    """Rehearse scoring these windows, one rehearsal per layer of circuits; the detector is left unchanged."""
    layers = detector.circuits()
    rounds = count()
    rehearsals = [Rehearsal(target, rounds) for _ in layers]
    before = [layer.backend for layer in layers]
    try:
        for layer, rehearsal in zip(layers, rehearsals, strict=True):
            layer.backend = _Rehearsed(rehearsal)
        detector.anomaly_score(features)
    finally:
        for layer, home in zip(layers, before, strict=True):
            layer.backend = home
    return rehearsals


def mode_of(text: str) -> Mode:
    """Check the name of a mode.

    Raises:
        InputError: it is neither open nor closed.
    """
    if text not in ("open", "closed"):
        raise InputError(f"the mode must be open or closed, got '{text:.40}'")
    return cast(Mode, text)


def threshold_of(text: str, mode: Mode) -> WhichThreshold:
    """Check the name of the threshold that decides.

    Raises:
        InputError: it is unknown, or the mode gives no scores to fix it on.
    """
    if text not in ("clean", "recalibrated"):
        raise InputError(
            f"the threshold must be clean or recalibrated, got {shown(text)}{did_you_mean(text, ('clean', 'recalibrated'))}"
        )
    if text == "recalibrated" and mode == "open":
        raise InputError("an open loop gives no scores to fix a threshold on; use --mode closed, or --threshold clean")
    return cast(WhichThreshold, text)


def with_shots(backend: str, shots: int | None) -> str:
    """A backend with its number of shots set; None leaves it as it is.

    >>> with_shots("ibm:fake_torino", 1024), with_shots("aer", 100), with_shots("aer", None)
    ('ibm:fake_torino,shots=1024', 'aer:shots=100', 'aer')
    """
    return backend if shots is None else f"{backend}{',' if ':' in backend else ':'}shots={shots}"


def check_limits(planned: Forecast, *, max_seconds: float | None = None, max_cost: float | None = None) -> None:
    """Refuse a run whose upper estimate exceeds a limit.

    Raises:
        InputError: it may take more device seconds or US dollars.
    """
    high = planned.range[1]
    dollars = planned.cost.dollars * planned.cost.spread
    fix = "choose fewer windows or shots, or allow more"
    if max_seconds is not None and not high <= max_seconds:  # `not <=`, so that NaN allows nothing
        raise InputError(f"the run may take {high:,.0f} s of device time, more than --max-seconds {max_seconds:,.0f}; {fix}")
    if max_cost is not None and not dollars <= max_cost:
        raise InputError(f"the run may cost {dollars:,.2f} USD, more than --max-cost {max_cost:,.2f}; {fix}")


class _Rehearsed(SampledBackend, Backend):
    name = "rehearsal"


@dataclass(frozen=True, eq=False)
class Call:
    """One call to a target: rows of angles, and for each the first round of a closed loop that runs it, from 0."""

    lifted: Lifted
    angles_MA: Floats
    step_M: Ints


class Rehearsal(Target):
    """A target that computes exact readouts and records every call; `rounds` numbers the calls of all layers together."""

    def __init__(self, of: Target, rounds: Iterator[int]) -> None:
        self.name, self.abilities, self.shots, self.noise = of.name, of.abilities, of.shots, of.noise
        self.calls: list[Call] = []
        self._rounds = rounds

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        self.calls.append(Call(lifted, angles_MA, np.full(len(angles_MA), next(self._rounds))))
        return Answer(exact_means(lifted, angles_MA), None, executions=0, jobs=0)

    def together(self) -> list[Call]:
        """All rows of all calls as one call, equal rows once."""
        if not self.calls:
            return []
        angles_MA, first_M = np.unique(np.concatenate([call.angles_MA for call in self.calls]), axis=0, return_index=True)
        return [Call(self.calls[0].lifted, angles_MA, np.concatenate([call.step_M for call in self.calls])[first_M])]


def reference_angles(lifted: Lifted, count: int) -> Floats:
    """The angles (count, A) of reference rows, radians, equal in every call: all 0 in the first row, uniformly random in the others.

    The circuit is the detector's own, so gates, qubits and depth are those of the other rows.
    """
    angles_RA = seeds.generator(0, "hardware", "references").uniform(-np.pi, np.pi, (count, len(lifted.angles)))
    angles_RA[:1] = 0.0
    return np.round(angles_RA, DECIMALS)


def exact_means(lifted: Lifted, angles_MA: Floats) -> Floats:
    """The exact readouts (M, K) of rows of angles, without noise and shots."""
    bound = Exact().bind(lifted.circuit, torch.zeros(1, 0, dtype=torch.float64))
    return np.asarray(bound(torch.from_numpy(angles_MA)[None])[0].numpy())


def _total(costs: Sequence[Cost]) -> Cost:
    if not costs:
        raise InputError("the chosen windows run no circuit; choose other windows")
    summed = {
        name: sum(getattr(cost, name) for cost in costs) for name in ("rows", "jobs", "executions", "shots", "seconds", "dollars")
    }
    largest = {name: max(getattr(cost, name) for cost in costs) for name in ("depth", "two_qubit_gates", "spread", "bytes")}
    return replace(costs[0], **summed, **largest)


# ---------------------------------------------------------------- saved detectors


# ---------------------------------------------------------------- the windows to run
