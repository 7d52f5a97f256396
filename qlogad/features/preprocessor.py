"""From raw lines to features: reading, windowing and parsing of a log, fitted once and then frozen.

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
from qlogad.logs.events import Events, read_events
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.raw_lines import Lines
from qlogad.logs.windows import Window, Windows, complete, longest_silence, make_windows

__all__ = ["Preprocessor"]

FORMAT = 1
_ANEW = "install what it was made with, or export the model anew"


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """All steps between raw lines and a detector. Holds the format and options of its data set, not its files."""

    name: str | None  # name of the data set; None: not installed under a name, so it cannot be saved
    dataset: Dataset  # defines the format of the lines
    masks: tuple[tuple[str, str], ...]  # (name, regular expression) of parts that are masked before parsing
    mask_starts: str  # an optimisation hint: see `Mask`
    window: Window
    pipeline: FeaturePipeline  # fitted
    silence: float  # seconds without an event after which a session is complete, see `complete`; inf: never
    _mask: Mask = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_mask", Mask(self.masks, self.mask_starts))

    @classmethod
    def of(cls, name: str | None, dataset: Dataset, window: Window, pipeline: FeaturePipeline, training: Windows) -> Self:
        """The preprocessor of a data set, given a pipeline fitted on its windows.

        Args:
            name: the data set's name in experiments; None if it has none.
            dataset: the data set.
            window: the window rule.
            pipeline: the fitted pipeline.
            training: the windows that the pipeline was fitted on.
        """
        return cls(name, dataset, dataset.masks, dataset.mask_starts, window, pipeline, longest_silence(training))

    def events(self, lines: Lines, progress: Callable[[int], None] | None = None) -> Events:
        """The events of raw lines, or of the log at a path; labels are known only if the lines contain them.

        Raises:
            DataError: the log cannot be read, or no line matches the format.
        """
        return read_events(self.dataset, progress, lines=lines, mask=self._mask)

    def windows(self, events: Events) -> Windows:
        """The windows of events; windows by count or by time begin at the first event.

        Raises:
            DataError: the window rule needs a session or a time that no event has.
        """
        return make_windows(events, self.window)

    def complete(self, events: Events, windows: Windows) -> Bools:
        """Whether each window is complete, (W,), so that no later line can join it: see `qlogad.logs.windows.complete`."""
        return complete(events, windows, self.window, self.silence)

    def features(self, events: Events, windows: Windows, reads: Sequence[str] = ("ids",)) -> Features:
        """Features of windows for a detector that reads these views; labels are ignored."""
        return self.labelled(events, replace(windows, label_W=np.zeros_like(windows.label_W)), reads)[0]

    def labelled(self, events: Events, windows: Windows, reads: Sequence[str] = ("ids",)) -> tuple[Features, Labels]:
        """Features of windows with their labels; an unknown label counts as normal."""
        return self.pipeline.transform(events, replace(windows, label_W=np.maximum(windows.label_W, 0)), apart=any_apart(reads))

    def reading(self, reads: Sequence[str]) -> Self:
        """A copy restricted to these views, for a detector that reads no others."""
        state = self.pipeline.state()
        return replace(
            self, pipeline=FeaturePipeline.from_state({**state, "views": [view for view in state["views"] if view in reads]})
        )

    def state(self) -> dict[str, Any]:
        """Its state as JSON types, without the files of its data set.

        Raises:
            DataError: the data set is not installed under a name.
        """
        if self.name is None:
            raise DataError(
                f"the data set {type(self.dataset).__name__} is not installed under a name, which loading a model needs; "
                "install it as an entry point of qlogad.datasets"
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
        """The preprocessor with the state that `state()` returned. Imports only what is installed under the names it holds.

        Args:
            state: what was saved.
            where: the name used in error messages.

        Raises:
            ResultError: the state has another format version, names something that is not installed, or was altered.
        """
        if state.get("format") != FORMAT:
            raise ResultError(
                f"{where} has format {shown(state.get('format'))}, but this version of qlogad reads {FORMAT}; {_ANEW}"
            )
        try:
            saved = documents.from_mapping(_Saved, state, where, strict=True)
            dataset = names.find("dataset", saved.dataset).reader(saved.options, "options")
            if type(dataset).read is Dataset.read:
                raise DataError(f"the data set '{saved.dataset}' can only read its own files: its class has no method `read`")
            pipeline = FeaturePipeline.from_state(state["pipeline"])
            silence = math.inf if saved.silence is None else saved.silence
            return cls(saved.dataset, dataset, saved.masks, saved.mask_starts, saved.window, pipeline, silence)
        except InputError as error:
            said = str(error) if str(error).startswith(where) else f"{where}: {error}"
            raise ResultError(f"{said}; {_ANEW}") from error
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
        ) as error:  # from a view or parser that does not check its state
            raise ResultError(f"{where} is damaged ({one_line(error, 100)}); {_ANEW}") from error


@dataclass(frozen=True)
class _Saved:
    """The saved state of a preprocessor."""

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
    """The saved state of a pipeline; parser and views check their own parts."""

    views: tuple[str, ...]
    parser: Mapping[str, Any]
    templates: tuple[Annotated[int, Between(0, MAX_SIZE)], ...]
    seen: tuple[str, ...]
    base: str
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
