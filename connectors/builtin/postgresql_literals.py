"""How values are written into PostgreSQL's SQL: as texts, cast to a column's type without its length.

An explicit cast to `varchar(3)` cuts a text silently while an assignment refuses it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from connectors.builtin import postgresql_catalog
from connectors.builtin.database_types import Column, to_text

WHOLE = {"smallint": (-(2**15), 2**15 - 1), "integer": (-(2**31), 2**31 - 1)}
"""What types of whole numbers hold that are smaller than ours."""


class Named(sa.types.UserDefinedType[Any]):
    """A type by the name that the catalogue gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name for CAST."""
        return self.name


def to_text_values(values: pl.Series, column: Column) -> pl.Series:
    """Return typed values as the texts that PostgreSQL reads for the column's type."""
    text = to_text(values)
    if column.native.endswith("[]"):
        return pl.Series(values.name, [None if t is None else _array_text(t) for t in text], dtype=pl.String)
    if values.dtype == pl.Binary:
        return ("\\x" + text).alias(values.name)
    return (text + "+00").alias(values.name) if _is_instant(values.dtype) else text


def array_literal(texts: pl.Series) -> str:
    """Return a column of texts as one array literal."""
    escaped = texts.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    quoted = ('"' + escaped + '"').fill_null("NULL")
    return "{" + str(quoted.str.join(",").item()) + "}"


def cast(text: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    """Return a text as a value of the column's type."""
    number = sa.cast(text, sa.Numeric) if column.native == postgresql_catalog.MONEY else text
    return sa.cast(number, Named(column.cast))


def rows_of(*columns: pl.Series) -> list[sa.ColumnElement[Any]]:
    """Return columns of texts as array parameters, for `unnest`."""
    return [sa.cast(sa.literal(array_literal(texts)), ARRAY(sa.Text)) for texts in columns]


def any_of(column: Column, texts: pl.Series) -> sa.ColumnElement[bool]:
    """Return the condition that a column holds one of the values, which are one array parameter."""
    own: sa.ColumnElement[Any] = sa.column(column.name)
    if column.native.endswith("[]"):  # an array of arrays is something else
        given = sa.func.unnest(*rows_of(texts)).table_valued("value", name="wanted").render_derived()
        return own.in_(sa.select(cast(given.c.value, column)))
    # without a type of its own the parameter is one of the array's type: a constant that is hashed, not searched
    found: sa.ColumnElement[Any] = sa.literal(array_literal(texts), sa.types.NullType())
    if column.native == postgresql_catalog.MONEY:
        found = sa.cast(found, ARRAY(sa.Numeric))
    return own == sa.func.any(sa.cast(found, Named(column.cast + "[]")))


def _array_text(text: str) -> str:
    """Return a JSON list as an array literal; what is no list is left for PostgreSQL to refuse."""
    value = msgspec.json.decode(text)
    return _literal(value) if isinstance(value, list) else text


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ",".join(map(_literal, value)) + "}"
    plain = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def own_text(value: Any) -> str | None:
    """Return one value as the text that PostgreSQL reads."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _is_instant(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Datetime) and kind.time_zone is not None
