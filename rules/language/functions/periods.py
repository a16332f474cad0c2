"""Functions on periods of the calendar: weeks, months, quarters and years, and working days (Monday to Friday)."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rules.language.functions.dates import FAR_TIME, add_days, add_months, days_between, to_zone
from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.text import N_

_dates = Chapter(Group.DATES)
_FRIDAY = 5
_WEEK = 7


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def start_of_week(moment: datetime) -> datetime:
    """Return the Monday of the week."""
    return add_days(_day(moment), 1 - moment.isoweekday())


def end_of_week(moment: datetime) -> datetime:
    """Return the Sunday of the week."""
    return add_days(_day(moment), _WEEK - moment.isoweekday())


def start_of_month(moment: datetime) -> datetime:
    """Return the first day of the month."""
    return _day(moment).replace(day=1)


def end_of_month(moment: datetime) -> datetime:
    """Return the last day of the month."""
    return _day(moment).replace(day=days_in_month(moment))


def start_of_quarter(moment: datetime) -> datetime:
    """Return the first day of the quarter."""
    return start_of_month(moment).replace(month=quarter(moment) * 3 - 2)


def end_of_quarter(moment: datetime) -> datetime:
    """Return the last day of the quarter."""
    return end_of_month(start_of_month(moment).replace(month=quarter(moment) * 3))


def start_of_year(moment: datetime) -> datetime:
    """Return the first of January."""
    return _day(moment).replace(month=1, day=1)


def end_of_year(moment: datetime) -> datetime:
    """Return the last of December."""
    return _day(moment).replace(month=12, day=31)


def quarter(moment: datetime) -> int:
    """Return the quarter, 1 to 4."""
    return (moment.month + 2) // 3


def days_in_month(moment: datetime) -> int:
    """Return how many days the month has."""
    return calendar.monthrange(moment.year, moment.month)[1]


def is_weekend(moment: datetime) -> bool:
    """Tell whether the day is a Saturday or Sunday."""
    return moment.isoweekday() > _FRIDAY


def add_business_days(moment: datetime, days: int) -> datetime:
    """Return the date so many working days later; a weekend counts as the Friday before, going back as the Monday."""
    if abs(days) > 10_000_000:
        raise FunctionError(FAR_TIME)
    beyond = max(0, moment.isoweekday() - _FRIDAY)
    if not beyond or days == 0:
        start = moment
    else:
        start = add_days(moment, -beyond if days > 0 else _WEEK + 1 - moment.isoweekday())
    weeks, rest = divmod(abs(days), _FRIDAY)
    step = 1 if days > 0 else -1
    over = not 1 <= start.isoweekday() + step * rest <= _FRIDAY
    return add_days(start, step * (weeks * _WEEK + rest + (2 if over and days else 0)))


def business_days_between(start: datetime, end: datetime) -> int:
    """Return how many working days come after `start`, up to and with `end`; negative where `end` is earlier."""
    return _business_days(end) - _business_days(start)


def _business_days(moment: datetime) -> int:
    """Return the count of working days from a fixed Sunday up to and with a day."""
    weeks, rest = divmod(days_between(_SUNDAY, moment), _WEEK)
    return weeks * _FRIDAY + min(rest, _FRIDAY)


_SUNDAY = datetime(2000, 1, 2, tzinfo=UTC)


def full_months(start: datetime, end: datetime) -> int:
    """Return how many full months lie between two moments, negative where the second is earlier."""
    if end < start:
        return -full_months(end, start)
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if add_months(start, months) <= end else months - 1


def full_years(start: datetime, end: datetime) -> int:
    """Return how many full years lie between two moments, negative where the second is earlier."""
    months = full_months(start, end)
    return months // 12 if months >= 0 else -(-months // 12)


def age(born: datetime, on: datetime) -> int:
    """Return the age in full years on a day; who was born on 29 February turns older on 1 March in other years."""
    before = (on.month, on.day) < (born.month, born.day)
    return on.year - born.year - before


def _in_zone(function: Callable[[datetime], Any]) -> Callable[[datetime, str], Any]:
    return lambda moment, zone: function(to_zone(moment, zone))


def _define(name: str, doc: str, example: str, function: Callable[[datetime], Any], result: str = "date") -> None:
    """Define what a moment belongs to; times are UTC unless a zone is given."""
    shown = {f"{name}(date('2024-02-14'))": f"date('{example}')" if result == "date" else example}
    signatures = {f"{name}(moment: {kind}) -> {result}": function for kind in ("date", "local_datetime", "datetime")}
    in_zone = {f"{name}(moment: datetime, zone: text) -> {result}": _in_zone(function)}
    _dates.own(doc, shown, signatures | in_zone)


_define("startOfWeek", N_("Takes the Monday of the week."), "2024-02-12", start_of_week)
_define("endOfWeek", N_("Takes the Sunday of the week."), "2024-02-18", end_of_week)
_define("startOfMonth", N_("Takes the first day of the month."), "2024-02-01", start_of_month)
_define("endOfMonth", N_("Takes the last day of the month."), "2024-02-29", end_of_month)
_define("startOfQuarter", N_("Takes the first day of the quarter."), "2024-01-01", start_of_quarter)
_define("endOfQuarter", N_("Takes the last day of the quarter."), "2024-03-31", end_of_quarter)
_define("startOfYear", N_("Takes the first day of the year."), "2024-01-01", start_of_year)
_define("endOfYear", N_("Takes the last day of the year."), "2024-12-31", end_of_year)
_define("quarter", N_("Takes the quarter, 1 to 4."), "1", quarter, "integer")
_define(
    "isoWeek", N_("Takes the number of the week (ISO 8601), 1 to 53."), "7", lambda d: d.isocalendar()[1], "integer"
)
_define(
    "isoYear",
    N_("Takes the year that the week belongs to (ISO 8601)."),
    "2024",
    lambda d: d.isocalendar()[0],
    "integer",
)
_define("dayOfYear", N_("Takes the day of the year, from 1."), "45", lambda d: d.timetuple().tm_yday, "integer")
_define("daysInMonth", N_("Tells how many days the month has."), "29", days_in_month, "integer")
_define("isWeekend", N_("Tells whether a day is a Saturday or Sunday."), "false", is_weekend, "boolean")
_dates.own(
    N_("Adds working days (Monday to Friday, holidays not known); a negative number goes back."),
    {
        "addBusinessDays(date('2024-02-16'), 1)": "date('2024-02-19')",
        "addBusinessDays(date('2024-02-17'), -1)": "date('2024-02-16')",
    },
    {"addBusinessDays(moment: date, days: integer) -> date": add_business_days},
)
_dates.own(
    N_("Counts the working days (Monday to Friday) after one date, up to and with another."),
    {"businessDaysBetween(date('2024-02-16'), date('2024-02-20'))": "2"},
    {"businessDaysBetween(start: date, end: date) -> integer": business_days_between},
)
_dates.own(
    N_("Counts the full months from one date to another."),
    {"monthsBetween(date('2024-01-31'), date('2024-03-30'))": "1"},
    {
        "monthsBetween(start: date, end: date) -> integer": full_months,
        "monthsBetween(start: datetime, end: datetime) -> integer": full_months,
    },
)
_dates.own(
    N_("Counts the full years from one date to another."),
    {"yearsBetween(date('2020-03-01'), date('2024-02-29'))": "3"},
    {
        "yearsBetween(start: date, end: date) -> integer": full_years,
        "yearsBetween(start: datetime, end: datetime) -> integer": full_years,
    },
)
_dates.own(
    N_("Tells how old somebody is on a day, in full years."),
    {"age(date('1990-02-15'), date('2024-02-14'))": "33"},
    {"age(born: date, on: date) -> integer": age},
)
