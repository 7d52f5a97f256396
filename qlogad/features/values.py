"""The numbers in messages: each numeric variable part of a template, standardised by its mean and deviation in training.

Du et al., CCS 2017, doi:10.1145/3133956.3134015: parameters of a template form a vector, normalised by the mean and the standard
deviation in training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from qlogad.arrays import Floats, Ints
from qlogad.features.view import Base, Columns, View

__all__ = ["Values"]

_NUMBER = re.compile(r"[-+]?\d{1,300}(?:\.\d+)?(?:[eE][-+]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Slot:
    """A variable part of a template that is always a number in training."""

    event: int  # the id of the template
    place: int  # index among the template's variable parts, from 0
    column: int  # column of the view
    mean: float
    deviation: float  # standard deviation, above 0; 1 if training has a single value


@dataclass(frozen=True)
class Values(View):
    """Standard scores of numeric parts, (E, D), D the largest number of them in one template; NaN where there is none.

    >>> from qlogad import Features
    >>> values = [[["a", "1"], ["b", "3"], ["c", "12"]]]
    >>> Features.from_sequences([[0, 0, 1]], values=values, views=["values"]).view("values")[:, 0].tolist()
    [-1.0, 1.0, 0.0]
    """

    slots: tuple[Slot, ...]  # numbers of templates, and their training ranges

    of: ClassVar[Literal["event"]] = "event"
    apart: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("values",)

    @classmethod
    def fit(cls, base: Base) -> Self:
        """Find the numeric parts, with their means and deviations."""
        slot_P, number_P = _slots(base.columns, base.ids_E), _numbers(base.columns)
        weight_P = np.repeat(base.weight_N[base.row_E], np.diff(base.columns.value_offsets_E1))
        known_S, which_P = np.unique(slot_P, return_inverse=True)
        which_P = which_P.reshape(-1)
        numeric_S = np.bincount(which_P, weights=np.isnan(number_P), minlength=len(known_S)) == 0
        numeric_S &= known_S // _MOST < base.size
        total_S = np.maximum(np.bincount(which_P, weights=weight_P, minlength=len(known_S)), np.finfo(np.float64).tiny)
        filled_P = np.nan_to_num(number_P)
        mean_S = np.bincount(which_P, weights=weight_P * filled_P, minlength=len(known_S)) / total_S
        square_P = weight_P * (filled_P - mean_S[which_P]) ** 2
        deviation_S = np.sqrt(np.bincount(which_P, weights=square_P, minlength=len(known_S)) / total_S)
        deviation_S = np.where(deviation_S > 1e-12 * np.abs(mean_S), deviation_S, 1.0)  # smaller ones are rounding error
        slots: list[Slot] = []
        for place in np.flatnonzero(numeric_S).tolist():
            event, part = divmod(int(known_S[place]), _MOST)
            column = slots[-1].column + 1 if slots and slots[-1].event == event else 0
            slots.append(Slot(event, part, column, float(mean_S[place]), float(deviation_S[place])))
        return cls(tuple(slots))

    def make(self, base: Base) -> Floats:
        """The numbers of every event (E, D), in standard deviations from the mean in training."""
        width = max((slot.column for slot in self.slots), default=-1) + 1
        scores_ED = np.full((len(base.ids_E), width), np.nan)
        if not self.slots:
            return scores_ED
        columns = base.columns
        number_P = _numbers(columns)
        code_S = np.asarray([slot.event * _MOST + slot.place for slot in self.slots])
        slot_P = _slots(columns, base.ids_E)
        which_P = np.minimum(np.searchsorted(code_S, slot_P), len(code_S) - 1)
        known_P = np.flatnonzero((code_S[which_P] == slot_P) & ~np.isnan(number_P))
        slot_K = which_P[known_P]
        mean_S, deviation_S = (np.asarray([getattr(slot, name) for slot in self.slots]) for name in ("mean", "deviation"))
        column_S = np.asarray([slot.column for slot in self.slots])
        event_P = np.repeat(np.arange(len(base.ids_E)), np.diff(columns.value_offsets_E1))
        scores_ED[event_P[known_P], column_S[slot_K]] = (number_P[known_P] - mean_S[slot_K]) / deviation_S[slot_K]
        return scores_ED


_MOST = 10_000  # variable parts per message; later ones are treated as one


def _slots(columns: Columns, ids_E: Ints) -> Ints:
    """One integer per value that identifies its template and place."""
    lengths_E = np.diff(columns.value_offsets_E1)
    place_P = np.arange(len(columns.value_P)) - np.repeat(columns.value_offsets_E1[:-1], lengths_E)
    return np.repeat(ids_E, lengths_E) * _MOST + np.minimum(place_P, _MOST - 1)


def _numbers(columns: Columns) -> Floats:
    """Values as floats; NaN for values that are not numbers."""
    number_V = [float(word) if _NUMBER.fullmatch(word) else np.nan for word in columns.values]
    return np.asarray([*number_V, np.nan], dtype=np.float64)[columns.value_P]
