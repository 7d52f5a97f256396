"""Attempts of a logical trial: which of them counts, why one failed, whether it is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from optuna.trial import FrozenTrial, Trial, TrialState

__all__ = ["RETRIES", "attempts", "cause", "index_of", "next_step", "over"]

Direction = Literal["minimize", "maximize"]
RETRIES = 2  # of a trial whose worker died under it; those that ended with the whole run do not count
_OURS = ("index", "follows", "retries", "owner", "error", "interrupted", "ended", "surplus")  # user attributes of an attempt


def index_of(trial: Trial | FrozenTrial) -> int:
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


def said(trial: FrozenTrial) -> dict[str, Any]:
    """The user attributes that the job has set."""
    return {key: value for key, value in trial.user_attrs.items() if key not in _OURS}
