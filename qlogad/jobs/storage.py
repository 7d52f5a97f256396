"""Storage of a study: a journal file on one host, PostgreSQL for many. Neither loses a record if a process dies or the disk fills up.

A journal is Optuna's (one operation per line, appended under a lock, replayed by every reader). A partial line left by a killed writer
is cut off by the next writer and kept beside the file. The lock is `flock`: it is released when its process ends, so there are no
stale locks to break; on NFS the kernel turns it into a byte-range lock on the server.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import BaseJournalBackend

from qlogad import files
from qlogad.errors import FileError, InputError, QlogadWarning, StorageError, one_line, shown
from qlogad.jobs.address import Database, database, is_path

__all__ = ["Journal", "Timing", "begin_anew_if_damaged", "open_storage"]

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """Heartbeats and time limits, in seconds."""

    heartbeat: int = 30  # between two heartbeats of a running trial
    grace: int = 120  # a worker on another host counts as gone this long after its last heartbeat
    patience: float = 600.0  # how long to wait for a storage that cannot be reached or written


def open_storage(place: str, timing: Timing | None = None, *, wait: bool = False) -> BaseStorage:
    """Open the storage at a place; it is created if missing.

    Args:
        place: the path of a journal file, or a database, see `qlogad.jobs.address` (its password in the address, in $PGPASSWORD
            or in ~/.pgpass).
        timing: of heartbeats, and how long calls wait for a storage that becomes unavailable after it was opened.
        wait: wait as long for opening; otherwise a storage that cannot be opened is an error at once.

    Raises:
        InputError: the place is neither, or is a file but not a journal.
        MissingExtra: the PostgreSQL driver is not installed.
        StorageError: it cannot be reached, read or written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     storage = open_storage(f"{folder}/study.journal")
        ...     optuna.create_study(storage=storage, study_name="mine").study_name
        'mine'
    """
    timing = timing or Timing()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # qlogad reports what matters
    if is_path(place):
        return _PatientJournal(Journal(Path(place), timing.patience), timing)
    return _open_database(database(place), timing, wait)


class Journal(BaseJournalBackend):
    """Optuna's journal file, repaired by the next writer.

    Args:
        path: of the file; it and its folder are created.
        patience: seconds to wait for the lock.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        self._patience = patience
        self._read = (0, 0)  # records and bytes already returned
        if path.is_dir():
            raise InputError(f"{shown(str(path), 100)} is a folder, not a journal file; name a file in it")
        try:
            with self._locked() as file:
                self._check_head(file)
                self._mend(file)
        except FileError as error:
            raise StorageError(str(error)) from error
        except OSError as error:
            raise StorageError(f"cannot open the journal {path}: {error.strerror}; check the path and its permissions") from error

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from that number on; a last line without a line end is still being written, or was torn, and does not count."""
        number, offset = self._read if log_number_from >= self._read[0] else (0, 0)
        with open(self.path, "rb") as file:
            if os.fstat(file.fileno()).st_size < offset:
                raise StorageError(f"the journal {self.path} is shorter than before; was it replaced? run the same command again")
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                number, offset = number + 1, offset + len(line)
                if number > log_number_from:
                    record = _record(line)
                    if record is None:
                        raise StorageError(
                            f"line {number} of the journal {self.path} is damaged, and was left as it is; restore the file from a copy, "
                            "or move it away to start a new one"
                        )
                    self._read = (number, offset)
                    yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records: all or none."""
        data = b"".join(map(files.sealed, logs))
        with self._locked() as file:
            self._mend(file)
            size = os.fstat(file).st_size
            try:
                written = 0
                while written < len(data):
                    written += os.write(file, data[written:])
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)  # needs no space
                raise

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, opened for reading and appending and locked against other writers."""
        file = files.open_to_append(self.path)
        try:
            deadline = time.monotonic() + self._patience
            pause = 0.0005
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StorageError(
                            f"the journal {self.path} has been locked for {self._patience:.0f} seconds; is a process that uses it stopped?"
                        ) from None
                    time.sleep(pause * random.random())
                    pause = min(2 * pause, 0.05)
            yield file
        finally:
            os.close(file)  # this releases the lock

    def _check_head(self, file: int) -> None:
        if not _begins(os.pread(file, 1 << 20, 0)):
            raise InputError(
                f"{shown(str(self.path), 100)} is not a study's journal, or its first line is damaged; name another file, or restore it "
                "from a copy"
            )

    def _mend(self, file: int) -> None:
        """Cut off everything after the last complete record, and keep it in *.torn."""
        size = os.fstat(file).st_size
        end = _end_of_records(file, size)
        if end == size:
            return
        torn = os.pread(file, size - end, end)
        beside = self.path.with_name(self.path.name + ".torn")
        try:
            files.append(beside, torn + b"\n")
            where = f"kept in {beside}"
        except OSError as error:  # a full disk, for example: the study matters more than the partial record
            where = f"lost: {error.strerror or error}"
        os.ftruncate(file, end)
        warnings.warn(
            f"the journal {self.path} ended in the middle of a record ({len(torn)} bytes, {where}); they were cut off",
            QlogadWarning,
            stacklevel=2,
        )


def begin_anew_if_damaged(path: Path) -> None:
    """Rename an unreadable journal to *.damaged, if everything that counts is also stored elsewhere.

    Other processes may be using it: the first one to notice renames it, holding its lock.
    """
    if path.is_symlink():
        files.remove(path)
    if not path.is_file():
        return
    file = files.open_to_append(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        content = os.pread(file, os.fstat(file).st_size, 0)
        whole = _begins(content) and all(map(_record, content.split(b"\n")[:-1]))
        if not whole and os.path.samestat(os.fstat(file), os.stat(path)):
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    finally:
        os.close(file)


def _begins(content: bytes) -> bool:
    """Whether a file that begins like this can be a journal."""
    head, end, _ = content.partition(b"\n")
    begin = b'{"op_code":'
    return _record(head) is not None if end else head.startswith(begin[: len(head)])


def _end_of_records(file: int, size: int) -> int:
    """The length in bytes of a journal's complete records: up to its last line end."""
    end = size
    while end:
        begin = max(0, end - 4096)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _record(line: bytes) -> dict[str, Any] | None:
    record = files.unsealed(line)
    return record if record is not None and "op_code" in record else None


def _passing(error: BaseException) -> bool:
    """Whether an error may pass: the server is away or the disk is full, not a wrong value or table."""
    from sqlalchemy.exc import DataError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError

    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, (OSError, SQLAlchemyError)) and not isinstance(
        error, (DataError, IntegrityError, NotSupportedError, ProgrammingError)
    )


def _patiently(call: Callable[[], T], what: str, patience: float, hidden: Callable[[object], str] = str) -> T:
    """Call, retrying ever less often while the storage is away, and return the answer. `hidden` removes secrets from messages."""
    deadline = time.monotonic() + patience
    pause, told = 0.1, False
    while True:
        try:
            return call()
        except Exception as error:
            if not _passing(error):
                raise
            cause = one_line(hidden(error.__cause__ or error), 300)
            if time.monotonic() + pause > deadline:
                raise StorageError(
                    f"{what} cannot be reached or written ({cause}); what was recorded is kept: fix it and run the same command again"
                ) from _safe(error, hidden)
        if not told:
            warnings.warn(
                f"{what} cannot be reached or written ({cause}); trying for {patience:.0f} seconds", QlogadWarning, stacklevel=3
            )
            told = True
        time.sleep(pause * (0.5 + random.random() / 2))
        pause = min(2 * pause, 10.0)


_CALLS = (
    "create_new_study",
    "delete_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "create_new_trial",
    "set_trial_param",
    "get_trial_id_from_study_id_trial_number",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "get_trial",
    "get_all_trials",
)
_DATABASE_CALLS = (  # those that Optuna's cache makes on the database, bypassing the public ones
    *("_create_new_trial", "_set_trial_param", "_get_best_trial_id", "_get_trials"),
    *("record_heartbeat", "_get_stale_trial_ids"),
)


def _patient(names: Sequence[str]) -> Callable[[type[T]], type[T]]:
    """Make the named methods of a storage wait while it is away; it defines `what`, `patience` and `hidden`."""

    def waiting(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return _patiently(lambda: method(self, *args, **kwargs), self.what, self.patience, self.hidden)

        return call

    def decorate(storage: type[T]) -> type[T]:
        for name in names:
            setattr(storage, name, waiting(getattr(storage, name)))
        return storage

    return decorate


@_patient(_CALLS)
class _PatientJournal(JournalStorage):
    def __init__(self, journal: Journal, timing: Timing) -> None:
        self.what, self.patience, self.hidden = f"the journal {journal.path}", timing.patience, str
        super().__init__(journal)


@_patient(_CALLS + _DATABASE_CALLS)
class _PatientDatabase(RDBStorage):
    def __init__(self, place: Database, timing: Timing) -> None:
        from sqlalchemy.pool import NullPool

        self.what, self.patience, self.hidden = f"the database {place}", timing.patience, place.hidden
        connect: dict[str, Any] = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        stop = f"-c idle_in_transaction_session_timeout={timing.grace}s"  # a host that stops must not keep its locks
        options = f"{place.parameters.get('options', '')} {stop}".strip()
        super().__init__(
            "postgresql+psycopg://",  # everything else goes straight to the driver, so that no stored or shown address holds it
            engine_kwargs={
                "poolclass": NullPool,  # no connection is held while a trial runs: a hundred workers need few
                "connect_args": connect | dict(place.parameters) | {"options": options},
            },
            heartbeat_interval=timing.heartbeat,
            grace_period=timing.grace,
        )


def _open_database(place: Database, timing: Timing, wait: bool) -> BaseStorage:
    from sqlalchemy.exc import SQLAlchemyError

    def opened() -> _PatientDatabase:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are experimental
            return _PatientDatabase(place, timing)

    what = f"the database {place}"
    tries = 5
    for last in range(tries):
        try:
            return get_storage(_patiently(opened, what, timing.patience, place.hidden) if wait else opened())
        except (SQLAlchemyError, StorageInternalError) as error:
            if last == tries - 1 or _passing(error):
                cause = one_line(place.hidden(error.__cause__ or error), 300)
                raise StorageError(f"{what} cannot be opened: {cause}; is the server up?") from _safe(error, place.hidden)
            time.sleep(0.2 + random.random())  # two workers created the tables at the same time
    raise AssertionError("the last try returns or raises")


def _safe(error: BaseException, hidden: Callable[[object], str]) -> BaseException | None:
    """The error to chain ours to, or None if it or one of its causes contains a secret."""
    one: BaseException | None = error
    while one is not None:
        if hidden(one) != str(one):
            return None
        one = one.__cause__ or one.__context__
    return error
