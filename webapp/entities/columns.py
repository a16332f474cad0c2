"""The column types of entity tables: exact and in order on both databases (docs/decisions/exact-decimals.md)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from rules.schema import Field, FieldType
from webapp.entities.model import SCALED_DIGITS
from webapp.extensions import BigId, UtcDateTime


class Exact(sa.types.TypeDecorator[Decimal]):
    """A decimal number without loss.

    PostgreSQL: NUMERIC. SQLite: up to 18 digits the number times 10**scale as an integer; beyond, that integer plus
    10**precision as text of fixed width, so that the order of the texts is the order of the numbers.
    """

    impl = sa.Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(precision, scale)
        self.digits = precision
        self.places = scale
        self.scaled = precision <= SCALED_DIGITS

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type that holds the number on the dialect at hand."""
        if dialect.name != "sqlite":
            return dialect.type_descriptor(sa.Numeric(self.digits, self.places))
        return dialect.type_descriptor(sa.BigInteger() if self.scaled else sa.String(self.digits + 1))

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        """Return what is stored."""
        if value is None or dialect.name != "sqlite":
            return value
        number = scaled_integer(value, self.places)
        return number if self.scaled else str(number + 10**self.digits).zfill(self.digits + 1)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        """Return the number with the column's scale."""
        if value is None or dialect.name != "sqlite":
            return value  # type: ignore[no-any-return]
        number = int(value) if self.scaled else int(value) - 10**self.digits
        digits = tuple(map(int, str(abs(number))))
        return Decimal((int(number < 0), digits, -self.places))


def scaled_integer(value: Decimal, places: int) -> int:
    """Return value * 10**places, which must be whole; free of the decimal context's rounding."""
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + places
    number = int("".join(map(str, digits)))
    number = number * int(10**shift) if shift >= 0 else number // int(10**-shift)
    return -number if sign else number


def _text(length: int | None) -> sa.types.TypeEngine[Any]:
    binary = sa.String(length, collation="C") if length else sa.Text(collation="C")
    return binary.with_variant(sa.String(length) if length else sa.Text(), "sqlite")


def column_type(field: Field) -> sa.types.TypeEngine[Any]:
    """Return the column type of a schema field; texts are ordered by code point on both databases."""
    if field.type is FieldType.DECIMAL:
        return Exact(field.precision or 38, field.scale or 0)
    if field.type in (FieldType.TEXT, FieldType.JSON):
        return _text(field.length)
    return _TYPES[field.type]


_TYPES: dict[FieldType, sa.types.TypeEngine[Any]] = {
    FieldType.INTEGER: BigId,
    FieldType.BOOLEAN: sa.Boolean(),
    FieldType.DATE: sa.Date(),
    FieldType.DATETIME: UtcDateTime(),
}
