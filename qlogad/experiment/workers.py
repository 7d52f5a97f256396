"""Worker processes on a study: N equal processes, on one host or many, take trials from one storage until nothing is left.

A logical trial has a number, its `index`, and one attempt or more: where the process of an attempt dies, the attempt is FAIL with a
cause, and another one of the same index and parameters is enqueued. Who is the next attempt is never decided twice: an attempt
names the one it follows, and of twins (two hosts saw the same death) the one with the lower number counts. So nothing has to happen
at once with anything else, and a process may be killed between any two of its acts. An attempt that died before its parameters were all
chosen leaves them to the next one's sampler: it begins as the first one did, so what it draws does not depend on when somebody died.
"""

from __future__ import annotations

import functools
import math
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal, Protocol

import optuna
from optuna.exceptions import ExperimentalWarning, TrialPruned, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from qlogad.documents import digest
from qlogad.errors import QlogadError, StorageError, one_line
from qlogad.experiment.address import is_path
from qlogad.experiment.storage import Timing, open_storage

__all__ = ["RETRIES", "Job", "attempts", "cause", "drive", "enqueue", "identity", "next_step", "over"]

Direction = Literal["minimize", "maximize"]

RETRIES = 2  # of a trial whose worker died under it; those that ended with the whole run do not count
_LOOK = 0.2  # seconds between two looks at the study, at least: looking must not take what thousands of short trials need
_UNOWNED = 5.0  # seconds between the taking of a trial and its owner's name, at most
_OURS = ("index", "follows", "retries", "owner", "error", "interrupted", "ended", "surplus")  # user attributes of an attempt


class Job(Protocol):
    """What is done with a trial, in a worker process; it is pickled.

    It sets no user attribute before it has all parameters it may ask for: from then on they belong to the next attempt too. A
    QlogadError, or any other exception, makes the trial FAIL with its text; optuna.TrialPruned is allowed.
    """

    def __call__(self, trial: Trial) -> float | Sequence[float]:
        """The value of each of the study's directions."""


def identity(trial: Trial | FrozenTrial) -> int:
    """The index of the logical trial an attempt belongs to: the same for every attempt."""
    return int(trial.user_attrs.get("index", trial.number))


def cause(trial: FrozenTrial) -> str | None:
    """Why an attempt failed, in one line; None where it did not."""
    if trial.state is not TrialState.FAIL:
        return None
    found = trial.user_attrs
    if "error" in found:
        return str(found["error"])
    last = (
        found.get("ended") or found.get("interrupted") or f"no sign of life from {found.get('owner', {}).get('host', 'its host')}"
    )
    times = found.get("retries", 0) + 1
    return f"interrupted: {last}" + (f" (attempt {times})" if times > 1 else "")


def next_step(why: str) -> str:
    """A cause with what to do about it: trying again helps where a worker was killed, and nowhere else.

    >>> next_step("loss is NaN")
    'loss is NaN; mend that, and the same command runs what is missing'
    """
    if why.startswith("interrupted"):
        return f"{why}; run the same command again, with fewer --workers if memory was short"
    return why if "again" in why else f"{why}; mend that, and the same command runs what is missing"


def attempts(trials: Iterable[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The attempts of every logical trial in their order, by index; the last one tells how it stands. Twins and surplus are left out.

    An attempt without an index is a new trial: its index is the smallest one that no attempt with a lower number has.
    """
    chains: dict[int, list[FrozenTrial]] = {}
    unused = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        found = trial.user_attrs
        if "surplus" in found:
            continue
        while unused in chains:
            unused += 1
        chain = chains.setdefault(int(found.get("index", unused)), [])
        if found.get("follows") == (chain[-1].number if chain else None):
            chain.append(trial)
    return chains


def over(trial: FrozenTrial) -> bool:
    """Whether the logical trial whose last attempt this is has ended: by a value, pruned, by its own error, or interrupted too often."""
    if trial.state is not TrialState.FAIL:
        return trial.state.is_finished()
    return "error" in trial.user_attrs or ("ended" not in trial.user_attrs and trial.user_attrs.get("retries", 0) >= RETRIES)


def enqueue(
    place: str,
    study: str,
    params: Mapping[int, Mapping[str, Any]],
    *,
    directions: Sequence[Direction] = ("minimize",),
    timing: Timing | None = None,
) -> None:
    """Have these logical trials attempted once more, by index; those that wait or run are left alone, whoever enqueued them.

    Args:
        params: the parameters of each; what is not among them is left to the sampler.
    """
    storage = open_storage(place, timing)
    made = optuna.create_study(storage=storage, study_name=study, directions=list(directions), load_if_exists=True)
    chains = attempts(made.get_trials(deepcopy=False))
    for index, chosen in params.items():
        chain = chains.get(index, [])
        if not chain or chain[-1].state.is_finished():
            follows = {"follows": chain[-1].number} if chain else {}
            made.enqueue_trial(dict(chosen), user_attrs={"index": index} | follows)


def drive(
    place: str,
    study: str,
    job: Job,
    *,
    directions: Sequence[Direction] = ("minimize",),
    trials: int | None,
    seconds: float | None = None,
    workers: int = 1,
    sampler: Callable[[int], BaseSampler] | None = None,
    pruner: BasePruner | None = None,
    watch: Callable[[optuna.Study], None] | None = None,
    timing: Timing | None = None,
) -> optuna.Study:
    """Work on a study until it is done, together with whoever else does; killed at any instant, the same call goes on.

    Args:
        place: of the storage, as `open_storage` takes it.
        study: its name; created where there is none.
        trials: the logical trials 0, 1, ... before this one are wanted; None: those that are enqueued.
        seconds: after so many no trial is begun; those that run come to their end.
        workers: processes of this call, each with one torch thread. A script needs `if __name__ == "__main__":`.
        sampler: makes the sampler of a logical trial from its index (a sampler's state is not in the storage); TPE unless given.
        watch: is called with the study whenever trials may have ended.

    Raises:
        QlogadError: workers cannot start, or the storage was away for longer than `timing.patience`.
    """
    timing = timing or Timing()
    storage = open_storage(place, timing)
    made = optuna.create_study(storage=storage, study_name=study, directions=list(directions), load_if_exists=True, pruner=pruner)
    deadline = None if seconds is None else time.monotonic() + seconds
    orders = _Orders(place, study, job, trials, sampler or _tpe, pruner, deadline, timing, _Process.here())
    queue = _Queue(orders, storage)
    team = _Team(orders)
    try:
        while True:
            looked = time.monotonic()
            late = deadline is not None and looked >= deadline
            left = queue.left(queue.reap(team.fallen))
            if watch is not None:
                watch(made)
            if left.done or (late and not team.members):
                return made
            if not late:
                team.grow(min(workers - len(team.members), left.free - (len(team.members) - left.mine)))
            took = time.monotonic() - looked
            team.wait(max(_LOOK, 10 * took), timing.heartbeat / 6)
    except KeyboardInterrupt:
        team.end()
        queue.reap({}, ended=True)
        raise
    finally:
        team.end()


def _tpe(index: int) -> BaseSampler:
    return TPESampler(seed=index)


@dataclass(frozen=True)
class _Process:
    """A process that can be told from all others: of which host, and when it was started, for numbers are used again."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> _Process:
        """This process."""
        return cls(_host(), os.getpid(), _started(os.getpid()) or "")

    def alive(self) -> bool:
        """Whether it lives; it is one of this host."""
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.host}-{self.pid}-{self.started}"


@functools.cache
def _host() -> str:
    """The host's name, and what tells apart containers and boots of the same name."""
    inside = []
    with suppress(OSError):
        inside = [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return f"{platform.node()}-{digest(*inside)[:6]}"


def _started(pid: int) -> str | None:
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
class _Orders:
    """What a worker is told."""

    place: str = field(repr=False)  # a password may be in it
    study: str
    job: Job
    trials: int | None
    sampler: Callable[[int], BaseSampler]
    pruner: BasePruner | None
    deadline: float | None  # of the clock that all processes of a host share
    timing: Timing
    driver: _Process

    @property
    def signs(self) -> Path | None:
        """The folder of signs of life beside a journal; a database keeps heartbeats of its own."""
        return Path(self.place + ".alive") if is_path(self.place) else None

    def forget(self, worker: _Process) -> None:
        """Remove the sign of life of a worker that is no more."""
        if self.signs is not None:
            (self.signs / str(worker)).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Left:
    """How far a study is."""

    done: bool
    free: int  # logical trials that somebody could begin now
    mine: int  # that workers of this driver run


class _Queue:
    """The trials of a study as a queue of work."""

    def __init__(self, orders: _Orders, storage: BaseStorage) -> None:
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

    def left(self, chains: Mapping[int, Sequence[FrozenTrial]]) -> _Left:
        """How far the study is."""
        lasts = [chain[-1] for chain in chains.values()]
        new = 0 if self.orders.trials is None else self.orders.trials - len(chains)
        mine = sum(t.state is TrialState.RUNNING and _owners(t, "driver") == self.orders.driver for t in lasts)
        return _Left(not new and all(map(over, lasts)), new + sum(t.state is TrialState.WAITING for t in lasts), mine)

    def claim(self, worker: _Process) -> Trial | None:
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

    def _begin(self, trial_id: int, index: int, worker: _Process) -> Trial:
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
            last = self.chains()[identity(stored)][-1]
            if state is not TrialState.FAIL and last.state is TrialState.WAITING and self._take(last._trial_id):
                for name, kind in stored.distributions.items():
                    if name not in last.params:
                        self.storage.set_trial_param(last._trial_id, name, kind.to_internal_repr(stored.params[name]), kind)
                for key, value in _said(stored).items():
                    self.storage.set_trial_user_attr(last._trial_id, key, value)
                for key, value in stored.system_attrs.items():
                    if key.startswith("constraints"):  # of optuna's Trial.set_constraint
                        self.storage.set_trial_system_attr(last._trial_id, key, value)
                self.storage.set_trial_state_values(last._trial_id, state, values)

    def reap(self, fallen: Mapping[_Process, str], *, ended: bool = False) -> dict[int, list[FrozenTrial]]:
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
        kept = _said(last)
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

    def _death(self, trial: FrozenTrial, fallen: Mapping[_Process, str], ended: bool) -> dict[str, str]:
        """Whether the process of a running attempt is gone: nothing, or why, under the key that says whether it counts as a retry."""
        worker, driver = _owners(trial), _owners(trial, "driver")
        if worker is None or driver is None:
            gone = self._silent(trial.number, None) > _UNOWNED
            return {"ended": "its worker died when it took the trial"} if gone else {}
        if worker.host != _host():
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


def _owners(trial: FrozenTrial, which: str | None = None) -> _Process | None:
    owner = trial.user_attrs.get("owner")
    found = owner[which] if owner and which else owner
    return _Process(found["host"], found["pid"], found["started"]) if found else None


def _said(trial: FrozenTrial) -> dict[str, Any]:
    """The user attributes that the job has set."""
    return {key: value for key, value in trial.user_attrs.items() if key not in _OURS}


def _sign(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


class _Team:
    """The worker processes of one driver."""

    def __init__(self, orders: _Orders) -> None:
        self._orders = orders
        self.members: dict[connection.Connection, tuple[SpawnProcess, _Process]] = {}
        self.fallen: dict[_Process, str] = {}
        self._deaths = 0  # of workers, one after the other, that had not begun a trial

    def grow(self, count: int) -> None:
        """Start more workers."""
        for _ in range(count):
            mine, its = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=_work, args=(self._orders, its))
            process.start()
            its.close()
            assert process.pid is not None
            self.members[mine] = process, _Process(_host(), process.pid, _started(process.pid) or "")

    def wait(self, soon: float, late: float) -> None:
        """Until a worker ends, until `soon` where one has said something, else until `late`, seconds; raise what one cannot go on with."""
        began, count = time.monotonic(), len(self.members)
        seconds = late
        while len(self.members) == count and (left := began + seconds - time.monotonic()) > 0:
            for pipe in connection.wait(list(self.members), left):
                assert isinstance(pipe, connection.Connection)
                try:
                    said = pipe.recv()
                except (EOFError, OSError):
                    self._bury(pipe)
                    continue
                self._deaths, seconds = 0, min(soon, late)
                if said is not None:
                    raise QlogadError(said)

    def _bury(self, pipe: connection.Connection) -> None:
        process, who = self.members.pop(pipe)
        pipe.close()
        process.join()
        self._orders.forget(who)
        code = process.exitcode or 0
        if code == 0:
            return
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.fallen[who] = f"its worker died ({how}: out of memory, or killed)"
        self._deaths += 1
        if self._deaths > 2 * RETRIES:
            raise QlogadError(f"workers die as they start ({how}); is there enough memory for so many?")

    def end(self) -> None:
        """Stop the workers that still run."""
        for process, _ in self.members.values():
            process.kill()
        for pipe, (process, who) in self.members.items():
            process.join()
            pipe.close()
            self._orders.forget(who)
        self.members.clear()


def _work(orders: _Orders, pipe: connection.Connection) -> None:
    """What a worker process does: one trial after another, until there is none to begin; None is sent when one begins or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        _take_turns(orders, pipe)
    except QlogadError as error:
        pipe.send(one_line(error))
    except Exception as error:
        origin = error.__cause__ or error
        pipe.send(one_line(f"a worker failed: {type(origin).__name__}: {origin}"))


def _follow(parent: Any) -> None:
    """End this process when its parent is gone."""
    parent.join()
    os._exit(1)


def _take_turns(orders: _Orders, pipe: connection.Connection) -> None:
    storage = open_storage(orders.place, orders.timing, wait=True)
    queue = _Queue(orders, storage)
    me = _Process.here()
    with _pulse(orders, storage, me) as running:
        while orders.deadline is None or time.monotonic() < orders.deadline:
            try:
                trial = queue.claim(me)
            except UpdateFinishedTrialError:  # slower than the patience of another
                continue
            if trial is None:
                return
            pipe.send(None)
            running.append(trial._trial_id)
            try:
                with suppress(UpdateFinishedTrialError):  # taken for dead, and enqueued again
                    queue.tell(trial, *_outcome(orders.job, trial, len(queue.study.directions)))
            finally:
                running.pop()
            pipe.send(None)


def _outcome(job: Job, trial: Trial, directions: int) -> tuple[TrialState, list[float] | None, str | None]:
    """What became of a trial: its state, its values, or its error."""
    try:
        given = job(trial)
        values = [float(value) for value in (given if isinstance(given, Sequence) else [given])]
    except TrialPruned:
        return TrialState.PRUNED, None, None
    except (StorageError, UpdateFinishedTrialError):
        raise
    except QlogadError as error:
        return TrialState.FAIL, None, one_line(error)
    except Exception as error:  # one broken trial must not take the others with it; it is listed with its cause
        return TrialState.FAIL, None, one_line(f"{type(error).__name__}: {error}")
    if len(values) != directions or any(map(math.isnan, values)):
        return TrialState.FAIL, None, f"the job gave {values}, and not a number for each of {directions} directions"
    return TrialState.COMPLETE, values, None


@contextmanager
def _pulse(orders: _Orders, storage: BaseStorage, me: _Process) -> Iterator[list[int]]:
    """Signs of life in a thread of their own; in the list is the trial that runs."""
    running: list[int] = []
    stop = threading.Event()
    sign = None if orders.signs is None else orders.signs / str(me)

    def beat() -> None:
        while not stop.wait(orders.timing.heartbeat):
            with suppress(OSError, QlogadError):  # the worker itself will notice
                if sign is not None:
                    sign.touch()
                for trial_id in running:
                    if sign is None:
                        storage.record_heartbeat(trial_id)  # type: ignore[attr-defined]

    if sign is not None:
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        stop.set()
        thread.join()
