"""The interface of a detector: features in, one anomaly score per window out (higher is more anomalous), threshold from validation.

A concrete detector is a keyword-only dataclass in a file of its own; its fields are its keys in an experiment, its `get_params`
and its saved parameters. It implements `_fit`, `anomaly_score`, `_state` and `_restore`; a detector with a network inherits most of
them from `Trained` (trained.py), one that predicts the next event from `NextEvent` (next_event.py). `fit` has no test argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from qlogad import documents, files, names
from qlogad.arrays import Floats, Ints
from qlogad.bounds import Between
from qlogad.detect.threshold import Threshold
from qlogad.errors import (
    AccountNeeded,
    BackendError,
    DataError,
    DocumentError,
    InputError,
    NotFitted,
    ResultError,
    UnknownName,
    counted,
    one_line,
    shown,
)
from qlogad.features.features import MAX_SIZE, Features, Labels
from qlogad.features.frame import windows_of
from qlogad.features.view import View, any_apart, learns, view_of
from qlogad.nn.core.core import Core

if TYPE_CHECKING:
    from qlogad.backend.backend import Backend
    from qlogad.nn.layer import GateCircuits
    from qlogad.nn.train import Epoch

__all__ = ["EXPECTED", "Detector", "State", "Track"]

FORMAT = 2
WEIGHTS = "weights.safetensors"
_ANEW = "train and save the detector again, or rerun its experiment"
EXPECTED = 3  # largest number of event types reported as expected instead of an anomalous event
State = dict[str, np.ndarray]
Track = Literal["unsupervised", "normal-only", "normal-only, labelled validation", "supervised"]
Sequences: TypeAlias = Sequence[Sequence[int]] | pd.DataFrame  # a list of event ids per window, or a row per event
Rate = Annotated[float, Between(0, 1, "high")]
ByHand = Annotated[float, Between(-1e12, 1e12)]


@dataclass(kw_only=True)
class Detector(BaseEstimator, ABC):  # type: ignore[misc]
    """A detector of anomalous windows, following scikit-learn's conventions.

    After `fit`: `threshold_` (None without validation data, unless the threshold is fixed by hand), `size_` (V), `weights_` (the number
    of fitted parameters by kind), `views_` (the fitted views).
    """

    threshold: Literal["fpr", "f1"] | ByHand = (
        "fpr"  # rule: false positive rate (label-free), best F1 (needs labels); or a number by hand
    )
    fpr: Rate = 0.01  # target false positive rate of the rule "fpr"

    reads: ClassVar[tuple[str, ...]] = ("ids",)  # the views it needs
    supervised: ClassVar[bool] = False  # whether `fit` needs training rows with both labels
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # names of values for several keys, as in an experiment

    def __post_init__(self) -> None:
        documents.enforce(self, DataError, sizes=False)  # sizes are checked by `fit`
        documents.enforce_value("fpr", self.fpr, Rate, DataError)

    def set_params(self, **params: Any) -> Self:
        """Set fields, and return the detector itself.

        Raises:
            ValueError: there is no such field, or a value is invalid; then no field is changed.
        """
        before = self.get_params(deep=False)
        try:
            super().set_params(**params)
            self.__post_init__()
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
        return self

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A detector with the values of a preset, which is nothing but values of keys (`presets`), and with changes to them.

        In an experiment, `preset = "paper"` stands for these keys; those written beside it take precedence.

        >>> from qlogad.detect.sequences.deeplog import DeepLog
        >>> detector = DeepLog.preset("paper", history=5)
        >>> detector.layers, detector.history
        (2, 5)

        Raises:
            UnknownName: there is no such preset.
            ValueError: there is no such field, or a value is invalid.
        """
        if name not in cls.presets:
            raise UnknownName(f"preset of {_called(cls)}", name, cls.presets)
        made: Self = documents.from_mapping(cls, cls.presets[name], f"preset '{name}'")
        return made.set_params(**changes)

    def check(self) -> None:
        """Build what can be built without data.

        Raises:
            InputError: the fields are not valid together.
            BackendError: a backend cannot run or train the circuits.
        """

    @abstractmethod
    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        """Fit on the training rows (multiplicities in `features.weight_N`)."""

    @abstractmethod
    def anomaly_score(self, features: Features) -> Floats:
        """One score per row, (N,); higher is more anomalous; +inf is allowed, NaN is not. A row's score depends only on that row."""

    @abstractmethod
    def _state(self) -> State:
        """The fitted state, as named arrays of finite numbers."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """Restore what `_state` returned; `size_` is already set. Arrays from a file must be checked: see `files.check_arrays`."""

    def backends(self) -> list[Backend]:
        """The backends that its circuits run on; their plans are saved with it."""
        return list({id(layer.backend): layer.backend for layer in self.circuits()}.values())

    def event_score(self, features: Features) -> Floats:
        """One score per event, (E,), delimited by `features.offsets_N1`: above 0 if the event raises its window's score.

        Higher contributes more; NaN if the detector does not score single events.
        """
        return np.full(len(features.ids_E), np.nan)

    def raised_by(self, features: Features, scores_N: Floats) -> Ints:
        """The position in `features.ids_E` of the event that raised each row's score, (N,); -1 if no single event did.

        Args:
            features: the rows.
            scores_N: their anomaly scores.

        Raises:
            NotFitted: the detector has no threshold.
        """
        if self.threshold_ is None:
            raise NotFitted(f"{type(self).__name__} has no threshold; call fit(..., validation=windows) first")
        return self.threshold_.raised_by(self.event_score(features), features.offsets_N1, scores_N)

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """At most `EXPECTED` event types expected instead of each given event, most likely first; empty if unknown.

        Args:
            features: the rows.
            event_A: positions in `features.ids_E`.
        """
        return [[] for _ in event_A]

    def circuits(self) -> list[GateCircuits]:
        """Quantum layers of a fitted detector; assign `layer.backend` to run them elsewhere."""
        return []

    def passes(self, features: Features) -> Floats:
        """The number of network evaluations each row needs, (N,), if equal inputs were not shared."""
        return np.ones(len(features))

    def compiling_saves(self, features: Features) -> float:
        """Approximate seconds that compiled kernels would save in training on these features; 0 if it does not use them."""
        return 0.0

    def plans(self) -> list[dict[str, Any]]:
        """How its circuits are simulated, see `Backend.plans`; empty without circuits."""
        plans = [plan for backend in self.backends() for plan in backend.plans()]
        return [plan for place, plan in enumerate(plans) if plan not in plans[:place]]

    def weights(self) -> dict[str, int]:
        """The number of fitted parameters: `quantum`, `classical` and `total`."""
        total = sum(int(array.size) for array in self._state().values())
        return {"quantum": 0, "classical": total, "total": total}

    def fit(
        self,
        features: Features | Sequences,
        labels: Labels | Sequence[int] | None = None,
        *,
        validation: tuple[Features, Labels | None] | Sequences | None = None,
        report: Callable[[Epoch], None] | None = None,
    ) -> Self:
        """Fit on training windows, then set the threshold on validation windows.

        Args:
            features: the training rows: Features, lists of event ids (one per window), or a DataFrame with one row per event, in
                order, and the columns `window` (any identifier; windows are ordered by first appearance) and `event` (ids, 0 or
                more); for detectors that read more of an event also `time`, `level`, `component`, `values`, `text`, where they are
                known (columns of other names: `Features.from_frame`).
            labels: labels of the training rows, 1 is an anomaly, for supervised detectors; others ignore them.
            validation: windows for the threshold and early stopping: (features, labels), with None as labels if they are assumed
                normal; or lists or a DataFrame of event ids, which are assumed normal.
            report: called after every epoch by detectors that train in epochs; an exception it raises stops training.

        >>> from qlogad.detect.floors.new_event import NewEvent
        >>> frame = pd.DataFrame({"window": ["a", "a", "b", "b"], "event": [0, 1, 1, 0]})
        >>> NewEvent().fit(frame, validation=frame).predict(pd.DataFrame({"window": ["c", "d"], "event": [1, 7]})).tolist()
        [0, 1]

        Raises:
            DataError: there are no training windows, windows have another format, or labels do not match the rows or are missing
                for a supervised detector.
        """
        documents.enforce(self, DataError)
        features = _features(features, self.reads)
        if len(features) == 0:
            raise DataError("there are no training windows; choose a later cut or more data")
        if labels is not None and not isinstance(labels, Labels):
            labels = Labels(np.asarray(labels, dtype=np.int64))
        if labels is not None and len(labels.window_N) != len(features):
            raise DataError(f"there are {len(features)} training rows but {len(labels.window_N)} labels")
        if self.supervised:
            self._check_labels(features, labels)
        held = self._validation(validation, features.size, features.views)
        self.size_ = features.size
        self._report: Callable[[Epoch], None] | None = report
        try:
            self._fit(features, labels, held)
        finally:
            self._report = None
        if isinstance(self.threshold, str):
            self.threshold_ = None if held is None else self.threshold_on(*held)
        else:
            self.threshold_ = Threshold.by_hand(self.threshold)
        self.weights_ = self.weights()
        self.views_ = {name: view for name, view in features.views.items() if name in self.reads}
        return self

    def _check_labels(self, features: Features, labels: Labels | None) -> None:
        if labels is None:
            raise DataError(
                f"{type(self).__name__} learns from labelled windows: call fit(windows, labels), or set training = 'all' in [data]"
            )
        for label, kind in enumerate(("normal window", "anomaly")):
            if not (features.weight_N[labels.window_N == label] > 0).any():
                raise DataError(
                    f"{type(self).__name__} needs both labels, but no training window is a labelled {kind}; "
                    "choose a later cut, or a detector that learns from normal windows"
                )

    def _validation(self, given: Any, size: int, views: Mapping[str, View]) -> tuple[Features, Labels | None] | None:
        if given is None:
            return None
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Features):
            return given[0], given[1]
        return _features(given, self.reads, views, size), None

    def threshold_on(self, features: Features, labels: Labels | None = None) -> Threshold:
        """The threshold by the detector's rule on validation windows, with circuits on their current backend; as it is, if fixed by hand.

        Args:
            features: validation windows, never test windows.
            labels: labels of the rows, needed by the rule "f1"; None: all are assumed normal.
        """
        if not isinstance(self.threshold, str):
            return Threshold.by_hand(self.threshold)
        scores_N = self.anomaly_score(features)
        if self.threshold == "f1":
            if labels is None:
                raise DataError("the rule 'f1' needs labelled validation windows; use threshold = 'fpr'")
            return Threshold.best_f1(scores_N, labels.window_N, features.weight_N)
        normal_N = np.ones(len(features), dtype=bool) if labels is None else labels.window_N == 0
        return Threshold.at_rate(scores_N[normal_N], self.fpr, features.weight_N[normal_N])

    def score_samples(self, windows: Features | Sequences) -> Floats:
        """`anomaly_score`, also for lists and DataFrames as in `fit`: one score per window, (N,).

        Higher is more anomalous (scikit-learn's sign is the opposite).
        """
        scores_N = self.anomaly_score(self._known(windows))
        if np.isnan(scores_N).any():
            nan = counted(int(np.isnan(scores_N).sum()), "window")
            raise DataError(f"{type(self).__name__} scores NaN for {nan}: its training diverged; train it again with a smaller lr")
        return scores_N

    def predict(self, windows: Features | Sequences) -> Ints:
        """1 for an anomaly, 0 for a normal window, (N,) (scikit-learn's outlier detectors return -1 and 1).

        Raises:
            NotFitted: before `fit`, or if `fit` had no validation windows for the threshold.
        """
        threshold: Threshold | None = getattr(self, "threshold_", None)
        if threshold is None:
            raise NotFitted(f"{type(self).__name__} has no threshold; call fit(..., validation=windows) first")
        return threshold(self.score_samples(windows)).astype(np.int64)

    def _known(self, windows: Features | Sequences) -> Features:
        if not hasattr(self, "size_"):
            raise NotFitted(f"{type(self).__name__} is not fitted yet; call fit(windows) first")
        return _features(windows, self.reads, self.views_, self.size_)

    def save(self, folder: str | Path) -> None:
        """Write the fitted detector: `detector.toml` (name, parameters, threshold) and `weights.safetensors`; no code, no pickle."""
        from safetensors.numpy import save as to_bytes

        if not hasattr(self, "size_"):
            raise NotFitted(f"{type(self).__name__} is not fitted yet; call fit(windows) first")
        folder = Path(folder)
        weights = to_bytes({name: np.ascontiguousarray(array) for name, array in self._state().items()})
        files.write(folder / WEIGHTS, weights)
        content = {
            "format": FORMAT,
            "detector": _called(type(self)),
            "size": self.size_,
            "digest": documents.digest(self.size_, weights),
            "params": self.get_params(deep=False),
            "threshold": self.threshold_,
            "plans": self.plans(),
        }
        if self.views_:
            content["views"] = {name: view.state() for name, view in self.views_.items()}
        files.write(folder / "detector.toml", documents.dump(content, infinite=True))

    @classmethod
    def load(cls, folder: str | Path, *, backend: str | None = None, core: Core | None = None) -> Self:
        """Read a detector written by `save`; scores are bit-identical on the same machine and pinned versions.

        Modules named in the folder are not imported: the detector must be part of qlogad, an installed entry point of
        `qlogad.detectors`, or the class this is called on.

        Args:
            folder: the folder it was saved to.
            backend: the backend to run its circuits on, such as "aer:fake_manila,shots=1024", with the same weights and threshold.
                None: the saved backend, unless it may use one of your accounts.
            core: replaces the saved core; needed for a custom torch module, which is never imported from a file.

        Raises:
            AccountNeeded: the saved backend may use one of your accounts, and `backend` is None.
            ResultError: the folder has no detector, or one that is damaged, has another format version or class, or runs no
                circuits although `backend` is given.
        """
        folder = Path(folder)
        path = folder / "detector.toml"
        if not path.is_file():
            raise ResultError(f"there is no saved detector in {folder} (detector.toml is missing)")
        saved = _saved(path)
        detector = cls._unfitted(saved, path, backend, core)
        try:
            detector.size_, detector.threshold_ = saved.size, saved.threshold
            content = _read(folder / WEIGHTS)
            kinds = {name: names.find("view", name) for name in type(detector).reads}
            detector.views_ = {name: kind.from_state(saved.views[name]) for name, kind in kinds.items() if learns(kind)}
            detector._restore(_arrays(content))
            if documents.digest(saved.size, content) != saved.digest:
                raise ResultError("they are not the ones saved with it")
            backends = detector.backends()
            if saved.plans and not backends:
                raise InputError("it has plans for circuits, but runs none")
            for used in backends:
                used.adopt(saved.plans)
        except ResultError as error:
            raise ResultError(f"the weights in {folder} do not fit its detector.toml: {error}; {_ANEW}") from error
        except BackendError as error:
            raise error if backend is not None else ResultError(f"{path}: {error}; {_ANEW}") from error
        except (
            ValueError,
            KeyError,
            TypeError,
            IndexError,
            RuntimeError,
        ) as error:  # ours, or from a detector that does not check its state
            raise ResultError(f"{path}: {one_line(error)}; {_ANEW}") from error
        detector.weights_ = detector.weights()
        return detector

    @classmethod
    def _unfitted(cls, saved: _Saved, path: Path, backend: str | None, core: Core | None) -> Self:
        """A saved detector without its weights."""
        params = dict(saved.params)
        if core is not None and params.pop("core", None) is None:
            raise ResultError(f"the detector in {path.parent} has no core; load it without `core`")
        if backend is None and (hired := _hired(params)) is not None:
            raise AccountNeeded(
                f"{path} runs its circuits on {shown(hired, 100)}, which may use one of your accounts; choose the backend yourself, "
                f'for example Detector.load("{path.parent}", backend="exact")'
            )
        try:
            detector: Self = documents.from_mapping(cls._saved_as(saved.detector), params, "params", strict=True)
            detector = detector if core is None else detector.set_params(core=core)
        except (ValueError, TypeError) as error:
            raise ResultError(f"{path}: {one_line(error)}; {_ANEW}") from error
        if backend is None:
            return detector
        core = detector.get_params(deep=False).get("core")
        if not isinstance(core, Core) or core.backend is None:
            raise ResultError(
                f"the detector in {path.parent} runs no circuits, so it has no backend to change; load it without `backend`"
            )
        return detector.set_params(core=core.with_backend(backend))

    @classmethod
    def _saved_as(cls, name: str) -> type[Self]:
        """The class of a saved detector: this class or a subclass."""
        found = names.find("detector", name) if name in names.known("detector") else cls if name == _called(cls) else None
        if found is None and ":" in name:
            raise InputError(
                f"{shown(name, 100)} is not an installed detector, and code named in a file is never imported; "
                "import the class, and call its own load"
            )
        if found is None:
            raise UnknownName("detector", name, names.known("detector"))
        if not issubclass(found, cls):
            raise InputError(f"it is a {shown(name)}, not a {cls.__name__}")
        return found


@dataclass(frozen=True)
class _Saved:
    """The contents of detector.toml."""

    format: int
    detector: str  # its name, or package:Class if it has none
    size: int  # V
    digest: str  # digest of the size and the weights
    params: Mapping[str, Any]
    plans: tuple[Mapping[str, Any], ...] = ()
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # states of the fitted views
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise DataError(f"size is the number of event types and must be from 0 to {MAX_SIZE}, got {self.size}")


def _saved(path: Path) -> _Saved:
    """The checked contents of detector.toml."""
    try:
        content = documents.read(path)
        if content.get("format") != FORMAT:
            raise ResultError(
                f"{path} has format {shown(content.get('format'))}, but this version of qlogad reads {FORMAT}; {_ANEW}"
            )
        return documents.from_mapping(_Saved, content, str(path), strict=True)
    except DocumentError as error:
        raise ResultError(f"{error}; {_ANEW}") from error


def _hired(params: object) -> str | None:
    """The backend in saved parameters that may use one of the user's accounts; None if there is none."""
    if isinstance(params, Mapping):
        from qlogad.backend.backend import asks_account

        spec = params.get("backend")
        with suppress(UnknownName):  # reported when the detector is built
            if isinstance(spec, str) and asks_account(spec):
                return spec
        return next(filter(None, map(_hired, params.values())), None)
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path.name} cannot be read ({error.strerror})") from error


def _arrays(content: bytes) -> State:
    """The arrays of a weights file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: State = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ResultError(f"{WEIGHTS} is damaged ({one_line(error, 100)})") from error
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ResultError(f"'{name:.40}' has values that are not finite")
    return arrays


def _called(cls: type[Detector]) -> str:
    """The name of a class in a saved detector."""
    return names.name_of("detector", cls) or f"{cls.__module__}:{cls.__qualname__}"


def _features(
    windows: Features | Sequences, reads: Sequence[str], views: Mapping[str, View] | None = None, size: int | None = None
) -> Features:
    """Windows of any kind as features; what a DataFrame says of events besides their ids is read if a view needs it.

    Args:
        windows: features, which come back as they are; lists of event ids; or a DataFrame.
        reads: the views needed.
        views: those of the training rows; None: they are fitted on these rows.
        size: V of the training rows.

    Raises:
        DataError: they are no windows, or a column is not there or holds something else.
    """
    if isinstance(windows, Features):
        return windows
    known = reads if views is None else {name: view_of(views, name) for name in reads}
    if isinstance(windows, pd.DataFrame):
        if any_apart(reads):
            return Features.from_frame(windows, size=size, views=known)
        windows = windows_of(windows)
    return Features.from_sequences(windows, size=size, views=known)
