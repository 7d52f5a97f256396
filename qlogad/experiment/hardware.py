"""Saved detectors on hardware: what a run would take, before anything is submitted or paid.

A plan rehearses the whole forward pass on the exact engine, counts the rows each round would send, and asks the target what they take.

    closed loop   every round's readouts feed the next one: the detector as it is, one round per step of a recurrence
    open loop     the exact readouts feed the next step, and all rows go at once: one round, which compares expectation values

Equal rows of a round (in open loop, of all rounds) are run once. Reference rows, the detector's own circuit at fixed angles, go with
every round, so that a device that drifts can be told from a model that errs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from qlogad import documents, escape, files, seeds
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact import Exact
from qlogad.backend.sampled import DECIMALS, SampledBackend
from qlogad.backend.target import Answer, Cost, Floats, Lifted, Target
from qlogad.detect.detector import Detector
from qlogad.errors import AccountNeeded, BackendError, InputError, ResultError, UnknownName, did_you_mean, shown
from qlogad.experiment.ground import Ground, Part
from qlogad.features.features import Features, Labels

__all__ = [
    "REFERENCES",
    "WINDOWS",
    "Call",
    "Mode",
    "Plan",
    "Rehearsal",
    "Threshold",
    "Trained",
    "calibrating",
    "check_limits",
    "choose",
    "chosen",
    "exact_detector",
    "exact_means",
    "kept",
    "margins",
    "mode_of",
    "plan",
    "reference_angles",
    "rehearse",
    "taken",
    "target_of",
    "threshold_of",
    "trained",
    "with_shots",
]

Mode = Literal["open", "closed"]
Threshold = Literal["clean", "recalibrated"]
REPEATS = 5  # of a closed loop that samples
Ints = NDArray[np.int64]

WINDOWS = 200
REFERENCES = 3


@dataclass(frozen=True)
class Plan:
    """What a run on hardware takes; nothing has been submitted."""

    backend: str
    mode: Mode
    windows: int
    circuits: int  # with weights of their own
    rows_before: int  # if every window, and every event of it, was run by itself
    rounds: int  # calls that wait for one another
    references: int  # reference rows in each of them
    cost: Cost  # of all rounds together
    validation: int = 0  # windows the threshold is fixed on anew, beside those tested

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def passes(self) -> int:
        """How often `submit` runs it unless told: five times in a closed loop that samples, as noise feeds back."""
        return REPEATS if self.mode == "closed" and self.cost.shots else 1

    def times(self, repeats: int) -> Plan:
        """The plan of so many runs, which do not wait for one another."""
        total = {name: repeats * getattr(self.cost, name) for name in ("rows", "jobs", "executions", "shots", "seconds", "dollars")}
        return replace(self, cost=replace(self.cost, **total))

    def beside(self, calibration: Plan) -> Plan:
        """The plan with that of validation windows, which are run at the same time."""
        return replace(
            self,
            rows_before=self.rows_before + calibration.rows_before,
            rounds=max(self.rounds, calibration.rounds),
            cost=_total([self.cost, calibration.cost]),
            validation=calibration.windows,
        )

    @property
    def range(self) -> tuple[float, float]:
        """Where the device seconds lie."""
        return self.cost.seconds / self.cost.spread, self.cost.seconds * self.cost.spread

    def facts(self) -> dict[str, Any]:
        """The plan as plain data."""
        low, high = self.range
        own = {name: value for name, value in asdict(self).items() if name != "cost"}
        return own | asdict(self.cost) | {"seconds_low": low, "seconds_high": high}

    @property
    def text(self) -> str:
        """The plan as a table."""
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


def plan(detector: Detector, features: Features, backend: str, *, mode: Mode = "closed", references: int = 0) -> Plan:
    """What it takes to score these windows on a backend.

    Args:
        detector: a fitted one; it is left as it was.
        features: the windows, `weight_N` of each row.
        backend: where to, "ibm:fake_torino,shots=1024" say.
        mode: open or closed loop.
        references: reference rows that go with every round.

    Raises:
        InputError: the detector runs no circuits, or there cannot be so many references.
        BackendError: the backend cannot run them, or runs no jobs.
    """
    if references < 0:
        raise InputError(f"there are 0 or more reference rows, got {references}")
    layers = detector.circuits()
    if not layers:
        raise InputError(
            f"{type(detector).__name__} here runs no circuits, so there is nothing to run on hardware; choose a quantum core"
        )
    target = target_of(backend)
    rehearsals = rehearse(detector, features, target)
    calls = [call for rehearsal in rehearsals for call in (rehearsal.calls if mode == "closed" else rehearsal.together())]
    passes = int((features.weight_N * detector.passes(features)).sum())
    return Plan(
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
    """What takes the jobs of a backend.

    Raises:
        UnknownName: there is no such backend.
        BackendError: it runs no jobs.
    """
    target = open_backend(backend).jobs()
    if target is None:
        raise BackendError(f"'{backend:.60}' runs no jobs to plan or record; use 'ibm:fake_torino' or 'aer:shots=1024', say")
    return target


def rehearse(detector: Detector, features: Features, target: Target) -> list[Rehearsal]:
    """What each layer of circuits would ask of a target to score these windows; the detector is left as it was."""
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
    """A mode by its name.

    Raises:
        InputError: it is no mode.
    """
    if text not in ("open", "closed"):
        raise InputError(f"the mode is open or closed, got '{text:.40}'")
    return cast(Mode, text)


def threshold_of(text: str, mode: Mode) -> Threshold:
    """Which threshold decides, by its name.

    Raises:
        InputError: it is none, or there are no scores that it could be fixed on.
    """
    if text not in ("clean", "recalibrated"):
        raise InputError(
            f"the threshold is clean or recalibrated, got {shown(text)}{did_you_mean(text, ('clean', 'recalibrated'))}"
        )
    if text == "recalibrated" and mode == "open":
        raise InputError("an open loop gives no scores to fix a threshold on; take --mode closed, or --threshold clean")
    return cast(Threshold, text)


def with_shots(backend: str, shots: int | None) -> str:
    """A backend with so many shots; None: as it is.

    >>> with_shots("ibm:fake_torino", 1024), with_shots("aer", 100), with_shots("aer", None)
    ('ibm:fake_torino,shots=1024', 'aer:shots=100', 'aer')
    """
    return backend if shots is None else f"{backend}{',' if ':' in backend else ':'}shots={shots}"


def check_limits(planned: Plan, *, max_seconds: float | None = None, max_cost: float | None = None) -> None:
    """Refuse a plan whose upper estimate exceeds what was allowed.

    Raises:
        InputError: it takes, or may take, more device seconds or US dollars.
    """
    high = planned.range[1]
    dollars = planned.cost.dollars * planned.cost.spread
    fix = "choose fewer windows or shots, or allow more"
    if max_seconds is not None and not high <= max_seconds:  # not a number allows nothing
        raise InputError(f"the plan may take {high:,.0f} s of device time, more than --max-seconds {max_seconds:,.0f}; {fix}")
    if max_cost is not None and not dollars <= max_cost:
        raise InputError(f"the plan may cost {dollars:,.2f} USD, more than --max-cost {max_cost:,.2f}; {fix}")


class _Rehearsed(SampledBackend, Backend):
    name = "rehearsal"


@dataclass(frozen=True, eq=False)
class Call:
    """What a target is asked at once: rows of angles, and the first round of a closed loop that asks each of them, from 0."""

    lifted: Lifted
    angles_MA: Floats
    step_M: Ints


class Rehearsal(Target):
    """Computes exact readouts in a target's place and notes what was asked; `rounds` numbers the calls of all layers together."""

    def __init__(self, of: Target, rounds: Iterator[int]) -> None:
        self.name, self.abilities, self.shots, self.noise = of.name, of.abilities, of.shots, of.noise
        self.calls: list[Call] = []
        self._rounds = rounds

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        self.calls.append(Call(lifted, angles_MA, np.full(len(angles_MA), next(self._rounds))))
        return Answer(exact_means(lifted, angles_MA), None, executions=0, jobs=0)

    def together(self) -> list[Call]:
        """All rows of all calls as one call, equal ones once."""
        if not self.calls:
            return []
        angles_MA, first_M = np.unique(np.concatenate([call.angles_MA for call in self.calls]), axis=0, return_index=True)
        return [Call(self.calls[0].lifted, angles_MA, np.concatenate([call.step_M for call in self.calls])[first_M])]


def reference_angles(lifted: Lifted, count: int) -> Floats:
    """The angles (count, A) of reference rows, radians: the same ones every time, all 0 in the first and uniform in the others.

    The circuit is the detector's own, so gates, qubits and depth are those of the rows they stand beside.
    """
    angles_RA = seeds.generator(0, "hardware", "references").uniform(-np.pi, np.pi, (count, len(lifted.angles)))
    angles_RA[:1] = 0.0
    return np.round(angles_RA, DECIMALS)


def exact_means(lifted: Lifted, angles_MA: Floats) -> Floats:
    """The readouts (M, K) of rows of angles, without noise and shots."""
    bound = Exact().bind(lifted.circuit, torch.zeros(1, 0, dtype=torch.float64))
    return np.asarray(bound(torch.from_numpy(angles_MA)[None])[0].numpy())


def _total(costs: Sequence[Cost]) -> Cost:
    if not costs:
        raise InputError("the chosen windows send nothing through a circuit; choose other windows")
    summed = {
        name: sum(getattr(cost, name) for cost in costs) for name in ("rows", "jobs", "executions", "shots", "seconds", "dollars")
    }
    largest = {name: max(getattr(cost, name) for cost in costs) for name in ("depth", "two_qubit_gates", "spread", "bytes")}
    return replace(costs[0], **summed, **largest)


# ---------------------------------------------------------------- saved detectors


@dataclass(frozen=True, eq=False)
class Trained:
    """A saved detector of a finished run, with the windows it was tested on."""

    contender: str
    seed: int
    cut: str
    folder: Path  # of the detector: see `Detector.load`
    test: Part
    score_N: Floats  # of each row of it, as the table has it
    validation: Part  # what its threshold was fixed on


def trained(result: Path, contender: str, *, seed: int | None = None, cut: str | None = None) -> Trained:
    """The detector that a contender of a finished run trained.

    Args:
        result: the folder of the run.
        contender: its name in the table.
        seed: of its training; None: the first.
        cut: the position in time; None: the first.

    Raises:
        UnknownName: there is no such contender, or it has no such seed or cut.
        ResultError: there is no finished run, or its detectors were not kept.
    """
    table, again = result / "runs.csv", f"run the experiment again: qlogad run {result.name} --out {result.parent}"
    if not table.is_file():
        raise ResultError(f"there is no finished run in {result} (runs.csv is missing); {again}")
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row["windows"] == "all" and int(row["seed"]) >= 0 and row["cell"]]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ResultError(f"{table} is damaged; {again}") from error
    if not rows:
        raise ResultError(f"{table} holds no finished cell; {again}")
    for kind, column, wanted in (("contender", "contender", contender), ("cut", "cut", cut), ("seed", "seed", seed)):
        there = {row[column] for row in rows}
        if wanted is not None and str(wanted) not in there:
            raise UnknownName(kind, str(wanted), there)
        rows = [row for row in rows if wanted is None or row[column] == str(wanted)]
    first = min(rows, key=lambda row: (float(row["cut"]) if row["cut"].replace(".", "").isdigit() else 0.0, int(row["seed"])))
    return kept(result, contender, int(first["seed"]), first["cut"], first["cell"])


def kept(result: Path, contender: str, seed: int, cut: str, cell: str) -> Trained:
    """The detector of one cell, whatever was trained since.

    Raises:
        ResultError: it was not kept, or the windows of its cut were not.
    """
    if not cell.isalnum() or Path(cut).name != cut:
        raise ResultError(
            f"a cell {shown(cell)} of cut {shown(cut)} is none of {result}; restore the file that names it from a copy"
        )
    folder, ground = result / "cells" / cell / "detector", result / "work" / f"{cut}.npz"
    again = f"run the experiment again: qlogad run {result.name} --out {result.parent}"
    if not folder.is_dir() or not ground.is_file():
        raise ResultError(
            f"the trained detector of {contender}, seed {seed}, cut {cut} is not in {result} (cells/ and work/ stay where they were "
            f"made); {again}"
        )
    try:
        made = Ground.load(result / "work", cut)
        facts = files.read_facts(folder.parent / "cell.json")
        score_N = files.read_arrays(folder.parent / "scores.npz")["scores.test"]
    except ResultError as error:
        raise ResultError(f"{error}; {again}") from error
    if made.base != facts["base"]:
        raise ResultError(
            f"the windows of {result} were made anew since {contender}, seed {seed}, cut {cut} was trained; submit it anew"
        )
    normals = made.validation.normals()
    held = normals if facts["validation_windows"] == len(normals.label_W) else made.validation
    return Trained(contender, seed, cut, folder, made.test, score_N, held)


# ---------------------------------------------------------------- the windows that go


def exact_detector(folder: Path) -> Detector:
    """A saved detector without noise and shots, wherever it was trained."""
    try:
        detector = Detector.load(folder)
    except AccountNeeded:  # its circuits run here, whatever its file says
        return Detector.load(folder, backend="exact")
    return Detector.load(folder, backend="exact") if detector.circuits() else detector


def margins(detector: Detector, score_N: Floats) -> Floats:
    """How far each score lies above the threshold, (N,); above 0 is an alarm.

    Raises:
        ResultError: the detector was fitted without a threshold.
    """
    if detector.threshold_ is None:
        raise ResultError("the detector has no threshold, so nothing is an alarm; fit it with validation windows")
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return np.asarray(np.where(score_N == detector.threshold_.value, 0.0, score_N - detector.threshold_.value))


def choose(part: Part, margin_N: Floats, windows: int, *, choice: int = 0) -> Ints:
    """The places of so many windows of a part, ascending: as many anomalies as normal ones as far as there are.

    Decisions flip near the threshold, so of either kind one half are those nearest to it but not on it, each sequence once before any
    comes twice, and the other half are spread evenly over the order of all other scores. They are no random sample: what is found on them
    compares backends, and is no estimate for the whole part.

    Args:
        part: where to choose from.
        margin_N: how far the score of each of its rows lies above the threshold.
        windows: how many; all where there are not so many.
        choice: seed of the choice, which decides between equals.

    Raises:
        InputError: fewer than one window is asked for.
    """
    if windows < 1:
        raise InputError(f"at least 1 window can be chosen, got {windows}")
    random = seeds.generator(choice, "hardware", "windows")
    kinds = [random.permutation(np.flatnonzero(part.label_W == label)) for label in (1, 0)]
    anomalies = min(len(kinds[0]), max(windows // 2, windows - len(kinds[1])))
    counts = anomalies, min(len(kinds[1]), windows - anomalies)
    row_W = part.features.row_W
    return np.sort(
        np.concatenate(
            [_spread(kind_P, row_W[kind_P], margin_N[row_W[kind_P]], count) for kind_P, count in zip(kinds, counts, strict=True)]
        )
    )


def chosen(found: Trained, windows: int, *, choice: int = 0) -> tuple[Detector, Ints, Features]:
    """A saved detector, the places of windows chosen for it, and their features: see `choose`."""
    detector = exact_detector(found.folder)
    places_C = choose(found.test, margins(detector, found.score_N), windows, choice=choice)
    return detector, places_C, taken(found.test, places_C)[0]


def calibrating(found: Trained, detector: Detector, windows: int, *, choice: int = 0) -> tuple[Features, Labels | None]:
    """Validation windows to fix the threshold on anew, drawn evenly, and the label of each row where the detector's rule reads it.

    Raises:
        InputError: fewer than one window is asked for.
    """
    if windows < 1:
        raise InputError(f"a threshold is fixed on at least 1 validation window, got {windows}")
    part = found.validation
    places_C = np.sort(seeds.generator(choice, "hardware", "validation").permutation(len(part.label_W))[:windows])
    features, label_N = taken(part, places_C)
    return features, Labels(label_N) if detector.threshold == "f1" else None


def _spread(place_P: Ints, row_P: Ints, margin_P: Floats, count: int) -> Ints:
    """So many of the places: one half nearest to the threshold, the others spread over the order of the rest."""
    by_row_P = np.argsort(row_P, kind="stable")
    copy_P = np.empty(len(row_P), dtype=np.int64)  # how many places of the same row stand before
    copy_P[by_row_P] = np.arange(len(row_P)) - np.searchsorted(row_P[by_row_P], row_P[by_row_P])
    away_P = np.where(np.isclose(margin_P, 0), np.inf, np.abs(margin_P))  # on the threshold itself, rounding decides
    nearest_P = np.lexsort((away_P, copy_P))
    near = count // 2
    rest = np.sort(nearest_P[near:])
    rest = rest[np.argsort(margin_P[rest], kind="stable")]
    even = np.arange(count - near) * len(rest) // max(count - near, 1) + len(rest) // (2 * max(count - near, 1))
    return np.asarray(place_P[np.concatenate([nearest_P[:near], rest[even]])])


def taken(part: Part, places_C: Ints) -> tuple[Features, Ints]:
    """The windows at some places of a part: features, equal windows once, and the label of each row."""
    rows_R, row_C = np.unique(part.features.row_W[places_C], return_inverse=True)
    features = replace(
        part.features.take(rows_R),
        weight_N=np.bincount(row_C).astype(np.float64),
        row_W=row_C,
        window_keys_W=part.features.window_keys_W[places_C],
    )
    return features, part.labels.window_N[rows_R]
