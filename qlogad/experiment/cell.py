"""One cell of a comparison: (contender, seed, cut), run in one process with one torch thread; its outcome is written when it finishes.

A cell's identity is a digest of everything its numbers depend on, so a killed run continues where it stopped, and an edited
experiment runs again exactly the cells the edit touches. The parent process computes the identity: a worker writes to the folder
it names, and refuses if code or a design file has changed since.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from qlogad import documents, files, names
from qlogad.arrays import Bools, Floats, Ints
from qlogad.detect.detector import EXPECTED, Detector
from qlogad.errors import QlogadError, QlogadWarning, ResultError, one_line
from qlogad.experiment.data import Training
from qlogad.experiment.experiment import Contender
from qlogad.experiment.fit_rule import fit
from qlogad.experiment.ground import Ground, Part
from qlogad.features.features import Features
from qlogad.import_closure import code
from qlogad.nn.core.core import Core

__all__ = ["PARTS", "Cell", "CellOutcome", "code_of", "designs_of", "read_outcome", "remember_code", "run_cell"]

FORMAT = 2
PARTS = ("test", "in_flight")
ODD = ("row", "place", "expected")
TOP_ALARMS = 20  # alarms per contender that are shown with the events that raised them
_FILES = ("scores.npz", "detector/detector.toml", "detector/weights.safetensors")  # of a finished cell, beside cell.json


@dataclass(frozen=True)
class Cell:
    """One cell to run: the inputs of one process."""

    contender: Contender
    seed: int
    cut: str
    training: Training
    base: str  # the base digest of its ground
    ground: str  # a digest of everything its detector sees of its ground, including test windows
    rows: tuple[int, ...]  # the number of rows of each of PARTS
    grounds: str  # the folder of the saved grounds
    folder: str  # the folder all cells are written to
    identity: str = field(init=False)  # a digest of everything the cell's numbers depend on, computed when the cell was made

    def __post_init__(self) -> None:
        documents.enforce(self)
        object.__setattr__(self, "identity", self.identify())  # pickled with the cell: unpickling does not compute a new one

    def identify(self) -> str:
        """Compute the identity from the code and design files as they are now."""
        params = self.contender.build().get_params(deep=False) | {"seed": self.seed}  # including defaults
        contender = {"detector": self.contender.detector, "params": params}
        code = code_of(self.contender.detector, self.contender.reads, params)
        return documents.digest(FORMAT, code, *designs_of(params), contender, self.cut, self.training, self.ground)

    def __str__(self) -> str:
        return f"{self.contender.name}, seed {self.seed}, cut {self.cut}"

    @property
    def path(self) -> Path:
        """The folder of the cell's files."""
        return Path(self.folder) / self.identity


def designs_of(*values: Any) -> list[bytes]:
    """The contents of the files of all circuit designs that are, or may be, named anywhere in these values."""
    designs = [names.designs(role) for role in ("ansatz", "encoding")]
    words = sorted({word for value in values for word in _words(documents.plain(value))})
    paths = [known[word] for word in words for known in designs if word in known]
    return [path.read_bytes() for path in (*paths, *(Path(word) for word in words if names.is_design_file(word)))]


def _words(value: Any) -> Iterator[str]:
    """All strings inside nested tables and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _words(item)


def code_of(detector: str, reads: Iterable[str], *values: Any) -> str:
    """A digest of the code behind a detector's numbers: of itself, of the views it reads, of the cores and backends in these values.

    It covers all imports of these and of the fit rule, and the modules that run a cell. A core is named by a key `kind`, a backend by
    a key `backend`, alone or after a dot, also as one of several choices. Features have a digest of their own, independent of the code
    that made them.
    """
    cores = [one for value in values if isinstance(value, Mapping) for one in value.values() if isinstance(one, Core)]
    named = [
        *names.modules_of("detector", [detector]),
        *names.modules_of("view", reads),
        *names.modules_of("core", _under("kind", *values)),
        *names.modules_of("backend", (spec.partition(":")[0] for spec in _under("backend", *values))),
    ]
    return _code((*named, *(module for core in cores for module in core.code())))


def _under(name: str, *values: Any) -> Iterator[str]:
    """All strings inside nested tables and lists that stand anywhere below a key of this name; "core.kind" counts as "kind"."""
    for value in map(documents.plain, values):
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _words(item) if key.rpartition(".")[2] == name else _under(name, item)
        elif isinstance(value, list):
            yield from _under(name, *value)


@cache
def _code(roots: tuple[str, ...]) -> str:
    return code((fit.__module__, *roots), (__name__, Ground.__module__))


def remember_code(contenders: Iterable[Contender]) -> None:
    """Load the code of these contenders and compute its digest now, so that later edits do not affect this process."""
    for contender in contenders:
        code_of(contender.detector, contender.reads, contender.build().get_params(deep=False))


@dataclass(frozen=True, eq=False)
class CellOutcome:
    """The outcome of a finished cell."""

    facts: dict[str, Any]  # weights, executions, threshold, seconds, ...
    scores: dict[str, Floats]  # part -> score of each row
    alarms: dict[str, Bools]  # part -> alarm of each row
    odd: dict[str, Ints]  # the highest alarms of the test part: their `row`, the `place` of the event that raised each, `expected`


def run_cell(cell: Cell) -> str | None:
    """Train, fix the threshold on validation, score, write the outcome. Returns None, or the cause of a failure in one line."""
    try:
        _run(cell)
    except QlogadError as error:
        return one_line(error)
    except Exception as error:  # one failing cell must not stop the others; it is listed with its cause
        return one_line(f"{type(error).__name__}: {error}")
    return None


def _run(cell: Cell) -> None:
    if cell.identify() != cell.identity:
        raise ResultError("the code or a design file changed since the run began; run the same command again")
    reads = cell.contender.reads
    ground = _ground(cell.grounds, cell.cut, reads)
    if ground.digest(reads) != cell.ground:
        raise ResultError(
            f"cut {cell.cut}: the features on disk are not this run's, so another run writes to the same folder; wait for it to end, or "
            "choose another --out"
        )
    detector = cell.contender.build()
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", QlogadWarning)
        fit(detector, ground, training=cell.training, seed=cell.seed)
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, QlogadWarning)]
    for warning in caught:
        if not issubclass(warning.category, QlogadWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    fitted = time.perf_counter()
    assert detector.threshold_ is not None
    scores = {name: _scores(detector, getattr(ground, name)) for name in PARTS}
    scored = time.perf_counter()

    detector.save(cell.path / "detector")
    arrays: dict[str, Any] = {"event_scores": detector.event_score(ground.test.features)}
    for name, values in scores.items():
        arrays |= {f"scores.{name}": values, f"alarms.{name}": detector.threshold_(values)}
    executions = getattr(detector, "executions", 0)
    arrays |= _odd_events(detector, ground.test.features, scores["test"])
    files.write_arrays(cell.path / "scores.npz", arrays)
    facts = {
        "format": FORMAT,
        "files": _digests(cell.path),
        "contender": cell.contender.name,
        "seed": cell.seed,
        "cut": cell.cut,
        "base": ground.base,
        "views": {name: ground.train.features.view_digest(name) for name in detector.reads},
        "threshold": detector.threshold_.value,
        "validation_windows": detector.threshold_.windows,
        "weights": detector.weights_,
        "notes": notes,
        "training": getattr(detector, "history_", {}),
        "executions": executions,
        "plans": detector.plans(),
        "fit_seconds": fitted - began,
        "score_seconds": scored - fitted,
    }
    files.write_facts(cell.path / "cell.json", facts)  # written last: its presence means finished


def _scores(detector: Detector, part: Part) -> Floats:
    scores_N = detector.anomaly_score(part.features)
    if np.isnan(scores_N).any():
        raise ResultError(f"{type(detector).__name__} gave NaN for {int(np.isnan(scores_N).sum())} of {len(scores_N)} windows")
    return scores_N


def _odd_events(detector: Detector, features: Features, scores_N: Floats) -> dict[str, Ints]:
    """The highest alarms: their rows, the position in the row of the event that raised each (-1: none), and the event expected there."""
    assert detector.threshold_ is not None
    order_N = np.lexsort((np.arange(len(scores_N)), -scores_N))
    rows_A = order_N[detector.threshold_(scores_N[order_N])][:TOP_ALARMS]
    top = features.take(rows_A)
    event_A = detector.raised_by(top, scores_N[rows_A])
    expected_AK = np.full((len(rows_A), EXPECTED), -1, dtype=np.int64)
    odd_A = np.flatnonzero(event_A >= 0)
    for alarm, ids in zip(odd_A, detector.expected(top, event_A[odd_A]), strict=True):
        expected_AK[alarm, : len(ids)] = ids
    found = (rows_A, np.where(event_A < 0, -1, event_A - top.offsets_N1[:-1]), expected_AK)
    return {f"odd.{name}": values for name, values in zip(ODD, found, strict=True)}


@lru_cache(maxsize=4)
def _ground(folder: str, cut: str, reads: tuple[str, ...]) -> Ground:
    return Ground.load(Path(folder), cut, reads)


def _digests(folder: Path) -> list[str]:
    return [documents.digest((folder / name).read_bytes()) for name in _FILES]


def read_outcome(cell: Cell) -> CellOutcome | None:
    """The outcome of a finished cell; None if it is unfinished or any of its files is damaged: it will run again."""
    try:
        facts = files.read_facts(cell.path / "cell.json")
        if facts.get("format") != FORMAT or facts["files"] != _digests(cell.path):
            return None
        stored = files.read_arrays(cell.path / "scores.npz")
        scores, alarms = ({name: stored[f"{what}.{name}"] for name in PARTS} for what in ("scores", "alarms"))
        odd = {name: stored[f"odd.{name}"] for name in ODD}
    except (ResultError, OSError, KeyError):
        return None
    if any(len(scores[name]) != rows for name, rows in zip(PARTS, cell.rows, strict=True)):
        return None
    return CellOutcome(facts, scores, alarms, odd)
