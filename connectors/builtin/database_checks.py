"""What is wrong with records before they are sent: databases round, cut or zero some values without a word.

Finding these here, a column at a time, also names the field, which drivers often do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import cast

import polars as pl

from connectors.builtin.database_flavor import Limits, Refusal
from rules.schema import Field, FieldType, Op, Schema
from rules.text import Message, msg

_MICROS = 6

Finding = tuple[pl.Series, Message]


def refusals(schema: Schema, op: Op, key: str, records: pl.DataFrame, limits: Limits) -> dict[int, Refusal]:
    """Return row -> why its values cannot be written as they are.

    Args:
        schema: The table's fields.
        op: What is going to be done with the records.
        key: The key field; updates and deletes need its value.
        records: The fields to be written.
        limits: What the database cannot hold.
    """
    found: dict[int, Refusal] = {}
    names = [key] if op is Op.DELETE else records.columns
    for name in names:
        field, values = schema[name], records[name]
        needed = (op is not Op.CREATE and name == key) or not (field.nullable or field.generated)
        if needed and values.null_count():
            _note(found, values.is_null(), Refusal(_empty(field), name))
        for mask, message in _findings(field, values, limits):
            _note(found, mask, Refusal(message, name))
    if op is Op.CREATE:
        for name in _forgotten(schema, records.columns):
            message = _empty(schema[name])
            found.update((row, Refusal(message, name)) for row in range(records.height) if row not in found)
    return found


def _note(found: dict[int, Refusal], mask: pl.Series, refusal: Refusal) -> None:
    for row in mask.fill_null(value=False).arg_true().to_list() if mask.any() else ():
        found.setdefault(row, refusal)


def _findings(field: Field, values: pl.Series, limits: Limits) -> Iterator[Finding]:
    for check in _CHECKS.get(field.type, ()):
        yield from check(field, values)
    if values.dtype.is_float() and not limits.endless_floats:
        yield ~values.is_finite(), msg("'{field}' takes no infinite number and no 'not a number'.", field=field.name)
    if values.dtype == pl.String and not limits.zero_in_text and _may_hold_zero(values):
        text = msg("'{field}' holds the character zero, which the database cannot keep.", field=field.name)
        yield values.str.contains("\0", literal=True), text


def _may_hold_zero(values: pl.Series) -> bool:
    """Tell whether the character zero stands anywhere in the bytes of a column; to look into each text costs more."""
    body = values.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    return body is not None and b"\0" in body.to_pybytes()


def _forgotten(schema: Schema, given: Sequence[str]) -> Iterator[str]:
    for field in schema.fields:
        if field.name not in given and not (field.nullable or field.generated or field.has_default):
            yield field.name


def _empty(field: Field) -> Message:
    return msg("'{field}' must not be empty.", field=field.name)


def _length(field: Field, values: pl.Series) -> Iterator[Finding]:
    if field.length is not None and values.dtype == pl.String and _most(values.str.len_bytes()) > field.length:
        text = msg("'{field}' takes at most {length} characters.", field=field.name, length=field.length)
        yield values.str.len_chars() > field.length, text


def _bytes(field: Field, values: pl.Series) -> Iterator[Finding]:
    if field.length is not None and values.dtype == pl.Binary:
        text = msg("'{field}' takes at most {length} bytes.", field=field.name, length=field.length)
        yield values.bin.size() > field.length, text


def _digits(field: Field, values: pl.Series) -> Iterator[Finding]:
    if not isinstance(values.dtype, pl.Decimal) or field.scale is None or _is_small(field, values):
        return
    parts = values.cast(pl.String).str.strip_chars("-").str.split_exact(".", 1).struct.unnest()
    whole, fraction = parts.to_series(0), parts.to_series(1).fill_null("")
    text = msg("'{field}' takes at most {scale} digits behind the point.", field=field.name, scale=field.scale)
    yield fraction.str.strip_chars_end("0").str.len_chars() > field.scale, text
    if field.precision is not None:
        most = field.precision - field.scale
        text = msg("'{field}' takes at most {digits} digits before the point.", field=field.name, digits=most)
        yield whole.str.strip_chars_start("0").str.len_chars() > most, text


def _is_small(field: Field, values: pl.Series) -> bool:
    """Tell whether a column's own type and its greatest numbers say that no number has too many digits."""
    if not isinstance(values.dtype, pl.Decimal) or field.scale is None or values.dtype.scale > field.scale:
        return False
    if field.precision is None:
        return True
    least, most = cast("tuple[Decimal | None, Decimal | None]", (values.min(), values.max()))
    limit = 10 ** (field.precision - field.scale)
    return least is None or most is None or (-limit < least and most < limit)


def _most(sizes: pl.Series) -> int:
    return cast("int", sizes.max() or 0)


def _fractions(field: Field, values: pl.Series) -> Iterator[Finding]:
    if field.scale is None or field.scale >= _MICROS or not values.dtype.is_temporal():
        return
    text = (
        msg("'{field}' keeps no fractions of a second; cut them off in the mapping.", field=field.name)
        if field.scale == 0
        else msg("'{field}' keeps {scale} digits of a second; cut the rest off.", field=field.name, scale=field.scale)
    )
    micros = (values.dt.nanosecond() // 1000).cast(pl.Int64)
    yield micros % 10 ** (_MICROS - field.scale) != 0, text


_CHECKS: dict[FieldType, Sequence[Callable[[Field, pl.Series], Iterator[Finding]]]] = {
    FieldType.TEXT: (_length,),
    FieldType.BINARY: (_bytes,),
    FieldType.DECIMAL: (_digits,),
    FieldType.TIME: (_fractions,),
    FieldType.DATETIME: (_fractions,),
    FieldType.LOCAL_DATETIME: (_fractions,),
}
