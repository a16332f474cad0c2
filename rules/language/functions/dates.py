"""Functions on dates and times.

All moments reach the functions as `datetime` in UTC: a date as its midnight, a local time as if its zone were UTC.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from rules.language.functions import dateformat
from rules.language.functions.bounds import short
from rules.language.functions.registry import Builtin, Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

FINE_YEARS = (1700, 2240)
FAR_TIME = msg("Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.")
_dates = Chapter(Group.DATES)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise FunctionError(msg("There is no time zone '{zone}'. Write it like Asia/Shanghai.", zone=name)) from None


def exact(moment: datetime) -> datetime:
    """Return the moment if the runtime can read it without losing a part of it."""
    if moment.microsecond and not FINE_YEARS[0] <= moment.year < FINE_YEARS[1]:
        raise FunctionError(FAR_TIME)
    return moment


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def date_of_text(text: str) -> datetime:
    """Return the day of a text like 2024-01-31."""
    try:
        day = datetime.strptime(text if _DAY.fullmatch(text) else "", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        message = msg(
            "'{text}' is not a date in the form 2024-01-31. Use parseDate() for other forms.", text=short(text)
        )
        raise FunctionError(message) from None
    return day


def local_of_text(text: str) -> datetime:
    """Return the local time of a text like 2024-01-31T09:30:00."""
    try:
        moment = datetime.fromisoformat(text if _LOCAL.fullmatch(text) else "").replace(tzinfo=UTC)
    except ValueError:
        raise FunctionError(msg("'{text}' is not a time in the form 2024-01-31T09:30:00.", text=short(text))) from None
    return exact(moment)


def to_zone(moment: datetime, name: str) -> datetime:
    """Return the wall-clock time of an instant in a zone."""
    return moment.astimezone(zone(name)).replace(tzinfo=UTC)


def at_zone(local: datetime, name: str) -> datetime:
    """Return the instant of a wall-clock time; of two (when clocks go back) the first, none is an error."""
    placed = local.replace(tzinfo=zone(name), fold=0)
    instant = placed.astimezone(UTC)
    if instant.astimezone(zone(name)).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise FunctionError(
            msg("{time} does not exist in {zone}: the clocks skip it.", time=str(local)[:19], zone=name)
        )
    return instant


def add_days(moment: datetime, days: int) -> datetime:
    """Return the moment some days later."""
    return _checked(lambda: moment + timedelta(days=days))


def add_months(moment: datetime, months: int) -> datetime:
    """Return the same day some months later; the last day of the month where there is no such day."""
    count = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(count, 12)

    def shifted() -> datetime:
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day)

    return _checked(shifted)


def _checked(make: Callable[[], datetime]) -> datetime:
    try:
        return exact(make())
    except (OverflowError, ValueError):
        raise FunctionError(FAR_TIME) from None


def days_between(start: datetime, end: datetime) -> int:
    """Return the count of calendar days from one date to another."""
    return (_midnight(end) - _midnight(start)).days


def parse_date(text: str, pattern: str) -> datetime:
    """Return the day of a text in a given form."""
    return _midnight(dateformat.read(text, pattern))


def _in_zone(function: Callable[[datetime], Any]) -> Callable[[datetime, str], Any]:
    return lambda moment, name: function(to_zone(moment, name))


def _define_part(name: str, what: str, examples: dict[str, str], part: Callable[[datetime], int]) -> None:
    _dates.own(
        what,
        examples,
        {
            f"{name}(moment: date) -> integer": part,
            f"{name}(moment: local_datetime) -> integer": part,
            f"{name}(moment: datetime) -> integer": part,
            f"{name}(moment: datetime, zone: text) -> integer": _in_zone(part),
        },
    )


check_constants("zone", zone)
check_constants("form", dateformat.check)
_dates.own(
    N_("Makes a date from a text, or takes the date of a time; with a zone, the date on the calendar there."),
    {
        "date('2024-01-31')": "date('2024-01-31')",
        "date(timestamp('2024-01-31T20:00:00Z'), 'Asia/Shanghai')": "date('2024-02-01')",
    },
    {
        "date(text: text) -> date": date_of_text,
        "date(moment: date) -> date": _midnight,
        "date(moment: local_datetime) -> date": _midnight,
        "date(moment: datetime) -> date": _midnight,
        "date(moment: datetime, zone: text) -> date": _in_zone(_midnight),
    },
)
_dates.builtin(
    Builtin.GLOBAL,
    N_("Makes an instant from a text with a zone, or from seconds since 1970."),
    {"timestamp('2024-01-31T08:00:00+08:00')": "timestamp('2024-01-31T00:00:00Z')"},
    "timestamp(text: text) -> datetime",
    "timestamp(seconds: integer) -> datetime",
    "timestamp(moment: datetime) -> datetime",
)
_dates.own(
    N_("Makes a local time (without a zone) from a text, or takes the wall-clock time of an instant in a zone."),
    {"localTime(timestamp('2024-01-31T00:00:00Z'), 'Asia/Shanghai')": "localTime('2024-01-31T08:00:00')"},
    {
        "localTime(text: text) -> local_datetime": local_of_text,
        "localTime(moment: date) -> local_datetime": lambda moment: moment,
        "localTime(moment: local_datetime) -> local_datetime": lambda moment: moment,
        "localTime(moment: datetime, zone: text) -> local_datetime": to_zone,
    },
)
_dates.own(
    N_("Tells which instant a local time is in a zone."),
    {"localTime('2024-01-31T08:00:00').atZone('Asia/Shanghai')": "timestamp('2024-01-31T00:00:00Z')"},
    {"atZone(moment: local_datetime, zone: text) -> datetime": at_zone},
)
_dates.builtin(
    Builtin.GLOBAL,
    N_("Makes a time span from a text; units are h, m, s, ms. Add it to a time or compare a difference with it."),
    {"timestamp('2024-01-31T00:00:00Z') + duration('90m')": "timestamp('2024-01-31T01:30:00Z')"},
    "duration(text: text) -> duration",
)
_define_part("year", N_("Takes the year."), {"year(date('2024-01-31'))": "2024"}, lambda d: d.year)
_define_part("month", N_("Takes the month, 1 to 12."), {"month(date('2024-01-31'))": "1"}, lambda d: d.month)
_define_part("day", N_("Takes the day of the month, 1 to 31."), {"day(date('2024-01-31'))": "31"}, lambda d: d.day)
_define_part(
    "weekday",
    N_("Takes the day of the week: 1 is Monday, 7 is Sunday."),
    {"weekday(date('2024-01-31'))": "3"},
    datetime.isoweekday,
)
_define_part(
    "hour",
    N_("Takes the hour, 0 to 23."),
    {"hour(timestamp('2024-01-31T00:00:00Z'), 'Asia/Shanghai')": "8"},
    lambda d: d.hour,
)
_define_part(
    "minute",
    N_("Takes the minute, 0 to 59."),
    {"minute(localTime('2024-01-31T08:05:09'))": "5"},
    lambda d: d.minute,
)
_define_part(
    "second",
    N_("Takes the second, 0 to 59."),
    {"second(localTime('2024-01-31T08:05:09'))": "9"},
    lambda d: d.second,
)
_dates.own(
    N_("Writes a date or time in a form of yyyy, yy, MM, M, dd, d, HH, H, mm, m, ss, s, SSS; other characters stay."),
    {
        "formatDate(date('2024-01-31'), 'yyyy年M月d日')": "'2024年1月31日'",
        "formatDate(timestamp('2024-01-31T00:00:00Z'), 'dd.MM.yyyy HH:mm', 'Asia/Shanghai')": "'31.01.2024 08:00'",
    },
    {
        "formatDate(moment: date, form: text) -> text": dateformat.write,
        "formatDate(moment: local_datetime, form: text) -> text": dateformat.write,
        "formatDate(moment: datetime, form: text) -> text": dateformat.write,
        "formatDate(moment: datetime, form: text, zone: text) -> text": lambda d, p, z: dateformat.write(
            to_zone(d, z), p
        ),
    },
)
_dates.own(
    N_("Reads a date from a text in the given form."),
    {"parseDate('31/01/2024', 'dd/MM/yyyy')": "date('2024-01-31')"},
    {"parseDate(text: text, form: text) -> date": parse_date},
)
_dates.own(
    N_("Reads an instant from a text in the given form and zone."),
    {"parseTime('2024/01/31 08:00', 'yyyy/MM/dd HH:mm', 'Asia/Shanghai')": "timestamp('2024-01-31T00:00:00Z')"},
    {
        "parseTime(text: text, form: text, zone: text) -> datetime": lambda t, p, z: exact(
            at_zone(dateformat.read(t, p), z)
        ),
        "parseTime(text: text, form: text) -> local_datetime": lambda t, p: exact(dateformat.read(t, p)),
    },
)
_dates.own(
    N_("Adds days; a negative number goes back."),
    {"addDays(date('2024-02-28'), 2)": "date('2024-03-01')"},
    {
        "addDays(moment: date, days: integer) -> date": add_days,
        "addDays(moment: local_datetime, days: integer) -> local_datetime": add_days,
        "addDays(moment: datetime, days: integer) -> datetime": add_days,
    },
)
_dates.own(
    N_("Adds months; the last day of the month where there is no such day."),
    {"addMonths(date('2024-01-31'), 1)": "date('2024-02-29')"},
    {
        "addMonths(moment: date, months: integer) -> date": add_months,
        "addMonths(moment: local_datetime, months: integer) -> local_datetime": add_months,
        "addMonths(moment: datetime, months: integer) -> datetime": add_months,
    },
)
_dates.own(
    N_("Counts the calendar days from one date to another."),
    {"daysBetween(date('2024-01-31'), date('2024-03-01'))": "30"},
    {
        "daysBetween(start: date, end: date) -> integer": days_between,
        "daysBetween(start: datetime, end: datetime) -> integer": days_between,
    },
)
