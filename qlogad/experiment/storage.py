"""Where the trials of a study are kept: a journal file."""

from __future__ import annotations

from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

__all__ = ["open_storage"]


def open_storage(place: str) -> BaseStorage:
    """The storage at the path of a journal file."""
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(place, lock_obj=JournalFileOpenLock(place)))
