"""From raw lines to features: how a log is read, grouped into windows and parsed, fitted once and then frozen.

lines ─► data set's format, masks ─► events ─► window rule ─► windows ─► pipeline ─► features
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Self

import numpy as np

from qlogad import documents, names
from qlogad.arrays import Bools
from qlogad.bounds import Between
from qlogad.errors import DataError, InputError, ResultError, one_line, shown
from qlogad.features.features import MAX_SIZE, Features, Labels
from qlogad.features.pipeline import FeaturePipeline
from qlogad.features.view import any_apart
from qlogad.logs.dataset import Dataset
from qlogad.logs.events import Events, Mask, read_events
from qlogad.logs.raw_lines import Lines
from qlogad.logs.windows import Window, Windows, complete, longest_silence, make_windows

__all__ = ["Preprocessor"]

FORMAT = 1
_ANEW = "install what it was made with, or export the model anew"


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Everything between raw lines and a detector. The files of its data set play no part; its format and options do."""

    name: str | None  # the data set's; None: it is not installed, and cannot be saved
    dataset: Dataset  # whose format the lines have
    masks: tuple[tuple[str, str], ...]  # (name, regular expression): what is cut out of messages before they are parsed
    mask_starts: str  # a hint for speed: see `Mask`
    window: Window
    pipeline: FeaturePipeline  # fitted
    silence: float  # in seconds: a session is complete after a longer one, see `complete`; inf: never
    _mask: Mask = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_mask", Mask(self.masks, self.mask_starts))

    @classmethod
    def of(cls, name: str | None, dataset: Dataset, window: Window, pipeline: FeaturePipeline, training: Windows) -> Self:
        """That of a data set whose windows a pipeline was fitted on.

        Args:
            name: of the data set, as experiments write it; None: it has none.
            dataset: the data set.
            window: how its windows are made.
            pipeline: fitted.
            training: the windows it was fitted on.
        """
        return cls(name, dataset, dataset.masks, dataset.mask_starts, window, pipeline, longest_silence(training))

    def events(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Events:
        """The events of raw lines (or of the log at a path); their labels are known where the lines themselves have them.

        Raises:
            DataError: the log cannot be read, or not one line was understood.
        """
        return read_events(self.dataset, progress, lines=lines, mask=self._mask)

    def windows(self, events: Events) -> Windows:
        """The windows of events; windows by count or by time begin at the first event.

        Raises:
            DataError: no event has the session or the time that windows are made by.
        """
        return make_windows(events, self.window)

    def complete(self, events: Events, windows: Windows) -> Bools:
        """Which of all windows no later line belongs to, (W,): see `qlogad.logs.windows.complete`."""
        return complete(events, windows, self.window, self.silence)

    def features(self, events: Events, windows: Windows, reads: Sequence[str] = ("ids",)) -> Features:
        """What a detector that reads these views gets of windows; their labels play no part."""
        return self.labelled(events, replace(windows, label_W=np.zeros_like(windows.label_W)), reads)[0]

    def labelled(self, events: Events, windows: Windows, reads: Sequence[str] = ("ids",)) -> tuple[Features, Labels]:
        """`features` of windows with their labels; one that is unknown counts as normal."""
        return self.pipeline.transform(events, replace(windows, label_W=np.maximum(windows.label_W, 0)), apart=any_apart(reads))

    def reading(self, reads: Sequence[str]) -> Self:
        """The same with these views alone, for a detector that reads no others."""
        state = self.pipeline.state()
        return replace(
            self, pipeline=FeaturePipeline.from_state({**state, "views": [view for view in state["views"] if view in reads]})
        )

    def state(self) -> dict[str, Any]:
        """Everything in it as JSON types, without the files of its data set.

        Raises:
            DataError: the data set has no name that a file could hold.
        """
        if self.name is None:
            raise DataError(
                f"the data set {type(self.dataset).__name__} has no name that a model could be loaded by; install it as an entry point of "
                "qlogad.datasets"
            )
        return {
            "format": FORMAT,
            "dataset": self.name,
            "options": documents.plain(self.dataset.options()),
            "masks": [list(pair) for pair in self.masks],
            "mask_starts": self.mask_starts,
            "window": documents.plain(self.window),
            "silence": self.silence if math.isfinite(self.silence) else None,
            "pipeline": self.pipeline.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], where: str) -> Self:
        """The one that `state()` was taken from. Nothing in it makes a module be imported but what is installed under its name.

        Args:
            state: what was saved.
            where: the name used in error messages.

        Raises:
            ResultError: it is of another format, names what is not installed, or is not as it was saved.
        """
        if state.get("format") != FORMAT:
            raise ResultError(f"{where} is of format {shown(state.get('format'))}, this qlogad reads {FORMAT}; {_ANEW}")
        try:
            saved = documents.from_mapping(_Saved, state, where, strict=True)
            dataset = names.find("dataset", saved.dataset).reader(saved.options, "options")
            if type(dataset).read is Dataset.read:
                raise DataError(f"the data set '{saved.dataset}' reads its own files only: its class has no method `read`")
            pipeline = FeaturePipeline.from_state(state["pipeline"])
            silence = math.inf if saved.silence is None else saved.silence
            return cls(saved.dataset, dataset, saved.masks, saved.mask_starts, saved.window, pipeline, silence)
        except InputError as error:
            said = str(error) if str(error).startswith(where) else f"{where}: {error}"
            raise ResultError(f"{said}; {_ANEW}") from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:  # of a view or parser that checks nothing
            raise ResultError(f"{where} is not as it was saved ({one_line(error, 100)}); {_ANEW}") from error


@dataclass(frozen=True)
class _Saved:
    """What is saved of a preprocessor."""

    format: int
    dataset: str
    options: Mapping[str, Any]
    masks: tuple[tuple[str, str], ...]
    mask_starts: str
    window: Window
    pipeline: _Pipeline
    silence: Annotated[float, Between(0, 1e12)] | None = None


@dataclass(frozen=True)
class _Pipeline:
    """What is saved of a pipeline; its parser and its views look at their own."""

    views: tuple[str, ...]
    parser: Mapping[str, Any]
    templates: tuple[Annotated[int, Between(0, MAX_SIZE)], ...]
    seen: tuple[str, ...]
    base: str
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
