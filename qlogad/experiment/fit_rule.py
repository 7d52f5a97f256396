"""The fit rule: which windows, labels and seed a detector gets, wherever it is trained or its threshold is fixed.

    training      the training windows; with labels for supervised detectors only
    validation    with labels if they are read, by a supervised detector or by the threshold rule "f1";
                  otherwise without labels: the normal windows if training is "normals", all of them if it is "all"
    seed          set if the detector has the field; it is the only source of randomness

Test windows are never passed to a detector here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qlogad.detect.detector import Detector, Track
from qlogad.features.features import Labels

if TYPE_CHECKING:
    from qlogad.experiment.data import Training
    from qlogad.experiment.ground import Ground, Part
    from qlogad.nn.epochs import Epoch

__all__ = ["fit", "is_random", "reads_labels", "track", "validation_labels", "validation_of", "validation_windows"]


def reads_labels(detector: Detector) -> bool:
    """Whether a detector gets the labels of validation windows."""
    return detector.supervised or detector.threshold == "f1"


def is_random(detector: Detector) -> bool:
    """Whether a detector's numbers depend on a seed."""
    return "seed" in detector.get_params(deep=False)


def track(detector: Detector, training: Training) -> Track:
    """What data a detector may learn from; a table, a ranking and a test compare detectors of one track only."""
    if detector.supervised:
        return "supervised"
    if reads_labels(detector):
        return "normal-only, labelled validation"
    return "normal-only" if training == "normals" else "unsupervised"


def validation_of(detector: Detector, ground: Ground, training: Training) -> Part:
    """The validation windows for a detector."""
    return ground.validation.normals() if training == "normals" and not reads_labels(detector) else ground.validation


def validation_labels(detector: Detector, labels: Labels) -> Labels | None:
    """The labels of the validation rows for a detector; None if it may not see them: then all rows count as normal."""
    return labels if reads_labels(detector) else None


def validation_windows(ground: Ground, windows: int) -> Part:
    """The validation windows that a threshold was fixed on, given how many there were, which every results folder records."""
    normals = ground.validation.normals()
    return normals if windows == len(normals.label_W) else ground.validation


def fit(
    detector: Detector, ground: Ground, *, training: Training, seed: int, report: Callable[[Epoch], None] | None = None
) -> Detector:
    """Train a detector on a cut, fix its threshold, and return it.

    Args:
        detector: an unfitted detector.
        ground: the cut.
        training: `training` of the experiment's [data].
        seed: ignored by detectors without randomness.
        report: called after every epoch; see `Detector.fit`.

    Raises:
        DataError: there is nothing to learn from, or required labels are missing.
    """
    if is_random(detector):
        detector.set_params(seed=seed)
    held = validation_of(detector, ground, training)
    return detector.fit(
        ground.train.features,
        ground.train.labels if detector.supervised else None,
        validation=(held.features, validation_labels(detector, held.labels)),
        report=report,
    )
