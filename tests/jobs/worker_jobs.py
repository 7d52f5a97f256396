"""Jobs for worker processes, in a module that they can import; as a script, a driver that tests may kill."""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from qlogad.errors import DataError
from qlogad.jobs.attempts import index_of
from qlogad.jobs.storage import Timing
from qlogad.jobs.workers import drive

SHORT = Timing(heartbeat=1, grace=3, patience=60.0)


def random_sampler(index: int) -> BaseSampler:
    return RandomSampler(seed=index)


def value(params: dict[str, float]) -> float:
    return (params["x"] - 0.3) ** 2 + params["n"]


@dataclass(frozen=True)
class Bowl:
    """A value of two parameters, after a pause; every call is noted in a file of its own."""

    notes: str | None = None
    pause: float = 0.0

    def __call__(self, trial: optuna.Trial) -> float:
        if self.notes is not None:
            Path(self.notes, f"{index_of(trial)}-{trial.number}-{os.getpid()}").touch()
        found = value({"x": trial.suggest_float("x", 0, 1), "n": trial.suggest_int("n", 0, 9)})
        trial.set_user_attr("seen", found)
        time.sleep(self.pause * (1 + found % 0.1))
        return found


def moody(trial: optuna.Trial) -> float:
    """Ends in every way there is, by its index."""
    match index_of(trial) % 6:
        case 0:
            raise DataError("there is\nno data")
        case 1:
            raise optuna.TrialPruned
        case 2:
            return float("nan")
        case 3:
            raise KeyError("a mistake")
        case 4:
            os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    drive(
        orders["place"],
        orders["study"],
        Bowl(orders["notes"], orders["pause"]),
        trials=orders["trials"],
        workers=orders["workers"],
        sampler=random_sampler,
        timing=Timing(*orders["timing"]),
    )
