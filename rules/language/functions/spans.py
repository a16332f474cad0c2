"""Functions on spans of time, seconds since 1970, parts of moments, and dates in several forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rules.language.functions import dateformat
from rules.language.functions.bounds import short
from rules.language.functions.dates import FAR_TIME, add_months, at_zone, date_of_text, exact, parse_date
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants, extend
from rules.text import N_, msg

_dates = Chapter(Group.DATES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS, _MINUTES, _SECONDS = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
_NAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "en": (
        (
            *("January", "February", "March", "April", "May", "June", "July"),
            *("August", "September", "October", "November", "December"),
        ),
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    ),
    "zh": (
        tuple(f"{name}月" for name in ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")),
        tuple(f"星期{name}" for name in "一二三四五六日"),
    ),
}


def add(moment: datetime, count: float, unit: timedelta) -> datetime:
    """Return the moment so many units later, to the microsecond."""
    try:
        return exact(moment + unit * count)
    except (OverflowError, ValueError):
        raise FunctionError(FAR_TIME) from None


def add_years(moment: datetime, years: int) -> datetime:
    """Return the same day some years later; 28 February where there is no 29th."""
    if abs(years) > 10_000:
        raise FunctionError(FAR_TIME)
    return add_months(moment, years * 12)


def from_epoch(count: int, unit: timedelta) -> datetime:
    """Return the instant so many units after the start of 1970 in UTC."""
    return add(_EPOCH, count, unit)


def date_of_parts(year: int, month: int, day: int) -> datetime:
    """Return a date from its parts."""
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except (ValueError, OverflowError):
        text = N_("There is no date with the year {year}, month {month} and day {day}.")
        raise FunctionError(msg(text, year=year, month=month, day=day)) from None


def _first(texts: list[Any], read: Callable[[str], datetime], text: str) -> datetime:
    """Return what the first form that fits gives."""
    for form in texts:
        if not isinstance(form, str):
            raise FunctionError(msg("The list of date formats holds something that is no text."))
        try:
            return read(form)
        except FunctionError:
            dateformat.check(form)
    forms = ", ".join(texts)
    raise FunctionError(msg("'{text}' is a date in none of these forms: {forms}.", text=short(text), forms=forms))


def parse_any_date(text: str, forms: list[Any]) -> datetime:
    """Return the day of a text in the first of several forms that fits."""
    return _first(forms, lambda form: parse_date(text, form), text)


def parse_any_time(text: str, forms: list[Any], zone: str) -> datetime:
    """Return the instant of a text in the first of several forms that fits."""
    return _first(forms, lambda form: exact(at_zone(dateformat.read(text, form), zone)), text)


def is_date(text: str, form: str | None = None) -> bool:
    """Tell whether a text is a date in a form, 2024-01-31 if none is given."""
    if form is not None:
        dateformat.check(form)
    try:
        date_of_text(text) if form is None else parse_date(text, form)
    except FunctionError:
        return False
    return True


def check_language(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of months and days in a language."""
    if language not in _NAMES:
        known = ", ".join(_NAMES)
        raise FunctionError(
            msg("There are no names in the language '{language}'. Use {known}.", language=language, known=known)
        )
    return _NAMES[language]


def month_name(moment: datetime, language: str) -> str:
    """Return the name of the month."""
    return check_language(language)[0][moment.month - 1]


def day_name(moment: datetime, language: str) -> str:
    """Return the name of the day of the week."""
    return check_language(language)[1][moment.weekday()]


def _define_adder(name: str, doc: str, example: str, unit: timedelta) -> None:
    signatures = {
        f"{name}(moment: {kind}, count: number) -> {kind}": lambda moment, count: add(moment, count, unit)
        for kind in ("local_datetime", "datetime")
    }
    shown = {f"{name}(timestamp('2024-01-31T23:30:00Z'), 90)": f"timestamp('{example}')"}
    _dates.own(doc, shown, signatures)


def _define_difference(name: str, doc: str, example: str, unit: timedelta) -> None:
    signatures = {
        f"{name}(start: {kind}, end: {kind}) -> number": lambda start, end: (end - start) / unit
        for kind in ("local_datetime", "datetime")
    }
    shown = {f"{name}(timestamp('2024-01-31T00:00:00Z'), timestamp('2024-01-31T01:30:00Z'))": example}
    _dates.own(doc, shown, signatures)


def _define_for_moments(name: str, doc: str, example: str, more: str, function: Callable[..., Any]) -> None:
    """Define a function of every kind of moment and another argument; its result is a text."""
    signatures = {
        f"{name}(moment: {kind}, {more}: text) -> text": function for kind in ("date", "local_datetime", "datetime")
    }
    _dates.own(doc, {f"{name}(date('2024-01-31'), 'en')": f"'{example}'"}, signatures)


check_constants("forms", dateformat.check)
check_constants("language", check_language)
_define_adder("addHours", N_("Adds hours; a negative number goes back."), "2024-02-04T17:30:00Z", _HOURS)
_define_adder("addMinutes", N_("Adds minutes; a negative number goes back."), "2024-02-01T01:00:00Z", _MINUTES)
_define_adder("addSeconds", N_("Adds seconds; a negative number goes back."), "2024-01-31T23:31:30Z", _SECONDS)
_define_difference("hoursBetween", N_("Tells how many hours lie between two moments, with fraction."), "1.5", _HOURS)
_define_difference("minutesBetween", N_("Tells how many minutes lie between two moments."), "90.0", _MINUTES)
_define_difference("secondsBetween", N_("Tells how many seconds lie between two moments."), "5400.0", _SECONDS)
_dates.own(
    N_("Adds years; 28 February where there is no 29th."),
    {"addYears(date('2024-02-29'), 1)": "date('2025-02-28')"},
    {
        f"addYears(moment: {kind}, years: integer) -> {kind}": add_years
        for kind in ("date", "local_datetime", "datetime")
    },
)
_dates.own(
    N_("Makes a date from year, month and day."),
    {"dateOf(2024, 1, 31)": "date('2024-01-31')"},
    {"dateOf(year: integer, month: integer, day: integer) -> date": date_of_parts},
)
_dates.own(
    N_("Takes the seconds since the start of 1970 in UTC, as Unix counts them."),
    {"epochSeconds(timestamp('2024-01-31T00:00:00Z'))": "1706659200"},
    {"epochSeconds(moment: datetime) -> integer": lambda moment: (moment - _EPOCH) // _SECONDS},
)
_dates.own(
    N_("Takes the milliseconds since the start of 1970 in UTC, as Java and JavaScript count them."),
    {"epochMillis(timestamp('2024-01-31T00:00:00.250Z'))": "1706659200250"},
    {"epochMillis(moment: datetime) -> integer": lambda moment: (moment - _EPOCH) // timedelta(milliseconds=1)},
)
_dates.own(
    N_("Makes an instant from seconds since the start of 1970 in UTC."),
    {"fromEpochSeconds(1706659200)": "timestamp('2024-01-31T00:00:00Z')"},
    {"fromEpochSeconds(seconds: integer) -> datetime": lambda count: from_epoch(count, _SECONDS)},
)
_dates.own(
    N_("Makes an instant from milliseconds since the start of 1970 in UTC."),
    {"fromEpochMillis(1706659200250)": "timestamp('2024-01-31T00:00:00.250Z')"},
    {"fromEpochMillis(millis: integer) -> datetime": lambda count: from_epoch(count, timedelta(milliseconds=1))},
)
_dates.own(
    N_("Tells whether a text is a date like 2024-01-31, or in the given form."),
    {"isDate('2024-02-30')": "false", "isDate('31.01.2024', 'dd.MM.yyyy')": "true"},
    {"isDate(text: text) -> boolean": is_date, "isDate(text: text, form: text) -> boolean": is_date},
)
_define_for_moments(
    "monthName", N_("Writes the name of the month in English (en) or Chinese (zh)."), "January", "language", month_name
)
_define_for_moments(
    "dayName", N_("Writes the name of the day in English (en) or Chinese (zh)."), "Wednesday", "language", day_name
)
extend(
    {"parseDate('31.1.2024', ['yyyy-MM-dd', 'd.M.yyyy'])": "date('2024-01-31')"},
    {"parseDate(text: text, forms: list of text) -> date": parse_any_date},
)
extend(
    {},
    {"parseTime(text: text, forms: list of text, zone: text) -> datetime": parse_any_time},
)
