"""The trials of a study as a work queue shared by several processes."""

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

_UNOWNED = 5.0  # seconds: the longest time between claiming a trial and recording its owner


class Job(Protocol):
    """What a worker process runs for each trial; it is pickled.

    It must set no user attribute before it has suggested all its parameters: from then on they are passed to the next attempt.
    Any exception makes the trial FAIL with its text; optuna.TrialPruned is allowed.
    """

    def __call__(self, trial: Trial) -> float | Sequence[float]:
        """Run a trial; returns one value for each direction of the study."""


@dataclass(frozen=True)
class Process:
    """A process, identified by host, process id and start time, because process ids are reused."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Process:
        """The current process."""
        return cls(host(), os.getpid(), started(os.getpid()) or "")

    def alive(self) -> bool:
        """Whether the process, which must be on this host, is running."""
        return started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.started}"


@functools.cache
def host() -> str:
    """The host's name, with what distinguishes containers and boots of the same name."""
    inside = []
    with suppress(OSError):
        inside = [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return f"{platform.node()}-{digest(*inside)[:6]}"


def started(pid: int) -> str | None:
    """The start time of a process on this host, in ticks since boot; None if it does not exist or is a zombie."""
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
    """The instructions for a worker."""

    place: str = field(repr=False)  # may contain a password
    study: str
    job: Job
    trials: int | None
    sampler: Callable[[int], BaseSampler]
    pruner: BasePruner | None
    deadline: float | None  # on the monotonic clock shared by all processes of a host
    timing: Timing
    driver: Process

    @property
    def signs(self) -> Path | None:
        """The folder of heartbeat files beside a journal; None for a database, which has its own heartbeats."""
        return Path(self.place + ".alive") if is_path(self.place) else None

    def forget(self, worker: Process) -> None:
        """Remove the heartbeat file of a worker that has ended."""
        if self.signs is not None:
            (self.signs / str(worker)).unlink(missing_ok=True)


@dataclass(frozen=True)
class Left:
    """How much work of a study is left."""

    done: bool
    free: int  # logical trials that can be claimed now
    mine: int  # logical trials running on workers of this driver


class Queue:
    """The trials of a study as a work queue."""

    def __init__(self, orders: Orders, storage: BaseStorage) -> None:
        self.orders = orders
        self.storage = storage
        self.study = optuna.load_study(study_name=orders.study, storage=storage, pruner=orders.pruner)
        self._id = storage.get_study_id_from_name(orders.study)
        self._seen: dict[object, tuple[float | None, float]] = {}  # owner -> its last heartbeat, and when it was first seen
        self._looked = self._steady = (
            time.monotonic()
        )  # when the study was last looked at; since when there was no gap between looks

    def chains(self) -> dict[int, list[FrozenTrial]]:
        """The attempts of each logical trial that is wanted, by index."""
        return self._wanted(self.storage.get_all_trials(self._id, deepcopy=False))

    def _wanted(self, trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
        count = self.orders.trials
        return {index: chain for index, chain in attempts(trials).items() if count is None or index < count}

    def left(self, chains: Mapping[int, Sequence[FrozenTrial]]) -> Left:
        """Count the work that is left."""
        lasts = [chain[-1] for chain in chains.values()]
        new = 0 if self.orders.trials is None else self.orders.trials - len(chains)
        mine = sum(t.state is TrialState.RUNNING and _owners(t, "driver") == self.orders.driver for t in lasts)
        return Left(not new and all(map(over, lasts)), new + sum(t.state is TrialState.WAITING for t in lasts), mine)

    def claim(self, worker: Process) -> Trial | None:
        """Claim a trial: a waiting one, else a new one; None if there is neither."""
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
            self.storage.set_trial_user_attr(made, "surplus", "others started the last trials at the same time")
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
        """Record how a trial ended. If it was taken for dead meanwhile, record that for its next attempt, unless that already runs."""
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
        """Mark attempts whose process is gone as failed and enqueue their successors; returns all attempts afterwards.

        Args:
            fallen: how workers of this driver died.
            ended: whether this driver is ending, and the trials of its workers with it.
        """
        now, grace = time.monotonic(), self.orders.timing.grace
        if (
            now - self._looked > grace / 2
        ):  # the storage was away, or this process was stopped: other workers could not show that they are alive
            self._steady = now
            self._seen.clear()
        self._looked = now
        if now - self._steady > grace:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(self.study)  # by heartbeat, if the storage has heartbeats
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
        """Enqueue the successor of an interrupted attempt: its index, its parameters if it had all of them, and its user attributes."""
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
        with suppress(UpdateFinishedTrialError):  # it was alive, or another host was faster
            self.storage.set_trial_user_attr(trial._trial_id, key, text)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _death(self, trial: FrozenTrial, fallen: Mapping[Process, str], ended: bool) -> dict[str, str]:
        """Whether the process of a running attempt is gone: {} or the reason, under a key that says whether it counts as a retry."""
        worker, driver = _owners(trial), _owners(trial, "driver")
        if worker is None or driver is None:
            gone = self._silent(trial.number, None) > _UNOWNED
            return {"ended": "its worker died as it claimed the trial"} if gone else {}
        if worker.host != host():
            grace = self.orders.timing.grace
            if self.orders.signs is None or self._silent(worker, _sign(self.orders.signs / str(worker))) <= grace:
                return {}
            return {"interrupted": f"no heartbeat from {worker.host} for {grace} seconds"}
        if driver == self.orders.driver and ended:
            return {"ended": "the run was stopped"}
        if worker.alive() or (driver != self.orders.driver and driver.alive()):
            return {}
        if driver == self.orders.driver:
            return {"interrupted": fallen[worker]} if worker in fallen else {}
        return {"ended": f"the run that worked on it ended (process {driver.pid} of {driver.host})"}

    def _silent(self, who: object, sign: float | None) -> float:
        """For how many seconds an owner's heartbeat has not changed, by this host's clock alone."""
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
