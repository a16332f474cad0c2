"""One schema with a field of every type, and two records: one filled, one empty."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from rules.language import Evaluated, ExpressionError, Problem, compile_expression
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema(
    (
        Field("name"),
        Field("phone"),
        Field("qty", FieldType.INTEGER),
        Field("price", FieldType.DECIMAL, scale=4),
        Field("big", FieldType.DECIMAL, scale=2),
        Field("rate", FieldType.FLOAT),
        Field("active", FieldType.BOOLEAN),
        Field("born", FieldType.DATE),
        Field("seen", FieldType.DATETIME),
        Field("local", FieldType.LOCAL_DATETIME),
        Field("opens", FieldType.TIME),
        Field("data", FieldType.JSON),
        Field("blob", FieldType.BINARY),
        Field("客户 名称"),
        Field("a.b"),
        Field("tax_no"),
        Field("if"),
    )
)
FILLED: dict[str, Any] = {
    "name": " Ada ",
    "phone": "+86 21",
    "qty": 7,
    "price": Decimal("12.3456"),
    "big": Decimal("123456789012345678.12"),
    "rate": 0.5,
    "active": True,
    "born": dt.date(1990, 1, 2),
    "seen": dt.datetime(2024, 1, 2, 23, 4, 5, 678901, tzinfo=dt.UTC),
    "local": dt.datetime(2024, 1, 2, 3, 4, 5),
    "opens": dt.time(9, 30),
    "data": '{"a":{"b":[1,2,"x"]},"n":5,"s":"t","z":null}',
    "blob": b"abc",
    "客户 名称": "王",
    "a.b": "dot",
    "tax_no": "1",
    "if": "i",
}
EMPTY: dict[str, Any] = dict.fromkeys(FILLED)


def batch(*records: dict[str, Any]) -> pl.DataFrame:
    """Return records as a batch of the schema; what they do not name is as in the filled one."""
    return pl.DataFrame([{**FILLED, **record} for record in records], schema=SCHEMA.dtypes())


def run(text: str, *records: dict[str, Any], **options: Any) -> Evaluated:
    """Return what an expression gives for the records, for the filled one if there are none."""
    return compile_expression(text, SCHEMA, **options).evaluate(batch(*(records or (FILLED,))))


def value(text: str, record: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return the one result of an expression, which must not be an error."""
    found = run(text, record or {}, **options)
    assert [str(error.message) for error in found.errors] == []
    return found.values[0]


def error(text: str, record: dict[str, Any] | None = None, **options: Any) -> tuple[str, int | None]:
    """Return the message and column of the one error of an expression."""
    found = run(text, record or {}, **options)
    assert found.values[0] is None
    (failure,) = found.errors
    return str(failure.message), failure.column


def problems(text: str, **options: Any) -> list[Problem]:
    """Return what is wrong with an expression."""
    try:
        compile_expression(text, SCHEMA, object_name="crm Account", **options)
    except ExpressionError as failed:
        return list(failed.problems)
    return []


def problem(text: str, **options: Any) -> tuple[str, int, int, str | None]:
    """Return the one problem of an expression: message, line, column, suggestion."""
    (found,) = problems(text, **options)
    return str(found.message), found.line, found.column, found.suggestion
