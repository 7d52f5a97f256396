"""Worker processes of a study: N equal processes, on one host or many, take trials from one storage until none is left.

A logical trial has a number, its `index`, and one or more attempts: if the process of an attempt dies, the attempt is FAIL with a
cause, and another one with the same index and parameters is enqueued. Retries are idempotent: each names its predecessor, and of
duplicates (two hosts saw the same death) the lowest number counts. So no two steps need to be atomic, and a process may be killed
between any two. If an attempt died before all its parameters were chosen, the next attempt's sampler chooses them: it starts from
the same state as the first, so its draws do not depend on when a process died.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any

import optuna
from optuna.exceptions import TrialPruned, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import Trial, TrialState

from qlogad.errors import QlogadError, StorageError, one_line
from qlogad.jobs.attempts import RETRIES, Direction, attempts
from qlogad.jobs.queue import Job, Orders, Process, Queue, host, started
from qlogad.jobs.storage import Timing, open_storage

__all__ = ["drive", "enqueue"]


_LOOK = 0.2  # seconds between two looks at the study, at least, so that looking does not slow down thousands of short trials


def enqueue(
    place: str,
    study: str,
    params: Mapping[int, Mapping[str, Any]],
    *,
    directions: Sequence[Direction] = ("minimize",),
    timing: Timing | None = None,
) -> None:
    """Enqueue another attempt of these logical trials, by index; those already waiting or running are left alone.

    Args:
        params: the parameters of each; parameters left out are chosen by the sampler.
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
    """Work on a study until it is finished, together with every other process that does. Killed at any instant, the same call continues.

    Args:
        place: of the storage, as `open_storage` takes it.
        study: its name; created if missing.
        trials: run the logical trials 0 to `trials` - 1; None runs those that are enqueued.
        seconds: no trial is started after this time; running ones are completed.
        workers: processes of this call, each with one torch thread. A script needs `if __name__ == "__main__":`.
        sampler: makes the sampler of a logical trial from its index (a sampler's state is not in the storage); TPE by default.
        watch: called with the study whenever trials may have ended.

    Raises:
        QlogadError: workers cannot start, or the storage was away for longer than `timing.patience`.
    """
    timing = timing or Timing()
    storage = open_storage(place, timing)
    made = optuna.create_study(storage=storage, study_name=study, directions=list(directions), load_if_exists=True, pruner=pruner)
    deadline = None if seconds is None else time.monotonic() + seconds
    orders = Orders(place, study, job, trials, sampler or _tpe, pruner, deadline, timing, Process.here())
    queue = Queue(orders, storage)
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


class _Team:
    """The worker processes of one driver."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.members: dict[connection.Connection, tuple[BaseProcess, Process]] = {}
        self.fallen: dict[Process, str] = {}
        self._deaths = 0  # consecutive deaths of workers that had not started a trial

    def grow(self, count: int) -> None:
        """Start more workers."""
        context = _context()
        for _ in range(count):
            mine, its = context.Pipe()
            process = context.Process(target=_work, args=(self._orders, its, dict(os.environ)))
            process.start()
            its.close()
            assert process.pid is not None
            self.members[mine] = process, Process(host(), process.pid, started(process.pid) or "")

    def wait(self, soon: float, late: float) -> None:
        """Wait until a worker ends, or until `soon` if one sent a message, else until `late` (seconds); raise a fatal error of a worker."""
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
            raise QlogadError(f"workers die as they start ({how}); is there enough memory for this many?")

    def end(self) -> None:
        """Stop the workers that are still running."""
        for process, _ in self.members.values():
            process.kill()
        for pipe, (process, who) in self.members.items():
            process.join()
            pipe.close()
            self._orders.forget(who)
        self.members.clear()


def _context() -> Any:
    """How workers are started: on Linux as forks of a process that has imported what the driver has, so that it is imported once.

    That process has neither threads nor a CUDA context. Elsewhere, system libraries may not survive a fork.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.split(".")[0] == "qlogad"])
    return context


def _work(orders: Orders, pipe: connection.Connection, environment: Mapping[str, str]) -> None:
    """The main function of a worker: run trials until none is left; sends None whenever one starts or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    os.environ.clear()
    os.environ.update(environment, OMP_NUM_THREADS="1")
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
    """End this process when its parent ends."""
    parent.join()
    os._exit(1)


def _take_turns(orders: Orders, pipe: connection.Connection) -> None:
    storage = open_storage(orders.place, orders.timing, wait=True)
    queue = Queue(orders, storage)
    me = Process.here()
    with _pulse(orders, storage, me) as running:
        while orders.deadline is None or time.monotonic() < orders.deadline:
            try:
                trial = queue.claim(me)
            except UpdateFinishedTrialError:  # this worker was so slow that another declared the trial dead
                continue
            if trial is None:
                return
            pipe.send(None)
            running.append(trial._trial_id)
            try:
                with suppress(UpdateFinishedTrialError):  # declared dead and enqueued again meanwhile
                    queue.tell(trial, *_outcome(orders.job, trial, len(queue.study.directions)))
            finally:
                running.pop()
            pipe.send(None)


def _outcome(job: Job, trial: Trial, directions: int) -> tuple[TrialState, list[float] | None, str | None]:
    """Run a trial; returns its state, its values if it completed, and its error if it failed."""
    try:
        given = job(trial)
        values = [float(value) for value in (given if isinstance(given, Sequence) else [given])]
    except TrialPruned:
        return TrialState.PRUNED, None, None
    except (StorageError, UpdateFinishedTrialError):
        raise
    except QlogadError as error:
        return TrialState.FAIL, None, one_line(error)
    except Exception as error:  # one failing trial must not stop the others; it is listed with its cause
        return TrialState.FAIL, None, one_line(f"{type(error).__name__}: {error}")
    if len(values) != directions or any(map(math.isnan, values)):
        return TrialState.FAIL, None, f"the job returned {values}, expected one number for each of {directions} directions"
    return TrialState.COMPLETE, values, None


@contextmanager
def _pulse(orders: Orders, storage: BaseStorage, me: Process) -> Iterator[list[int]]:
    """Context that sends heartbeats from a separate thread; yields a list for the id of the running trial."""
    running: list[int] = []
    stop = threading.Event()
    sign = None if orders.signs is None else orders.signs / str(me)

    def beat() -> None:
        while not stop.wait(orders.timing.heartbeat):
            with suppress(OSError, QlogadError):  # the worker's own calls will raise it
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
