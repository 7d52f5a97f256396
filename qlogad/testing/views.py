"""Laws of every view: fitted on training rows, then a pure function of rows; its fitted state survives JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property

import numpy as np

from qlogad.arrays import Floats
from qlogad.errors import DataError
from qlogad.features.features import Features
from qlogad.features.frame import ATTRIBUTES
from qlogad.features.view import View, learns
from qlogad.seeds import generator
from qlogad.testing.detectors import SIZE, said_of, sessions
from qlogad.testing.laws import Laws, Tell, assert_refused

__all__ = ["check_view"]

LAWS = Laws["Subject"]()


def check_view(cls: type[View], *, tell: Tell | None = None) -> None:
    """Check a view against its contract.

    Args:
        cls: the view's class.
        tell: called with the outcome of each law; None: the first broken law raises an error.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.

    >>> from qlogad.features.counts import Counts
    >>> check_view(Counts)
    """
    LAWS.hold(Subject(cls), tell)


class Subject:
    """A view's class, random training and later rows, and the view fitted once."""

    def __init__(self, cls: type[View]) -> None:
        later = [*sessions(12, "view"), [], [SIZE], [0] * 30]
        self.cls = cls
        self.train, self.later = (
            Features.from_sequences(windows, size=SIZE, **said_of(windows)) for windows in (sessions(40, "train"), later)
        )

    @cached_property
    def fitted(self) -> View:
        return self.cls.fit(self.train)

    def rows_of(self, made: Floats, rows: Features) -> list[Floats]:
        """The view's array split by row; a table of templates is repeated for each."""
        if self.cls.of == "event":
            return np.split(made, rows.offsets_N1[1:-1])
        return list(made) if self.cls.of == "row" else [made] * len(rows)


@LAWS.law()
def it_has_the_shape_that_it_states(it: Subject) -> None:
    for rows in (it.train, it.later):
        length = {"template": rows.size, "row": len(rows), "event": len(rows.ids_E)}[it.cls.of]
        made = it.fitted.make(rows)
        assert made.ndim == 2, f"an array of two axes, got shape {made.shape}"
        assert len(made) == length, f"one line for each {it.cls.of}, {length}, got shape {made.shape}"
        assert made.dtype == np.float64, f"float64, got {made.dtype}"
        assert not np.isinf(made).any(), "NaN says that nothing is known; infinity says nothing"
    assert it.fitted.make(it.train).shape[1] == it.fitted.make(it.later).shape[1], "its width is fitted once"


@LAWS.law()
def a_row_does_not_depend_on_others(it: Subject) -> None:
    order = generator(0, "check_view").permutation(len(it.later))
    whole = it.rows_of(it.fitted.make(it.later), it.later)
    turned = it.rows_of(it.fitted.make(it.later.take(order)), it.later.take(order))
    for place, row in enumerate(order):
        np.testing.assert_allclose(turned[place], whole[row], rtol=1e-12, atol=1e-12, err_msg="company or order matters")


@LAWS.law()
def fitting_repeats_and_making_changes_nothing(it: Subject) -> None:
    before = it.fitted.state()
    first = it.fitted.make(it.later)
    assert np.array_equal(first, it.fitted.make(it.later), equal_nan=True), "the same rows, the same numbers"
    assert it.fitted.state() == before, "to make it changes nothing"
    assert it.cls.fit(it.train).state() == before, "equal training rows, equal state"


@LAWS.law(when=lambda it: it.cls.of == "row")
def weight_is_repetition(it: Subject) -> None:
    times = generator(0, "check_view", "times").integers(1, 4, size=len(it.train))
    windows = [row.tolist() for row in it.train.rows()]
    repeated = [window for window, many in zip(windows, times.tolist(), strict=True) for _ in range(many)]
    long = it.cls.fit(Features.from_sequences(repeated, size=SIZE, **said_of(repeated)))
    heavy = it.cls.fit(Features.from_sequences(windows, size=SIZE, weight=times.tolist(), **said_of(windows)))
    one, two = (view.make(it.later) for view in (heavy, long))
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9, err_msg="a row of weight 3 is to count as three equal rows")


@LAWS.law()
def its_state_is_all_it_learnt(it: Subject) -> None:
    again = it.cls.from_state(json.loads(json.dumps(it.fitted.state())))
    assert again == it.fitted, "a view is what its state says"
    assert np.array_equal(again.make(it.later), it.fitted.make(it.later), equal_nan=True), "and makes the same"
    assert bool(it.fitted.state()) == learns(it.cls), "its fields are what it learnt"


@LAWS.law(when=lambda it: it.cls.apart)
def rows_that_stand_for_many_windows_are_refused(it: Subject) -> None:
    merged = replace(it.later, per_event=None)
    assert_refused(lambda: it.fitted.make(merged), DataError, "rows of merged windows for a view that is apart")


@LAWS.law()
def it_needs_what_it_reads_and_nothing_else(it: Subject) -> None:
    assert it.cls.apart or not it.cls.needs, "only a view that is apart reads more of an event than its id"
    assert it.cls.apart <= bool(it.cls.needs), f"`needs` says which of {', '.join(ATTRIBUTES)} it reads"
    for need in it.cls.needs:
        assert need in ATTRIBUTES, f"`needs` has {need!r}, which is none of {', '.join(ATTRIBUTES)}"
    before, whole = it.fitted.state(), it.fitted.make(it.later)
    for attribute, given in ATTRIBUTES.items():
        train, later = (_without(given, rows) for rows in (it.train, it.later))
        view = it.cls.fit(train)
        same = view.state() == before and np.array_equal(view.make(later), whole, equal_nan=True)
        assert same == (attribute not in it.cls.needs), f"{'it reads' if not same else 'it does not read'} {given} of events"


def _without(given: str, rows: Features) -> Features:
    windows = [row.tolist() for row in rows.rows()]
    said = said_of(windows)
    del said[given]
    return Features.from_sequences(windows, size=SIZE, **said)
