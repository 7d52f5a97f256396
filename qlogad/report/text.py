"""Numbers, intervals and tables as text."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from qlogad import escape
from qlogad.evaluate.compare import Contrast, Interval

__all__ = ["interval_of", "item", "markdown_table", "mean_of", "number", "signed", "span_of", "turned"]


def turned(rows: list[dict[str, Any]]) -> str:
    """A transposed table with cuts as columns, which fits a terminal."""
    table = [[key, *(row[key] for row in rows)] for key in rows[0] if key != "cut"]
    text: str = escape.table(table, "simple", ["cut", *(row["cut"] for row in rows)])
    return text


def markdown_table(rows: list[dict[str, Any]]) -> str:
    text: str = escape.table(rows, "github")
    return text


def item(text: str) -> str:
    """An item of a Markdown list."""
    return f"- {escape.markdown(text.removeprefix('- '))}"


def number(value: float, digits: int = 3) -> str:
    if math.isnan(value):
        return "-"
    return "not even 1" if math.isinf(value) else f"{value:.{digits}f}"


def mean_of(values: pd.Series) -> str:
    """The mean over seeds; if it is undefined for some (no alarm, for example), with the number of seeds it is the mean of."""
    defined = values.dropna()
    if len(defined) in (0, len(values)):
        return number(float(values.mean()))
    return f"{number(float(defined.mean()))} ({len(defined)} of {len(values)} seeds)"


def span_of(values: pd.Series, around: Interval | None) -> str:
    if around is None:
        return "-"
    return f"{number(float(values.mean()))} [{number(around.low, 2)}, {number(around.high, 2)}]"


def interval_of(found: Interval | Contrast | None) -> str:
    return "-" if found is None or math.isnan(found.low) else f"[{signed(found.low)}, {signed(found.high)}]"


def signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3f}"
