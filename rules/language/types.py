"""The types of the language, and how they meet.

Decimals, dates and local times are types of their own here although CEL has none: they tell what a result may be used
for. `any` is what JSON holds; it is checked record by record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rules.schema import FieldType


class Kind(StrEnum):
    """What kind of value an expression has; the value is the word used in messages and signatures."""

    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "number"
    DECIMAL = "decimal"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    DATETIME = "datetime"
    LOCAL_DATETIME = "local_datetime"
    DURATION = "duration"
    LIST = "list"
    MAP = "map"
    ANY = "any"


@dataclass(frozen=True)
class Type:
    """A kind, and for lists and maps what they hold."""

    kind: Kind
    item: Type | None = None
    key: Type | None = None

    def __str__(self) -> str:
        """Return the type as messages and signatures write it."""
        if self.kind is Kind.LIST and self.item is not None:
            return f"list of {self.item}"
        return self.kind.value


NUMBERS = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL})
MOMENTS = frozenset({Kind.DATE, Kind.DATETIME, Kind.LOCAL_DATETIME})
OPEN = frozenset({Kind.ANY, Kind.NULL})

NULL, BOOLEAN, INTEGER, FLOAT = Type(Kind.NULL), Type(Kind.BOOLEAN), Type(Kind.INTEGER), Type(Kind.FLOAT)
DECIMAL, TEXT, BINARY, ANY = Type(Kind.DECIMAL), Type(Kind.TEXT), Type(Kind.BINARY), Type(Kind.ANY)
DATE, DATETIME, LOCAL_DATETIME = Type(Kind.DATE), Type(Kind.DATETIME), Type(Kind.LOCAL_DATETIME)
DURATION = Type(Kind.DURATION)

_OF_FIELD = {
    FieldType.TEXT: TEXT,
    FieldType.INTEGER: INTEGER,
    FieldType.DECIMAL: DECIMAL,
    FieldType.FLOAT: FLOAT,
    FieldType.BOOLEAN: BOOLEAN,
    FieldType.DATE: DATE,
    FieldType.TIME: TEXT,
    FieldType.DATETIME: DATETIME,
    FieldType.LOCAL_DATETIME: LOCAL_DATETIME,
    FieldType.BINARY: BINARY,
    FieldType.JSON: ANY,
}
_TO_FIELD = {
    Kind.NULL: FieldType.TEXT,
    Kind.BOOLEAN: FieldType.BOOLEAN,
    Kind.INTEGER: FieldType.INTEGER,
    Kind.FLOAT: FieldType.FLOAT,
    Kind.DECIMAL: FieldType.DECIMAL,
    Kind.TEXT: FieldType.TEXT,
    Kind.BINARY: FieldType.BINARY,
    Kind.DATE: FieldType.DATE,
    Kind.DATETIME: FieldType.DATETIME,
    Kind.LOCAL_DATETIME: FieldType.LOCAL_DATETIME,
    Kind.LIST: FieldType.JSON,
    Kind.MAP: FieldType.JSON,
    Kind.ANY: FieldType.JSON,
}


def of_field(type_: FieldType) -> Type:
    """Return the type that a field has in an expression; times of day are text like `09:30:00`."""
    return _OF_FIELD[type_]


def to_field(type_: Type) -> FieldType | None:
    """Return the type of a field that can hold the values, None for durations, which no field holds."""
    return _TO_FIELD.get(type_.kind)


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type(Kind.LIST, item)


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type(Kind.MAP, value, key)


def unify(a: Type, b: Type) -> Type | None:
    """Return the type that holds values of both, None where there is none."""
    if a == b or b.kind is Kind.NULL:
        return a
    if a.kind is Kind.NULL:
        return b
    if Kind.ANY in (a.kind, b.kind):
        return ANY
    if a.kind in NUMBERS and b.kind in NUMBERS:
        return DECIMAL if Kind.DECIMAL in (a.kind, b.kind) else FLOAT
    if {a.kind, b.kind} == {Kind.DATE, Kind.DATETIME}:
        return DATETIME
    return Type(a.kind, ANY, ANY) if a.kind == b.kind else None


def unify_all(types: Iterable[Type]) -> Type:
    """Return the type that holds values of all, `any` where they differ."""
    result = NULL
    for type_ in types:
        result = unify(result, type_) or ANY
    return result


def comparable(a: Type, b: Type) -> bool:
    """Tell whether two values can be equal or ordered: numbers with numbers, text with text, dates with datetimes."""
    if OPEN & {a.kind, b.kind}:
        return True
    both = {a.kind, b.kind}
    if both <= NUMBERS or a.kind == b.kind:
        return True
    return both <= MOMENTS and Kind.DATE in both
