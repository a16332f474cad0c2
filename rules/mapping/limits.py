"""What a target field cannot hold although the type fits: too long a text, too many digits."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import polars as pl

from rules.schema import Field, FieldType
from rules.text import N_, Message, msg

_DIGITS = 38
"""So many digits a column of decimals has."""


def limited(target: Field) -> bool:
    """Tell whether a field has limits that its column type does not have."""
    return (target.type is FieldType.TEXT and target.length is not None) or (
        target.type is FieldType.DECIMAL and target.precision is not None
    )


def beyond(values: pl.Expr, target: Field) -> pl.Expr:
    """Return where values are beyond the limits of a field that has some."""
    if target.type is FieldType.TEXT:
        return (values.str.len_bytes() > target.length) & (values.str.len_chars() > target.length)
    scale: int = target.dtype.scale  # type: ignore[attr-defined]
    if _room(target) + scale >= _DIGITS:  # the first number that is too large does not fit the column itself
        return _whole_digits(values) > _room(target)
    most = pl.lit(Decimal(10) ** _room(target)).cast(target.dtype)
    return (values >= most) | (values <= -most)


def within(values: pl.Series, target: Field) -> bool:
    """Tell, without a look at each, whether all values of a column are surely within the limits of a field."""
    if target.type is FieldType.TEXT and target.length is not None:
        return cast("int", values.str.len_bytes().max() or 0) <= target.length
    if target.type is not FieldType.DECIMAL or target.precision is None:
        return not limited(target)
    least, most = cast("tuple[Decimal | None, Decimal | None]", (values.min(), values.max()))
    limit = Decimal(10) ** _room(target)
    return least is None or most is None or (-limit < least and most < limit)


def why_beyond(value: object, target: Field) -> Message:
    """Return what is wrong with a value that is beyond the limits of its field."""
    if target.type is FieldType.TEXT:
        text = N_("The text has {length} characters, but '{field}' takes at most {limit}.")
        return msg(text, length=len(str(value)), field=target.name, limit=target.length)
    text = N_("{value} has too many digits: '{field}' takes at most {limit} before the decimal point.")
    return msg(text, value=str(value), field=target.name, limit=_room(target))


def _room(target: Field) -> int:
    return (target.precision or 0) - (target.scale or 0)


def _whole_digits(values: pl.Expr) -> pl.Expr:
    """Count the digits before the decimal point in the text."""
    whole = values.cast(pl.String).str.strip_chars_start("-").str.split(".").list.first()
    return whole.str.strip_chars_start("0").str.len_chars()
