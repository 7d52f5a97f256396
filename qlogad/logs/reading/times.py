"""Parse times to seconds since 1970 UTC: ISO 8601, basic or extended, or a number in s, ms, us or ns.

Only times between 1677 and 2262 are accepted, the range of 64-bit nanoseconds (and of pandas).
"""

import re
from datetime import UTC, datetime
from math import nan
from typing import Literal

__all__ = ["EARLIEST", "LATEST", "Times", "Unit", "calendar", "is_number", "moment_of"]

Unit = Literal["s", "ms", "us", "ns"]

LATEST = float(2**63 // 10**9)  # seconds since 1970
EARLIEST = -LATEST

_UNKNOWN = frozenset(("", "-", "nat", "nan", "none", "null", "na", "n/a", "<na>", "unknown"))
_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_MS = 1e11  # numbers from here on are in ms (1973), from a thousand times as much in us, ...; those in between are invalid
_LONGEST = 64  # largest number of characters of a time
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_COMPACT = re.compile(r"(?:19|2[012])\d{6}(?:\d{6})?", re.ASCII)
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)  # format that Python parses directly
_ISO = re.compile(
    r"(\d{4})([-/.]?)(\d\d)\2(\d\d)"  # 2008-11-09, 2008/11/09, 2008.11.09, 20081109
    r"(?:[Tt\s]\s*(\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?)\s*(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


class Times:
    """Parses the times of one source: seconds, NaN for a time given as unknown, or the reason why the text is not a time.

    Numbers are in `unit`. Without it, the size of the first number determines the unit of the whole source, and 20081109 is a date.
    ISO times without a zone are UTC.

    >>> times = Times()
    >>> times("2008-11-09T21:35:30+01:00"), times("1226262930500"), times("NaT"), times("1226262930"), times("soon")
    (1226262930.0, 1226262930.5, nan, 'time in another unit than the first: set time_unit', 'not a valid time')
    """

    def __init__(self, unit: Unit | None = None) -> None:
        self._unit: Unit | Literal["date"] | None = unit
        self._told = unit is not None

    def __call__(self, text: str | list[str]) -> float | str:
        """Seconds since 1970, NaN, or a reason."""
        if not text:
            return nan
        if not isinstance(text, str):
            return "not a valid time"
        text = text.strip()
        if text[4:5] != "-":  # otherwise a date, the usual case
            if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
                return self._number(text)
            if text.lower() in _UNKNOWN:
                return nan
        seconds = calendar(text)
        return "not a valid time" if seconds is None else seconds

    def _number(self, text: str) -> float | str:
        value = float(text)
        if not self._told and value:
            unit = _unit(text, value)
            if unit is None:
                return "not a valid time"
            if self._unit not in {None, unit}:
                return "time in another unit than the first: set time_unit"
            self._unit = unit
            if unit == "date":
                return calendar(text) or 0.0
        per_second = 1 if self._unit is None or self._unit == "date" else _PER_SECOND[self._unit]
        seconds = (int(text) if text.isdecimal() else value) / per_second
        return seconds if EARLIEST <= seconds <= LATEST else "not a valid time"


def _unit(text: str, value: float) -> Unit | Literal["date"] | None:
    """The unit inferred from the size of a number; None between two units."""
    if _COMPACT.fullmatch(text):
        return None if calendar(text) is None else "date"
    size = abs(value)
    if size <= LATEST:
        return "s"
    return next((unit for unit, by in _PER_SECOND.items() if _FIRST_MS * by / 1e3 <= size <= LATEST * by), None)


def calendar(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time (UTC unless it has a zone); None if it is not a valid time.

    >>> calendar("20081109T203530Z"), calendar("2008-11-09 20:35:30,5"), calendar("2008-11-31")
    (1226262930.0, 1226262930.5, None)
    """
    time = moment_of(text)
    try:
        seconds = None if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and EARLIEST <= seconds <= LATEST else None


def moment_of(text: str) -> datetime | None:
    """An ISO 8601 time as it is written, with its zone if it has one; None if it is not a valid time."""
    if len(text) > _LONGEST:
        return None
    if _COMPACT.fullmatch(text) and len(text) == 14:
        text = f"{text[:8]}T{text[8:]}"
    written = text
    if not _USUAL.fullmatch(text):
        match = _ISO.fullmatch(text)
        if match is None:
            return None
        year, _, month, day, clock, zone = match.groups()
        written = f"{year}-{month}-{day}T{clock or '00'}{'' if zone is None else zone if zone[0] in '+-' else '+00:00'}"
    try:
        return datetime.fromisoformat(written)
    except (ValueError, OverflowError):
        return None


def is_number(text: str) -> bool:
    """Whether a text is a number, as a time since 1970 is written.

    >>> is_number("1226262930.5"), is_number("2008-11-09")
    (True, False)
    """
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None
