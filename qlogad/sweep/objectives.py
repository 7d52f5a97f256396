"""The objectives of a study, measured on validation windows or on the circuit, never on test windows (`qlogad list objectives`).

To add an objective, add an entry to `OBJECTIVES`; it can then be listed and chosen in a study.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from qlogad import documents
from qlogad.detect.detector import Detector
from qlogad.detect.threshold import Threshold
from qlogad.errors import DataError, DocumentError, did_you_mean, shown
from qlogad.evaluate import metrics
from qlogad.experiment.ground import Ground
from qlogad.nn.core.core import Core
from qlogad.nn.schedule import Schedule

if TYPE_CHECKING:
    from qlogad.circuit.circuit import Circuit

__all__ = ["OBJECTIVES", "Direction", "Fitted", "Objective", "circuit_of", "objective"]

Direction = Literal["minimize", "maximize"]
PASS = 100  # validation rows in the pass whose device seconds are estimated
_JUDGED = (
    "f1",
    "recall",
    "precision",
    "mcc",
    "pr_auc",
    "roc_auc",
    "pr-auc",
    "roc-auc",
    "specificity",
    "accuracy",
    "average-precision",
)


_SCHEDULE = (*(field.name for field in fields(Schedule)), "seed", "threshold", "fpr", "score", "unseen")  # do not change model size
_NO_CIRCUIT = (
    "core.hidden",
    "core.backend",
    "core.shared",
    "core.frozen",
    "core.init",
)  # keys of a core that do not change its circuit


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted detector with its ground, whose test part holds injected validation windows or nothing."""

    detector: Detector
    ground: Ground
    device: str  # for `device-seconds`


@dataclass(frozen=True)
class Objective:
    """A number measured for each trial, and whether to minimize or maximize it."""

    name: str
    direction: Direction
    what: str  # a description for users
    measure: Callable[[Fitted], float]
    labelled: bool = False  # reads labels of anomalies
    trained: bool = True  # False: known before training
    reads: Literal["training", "model", "circuit"] = "training"  # what it is computed from

    def depends(self, axis: str) -> bool:
        """Whether it can depend on a key of the space, such as "core.depth".

        >>> [OBJECTIVES["two-qubit-gates"].depends(axis) for axis in ("core.depth", "design.gates", "core.hidden", "lr")]
        [True, True, False, False]
        """
        if self.reads == "circuit":
            return axis.startswith("design.") or (axis.startswith("core.") and axis not in _NO_CIRCUIT)
        return self.reads == "training" or axis not in _SCHEDULE

    @property
    def fact(self) -> bool:
        """Whether it is a property of the circuit or the detector, without the sampling error of a measurement on windows."""
        return self.reads != "training"

    def __post_init__(self) -> None:
        documents.enforce(self)


def objective(name: str) -> Objective:
    """Look up an objective by name.

    Raises:
        DocumentError: it is measured on test windows, or there is no such objective.
    """
    known = ", ".join(OBJECTIVES)
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    if name.startswith("test") or name in _JUDGED:
        hint = did_you_mean(
            "validation-" + name.removeprefix("test").lstrip("-_.").replace("pr_auc", "average-precision"), OBJECTIVES
        )
        raise DocumentError(f"objective {shown(name)} is measured on test windows, which no choice may use{hint}; known: {known}")
    raise DocumentError(f"there is no objective {shown(name)}{did_you_mean(name, OBJECTIVES)}; known: {known}")


def circuit_of(detector: Detector) -> Circuit | None:
    """The circuit that a detector will train, known before fitting; the first of several; None if its core has none."""
    core = detector.get_params(deep=False).get("core")
    circuits = core.circuits() if isinstance(core, Core) else ()
    return circuits[0] if circuits else None


# ---------------------------------------------------------------- the objectives


def _loss(fitted: Fitted) -> float:
    history = fitted.detector.history_
    losses = [epoch.validation for epoch in history.epochs if epoch.validation is not None]
    if not losses:
        raise DataError(
            "there is no validation loss: the validation windows contain nothing to compute one from; choose a later cut"
        )
    return float(min(losses))


def _precision(fitted: Fitted, part: Literal["validation", "test"]) -> float:
    rows = getattr(fitted.ground, part)
    labels_N = rows.labels.window_N
    if not (labels_N == 1).any() or not (labels_N == 0).any():
        what = "injected" if part == "test" else "labelled"
        raise DataError(f"cut {fitted.ground.cut}: validation needs both {what} anomalies and normal windows; choose another cut")
    return metrics.pr_auc(fitted.detector.anomaly_score(rows.features), labels_N, rows.features.weight_N)


def _best_f1(fitted: Fitted) -> float:
    held = fitted.ground.validation
    return Threshold.best_f1(fitted.detector.anomaly_score(held.features), held.labels.window_N, held.features.weight_N).target


def _of_circuit(measure: Callable[[Circuit], float]) -> Callable[[Fitted], float]:
    def measured(fitted: Fitted) -> float:
        circuit = circuit_of(fitted.detector)
        return 0.0 if circuit is None else float(measure(circuit))

    return measured


def _seconds(fitted: Fitted) -> float:
    from qlogad.hardware import forecast

    if not fitted.detector.circuits():
        return 0.0
    held = fitted.ground.validation.features
    return forecast.forecast(fitted.detector, held.take(_first(len(held))), fitted.device, mode="open").cost.seconds


def _first(rows: int) -> Any:
    import numpy as np

    return np.arange(min(rows, PASS))


OBJECTIVES: dict[str, Objective] = {
    one.name: one
    for one in (
        Objective("validation-loss", "minimize", "mean loss on normal validation windows; reads no label of an anomaly", _loss),
        Objective(
            "injected-average-precision",
            "maximize",
            "average precision of normal validation windows against copies altered as `inject` says; reads no real label",
            lambda fitted: _precision(fitted, "test"),
        ),
        Objective(
            "validation-average-precision",
            "maximize",
            "average precision on labelled validation windows; moves a contender to the labelled track",
            lambda fitted: _precision(fitted, "validation"),
            labelled=True,
        ),
        Objective(
            "validation-f1",
            "maximize",
            "best F1 over all thresholds on labelled validation windows; moves a contender to the labelled track",
            _best_f1,
            labelled=True,
        ),
        Objective(
            "two-qubit-gates",
            "minimize",
            "two-qubit gates in the circuit",
            _of_circuit(attrgetter("two_qubit_gates")),
            trained=False,
            reads="circuit",
        ),
        Objective(
            "depth",
            "minimize",
            "depth of the circuit, counting all gates",
            _of_circuit(attrgetter("depth")),
            trained=False,
            reads="circuit",
        ),
        Objective(
            "weights",
            "minimize",
            "trained weights of the whole detector",
            lambda fitted: float(fitted.detector.weights_["total"]),
            reads="model",
        ),
        Objective(
            "device-seconds",
            "minimize",
            f"estimated time on `device` for {PASS} validation windows, from its calibration snapshot",
            _seconds,
            reads="model",
        ),
    )
}
