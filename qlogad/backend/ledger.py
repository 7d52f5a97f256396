"""The ledger: every call of a paid backend is recorded before it is made, so that none is paid for twice and each can be replayed.

    evaluate ── digest ──► known? ── yes ──► the recorded answer
                             │ no
                             └──► round, intent (tag) ──► submit ──► job (id) ──► ... ──► answer        or Pending

One JSON line for each arrow, appended and synced before the next step. `collect` reruns the forward pass: recorded answers
are replayed, submitted jobs are queried, and the first round without an answer raises `Pending`. After a crash between submission and
id, the job is found by its tag. Without a service, the ledger is itself a backend, "ledger:FILE" or "ledger:FILE#SCOPE".
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from pydantic import Field

from qlogad import documents, files
from qlogad.arrays import Floats
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend
from qlogad.backend.parameter_shift import Lifted
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import Spoiled, Unavailable
from qlogad.backend.target import Answer, Service, Target, Work
from qlogad.circuit.gates import GATES
from qlogad.credentials import hidden, known
from qlogad.errors import BackendError, DocumentError, InputError, Pending, ResultError, counted, one_line, shown

__all__ = ["Clock", "Ledger", "LedgerFile", "Recorded", "Replay"]

T = TypeVar("T")
Entry = dict[str, Any]

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]
_FIELDS: dict[str, dict[str, Any]] = {
    "target": {"scope": str, "name": str, "shots": _Count | None, "noise": bool, "abilities": dict[str, bool | int]},
    "round": {"digest": str, "scope": str, "tags": list[str], "sizes": list[_Count]},
    "intent": {"tag": str, "scope": str, "rows": _Count, "calibrated": str, "time": _Number},
    "job": {"tag": str, "id": str, "time": _Number},
    "answer": {
        "tag": str,
        "mean": list[list[_Number]],
        "error": list[list[_Number]] | None,
        "executions": _Count,
        "jobs": _Count,
        "provenance": dict[str, str | int | float],
        "time": _Number,
    },
    "trouble": {"tag": str, "state": str, "cause": str, "time": _Number},
    "campaign": {"name": str, "asked": dict[str, Any], "places": list[_Count], "plan": dict[str, Any], "time": _Number},
}
_ENTRIES = {kind: make_dataclass(kind, fields.items(), frozen=True) for kind, fields in _FIELDS.items()}
_FINAL = ("failed", "cancelled")  # states of a job that will never answer


@dataclass(frozen=True)
class Clock:
    """Time source, retry delays and patience.

    Args:
        waits: seconds before each attempt of a request.
        patience: seconds to wait for a job before raising `Pending`.
        every: seconds between two queries of its state.
    """

    waits: tuple[float, ...] = (0, 1, 2, 4, 8, 16, 32)
    patience: float = 0.0
    every: float = 5.0
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class LedgerFile:
    """The file of a ledger: JSON lines that are only ever appended, each synced to disk before the next step.

    A last line truncated by a crash is moved to `<file>.torn`: its event had not happened yet, or its job is found by the tag.

    Args:
        path: the file; created if missing and `write`.
        write: take the lock of the one process that may append; otherwise the file is only read.

    Raises:
        ResultError: it is missing, damaged, or another process is writing to it.
    """

    def __init__(self, path: str | Path, *, write: bool = True) -> None:
        self.path = Path(path)
        self.targets: dict[str, Entry] = {}  # scope -> its target
        self.rounds: dict[str, Entry] = {}  # digest of a call -> its jobs
        self.intents: dict[str, Entry] = {}  # tag -> ...
        self.jobs: dict[str, Entry] = {}
        self.answers: dict[str, Entry] = {}
        self.troubles: dict[str, list[Entry]] = {}
        self.campaigns: dict[str, Entry] = {}
        self._file: int | None = None
        if write:
            self._open()
        elif not self.path.is_file():
            raise ResultError(
                f"there is no ledger {self.path}; create one with: "
                f"qlogad hardware submit {self.path.parent} --contender quantum --to aer:shots=1024"
            )
        content = self.path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        if write and self._size < len(content):
            self._set_aside(content[self._size :])
        for number, line in enumerate(content[: self._size].splitlines(), 1):
            entry = _checked_entry(line)
            if entry is None:
                self.close()
                raise ResultError(
                    f"{self.path}, line {number} is damaged: {shown(line.decode(errors='replace'))}; restore it from a copy, or delete "
                    "this line: jobs are found again by their tags (nothing was changed)"
                )
            self._learn(entry)

    @property
    def collect(self) -> str:
        """The command that continues from here."""
        return f"qlogad hardware collect {self.path.parent}"

    def append(self, kind: str, **content: Any) -> None:
        """Write one entry to disk and add it to this object's state."""
        assert self._file is not None, "a ledger that is only read"
        sealed = files.sealed({"record": kind, **content})
        entry, line = _checked_entry(sealed), sealed.decode()
        if entry is None:
            raise ValueError(f"not a valid entry of kind {kind}: {shown(line, 200)}")
        for name, secret in known():
            if secret in line or json.dumps(secret)[1:-1] in line:
                raise InputError(
                    f"the value of ${name} was to be written to {self.path}; leave it out of labels, targets and names"
                )
        rest = memoryview(sealed)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)  # leave no partial line before the next one
            raise
        self._size += len(sealed)
        self._learn(entry)

    def close(self) -> None:
        """Release the lock, so that other processes can write."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        self._file = files.open_to_append(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise ResultError(f"another process is writing to {self.path}; wait until it has finished") from error
        files.sync_folder(self.path.parent)

    def _set_aside(self, torn: bytes) -> None:
        assert self._file is not None
        files.append(f"{self.path}.torn", torn + b"\n")
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)

    def _learn(self, entry: Entry) -> None:
        match kind := entry["record"]:
            case "target":
                self.targets[entry["scope"]] = entry
            case "round":
                self.rounds[entry["digest"]] = entry
            case "trouble":
                self.troubles.setdefault(entry["tag"], []).append(entry)
            case "campaign":
                self.campaigns[entry["name"]] = entry
            case _:
                {"intent": self.intents, "job": self.jobs, "answer": self.answers}[kind][entry["tag"]] = entry

    def answered(self, scope: str) -> list[Entry]:
        """The answers of a scope's jobs, in the order of submission."""
        tags = [tag for tag, intent in self.intents.items() if intent["scope"] == scope]
        return [self.answers[tag] for tag in tags if tag in self.answers]

    def lost(self, tag: str) -> Entry | None:
        """The entry recording that a job will never answer."""
        return next((trouble for trouble in self.troubles.get(tag, ()) if trouble["state"] in _FINAL), None)


class Recorded(Target):
    """The recorded answers of one scope of a ledger, without a target.

    Raises:
        ResultError: the scope has no records.
    """

    def __init__(self, file: LedgerFile, scope: str) -> None:
        if scope not in file.targets:
            known = ", ".join(sorted(file.targets)) or "nothing"
            raise ResultError(f"{file.path} holds no answers of '{scope}', only of: {one_line(known, 300)}")
        self.file, self.scope = file, scope
        told = file.targets[scope]
        self.name, self.shots, self.noise = told["name"], told["shots"], told["noise"]
        self.abilities = Abilities(**{**told["abilities"], "native": tuple(GATES)})

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        work = Work(self.scope, lifted, angles_MA, rows)
        found = self.file.rounds.get(work.digest)
        if found is None:
            raise BackendError(
                f"{self.file.path} has no answer to this call: weights, windows or versions differ from those recorded; "
                "replay what was submitted, or run it on a device"
            )
        tags = [_current(self.file, tag) for tag in found["tags"]]
        waiting = [tag for tag in tags if tag not in self.file.answers]
        if waiting:
            raise Pending(f"{counted(len(waiting), 'job')} of {self.scope} had not answered; continue with: {self.file.collect}")
        answer, shape = _joined([_answer(self.file.answers[tag]) for tag in tags]), (len(rows), len(lifted.circuit.readout))
        if answer.mean_MK.shape != shape:
            raise ResultError(
                f"{self.file.path} answers {self.scope} with {answer.mean_MK.shape[0]} x {answer.mean_MK.shape[1]} numbers, expected "
                f"{shape[0]} x {shape[1]}; restore it from a copy"
            )
        return answer


class Ledger(Target):
    """A target that records every call before it is made.

    Args:
        file: where calls and answers are recorded.
        scope: identifies its calls among those in the same file: contender, seed, cut, target, repetition.
        target: where circuits run.
        service: accepts its jobs.
        clock: retry delays and patience.
        again: resubmit jobs that were cancelled or failed; this may be charged again.

    `rounds` counts calls, `submitted` the jobs submitted by this object.

    Raises:
        Pending: a call has no answer yet; everything submitted is recorded.
        BackendError: the service refused, contradicted itself or is unreachable, or a job failed; the same call later resumes.
    """

    def __init__(
        self, file: LedgerFile, scope: str, target: Target, service: Service, *, clock: Clock | None = None, again: bool = False
    ) -> None:
        self.file, self.scope, self._service, self.again = file, scope, service, again
        self.clock = clock or Clock()
        self.rounds = self.submitted = 0
        self._before = sum(found["scope"] == scope for found in file.rounds.values())
        if scope not in file.targets:
            abilities = {name: getattr(target.abilities, name) for name in ("noise", "device", "max_wires")}
            file.append("target", scope=scope, name=target.name, shots=target.shots, noise=target.noise, abilities=abilities)
        self._recorded = Recorded(file, scope)
        self.name, self.shots, self.noise, self.abilities = target.name, target.shots, target.noise, target.abilities

    def evaluate(self, lifted: Lifted, angles_MA: Floats, *, rows: Sequence[str]) -> Answer:
        self.rounds += 1
        work = Work(self.scope, lifted, angles_MA, rows)
        if work.digest not in self.file.rounds:
            if self.rounds <= self._before:
                raise BackendError(
                    f"round {self.rounds} of {self.scope} was submitted with other angles, because machines or versions round "
                    "differently; collect where it was submitted, or submit again under another --label"
                )
            sizes = _even(len(rows), self._ask("", lambda: self._service.rows(lifted)))
            tags = [f"ql-{part.digest}" for part in work.parts(sizes)]
            self.file.append("round", digest=work.digest, scope=self.scope, tags=tags, sizes=sizes)
        found = self.file.rounds[work.digest]
        parts = work.parts(found["sizes"])
        tags = [self._handed_in(part, tag) for part, tag in zip(parts, found["tags"], strict=True)]
        until = self.clock.now() + self.clock.patience
        waiting = [tag for tag, part in zip(tags, parts, strict=True) if not self._answered(part, tag, until)]
        if waiting:
            jobs = ", ".join(self.file.jobs[tag]["id"] for tag in waiting)
            raise Pending(f"round {self.rounds} waits for {counted(len(waiting), 'job')} of {self.name}: {one_line(jobs, 200)}")
        return self._recorded.evaluate(lifted, angles_MA, rows=rows)

    # ------------------------------------------------------------ jobs

    def _handed_in(self, work: Work, first: str) -> str:
        """The tag of the job that runs the work; its id is on disk when this returns."""
        tag = _current(self.file, first)
        lost = self.file.lost(tag)
        if lost is not None:
            if not self.again:
                raise BackendError(
                    f"job {self.file.jobs[tag]['id']} was lost ({lost['state']}: {lost['cause']}); "
                    f"submit it again, which may cost again, with: {self.file.collect} --again"
                )
            tag = _next(tag)
        if tag in self.file.jobs:
            return tag
        if tag in self.file.intents:
            self.clock.sleep(self._service.settles)  # the last attempt may have been just now, whatever the intent's age
        else:
            calibrated = self._ask(tag, self._service.calibrated)
            self._append("intent", tag=tag, scope=self.scope, rows=len(work.rows), calibrated=calibrated)
        self._append("job", tag=tag, id=self._ask(tag, lambda: self._placed(work, tag), settles=self._service.settles))
        return tag

    def _placed(self, work: Work, tag: str) -> str:
        """The id of the job with the tag; searched for before submitting even if the file is new, as an old one may have been lost."""
        found = self._service.find(tag)
        if found is None:
            found = self._service.submit(work, tag)
            self.submitted += 1
        return self._ours(found, tag)

    def _ours(self, job: str, tag: str) -> str:
        """The id, if the service confirms that the job has this tag."""
        found = self._service.status(job).tag
        if found != tag:
            raise Unavailable(f"the service returned job {shown(job)} for tag {tag}, but reports its tag as {shown(found)}")
        return job

    def _answered(self, work: Work, tag: str, until: float) -> bool:
        """Whether the answer of a job is on disk; waits for it until then."""
        if tag in self.file.answers:
            return True
        job = self.file.jobs[tag]["id"]
        status = self._ask(tag, lambda: self._service.status(job))
        while status.state == "waiting" and self.clock.now() < until:
            self.clock.sleep(self.clock.every)
            status = self._ask(tag, lambda: self._service.status(job))
        if status.tag != tag:
            self._trouble(tag, "lied", f"job {job} has the tag {shown(status.tag)}")
            raise BackendError(f"{self.name} answers for job {job} with another tag, {shown(status.tag)}; run collect again")
        if status.state in _FINAL:
            self._trouble(tag, status.state, status.detail)
            raise BackendError(
                f"job {job} of {self.name}: {status.state} ({one_line(status.detail, 200) or 'no cause was given'}); "
                f"submit it again, which may cost again, with: {self.file.collect} --again"
            )
        if status.state == "waiting":
            return False
        try:
            answer = self._ask(tag, lambda: self._checked(self._service.result(job, work), work))
        except Spoiled as error:
            raise BackendError(f"{error}; submit it again, which may cost again, with: {self.file.collect} --again") from None
        self._append(
            "answer",
            tag=tag,
            mean=answer.mean_MK.tolist(),
            error=None if answer.error_MK is None else answer.error_MK.tolist(),
            executions=answer.executions,
            jobs=answer.jobs,
            provenance={name: hidden(said) if isinstance(said, str) else said for name, said in answer.provenance.items()},
        )
        return True

    @staticmethod
    def _checked(answer: Answer, work: Work) -> Answer:
        """The answer, if it is valid."""
        shape = len(work.rows), len(work.lifted.circuit.readout)
        for found_MK in (answer.mean_MK, answer.error_MK):
            if found_MK is not None and (found_MK.shape != shape or not np.isfinite(found_MK).all()):
                raise Unavailable(f"the answer should be {shape[0]} x {shape[1]} finite numbers, but has shape {found_MK.shape}")
        return answer

    # ------------------------------------------------------------ requests

    def _ask(self, tag: str, request: Callable[[], T], *, settles: float = 0.0) -> T:
        """Call the service, with retries after increasing delays while it is unavailable."""
        cause: BackendError | None = None
        for wait in self.clock.waits:
            self.clock.sleep(max(wait, settles) if cause else wait)
            try:
                return request()
            except Unavailable as error:
                cause = error
            except BackendError as error:
                self._trouble(tag, "failed" if isinstance(error, Spoiled) else "refused", str(error))
                raise
        self._trouble(tag, "unavailable", str(cause))
        raise BackendError(
            f"{self.name} gave no answer to {counted(len(self.clock.waits), 'attempt')} ({cause}); "
            "nothing is lost: run collect again later"
        )

    def _trouble(self, tag: str, state: str, cause: str) -> None:
        self._append("trouble", tag=tag, state=state, cause=one_line(hidden(cause), 300))

    def _append(self, kind: str, **content: Any) -> None:
        self.file.append(kind, **content, time=self.clock.now())


class Replay(SampledBackend, Backend):
    """Recorded answers as a backend: needs no network or account, and reproduces the same bytes.

    Args:
        target: a ledger's file; `FILE#SCOPE` if it holds more than one scope.

    Raises:
        ResultError: there is no such file or scope.
    """

    name = "ledger"

    def __init__(self, target: str = "hardware.jsonl") -> None:
        path, _, scope = target.partition("#")
        file = LedgerFile(path, write=False)
        if not scope and len(file.targets) == 1:
            (scope,) = file.targets
        super().__init__(Recorded(file, scope))


def _answer(entry: Mapping[str, Any]) -> Answer:
    mean_MK = np.array(entry["mean"], dtype=np.float64)
    error_MK = None if entry["error"] is None else np.array(entry["error"], dtype=np.float64)
    return Answer(mean_MK, error_MK, entry["executions"], entry["jobs"], entry["provenance"])


def _joined(answers: Sequence[Answer]) -> Answer:
    """Concatenate the answers of the jobs of one call; differing metadata of jobs are all kept."""
    told = {name: [answer.provenance[name] for answer in answers if name in answer.provenance] for name in answers[0].provenance}
    provenance = {
        name: values[0] if len(set(values)) == 1 else " ".join(map(str, dict.fromkeys(values))) for name, values in told.items()
    }
    errors = [answer.error_MK for answer in answers if answer.error_MK is not None]
    return Answer(
        np.concatenate([answer.mean_MK for answer in answers]),
        np.concatenate(errors) if errors else None,
        sum(answer.executions for answer in answers),
        sum(answer.jobs for answer in answers),
        provenance,
    )


def _even(rows: int, most: int) -> list[int]:
    """Divide rows into as few jobs as possible, as equal as possible."""
    jobs = -(-rows // most)
    return [rows * (job + 1) // jobs - rows * job // jobs for job in range(jobs)]


def _next(tag: str) -> str:
    """The tag of the next attempt."""
    stem, _, number = tag.partition("+")
    return f"{stem}+{int(number or 0) + 1}"


def _current(file: LedgerFile, first: str) -> str:
    """The tag of the last attempt of a job."""
    tag = first
    while _next(tag) in file.intents:
        tag = _next(tag)
    return tag


def _checked_entry(line: bytes) -> Entry | None:
    """The entry on a line; None if the line is torn, altered, or has other fields, types or shapes."""
    entry = files.unsealed(line)
    kind = None if entry is None else entry.get("record")
    if entry is None or not isinstance(kind, str) or kind not in _ENTRIES:
        return None
    try:
        documents.from_mapping(_ENTRIES[kind], {name: value for name, value in entry.items() if name != "record"}, strict=True)
    except DocumentError:
        return None
    tables = [entry[name] for name in ("mean", "error") if entry.get(name) is not None]
    return entry if len({(len(table), len(row)) for table in tables for row in table}) <= 1 else None
