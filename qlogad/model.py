"""A model: a fitted pipeline and its detector in one folder; takes raw lines, returns scores and alarms.

    model.toml           format version, origin, digests of the other files
    preprocessor.json    the log's format and masks, the window rule, parser, vocabulary, views
    detector/            the detector, its threshold and the engine's plan: see `Detector.save`

A model is data only; loading one imports only what is installed under the names it holds. Its templates contain text of log lines, so a
model is as confidential as its log. On the same machine with the same pinned versions, the same windows get bit-identical scores to the
run it was exported from. Windows by count or by time start at the first line, so pass the log from the same line on.

>>> from qlogad.detect.floors.markov import Markov
>>> from qlogad.logs.synthetic import Synthetic, line_text
>>> log = Synthetic(lines=3000)
>>> model = Model.fit(log, Markov())
>>> found = model.score(line_text(line) for line in log.truth())
>>> len(found), int(found.alarm_W.sum()), int(found.complete_W.sum())
(119, 0, 117)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from qlogad import documents, files, names
from qlogad.arrays import Bools, Floats, Ints, Texts
from qlogad.detect.detector import Detector
from qlogad.errors import DataError, DocumentError, NotFitted, ResultError, shown
from qlogad.features.pipeline import FeaturePipeline
from qlogad.features.preprocessor import Preprocessor
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.events import Events, read_events
from qlogad.logs.parser.callable import Factory, resume
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.parser import Parser
from qlogad.logs.reading.raw_lines import Lines
from qlogad.logs.windows import Window, Windows, default_window, make_windows

__all__ = ["Model", "Origin", "Scored", "origin_of", "write"]

FORMAT = 1
PREPROCESSOR = "preprocessor.json"
DETECTOR = ("detector/detector.toml", "detector/weights.safetensors")
_ANEW = "export the model again: qlogad model export RESULT --contender NAME --out FOLDER"


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores and alarms of a log's windows, in the order of the windows; letters as in `Windows`.

    An incomplete window is scored on the lines seen so far; a later line may belong to it and change its score. A session counts as
    complete once it has been silent for longer than any gap inside a session in training.
    """

    key_W: Texts  # session identifier, or position of the window
    start_W: Floats  # seconds since 1970; NaN if unknown
    end_W: Floats
    score_W: Floats  # higher is more anomalous
    alarm_W: Bools
    complete_W: Bools
    line_M: Ints  # line numbers of the windows' events, windows end to end
    offsets_W1: Ints
    place_W: Ints  # index in the window, from 0, of the event that raised the alarm; -1: no alarm, or no single event
    event_W: Texts  # template of that event; "" if there is none, or if it was not seen in training
    expected_W: Texts  # tuple of the templates expected instead, most likely first
    threshold: float  # alarm iff score > threshold
    intake: Intake  # how many lines were read, skipped or rejected

    def __len__(self) -> int:
        return len(self.key_W)

    def lines(self, w: int) -> Ints:
        """The line numbers of one window."""
        return self.line_M[self.offsets_W1[w] : self.offsets_W1[w + 1]]

    def frame(self) -> pd.DataFrame:
        """One row per window. Keys and templates are unescaped log text: escape them before display."""
        lines = [self.lines(w).tolist() for w in range(len(self))]
        raised = [own[place] if place >= 0 else None for own, place in zip(lines, self.place_W.tolist(), strict=True)]
        return pd.DataFrame(
            {
                "window": self.key_W,
                "start": pd.to_datetime(self.start_W, unit="s"),
                "end": pd.to_datetime(self.end_W, unit="s"),
                "score": self.score_W,
                "alarm": self.alarm_W,
                "complete": self.complete_W,
                "lines": pd.Series(lines, dtype=object),
                "raised_by": pd.array(raised, dtype="Int64"),  # a line number
                "event": self.event_W,
                "expected": self.expected_W,
            }
        )


@dataclass(frozen=True)
class Origin:
    """The run that a model was exported from."""

    experiment: str
    contender: str
    seed: int
    cut: str

    def __str__(self) -> str:
        return f"the model of {self.contender}, seed {self.seed}, cut {self.cut}, of {self.experiment}"


@dataclass(frozen=True, eq=False)
class Model:
    """A detector of raw lines: see the module's example. The score of a complete window depends only on that window."""

    preprocessor: Preprocessor
    detector: Detector
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if getattr(self.detector, "threshold_", None) is None:
            raise NotFitted(f"{type(self.detector).__name__} has no threshold; call fit(..., validation=windows) first")

    def events(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Events:
        """Parse raw lines (text or bytes, with or without line ends), or the log at a path, into events.

        Raises:
            DataError: the log cannot be read, or no line matches the format.
        """
        return self.preprocessor.events(lines, progress)

    def windows(self, events: Events) -> Windows:
        """Group events into windows.

        Raises:
            DataError: the window rule needs a session or a time that no event has.
        """
        return self.preprocessor.windows(events)

    def score(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Scored:
        """Scores and alarms of all windows of raw lines, or of the log at a path.

        Args:
            lines: a path, or an iterable of lines, which is consumed lazily. Line numbers count from 1.
            progress: called with the number of lines read so far.

            Raises:
                DataError: the log cannot be read, no line matches the format, or no event has the session or time that windows need.
        """
        events = self.events(lines, progress)
        return self.score_windows(events, self.windows(events))

    def score_windows(self, events: Events, windows: Windows) -> Scored:
        """Scores and alarms of all windows of a log.

        Args:
            events: all events of the log.
            windows: all its windows, as returned by `windows`.
        """
        features = self.preprocessor.features(events, windows, self.detector.reads)
        score_N = self.detector.score_samples(features)
        assert self.detector.threshold_ is not None
        alarm_N = self.detector.threshold_(score_N)
        place_N = np.full(len(features), -1, dtype=np.int64)
        event_N, expected_N = np.full(len(features), "", dtype=np.object_), np.empty(len(features), dtype=np.object_)
        expected_N[:] = [()] * len(features)
        rows_A = np.flatnonzero(alarm_N)
        alarms = features.take(rows_A)
        event_A = self.detector.raised_by(alarms, score_N[rows_A])
        odd_A = np.flatnonzero(event_A >= 0)
        templates = (*features.vocabulary, "")  # the last is for events not seen in training
        for row, event, expected in zip(odd_A, event_A[odd_A], self.detector.expected(alarms, event_A[odd_A]), strict=True):
            place_N[rows_A[row]] = event - alarms.offsets_N1[row]
            event_N[rows_A[row]] = templates[alarms.ids_E[event]]
            expected_N[rows_A[row]] = tuple(templates[other] for other in expected)
        row_W = features.row_W
        return Scored(
            key_W=windows.key_W,
            start_W=windows.start_W,
            end_W=windows.end_W,
            score_W=score_N[row_W],
            alarm_W=alarm_N[row_W],
            complete_W=self.preprocessor.complete(events, windows),
            line_M=events.line_E[windows.event_M],
            offsets_W1=windows.offsets_W1,
            place_W=place_N[row_W],
            event_W=event_N[row_W],
            expected_W=expected_N[row_W],
            threshold=self.detector.threshold_.value,
            intake=events.intake,
        )

    def save(self, folder: str | Path) -> None:
        """Write the model; equal models give identical folders.

        Raises:
            DataError: its data set is not installed under a name.
            FileError: the folder cannot be written.
        """
        folder = Path(folder)
        self.detector.save(folder / "detector")
        write(folder, self.preprocessor.state(), {name: (folder / name).read_bytes() for name in DETECTOR}, self.origin)

    @classmethod
    def load(cls, folder: str | Path, *, backend: str | None = None, factory: Factory | None = None) -> Self:
        """Read a model.

        Args:
            folder: the folder it was saved or exported to.
            backend: the backend to run its circuits on; see `Detector.load`.
            factory: the function of a model with parser 'callable', which no saved file imports; needed for messages that training did
                not see.

        Raises:
            AccountNeeded: its backend may use one of your accounts, and `backend` is None.
            DataError: the model has no use for `factory`, or the function gives the training messages other templates.
            ResultError: the folder has no model, or one that is damaged or needs something that is not installed.
        """
        folder = Path(folder)
        saved = _saved(folder)
        for name, wanted in saved.files.items():
            if documents.digest(_content(folder / name)) != wanted:
                raise ResultError(f"{folder / name} is damaged or belongs to another model; {_ANEW}")
        preprocessor = Preprocessor.from_state(files.read_facts(folder / PREPROCESSOR), str(folder / PREPROCESSOR))
        if factory is not None:
            resume(preprocessor.pipeline.parser, factory)
        detector = Detector.load(folder / "detector", backend=backend)
        if detector.size_ != (size := len(preprocessor.pipeline.vocabulary_)):
            raise ResultError(f"{folder}: the detector has {detector.size_} event types, but its preprocessor {size}; {_ANEW}")
        if detector.threshold_ is None:
            raise ResultError(f"{folder / DETECTOR[0]} has no threshold, so it cannot raise alarms; {_ANEW}")
        return cls(preprocessor, detector, saved.origin)

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        detector: Detector,
        *,
        window: Window | None = None,
        validation: float = 0.25,
        parser: Parser | None = None,
    ) -> Self:
        """Fit a model on a whole data set without an experiment: train on the earlier windows, set the threshold on the later ones.

        Leaves out known anomalies or, if the detector uses labels, unlabelled windows.

        Args:
            dataset: the data set.
            detector: not yet fitted; it is fitted in place.
            window: the window rule; None: the data set's default.
            validation: the share of windows for the threshold, in (0, 1).
            parser: not yet fitted; None: Drain, or Identity if messages are already event ids.

        Raises:
            DataError: the log cannot be read, or has too few windows.
        """
        if not 0 < validation < 1:
            raise DataError(f"validation must be above 0 and below 1, got {shown(validation)}")
        events = read_events(dataset)
        window = window or default_window(dataset.default_window)
        windows = make_windows(events, window)
        labelled = detector.supervised or detector.threshold == "f1"
        chosen = np.flatnonzero(windows.label_W >= 0 if labelled else windows.label_W < 1)
        chosen = chosen[np.argsort(windows.start_W[chosen], kind="stable")]
        known = windows.take(chosen)
        split = len(known) - round(validation * len(known))
        train, held = known.take(np.arange(split)), known.take(np.arange(split, len(known)))
        pipeline = FeaturePipeline(views=detector.reads, parser=parser or (Identity() if events.parsed else Drain())).fit(
            events, train
        )
        preprocessor = Preprocessor.of(names.name_of("dataset", type(dataset)), dataset, window, pipeline, train)
        (features, labels), (later, known_later) = (preprocessor.labelled(events, part, detector.reads) for part in (train, held))
        detector.fit(features, labels if detector.supervised else None, validation=(later, known_later if labelled else None))
        return cls(preprocessor, detector)


def write(folder: Path, preprocessor: Mapping[str, Any], detector: Mapping[str, bytes], origin: Origin | None) -> None:
    """Write a model from its parts, model.toml last, so that an unfinished model is recognised.

    Args:
        folder: the folder to write to.
        preprocessor: the result of `Preprocessor.state`.
        detector: the contents of the files of `Detector.save`, by their paths in the model.
        origin: the run that it comes from; None if there is none.
    """
    contents = {PREPROCESSOR: files.facts_text(preprocessor).encode(), **detector}
    for name, content in contents.items():
        files.write(folder / name, content)
    digests = {name: documents.digest(content) for name, content in contents.items()}
    files.write(folder / "model.toml", documents.dump({"format": FORMAT, "origin": origin, "files": digests}))


def origin_of(folder: Path) -> Origin | None:
    """The run that the model in a folder was exported from; None if it has none.

    Raises:
        ResultError: there is no model in the folder.
    """
    return _saved(folder).origin


@dataclass(frozen=True)
class _Saved:
    """The contents of model.toml."""

    format: int
    files: Mapping[str, str]
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if set(self.files) != {PREPROCESSOR, *DETECTOR}:
            raise DataError(f"files must be {', '.join((PREPROCESSOR, *DETECTOR))}, got {shown(list(self.files), 100)}")


def _saved(folder: Path) -> _Saved:
    path = folder / "model.toml"
    if not path.is_file():
        raise ResultError(f"there is no model in {folder} (model.toml is missing); {_ANEW}")
    try:
        content = documents.read(path)
        if content.get("format") != FORMAT:
            raise ResultError(
                f"{path} has format {shown(content.get('format'))}, but this version of qlogad reads {FORMAT}; {_ANEW}"
            )
        return documents.from_mapping(_Saved, content, str(path), strict=True)
    except DocumentError as error:
        raise ResultError(f"{error}; {_ANEW}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}); {_ANEW}") from error
