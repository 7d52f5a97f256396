"""A model: a fitted pipeline and its detector as one folder; raw lines in, scores and alarms out.

    model.toml           format, where it comes from, digests of the other files
    preprocessor.json    the log's format and masks, the window rule, parser, vocabulary, views
    detector/            the detector with its threshold and the engine's plan: see `Detector.save`

Everything in it is data; loading one imports nothing but what is installed under the names it holds. Templates are made of log lines:
a model is as confidential as its log. Scores are those of the run it was exported from, bit for bit on the same machine and pins, if
the same windows are scored: windows by count or by time begin at the first line given, so give the log from the same line on.

>>> from qlogad.detect.markov import Markov
>>> from qlogad.logs.synthetic import Synthetic, line_text
>>> log = Synthetic(lines=3000)
>>> model = Model.fit(log, Markov())
>>> found = model.score(line_text(line) for line in log.truth())
>>> len(found), int(found.alarm_W.sum()), int(found.complete_W.sum())
(0, 0, 0)
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
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.parser import Parser
from qlogad.logs.raw_lines import Lines
from qlogad.logs.windows import Window, Windows, default_window, make_windows

__all__ = ["Model", "Origin", "Scored", "origin_of", "write"]

FORMAT = 1
PREPROCESSOR = "preprocessor.json"
DETECTOR = ("detector/detector.toml", "detector/weights.safetensors")
_ANEW = "export the model anew: qlogad model export RESULT --contender NAME --out FOLDER"


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model says of windows, in their order; letters as in `Windows`.

    A window that is not complete is scored as far as it goes: a later line may belong to it and change its score. Sessions have no end
    of their own: one is complete when it has been silent for longer than any session in training was before it went on.
    """

    key_W: Texts  # a session's identifier, or the window's position
    start_W: Floats  # seconds since 1970; NaN where no time is known
    end_W: Floats
    score_W: Floats  # higher is more anomalous
    alarm_W: Bools
    complete_W: Bools
    line_M: Ints  # line numbers, windows end to end, in the order of the windows' events
    offsets_W1: Ints
    place_W: Ints  # of the event of the window that raised the alarm, from 0; -1: no alarm, or no single event
    event_W: Texts  # its template; "" where there is none, or where training saw none like it
    expected_W: Texts  # a tuple of templates, likeliest first, that were expected in its place
    threshold: float  # alarm iff score > threshold
    intake: Intake  # what became of every line

    def __len__(self) -> int:
        return len(self.key_W)

    def lines(self, w: int) -> Ints:
        """The line numbers of one window."""
        return self.line_M[self.offsets_W1[w] : self.offsets_W1[w + 1]]

    def frame(self) -> pd.DataFrame:
        """A row for each window. Keys and templates are the log's own words: escape them where they are shown."""
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
    """The run that a model comes from."""

    experiment: str
    contender: str
    seed: int
    cut: str

    def __str__(self) -> str:
        return f"the model of {self.contender}, seed {self.seed}, cut {self.cut}, of {self.experiment}"


@dataclass(frozen=True, eq=False)
class Model:
    """A detector that reads raw lines: see the module's example. Scoring is a pure function of complete windows."""

    preprocessor: Preprocessor
    detector: Detector
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if getattr(self.detector, "threshold_", None) is None:
            raise NotFitted(f"{type(self.detector).__name__} has no threshold; call fit(..., validation=windows) first")

    def events(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Events:
        """Raw lines (text or bytes, with or without line ends), or the log at a path, as events.

        Raises:
            DataError: the log cannot be read, or not one line was understood.
        """
        return self.preprocessor.events(lines, progress)

    def windows(self, events: Events) -> Windows:
        """The windows of events.

        Raises:
            DataError: no event has the session or the time that windows are made by.
        """
        return self.preprocessor.windows(events)

    def score(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Scored:
        """Scores and alarms of all windows of raw lines, or of the log at a path.

        Args:
            lines: from an iterable each is read as it comes; line numbers count from 1.
            progress: gets the number of lines read so far.

        Raises:
            DataError: the log cannot be read, not one line was understood, or there is nothing to make windows by.
        """
        events = self.events(lines, progress)
        return self.score_windows(events, self.windows(events))

    def score_windows(self, events: Events, windows: Windows) -> Scored:
        """Scores and alarms of all windows of a log.

        Args:
            events: all that is known of the log.
            windows: all its windows, as `windows` makes them.
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
        templates = (*features.vocabulary, "")  # the last is of what training did not see
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
        """Write the model; equal models are equal folders.

        Raises:
            DataError: its data set has no name that a file could hold.
            FileError: it cannot be written.
        """
        folder = Path(folder)
        self.detector.save(folder / "detector")
        write(folder, self.preprocessor.state(), {name: (folder / name).read_bytes() for name in DETECTOR}, self.origin)

    @classmethod
    def load(cls, folder: str | Path, *, backend: str | None = None) -> Self:
        """Read a model.

        Args:
            folder: where it was saved or exported to.
            backend: where its circuits run from now on; see `Detector.load`.

        Raises:
            AccountNeeded: its circuits would run on an account of yours, and `backend` is None.
            ResultError: the folder holds no model, a damaged one, or one that names what is not installed here.
        """
        folder = Path(folder)
        saved = _saved(folder)
        for name, wanted in saved.files.items():
            if documents.digest(_content(folder / name)) != wanted:
                raise ResultError(f"{folder / name} is damaged, or of another model; {_ANEW}")
        preprocessor = Preprocessor.from_state(files.read_facts(folder / PREPROCESSOR), str(folder / PREPROCESSOR))
        detector = Detector.load(folder / "detector", backend=backend)
        if detector.size_ != (size := len(preprocessor.pipeline.vocabulary_)):
            raise ResultError(f"{folder}: the detector knows {detector.size_} event types, its preprocessor {size}; {_ANEW}")
        if detector.threshold_ is None:
            raise ResultError(f"{folder / DETECTOR[0]} has no threshold, so nothing would be an alarm; {_ANEW}")
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
        """A model of a whole data set, without an experiment: trained on its earliest windows, the threshold fixed on the latest.

        Windows known as anomalies are left out, unless the detector reads labels; then windows without a label are.

        Args:
            dataset: what to learn from.
            detector: not fitted yet; it is fitted in place.
            window: how windows are made; None: as the data set usually has them.
            validation: the share of the windows that fixes the threshold, above 0 and below 1.
            parser: of messages, not fitted yet; None: Drain, or none where messages are event ids already.

        Raises:
            DataError: the log cannot be read, or has too few windows.
        """
        if not 0 < validation < 1:
            raise DataError(f"validation is a share above 0 and below 1, got {shown(validation)}")
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
    """Write a model from its parts; model.toml last, so that what was not finished is known as such.

    Args:
        folder: where.
        preprocessor: what `Preprocessor.state` gives.
        detector: the files of `Detector.save`, by their names in the model.
        origin: the run that it comes from.
    """
    contents = {PREPROCESSOR: files.facts_text(preprocessor).encode(), **detector}
    for name, content in contents.items():
        files.write(folder / name, content)
    digests = {name: documents.digest(content) for name, content in contents.items()}
    files.write(folder / "model.toml", documents.dump({"format": FORMAT, "origin": origin, "files": digests}))


def origin_of(folder: Path) -> Origin | None:
    """The run that the model in a folder comes from; None where it says none.

    Raises:
        ResultError: there is no model.
    """
    return _saved(folder).origin


@dataclass(frozen=True)
class _Saved:
    """What stands in model.toml."""

    format: int
    files: Mapping[str, str]
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if set(self.files) != {PREPROCESSOR, *DETECTOR}:
            raise DataError(f"files are {', '.join((PREPROCESSOR, *DETECTOR))}, got {shown(list(self.files), 100)}")


def _saved(folder: Path) -> _Saved:
    path = folder / "model.toml"
    if not path.is_file():
        raise ResultError(f"there is no model in {folder} (model.toml is missing); {_ANEW}")
    try:
        content = documents.read(path)
        if content.get("format") != FORMAT:
            raise ResultError(f"{path} is of format {shown(content.get('format'))}, this qlogad reads {FORMAT}; {_ANEW}")
        return documents.from_mapping(_Saved, content, str(path), strict=True)
    except DocumentError as error:
        raise ResultError(f"{error}; {_ANEW}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}); {_ANEW}") from error
