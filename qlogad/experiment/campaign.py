"""Campaigns: chosen windows of a trained detector scored on a device, by running the forward pass again until every answer is there.

    submit ──► campaign (what was asked) ──► round 1 ──► Pending          results/<name>/hardware.jsonl
    collect ─────────────────────────────► round 1, replayed ──► round 2 ──► ... ──► scores

Closed loop: each round's readouts feed the next; the whole pass is repeated, as noise feeds back, and the repetitions wait side by side.
Open loop: the angles of the exact pass go at once, in one round, and expectation values are compared. A finished campaign needs
neither network nor account: collecting it replays the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qlogad.backend.backend import Backend
from qlogad.backend.ledger import Clock, Journal, Ledger, Recorded
from qlogad.backend.sampled import Floats, Lifted, SampledBackend, Target
from qlogad.backend.service import hire
from qlogad.detect.detector import Detector
from qlogad.errors import BackendError, InputError, Pending, QlogadError, ResultError, counted
from qlogad.experiment.hardware import Mode, Plan, Trained, check_limits, choose, exact_means, plan, rehearse, target_of, trained
from qlogad.features.features import Features

__all__ = ["Asked", "Collected", "Comparison", "collect", "ledger_of", "submit"]

T = TypeVar("T")

REPEATS = {"closed": 5, "open": 1}
MAX_REPEATS = 100


@dataclass(frozen=True)
class Asked:
    """What a campaign asks; equal questions are one campaign.

    Args:
        contender: whose detector.
        seed: of its training.
        cut: of the run.
        cell: the identity of the detector's cell.
        to: the backend, with its options.
        windows: how many.
        mode: open or closed loop.
        repeats: how often the whole pass is run.
        label: tells apart campaigns that ask the same, on two days say.
    """

    contender: str
    seed: int
    cut: str
    cell: str
    to: str
    windows: int
    mode: Mode
    repeats: int
    label: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.repeats <= MAX_REPEATS:
            raise InputError(f"a campaign is repeated 1 to {MAX_REPEATS} times, got {self.repeats}")

    def __str__(self) -> str:
        """Its name, which its calls go by in the ledger."""
        size = f"{counted(self.windows, 'window')}, {self.mode}{f', {self.label}' if self.label else ''}"
        return f"{self.contender}, seed {self.seed}, cut {self.cut}, {self.cell} on {self.to}: {size}"

    def scope(self, repeat: int) -> str:
        """What the calls of one repetition go by."""
        return f"{self}, run {repeat}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Readouts of a device against exact ones at the same angles."""

    lifted: Lifted
    angles_MA: Floats
    exact_MK: Floats
    mean_MK: Floats
    error_MK: Floats | None  # standard errors of the mean


@dataclass(frozen=True, eq=False)
class Collected:
    """What is there of a campaign.

    Args:
        asked: the question.
        plan: what it was to take; None: it is known only at submission.
        stopped: why runs have not finished, a line for each.
        waits: whether some of them wait for jobs, and nothing else is wrong.
        label_N: of each row of windows.
        weight_N: how many windows it stands for.
        exact_N: scores without noise and shots.
        threshold: a score above it is an alarm.
        scores_RN: scores of the finished runs of a closed loop, by repetition; none in open loop.
        comparisons: of the finished runs of an open loop.
    """

    asked: Asked
    plan: Plan | None
    stopped: tuple[str, ...]
    waits: bool
    label_N: NDArray[np.int64]
    weight_N: Floats
    exact_N: Floats
    threshold: float
    scores_RN: Floats
    comparisons: tuple[Comparison, ...]

    @property
    def state(self) -> str:
        """done, waiting, or stopped."""
        return "done" if not self.stopped else "waiting" if self.waits else "stopped"

    def facts(self) -> dict[str, Any]:
        """The campaign in a row of plain data."""
        done = len(self.scores_RN) if self.asked.mode == "closed" else self.asked.repeats * (not self.stopped)
        row: dict[str, Any] = {**asdict(self.asked), "state": self.state, "runs": f"{done}/{self.asked.repeats}"}
        if len(self.scores_RN):
            flips_RN = (self.scores_RN > self.threshold) != (self.exact_N > self.threshold)
            row["agreement"] = round(1 - float(np.average(flips_RN.mean(axis=0), weights=self.weight_N)), 4)
            row["rows that ever flip"] = int(flips_RN.any(axis=0).sum())
        if self.comparisons:
            off = np.concatenate([np.abs(one.mean_MK - one.exact_MK).ravel() for one in self.comparisons])
            row["mean error of an expectation"] = round(float(off.mean()), 5)
            row["largest"] = round(float(off.max()), 5)
        return row


def ledger_of(result: Path) -> Path:
    """The file of a run's ledger."""
    return result / "hardware.jsonl"


def submit(
    result: Path,
    contender: str,
    to: str,
    *,
    windows: int = 200,
    mode: Mode = "closed",
    repeats: int | None = None,
    seed: int | None = None,
    cut: str | None = None,
    label: str = "",
    max_seconds: float | None = None,
    max_cost: float | None = None,
    clock: Clock | None = None,
) -> Collected:
    """Plan a campaign, write it down, and run it as far as it goes without waiting; the same call later goes on from there.

    Args:
        result: the folder of a finished run.
        contender: whose detector.
        to: a backend, "ibm:fake_torino,shots=1024" say.
        windows: how many test windows, half of them anomalies where there are enough; chosen by a fixed seed, equal ones run once.
        mode: open or closed loop.
        repeats: how often the whole pass is run; None: 5 times in closed loop, once in open loop.
        seed: of the training; None: the first.
        cut: of the run; None: the first.
        label: tells apart campaigns that ask the same.
        max_seconds: refuse a plan that may take more device time.
        max_cost: refuse a plan that may cost more US dollars.
        clock: how long to wait for jobs; by default not at all.

    Raises:
        InputError: the plan exceeds what was allowed, or the detector runs no circuits.
        UnknownName: there is no such contender, seed or cut.
        ResultError: there is no finished run, or another process writes to its ledger.
        BackendError: there is no such backend, or it cannot run the circuits.
    """
    found = trained(result, contender, seed=seed, cut=cut)
    cell = found.folder.parent.name
    asked = Asked(contender, found.seed, found.cut, cell, to, windows, mode, REPEATS[mode] if repeats is None else repeats, label)
    features, _ = choose(found.test, windows)
    planned = plan(Detector.load(found.folder), features, to, mode=mode).times(asked.repeats)
    check_limits(planned, max_seconds=max_seconds, max_cost=max_cost)
    with Journal(ledger_of(result)) as journal:
        if str(asked) not in journal.campaigns:
            journal.append("campaign", name=str(asked), asked=asdict(asked), time=(clock or Clock()).now())
        return _advance(journal, asked, found, planned, clock, again=False)


def collect(result: Path, *, clock: Clock | None = None, again: bool = False) -> Iterator[Collected]:
    """Every campaign of a run's ledger, run on as far as it goes without waiting.

    Args:
        result: the folder of the run.
        clock: how long to wait for jobs; by default not at all.
        again: submit anew the jobs that were cancelled or have failed, which may cost again.

    Raises:
        ResultError: nothing was submitted; the detector is not here, or was trained anew; another process writes to the ledger.
    """
    Journal(ledger_of(result), write=False)
    with Journal(ledger_of(result)) as journal:
        for record in list(journal.campaigns.values()):
            asked = Asked(**record["asked"])
            found = trained(result, asked.contender, seed=asked.seed, cut=asked.cut)
            if found.folder.parent.name != asked.cell:
                raise ResultError(f"'{asked.contender}' was trained anew since it went to {asked.to}; submit it anew")
            yield _advance(journal, asked, found, None, clock, again=again)


def _advance(
    journal: Journal, asked: Asked, found: Trained, planned: Plan | None, clock: Clock | None, *, again: bool
) -> Collected:
    """Every run of a campaign as far as it goes: a run that waits or fails does not keep the others from going on."""
    features, label_N = choose(found.test, asked.windows)
    detector = Detector.load(found.folder)
    assert detector.threshold_ is not None
    campaign = _Campaign(journal, asked, clock, again)
    if asked.mode == "closed":
        (scores, stopped), comparisons = campaign.run([_Scores(found.folder, features)]), list[Comparison]()
    else:
        calls = [call for rehearsal in rehearse(detector, features, campaign.stand_in) for call in rehearsal.together()]
        (comparisons, stopped), scores = campaign.run([_Expectations(asked.seed, *call) for call in calls]), list[Floats]()
    return Collected(
        asked,
        planned,
        tuple(map(str, stopped)),
        all(isinstance(one, Pending) for one in stopped),
        label_N,
        features.weight_N,
        detector.anomaly_score(features),
        detector.threshold_.value,
        np.array(scores).reshape(len(scores), len(features)),
        tuple(comparisons),
    )


class _Recording(SampledBackend, Backend):
    name = "recording"


@dataclass(frozen=True, eq=False)
class _Scores:
    """A pass through the detector: scores (N,)."""

    folder: Path
    features: Features

    def __call__(self, target: Target, run: int) -> Floats:
        detector = Detector.load(self.folder)
        for layer in detector.circuits():
            layer.backend, layer.key = _Recording(target), layer.key.at("run", run)  # other samples for every run
        return detector.anomaly_score(self.features)


@dataclass(frozen=True, eq=False)
class _Expectations:
    """All angles of an exact pass in one call."""

    seed: int
    lifted: Lifted
    angles_MA: Floats

    def __call__(self, target: Target, run: int) -> Comparison:
        rows = [f"{self.seed}/run {run}/{hashlib.sha256(angles_A.tobytes()).hexdigest()[:16]}" for angles_A in self.angles_MA]
        answer = target.evaluate(self.lifted, self.angles_MA, rows=rows)
        return Comparison(self.lifted, self.angles_MA, exact_means(self.lifted, self.angles_MA), answer.mean_MK, answer.error_MK)


@dataclass(frozen=True, eq=False)
class _Campaign:
    """What all runs of a campaign share."""

    journal: Journal
    asked: Asked
    clock: Clock | None
    again: bool

    @cached_property
    def target(self) -> Target:
        """Where live runs go; it is opened when the first of them needs it."""
        return target_of(self.asked.to)

    @property
    def stand_in(self) -> Target:
        """What the campaign's target is like, without opening it where it has been used."""
        scope = self.asked.scope(0)
        return Recorded(self.journal, scope) if scope in self.journal.targets else self.target

    def run(self, works: Sequence[Callable[[Target, int], T]]) -> tuple[list[T], list[QlogadError]]:
        """What the works of all runs gave, and why the others gave nothing; none keeps another from going on."""
        given: list[T] = []
        stopped: list[QlogadError] = []
        for run in range(self.asked.repeats):
            for work in works:
                try:
                    given.append(self._one(work, run))
                except (Pending, BackendError) as error:
                    stopped.append(error)
        return given, stopped

    def _one(self, work: Callable[[Target, int], T], run: int) -> T:
        """Replayed as far as that goes, then live."""
        scope = self.asked.scope(run)
        if scope in self.journal.targets:
            with suppress(Pending, BackendError):
                return work(Recorded(self.journal, scope), run)
        service = hire(self.target)
        return work(Ledger(self.journal, scope, self.target, service, clock=self.clock, again=self.again), run)
