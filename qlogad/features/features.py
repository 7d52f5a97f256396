"""The shared base of every detector: windows as ragged rows of event ids, equal rows stored once with their multiplicity.

Letters: W windows, N distinct rows, E events of the rows end to end, V event types seen in training, D width of a view.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from qlogad.arrays import Bools, Floats, Ints, Texts
from qlogad.documents import digest
from qlogad.errors import DataError, shown
from qlogad.logs.windows import spans

__all__ = ["Features", "Labels", "View"]


MAX_SIZE = 10**6  # event types


@dataclass(frozen=True, eq=False)
class Features:
    """Distinct windows as rows of event ids. Ids are 0..V-1; V itself means "not seen in training".

    A row stands for all windows with the same ids and the same label; a detector reads rows, the judge counts windows.
    """

    ids_E: Ints  # event ids of all rows, end to end
    offsets_N1: Ints  # row n is ids_E[offsets_N1[n]:offsets_N1[n + 1]]
    weight_N: Floats  # how many windows the row stands for
    vocabulary: tuple[str, ...]  # V templates, by id
    row_W: Ints  # window -> row
    window_keys_W: Texts  # window -> its key (a session's identifier, or its position)
    event_line_E: Ints  # source line of each event of the row's first window; -1 where there is none
    seen_N: Bools  # an equal sequence of ids was in the training part
    base: str = ""  # digest of data, parser state, split, windows and vocabulary: equal for all contenders of a comparison
    views: Mapping[str, Floats] = field(default_factory=lambda: MappingProxyType({}))  # name -> (N, D)

    def __len__(self) -> int:
        return len(self.weight_N)

    @property
    def size(self) -> int:
        """V, the number of event types seen in training; also the id of an unseen event."""
        return len(self.vocabulary)

    @property
    def lengths_N(self) -> Ints:
        """Events in each row."""
        return np.diff(self.offsets_N1)

    @property
    def row_E(self) -> Ints:
        """The row of each event."""
        return np.repeat(np.arange(len(self)), self.lengths_N)

    def row(self, n: int) -> Ints:
        """The event ids of one row."""
        return self.ids_E[self.offsets_N1[n] : self.offsets_N1[n + 1]]

    def rows(self) -> Iterator[Ints]:
        """The event ids of every row in turn."""
        return (self.row(n) for n in range(len(self)))

    def view(self, name: str) -> Floats:
        """One view, (N, D).

        Raises:
            DataError: the pipeline was not asked for it.
        """
        if name not in self.views:
            raise DataError(f"these features have no view '{name}', only: {', '.join(self.views) or 'ids'}")
        return self.views[name]

    def take(self, rows: Sequence[int] | Ints) -> Features:
        """The features of some rows, with the windows that belong to them."""
        rows_R = np.asarray(rows, dtype=np.int64)
        new_N = np.full(len(self), -1, dtype=np.int64)
        new_N[rows_R] = np.arange(len(rows_R))
        lengths_R = self.lengths_N[rows_R]
        place_E = spans(self.offsets_N1[:-1][rows_R], lengths_R)
        keep_W = new_N[self.row_W] >= 0
        return replace(
            self,
            ids_E=self.ids_E[place_E],
            offsets_N1=np.concatenate([[0], np.cumsum(lengths_R)]).astype(np.int64),
            weight_N=self.weight_N[rows_R],
            row_W=new_N[self.row_W[keep_W]],
            window_keys_W=self.window_keys_W[keep_W],
            event_line_E=self.event_line_E[place_E],
            seen_N=self.seen_N[rows_R],
            views=MappingProxyType({name: values[rows_R] for name, values in self.views.items()}),
        )

    def view_digest(self, name: str) -> str:
        """A digest of one view; a twin and its controls must agree on it."""
        return digest(self.base, self.ids_E, self.offsets_N1, *([self.views[name]] if name in self.views else []))

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Sequence[int]], *, size: int | None = None, weight: Sequence[float] | None = None
    ) -> Features:
        """Features of plain lists of event ids, one row each (equal rows stay apart; give `weight` for multiplicities).

        Args:
            sequences: N lists of ids >= 0.
            size: V; ids of V and above are unseen. Default: the largest id + 1.
            weight: N multiplicities. Default: ones.

        Raises:
            DataError: a window is no list of whole numbers from 0.

        >>> features = Features.from_sequences([[0, 1, 1], [2]])
        >>> len(features), features.size, features.row(0).tolist()
        (2, 3, [0, 1, 1])
        """
        rows = [_ids(row) for row in sequences]
        ids_E = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        if len(ids_E) and int(ids_E.min()) < 0:
            raise DataError(f"event ids are 0 or more, got {int(ids_E.min())}")
        if size is None:
            size = int(ids_E.max()) + 1 if len(ids_E) else 0
            if size > MAX_SIZE:
                raise DataError(f"the largest event id is {size - 1}; number the events from 0 on, below {MAX_SIZE}")
        offsets_N1 = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return cls(
            ids_E=np.minimum(ids_E, size),
            offsets_N1=offsets_N1,
            weight_N=np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64),
            vocabulary=tuple(str(v) for v in range(size)),
            row_W=np.arange(len(rows)),
            window_keys_W=np.asarray([str(n) for n in range(len(rows))], dtype=np.object_),
            event_line_E=np.full(len(ids_E), -1, dtype=np.int64),
            seen_N=np.zeros(len(rows), dtype=np.bool_),
            base=digest(ids_E, offsets_N1, size),
        )


def _ids(row: Sequence[int]) -> Ints:
    """The event ids of one window."""
    expected = "a window is a list of event ids, whole numbers from 0"
    try:
        found = np.asarray(row)
    except ValueError:  # lists of several lengths
        raise DataError(f"{expected}, got {shown(row)}") from None
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        hint = "; number the events first, as pandas.factorize does" if found.dtype.kind in "UO" else ""
        raise DataError(f"{expected}, got {shown(row)}{hint}")
    return found.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of each row: 1 is an anomaly, 0 normal."""

    window_N: Ints
    event_E: Ints | None = None

    def __post_init__(self) -> None:
        values = set(np.unique(self.window_N).tolist())
        if not values <= {0, 1}:
            raise DataError(f"labels are 0 (normal) and 1 (anomaly), got {sorted(values)}")


class View(ABC):
    """What a detector reads beside the ids. One view per file of this folder, named as the file (`views = ["counts"]`)."""

    @abstractmethod
    def add(self, features: Features) -> Features:
        """The features with this view's table; a pure function of the base."""
