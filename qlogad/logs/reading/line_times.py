"""Parse the times of a log's lines as their layout says: ISO 8601, numbers since 1970, or %-directives as of `strptime`.

RFC 3164 and its kin write no year, and most logs no time zone; both are told once for a log. Month names are English, whatever the locale.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from math import floor, inf, isnan, nan
from zoneinfo import ZoneInfo, available_timezones

from qlogad.errors import DataError, counted, did_you_mean, shown
from qlogad.logs.reading.times import EARLIEST, LATEST, Times, Unit, is_number, moment_of

__all__ = ["DIRECTIVES", "NO_TIME", "UNITS", "UNTOLD_YEAR", "LineTimes", "time_zone"]

UNTOLD_YEAR = 2000  # of the first line of a log without years if none is told: the same numbers whenever the log is read
UNITS: dict[str, Unit] = {"s": "s", "ms": "ms", "us": "us", "ns": "ns"}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TWO = r"\d\d?"
_NAME_OF_A_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NAME_OF_A_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
DIRECTIVES = {  # directive: its expression
    "Y": r"\d{4}",
    "y": r"\d\d",
    "m": _TWO,
    "b": _NAME_OF_A_MONTH,
    "B": _NAME_OF_A_MONTH,
    "d": _TWO,
    "e": _TWO,
    "j": r"\d{1,3}",  # day of the year
    "a": _NAME_OF_A_DAY,
    "A": _NAME_OF_A_DAY,
    "H": _TWO,
    "I": _TWO,
    "p": "[ap]m",
    "M": _TWO,
    "S": _TWO,
    "f": r"\d{1,9}",  # digits of a fraction of a second
    "L": r"\d{1,3}",  # milliseconds as a number, without leading zeros
    "z": r"z|utc|gmt|[-+]\d\d:?\d\d",
    "s": r"-?\d{1,12}",  # seconds since 1970
}
_IGNORED = frozenset("aA")
_GROUP_OF = {"e": "d", "B": "b"}
_TAIL = re.compile(r"([.,])%f$")
_MARKS = (".", ",")
_OFFSET = re.compile(r"([-+])([01]\d|2[0-3]):?([0-5]\d)?", re.ASCII)
_UNKNOWN = frozenset(("", "-", "none", "null", "nan", "nat", "unknown"))
NO_TIME = "not a valid time"
_KEPT = 1 << 16  # seconds that are looked up instead of computed
_HALF_A_YEAR = 183 * 86400.0


class LineTimes:
    """Parses times in the order of their lines: seconds since 1970 UTC, NaN where unknown, or the reason why a text is no time.

    A time without a year has the year of the line above; where it would lie more than half a year before (after) that line, the next
    (previous) year is meant. A time without a zone is in `zone`: of two equal times around a clock put back the first is meant, and a time
    that a clock put forward never showed is read as if it had not been; `warnings` tells both.

    >>> times = LineTimes("%b %d %H:%M:%S", year=2023)
    >>> times("Dec 31 23:59:59"), times("Jan  1 00:00:00")
    (1704067199.0, 1704067200.0)
    >>> LineTimes("%d/%b/%Y:%H:%M:%S %z")("10/Oct/2000:13:55:36 -0700")
    971211336.0
    >>> LineTimes("iso", "Europe/Berlin")("2000-10-10 22:55:36,5")
    971211336.5

    Args:
        form: "iso"; "s", "ms", "us" or "ns" since 1970; or text with `DIRECTIVES`. None: ISO, or a number whose size says its unit.
        zone: an IANA name or an offset such as "+02:00", of times that have none themselves.
        year: of the first line, where times have none.

    Raises:
        DataError: there is no such directive or zone.
    """

    def __init__(self, form: str | None = None, zone: str = "UTC", year: int | None = None) -> None:
        self._zone, self._zone_name = time_zone(zone), zone
        self._year, self._told = year or UNTOLD_YEAR, year is not None
        self._last: float | None = None  # the time of the line above, where years are counted
        self._second_of: dict[tuple[str | None, ...], float | None] = {}
        self._second_at: dict[str, float | None] = {}  # by the text before the fraction, where times have a year
        self._twice = self._never = 0
        self._numbers: Times | None = None
        self._pattern: re.Pattern[str] | None = None
        if form is None or form in UNITS:
            self._numbers = Times(None if form is None else UNITS[form])
        elif "%" in form:
            self._pattern = re.compile(_expression(form), re.ASCII | re.IGNORECASE)
        elif form != "iso":
            raise DataError(f"time_format = {shown(form)}: write iso, s, ms, us, ns, or directives such as '%Y-%m-%d %H:%M:%S,%f'")
        self._yearless = self._pattern is not None and not {"Y", "y", "s"} & set(self._pattern.groupindex)
        tail = None if form is None or self._pattern is None else _TAIL.search(form)
        self._whole = self._pattern is not None and not self._yearless and not {"f", "L"} & set(self._pattern.groupindex)
        self._mark = tail[1] if tail is not None and not self._yearless else ""  # what divides a fraction from all before it

    def __call__(self, text: str) -> float | str:
        """Seconds since 1970, NaN, or a reason."""
        if self._pattern is None:
            return self._iso(text)
        if self._whole:
            second = self._second_at.get(text)
            if second is not None:
                return second
        elif self._mark:
            head, _, digits = text.rpartition(self._mark)
            second = self._second_at.get(head)
            if second is not None and len(digits) <= 9 and digits.isdecimal() and digits.isascii():
                return _with_fraction(second, digits)
        found = self._directed(text, self._pattern)
        if isinstance(found, float) and not isnan(found):
            if len(self._second_at) >= _KEPT:
                self._second_at.clear()
            if self._whole:
                self._second_at[text] = found
            elif self._mark:
                self._second_at[text.rpartition(self._mark)[0]] = floor(found)
        return found

    def warnings(self) -> list[str]:
        """What to say of the times read so far."""
        found = []
        if self._yearless and not self._told and self._last is not None:
            found.append(f"the times have no year: the first line is taken to be of {UNTOLD_YEAR}; write year = ... in [data]")
        if self._twice:
            found.append(f"{counted(self._twice, 'time')} that clocks in {self._zone_name} showed twice: the first is taken")
        if self._never:
            found.append(f"{counted(self._never, 'time')} that clocks in {self._zone_name} never showed; check time_zone")
        return found

    @property
    def expression(self) -> str:
        """The expression of a time by its directives, whose groups they name, to be matched regardless of case; "" without directives."""
        return "" if self._pattern is None else self._pattern.pattern

    @property
    def base(self) -> int | None:
        """What to add to a clock's seconds for seconds in UTC; None if that changes over the year."""
        return None if isinstance(self._zone, ZoneInfo) else -round((self._zone.utcoffset(None) or timedelta()).total_seconds())

    def moved(self, clock: float) -> float:
        """The time that a clock shows, in the order of lines, as a call gives it; infinite if there is no such time.

        Args:
            clock: whole seconds from 1970 to that reading as if the clock showed UTC; in the year 2000 where times have none.
        """
        moment = datetime.fromtimestamp(clock, UTC).replace(tzinfo=None)
        if self._yearless:
            names = {"m": moment.month, "d": moment.day, "H": moment.hour, "M": moment.minute, "S": moment.second}
            second = self._near({name: str(value) for name, value in names.items()})
        else:
            key = (str(clock),)
            second = self._second_of[key] if key in self._second_of else self._keep(key, moment)
        return inf if second is None else second

    def _iso(self, text: str) -> float | str:
        if text[4:5] == "-":
            digits = text[20:]
            if text[19:20] in _MARKS and len(digits) <= 9 and digits.isdecimal() and digits.isascii():  # the usual case
                second = self._second(text[:19])
                return NO_TIME if second is None else _with_fraction(second, digits)
        elif self._numbers is not None and is_number(text.strip()):
            return self._numbers(text)
        if text.strip().lower() in _UNKNOWN:
            return nan
        second = self._second(text.strip())
        return NO_TIME if second is None else second

    def _directed(self, text: str, pattern: re.Pattern[str]) -> float | str:
        match = pattern.fullmatch(text)
        if match is None:
            return nan if text.strip().lower() in _UNKNOWN else NO_TIME
        parts = match.groupdict()
        fraction, thousandths = parts.pop("f", None), parts.pop("L", None)
        second = self._near(parts) if self._yearless else self._of_parts(parts)
        if second is None:
            return NO_TIME
        return _with_fraction(second, fraction if thousandths is None else thousandths.zfill(3))

    def _near(self, parts: dict[str, str]) -> float | None:
        """Seconds of a time without a year, no more than half a year from the line above."""
        second = self._of_parts({**parts, "Y": f"{self._year:04}"})
        if second is not None and self._last is not None and abs(second - self._last) > _HALF_A_YEAR:
            other = self._year + (1 if second < self._last else -1)
            near = self._of_parts({**parts, "Y": f"{other:04}"})
            if near is not None and abs(near - self._last) < abs(second - self._last):
                second, self._year = near, max(other, self._year)
        self._last = self._last if second is None else second
        return second

    def _of_parts(self, parts: dict[str, str]) -> float | None:
        key = tuple(parts.values())
        try:
            return self._second_of[key]
        except KeyError:
            try:
                moment = _assembled(parts)
            except (ValueError, OverflowError):
                moment = None
            return self._keep(key, moment)

    def _second(self, text: str) -> float | None:
        try:
            return self._second_of[(text,)]
        except KeyError:
            return self._keep((text,), moment_of(text))

    def _keep(self, key: tuple[str | None, ...], moment: datetime | None) -> float | None:
        if len(self._second_of) >= _KEPT:
            self._second_of.clear()
        second = self._second_of[key] = None if moment is None else self._seconds(moment)
        return second

    def _seconds(self, moment: datetime) -> float | None:
        """Seconds since 1970 of a moment, in this zone if it has none."""
        try:
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._zone)
                if self._zone is not UTC and moment.utcoffset() != moment.replace(fold=1).utcoffset():
                    shown_once = moment.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) == moment.replace(tzinfo=None)
                    self._twice, self._never = self._twice + shown_once, self._never + (not shown_once)
            seconds = moment.timestamp()
        except (ValueError, OverflowError):
            return None
        return seconds if EARLIEST <= seconds <= LATEST else None


def time_zone(name: str) -> tzinfo:
    """The zone of an IANA name or an offset.

    >>> time_zone("+0230"), time_zone("UTC") is UTC
    (datetime.timezone(datetime.timedelta(seconds=9000)), True)

    Raises:
        DataError: there is none such.
    """
    if name in {"UTC", "Z"}:
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = 60 * int(offset[2]) + int(offset[3] or 0)
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes)) if minutes else UTC
    if name not in available_timezones():
        hint = did_you_mean(name, available_timezones())
        raise DataError(f"there is no time zone {shown(name)}{hint}; write time_zone = 'Europe/Berlin' or '+02:00', say")
    return ZoneInfo(name)


def _with_fraction(second: float, digits: str | None) -> float:
    if not digits:
        return second
    scale: int = 10 ** len(digits)
    return (int(second) * scale + int(digits)) / scale  # rounded once


def _expression(form: str) -> str:
    """A time format as a regular expression whose groups are its directives."""
    parts, seen = list[str](), set[str]()
    tokens = re.findall(r"%(?:.|$)|\s+|.", form, re.DOTALL)
    for place, token in enumerate(tokens):
        letter = token[1:]
        if token == "%%":
            parts.append("%")
        elif token[0] == "%":
            group = _GROUP_OF.get(letter, letter)
            if letter not in DIRECTIVES or group in seen:
                why = "is in it twice" if group in seen else f"is not known; known: {' '.join(f'%{one}' for one in DIRECTIVES)}"
                raise DataError(f"time_format = {shown(form)}: {shown(token)} {why}")
            beside = [tokens[other][:1] for other in (place - 1, place + 1) if 0 <= other < len(tokens)]
            expression = r"\d\d" if DIRECTIVES[letter] == _TWO and "%" in beside else DIRECTIVES[letter]
            parts.append(expression if letter in _IGNORED else f"(?P<{group}>{expression})")
            seen.add(group)
        else:
            parts.append(r"\s+" if token.isspace() else re.escape(token))
    return "".join(parts)


def _assembled(parts: dict[str, str]) -> datetime:
    """A moment from its directives.

    Raises:
        ValueError, OverflowError: there is none such.
    """
    if "s" in parts:
        return datetime.fromtimestamp(int(parts["s"]), UTC)
    year = int(parts["Y"]) if "Y" in parts else int(parts["y"]) + (2000 if int(parts["y"]) < 69 else 1900)  # as POSIX has it
    hour = int(parts.get("H", 0))
    if "I" in parts:
        if not 1 <= int(parts["I"]) <= 12:
            raise ValueError
        hour = int(parts["I"]) % 12 + 12 * (parts.get("p", "am").lower() == "pm")
    month = _MONTHS.index(parts["b"][:3].lower()) + 1 if "b" in parts else int(parts.get("m", 1))
    day = datetime(year, month, int(parts.get("d", 1)), hour, int(parts.get("M", 0)), int(parts.get("S", 0)))
    if "j" in parts:
        day += timedelta(days=int(parts["j"]) - 1)
        if day.year != year:
            raise ValueError
    zone = parts.get("z", "").upper()
    return day.replace(tzinfo=time_zone(zone if zone[:1] in {"+", "-"} else "UTC")) if zone else day
