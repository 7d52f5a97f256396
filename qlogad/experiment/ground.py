"""The common ground of a comparison: the same windows and features for every contender, one `Ground` per cut.

Everything fitted here (parser, vocabulary, strata) is fitted on the training windows of its cut. Test labels are read for evaluation
only: `Part.labels` of test and in-flight windows never reach a detector.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from qlogad import documents, files, names, seeds
from qlogad.arrays import Bools, Floats, Ints, Texts
from qlogad.detect.floors.count_vector import CountVector
from qlogad.detect.floors.length import Length
from qlogad.detect.floors.new_event import NewEvent
from qlogad.detect.floors.ngram import NGram
from qlogad.errors import DataError, ResultError, counted
from qlogad.experiment.data import Data
from qlogad.features.features import Features, Labels
from qlogad.features.pipeline import FeaturePipeline
from qlogad.features.view import Columns, any_apart
from qlogad.logs.dataset import Dataset
from qlogad.logs.events import Events, read_events
from qlogad.logs.inject import inject, parse_spec
from qlogad.logs.parser.parser import Parser, Steered
from qlogad.logs.split import Split, given_parts, make_splits
from qlogad.logs.windows import Window, Windows, default_window, make_windows

__all__ = ["STRATA", "Ground", "Part", "Source", "ground", "held_ground", "open_source", "shared_sequences", "splits"]

STRATA = ("key-length", "2-gram-count", "residual")  # caught by key or length; else by 2-gram or count vector; by none of them
_PARTS = ("train", "validation", "test", "in_flight")
FEW_VALIDATION_NORMALS = 200
FEW_TEST_ANOMALIES = 30
MUCH_UNSEEN = 0.5  # a share of a part's events


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a split: features for detectors, labels for evaluation."""

    features: Features
    labels: Labels
    kind_W: Texts  # the kind of anomaly of each window, "" for normal
    windows_W: Ints  # the number of each window in the source
    start_W: Floats  # seconds since the epoch, NaN if unknown

    def normals(self) -> Part:
        """The windows labelled normal."""
        keep_N = np.flatnonzero(self.labels.window_N == 0)
        mask_W = np.isin(self.features.row_W, keep_N)
        return Part(
            self.features.take(keep_N),
            Labels(self.labels.window_N[keep_N]),
            self.kind_W[mask_W],
            self.windows_W[mask_W],
            self.start_W[mask_W],
        )

    @property
    def label_W(self) -> Ints:
        """The label of each window."""
        return self.labels.window_N[self.features.row_W]

    @property
    def unseen(self) -> float:
        """The share of the windows' events that are unseen in training, in [0, 1]; NaN if there are no events."""
        unseen_N, length_N = self._unseen_N, self.features.lengths_N
        total = float(self.features.weight_N @ length_N)
        return float(self.features.weight_N @ unseen_N) / total if total else float("nan")

    @property
    def only_unseen(self) -> int:
        """The number of windows that hold only events unseen in training."""
        return int(self.features.weight_N[(self._unseen_N == self.features.lengths_N) & (self.features.lengths_N > 0)].sum())

    @property
    def _unseen_N(self) -> Ints:
        before_E1 = np.concatenate([[0], np.cumsum(self.features.ids_E == self.features.size)])
        return np.asarray(np.diff(before_E1[self.features.offsets_N1]))


@dataclass(frozen=True, eq=False)
class Source:
    """A data set read once: its events and its windows."""

    dataset: Dataset
    events: Events
    windows: Windows
    unknown: int  # windows left out because their label is unknown
    window: Window
    assumed: bool = False  # no window to be judged is labelled: all were assumed normal before injection


@dataclass(frozen=True, eq=False)
class Ground:
    """One cut: features and labels for training and evaluation, with warnings about what it can show."""

    cut: str
    ordered_by: str
    base: str  # the base digest, equal for all contenders
    train: Part
    validation: Part
    test: Part
    in_flight: Part
    stratum_N: NDArray[np.str_]  # of each test row that is an anomaly: one of STRATA; "" for normal rows
    warnings: tuple[str, ...]
    pipeline: FeaturePipeline | None = None  # the pipeline that made its features; not saved with it
    apart: Ground | None = None  # the same with one row per window, if a contender reads more than ids

    def of(self, reads: Sequence[str]) -> Ground:
        """The ground for a detector that reads these views: this one, or the one with a row per window.

        Raises:
            DataError: it was made for detectors that read ids only.
        """
        if not any_apart(reads):
            return self
        if self.apart is None:
            raise DataError(
                f"this ground has merged rows only, and {', '.join(reads)} need one row per window; make it with these views"
            )
        return self.apart

    @cached_property
    def sequence_N(self) -> Ints:
        """The number of each test row's sequence: rows with equal sequences but different labels share it."""
        numbers: dict[bytes, int] = {}
        return np.asarray([numbers.setdefault(row.tobytes(), len(numbers)) for row in self.test.features.rows()], dtype=np.int64)

    def digest(self, reads: Sequence[str]) -> str:
        """A digest of everything that the scores of a detector with these views depend on (labels of test windows excluded)."""
        labels = [self.train.labels.window_N, self.validation.labels.window_N]
        return documents.digest(self.base, *labels, [getattr(self, name).features.digest(reads) for name in _PARTS])

    def save(self, folder: Path) -> None:
        """Write everything a worker process needs, as arrays and JSON; the ground with a row per window goes to a file of its own."""
        self._write(folder / f"{self.cut}.npz")
        if self.apart is not None:
            self.apart._write(folder / f"{self.cut}{_APART}.npz")

    def _write(self, path: Path) -> None:
        arrays: dict[str, Any] = {"stratum_N": self.stratum_N}
        for name in _PARTS:
            part: Part = getattr(self, name)
            arrays[f"{name}.label_N"] = part.labels.window_N
            for key in ("kind_W", "windows_W", "start_W"):
                arrays[f"{name}.{key}"] = getattr(part, key)
            for field in fields(Features):
                value = getattr(part.features, field.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{name}.features.{field.name}"] = value
            if part.features.per_event is not None:
                for field in fields(Columns):
                    value = getattr(part.features.per_event, field.name)
                    arrays[f"{name}.columns.{field.name}"] = (
                        np.asarray(value, dtype=np.object_) if isinstance(value, tuple) else value
                    )
        arrays["views"] = np.asarray([[name, view.state()] for name, view in self.train.features.views.items()], dtype=np.object_)
        arrays["vocabulary"] = np.asarray(self.train.features.vocabulary, dtype=np.object_)
        arrays["head"] = np.asarray([self.cut, self.ordered_by, self.base, *self.warnings], dtype=np.object_)
        files.write_arrays(path, dict(_packed(name, values) for name, values in arrays.items()))

    @classmethod
    def load(cls, folder: Path, cut: str, reads: Sequence[str] = ("ids",)) -> Ground:
        """Read what `save` wrote, as the ground for a detector that reads these views.

        Raises:
            ResultError: it is missing, damaged or of another version.
        """
        path = folder / f"{cut}{_APART if any_apart(reads) else ''}.npz"
        stored = files.read_arrays(path)
        try:
            return cls._of(dict(_unpacked(name, values) for name, values in stored.items()))
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{path} is of another version") from error

    @classmethod
    def _of(cls, arrays: Mapping[str, NDArray[Any]]) -> Ground:
        vocabulary, head = tuple(arrays["vocabulary"].tolist()), arrays["head"].tolist()
        views = {name: names.find("view", name).from_state(state) for name, state in arrays["views"].tolist()}

        def part(name: str) -> Part:
            prefix = f"{name}.features."
            own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            prefix = f"{name}.columns."
            columns: dict[str, Any] = {
                key.removeprefix(prefix): tuple(value.tolist()) if value.dtype == np.object_ else value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
            features = Features(
                **own,
                vocabulary=vocabulary,
                base=head[2],
                views=MappingProxyType(views),
                per_event=Columns(**columns) if columns else None,
            )
            return Part(
                features,
                Labels(arrays[f"{name}.label_N"]),
                arrays[f"{name}.kind_W"],
                arrays[f"{name}.windows_W"],
                arrays[f"{name}.start_W"],
            )

        return cls(
            head[0],
            head[1],
            head[2],
            part("train"),
            part("validation"),
            part("test"),
            part("in_flight"),
            arrays["stratum_N"],
            tuple(head[3:]),
        )


_APART = ".apart"  # suffix of the name of a ground with a row per window
_AS_JSON = ".json"  # suffix of the names of stored arrays of strings


def _packed(name: str, values: NDArray[Any]) -> tuple[str, Any]:
    """The stored form of an array: strings become JSON, which is compact and needs no pickle."""
    if values.dtype != np.object_:
        return name, values
    return name + _AS_JSON, np.frombuffer(json.dumps(values.tolist()).encode(), dtype=np.uint8)


def _unpacked(name: str, stored: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    if not name.endswith(_AS_JSON):
        return name, stored
    return name.removesuffix(_AS_JSON), np.asarray(json.loads(stored.tobytes()), dtype=np.object_)


def open_source(data: Data, progress: Callable[[int], None] | None = None, *, judged: bool = True) -> Source:
    """Read the data set and cut its events into windows; windows of unknown label are left out and counted.

    If no window to be judged is labelled and anomalies are injected, all windows of unknown label are assumed normal.

    Args:
        data: what to read.
        progress: called with the number of lines read so far.
        judged: False if windows are only inspected; then all labels may be unknown.

    Raises:
        DataError: no line could be parsed, or no window to be judged is labelled and nothing is injected.
    """
    dataset = data.open()
    events = read_events(dataset, progress)
    if len(events.line_E) == 0:
        raise DataError(f"dataset '{data.dataset}': none of {events.intake.lines} lines could be parsed; is it the right format?")
    window = data.window or default_window(dataset.default_window)
    windows = make_windows(events, window)
    part_W = given_parts(events, windows)
    label_W = windows.label_W if part_W is None else windows.label_W[part_W != "train"]  # without those declared as training
    if not judged:
        return Source(dataset, events, windows, int((windows.label_W < 0).sum()), window)
    if len(label_W) and (label_W < 0).all():
        if data.inject is None:
            raise DataError(
                f"dataset '{data.dataset}': none of {counted(len(label_W), 'window')} is labelled; check the label file and its "
                "identifiers, or assume all normal and inject anomalies: data.inject = 'swap:3'"
            )
        windows = replace(windows, label_W=np.maximum(windows.label_W, 0))
        return Source(dataset, events, windows, 0, window, assumed=True)
    known = np.flatnonzero(windows.label_W >= 0)
    return Source(dataset, events, windows.take(known), len(windows) - len(known), window)


def ground(data: Data, source: Source, views: Sequence[str], *, cut: int) -> Ground:
    """The ground of one cut; everything is fitted on its training windows only."""
    return _ground(data, source, views, splits(data, source)[cut])


def held_ground(data: Data, source: Source, views: Sequence[str], *, cut: int, inject: str | None = None) -> Ground:
    """The ground of one cut without test windows; with `inject`, its test part is injected into normal validation windows."""
    split = splits(data, source)[cut]
    nothing = split.test[:0]
    held = replace(split, test=split.validation if inject else nothing, in_flight=nothing)
    return _ground(replace(data, inject=inject), source, views, held)


def _ground(data: Data, source: Source, views: Sequence[str], split: Split) -> Ground:
    events, windows = source.events, source.windows
    train_W = split.train
    if data.training == "normals":
        train_W = train_W[windows.label_W[train_W] == 0]
    if len(train_W) == 0:
        raise DataError(f"cut {split.name}: no normal training window before the cut; choose a later cut")
    parser = data.new_parser(parsed=events.parsed, dataset=source.dataset)
    pipeline = FeaturePipeline(views=tuple(views), parser=parser)
    context = documents.digest(data, split.train, split.validation, split.test, split.in_flight)
    pipeline.fit(events, windows.take(train_W), context)

    test, test_W, twins = windows.take(split.test), split.test, 0
    if data.inject is not None:
        normal = np.flatnonzero(test.label_W == 0)
        generator = seeds.generator(data.seed, "inject", data.inject, split.name)
        test = inject(test.take(normal), pipeline.event_ids(events), data.inject, generator)
        keep = _odd(*pipeline.transform(events, test), data.inject)
        twins = int((~keep).sum())
        test, test_W = test.take(np.flatnonzero(keep)), split.test[normal][keep]

    in_flight_W = split.in_flight if data.inject is None else split.in_flight[:0]
    chosen = {
        "train": (windows.take(train_W), train_W),
        "validation": (windows.take(split.validation), split.validation),
        "test": (test, test_W),
        "in_flight": (windows.take(in_flight_W), in_flight_W),
    }

    def parts(apart: bool) -> dict[str, Part]:
        return {
            name: Part(*pipeline.transform(events, own, apart=apart), own.kind_W, own_W, own.start_W)
            for name, (own, own_W) in chosen.items()
        }

    merged = parts(apart=False)
    stratum_N = _strata(merged["train"], merged["validation"], merged["test"])

    def made(parts: Mapping[str, Part], stratum_N: NDArray[np.str_], apart: Ground | None = None) -> Ground:
        return Ground(
            cut=split.name,
            ordered_by=split.ordered_by,
            base=pipeline.base_,
            train=parts["train"],
            validation=parts["validation"],
            test=parts["test"],
            in_flight=parts["in_flight"],
            stratum_N=stratum_N,
            warnings=(*_dropped(parser), *_warnings(merged, twins, data.inject)),
            pipeline=pipeline,
            apart=apart,
        )

    with_rows_apart = made(parts(apart=True), stratum_N[merged["test"].features.row_W]) if any_apart(views) else None
    return made(merged, stratum_N, with_rows_apart)


def splits(data: Data, source: Source) -> list[Split]:
    """The splits of the data, one per cut."""
    return make_splits(source.windows, data.split, given_parts(source.events, source.windows))


def shared_sequences(grounds: Sequence[Ground]) -> list[Ints]:
    """The number of each test row's sequence for every cut; equal sequences have the same number in all cuts.

    Vocabularies differ between cuts, and so may templates. Two rows are one sequence if they are equal within a cut, if their
    template texts are equal (unseen events have none), or if they stand for the same window of the log with the same label.
    """
    numbers: dict[Any, int] = {}
    edges: list[tuple[int, int]] = []  # (row, counted over all cuts; number of a template text)
    seen: list[Ints] = []  # for each cut, (windows, 2): the row, and a number for the window and its label
    begin = 0
    for cut, made in enumerate(grounds):
        test = made.test
        words = [*test.features.vocabulary, None]
        for row, (ids, own) in enumerate(zip(test.features.rows(), made.sequence_N.tolist(), strict=True), begin):
            text = tuple(words[i] for i in ids)
            edges.append((row, numbers.setdefault((cut, own), len(numbers))))
            if None not in text:
                edges.append((row, numbers.setdefault(text, len(numbers))))
        seen.append(np.stack([begin + test.features.row_W, 2 * test.windows_W + test.label_W], axis=1))
        begin += len(test.features)
    whole = np.concatenate(
        [np.asarray(edges, dtype=np.int64).reshape(-1, 2), *(pairs + np.array([0, len(numbers)]) for pairs in seen)]
    )
    ends = (whole[:, 0], begin + np.unique(whole[:, 1], return_inverse=True)[1].reshape(-1))
    nodes = begin + len(whole)
    found = connected_components(coo_array((np.ones(len(whole)), ends), shape=(nodes, nodes)), directed=False)[1][:begin]
    return np.split(found.astype(np.int64), np.cumsum([len(made.test.features) for made in grounds])[:-1])


def _strata(train: Part, validation: Part, test: Part) -> NDArray[np.str_]:
    """The stratum of each anomaly: the cheapest floors that find it, each floor at 1 % false alarms on validation normals."""
    held = (validation.features, validation.labels)

    def caught(*floors: Any) -> Bools:
        alarms = np.zeros(len(test.features), dtype=bool)
        for floor in floors:
            fitted = floor.fit(train.features, validation=held)
            alarms |= fitted.threshold_(fitted.anomaly_score(test.features))
        return alarms

    stratum_N = np.where(caught(NewEvent(), Length()), STRATA[0], np.where(caught(NGram(n=2), CountVector()), STRATA[1], STRATA[2]))
    return np.where(test.labels.window_N == 1, stratum_N, "").astype(np.str_)


def _odd(features: Features, labels: Labels, spec: str) -> Bools:
    """Windows to keep after an injection: drops altered ones identical to a normal window.

    No detector that reads sequences can distinguish those, so labelling them anomalies would be wrong. A delay only alters times.
    """
    if parse_spec(spec)[0] == "delay":
        return np.ones(len(features.row_W), dtype=bool)
    rows = [row.tobytes() for row in features.rows()]
    normal = {row for row, label in zip(rows, labels.window_N, strict=True) if label == 0}
    twin_N = np.asarray([row in normal for row in rows], dtype=bool) | features.seen_N
    return np.asarray(~((labels.window_N == 1) & twin_N)[features.row_W])


def _warnings(parts: Mapping[str, Part], twins: int, injected: str | None) -> tuple[str, ...]:
    validation, test = parts["validation"], parts["test"]
    found = [text for name, part in parts.items() if (text := _unseen(name.replace("_", "-"), part))]
    if twins:
        found.append(
            f"{counted(twins, 'injected window')} left out: the altered order is the sequence of a normal window all the same"
        )
    normals = int((validation.label_W == 0).sum())
    if normals < FEW_VALIDATION_NORMALS:
        found.append(f"only {counted(normals, 'validation normal')} (fewer than {FEW_VALIDATION_NORMALS}): thresholds are coarse")
    anomalies = int((test.label_W == 1).sum())
    if anomalies == 0:
        why = "" if injected is None else f"inject = '{injected}' left no altered window that differs from all normal ones; "
        way = "set `inject`" if injected is None else "inject otherwise"
        found.append(f"no test anomalies: nothing can be said about recall; {why}move the cut, take more of the log, or {way}")
    elif anomalies < FEW_TEST_ANOMALIES:
        found.append(
            f"only {anomalies} test {'anomaly' if anomalies == 1 else 'anomalies'} (fewer than {FEW_TEST_ANOMALIES}): recall is coarse"
        )
    return tuple(found)


def _dropped(parser: Parser) -> tuple[str, ...]:
    """What to say of templates beyond the cap."""
    if not isinstance(parser, Steered) or not parser.dropped:
        return ()
    lines = sum(count for _, count in parser.dropped)
    return (
        f"max_templates = {parser.max_templates}: {counted(len(parser.dropped), 'template')} left out, the least frequent in training; "
        f"{counted(lines, 'training line')} of theirs count as unseen",
    )


def _unseen(name: str, part: Part) -> str:
    """The warning about a part whose windows or events are mostly unseen in training, or ""."""
    windows, alone = len(part.label_W), part.only_unseen
    advice = "what reads event ids cannot tell them apart; choose a later cut, or look at the templates: qlogad data describe"
    if 2 * alone > windows:
        return f"{alone} of {counted(windows, f'{name} window')} hold only unseen events: {advice}"
    if part.unseen > MUCH_UNSEEN:
        return f"{part.unseen:.0%} of the events of {name} windows are unseen in training: {advice}"
    return ""
