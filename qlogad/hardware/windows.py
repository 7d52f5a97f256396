"""The trained detector of a finished run, and the choice of its windows that are run on a device."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qlogad import files, seeds
from qlogad.arrays import Floats, Ints
from qlogad.detect.detector import Detector
from qlogad.errors import AccountNeeded, InputError, ResultError, UnknownName, shown
from qlogad.experiment.fit_rule import validation_labels, validation_windows
from qlogad.experiment.ground import Ground, Part
from qlogad.features.features import Features, Labels

__all__ = ["WINDOWS", "TrainedCell", "calibrating", "choose", "chosen", "exact_detector", "kept", "margins", "taken", "trained"]

WINDOWS = 200


@dataclass(frozen=True, eq=False)
class TrainedCell:
    """A saved detector of a finished run, with the windows it was tested on."""

    contender: str
    seed: int
    cut: str
    folder: Path  # of the detector: see `Detector.load`
    test: Part
    score_N: Floats  # of each test row, as in the table
    validation: Part  # the windows its threshold was fixed on


def trained(result: Path, contender: str, *, seed: int | None = None, cut: str | None = None) -> TrainedCell:
    """Find the trained detector of a contender of a finished run.

    Args:
        result: the folder of the run.
        contender: its name in the table.
        seed: of its training; None: the first.
        cut: the position in time; None: the first.

    Raises:
        UnknownName: there is no such contender, seed or cut.
        ResultError: there is no finished run, or its detectors were not kept.
    """
    table, again = result / "runs.csv", f"run the experiment again: qlogad run {result.name} --out {result.parent}"
    if not table.is_file():
        raise ResultError(f"there is no finished run in {result} (runs.csv is missing); {again}")
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row["windows"] == "all" and int(row["seed"]) >= 0 and row["cell"]]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ResultError(f"{table} is damaged; {again}") from error
    if not rows:
        raise ResultError(f"{table} holds no finished cell; {again}")
    for kind, column, wanted in (("contender", "contender", contender), ("cut", "cut", cut), ("seed", "seed", seed)):
        there = {row[column] for row in rows}
        if wanted is not None and str(wanted) not in there:
            raise UnknownName(kind, str(wanted), there)
        rows = [row for row in rows if wanted is None or row[column] == str(wanted)]
    first = min(rows, key=lambda row: (float(row["cut"]) if row["cut"].replace(".", "").isdigit() else 0.0, int(row["seed"])))
    return kept(result, contender, int(first["seed"]), first["cut"], first["cell"])


def kept(result: Path, contender: str, seed: int, cut: str, cell: str) -> TrainedCell:
    """The detector of one cell, even if others were trained since.

    Raises:
        ResultError: the detector or the windows of its cut were not kept.
    """
    if not cell.isalnum() or Path(cut).name != cut:
        raise ResultError(
            f"cell {shown(cell)} of cut {shown(cut)} does not belong to {result}; restore the file that names it from a copy"
        )
    folder, ground = result / "cells" / cell / "detector", result / "work" / f"{cut}.npz"
    again = f"run the experiment again: qlogad run {result.name} --out {result.parent}"
    if not folder.is_dir() or not ground.is_file():
        raise ResultError(
            f"the trained detector of {contender}, seed {seed}, cut {cut} is not in {result} (cells/ and work/ are kept only where "
            f"they were made); {again}"
        )
    try:
        made = Ground.load(result / "work", cut, exact_detector(folder).reads)
        facts = files.read_facts(folder.parent / "cell.json")
        score_N = files.read_arrays(folder.parent / "scores.npz")["scores.test"]
    except ResultError as error:
        raise ResultError(f"{error}; {again}") from error
    if made.base != facts["base"]:
        raise ResultError(
            f"the windows of {result} have changed since {contender}, seed {seed}, cut {cut} was trained; submit it again"
        )
    return TrainedCell(contender, seed, cut, folder, made.test, score_N, validation_windows(made, facts["validation_windows"]))


def exact_detector(folder: Path) -> Detector:
    """Load a saved detector to run without noise and shots, wherever it was trained."""
    try:
        detector = Detector.load(folder)
    except AccountNeeded:  # its circuits run on the exact engine, whatever backend the file names
        return Detector.load(folder, backend="exact")
    return Detector.load(folder, backend="exact") if detector.circuits() else detector


def margins(detector: Detector, score_N: Floats) -> Floats:
    """Score minus threshold, (N,); above 0 is an alarm.

    Raises:
        ResultError: the detector was fitted without a threshold.
    """
    if detector.threshold_ is None:
        raise ResultError("the detector has no threshold, so nothing is an alarm; fit it with validation windows")
    return detector.threshold_.margin(score_N)


def choose(part: Part, margin_N: Floats, windows: int, *, choice: int = 0) -> Ints:
    """Choose windows of a part and return their indices, ascending: half anomalies and half normal, as far as available.

    Decisions flip near the threshold, so half of either class are the windows nearest to it but not on it, each sequence once before
    any is repeated, and the other half are spread evenly over the ranking of the remaining scores. They are not a random sample: they
    serve to compare backends, not to estimate performance on the whole part.

    Args:
        part: the part to choose from.
        margin_N: score minus threshold of each of its rows.
        windows: how many; all of them if there are fewer.
        choice: seed of the choice, which breaks ties.

    Raises:
        InputError: fewer than one window is requested.
    """
    if windows < 1:
        raise InputError(f"choose at least 1 window, got {windows}")
    random = seeds.generator(choice, "hardware", "windows")
    kinds = [random.permutation(np.flatnonzero(part.label_W == label)) for label in (1, 0)]
    anomalies = min(len(kinds[0]), max(windows // 2, windows - len(kinds[1])))
    counts = anomalies, min(len(kinds[1]), windows - anomalies)
    row_W = part.features.row_W
    return np.sort(
        np.concatenate(
            [_spread(kind_P, row_W[kind_P], margin_N[row_W[kind_P]], count) for kind_P, count in zip(kinds, counts, strict=True)]
        )
    )


def chosen(found: TrainedCell, windows: int, *, choice: int = 0) -> tuple[Detector, Ints, Features]:
    """A saved detector, the indices of the windows chosen for it, and their features; see `choose`."""
    detector = exact_detector(found.folder)
    places_C = choose(found.test, margins(detector, found.score_N), windows, choice=choice)
    return detector, places_C, taken(found.test, places_C)[0]


def calibrating(found: TrainedCell, detector: Detector, windows: int, *, choice: int = 0) -> tuple[Features, Labels | None]:
    """Validation windows to fix a threshold on, drawn uniformly, and the label of each row if the detector may see labels.

    Raises:
        InputError: fewer than one window is requested.
    """
    if windows < 1:
        raise InputError(f"a threshold needs at least 1 validation window, got {windows}")
    part = found.validation
    places_C = np.sort(seeds.generator(choice, "hardware", "validation").permutation(len(part.label_W))[:windows])
    features, label_N = taken(part, places_C)
    return features, validation_labels(detector, Labels(label_N))


def _spread(place_P: Ints, row_P: Ints, margin_P: Floats, count: int) -> Ints:
    """Choose `count` of the indices: half nearest to the threshold, the others spread over the ranking of the rest."""
    by_row_P = np.argsort(row_P, kind="stable")
    copy_P = np.empty(len(row_P), dtype=np.int64)  # how many windows of the same row come before
    copy_P[by_row_P] = np.arange(len(row_P)) - np.searchsorted(row_P[by_row_P], row_P[by_row_P])
    away_P = np.where(np.isclose(margin_P, 0), np.inf, np.abs(margin_P))  # exactly on the threshold, rounding decides
    nearest_P = np.lexsort((away_P, copy_P))
    near = count // 2
    rest = np.sort(nearest_P[near:])
    rest = rest[np.argsort(margin_P[rest], kind="stable")]
    even = np.arange(count - near) * len(rest) // max(count - near, 1) + len(rest) // (2 * max(count - near, 1))
    return np.asarray(place_P[np.concatenate([nearest_P[:near], rest[even]])])


def taken(part: Part, places_C: Ints) -> tuple[Features, Ints]:
    """Select windows of a part: their features, with equal windows merged, and the label of each row."""
    rows_R, row_C = np.unique(part.features.row_W[places_C], return_inverse=True)
    features = replace(
        part.features.take(rows_R),
        weight_N=np.bincount(row_C).astype(np.float64),
        row_W=row_C,
        window_keys_W=part.features.window_keys_W[places_C],
    )
    return features, part.labels.window_N[rows_R]
