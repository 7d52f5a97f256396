"""Laws of the times of lines: a moment written by any directives comes back; years roll with the lines; clocks that skip are told."""

import math
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.errors import DataError
from qlogad.logs.reading.line_times import DIRECTIVES, NO_TIME, UNTOLD_YEAR, LineTimes, time_zone

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2068, 1, 1))
FORMS = st.sampled_from(
    [
        "%Y-%m-%d %H:%M:%S",
        "%d/%b/%Y:%H:%M:%S",
        "%y%m%d %H%M%S",
        "%A, %d %B %Y %I:%M:%S %p",
        "%a %b %e %H:%M:%S %Y",
        "%Y %j %H:%M:%S",
        "%Y%m%d-%H:%M:%S",
        "[%m.%d.%Y %H.%M.%S]",
        "100%% %s",
    ]
)


@given(MOMENTS, FORMS, st.sampled_from(["", ".%f", ",%f", ":%f", " %z"]), st.integers(-14 * 60, 14 * 60))
def test_a_moment_in_any_directives_comes_back(moment: datetime, form: str, tail: str, minutes: int) -> None:
    moment = moment.replace(tzinfo=time_zone(f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"))
    if "%z" not in tail:
        moment = moment.replace(tzinfo=UTC)
    if "%s" in form:
        tail = tail.replace(" %z", "")
        text = f"100% {math.floor(moment.timestamp())}" + moment.strftime(tail)
    else:
        text = moment.strftime(form + tail)
    wanted = moment if "%f" in tail else moment.replace(microsecond=0)
    times = LineTimes(form + tail)
    for _ in range(3):  # the second time it is looked up
        assert times(text) == wanted.timestamp()


@given(MOMENTS, st.integers(1, 9), st.sampled_from(".,"))
def test_digits_of_a_fraction_are_rounded_once(moment: datetime, digits: int, mark: str) -> None:
    second, part = int(moment.replace(tzinfo=UTC).timestamp()), int(f"{moment.microsecond:06}000"[:digits])
    wanted = (second * 10**digits + part) / 10**digits
    text = f"{moment:%Y-%m-%d %H:%M:%S}{mark}{part:0{digits}}"
    assert LineTimes("iso")(text) == LineTimes()(text) == LineTimes(f"%Y-%m-%d %H:%M:%S{mark}%f")(text) == wanted


@given(
    st.lists(st.integers(-86400, 150 * 86400), min_size=1, max_size=40), st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1))
)
def test_years_follow_the_lines(steps: list[int], start: datetime) -> None:
    """Lines in order, or a day out of it, however often a year begins."""
    moment, times = start.replace(microsecond=0), LineTimes("%b %d %H:%M:%S", year=start.year)
    for step in [0, *steps]:
        moment += timedelta(seconds=step)
        if (moment.month, moment.day) == (2, 29):
            moment += timedelta(days=1)
        assert times(f"{moment:%b %d %H:%M:%S}") == moment.replace(tzinfo=UTC).timestamp()
    assert times.warnings() == []


def test_an_untold_year_is_the_same_whenever_a_log_is_read_and_told() -> None:
    times = LineTimes("%b %d %H:%M:%S")
    assert times("Feb 29 12:00:00") == datetime(UNTOLD_YEAR, 2, 29, 12, tzinfo=UTC).timestamp()
    (warning,) = times.warnings()
    assert "year = " in warning


@given(MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "+05:30"]))
def test_local_times_are_those_of_the_zone(moment: datetime, name: str) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(time_zone(name))
    if isinstance(there.tzinfo, ZoneInfo) and there.fold:
        return  # told, see below
    for form in ("iso", "%Y-%m-%d %H:%M:%S.%f"):
        assert LineTimes(form, name)(f"{there:%Y-%m-%d %H:%M:%S.%f}") == there.timestamp()


def test_hours_that_a_clock_skipped_or_showed_twice_are_told() -> None:
    times = LineTimes("iso", "Europe/Berlin")
    assert times("2024-03-31 01:59:59") == times("2024-03-31 03:00:00") - 1  # type: ignore[operator]
    assert times.warnings() == []
    assert isinstance(times("2024-03-31 02:30:00"), float)
    assert times("2024-10-27 02:30:00") == datetime(2024, 10, 27, 0, 30, tzinfo=UTC).timestamp()
    assert [word in warning for word, warning in zip(("showed twice", "never showed"), times.warnings(), strict=True)] == [
        True,
        True,
    ]


@given(
    st.text(max_size=20), st.sampled_from([None, "iso", "s", "ns", "%Y-%m-%d", "%b %d", "%H:%M", "%d.%m.%y %I %p", "%j", "%s.%f"])
)
def test_any_text_is_a_time_or_a_reason(text: str, form: str | None) -> None:
    found = LineTimes(form)(text)
    assert isinstance(found, float) or found == NO_TIME or "set time_unit" in found


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (
            "%Y-%m-%d %H:%M:%S",
            ["2024-02-30 00:00:00", "2024-01-01 24:00:00", "2024-01-01 00:00:60", "1600-01-01 00:00:00", "2024-1-1"],
        ),
        ("%b %d", ["Xyz 1", "Feb 30", "Jan 0"]),
        ("%Y %j", ["2023 366", "2023 0"]),
        ("%I %p %Y", ["13 pm 2023", "0 am 2023"]),
        ("iso", ["2024-02-30", "1700000000", "soon"]),
    ],
)
def test_what_no_calendar_has_is_no_time(form: str, texts: list[str]) -> None:
    for text in texts:
        assert LineTimes(form)(text) == NO_TIME


def test_directives_are_those_of_strptime_and_a_few() -> None:
    for letter in DIRECTIVES.keys() - {"L", "e", "s"}:
        time.strptime(time.strftime(f"%{letter}") if letter != "f" else "1", f"%{letter}")  # Python knows it
    for form in ("%Y %Y", "%q", "%", "%d %e"):
        with pytest.raises(DataError, match="time_format"):
            LineTimes(form)
