"""Trials of a study, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from qlogad.errors import QlogadError, one_line
from qlogad.experiment.storage import open_storage

__all__ = ["Job", "drive", "identity"]


class Job(Protocol):
    """What a worker does with a trial."""

    def __call__(self, trial: optuna.Trial) -> float | Sequence[float]:
        """Its value, or values."""


def identity(trial: optuna.Trial | FrozenTrial) -> int:
    """The logical number of a trial."""
    return int(trial.user_attrs["index"])


def drive(
    place: str,
    study: str,
    job: Job,
    *,
    directions: Sequence[Literal["minimize", "maximize"]] = ("minimize",),
    trials: int | None,
    seconds: float | None = None,
    workers: int = 1,
    sampler: Callable[[int], BaseSampler] | None = None,
    pruner: BasePruner | None = None,
    watch: Callable[[optuna.Study], None] | None = None,
) -> optuna.Study:
    """Run trials until so many have ended, or until nothing enqueued is left."""
    began = time.monotonic()
    opened = optuna.create_study(
        storage=open_storage(place), study_name=study, directions=directions, load_if_exists=True, pruner=pruner
    )
    while seconds is None or time.monotonic() - began < seconds:
        found = opened.get_trials(deepcopy=False)
        waiting = [trial for trial in found if trial.state == TrialState.WAITING]
        ended = sum(trial.state.is_finished() for trial in found)
        if not waiting if trials is None else ended >= trials:
            break
        number = max((identity(trial) for trial in found if "index" in trial.user_attrs), default=-1) + 1
        if sampler is not None:
            opened.sampler = sampler(number)
        trial = opened.ask()
        if "index" not in trial.user_attrs:
            trial.set_user_attr("index", number)
        try:
            opened.tell(trial, job(trial))
        except optuna.TrialPruned:
            opened.tell(trial, state=TrialState.PRUNED)
        except QlogadError as error:
            trial.set_user_attr("cause", one_line(error))
            opened.tell(trial, state=TrialState.FAIL)
        if watch is not None:
            watch(opened)
    return opened
