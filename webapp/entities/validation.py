"""Checks of whole batches against a definition: what each kind of field allows, and what the admin demands on top.

A batch has the entity's columns (or some of them) with the schema's types. Values that can be brought into the stored
form without loss are (a scale, JSON's sorted keys); everything else is refused with field and sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl

from rules.text import Message, msg
from webapp.entities.model import CHOICE_KINDS, Entity, EntityField, Kind
from webapp.entities.refusals import Refusal, refuse
from webapp.entities.values import PATTERNS, BadValue, canonical_text, from_plain

CURRENCY = r"^[A-Z]{3}$"
_PATTERN_SENTENCES: dict[Kind, Message] = {
    Kind.EMAIL: msg("This is not an e-mail address such as name@example.com."),
    Kind.PHONE: msg("This is not a phone number such as +86 138 0013 8000."),
    Kind.URL: msg("This is not a web address that starts with http:// or https://."),
    Kind.FILE: msg("This is not a file of Syncline; upload it in the form first."),
}


def checked(entity: Entity, frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, list[Refusal]]:
    """Return the batch with the columns `names` in stored form, and the refusals; other columns stay as they are."""
    refusals: list[Refusal] = []
    for field in entity.fields:
        if field.name in names:
            column, found = _column(field, frame[field.name])
            frame = frame.with_columns(column)
            refusals += found
        if field.kind is Kind.MONEY and {field.name, field.currency_name} & set(names):
            frame, found = _currency(field, frame)
            refusals += found
    return frame, refusals


def missing(entity: Entity, frame: pl.DataFrame) -> list[Refusal]:
    """Return the refusals for required fields without a value; the batch has every column."""
    refusals: list[Refusal] = []
    for field in entity.fields:
        if field.required:
            column = frame[field.name]
            empty = column.is_null() | (column == "") if column.dtype == pl.String else column.is_null()
            refusals += refuse(empty, msg("A value is required."), field.name)
    return refusals


def _column(field: EntityField, column: pl.Series) -> tuple[pl.Series, list[Refusal]]:
    wanted = field.fields[0].dtype
    if field.kind in (Kind.DECIMAL, Kind.MONEY):
        return _decimals(field, column)
    if column.dtype != wanted:
        fitting = column.cast(wanted, strict=False)
        lost = fitting.is_null() & column.is_not_null()
        refusals = refuse(lost, msg("A value of another type was expected."), field.name)
        column = fitting
    else:
        refusals = []
    if wanted == pl.String:
        column, found = _texts(field, column)
        refusals += found
    return column, refusals


def _decimals(field: EntityField, column: pl.Series) -> tuple[pl.Series, list[Refusal]]:
    dtype = pl.Decimal(38, field.scale)
    if not isinstance(column.dtype, pl.Decimal):
        column = (
            column.cast(pl.Decimal(38, 18 if column.dtype.is_float() else 0), strict=False)
            if column.dtype.is_numeric()
            else column
        )
    fitting = column.cast(dtype, strict=False)
    if isinstance(column.dtype, pl.Decimal) and column.dtype.scale > field.scale:
        lost = fitting.cast(column.dtype, strict=False).ne_missing(column)
    else:
        lost = fitting.is_null() & column.is_not_null()
    refusals = refuse(
        lost, msg("The number has more than {scale} digits behind the point.", scale=field.scale), field.name
    )
    large = fitting.to_physical().abs() >= 10**field.precision  # polars compares decimals of 29 digits and more wrongly
    too_large = msg(
        "The number is too large: at most {digits} digits before the point.", digits=field.precision - field.scale
    )
    return fitting, [*refusals, *refuse(large & ~lost, too_large, field.name)]


def _texts(field: EntityField, column: pl.Series) -> tuple[pl.Series, list[Refusal]]:
    name = field.name
    if field.kind in (Kind.JSON, Kind.MULTI_CHOICE):
        return _each(field, column, _json_value if field.kind is Kind.JSON else _multi_value)
    refusals = refuse(
        column.str.contains("\x00", literal=True), msg("The text holds a character that cannot be stored."), name
    )
    if field.kind in CHOICE_KINDS:
        unknown = ~column.is_in(list(field.values)) & column.is_not_null()
        return column, [*refusals, *_unknown_choices(name, column, unknown)]
    if field.kind in PATTERNS:
        column = column.set(column == "", None)
        refusals += refuse(~column.str.contains(PATTERNS[field.kind]), _PATTERN_SENTENCES[field.kind], name)
    if field.max_length:
        too_long = msg("The text is longer than {length} characters.", length=field.max_length)
        refusals += refuse(column.str.len_chars() > field.max_length, too_long, name)
    return column, refusals


def _unknown_choices(name: str, column: pl.Series, unknown: pl.Series) -> list[Refusal]:
    return [
        Refusal(row, msg("'{value}' is not one of the choices.", value=column[row]), name)
        for row in unknown.fill_null(value=False).arg_true().to_list()
    ]


def _each(
    field: EntityField, column: pl.Series, read: Callable[[EntityField, str], str]
) -> tuple[pl.Series, list[Refusal]]:
    """Read each different text once; the same few values fill long columns."""
    known: dict[str, str] = {}
    wrong: dict[str, Message] = {}
    for text in column.drop_nulls().unique().to_list():
        try:
            known[text] = read(field, text)
        except BadValue as error:
            wrong[text] = error.message
    texts = column.to_list()
    refusals = [Refusal(row, wrong[text], field.name) for row, text in enumerate(texts) if text in wrong]
    return pl.Series(field.name, [known.get(t) if t is not None else None for t in texts], dtype=pl.String), refusals


def _json_value(_field: EntityField, text: str) -> str:
    try:
        value = canonical_text(text)
    except ValueError as error:
        raise BadValue(msg("This is not JSON: {detail}.", detail=str(error))) from None
    if "\x00" in text or "\\u0000" in value:
        raise BadValue(msg("The text holds a character that cannot be stored."))
    return value


def _multi_value(field: EntityField, text: str) -> str:
    try:
        values = json.loads(text)
    except ValueError:
        values = [text]
    return str(from_plain(field, values if isinstance(values, list) else [text]))


def _currency(field: EntityField, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Refusal]]:
    name, amount = field.currency_name, frame[field.name]
    if field.currency:
        fixed = pl.when(amount.is_not_null()).then(pl.lit(field.currency)).otherwise(pl.lit(None, dtype=pl.String))
        return frame.with_columns(fixed.alias(name)), []
    frame = frame.with_columns(pl.when(pl.col(name) == "").then(None).otherwise(pl.col(name)).alias(name))
    currency = frame[name]
    wrong = refuse(
        ~currency.str.contains(CURRENCY), msg("This is not a currency of three capital letters, such as CNY."), name
    )
    alone = refuse(currency.is_null() & amount.is_not_null(), msg("The amount needs a currency."), name)
    return frame, [*wrong, *alone]
