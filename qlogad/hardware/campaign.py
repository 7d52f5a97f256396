"""Campaigns: selected windows of a trained detector, scored on a device by rerunning the forward pass until every answer has arrived.

    submit ──► campaign (what to run) ──► round 1 ──► Pending             results/<name>/hardware.jsonl
    collect ────────────────────────────► round 1, replayed ──► round 2 ──► ... ──► scores
    replay ─────────────────────────────► recorded answers only, no device is contacted

Closed loop: each round's readouts feed the next. The whole pass is repeated, since noise feeds back; repetitions run concurrently.
Open loop: the angles of the exact pass are sent at once, in one round, and expectation values are compared. In both modes every round
includes the same reference rows. A finished campaign needs neither network nor account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from qlogad import documents
from qlogad.arrays import Bools, Floats, Ints
from qlogad.backend.backend import Backend
from qlogad.backend.ledger import Clock, Ledger, LedgerFile, Recorded
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import service_of
from qlogad.backend.target import Answer, Kind, Target
from qlogad.detect.threshold import Threshold
from qlogad.errors import BackendError, InputError, Pending, QlogadError, ResultError, counted, one_line
from qlogad.features.features import Features, Labels
from qlogad.hardware.forecast import (
    REFERENCES,
    Call,
    Forecast,
    Mode,
    check_limits,
    exact_means,
    forecast,
    reference_angles,
    rehearse,
    target_of,
)
from qlogad.hardware.windows import WINDOWS, TrainedCell, calibrating, chosen, exact_detector, kept, margins, taken, trained

__all__ = [
    "Asked",
    "Collected",
    "Heard",
    "Interleaved",
    "Repetition",
    "Spent",
    "collect",
    "ledger_of",
    "not_begun",
    "replay",
    "submit",
    "submit_all",
]

MAX_REPEATS = 100
SECONDS = "device seconds"  # key in an answer's provenance: the device time reported by its service


@dataclass(frozen=True)
class Asked:
    """The settings of a campaign; equal settings are one campaign, whose `repeats` may be raised later.

    Args:
        contender: name of the contender whose detector is run.
        seed: of its training.
        cut: of the run.
        cell: the identity of the detector's cell.
        to: the backend, with its options.
        windows: number of windows.
        choice: the seed they were chosen with.
        mode: open or closed loop.
        references: reference rows in each round.
        repeats: how often the whole pass is run.
        label: separates repeated campaigns with the same settings.
        validation: windows that each run scores too, to fix a threshold on; 0: the clean threshold only.
    """

    contender: str
    seed: int
    cut: str
    cell: str
    to: str
    windows: int
    choice: int
    mode: Mode
    references: int
    repeats: int
    label: str = ""
    validation: int = 0

    def __post_init__(self) -> None:
        documents.enforce(self)
        if not 1 <= self.repeats <= MAX_REPEATS:
            raise InputError(f"a campaign is repeated 1 to {MAX_REPEATS} times, got {self.repeats}")

    def __str__(self) -> str:
        """The campaign's name, used as the prefix of its calls in the ledger."""
        size = f"{counted(self.windows, 'window')} of choice {self.choice}, {counted(self.references, 'reference')}, {self.mode}"
        label = f", {self.label}" if self.label else ""
        size += f", threshold on {counted(self.validation, 'validation window')}" if self.validation else ""
        return f"{self.contender}, seed {self.seed}, cut {self.cut}, {self.cell} on {self.to}: {size}{label}"

    def scope(self, run: int, layer: int = 0) -> str:
        """The ledger scope of one repetition's calls; layers after the first have their own: in open loop the layers of
        circuits, in a closed loop the validation windows (as layer 1)."""
        return f"{self}, run {run}" + (f", layer {layer}" if layer else "")


@dataclass(frozen=True, eq=False)
class Heard:
    """The answers of a target to M rows of angles.

    Args:
        step_M: the round of a closed loop that runs each row, from 0; in open loop, the first round that would.
        error_MK: standard errors of the mean; None if nothing was sampled.
    """

    lifted: Lifted
    angles_MA: Floats
    step_M: Ints
    mean_MK: Floats
    error_MK: Floats | None

    @cached_property
    def exact_MK(self) -> Floats:
        """The readouts without noise and shots, at the same angles."""
        return exact_means(self.lifted, self.angles_MA)


@dataclass(frozen=True, eq=False)
class Repetition:
    """One finished repetition of a campaign, or of one layer of circuits in open loop.

    Args:
        number: of the repetition, from 0.
        scores_N: of each row of windows; None in open loop.
        heard: the answers, call by call.
        references: the same for the reference rows.
        threshold: in a run of validation windows, the threshold fixed on their scores.
    """

    number: int
    scores_N: Floats | None
    heard: tuple[Heard, ...]
    references: tuple[Heard, ...]
    threshold: Threshold | None = None


@dataclass(frozen=True)
class Spent:
    """What the answers so far used, as reported by the services."""

    jobs: int
    executions: int
    shots: int
    seconds: float | None  # of the device; None if not reported
    told: Mapping[str, str]  # other provenance of the answers: calibration, depth, mitigation, ...


@dataclass(frozen=True, eq=False)
class Collected:
    """The results of a campaign so far.

    Args:
        asked: the settings.
        forecast: the forecast for all runs together.
        kind: the kind of its numbers, such as exact or sampled.
        device: whether hardware answered.
        stopped: why runs have not finished, one line each.
        waits: whether some runs wait for jobs and nothing else is wrong.
        features: of the windows, N rows.
        label_N: of each row.
        exact_N: scores without noise and shots.
        margin_N: exact scores minus the clean threshold.
        threshold: the clean threshold.
        runs: the finished runs.
        spent: resources used by the answers so far.
        recalibrated: run number -> the threshold fixed on its validation windows.
    """

    asked: Asked
    forecast: Forecast
    kind: Kind
    device: bool
    stopped: tuple[str, ...]
    waits: bool
    features: Features
    label_N: Ints
    exact_N: Floats
    margin_N: Floats
    threshold: Threshold
    runs: tuple[Repetition, ...]
    spent: Spent
    recalibrated: Mapping[int, Threshold]

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def state(self) -> str:
        """One of done, waiting, stopped."""
        return "done" if not self.stopped else "waiting" if self.waits else "stopped"

    @cached_property
    def scores_RN(self) -> Floats:
        """Scores of the finished runs of a closed loop; no rows in open loop."""
        found = [run.scores_N for run in self.runs if run.scores_N is not None]
        return np.array(found).reshape(len(found), len(self.features))

    @cached_property
    def flips_RN(self) -> Bools:
        """Where the decision differs from that of the exact scores, (R, N)."""
        return np.asarray(self.threshold(self.scores_RN) != self.threshold(self.exact_N))

    def facts(self) -> dict[str, Any]:
        """The campaign as a row of plain data."""
        done = len(self.scores_RN) if self.asked.mode == "closed" else self.asked.repeats * (not self.stopped)
        row: dict[str, Any] = {**asdict(self.asked), "state": self.state, "runs": f"{done}/{self.asked.repeats}"}
        if len(self.scores_RN):
            row["agreement"] = round(1 - float(np.average(self.flips_RN.mean(axis=0), weights=self.features.weight_N)), 4)
            row["rows that ever flip"] = int(self.flips_RN.any(axis=0).sum())
        heard = [one for run in self.runs for one in run.heard]
        if heard:
            off = np.concatenate([np.abs(one.mean_MK - one.exact_MK).ravel() for one in heard])
            row["mean error of an expectation"] = round(float(off.mean()), 5)
            row["largest"] = round(float(off.max()), 5)
        return row


def ledger_of(result: Path) -> Path:
    """The file of a run's ledger."""
    return result / "hardware.jsonl"


class How(TypedDict, total=False):
    """Options of a campaign; see `submit_all`."""

    windows: int
    choice: int
    mode: Mode
    references: int
    repeats: int | None
    validation: int
    seed: int | None
    cut: str | None
    label: str
    max_seconds: float | None
    max_cost: float | None
    clock: Clock | None


def submit(result: Path, contender: str, to: str, **how: Unpack[How]) -> Collected:
    """`submit_all` to one backend."""
    return submit_all(result, contender, [to], **how)[0]


def submit_all(
    result: Path,
    contender: str,
    to: Sequence[str],
    *,
    windows: int = WINDOWS,
    choice: int = 0,
    mode: Mode = "closed",
    references: int = REFERENCES,
    repeats: int | None = None,
    validation: int = 0,
    seed: int | None = None,
    cut: str | None = None,
    label: str = "",
    max_seconds: float | None = None,
    max_cost: float | None = None,
    clock: Clock | None = None,
) -> list[Collected]:
    """Forecast and record campaigns, then advance each as far as possible without waiting; calling again later continues.

    All are forecast and recorded before the first backend is contacted, so that `collect` knows each.

    Args:
        result: the folder of a finished run.
        contender: name of the contender whose detector is run.
        to: backends, such as "ibm:fake_torino,shots=1024".
        windows: how many test windows, see `choose`; equal ones run once.
        choice: the seed they are chosen with.
        mode: open or closed loop.
        references: reference rows in each round.
        repeats: how often the whole pass is run; None: 5 times for a sampled closed loop, else once.
        validation: windows that each run scores too, to fix a second threshold beside the clean one; 0: none.
        seed: of the training; None: the first.
        cut: of the run; None: the first.
        label: separates repeated campaigns with the same settings.
        max_seconds: refuse a run that may take more device time.
        max_cost: refuse a run that may cost more US dollars.
        clock: how long to wait for jobs; by default not at all.

    Raises:
        InputError: the forecast exceeds a limit, or the detector runs no circuits.
        UnknownName: there is no such contender, seed or cut.
        ResultError: there is no finished run, or another process is writing to its ledger.
        BackendError: there is no such backend, or it cannot run the circuits.
    """
    found = trained(result, contender, seed=seed, cut=cut)
    detector, places_C, features = chosen(found, windows, choice=choice)
    held = calibrating(found, detector, validation, choice=choice)[0] if validation else None
    planned: dict[Asked, Forecast] = {}
    for each in to:
        one = forecast(detector, features, each, mode=mode, references=references)
        one = one if held is None else one.beside(forecast(detector, held, each, references=references))
        count, cell = one.passes if repeats is None else repeats, found.folder.parent.name
        size = len(places_C), choice, mode, references, count, label, one.validation
        check_limits(one.times(count), max_seconds=max_seconds, max_cost=max_cost)
        planned[Asked(contender, found.seed, found.cut, cell, each, *size)] = one
    with LedgerFile(ledger_of(result)) as file:
        for asked, one in planned.items():
            known = file.campaigns.get(str(asked))
            if known is None or known["asked"]["repeats"] < asked.repeats:
                places = known["places"] if known else places_C.tolist()
                time = (clock or Clock()).now()
                file.append("campaign", name=str(asked), asked=asdict(asked), places=places, plan=asdict(one), time=time)
        return [_Campaign(file, asked, found, live=True, clock=clock, again=False).collected() for asked in planned]


def not_begun(result: Path, skipped: Mapping[str, str]) -> list[dict[str, Any]]:
    """The campaigns of a run's ledger that could not be continued, as rows of plain data."""
    asked = [entry["asked"] for name, entry in LedgerFile(ledger_of(result), write=False).campaigns.items() if name in skipped]
    return [{**one, "state": "stopped", "runs": f"0/{one.get('repeats')}"} for one in asked]


def collect(result: Path, *, clock: Clock | None = None, again: bool = False) -> tuple[list[Collected], dict[str, str]]:
    """Advance every campaign of a run's ledger as far as possible without waiting; also returns, by name, why others could not be.

    Args:
        result: the folder of the run.
        clock: how long to wait for jobs; by default not at all.
        again: resubmit jobs that were cancelled or failed, which may be charged again.

    Raises:
        ResultError: nothing was submitted, or another process is writing to the ledger.
    """
    LedgerFile(ledger_of(result), write=False)  # raises if there is none, so that no empty ledger is created
    with LedgerFile(ledger_of(result)) as file:
        return _all(result, file, live=True, clock=clock, again=again)


def replay(result: Path) -> tuple[list[Collected], dict[str, str]]:
    """The recorded results of every campaign of a run's ledger, contacting no device; and, by name, why others cannot be replayed.

    Raises:
        ResultError: nothing was submitted.
    """
    return _all(result, LedgerFile(ledger_of(result), write=False), live=False, clock=None, again=False)


def _all(result: Path, file: LedgerFile, *, live: bool, clock: Clock | None, again: bool) -> tuple[list[Collected], dict[str, str]]:
    found: list[Collected] = []
    skipped: dict[str, str] = {}
    for name, entry in list(file.campaigns.items()):
        try:
            asked = documents.from_mapping(Asked, entry["asked"], f"{file.path}: campaign '{one_line(name, 60)}'", strict=True)
            if str(asked) != name:
                raise ResultError(f"{file.path} holds a campaign under another campaign's name; restore the file from a copy")
            detector = kept(result, asked.contender, asked.seed, asked.cut, asked.cell)
            found.append(_Campaign(file, asked, detector, live=live, clock=clock, again=again).collected())
        except QlogadError as error:
            skipped[name] = str(error)
    return found, skipped


# ---------------------------------------------------------------- one campaign


class _Recording(SampledBackend, Backend):
    name = "recording"


class Interleaved(Target):
    """A target that inserts reference rows into every call to another target, and records the answers.

    Args:
        target: the target to call.
        count: number of reference rows.
        name: prefix of their sample names, before the call and their number.
    """

    def __init__(self, target: Target, count: int, name: str) -> None:
        self.name, self.abilities, self.shots, self.noise = target.name, target.abilities, target.shots, target.noise
        self._target, self._count, self._named = target, count, name
        self.heard: list[Heard] = []
        self.references: list[Heard] = []

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        step, total = len(self.heard), len(rows) + self._count
        apart_R = (2 * np.arange(self._count) + 1) * total // max(2 * self._count, 1)  # spread evenly, so that every job has some
        own = np.ones(total, dtype=np.bool_)
        own[apart_R] = False
        all_TA, names = np.empty((total, angles_MA.shape[1])), np.empty(total, dtype=object)
        all_TA[own], all_TA[~own] = angles_MA, reference_angles(lifted, self._count)
        names[own], names[~own] = rows, [f"{self._named}/call {step}/reference {number}" for number in range(self._count)]
        answer = self._target.evaluate(lifted, all_TA, rows=names.tolist())
        for place, kept_T in ((self.heard, own), (self.references, ~own)):
            error_MK = None if answer.error_MK is None else answer.error_MK[kept_T]
            place.append(Heard(lifted, all_TA[kept_T], np.full(int(kept_T.sum()), step), answer.mean_MK[kept_T], error_MK))
        return replace(answer, mean_MK=answer.mean_MK[own], error_MK=self.heard[-1].error_MK)


@dataclass(frozen=True, eq=False)
class _Scores:
    """A pass of the test windows through the detector."""

    asked: Asked
    folder: Path
    features: Features

    def __call__(self, target: Target, run: int) -> Repetition:
        detector = exact_detector(self.folder)
        heard = Interleaved(target, self.asked.references, f"{self.asked.seed}/run {run}")
        for layer in detector.circuits():
            layer.backend, layer.key = _Recording(heard), layer.key.at("run", run)  # independent samples for every run
        scores_N = detector.anomaly_score(self.features)
        return Repetition(run, scores_N, tuple(heard.heard), tuple(heard.references))


@dataclass(frozen=True, eq=False)
class _Calibration:
    """A pass of validation windows, which fixes a threshold on them by the detector's rule."""

    asked: Asked
    folder: Path
    features: Features
    labels: Labels | None

    def __call__(self, target: Target, run: int) -> Repetition:
        detector = exact_detector(self.folder)
        heard = Interleaved(target, self.asked.references, f"{self.asked.seed}/run {run}/validation")
        for layer in detector.circuits():
            layer.backend, layer.key = _Recording(heard), layer.key.at("run", run, "validation")
        found = detector.threshold_on(self.features, self.labels)
        return Repetition(run, None, tuple(heard.heard), tuple(heard.references), found)


@dataclass(frozen=True, eq=False)
class _Expectations:
    """All angles of an exact pass, sent in one call."""

    asked: Asked
    call: Call

    def __call__(self, target: Target, run: int) -> Repetition:
        seed, angles_MA = self.asked.seed, self.call.angles_MA
        rows = [f"{seed}/run {run}/{hashlib.sha256(angles_A.tobytes()).hexdigest()[:16]}" for angles_A in angles_MA]
        heard = Interleaved(target, self.asked.references, f"{seed}/run {run}")
        heard.evaluate(self.call.lifted, angles_MA, rows=rows)
        return Repetition(run, None, (replace(heard.heard[0], step_M=self.call.step_M),), tuple(heard.references))


@dataclass(frozen=True, eq=False)
class _Campaign:
    """A campaign of a ledger, with its detector."""

    file: LedgerFile
    asked: Asked
    found: TrainedCell
    live: bool  # whether calls without a recorded answer are sent
    clock: Clock | None
    again: bool

    @cached_property
    def target(self) -> Target:
        """The target of live runs; opened when the first of them needs it."""
        return target_of(self.asked.to)

    @cached_property
    def like(self) -> Target:
        """A target with the campaign's properties; the real one is opened only if nothing is recorded yet."""
        scope = self.asked.scope(0)
        return self.target if self.live and scope not in self.file.targets else Recorded(self.file, scope)

    def collected(self) -> Collected:
        """Advance every run as far as possible; a run that waits or fails does not stop the others."""
        entry = self.file.campaigns[str(self.asked)]
        places_C, windows = np.array(entry["places"], dtype=np.int64), len(self.found.test.features.row_W)
        if (places_C >= windows).any():
            raise ResultError(f"{self.file.path} asks for window {places_C.max()} of {windows}; restore it from a copy")
        features, label_N = taken(self.found.test, places_C)
        detector = exact_detector(self.found.folder)
        if self.asked.mode == "closed":
            works: list[Callable[[Target, int], Repetition]] = [_Scores(self.asked, self.found.folder, features)]
            if self.asked.validation:
                held = calibrating(self.found, detector, self.asked.validation, choice=self.asked.choice)
                works.append(_Calibration(self.asked, self.found.folder, *held))
            runs, stopped = self._run(works)
        else:
            calls = [call for rehearsal in rehearse(detector, features, self.like) for call in rehearsal.together()]
            runs, stopped = self._run([_Expectations(self.asked, call) for call in calls])
        exact_N = detector.anomaly_score(features)
        margin_N = margins(detector, exact_N)
        assert detector.threshold_ is not None
        planned = documents.from_mapping(Forecast, entry["plan"], f"{self.file.path}: plan", strict=True)
        return Collected(
            self.asked,
            planned.times(self.asked.repeats),
            self.like.kind,
            self.like.abilities.device,
            tuple(map(str, stopped)),
            all(isinstance(one, Pending) for one in stopped),
            features,
            label_N,
            exact_N,
            margin_N,
            detector.threshold_,
            tuple(run for run in runs if run.threshold is None),
            self._spent(),
            {run.number: run.threshold for run in runs if run.threshold is not None},
        )

    def _run(self, works: Sequence[Callable[[Target, int], Repetition]]) -> tuple[list[Repetition], list[QlogadError]]:
        """The results of the runs that finished, and the errors of the others; a failing run does not stop the rest."""
        given: list[Repetition] = []
        stopped: list[QlogadError] = []
        for run in range(self.asked.repeats):
            for layer, work in enumerate(works):
                try:
                    given.append(self._one(work, run, self.asked.scope(run, layer)))
                except QlogadError as error:
                    stopped.append(error)
        return given, stopped

    def _one(self, work: Callable[[Target, int], Repetition], run: int, scope: str) -> Repetition:
        """Replay the recorded answers, then continue live."""
        if not self.live:
            return work(Recorded(self.file, scope), run)
        if scope in self.file.targets:
            with suppress(Pending, BackendError):
                return work(Recorded(self.file, scope), run)
        service = service_of(self.target)
        return work(Ledger(self.file, scope, self.target, service, clock=self.clock, again=self.again), run)

    def _spent(self) -> Spent:
        firsts = tuple(self.asked.scope(run) for run in range(self.asked.repeats))
        layers = tuple(f"{first}, layer " for first in firsts)
        scopes = [scope for scope in self.file.targets if scope in firsts or scope.startswith(layers)]
        answers = [answer for scope in scopes for answer in self.file.answered(scope)]
        said = [answer["provenance"] for answer in answers]
        seconds = [one[SECONDS] for one in said if SECONDS in one]
        executions = sum(answer["executions"] for answer in answers)
        names = dict.fromkeys(name for one in said for name in one if name != SECONDS)
        return Spent(
            sum(answer["jobs"] for answer in answers),
            executions,
            executions * (self.like.shots or 0),
            sum(seconds) if seconds else None,
            {name: "; ".join(dict.fromkeys(str(one[name]) for one in said if name in one)) for name in names},
        )
