"""The trials of a study as a queue of work that several processes share."""

from __future__ import annotations

import functools
import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from qlogad.documents import digest
from qlogad.jobs.address import is_path
from qlogad.jobs.attempts import attempts, index_of, over, said
from qlogad.jobs.storage import Timing

__all__ = ["Job"]

_UNOWNED = 5.0  # seconds between the taking of a trial and its owner's name, at most


class Job(Protocol):
    """What is done with a trial, in a worker process; it is pickled.

    It sets no user attribute before it has all parameters it may ask for: from then on they belong to the next attempt too. A
    QlogadError, or any other exception, makes the trial FAIL with its text; optuna.TrialPruned is allowed.
    """

    def __call__(self, trial: Trial) -> float | Sequence[float]:
        """The value of each of the study's directions."""


@dataclass(frozen=True)
class Process:
    """A process that can be told from all others: of which host, and when it was started, for numbers are used again."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Process:
        """This process."""
        return cls(host(), os.getpid(), started(os.getpid()) or "")

    def alive(self) -> bool:
        """Whether it lives; it is one of this host."""
        return started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.started}"


@functools.cache
def host() -> str:
    """The host's name, and what tells apart containers and boots of the same name."""
    inside = []
    with suppress(OSError):
        inside = [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return f"{platform.node()}-{digest(*inside)[:6]}"


def started(pid: int) -> str | None:
    """When a process of this host was started, in ticks since its boot; None where there is none, or only what is left of it."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if platform.system() == "Linux":
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        return ""
    return None if state in "ZX" else fields[18]


@dataclass(frozen=True)
class Orders:
    """What a worker is told."""

    place: str = field(repr=False)  # a password may be in it
    study: str
    job: Job
    trials: int | None
    sampler: Callable[[int], BaseSampler]
    pruner: BasePruner | None
    deadline: float | None  # of the clock that all processes of a host share
    timing: Timing
    driver: Process

    @property
    def signs(self) -> Path | None:
        """The folder of signs of life beside a journal; a database keeps heartbeats of its own."""
        return Path(self.place + ".alive") if is_path(self.place) else None

    def forget(self, worker: Process) -> None:
        """Remove the sign of life of a worker that is no more."""
        if self.signs is not None:
            (self.signs / str(worker)).unlink(missing_ok=True)


@dataclass(frozen=True)
class Left:
    """How far a study is."""

    done: bool
    free: int  # logical trials that somebody could begin now
    mine: int  # that workers of this driver run


class Queue:
    """The trials of a study as a queue of work."""

    def __init__(self, orders: Orders, storage: BaseStorage) -> None:
        self.orders = orders
        self.storage = storage
        self.study = optuna.load_study(study_name=orders.study, storage=storage, pruner=orders.pruner)
        self._id = storage.get_study_id_from_name(orders.study)
        self._seen: dict[object, tuple[float | None, float]] = {}  # whose sign of life -> the sign, and when it was first seen
        self._looked = self._steady = (
            time.monotonic()
        )  # when the study was looked at last; since when that has gone on without a gap

    def chains(self) -> dict[int, list[FrozenTrial]]:
        """The attempts of the logical trials that are wanted."""
        return self._wanted(self.storage.get_all_trials(self._id, deepcopy=False))

    def _wanted(self, trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
        count = self.orders.trials
        return {index: chain for index, chain in attempts(trials).items() if count is None or index < count}

    def left(self, chains: Mapping[int, Sequence[FrozenTrial]]) -> Left:
        """How far the study is."""
        lasts = [chain[-1] for chain in chains.values()]
        new = 0 if self.orders.trials is None else self.orders.trials - len(chains)
        mine = sum(t.state is TrialState.RUNNING and _owners(t, "driver") == self.orders.driver for t in lasts)
        return Left(not new and all(map(over, lasts)), new + sum(t.state is TrialState.WAITING for t in lasts), mine)

    def claim(self, worker: Process) -> Trial | None:
        """A trial nobody else has: one that waits, else a new one; None where there is neither."""
        chains = self.chains()
        for index, chain in sorted(chains.items()):
            if chain[-1].state is TrialState.WAITING and self._take(chain[-1]._trial_id):
                return self._begin(chain[-1]._trial_id, index, worker)
        if self.orders.trials is not None and len(chains) < self.orders.trials:
            made = self.storage.create_new_trial(self._id)
            for index, chain in self.chains().items():
                if chain[-1]._trial_id == made:
                    self.storage.set_trial_user_attr(made, "index", index)
                    return self._begin(made, index, worker)
            self.storage.set_trial_user_attr(made, "surplus", "others began the last trials at the same time")
            self.storage.set_trial_state_values(made, TrialState.FAIL)
        return None

    def _take(self, trial_id: int) -> bool:
        try:
            return self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _begin(self, trial_id: int, index: int, worker: Process) -> Trial:
        if self.orders.signs is None:
            self.storage.record_heartbeat(trial_id)  # type: ignore[attr-defined]
        self.storage.set_trial_user_attr(trial_id, "owner", asdict(worker) | {"driver": asdict(self.orders.driver)})
        self.study.sampler = self.orders.sampler(index)
        return Trial(self.study, trial_id)

    def tell(self, trial: Trial, state: TrialState, values: Sequence[float] | None, error: str | None) -> None:
        """Record how a trial ended; where it was taken for dead meanwhile, its next attempt has ended so, unless that runs already."""
        try:
            if error is not None:
                self.storage.set_trial_user_attr(trial._trial_id, "error", error)
            self.study.tell(trial, values, state)
        except (UpdateFinishedTrialError, ValueError):
            stored = self.storage.get_trial(trial._trial_id)
            if not stored.state.is_finished():
                raise
            last = self.chains()[index_of(stored)][-1]
            if state is not TrialState.FAIL and last.state is TrialState.WAITING and self._take(last._trial_id):
                for name, kind in stored.distributions.items():
                    if name not in last.params:
                        self.storage.set_trial_param(last._trial_id, name, kind.to_internal_repr(stored.params[name]), kind)
                for key, value in said(stored).items():
                    self.storage.set_trial_user_attr(last._trial_id, key, value)
                for key, value in stored.system_attrs.items():
                    if key.startswith("constraints"):  # of optuna's Trial.set_constraint
                        self.storage.set_trial_system_attr(last._trial_id, key, value)
                self.storage.set_trial_state_values(last._trial_id, state, values)

    def reap(self, fallen: Mapping[Process, str], *, ended: bool = False) -> dict[int, list[FrozenTrial]]:
        """Mark the attempts whose process is gone, and enqueue the next ones; the attempts as they are then.

        Args:
            fallen: how workers of this driver died.
            ended: this driver ends, and with it what its workers run.
        """
        now, grace = time.monotonic(), self.orders.timing.grace
        if (
            now - self._looked > grace / 2
        ):  # the storage was away, or this process stopped: others had no chance to show that they live
            self._steady = now
            self._seen.clear()
        self._looked = now
        if now - self._steady > grace:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(self.study)  # by heartbeats, where the storage has them
        trials = self.storage.get_all_trials(self._id, deepcopy=False)
        counting = {trial.number for chain in attempts(trials).values() for trial in chain}
        changed = False
        for trial in trials:
            if trial.state is TrialState.RUNNING:
                marks = self._death(trial, fallen, ended)
            elif trial.state is TrialState.WAITING and trial.number not in counting:
                marks = {"surplus": "enqueued twice"}
            else:
                continue
            for key, text in marks.items():
                self._fail(trial, key, text)
                changed = True
        for index, chain in (self.chains() if changed else self._wanted(trials)).items():
            last = chain[-1]
            if last.state is TrialState.FAIL and not over(last):
                self._again(last, index)
                changed = True
        return self.chains() if changed else self._wanted(trials)

    def _again(self, last: FrozenTrial, index: int) -> None:
        """Enqueue the attempt that follows an interrupted one: its index, its parameters if it had them all, and what was said about it."""
        kept = said(last)
        retries = last.user_attrs.get("retries", 0) + ("ended" not in last.user_attrs)
        self.study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=last.params if kept else {},
                distributions=last.distributions if kept else {},
                user_attrs=kept | {"index": index, "follows": last.number, "retries": retries},
                system_attrs={"fixed_params": last.system_attrs.get("fixed_params", {})},
            )
        )

    def _fail(self, trial: FrozenTrial, key: str, text: str) -> None:
        with suppress(UpdateFinishedTrialError):  # it lived, or another host was faster
            self.storage.set_trial_user_attr(trial._trial_id, key, text)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _death(self, trial: FrozenTrial, fallen: Mapping[Process, str], ended: bool) -> dict[str, str]:
        """Whether the process of a running attempt is gone: nothing, or why, under the key that says whether it counts as a retry."""
        worker, driver = _owners(trial), _owners(trial, "driver")
        if worker is None or driver is None:
            gone = self._silent(trial.number, None) > _UNOWNED
            return {"ended": "its worker died when it took the trial"} if gone else {}
        if worker.host != host():
            grace = self.orders.timing.grace
            if self.orders.signs is None or self._silent(worker, _sign(self.orders.signs / str(worker))) <= grace:
                return {}
            return {"interrupted": f"no sign of life from {worker.host} for {grace} seconds"}
        if driver == self.orders.driver and ended:
            return {"ended": "the run was stopped"}
        if worker.alive() or (driver != self.orders.driver and driver.alive()):
            return {}
        if driver == self.orders.driver:
            return {"interrupted": fallen[worker]} if worker in fallen else {}
        return {"ended": f"the run that worked on it ended (process {driver.pid} of {driver.host})"}

    def _silent(self, who: object, sign: float | None) -> float:
        """For how many seconds somebody's sign of life has not changed, by this host's clock alone."""
        now = time.monotonic()
        if self._seen.get(who, (object(),))[0] != sign:
            self._seen[who] = (sign, now)
        return now - self._seen[who][1]


def _owners(trial: FrozenTrial, which: str | None = None) -> Process | None:
    owner = trial.user_attrs.get("owner")
    found = owner[which] if owner and which else owner
    return Process(found["host"], found["pid"], found["started"]) if found else None


def _sign(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
