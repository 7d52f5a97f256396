"""Decision trees as arrays of nodes: what scikit-learn has fitted, scored before and after saving by the same few lines.

Letters: T trees, M nodes of all trees end to end, U rows, D columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.detect.detector import State
from qlogad.errors import ResultError
from qlogad.files import Array, check_arrays

__all__ = ["Trees", "depths"]


@dataclass(frozen=True, eq=False)
class Trees:
    """Binary trees; a row goes left at a node if its value in the node's column, rounded to float32, is at most the node's split."""

    root_T: Ints  # the first node of each tree
    column_M: Ints  # the column to look at; -1 in a leaf
    split_M: Floats
    left_M: Ints  # the next node; nodes are numbered over all trees, children after their parent; the node itself in a leaf
    right_M: Ints
    value_M: Floats

    @classmethod
    def of(cls, trees: Sequence[Any], values: Sequence[Floats]) -> Self:
        """The trees of fitted scikit-learn estimators.

        Args:
            trees: `tree_` of each.
            values: the value of each of their nodes.
        """
        sizes_T = np.asarray([tree.node_count for tree in trees], dtype=np.int64)
        root_T = np.cumsum(sizes_T) - sizes_T
        own_M = np.arange(sizes_T.sum())
        leaf_M = np.concatenate([tree.children_left for tree in trees]) < 0
        shift_M = np.repeat(root_T, sizes_T)
        return cls(
            root_T=root_T,
            column_M=np.where(leaf_M, -1, np.concatenate([tree.feature for tree in trees])).astype(np.int64),
            split_M=np.where(leaf_M, 0.0, np.concatenate([tree.threshold for tree in trees])),
            left_M=np.where(leaf_M, own_M, shift_M + np.concatenate([tree.children_left for tree in trees])),
            right_M=np.where(leaf_M, own_M, shift_M + np.concatenate([tree.children_right for tree in trees])),
            value_M=np.concatenate(values).astype(np.float64),
        )

    def sums(self, rows_UD: Floats) -> Floats:
        """The sum over all trees of the value of the leaf that each row reaches, (U,)."""
        with np.errstate(over="ignore"):
            single_UD = rows_UD.astype(np.float32)
        rows_U1 = np.arange(len(rows_UD))[:, None]
        node_UT = np.repeat(self.root_T[None], len(rows_UD), axis=0)
        while True:
            column_UT = self.column_M[node_UT]
            if (column_UT < 0).all():
                return np.asarray(self.value_M[node_UT].sum(axis=1))
            goes_left_UT = single_UD[rows_U1, column_UT] <= self.split_M[node_UT]
            node_UT = np.where(goes_left_UT, self.left_M[node_UT], self.right_M[node_UT])

    def state(self) -> State:
        """The arrays, by the names of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, state: State, columns: int) -> Self:
        """The trees that `state` returned, for rows with so many columns.

        Raises:
            ResultError: the arrays are not those of trees.
        """
        known = {
            "root_T": Array("int64", ("trees",), low=0),
            "column_M": Array("int64", ("nodes",), low=-1, high=columns - 1),
            "split_M": Array("float64", ("nodes",)),
            "left_M": Array("int64", ("nodes",)),
            "right_M": Array("int64", ("nodes",)),
            "value_M": Array("float64", ("nodes",)),
        }
        check_arrays(state, known)
        nodes, own_M, inner_M = len(state["column_M"]), np.arange(len(state["column_M"])), state["column_M"] >= 0
        if len(state["root_T"]) == 0 or (state["root_T"] >= nodes).any():
            raise ResultError(f"'root_T' must number nodes below {nodes}")
        for name in ("left_M", "right_M"):
            after_M = np.where(inner_M, (own_M < state[name]) & (state[name] < nodes), state[name] == own_M)
            if not after_M.all():
                raise ResultError(f"'{name}' must number nodes after their parent")
        return cls(**state)


def depths(tree: Any) -> Ints:
    """The depth of each node of a scikit-learn tree; the root has 0."""
    depth_M = np.zeros(tree.node_count, dtype=np.int64)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depth_M[[left, right]] = depth_M[node] + 1
    return depth_M
