"""The fit rule: which windows, which labels and which seed a detector gets, wherever it is trained or its threshold is fixed.

    training      the training windows, with their labels for supervised detectors only
    validation    those with labels where labels are read: by a supervised detector, or by the threshold rule "f1";
                  else without: the normal ones where training is "normals", all of them where it is "all"
    seed          the given one, where there is a field for it: the only source of randomness

Test windows have no place here.
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
    """Whether it gets the labels of validation windows."""
    return detector.supervised or detector.threshold == "f1"


def is_random(detector: Detector) -> bool:
    """Whether its numbers depend on a seed."""
    return "seed" in detector.get_params(deep=False)


def track(detector: Detector, training: Training) -> Track:
    """What a detector was allowed to see; a table, a ranking and a test hold one track."""
    if detector.supervised:
        return "supervised"
    if reads_labels(detector):
        return "normal-only, labelled validation"
    return "normal-only" if training == "normals" else "unsupervised"


def validation_of(detector: Detector, ground: Ground, training: Training) -> Part:
    """The validation windows a detector gets."""
    return ground.validation.normals() if training == "normals" and not reads_labels(detector) else ground.validation


def validation_labels(detector: Detector, labels: Labels) -> Labels | None:
    """The labels of its validation rows, or None in their place: then all count as normal."""
    return labels if reads_labels(detector) else None


def validation_windows(ground: Ground, windows: int) -> Part:
    """The validation windows that a threshold was fixed on, told by their number, which every results folder keeps."""
    normals = ground.validation.normals()
    return normals if windows == len(normals.label_W) else ground.validation


def fit(
    detector: Detector, ground: Ground, *, training: Training, seed: int, report: Callable[[Epoch], None] | None = None
) -> Detector:
    """Train a detector on a cut and fix its threshold; returns it.

    Args:
        detector: an unfitted one.
        ground: the cut.
        training: `training` of the experiment's [data].
        seed: for a detector without randomness, nothing.
        report: is told of every epoch; see `Detector.fit`.

    Raises:
        DataError: there is nothing to learn from, or labels that it needs are missing.
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
