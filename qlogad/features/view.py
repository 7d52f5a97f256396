"""What a detector reads beside the event ids: views, each fitted on training rows and then a pure function of any rows.

    base (ids and, where windows are rows apart, times, levels, components, values) ─► fit on training rows ─► make ─► one array

Letters: N rows, E events of the rows end to end, V event types seen in training, P values of the events end to end, D width of a view.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from qlogad import documents, names
from qlogad.arrays import Floats, Ints, Places
from qlogad.errors import DataError
from qlogad.logs.windows import spans

__all__ = ["Base", "Columns", "View", "any_apart", "coded", "fit_views", "learns", "view_of"]


@dataclass(frozen=True, eq=False)
class Columns:
    """What each event of rows apart says beside its id, rows end to end. Words are stored as places in a table."""

    time_E: Floats  # seconds since 1970; NaN unknown
    level_E: Places  # a place in `levels`
    levels: tuple[str, ...]  # "INFO", ...; "" where the log has none
    component_E: Places  # a place in `components`
    components: tuple[str, ...]
    value_P: Places  # a place in `values`: the variable parts of the events' messages, event after event, in the order of position
    value_offsets_E1: Ints  # those of event e are value_P[value_offsets_E1[e]:value_offsets_E1[e + 1]]
    values: tuple[str, ...]

    def take(self, event_C: Ints) -> Columns:
        """The columns of some events."""
        starts_C, lengths_C = self.value_offsets_E1[:-1][event_C], np.diff(self.value_offsets_E1)[event_C]
        return Columns(
            time_E=self.time_E[event_C],
            level_E=self.level_E[event_C],
            levels=self.levels,
            component_E=self.component_E[event_C],
            components=self.components,
            value_P=self.value_P[spans(starts_C, lengths_C)],
            value_offsets_E1=np.concatenate([[0], np.cumsum(lengths_C)]).astype(np.int64),
            values=self.values,
        )

    @classmethod
    def of_events(
        cls,
        times: Sequence[float] | Floats,
        levels: Sequence[str],
        components: Sequence[str],
        values: Sequence[Sequence[str]],
    ) -> Columns:
        """The columns of events given one by one.

        Raises:
            DataError: they are not equally many.

        >>> columns = Columns.of_events([0.0, 1.5], ["INFO", "INFO"], ["", ""], [("12", "a"), ()])
        >>> columns.levels, columns.level_E.tolist(), columns.value_offsets_E1.tolist()
        (('INFO',), [0, 0], [0, 2, 2])
        """
        counts = {"times": len(times), "levels": len(levels), "components": len(components), "values": len(values)}
        if len(set(counts.values())) > 1:
            raise DataError(f"every event has a time, a level, a component and a list of values, got {counts}")
        level_E, level_words = coded(levels)
        component_E, component_words = coded(components)
        value_P, value_words = coded([value for own in values for value in own])
        return cls(
            time_E=np.asarray(times, dtype=np.float64),
            level_E=level_E,
            levels=level_words,
            component_E=component_E,
            components=component_words,
            value_P=value_P,
            value_offsets_E1=np.concatenate([[0], np.cumsum([len(own) for own in values])]).astype(np.int64),
            values=value_words,
        )


def coded(words: Sequence[str]) -> tuple[Places, tuple[str, ...]]:
    """Words as places in the table of distinct ones, which are in order of first appearance.

    >>> coded(["b", "a", "b"])[1]
    ('b', 'a')
    """
    places: dict[str, int] = {}
    found = np.fromiter((places.setdefault(word, len(places)) for word in words), dtype=np.int32, count=len(words))
    return found, tuple(places)


class Base(Protocol):
    """What views are made from: rows of event ids, and what else each event says. Every `Features` is one."""

    @property
    def ids_E(self) -> Ints: ...  # event ids of all rows, end to end; V is "not seen in training"
    @property
    def offsets_N1(self) -> Ints: ...
    @property
    def weight_N(self) -> Floats: ...  # how many windows each row stands for
    @property
    def vocabulary(self) -> tuple[str, ...]: ...  # V templates, by id
    @property
    def size(self) -> int: ...  # V
    @property
    def lengths_N(self) -> Ints: ...  # events in each row
    @property
    def row_E(self) -> Ints: ...  # the row of each event
    @property
    def columns(self) -> Columns: ...  # a DataError where windows of equal ids are one row
    def __len__(self) -> int: ...  # N


class View(ABC):
    """What a detector reads beside the ids. One view per file of this folder, named as the file: `reads = ("counts",)`.

    A concrete view is a frozen dataclass; its fields are what it learnt from training rows, and its saved form.
    """

    of: ClassVar[Literal["template", "row", "event"]]  # what a row of the array describes: V, N or E of them
    apart: ClassVar[bool] = False  # whether it reads `base.columns`; then windows of equal ids are not one row

    @classmethod
    @abstractmethod
    def fit(cls, base: Base) -> Self:
        """Learn from training rows, each as often as it weighs."""

    @abstractmethod
    def make(self, base: Base) -> Floats:
        """The array of any rows, (V, D), (N, D) or (E, D); NaN where nothing is known. A row's part does not depend on other rows."""

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON types."""
        found: dict[str, Any] = documents.plain(self)
        return found

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted view that `state()` was taken from.

        Raises:
            DocumentError: the state is not of this view.
        """
        return documents.from_mapping(cls, state, f"the state of view '{names.name_of('view', cls) or cls.__name__}'", strict=True)


def any_apart(views: Sequence[str]) -> bool:
    """Whether one of these views needs windows as rows apart.

    >>> any_apart(["ids", "counts"])
    False
    """
    return any(names.find("view", name).apart for name in views)


def learns(kind: type[View]) -> bool:
    """Whether a view learns from training rows; one that does not is the same for all rows."""
    return len(fields(kind)) > 0  # type: ignore[arg-type]  # a concrete view is a dataclass


def fit_views(views: Sequence[str], base: Base) -> dict[str, View]:
    """Views by name, fitted on training rows, of those that learn."""
    kinds: dict[str, type[View]] = {name: names.find("view", name) for name in views}
    return {name: kind.fit(base) for name, kind in kinds.items() if learns(kind)}


def view_of(views: Mapping[str, View], name: str) -> View:
    """A fitted view among some; one that learns nothing need not be among them.

    Raises:
        DataError: it learns from training rows, and none of these did.
    """
    if name in views:
        return views[name]
    kind: type[View] = names.find("view", name)
    if learns(kind):
        raise DataError(
            f"these features have no view '{name}', only {', '.join(views) or 'ids'}: it is fitted on training rows; "
            f"name it where they are made, FeaturePipeline(views=('{name}',)) or Features.from_sequences(..., views=('{name}',))"
        )
    return kind()
