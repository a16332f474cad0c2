"""Moments and durations as declarative manifests write them: strftime with `%s`, `%ms`, `%_ms`, and ISO 8601."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DURATION = re.compile(
    r"^P(?!$)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
_UNITS = {"%s": 1, "%ms": 1_000, "%epoch_microseconds": 1_000_000}
_DAYS = {"years": 365, "months": 30}
"""A year or a month of a step is as long as this, for spans that need not be whole months."""


def duration(text: Any) -> dt.timedelta:
    """Return an ISO 8601 duration such as P1D or PT1H; raises `ValueError`."""
    found = _DURATION.match(str(text))
    if found is None:
        raise ValueError(f"{text} is no duration such as P1D")
    parts = {name: float(value) for name, value in found.groupdict().items() if value}
    days = sum(parts.pop(name, 0) * length for name, length in _DAYS.items())
    return dt.timedelta(days=days) + dt.timedelta(**parts)


def written(moment: dt.datetime, form: str) -> str:
    """Return a moment as a format writes it."""
    if form in _UNITS:
        return str((moment - _EPOCH) // dt.timedelta(microseconds=1_000_000 // _UNITS[form]))
    if form == "%s_as_float":
        return str((moment - _EPOCH).total_seconds())
    milliseconds = f"{moment.microsecond // 1000:03d}"
    return moment.strftime(form.replace("%_ms", milliseconds).replace("%s", str(int(moment.timestamp()))))


def moment_of(value: Any, forms: Sequence[str] = ()) -> dt.datetime:
    """Return a value as a moment, by the first format that fits, else as ISO 8601 or Unix time; raises `ValueError`."""
    if isinstance(value, dt.datetime):
        return _aware(value)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    text = str(value).strip()
    for form in forms:
        found = _read(text, form)
        if found is not None:
            return found
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and not re.fullmatch(r"\d{8}", text):
        return _EPOCH + dt.timedelta(seconds=float(text))
    return _aware(dt.datetime.fromisoformat(text))


def _read(text: str, form: str) -> dt.datetime | None:
    try:
        if form in _UNITS:
            return _EPOCH + dt.timedelta(microseconds=int(text) * (1_000_000 // _UNITS[form]))
        if form == "%s_as_float":
            return _EPOCH + dt.timedelta(seconds=float(text))
        return _aware(dt.datetime.strptime(text, form.replace("%_ms", "%f")))  # noqa: DTZ007 - made aware here
    except ValueError:
        return None


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
