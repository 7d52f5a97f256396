"""Distinct rows run once, in micro-batches of one shape, so that a score depends only on its own row, to the last bit.

Letters: E rows, U distinct rows, H columns, S slots of a micro-batch, B rows in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Ints, Numbers

__all__ = ["SLOTS", "distinct", "micro_batches"]

Scalar = TypeVar("Scalar", bound=np.generic)

SLOTS = 256  # rows of a scoring micro-batch


def distinct(rows_EH: NDArray[Scalar]) -> tuple[NDArray[Scalar], Ints]:
    """The distinct rows in lexicographic order, and the index of each row among them; by columns, which is faster than sorting rows.

    Args:
        rows_EH: integers >= 0, or finite floats.

    >>> [found.tolist() for found in distinct(np.array([[1, 0], [0, 5], [1, 0]]))]
    [[[0, 5], [1, 0]], [1, 0, 1]]
    """
    code_E = np.zeros(len(rows_EH), dtype=np.int64)
    first_U = np.zeros(0, dtype=np.int64)
    whole_EH = _ranks(rows_EH) if rows_EH.dtype.kind == "f" else rows_EH.astype(np.int64, copy=False)
    base = int(whole_EH.max(initial=0)) + 1
    for column_E in whole_EH.T:
        _, first_U, code_E = np.unique(code_E * base + column_E, return_index=True, return_inverse=True)
    return rows_EH[first_U], code_E


def _ranks(rows_EH: Numbers) -> Ints:
    """The dense rank of every number within its column."""
    ranks_EH = np.zeros(rows_EH.shape, dtype=np.int64)
    for column, column_E in enumerate(rows_EH.T):
        ranks_EH[:, column] = np.unique(column_E, return_inverse=True)[1]
    return ranks_EH


def micro_batches(rows_UH: NDArray[Scalar], *, fill: int, whole: bool = False) -> Iterator[tuple[NDArray[Scalar], Ints, Ints]]:
    """Distinct rows in micro-batches of one shape: (rows (SLOTS, H), occupied slots, row index in each of them).

    A row's slot is a hash of the row. A row is therefore always computed at the same position of a matrix product of the same shape,
    whatever other rows are scored with it, and its score is the same to the last bit (kernels may round differently by position).

    Args:
        rows_UH: distinct rows.
        fill: the value in empty slots.
        whole: put all rows into one batch without empty slots, for backends that charge per row.
    """
    if whole:
        every_U = np.arange(len(rows_UH))
        yield rows_UH, every_U, every_U
        return
    hash_U = np.zeros(len(rows_UH), dtype=np.uint64)
    for column_U in _bits(rows_UH).T:
        hash_U = (hash_U ^ column_U) * np.uint64(0x9E3779B97F4A7C15)
        hash_U ^= hash_U >> np.uint64(29)
    slot_U = (hash_U % np.uint64(SLOTS)).astype(np.int64)
    order_U = np.argsort(slot_U, kind="stable")
    sorted_U = slot_U[order_U]
    turn_U = np.arange(len(order_U)) - np.searchsorted(sorted_U, sorted_U)  # the first of every slot, then the second, ...
    order_U = order_U[np.argsort(turn_U, kind="stable")]
    for rows_B in np.split(order_U, np.cumsum(np.bincount(turn_U))[:-1]):
        batch_SH = np.full((SLOTS, rows_UH.shape[1]), fill, dtype=rows_UH.dtype)
        batch_SH[slot_U[rows_B]] = rows_UH[rows_B]
        yield batch_SH, slot_U[rows_B], rows_B


def _bits(rows_UH: Numbers) -> NDArray[np.uint64]:
    if rows_UH.dtype.kind == "f":
        return (rows_UH + 0.0).astype(np.float64).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
    return rows_UH.astype(np.uint64)
