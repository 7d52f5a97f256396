"""Windows as rows of a view: the distinct training rows with their multiplicities, and scores computed once for each distinct row.

Letters: N rows, U distinct rows, B rows of a block, D columns of the view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.detect.batches import distinct
from qlogad.errors import DataError
from qlogad.features.features import Features, Labels

__all__ = ["CELLS", "WindowView", "at_most", "blocks", "labelled_rows", "score_rows", "training_rows"]

WindowView = Literal["counts", "tf-idf"]  # the field `view` of a detector that reads both
CELLS = 2**22  # largest number of elements in a dense block


def blocks(features: Features, view: str) -> Iterator[tuple[Ints, Floats]]:
    """The rows of a view in blocks of bounded size: (row numbers (B,), their view (B, D))."""
    step = max(1, CELLS // (features.size + 1))
    for start in range(0, len(features), step):
        rows_B = np.arange(start, min(start + step, len(features)))
        yield rows_B, (features if len(rows_B) == len(features) else features.take(rows_B)).view(view)


def training_rows(features: Features, view: str) -> tuple[Floats, Floats]:
    """The distinct rows of a view in lexicographic order, (U, D), and the number of windows that each represents, (U,).

    >>> features = Features.from_sequences([[1], [0, 0], [1]], views=["counts"])
    >>> [found.tolist() for found in training_rows(features, "counts")]
    [[[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]], [2.0, 1.0]]
    """
    rows_UD, weight_U1 = _distinct(features, view, features.weight_N[:, None])
    return rows_UD, weight_U1[:, 0]


def labelled_rows(features: Features, labels: Labels, view: str) -> tuple[Floats, Floats]:
    """The distinct rows of a view in lexicographic order, (U, D), and the number of their normal and anomalous windows, (U, 2)."""
    return _distinct(features, view, features.weight_N[:, None] * (labels.window_N[:, None] == np.arange(2)))


def _distinct(features: Features, view: str, weight_NC: Floats) -> tuple[Floats, Floats]:
    found = [_merged(block_BD, weight_NC[rows_B]) for rows_B, block_BD in blocks(features, view)]
    return _merged(np.concatenate([rows for rows, _ in found]), np.concatenate([weight for _, weight in found]))


def _merged(rows_BD: Floats, weight_BC: Floats) -> tuple[Floats, Floats]:
    some_B = weight_BC.any(axis=1)
    rows_UD, place_B = distinct(rows_BD[some_B])
    weight_UC = np.zeros((len(rows_UD), weight_BC.shape[1]))
    np.add.at(weight_UC, place_B, weight_BC[some_B])
    return rows_UD, weight_UC


def score_rows(features: Features, view: str, score: Callable[[Floats], Floats], *, table: int = 1) -> Floats:
    """A score for every row, (N,), computed once for each distinct row of a block.

    Args:
        features: the rows.
        view: the view to score.
        score: maps distinct rows (U, D) to scores (U,). A score must not depend, to the last bit, on which rows are given with it, so it
            must not use matrix products, whose rounding depends on the number of rows.
        table: how many numbers `score` computes for each row, such as its distances; it gets so many rows at once that they are bounded.
    """
    scores_N, step = np.zeros(len(features)), max(1, CELLS // max(table, 1))
    for rows_B, block_BD in blocks(features, view):
        rows_UD, place_B = distinct(block_BD)
        parts = [score(rows_UD[start : start + step]) for start in range(0, len(rows_UD), step)]
        scores_N[rows_B] = np.concatenate(parts)[place_B]
    return scores_N


def at_most(rows: int, most: int, detector: str, mend: str) -> None:
    """Check the number of distinct training rows of a detector whose cost grows with its square.

    Raises:
        DataError: there are too many.
    """
    if rows > most:
        raise DataError(
            f"{detector} compares every pair of at most {most:,} distinct training rows, but there are {rows:,}; {mend}"
        )
