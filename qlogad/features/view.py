"""Views: inputs of detectors besides the event ids. Each is fitted on training rows and then a pure function of any rows.

    base (ids; with windows apart also times, levels, components, values, texts) ─► fit on training rows ─► make ─► one array

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
    """Attributes of events besides their ids, rows end to end. Strings are stored as indices into a table."""

    time_E: Floats  # seconds since 1970; NaN unknown
    level_E: Places  # index into `levels`
    levels: tuple[str, ...]  # "INFO", ...; "" if the log has none
    component_E: Places  # index into `components`
    components: tuple[str, ...]
    value_P: Places  # index into `values`: variable parts of messages, events end to end, in order of position
    value_offsets_E1: Ints  # event e has value_P[value_offsets_E1[e]:value_offsets_E1[e + 1]]
    values: tuple[str, ...]
    text_E: Places  # index into `texts`
    texts: tuple[str, ...]  # masked messages

    def take(self, event_C: Ints) -> Columns:
        """The attributes of a subset of events."""
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
            text_E=self.text_E[event_C],
            texts=self.texts,
        )

    @classmethod
    def of_events(
        cls,
        times: Sequence[float] | Floats,
        levels: Sequence[str],
        components: Sequence[str],
        values: Sequence[Sequence[str]],
        texts: Sequence[str],
    ) -> Columns:
        """Build the columns from one item per event.

        Raises:
            DataError: the lengths differ.

        >>> columns = Columns.of_events([0.0, 1.5], ["INFO", "INFO"], ["", ""], [("12", "a"), ()], ["took <*>", "done"])
        >>> columns.levels, columns.level_E.tolist(), columns.value_offsets_E1.tolist()
        (('INFO',), [0, 0], [0, 2, 2])
        """
        every = {"times": times, "levels": levels, "components": components, "values": values, "texts": texts}
        counts = {name: len(given) for name, given in every.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"every event needs a time, a level, a component, a list of values and a text, got {counts}")
        level_E, level_words = coded(levels)
        component_E, component_words = coded(components)
        value_P, value_words = coded([value for own in values for value in own])
        text_E, text_words = coded(texts)
        return cls(
            time_E=np.asarray(times, dtype=np.float64),
            level_E=level_E,
            levels=level_words,
            component_E=component_E,
            components=component_words,
            value_P=value_P,
            value_offsets_E1=np.concatenate([[0], np.cumsum([len(own) for own in values])]).astype(np.int64),
            values=value_words,
            text_E=text_E,
            texts=text_words,
        )


def coded(words: Sequence[str]) -> tuple[Places, tuple[str, ...]]:
    """Strings as indices into the table of distinct ones, which is ordered by first appearance.

    >>> coded(["b", "a", "b"])[1]
    ('b', 'a')
    """
    places: dict[str, int] = {}
    found = np.fromiter((places.setdefault(word, len(places)) for word in words), dtype=np.int32, count=len(words))
    return found, tuple(places)


class Base(Protocol):
    """The input of views: rows of event ids and the attributes of events. `Features` implements it."""

    @property
    def ids_E(self) -> Ints: ...  # event ids of all rows, end to end; V is "not seen in training"
    @property
    def offsets_N1(self) -> Ints: ...
    @property
    def weight_N(self) -> Floats: ...  # the number of windows that each row represents
    @property
    def vocabulary(self) -> tuple[str, ...]: ...  # V templates, by id
    @property
    def size(self) -> int: ...  # V
    @property
    def lengths_N(self) -> Ints: ...  # events in each row
    @property
    def row_E(self) -> Ints: ...  # the row of each event
    @property
    def columns(self) -> Columns: ...  # raises DataError if windows with equal ids are merged
    def __len__(self) -> int: ...  # N


class View(ABC):
    """An input of detectors besides the ids. One view per file of this folder, named after it: `reads = ("counts",)`.

    A concrete view is a frozen dataclass; its fields are its fitted state, which is also what is saved.
    """

    of: ClassVar[Literal["template", "row", "event"]]  # what a row of the array describes; there are V, N or E of them
    apart: ClassVar[bool] = False  # whether it reads `base.columns`, so that windows with equal ids are not merged
    needs: ClassVar[tuple[str, ...]] = ()  # what it reads there, if `apart`: "time", "level", "component", "values", "text"

    @classmethod
    @abstractmethod
    def fit(cls, base: Base) -> Self:
        """Fit on training rows, weighted by their multiplicity."""

    @abstractmethod
    def make(self, base: Base) -> Floats:
        """The view as an array (V, D), (N, D) or (E, D); NaN where unknown. The values of a row do not depend on other rows."""

    def state(self) -> dict[str, Any]:
        """The fitted state, as JSON types."""
        found: dict[str, Any] = documents.plain(self)
        return found

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted view with the state that `state()` returned.

        Raises:
            DocumentError: the state does not fit this view.
        """
        return documents.from_mapping(cls, state, f"the state of view '{names.name_of('view', cls) or cls.__name__}'", strict=True)


def any_apart(views: Sequence[str]) -> bool:
    """Whether any of these views needs windows apart.

    >>> any_apart(["ids", "counts"])
    False
    """
    return any(names.find("view", name).apart for name in views)


def learns(kind: type[View]) -> bool:
    """Whether a view has fitted state."""
    return len(fields(kind)) > 0  # type: ignore[arg-type]  # a concrete view is a dataclass


def fit_views(views: Sequence[str], base: Base) -> dict[str, View]:
    """The named views that have fitted state, fitted on training rows."""
    kinds: dict[str, type[View]] = {name: names.find("view", name) for name in views}
    return {name: kind.fit(base) for name, kind in kinds.items() if learns(kind)}


def view_of(views: Mapping[str, View], name: str) -> View:
    """The fitted view of that name; a view without fitted state need not be in `views`.

    Raises:
        DataError: the view has fitted state, and is not in `views`.
    """
    if name in views:
        return views[name]
    kind: type[View] = names.find("view", name)
    if learns(kind):
        raise DataError(
            f"these features have no fitted view '{name}', only {', '.join(views) or 'ids'}; "
            f"request it when making them: FeaturePipeline(views=('{name}',)) or Features.from_sequences(..., views=('{name}',))"
        )
    return kind()
