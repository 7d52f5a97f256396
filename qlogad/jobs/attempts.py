"""Attempts of a logical trial: which one counts, why one failed, and whether the trial is finished."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from optuna.trial import FrozenTrial, Trial, TrialState

__all__ = ["RETRIES", "attempts", "cause", "index_of", "next_step", "over"]

Direction = Literal["minimize", "maximize"]
RETRIES = 2  # of a trial whose worker died; attempts that ended because the whole run ended do not count
_OURS = ("index", "follows", "retries", "owner", "error", "interrupted", "ended", "surplus")  # user attributes of an attempt


def index_of(trial: Trial | FrozenTrial) -> int:
    """The index of an attempt's logical trial; all its attempts share it."""
    return int(trial.user_attrs.get("index", trial.number))


def cause(trial: FrozenTrial) -> str | None:
    """Why an attempt failed, in one line; None if it did not fail."""
    if trial.state is not TrialState.FAIL:
        return None
    found = trial.user_attrs
    if "error" in found:
        return str(found["error"])
    last = found.get("ended") or found.get("interrupted") or f"no heartbeat from {found.get('owner', {}).get('host', 'its host')}"
    times = found.get("retries", 0) + 1
    return f"interrupted: {last}" + (f" (attempt {times})" if times > 1 else "")


def next_step(why: str) -> str:
    """A cause of failure followed by what to do: trying again helps only if a worker was killed.

    >>> next_step("loss is NaN")
    'loss is NaN; fix that, and the same command runs what is missing'
    """
    if why.startswith("interrupted"):
        return f"{why}; run the same command again, with fewer --workers if memory was short"
    return why if "again" in why else f"{why}; fix that, and the same command runs what is missing"


def attempts(trials: Iterable[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The attempts of every logical trial in order, by index; the last one is the trial's state. Duplicates and surplus are left out.

    An attempt without an index starts a new trial, whose index is the smallest one not used by an attempt with a lower number.
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
    """Whether a logical trial is finished, given its last attempt: completed, pruned, failed, or interrupted too often."""
    if trial.state is not TrialState.FAIL:
        return trial.state.is_finished()
    return "error" in trial.user_attrs or ("ended" not in trial.user_attrs and trial.user_attrs.get("retries", 0) >= RETRIES)


def said(trial: FrozenTrial) -> dict[str, Any]:
    """The user attributes set by the job."""
    return {key: value for key, value in trial.user_attrs.items() if key not in _OURS}
