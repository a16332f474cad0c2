"""The conversions themselves, as column expressions: null for what cannot be converted exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from rules.language.functions.values import number_text
from rules.schema import FREE_SCALE, Field, FieldType

Conversion = Callable[[pl.Expr, Field, Field], pl.Expr]
_EXACT = 2**53
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_STAMP = rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[T ]({_CLOCK})"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"


def _where(mask: pl.Expr, values: pl.Expr) -> pl.Expr:
    """Return the values where the mask is true, null elsewhere."""
    return pl.when(mask).then(values)


def _like(pattern: str, values: pl.Expr) -> pl.Expr:
    stripped = values.str.strip_chars()
    return _where(stripped.str.contains(pattern), stripped)


def _text_to_integer(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _like(r"^[+-]?[0-9]+$", values).cast(pl.Int64, strict=False)


def _text_to_decimal(values: pl.Expr, _source: Field, target: Field) -> pl.Expr:
    numbers = _like(_NUMBER, values)
    fraction = numbers.str.extract(r"\.([0-9]*)$").fill_null("").str.strip_chars_end("0")
    return _where(fraction.str.len_chars() <= _scale(target), numbers).cast(target.dtype, strict=False)


def _scale(field: Field) -> int:
    return field.dtype.scale if isinstance(field.dtype, pl.Decimal) else 0


def _text_to_float(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    numbers = _like(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$", values)
    found = numbers.cast(pl.Float64, strict=False)
    digits = numbers.str.replace(r"[eE].*$", "").str.replace_all(r"[+\-.]", "").str.strip_chars_start("0")
    exact = found.is_finite() & (digits.str.strip_chars_end("0").str.len_chars() <= 17)
    return _where(exact, found)


def _text_to_boolean(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    words = {"true": True, "1": True, "false": False, "0": False}
    return values.str.strip_chars().str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)


def _text_to_date(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    days = _like(_DATE, values)
    return _where(~days.str.starts_with("0000"), days).str.to_date("%Y-%m-%d", strict=False)


def _text_to_time(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _seconds(_like(rf"^{_CLOCK}$", values)).str.to_time("%H:%M:%S%.f", strict=False)


def _seconds(clock: pl.Expr) -> pl.Expr:
    """Return clock times with their seconds written out."""
    return _choose(clock.str.count_matches(":") == 1, clock + ":00", clock)


def _choose(mask: pl.Expr, yes: pl.Expr, no: pl.Expr) -> pl.Expr:
    return pl.when(mask).then(yes).otherwise(no)


def _stamps(texts: pl.Expr, pattern: str) -> pl.Expr:
    """Return the wall-clock part of the texts that have the given form."""
    found = _like(pattern, texts)
    days = found.str.extract(pattern, 1)
    whole = days + "T" + _seconds(found.str.extract(pattern, 2))
    kept = _where(~days.str.starts_with("0000"), whole)
    return kept.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")


def _text_to_local(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _stamps(values, _STAMP + "$")


def _text_to_datetime(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    wall = _stamps(values, _STAMP + _ZONE)
    zone = values.str.strip_chars().str.extract(_ZONE, 1).str.replace("Z", "+00:00", literal=True)
    digits = zone.str.replace_all(r"[+\-:]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(
        pl.Int64, strict=False
    )
    signed = _choose(zone.str.starts_with("-"), -minutes, minutes)
    shift = (signed * 60_000_000).cast(pl.Duration("us"))
    inside = (digits.str.slice(2, 2).cast(pl.Int64, strict=False) < 60) & (minutes < 24 * 60)
    return _where(inside, wall - shift).dt.replace_time_zone("UTC")


def _text_to_json(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _each(values, _canonical_json)


def _each(values: pl.Expr, function: Callable[[Any], str | None]) -> pl.Expr:
    """Return the texts that a function makes of values."""

    def work(columns: Sequence[pl.Series]) -> pl.Series:
        made = [None if value is None else function(value) for value in columns[0].to_list()]
        return pl.Series(made, dtype=pl.String)

    return pl.map_batches([values], work, return_dtype=pl.String, is_elementwise=True)


def _canonical_json(text: str) -> str | None:
    try:
        found = json.loads(text, parse_float=_json_float, parse_constant=_no_constant)
        return json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None


def _json_float(text: str) -> float:
    value = float(text)
    if Decimal(repr(value)) != Decimal(text):
        raise ValueError(text)
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _integer_to_float(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _where(values.is_between(-_EXACT, _EXACT), values).cast(pl.Float64)


def _integer_to_boolean(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return _where(values.is_in([0, 1]), values).cast(pl.Boolean)


def _decimal_to_integer(values: pl.Expr, source: Field, _target: Field) -> pl.Expr:
    whole = values.cast(pl.Int64, strict=False)
    return _where(whole.cast(source.dtype, strict=False) == values, whole)


def _decimal_to_decimal(values: pl.Expr, source: Field, target: Field) -> pl.Expr:
    if source.dtype == target.dtype:
        return values
    return _text_to_decimal(values.cast(pl.String), source, target)


def _decimal_to_float(values: pl.Expr, source: Field, _target: Field) -> pl.Expr:
    texts = values.cast(pl.String)
    fraction = texts.str.strip_chars_end("0") if _scale(source) > 0 else texts
    digits = fraction.str.replace_all(r"[\-.]", "").str.strip_chars_start("0").str.strip_chars_end("0")
    return _where(digits.str.len_chars() <= 15, texts.cast(pl.Float64))


def _float_to_integer(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    whole = values.cast(pl.Int64, strict=False)
    return _where(whole.cast(pl.Float64) == values, whole)


def _float_to_decimal(values: pl.Expr, _source: Field, target: Field) -> pl.Expr:
    finite = _where(values.is_finite(), values)
    found = finite.cast(pl.String).cast(target.dtype, strict=False)
    return _where(found.cast(pl.String).cast(pl.Float64) == values, found)


def _local_to_date(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    days = values.cast(pl.Date)
    return _where(days.cast(pl.Datetime("us")) == values, days)


def _decimal_to_text(values: pl.Expr, source: Field, _target: Field) -> pl.Expr:
    texts = values.cast(pl.String)
    return texts.str.strip_chars_end("0").str.strip_suffix(".") if _scale(source) >= FREE_SCALE else texts


def _float_to_text(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    finite = _where(values.is_finite(), values)
    return _each(finite, number_text)


def _boolean_to_text(values: pl.Expr, _source: Field, _target: Field) -> pl.Expr:
    return values.cast(pl.String)


def _moment_to_text(form: str, end: str = "") -> Conversion:
    def conversion(values: pl.Expr, source: Field, _target: Field) -> pl.Expr:
        inside = values if source.type is FieldType.TIME else _where(values.dt.year().is_between(1, 9999), values)
        return inside.dt.to_string(form).str.strip_suffix(".000000") + end

    return conversion


def _cast(values: pl.Expr, _source: Field, target: Field) -> pl.Expr:
    return values.cast(target.dtype, strict=False)


_T = FieldType
CONVERSIONS: Mapping[tuple[FieldType, FieldType], Conversion] = {
    (_T.TEXT, _T.INTEGER): _text_to_integer,
    (_T.TEXT, _T.DECIMAL): _text_to_decimal,
    (_T.TEXT, _T.FLOAT): _text_to_float,
    (_T.TEXT, _T.BOOLEAN): _text_to_boolean,
    (_T.TEXT, _T.DATE): _text_to_date,
    (_T.TEXT, _T.TIME): _text_to_time,
    (_T.TEXT, _T.DATETIME): _text_to_datetime,
    (_T.TEXT, _T.LOCAL_DATETIME): _text_to_local,
    (_T.TEXT, _T.JSON): _text_to_json,
    (_T.INTEGER, _T.TEXT): _cast,
    (_T.INTEGER, _T.DECIMAL): _cast,
    (_T.INTEGER, _T.FLOAT): _integer_to_float,
    (_T.INTEGER, _T.BOOLEAN): _integer_to_boolean,
    (_T.INTEGER, _T.JSON): _cast,
    (_T.DECIMAL, _T.TEXT): _decimal_to_text,
    (_T.DECIMAL, _T.DECIMAL): _decimal_to_decimal,
    (_T.DECIMAL, _T.INTEGER): _decimal_to_integer,
    (_T.DECIMAL, _T.FLOAT): _decimal_to_float,
    (_T.FLOAT, _T.TEXT): _float_to_text,
    (_T.FLOAT, _T.INTEGER): _float_to_integer,
    (_T.FLOAT, _T.DECIMAL): _float_to_decimal,
    (_T.BOOLEAN, _T.TEXT): _boolean_to_text,
    (_T.BOOLEAN, _T.INTEGER): _cast,
    (_T.BOOLEAN, _T.JSON): _boolean_to_text,
    (_T.DATE, _T.TEXT): _moment_to_text("%Y-%m-%d"),
    (_T.DATE, _T.LOCAL_DATETIME): _cast,
    (_T.TIME, _T.TEXT): _moment_to_text("%H:%M:%S%.6f"),
    (_T.DATETIME, _T.TEXT): _moment_to_text("%Y-%m-%dT%H:%M:%S%.6f", "Z"),
    (_T.LOCAL_DATETIME, _T.TEXT): _moment_to_text("%Y-%m-%dT%H:%M:%S%.6f"),
    (_T.LOCAL_DATETIME, _T.DATE): _local_to_date,
    (_T.JSON, _T.TEXT): _cast,
}
