"""Laws of times: whatever form a moment is written in, the same second comes back; what is no time says so when it is read."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.logs.reading.times import EARLIEST, LATEST, Times, calendar

FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%dT%H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%Y%m%d %H%M%S",
    "%Y%m%d%H%M%S",
)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
moments = st.integers(int(datetime(1974, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2261, 1, 1, tzinfo=UTC).timestamp()))
zones = st.integers(-14 * 60, 14 * 60)


@given(moments, st.sampled_from(FORMS), zones, st.sampled_from(["", "Z", "z", " UTC", "+0000", "+00:00", "offset", "basic offset"]))
def test_a_calendar_time_in_any_form_and_zone_is_the_same_second(second: int, form: str, minutes: int, zone: str) -> None:
    zone = "" if form == "%Y%m%d%H%M%S" else zone
    moved = timezone(timedelta(minutes=minutes)) if zone.endswith("offset") else UTC
    text = datetime.fromtimestamp(second, moved).strftime(form + ("%z" if zone.endswith("offset") else zone))
    if zone == "offset":
        text = f"{text[:-2]}:{text[-2:]}"
    assert Times()(text) == second
    assert Times()(f"  {text} ") == second
    if form in FORMS[:2] and zone not in {" UTC", "z"}:
        assert pd.to_datetime(text, utc=True).timestamp() == second


@given(moments)
def test_dates_alone_and_minutes_are_read_in_both_iso_forms(second: int) -> None:
    time = datetime.fromtimestamp(second, UTC)
    day, minute = time.replace(hour=0, minute=0, second=0), time.replace(second=0)
    assert {Times()(day.strftime(form)) for form in ("%Y%m%d", "%Y-%m-%d", "%Y/%m/%d")} == {day.timestamp()}
    assert {Times()(minute.strftime(form)) for form in ("%Y%m%dT%H%M", "%Y-%m-%d %H:%M")} == {minute.timestamp()}


@given(moments, st.integers(0, 999_999_999), st.sampled_from(list(UNITS)), st.booleans())
def test_an_epoch_in_any_unit_is_the_same_second_told_or_not(second: int, nano: int, unit: str, point: bool) -> None:
    scale = UNITS[unit]
    number = second * scale + nano * scale // 10**9
    text = f"{number}.0" if point else str(number)
    if len(text) in (8, 14) and calendar(text) is not None:
        return  # a date, unless told
    for times in (Times(), Times(unit)):
        found = times(text)
        assert isinstance(found, float)
        assert abs(found - number / scale) <= 2 * math.ulp(found)


@given(st.lists(st.tuples(moments, st.sampled_from(list(UNITS))), min_size=2, max_size=6))
def test_numbers_of_two_units_are_never_mixed_in_silence(rows: list[tuple[int, str]]) -> None:
    times = Times()
    for second, unit in rows:
        found = times(str(second * UNITS[unit]))
        if unit == rows[0][1]:
            assert found == second
        else:
            assert found == "time in another unit than the first: set time_unit"


@given(st.floats(allow_nan=False) | st.integers(-(10**30), 10**30), st.sampled_from([None, *UNITS]))
def test_a_number_is_a_time_that_every_calendar_has_or_none(value: float, unit: str | None) -> None:
    found = Times(unit)(str(value))
    if isinstance(found, float):
        assert EARLIEST <= found <= LATEST
        assert abs(pd.Timestamp(found, unit="s").year - datetime.fromtimestamp(found, UTC).year) <= 1
    else:
        assert found == "not a valid time"


@pytest.mark.parametrize("text", ["", "  ", "NaT", "nat", "NaN", "None", "null", "NULL", "N/A", "<NA>", "-"])
def test_what_says_unknown_is_unknown(text: str) -> None:
    found = Times()(text)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    [
        "soon", "now", "today", "inf", "-inf", "1e400", "1_000", "0x10", "2008-11-31", "20081131", "2008-13-01", "2008-1109",
        "20081109T253530", "2008-11-09 20:61", "11/09/2008", "9.11.2008", "1677-01-01", "2262-05-01", "9999-12-31", "0001-01-01",
        "50000000000", "1226262930 s", "2008-11-09 20:35:30 CET", "5 22 5", "9" * 5000, "2008-11-09" + " " * 5000 + "x",
    ],
)  # fmt: skip
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    assert Times()(text) == "not a valid time"
