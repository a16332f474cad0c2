"""How PostgreSQL works out formulas, and which columns it copies exactly as Syncline would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_formula import SPACES, CannotPush, Condition, Made, Value, Words, written
from connectors.builtin.database_types import Column
from connectors.builtin.postgresql_literals import Named
from rules.formula import Deed, Sort
from rules.schema import FREE_SCALE, FieldType
from rules.text import msg

_DIGITS, _DECIMALS, _FINE = 15, 38, 6
_RANGES: Mapping[str, int] = {"smallint": 2**15, "integer": 2**31}
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("text", "character varying"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint"), "integer"),
    **{
        name: name
        for name in (
            "numeric", "double precision", "boolean", "date", "time without time zone", "uuid", "bytea",
            "timestamp without time zone", "timestamp with time zone",
        )
    },
}  # fmt: skip
_SORTS = {Sort.TEXT: "text", Sort.INTEGER: "integer", Sort.FLOAT: "double precision", Sort.BOOLEAN: "boolean"}
_TYPES: Mapping[Sort, sa.types.TypeEngine[Any]] = {
    Sort.TEXT: sa.Text(),
    Sort.INTEGER: sa.BigInteger(),
    Sort.FLOAT: sa.Double(),
    Sort.BOOLEAN: sa.Boolean(),
}
_TIMES = (FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME)
# no letters but those of ASCII are large or small from here to there: signs of Chinese, Japanese kana, punctuation
_SIMPLE = "^[\x01-\x7f\u2e80-\u9fff]*$"


class PostgreSQLWords(Words):
    """Texts are compared in the collation of code points, and large and small letters are those of ASCII."""

    def own(self, column: Column, sort: Sort) -> Made:
        """Return a column; decimals as floats where these have the same digits."""
        value: Value = sa.column(column.name)
        if column.native == "numeric" and sort is Sort.FLOAT:
            return _as_float(column)
        if _KINDS.get(column.native) != _SORTS.get(sort):
            raise CannotPush(_unlike(column))
        return Made(sa.cast(value, _TYPES[sort]))

    def given(self, value: Any, sort: Sort) -> Value:
        """Return a typed parameter."""
        if sort is Sort.NOTHING:
            return sa.null()
        text = str(value).lower() if isinstance(value, bool) else repr(value) if sort is Sort.FLOAT else str(value)
        return sa.cast(sa.bindparam(None, text, type_=sa.Text(), unique=True), _TYPES[sort])

    def fitted(self, made: Made, sort: Sort, target: Column) -> Made:
        """Look at the limits of the column."""
        if sort is Sort.NOTHING:
            return made
        if _KINDS.get(target.native) != _SORTS[sort]:
            raise CannotPush(_unlike(target))
        return made.when(*_limits(made.value, target))

    def copied(self, source: Column, target: Column) -> Made:
        """Return columns whose types hold the same values."""
        kind = _KINDS.get(source.native)
        if kind is None or kind != _KINDS.get(target.native):
            raise CannotPush(_unlike(source if kind is None else target))
        value: Value = sa.column(source.name)
        if source.field.type in _TIMES and _fine(target) < _fine(source):
            text = msg("'{field}' keeps fewer digits of a second than what it would be given.", field=target.name)
            raise CannotPush(text)
        if kind != "numeric":
            return Made(value, tuple(_limits(value, target)))
        scale = FREE_SCALE if target.field.scale is None else target.field.scale
        rounded = sa.func.round(value, written(str(scale)))
        room = _DECIMALS - scale if target.field.precision is None else target.field.precision - scale
        most = written(f"1e{room}::numeric")
        fits = sa.and_(rounded == value, value < most, value > -most)
        return Made(rounded, (sa.or_(value.is_(None), fits),))

    def differs(self, value: Value, target: Column) -> Condition:
        """Compare by type, texts by their characters."""
        own: Value = sa.column(target.name)
        if _KINDS.get(target.native) == "text":
            return _characters(value).is_distinct_from(_characters(own))
        return value.is_distinct_from(own)

    def typed(self, value: Value, target: Column) -> Value:
        """Cast to the type without its length: a cast with it would cut a text."""
        return sa.cast(value, Named(target.cast))

    def free(self, key: Value, source: Column) -> Value:
        """Name the collation of the database, which is the one that goes behind any other in a subquery's column."""
        return sa.collate(key, "default") if _KINDS.get(source.native) == "text" else key

    def meets(self, key: Value, own: Value, target: Column) -> Condition:
        """Compare by the index, whatever its collation takes for equal, and texts by their characters as well."""
        if _KINDS.get(target.native) != "text":
            return own == key
        return sa.and_(own == key, _characters(own) == _characters(key))

    def same(self, left: Value, right: Value, sort: Sort) -> Condition:
        """Compare values, texts by their characters."""
        if sort is Sort.TEXT:
            left, right = self.text_order(left), self.text_order(right)
        return left.is_not_distinct_from(right)

    def text_order(self, text: Value) -> Value:
        """Name the collation."""
        return _characters(text)

    def real(self, number: Value) -> Value:
        """Cast to double precision."""
        return sa.cast(number, sa.Double())

    def number(self, value: Value) -> Condition:
        """Tell NaN."""
        return value != written("'NaN'::double precision")

    def trimmed(self, text: Value) -> Value:
        """Take all kinds of spaces away."""
        return sa.func.btrim(text, self.given(SPACES, Sort.TEXT))

    def simple(self, text: Value) -> Condition:
        """Look for other letters."""
        return self.text_order(text).op("~")(self.given(_SIMPLE, Sort.TEXT))

    def cased(self, text: Value, deed: Deed) -> Value:
        """Change ASCII letters, as the collation of code points does."""
        return (sa.func.upper if deed is Deed.UPPER else sa.func.lower)(self.text_order(text))

    def part(self, deed: Deed, text: Value, other: Value) -> Condition:
        """Look for a text by its characters."""
        text, other = self.text_order(text), self.text_order(other)
        if deed is Deed.ENDS:
            ending = sa.func.right(text, sa.func.length(other)) == other
            return sa.or_(sa.func.length(other) == written("0"), ending)
        found = sa.func.strpos(text, other)
        return found == written("1") if deed is Deed.STARTS else found > written("0")


def _characters(text: Value) -> Value:
    return sa.collate(sa.cast(text, sa.Text()), "C")


def _as_float(column: Column) -> Made:
    scale = FREE_SCALE if column.field.scale is None else column.field.scale
    if scale > _DIGITS:
        raise CannotPush(msg("'{field}' has more digits than can be calculated with exactly.", field=column.name))
    own: Value = sa.column(column.name)
    most = written(f"1e{_DIGITS - scale}::numeric")
    small = sa.or_(own.is_(None), sa.and_(own < most, own > -most))
    return Made(sa.cast(own, sa.Double()), (small,))


def _limits(value: Value, target: Column) -> list[Condition]:
    """Return where a value fits its column; null fits."""
    fits: list[Condition] = []
    if target.field.length is not None and _KINDS.get(target.native) == "text":
        fits.append(sa.func.length(value) <= written(str(target.field.length)))
    if (most := _RANGES.get(target.native)) is not None:
        fits.append(value.between(written(str(-most)), written(str(most - 1))))
    return [sa.or_(value.is_(None), fit) for fit in fits]


def _fine(column: Column) -> int:
    return _FINE if column.field.scale is None else column.field.scale


def _unlike(column: Column) -> Any:
    return msg(
        "'{field}' is of the type {type} here, which only Syncline brings from and to others.",
        field=column.name,
        type=column.native,
    )
