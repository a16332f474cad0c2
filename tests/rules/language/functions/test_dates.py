"""Periods, working days, spans and epochs: held against the calendar, day by day."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions import FUNCTIONS
from rules.language.functions.dates import add_days, add_months
from rules.language.functions.registry import FunctionError
from rules.schema import Field, FieldType
from tests.rules.language.functions.calls import constant, function, problem, refused

_DAYS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=dt.UTC)
)
_MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda m: m.replace(tzinfo=dt.UTC))


@given(_MOMENTS, st.sampled_from(["Week", "Month", "Quarter", "Year"]))
def test_periods(moment: dt.datetime, period: str) -> None:
    """A period holds its moment, and the day after its end starts the next one."""
    start, end = function(f"startOf{period}")(moment), function(f"endOf{period}")(moment)
    assert start <= moment < add_days(end, 1)
    assert function(f"startOf{period}")(start) == function(f"startOf{period}")(end) == start
    assert function(f"startOf{period}")(add_days(end, 1)) == add_days(end, 1)


@given(_DAYS, st.integers(-60, 60))
def test_business_days(day: dt.datetime, count: int) -> None:
    """Adding working days is going from day to day and counting those from Monday to Friday."""
    left, step, walked = abs(count), 1 if count > 0 else -1, day
    while left:
        walked = add_days(walked, step)
        left -= walked.isoweekday() <= 5
    found = function("addBusinessDays")(day, count)
    assert found == walked
    if day.isoweekday() <= 5:
        assert function("businessDaysBetween")(day, found) == count


@given(_DAYS, _DAYS)
def test_business_days_between(start: dt.datetime, end: dt.datetime) -> None:
    """The count from one day to another is the negative of the way back."""
    between = function("businessDaysBetween")
    assert between(start, end) == -between(end, start)
    assert between(end, add_days(end, 1)) == (add_days(end, 1).isoweekday() <= 5)


@given(_DAYS, _DAYS)
def test_months_between(start: dt.datetime, end: dt.datetime) -> None:
    """So many full months later is not after the end, one more is."""
    start, end = sorted((start, end))
    months = function("monthsBetween")(start, end)
    assert add_months(start, months) <= end < add_months(start, months + 1)
    assert function("monthsBetween")(end, start) == -months
    assert function("yearsBetween")(start, end) == months // 12
    assert function("yearsBetween")(end, start) == -(months // 12)


@given(_DAYS, st.integers(0, 99))
def test_age(born: dt.datetime, years: int) -> None:
    """People turn a year older on their birthday; those of 29 February on 1 March where there is no 29th."""
    try:
        birthday = born.replace(year=born.year + years)
    except ValueError:
        birthday = dt.datetime(born.year + years, 3, 1, tzinfo=dt.UTC)
    assert function("age")(born, birthday) == years
    assert function("age")(born, add_days(birthday, -1)) == years - 1


@given(_MOMENTS)
def test_epochs(moment: dt.datetime) -> None:
    """Milliseconds and seconds since 1970 lead back to the moment."""
    millis, seconds = function("epochMillis")(moment), function("epochSeconds")(moment)
    assert function("fromEpochMillis")(millis) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert function("fromEpochSeconds")(seconds) == moment.replace(microsecond=0)


def test_parts() -> None:
    """Parts of moments, in UTC and elsewhere."""
    assert constant("isoWeek(date('2024-12-30')) == 1 && isoYear(date('2024-12-30')) == 2025")
    assert constant("quarter(timestamp('2024-03-31T20:00:00Z'), 'Asia/Shanghai')") == 2
    assert constant("isWeekend(date('2024-02-17'))") is True
    assert constant("monthName(date('2024-10-01'), 'zh') + dayName(date('2024-10-01'), 'zh')") == "十月星期二"
    assert constant("dayOfYear(date('2024-12-31'))") == 366
    assert constant("minute(timestamp('2024-01-31T00:05:09Z'), 'Asia/Kolkata')") == 35
    assert constant("startOfMonth(localTime('2024-02-14T08:05:09'))") == dt.date(2024, 2, 1)


def test_spans() -> None:
    """Fractions of hours count; differences are negative backwards."""
    assert constant("addHours(localTime('2024-01-31T00:00:00'), 0.5)") == dt.datetime(2024, 1, 31, 0, 30)
    assert constant("hoursBetween(localTime('2024-01-31T01:30:00'), localTime('2024-01-31T00:00:00'))") == -1.5
    assert constant("addYears(date('2024-02-29'), 4)") == dt.date(2028, 2, 29)


def test_forms() -> None:
    """The first form that fits is taken; a form that means nothing is said."""
    assert constant("parseTime('2024/1/31 08:00', ['yyyy-MM-dd', 'yyyy/M/d HH:mm'], 'UTC')") == dt.datetime(
        2024, 1, 31, 8, tzinfo=dt.UTC
    )
    assert constant("isDate('2024-02-29')") is True
    assert constant("isDate('30.02.2024', 'dd.MM.yyyy')") is False
    parse = function("parseDate", 2)
    assert parse("31.01.2024", "dd.MM.yyyy").day == 31
    parse_any = FUNCTIONS["parseDate"].overloads[1].implementation
    assert parse_any is not None
    for forms, reason in (
        (["yyyy", "MM"], "'x' is a date in none of these forms: yyyy, MM."),
        (["qq"], "'q' means nothing in a date format. Use yyyy, MM, dd, HH, mm, ss, SSS."),
        (["yyyy", 5], "The list of date formats holds something that is no text."),
    ):
        with pytest.raises(FunctionError) as failed:
            parse_any("x", forms)
        assert str(failed.value.message) == reason


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("dateOf", (2024, 2, 30), "There is no date with the year 2024, month 2 and day 30."),
        ("dateOf", (10**12, 1, 1), "There is no date with the year 1000000000000, month 1 and day 1."),
        ("monthName", (dt.datetime(2024, 1, 1), "de"), "There are no names in the language 'de'. Use en, zh."),
        (
            "addBusinessDays",
            (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), 10**8),
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        (
            "addYears",
            (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), 10**8),
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        (
            "fromEpochSeconds",
            (10**15,),
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        (
            "addHours",
            (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), float("nan")),
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
    ],
)
def test_refused(name: str, args: tuple[object, ...], reason: str) -> None:
    """What no calendar has is said in plain words."""
    assert refused(name, *args) == reason


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "parseDate('x', ['yyyy', 'qq'])",
            ("'q' means nothing in a date format. Use yyyy, MM, dd, HH, mm, ss, SSS.", 25),
        ),
        ("quarter(seen, 'Nowhere')", ("There is no time zone 'Nowhere'. Write it like Asia/Shanghai.", 15)),
        ("monthName(seen, 'de')", ("There are no names in the language 'de'. Use en, zh.", 17)),
        (
            "formatDate(seen, 'yyyy-QQ')",
            ("'Q' means nothing in a date format. Use yyyy, MM, dd, HH, mm, ss, SSS.", 18),
        ),
    ],
)
def test_constants(text: str, found: tuple[str, int]) -> None:
    """Zones, languages and forms that are written out are checked when the expression is."""
    assert problem(text, Field("seen", FieldType.DATETIME)) == found
