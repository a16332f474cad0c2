"""Column forms of functions on dates and times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from rules.language.columns.forms import NO_FORM, form, integer_literal
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value, strict
from rules.language.functions.dates import FINE_YEARS
from rules.language.types import Kind

M = Kind.DATETIME
_FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - the first and last moment there is
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
_FINE = (datetime(FINE_YEARS[0], 1, 1), datetime(FINE_YEARS[1], 1, 1))  # noqa: DTZ001
_SUFFIXES = ("", ".date", ".local_datetime")
_LIMIT = 10_000_000


def _define_part(name: str, part: Callable[[pl.Expr], pl.Expr]) -> None:
    def made(_stages: Stages, args: tuple[Value, ...]) -> Value:
        return strict(Kind.INTEGER, part(args[0].expr).cast(pl.Int64), args[0]).limited(10_000)

    names = [name] if name.startswith("get") else [f"own.{name}{suffix}" for suffix in _SUFFIXES]
    form(*names, takes=(M,))(made)


_define_part("year", lambda moment: moment.dt.year())
_define_part("month", lambda moment: moment.dt.month())
_define_part("day", lambda moment: moment.dt.day())
_define_part("weekday", lambda moment: moment.dt.weekday())
_define_part("hour", lambda moment: moment.dt.hour())
_define_part("getFullYear", lambda moment: moment.dt.year())
_define_part("getMonth", lambda moment: moment.dt.month() - 1)
_define_part("getDate", lambda moment: moment.dt.day())
_define_part("getDayOfMonth", lambda moment: moment.dt.day() - 1)
_define_part("getDayOfWeek", lambda moment: moment.dt.weekday() % 7)
_define_part("getDayOfYear", lambda moment: moment.dt.ordinal_day() - 1)
_define_part("getHours", lambda moment: moment.dt.hour())
_define_part("getMinutes", lambda moment: moment.dt.minute())
_define_part("getSeconds", lambda moment: moment.dt.second())
_define_part("getMilliseconds", lambda moment: moment.dt.microsecond() // 1000)


@form(*(f"own.date{suffix}" for suffix in _SUFFIXES), takes=(M,))
def _date(stages: Stages, args: tuple[Value, ...]) -> Value:
    return returned(stages, strict(M, args[0].expr.cast(pl.Date).cast(pl.Datetime("us")), args[0]))


@form("own.localTime.date", "own.localTime.local_datetime", takes=(M,))
def _local(stages: Stages, args: tuple[Value, ...]) -> Value:
    return returned(stages, strict(M, args[0].expr, args[0]))


def returned(stages: Stages, moment: Value) -> Value:
    """Return a function's moment; the runtime takes the very first midnight for the infinite past."""
    moment = stages.stage(moment)
    return strict(M, pl.when(moment.expr != _FIRST).then(moment.expr), moment, fails=True)


def checked(stages: Stages, moment: Value) -> Value:
    """Return a moment where it is one that can be calculated with."""
    moment = stages.stage(moment)
    fine = (moment.expr.dt.microsecond() == 0) | (moment.expr.is_between(*_FINE, closed="left"))
    return strict(
        M, pl.when(moment.expr.is_between(_FIRST, _LAST, closed="right") & fine).then(moment.expr), moment, fails=True
    )


@form(*(f"own.addDays{suffix}" for suffix in _SUFFIXES), takes=(M, Kind.INTEGER))
def _add_days(stages: Stages, args: tuple[Value, ...]) -> Value:
    days = integer_literal(args[1])
    if abs(days) > _LIMIT:
        raise NoColumn(NO_FORM)
    return checked(stages, strict(M, args[0].expr + timedelta(days=days), args[0]))


@form("own.daysBetween", "own.daysBetween.date_date", takes=(M, M))
def _days_between(_stages: Stages, args: tuple[Value, ...]) -> Value:
    start, end = (arg.expr.cast(pl.Date) for arg in args)
    return strict(Kind.INTEGER, (end - start).dt.total_days(), *args).limited(_LIMIT)
