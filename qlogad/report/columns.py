"""The contents of a record about cuts and cells: columns of numbers and a few facts, without any text of the log.

Letters: N rows (distinct windows), W windows, C cells of one cut, A highest alarms of a cell, P epochs of all trainings concatenated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from qlogad.arrays import Bools, Floats, Ints, Numbers
from qlogad.evaluate.drift import Changes, Span
from qlogad.files import Array, check_arrays
from qlogad.nn.epochs import Epoch, History

__all__ = [
    "APART",
    "MERGED",
    "CellFacts",
    "ContenderFacts",
    "Cut",
    "CutFacts",
    "Odd",
    "PartFacts",
    "Rows",
    "ScoredCell",
    "ScoredParts",
    "packed",
    "unpacked",
]

Arrays = Mapping[str, Numbers]
MERGED = "merged"  # equal windows are one row
APART = "apart"  # every window is a row, for detectors that read more of an event than its id


@dataclass(frozen=True)
class ContenderFacts:
    """What evaluation needs to know about a contender; the manifest has the rest."""

    name: str
    track: str  # what data it may learn from
    seeded: bool  # its detector takes a seed
    made: bool  # by a grid
    epochs: int | None = None  # the most epochs of each training; None if not trained in epochs
    fpr: float | None = None  # the false alarm rate of its threshold; None for other threshold rules
    by_hand: float | None = None  # its threshold, if that is a number fixed by hand


@dataclass(frozen=True)
class PartFacts:
    """The number of windows in a part of a cut."""

    windows: int
    distinct: int
    normals: int
    unseen: float  # the share of the windows' events that are unseen in training; NaN if there are no events
    changes: Changes | None = None  # of templates, against training; None if there are no events, or in an older record


@dataclass(frozen=True)
class CutFacts:
    """Facts about a cut known before training."""

    cut: str
    ordered_by: str
    base: str
    vocabulary: int  # number of event types
    warnings: tuple[str, ...]
    train: PartFacts
    validation: PartFacts
    test: PartFacts
    in_flight: PartFacts
    kinds: tuple[str, ...]  # of windows, indexed by number; "" is normal
    strata: tuple[str, ...]  # of anomalies, indexed by number
    forms: tuple[str, ...]
    days: tuple[Span, ...] = ()  # the share of unseen events by day; none if the log has no times, or in an older record


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one part of a cut, and the windows they stand for."""

    label_N: Ints  # 1 is an anomaly
    weight_N: Floats  # the number of windows of the row
    seen_N: Bools  # an equal sequence occurs in the training part
    sequence_N: Ints  # the number of its sequence; rows with equal sequences but different labels share it
    shared_N: Ints  # the same, numbered consistently across cuts
    digest_N: NDArray[np.uint64]  # of its events' templates, unseen ones counting as none; comparable between any two records
    stratum_N: Ints  # the number of its stratum; -1 for normal rows and in flight
    length_N: Ints  # events
    first_line_N: Ints  # of its first window, in the source; -1 if there is none
    last_line_N: Ints
    row_W: Ints  # window -> row
    window_W: Ints  # window -> its number in the source
    start_W: Floats  # seconds since the epoch; NaN if unknown
    kind_W: Ints  # the number of its kind of anomaly

    def __len__(self) -> int:
        return len(self.label_N)

    @property
    def label_W(self) -> Ints:
        """The label of each window."""
        return self.label_N[self.row_W]


@dataclass(frozen=True, eq=False)
class ScoredParts:
    """The parts of a cut that have scores."""

    test: Rows
    in_flight: Rows


@dataclass(frozen=True, eq=False)
class Cut:
    """One cut. Its forms are two ways to make rows of the same windows: equal windows merged, or one row per window."""

    facts: CutFacts
    forms: Mapping[str, ScoredParts]

    @property
    def name(self) -> str:
        """The cut's position in time, as text."""
        return self.facts.cut

    @property
    def merged(self) -> ScoredParts:
        """The form with equal windows merged into one row."""
        return self.forms[self.facts.forms[0]]


@dataclass(frozen=True)
class CellFacts:
    """Facts about a finished cell, apart from scores and alarms."""

    contender: str
    seed: int
    cut: str
    form: str
    identity: str
    base: str
    threshold: float
    weights: Mapping[str, int]  # "total", and for detectors with circuits "quantum", "live" and "classical"
    executions: int
    fit_seconds: float
    score_seconds: float
    notes: tuple[str, ...]
    best: int | None = None  # the epoch that was kept; None if not trained in epochs

    def __str__(self) -> str:
        return f"{self.contender}, seed {self.seed}, cut {self.cut}"


@dataclass(frozen=True, eq=False)
class Odd:
    """The highest alarms of the test part of a cell."""

    row_A: Ints
    place_A: Ints  # position of the event that raised it, from 0; -1 if no single event did
    line_A: Ints  # that event's line in the source; -1 if there is none
    event_A: Ints  # its id; -1 if there is none
    expected_AK: Ints  # event ids, likeliest first, padded with -1


@dataclass(frozen=True, eq=False)
class ScoredCell:
    """A finished cell: scores and alarms of every row of its form, by part."""

    facts: CellFacts
    scores: Mapping[str, Floats]  # higher is more anomalous; +inf is allowed
    alarms: Mapping[str, Bools]
    odd: Odd
    history: History | None


# ---------------------------------------------------------------- as arrays


_PARTS = tuple(field.name for field in fields(ScoredParts))
_LAST = 2**53


def packed(cuts: Sequence[Cut], cells: Sequence[ScoredCell]) -> dict[str, Numbers]:
    """Pack cuts and cells into named arrays; `unpacked` reverses it, given their facts."""
    arrays: dict[str, Numbers] = {}
    for cut in cuts:
        for name, form in cut.forms.items():
            own = [one for one in cells if (one.facts.cut, one.facts.form) == (cut.name, name)]
            for part in _PARTS:
                place, rows = f"{cut.name}.{name}.{part}", getattr(form, part)
                arrays |= {f"{place}.{field.name}": getattr(rows, field.name) for field in fields(Rows)}
                size = (len(own), len(rows))
                arrays[f"{place}.scores_CN"] = np.asarray([one.scores[part] for one in own], dtype=np.float64).reshape(size)
                arrays[f"{place}.alarms_CN"] = np.asarray([one.alarms[part] for one in own], dtype=np.bool_).reshape(size)
    arrays["odd.count_C"] = np.asarray([len(one.odd.row_A) for one in cells], dtype=np.int64)
    for field in fields(Odd):
        values = [getattr(one.odd, field.name) for one in cells]
        arrays[f"odd.{field.name}"] = (
            np.concatenate(values) if values else np.zeros((0, 0)[: 1 + field.name.endswith("K")], np.int64)
        )
    epochs = [one.history.epochs if one.history else () for one in cells]
    arrays["epochs.count_C"] = np.asarray([len(own) for own in epochs], dtype=np.int64)
    whole = [epoch for own in epochs for epoch in own]
    arrays["epochs.number_P"] = np.asarray([epoch.number for epoch in whole], dtype=np.int64)
    arrays["epochs.last_P"] = np.asarray([epoch.last for epoch in whole], dtype=np.bool_)
    arrays["epochs.validated_P"] = np.asarray([epoch.validation is not None for epoch in whole], dtype=np.bool_)
    for name in ("loss", "validation", "seconds"):
        numbers = [getattr(epoch, name) for epoch in whole]
        arrays[f"epochs.{name}_P"] = np.asarray([np.nan if one is None else one for one in numbers], dtype=np.float64)
    return arrays


def unpacked(
    cuts: Sequence[CutFacts], cells: Sequence[CellFacts], arrays: Arrays
) -> tuple[tuple[Cut, ...], tuple[ScoredCell, ...]]:
    """The inverse of `packed`.

    Raises:
        ResultError: the arrays do not match these cuts and cells.
    """
    check_arrays(arrays, _known(cuts, cells, arrays))
    found = []
    for cut in cuts:
        forms = {}
        for name in cut.forms:
            parts = {
                part: Rows(**{field.name: arrays[f"{cut.cut}.{name}.{part}.{field.name}"] for field in fields(Rows)})
                for part in _PARTS
            }
            forms[name] = ScoredParts(**parts)
        found.append(Cut(cut, forms))
    return tuple(found), tuple(_cells(cells, arrays))


def _cells(cells: Sequence[CellFacts], arrays: Arrays) -> Iterator[ScoredCell]:
    odd_C1, epoch_C1 = (np.concatenate([[0], np.cumsum(arrays[f"{what}.count_C"])]).tolist() for what in ("odd", "epochs"))
    seen: dict[str, int] = {}  # number of cells so far, by cut and form
    for number, facts in enumerate(cells):
        place = f"{facts.cut}.{facts.form}"
        row = seen[place] = seen.get(place, -1) + 1
        alarms, epochs = slice(*odd_C1[number : number + 2]), slice(*epoch_C1[number : number + 2])
        yield ScoredCell(
            facts,
            {part: arrays[f"{place}.{part}.scores_CN"][row] for part in _PARTS},
            {part: arrays[f"{place}.{part}.alarms_CN"][row] for part in _PARTS},
            Odd(**{field.name: arrays[f"odd.{field.name}"][alarms] for field in fields(Odd)}),
            None if facts.best is None else History(tuple(_epochs(arrays, epochs)), facts.best),
        )


def _epochs(arrays: Arrays, own: slice) -> Iterator[Epoch]:
    names = ("number", "loss", "validation", "seconds", "last", "validated")
    for number, loss, validation, seconds, last, validated in zip(
        *(arrays[f"epochs.{name}_P"][own].tolist() for name in names), strict=True
    ):
        yield Epoch(number, loss, validation if validated else None, seconds, last)


def _known(cuts: Sequence[CutFacts], cells: Sequence[CellFacts], arrays: Arrays) -> dict[str, Array]:
    """The expected dtype, shape and range of every array."""
    known: dict[str, Array] = {}
    for cut in cuts:
        for name in cut.forms:
            own = sum((one.cut, one.form) == (cut.cut, name) for one in cells)
            for part in _PARTS:
                place = f"{cut.cut}.{name}.{part}"
                rows = _size(arrays, f"{place}.label_N")
                columns = _rows(rows, _size(arrays, f"{place}.row_W"), len(cut.kinds), len(cut.strata))
                known |= {f"{place}.{column}": one for column, one in columns.items()}
                known[f"{place}.scores_CN"] = Array("float64", (own, rows), finite=False)
                known[f"{place}.alarms_CN"] = Array("bool", (own, rows))
    alarms, epochs = (int(arrays[f"{what}.count_C"].sum()) if f"{what}.count_C" in arrays else 0 for what in ("odd", "epochs"))
    known |= {f"{what}.count_C": Array("int64", (len(cells),), 0, _LAST) for what in ("odd", "epochs")}
    known |= {f"odd.{field.name}": Array("int64", (alarms,), -1, _LAST) for field in fields(Odd)}
    known["odd.row_A"] = Array("int64", (alarms,), 0, _LAST)
    known["odd.expected_AK"] = Array("int64", (alarms, "K"), -1, _LAST)
    known["epochs.number_P"] = Array("int64", (epochs,), 1, _LAST)
    known |= {f"epochs.{name}_P": Array("float64", (epochs,), finite=False) for name in ("loss", "validation", "seconds")}
    known |= {f"epochs.{name}_P": Array("bool", (epochs,)) for name in ("last", "validated")}
    return known


def _size(arrays: Arrays, name: str) -> int:
    return len(arrays[name]) if name in arrays and arrays[name].ndim else 0


def _rows(rows: int, windows: int, kinds: int, strata: int) -> dict[str, Array]:
    def each(low: int, high: int = _LAST) -> Array:
        return Array("int64", (rows,), low, high)

    def window(high: int) -> Array:
        return Array("int64", (windows,), 0, high)

    return {
        "label_N": each(0, 1),
        "weight_N": Array("float64", (rows,), 0),
        "seen_N": Array("bool", (rows,)),
        "sequence_N": each(0, rows - 1),
        "shared_N": each(0),
        "digest_N": Array("uint64", (rows,)),
        "stratum_N": each(-1, strata - 1),
        "length_N": each(0),
        "first_line_N": each(-1),
        "last_line_N": each(-1),
        "row_W": window(rows - 1),
        "window_W": window(_LAST),
        "start_W": Array("float64", (windows,), finite=False),
        "kind_W": window(kinds - 1),
    }
