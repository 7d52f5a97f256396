"""What a detector is: features in, one anomaly score per window out (higher is more anomalous), a threshold fitted on validation.

A concrete detector is a keyword-only dataclass in a file of its own; its fields are its keys in an experiment, its `get_params`
and its saved form. It writes four small methods: `_fit`, `anomaly_score`, `_state`, `_restore`; one with a network takes most of them
from `Trained` (trained.py), and one that predicts the next event from `NextEvent` (next_event.py). `fit` has no test argument.
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
    did_you_mean,
    one_line,
    shown,
)
from qlogad.features.features import MAX_SIZE, Features, Labels
from qlogad.features.view import View, learns
from qlogad.nn.core.core import Core

if TYPE_CHECKING:
    from qlogad.backend.backend import Backend
    from qlogad.nn.layer import GateCircuits
    from qlogad.nn.train import Epoch

__all__ = ["EXPECTED", "Detector", "State", "Track"]

FORMAT = 2
WEIGHTS = "weights.safetensors"
_ANEW = "train and save the detector anew, or run its experiment again"
EXPECTED = 3  # event types that are named in place of an odd event
State = dict[str, np.ndarray]
Track = Literal["unsupervised", "normal-only", "normal-only, labelled validation", "supervised"]
Sequences: TypeAlias = Sequence[Sequence[int]] | pd.DataFrame  # a list of event ids for each window, or a row for each event
Rate = Annotated[float, Between(0, 1, "high")]
COLUMNS = ("window", "event")  # of a DataFrame


@dataclass(kw_only=True)
class Detector(BaseEstimator, ABC):  # type: ignore[misc]
    """A detector of anomalous windows, in scikit-learn's manners.

    After `fit`: `threshold_` (None without validation data), `size_` (V), `weights_` (how many numbers were learnt, by kind),
    `views_` (those that learn from training rows, fitted).
    """

    threshold: Literal["fpr", "f1"] = "fpr"  # the rule on validation: label-free false positive rate, or best labelled F1
    fpr: Rate = 0.01  # the false positive rate asked for by the rule "fpr"

    reads: ClassVar[tuple[str, ...]] = ("ids",)  # the views it needs
    supervised: ClassVar[bool] = False  # whether it learns from the labels of the training rows, and needs both kinds

    def __post_init__(self) -> None:
        documents.enforce(self, DataError, sizes=False)  # those of the detector's own fields are looked at by `fit`
        documents.enforce_value("fpr", self.fpr, Rate, DataError)

    def set_params(self, **params: Any) -> Self:
        """The same detector with some fields replaced.

        Raises:
            ValueError: there is no such field, or a value does not fit; then nothing is replaced.
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

    def check(self) -> None:
        """Build what can be built before there is data; an InputError or a BackendError where that fails."""

    @abstractmethod
    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        """Learn from the training rows (multiplicities in `features.weight_N`)."""

    @abstractmethod
    def anomaly_score(self, features: Features) -> Floats:
        """One score per row, (N,); higher is more anomalous; +inf is allowed, NaN is not. A pure function of complete windows."""

    @abstractmethod
    def _state(self) -> State:
        """What was learnt, as named arrays of finite numbers."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """The inverse of `_state`; `size_` is already set. What comes from a file is checked: see `files.check_arrays`."""

    def backends(self) -> list[Backend]:
        """The backends its circuits run on; what they decided for themselves is saved with it."""
        return list({id(layer.backend): layer.backend for layer in self.circuits()}.values())

    def event_score(self, features: Features) -> Floats:
        """One score per event, (E,), ragged as `features.offsets_N1`: above 0 where the event raises its window's score.

        The event that raises it most has the highest; NaN where the detector has no opinion on single events.
        """
        return np.full(len(features.ids_E), np.nan)

    def raised_by(self, features: Features, scores_N: Floats) -> Ints:
        """The position in `features.ids_E` of the event that raised each row's score, (N,); -1 where no single event did.

        Args:
            features: the rows.
            scores_N: their anomaly scores.

        Raises:
            NotFitted: it has no threshold.
        """
        if self.threshold_ is None:
            raise NotFitted(f"{type(self).__name__} has no threshold; call fit(..., validation=windows) first")
        return self.threshold_.raised_by(self.event_score(features), features.offsets_N1, scores_N)

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """The event types expected in place of some events, likeliest first, `EXPECTED` at most; none where it expects nothing.

        Args:
            features: the rows.
            event_A: positions in `features.ids_E`.
        """
        return [[] for _ in event_A]

    def circuits(self) -> list[GateCircuits]:
        """Quantum layers of a fitted detector; assign `layer.backend` to run them elsewhere."""
        return []

    def passes(self, features: Features) -> Floats:
        """How often each row would go through the network if nothing that is equal was shared, (N,)."""
        return np.ones(len(features))

    def compiling_saves(self, features: Features) -> float:
        """Seconds that compiled kernels would save in training on these features, about; 0 where it has no use for them."""
        return 0.0

    def plans(self) -> list[dict[str, Any]]:
        """How its circuits are simulated, see `Backend.plans`; none where it has no circuits."""
        plans = [plan for backend in self.backends() for plan in backend.plans()]
        return [plan for place, plan in enumerate(plans) if plan not in plans[:place]]

    def weights(self) -> dict[str, int]:
        """How many numbers the fitted model holds: `quantum`, `classical` and `total`."""
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
        """Learn from training windows, then fix the threshold on validation windows.

        Args:
            features: the training rows; plain lists of event ids will do, one a window, and so will a DataFrame with a row for
                each event, in order, and the columns `window` (whatever tells windows apart; they come in the order in which they
                are first met) and `event` (ids, 0 and above).
            labels: labels of the training rows (0/1), for supervised detectors; the others do not read them.
            validation: other windows, for the threshold and early stopping: features with their labels, or None in their
                place when they are normal by assumption. Plain lists of event ids, and a DataFrame of them, are taken as normal.
            report: is told of every epoch, by detectors that train in epochs; an exception it raises ends the training.

        >>> from qlogad.detect.new_event import NewEvent
        >>> frame = pd.DataFrame({"window": ["a", "a", "b", "b"], "event": [0, 1, 1, 0]})
        >>> NewEvent().fit(frame, validation=frame).predict(pd.DataFrame({"window": ["c", "d"], "event": [1, 7]})).tolist()
        [0, 1]

        Raises:
            DataError: there is nothing to learn from, windows are not written like that, or labels do not fit the rows or are
                missing where they are learnt from.
        """
        documents.enforce(self, DataError)
        features = features if isinstance(features, Features) else Features.from_sequences(_lists(features), views=self.reads)
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
        self.threshold_ = None if held is None else self.threshold_on(*held)
        self.weights_ = self.weights()
        self.views_ = {name: view for name, view in features.views.items() if name in self.reads}
        return self

    def _check_labels(self, features: Features, labels: Labels | None) -> None:
        if labels is None:
            raise DataError(
                f"{type(self).__name__} learns from labelled windows: call fit(windows, labels), or say training = 'all' in [data]"
            )
        for label, kind in enumerate(("normal window", "anomaly")):
            if not (features.weight_N[labels.window_N == label] > 0).any():
                raise DataError(
                    f"{type(self).__name__} learns from both kinds, and no training window is a labelled {kind}; "
                    "choose a later cut, or a detector that learns from normal windows"
                )

    @staticmethod
    def _validation(given: Any, size: int, views: Mapping[str, View]) -> tuple[Features, Labels | None] | None:
        if given is None:
            return None
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Features):
            return given[0], given[1]
        return (given if isinstance(given, Features) else Features.from_sequences(_lists(given), size=size, views=views)), None

    def threshold_on(self, features: Features, labels: Labels | None = None) -> Threshold:
        """The threshold that the detector's rule finds on validation windows, with its circuits where they run now.

        Args:
            features: of validation windows; test windows have no place here.
            labels: of each row, which the rule "f1" needs; None: all are normal.
        """
        scores_N = self.anomaly_score(features)
        if self.threshold == "f1":
            if labels is None:
                raise DataError("the rule 'f1' needs labelled validation windows; use threshold = 'fpr'")
            return Threshold.best_f1(scores_N, labels.window_N, features.weight_N)
        normal_N = np.ones(len(features), dtype=bool) if labels is None else labels.window_N == 0
        return Threshold.at_rate(scores_N[normal_N], self.fpr, features.weight_N[normal_N])

    def score_samples(self, windows: Features | Sequences) -> Floats:
        """`anomaly_score` for plain lists of event ids and for DataFrames too, one score a window.

        Higher is more anomalous (scikit-learn's sign is the opposite).
        """
        scores_N = self.anomaly_score(self._known(windows))
        if np.isnan(scores_N).any():
            nan = counted(int(np.isnan(scores_N).sum()), "window")
            raise DataError(
                f"{type(self).__name__} gives no number for {nan}: its training has diverged; train it anew with a smaller lr"
            )
        return scores_N

    def predict(self, windows: Features | Sequences) -> Ints:
        """1 for an anomaly, 0 for a normal window (scikit-learn's outlier detectors say -1 and 1).

        Raises:
            NotFitted: before `fit`, or when `fit` had no validation windows to set the threshold on.
        """
        threshold: Threshold | None = getattr(self, "threshold_", None)
        if threshold is None:
            raise NotFitted(f"{type(self).__name__} has no threshold; call fit(..., validation=windows) first")
        return threshold(self.score_samples(windows)).astype(np.int64)

    def _known(self, windows: Features | Sequences) -> Features:
        if not hasattr(self, "size_"):
            raise NotFitted(f"{type(self).__name__} is not fitted yet; call fit(windows) first")
        if isinstance(windows, Features):
            return windows
        return Features.from_sequences(_lists(windows), size=self.size_, views=self.views_)

    def save(self, folder: str | Path) -> None:
        """Write the fitted detector: `detector.toml` (name, parameters, threshold) and `weights.safetensors`. Never code, never pickle."""
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
        """Read a detector written by `save`; it gives the same scores bit for bit on the same machine and pins.

        Nothing in the folder makes a module be imported: a detector is one of ours, one that an installed package offers as an entry
        point `qlogad.detectors`, or the class this is called on.

        Args:
            folder: where it was saved.
            backend: where its circuits run from now on, "aer:fake_manila,shots=1024" say; the same weights and threshold. None: where
                they ran before, unless that may use an account of the user's, which no file decides.
            core: in place of the saved one; for one with a torch module of your own, which no file makes qlogad import.

        Raises:
            AccountNeeded: the folder names such a place, and `backend` is None.
            ResultError: the folder holds no detector, a damaged one, one of another format, one of another class, or one without a
                backend to change.
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
                raise ResultError("they are not those that were saved with it")
            backends = detector.backends()
            if saved.plans and not backends:
                raise InputError("it has plans for circuits, and runs none")
            for used in backends:
                used.adopt(saved.plans)
        except ResultError as error:
            raise ResultError(f"the weights in {folder} do not fit its detector.toml: {error}; {_ANEW}") from error
        except BackendError as error:
            raise error if backend is not None else ResultError(f"{path}: {error}; {_ANEW}") from error
        except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:  # ours, or of a detector that checks nothing
            raise ResultError(f"{path}: {one_line(error)}; {_ANEW}") from error
        detector.weights_ = detector.weights()
        return detector

    @classmethod
    def _unfitted(cls, saved: _Saved, path: Path, backend: str | None, core: Core | None) -> Self:
        """A saved detector before its weights."""
        params = dict(saved.params)
        if core is not None and params.pop("core", None) is None:
            raise ResultError(f"the detector in {path.parent} has no core; load it without one")
        if backend is None and (hired := _hired(params)) is not None:
            raise AccountNeeded(
                f"{path} has circuits run as {shown(hired, 100)}, which may use an account of yours; say yourself where they run: "
                f'Detector.load("{path.parent}", backend="exact"), say'
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
                f"the detector in {path.parent} runs no circuits, so it has no backend to change; load it without one"
            )
        return detector.set_params(core=core.with_backend(backend))

    @classmethod
    def _saved_as(cls, name: str) -> type[Self]:
        """The class of a saved detector, which is this one or one below it."""
        found = names.find("detector", name) if name in names.known("detector") else cls if name == _called(cls) else None
        if found is None and ":" in name:
            raise InputError(
                f"{shown(name, 100)} is no installed detector, and no file makes qlogad import it; import the class, and call its own load"
            )
        if found is None:
            raise UnknownName("detector", name, names.known("detector"))
        if not issubclass(found, cls):
            raise InputError(f"it holds a {shown(name)}, and not a {cls.__name__}")
        return found


@dataclass(frozen=True)
class _Saved:
    """What stands in detector.toml."""

    format: int
    detector: str  # its name, or package:Class of one without
    size: int  # V
    digest: str  # of the size and the weights
    params: Mapping[str, Any]
    plans: tuple[Mapping[str, Any], ...] = ()
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # states of those that learnt
    threshold: Threshold | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise DataError(f"size is the number of event types, up to {MAX_SIZE}, got {self.size}")


def _saved(path: Path) -> _Saved:
    """What was saved, checked."""
    try:
        content = documents.read(path)
        if content.get("format") != FORMAT:
            raise ResultError(f"{path} is of format {shown(content.get('format'))}, this qlogad reads {FORMAT}; {_ANEW}")
        return documents.from_mapping(_Saved, content, str(path), strict=True)
    except DocumentError as error:
        raise ResultError(f"{error}; {_ANEW}") from error


def _hired(params: object) -> str | None:
    """The backend among saved parameters that may use an account of the user's."""
    if isinstance(params, Mapping):
        from qlogad.backend.backend import asks_account

        spec = params.get("backend")
        with suppress(UnknownName):  # told when the detector is built
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
    """The arrays of a file of weights."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: State = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ResultError(f"{WEIGHTS} is damaged ({one_line(error, 100)})") from error
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ResultError(f"'{name:.40}' holds values that are not finite")
    return arrays


def _called(cls: type[Detector]) -> str:
    """What a class is called in a saved detector."""
    return names.name_of("detector", cls) or f"{cls.__module__}:{cls.__qualname__}"


def _lists(windows: Sequences) -> Sequence[Sequence[int]]:
    """Windows as lists of event ids.

    Raises:
        DataError: a DataFrame lacks a column, or a window or event is missing.
    """
    if not isinstance(windows, pd.DataFrame):
        return windows
    for column in COLUMNS:
        if column not in windows:
            known = [str(name) for name in windows]
            raise DataError(
                f"a DataFrame of windows has a row for each event and the columns 'window' and 'event'; '{column}' is not among "
                f"{shown(known)}{did_you_mean(column, known)}"
            )
        missing = int(windows[column].isna().sum())
        if missing:
            raise DataError(f"column '{column}' lacks {counted(missing, 'value')}; drop those rows or fill them in")
    return [group.tolist() for _, group in windows["event"].groupby(windows["window"], sort=False, observed=True)]
