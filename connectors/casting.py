"""From the text of a file or an answer to typed columns; what does not fit becomes a `Reject`, never a guess.

Dates are read year first (`2024-01-31`, `2024/1/31`, `2024.1.31`, `2024年1月31日`), times on the 24-hour clock; all
other orders are ambiguous and refused. An empty text stands for no value in every type but text and binary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from connectors.plain_texts import plain_column
from connectors.spi import Reject
from rules.schema import FREE_SCALE, Field, FieldType, Schema
from rules.text import N_, Message, msg

DAY = r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
CLOCK = r"(\d{1,2}:\d{2})(?:(:\d{2})(?:(\.\d{1,6})0*)?)?"
MOMENT = DAY + r"(?:[T ] *" + CLOCK + r")?"
ZONED = DAY + r"[T ] *" + CLOCK + r" *(Z|[+-]\d{2}(?::?\d{2})?)$"
SHOWN = 60
TRUE = ("true", "yes", "是", "y", "t", "1")
FALSE = ("false", "no", "否", "n", "f", "0")

EXPECTED: dict[FieldType, str] = {
    FieldType.TEXT: N_("Field '{field}' holds '{value}', which is not text."),
    FieldType.INTEGER: N_("Field '{field}' holds '{value}', which is not a whole number."),
    FieldType.DECIMAL: N_("Field '{field}' holds '{value}', which is not a number with at most {scale} decimals."),
    FieldType.FLOAT: N_("Field '{field}' holds '{value}', which is not a number."),
    FieldType.BOOLEAN: N_("Field '{field}' holds '{value}', which is neither yes nor no."),
    FieldType.DATE: N_("Field '{field}' holds '{value}', which is not a date such as 2024-01-31."),
    FieldType.TIME: N_("Field '{field}' holds '{value}', which is not a time such as 23:59:00."),
    FieldType.DATETIME: N_(
        "Field '{field}' holds '{value}', which is not a moment with a time zone such as 2024-01-31T23:59:00Z."
    ),
    FieldType.LOCAL_DATETIME: N_(
        "Field '{field}' holds '{value}', which is not a date and time without a time zone such as 2024-01-31T23:59:00."
    ),
    FieldType.BINARY: N_("Field '{field}' holds '{value}', which is not Base64 text."),
    FieldType.JSON: N_("Field '{field}' holds '{value}', which is not JSON."),
}

_REMEMBERED = 200
"""Bytes of the longest JSON text that is remembered."""
_MOST = 2**16
_FIRST = 8
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_DECODER = msgspec.json.Decoder(float_hook=msgspec.Raw)


@dataclass(frozen=True)
class Places:
    """Where the records of a batch come from: the message for each place, and what the record looks like."""

    name: Callable[[int], str]
    text: Callable[[int], str]


def typed(raw: pl.DataFrame, schema: Schema, places: Places) -> tuple[pl.DataFrame, list[Reject], pl.Series]:
    """Return the records that fit the schema, rejects for the others, and which rows were kept.

    Args:
        raw: Text columns by field name, or such that have their type already; a missing column has no values.
        schema: The types to give the columns.
        places: Names and shows the row with a given number.
    """
    columns: list[pl.Series] = []
    rejects: dict[int, Reject] = {}
    for field in schema.fields:
        column = raw[field.name] if field.name in raw.columns else pl.Series(field.name, [None] * raw.height, pl.String)
        done = cast(column, field) if column.dtype == pl.String else column
        for row in _misfits(column, done, field):
            rejects.setdefault(row, _reject(row, column[row], field, places))
        columns.append(done)
    frame = pl.DataFrame(columns) if columns else pl.DataFrame()
    kept = pl.Series("kept", [True] * raw.height, dtype=pl.Boolean)
    if rejects:
        kept = kept.scatter(sorted(rejects), False)
        frame = frame.filter(kept)
    return frame, [rejects[row] for row in sorted(rejects)], kept


def cast(column: pl.Series, field: Field) -> pl.Series:
    """Return a text column in the field's type; what cannot be represented exactly is null."""
    if field.type is FieldType.TEXT:
        return column
    plain = plain_column(column, field)
    if plain is not None:
        return plain
    return _CASTS[field.type](column.str.strip_chars(), field).alias(field.name).cast(field.dtype)


def canonical(text: str) -> str | None:
    """Return JSON text with sorted keys and numbers as they were written, or None if it is not JSON."""
    try:
        return _ENCODER.encode(_DECODER.decode(text)).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class _Forms(dict[str | None, str | None]):
    """Short texts and what `canonical` makes of them, as they often stand in many records."""

    def __missing__(self, text: str | None) -> str | None:
        if len(self) > _MOST:
            self.clear()
        found = _canonical(text)
        self[text] = text if text == found else found
        return found


def _canonical(text: str | None) -> str | None:
    return None if text is None else canonical(text)


_forms = _Forms()
_found: deque[pl.Series] = deque(maxlen=4)
"""Columns that have come out of `canonical_all` lately: most of them are soon written as they were read."""


def canonical_all(texts: pl.Series) -> pl.Series:
    """Return JSON texts as `canonical` does; short ones are remembered."""
    if any(known.equals(texts, null_equal=True) for known in tuple(_found) if _begin_alike(known, texts)):
        return texts
    done = _are_canonical(texts.head(_FIRST)) and _are_canonical(texts.unique())
    found = texts if done else pl.Series(texts.name, _forms_of(texts), dtype=pl.String)
    _found.append(found)
    return found


def _are_canonical(texts: pl.Series) -> bool:
    return _forms_of(texts) == texts.to_list()


def _forms_of(texts: pl.Series) -> list[str | None]:
    short_ones = (texts.str.len_bytes().max() or 0) <= _REMEMBERED  # type: ignore[operator]
    return list(map(_forms.__getitem__ if short_ones else _canonical, texts.to_list()))


def _begin_alike(one: pl.Series, other: pl.Series) -> bool:
    return one.len() == other.len() and one.head(_FIRST).equals(other.head(_FIRST), null_equal=True)


def _misfits(column: pl.Series, done: pl.Series, field: Field) -> list[int]:
    if done.null_count() == column.null_count() and (field.nullable or not done.null_count()):
        return []  # nothing got lost
    given = column.is_not_null()
    if field.type not in (FieldType.TEXT, FieldType.BINARY) and column.dtype == pl.String:
        given = given & (column.str.strip_chars() != "")
    wrong = given & done.is_null()
    if not field.nullable:
        wrong = wrong | done.is_null()
    return wrong.fill_null(value=False).arg_true().to_list() if wrong.any() else []


def _reject(row: int, value: str | None, field: Field, places: Places) -> Reject:
    return Reject(places.name(row), short(places.text(row), 300), complaint(value, field), field.name)


def complaint(value: str | None, field: Field) -> Message:
    """Return the sentence for a value that does not fit a field."""
    if value is None or not value.strip():
        return msg("Field '{field}' is empty, but it must have a value.", field=field.name)
    template = EXPECTED[field.type]
    values: dict[str, object] = {"field": field.name, "value": short(value, SHOWN)}
    if field.type is FieldType.DECIMAL:
        values["scale"] = FREE_SCALE if field.scale is None else field.scale
    return Message(template, values)


def short(text: str, length: int) -> str:
    """Return at most `length` characters of a text, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _integer(text: pl.Series, field: Field) -> pl.Series:
    del field
    return text.cast(pl.Int64, strict=False)


def _decimal(text: pl.Series, field: Field) -> pl.Series:
    scale = FREE_SCALE if field.scale is None else field.scale
    plain = text.str.contains(rf"^[+-]?(\d+\.?|\d*\.\d{{1,{max(scale, 1)}}}0*)$")
    if not scale:
        plain = plain & text.str.contains(r"^[+-]?\d+\.?0*$")
    return _where(plain, text).cast(pl.Decimal(38, scale), strict=False)


def _float(text: pl.Series, field: Field) -> pl.Series:
    del field
    found = text.cast(pl.Float64, strict=False)
    named = text.str.contains(r"(?i)^[+-]?inf(inity)?$")
    return _where(named | ~found.is_infinite(), found)


def _boolean(text: pl.Series, field: Field) -> pl.Series:
    del field
    lower = text.str.to_lowercase()
    return pl.select(
        pl.when(lower.is_in(TRUE)).then(statement=True).when(lower.is_in(FALSE)).then(statement=False)
    ).to_series()


def _date(text: pl.Series, field: Field) -> pl.Series:
    del field
    if _all_like(text, r"^\d{4}-\d{2}-\d{2}$"):
        return text.str.to_date("%Y-%m-%d", strict=False)
    day = _where(text.str.contains(DAY + r"([T ]0{1,2}:00(:00(\.0+)?)?)?$"), text)
    return day.str.replace(DAY + ".*$", "${1}-${2}-${3}").str.to_date("%Y-%m-%d", strict=False)


def _time(text: pl.Series, field: Field) -> pl.Series:
    del field
    fits = _where(text.str.contains("^" + CLOCK + "$"), text)
    whole = fits.str.replace("^" + CLOCK + "$", "${1}@${2}@${3}")
    return _clock(whole).str.to_time("%H:%M:%S%.f", strict=False)


def _datetime(text: pl.Series, field: Field) -> pl.Series:
    del field
    if _all_like(text, r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?[+-](0\d|1[0-4]):?[0-5]\d$"):
        return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us")
    fits = _where(text.str.contains(ZONED), text)
    split = fits.str.replace(ZONED, "${1}-${2}-${3}T${4}@${5}@${6}${7}")
    zoned = _clock(split.str.replace("Z$", "+0000"))
    return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="us")


def _local_datetime(text: pl.Series, field: Field) -> pl.Series:
    del field
    fits = _where(text.str.contains(MOMENT + "$"), text)
    split = fits.str.replace(MOMENT + "$", "${1}-${2}-${3}T${4}@${5}@${6}").str.replace("T@", "T00:00@")
    return _clock(split).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")


def _clock(split: pl.Series) -> pl.Series:
    """Return `hh:mm@:ss@.f` as `hh:mm:ss.f`, with the seconds filled in where there are none."""
    return split.str.replace("@@", ":00", literal=True).str.replace("@", "", literal=True, n=1).str.replace("@", "")


def _binary(text: pl.Series, field: Field) -> pl.Series:
    del field
    return text.str.decode("base64", strict=False)


def _json(text: pl.Series, field: Field) -> pl.Series:
    del field
    return canonical_all(text)


def _all_like(text: pl.Series, pattern: str) -> bool:
    return bool(text.str.contains(pattern).all())


def _where(mask: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(mask).then(values)).to_series()


_CASTS: dict[FieldType, Callable[[pl.Series, Field], pl.Series]] = {
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.TIME: _time,
    FieldType.DATETIME: _datetime,
    FieldType.LOCAL_DATETIME: _local_datetime,
    FieldType.BINARY: _binary,
    FieldType.JSON: _json,
}


def numbered(places: Sequence[int], template: str, texts: Sequence[str]) -> Places:
    """Return places such as "line 17" from their numbers and the records' texts."""
    return Places(lambda row: template.format(places[row]), lambda row: texts[row])
