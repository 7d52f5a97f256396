"""Windows in a pandas DataFrame with one row per event, as lists of ids and of whatever else is known of the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from qlogad import names
from qlogad.errors import DataError, counted, did_you_mean, shown

__all__ = ["ATTRIBUTES", "attributes_of", "check_needs", "windows_of"]

Lists: TypeAlias = list[list[Any]]

ATTRIBUTES = {"time": "times", "level": "levels", "component": "components", "values": "values", "text": "texts"}
_NUMBERS = ("integer", "floating", "mixed-integer-float", "empty")  # as pandas calls them; "empty": all are missing


def windows_of(frame: pd.DataFrame, window: str = "window", event: str = "event") -> Lists:
    """The event ids of every window, windows in the order in which they first appear.

    Args:
        frame: one row per event, in order.
        window: the column of identifiers of windows, of any type.
        event: the column of event ids.

    >>> windows_of(pd.DataFrame({"window": ["b", "a", "b"], "event": [0, 1, 2]}))
    [[0, 2], [1]]

    Raises:
        DataError: a column is not there, or a window or event is missing.
    """
    for name in (window, event):
        if missing := int(_column(frame, name, (window, event)).isna().sum()):
            raise DataError(f"column {shown(name)} lacks {counted(missing, 'value')}; drop those rows or fill them in")
    return _grouped(frame, window, frame[event])


def attributes_of(frame: pd.DataFrame, columns: Mapping[str, str], window: str = "window") -> dict[str, Lists]:
    """What else is known of every event, as arguments of `Features.from_sequences`.

    Args:
        frame: one row per event, in order.
        columns: keys of ATTRIBUTES -> the columns that hold them.
        window: the column of identifiers of windows.

    >>> attributes_of(pd.DataFrame({"window": ["b", "a", "b"], "ts": [0.5, 2, 3]}), {"time": "ts"})
    {'times': [[0.5, 3.0], [2.0]]}

    Raises:
        DataError: a column is not there, or holds something else than its attribute.
    """
    found: dict[str, Lists] = {}
    for attribute, name in columns.items():
        column = _column(frame, name, columns.values())
        items = _seconds(column, name) if attribute == "time" else [_READ[attribute](item, name) for item in column]
        found[ATTRIBUTES[attribute]] = _grouped(frame, window, pd.Series(items, index=frame.index, dtype=object))
    return found


def check_needs(frame: pd.DataFrame, columns: Iterable[str], views: Iterable[str]) -> None:
    """Check that a frame has what views read of events.

    Args:
        frame: one row per event.
        columns: keys of ATTRIBUTES that it has columns for.
        views: names of views.

    >>> check_needs(pd.DataFrame({"window": [0], "event": [0], "ts": [0.5]}), [], ["gaps"])
    Traceback (most recent call last):
    qlogad.errors.DataError: view 'gaps' reads the time of events, but 'time' is not among the columns ['window', 'event', 'ts']; ...

    Raises:
        DataError: a view reads an attribute that the frame has no column for.
    """
    there = set(columns)
    for view in views:
        for need in names.find("view", view).needs:
            if need not in there:
                known = [str(one) for one in frame]
                raise DataError(
                    f"view '{view}' reads the {need} of events, but '{need}' is not among the columns {shown(known)}"
                    f"{did_you_mean(need, known)}; name the column that holds it: Features.from_frame(frame, {need}=...)"
                )


def _column(frame: pd.DataFrame, name: str, wanted: Any) -> pd.Series:
    if name not in frame:
        known = [str(one) for one in frame]
        columns = " and ".join(f"'{one}'" for one in wanted)
        raise DataError(
            f"a DataFrame of windows needs one row per event and the columns {columns}; {shown(name)} is not among {shown(known)}"
            f"{did_you_mean(name, known)}"
        )
    if not isinstance(found := frame[name], pd.Series):
        raise DataError(f"the DataFrame has {counted(found.shape[1], 'column')} named {shown(name)}; rename all but one")
    return found


def _grouped(frame: pd.DataFrame, window: str, column: pd.Series) -> Lists:
    keys = pd.factorize(frame[window])[0]  # duplicate row labels do no harm
    return [group.tolist() for _, group in column.reset_index(drop=True).groupby(keys, sort=False)]


def _seconds(column: pd.Series, name: str) -> list[float]:
    """Seconds since 1970 UTC; NaN where the time is missing."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        zero = pd.Timestamp(0, tz="UTC" if column.dt.tz is not None else None)
        found = ((column - zero) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
    elif pd.api.types.infer_dtype(column, skipna=True) in _NUMBERS:
        found = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        raise DataError(
            f"column {shown(name)} must hold times, as numbers (seconds since 1970) or datetimes, got {column.dtype}; "
            "convert it with pandas.to_datetime"
        )
    if np.isinf(found).any():
        raise DataError(f"column {shown(name)} holds an infinite time; leave it empty where a time is unknown")
    return [float(one) for one in found]


def _text(item: object, name: str) -> str:
    if isinstance(item, str):
        return item
    if pd.api.types.is_scalar(item) and pd.isna(item):
        return ""
    raise DataError(f"column {shown(name)} must hold text, got {shown(item)}; convert it with .astype(str)")


def _texts(item: object, name: str) -> tuple[str, ...]:
    if isinstance(item, (list, tuple)) and all(isinstance(one, str) for one in item):
        return tuple(item)
    if pd.api.types.is_scalar(item) and pd.isna(item):
        return ()
    raise DataError(
        f"column {shown(name)} must hold lists of text, one per event: the variable parts of its message; got {shown(item)}"
    )


_READ: dict[str, Callable[[object, str], Any]] = {"level": _text, "component": _text, "values": _texts, "text": _text}
