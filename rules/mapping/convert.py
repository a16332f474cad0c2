"""Exact conversion between field types: a value arrives unchanged, or it is an error that names value and field.

Which pairs there are is `CONVERSIONS`; each is a column operation. A pair that would need a decision (a time zone, a
rounding, a spelling) is refused when the rule is checked, with what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rules.language.results import shown
from rules.mapping.columns import CONVERSIONS
from rules.mapping.limits import beyond, limited, why_beyond
from rules.schema import Field, FieldType
from rules.text import N_, Message, msg

_HINTS: dict[tuple[FieldType, FieldType], str] = {
    (FieldType.DATETIME, FieldType.LOCAL_DATETIME): "localTime({field}, 'UTC')",
    (FieldType.LOCAL_DATETIME, FieldType.DATETIME): "atZone({field}, 'UTC')",
    (FieldType.DATE, FieldType.DATETIME): "atZone(localTime({field}), 'UTC')",
    (FieldType.DATETIME, FieldType.DATE): "date({field}, 'UTC')",
}
_FORMS: dict[FieldType, str] = {
    FieldType.INTEGER: N_("{value} is not a whole number, which '{field}' needs."),
    FieldType.DECIMAL: N_("{value} is not a number that '{field}' can hold exactly (at most {limit} decimals)."),
    FieldType.FLOAT: N_("{value} is not a number that '{field}' can hold exactly."),
    FieldType.BOOLEAN: N_("{value} is neither true nor false (nor 1 or 0), which '{field}' needs."),
    FieldType.DATE: N_("{value} is not a date like 2024-01-31, which '{field}' needs."),
    FieldType.TIME: N_("{value} is not a time like 09:30:00, which '{field}' needs."),
    FieldType.DATETIME: N_("{value} is not a time with a zone like 2024-01-31T09:30:00Z, which '{field}' needs."),
    FieldType.LOCAL_DATETIME: N_(
        "{value} is not a time without a zone like 2024-01-31T09:30:00, which '{field}' needs."
    ),
    FieldType.JSON: N_("{value} is not JSON, which '{field}' needs."),
    FieldType.TEXT: N_("{value} cannot be written as text in '{field}'."),
}


@dataclass(frozen=True)
class Converted:
    """The values in the target's type, null where `errors` (row -> why) has one."""

    values: pl.Series
    errors: dict[int, Message]


def refusal(source: Field, target: Field) -> Message | None:
    """Return why values cannot go from one field to the other as they are, None where they can."""
    pair = (source.type, target.type)
    if source.type is target.type or pair in CONVERSIONS:
        return None
    values = {"source": source.type.value, "target": target.type.value, "field": target.name}
    hint = _HINTS.get(pair)
    if hint is None:
        return msg("A {source} value does not fit '{field}', which is {target}. Write an expression.", **values)
    name = source.name or "value"
    text = N_("A {source} value does not fit '{field}', which is {target}. Say which zone is meant, like {example}.")
    return msg(text, **values, example=hint.format(field=name))


def converted(values: pl.Expr, source: Field, target: Field) -> pl.Expr:
    """Return values in the target's type, null where that is not possible exactly or goes beyond the field's limits."""
    changed = changed_type(values, source, target)
    return pl.when(~beyond(changed, target)).then(changed) if limited(target) else changed


def changed_type(values: pl.Expr, source: Field, target: Field) -> pl.Expr:
    """Return values in the target's type; the pair has to be one that `refusal` lets pass."""
    conversion = CONVERSIONS.get((source.type, target.type))
    changed = values if conversion is None else conversion(values, source, target)
    return changed if conversion is None and source.dtype == target.dtype else changed.cast(target.dtype)


def lossless(source: Field, target: Field) -> bool:
    """Tell whether each value of one field fits the other as it is."""
    return source.type is target.type and source.dtype == target.dtype and not limited(target)


def convert(values: pl.Series, source: Field, target: Field) -> Converted:
    """Return a column in the target's type; the pair has to be one that `refusal` lets pass."""
    column = pl.col("value")
    frame = values.alias("value").to_frame()
    frame = frame.select("value", changed=changed_type(column, source, target)).with_columns(
        made=pl.when(~beyond(pl.col("changed"), target)).then("changed") if limited(target) else pl.col("changed")
    )
    lost = (frame["made"].is_null() & frame["value"].is_not_null()).arg_true()
    errors = {
        row: _why(value, target) if changed is None else why_beyond(changed, target)
        for row, value, changed in zip(lost, frame["value"][lost], frame["changed"][lost], strict=True)
    }
    return Converted(frame["made"], errors)


def _why(value: object, target: Field) -> Message:
    values: dict[str, object] = {"value": shown(value), "field": target.name}
    if isinstance(target.dtype, pl.Decimal):
        values["limit"] = target.dtype.scale
    return msg(_FORMS[target.type], **values)
