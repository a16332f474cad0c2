"""Random conditions of the kinds that a source may filter by, mixed with any others, over the schema of the fuzz."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from typing import Any

from rules.schema import Field, FieldType, Schema
from tests.rules.language.expressions import Generator

ORDERS = ("<", "<=", ">", ">=", "==", "!=")
Values = Callable[[Field], Sequence[Any]]


class Conditions:
    """Writes conditions over `schema`; the constants are like the `values` of its fields."""

    def __init__(self, seed: int, schema: Schema, values: Values, *, wild: bool = True) -> None:
        self._rng = random.Random(seed)
        self._schema = schema
        self._values = values
        self._other = Generator(seed) if wild else None

    def condition(self) -> str:
        """Return a condition."""
        return self._of(self._rng.choice((0, 1, 1, 2, 3)))

    def _of(self, depth: int) -> str:
        if depth == 0:
            return self._leaf()
        kind = self._rng.choice(("&&", "&&", "||", "!", "leaf"))
        if kind == "!":
            return f"!({self._of(depth - 1)})"
        if kind == "leaf":
            return self._leaf()
        return f"({self._of(depth - 1)} {kind} {self._of(depth - 1)})"

    def _leaf(self) -> str:
        if self._other is not None and self._rng.random() < 0.1:
            return self._other.of("boolean", 1)
        field = self._rng.choice(self._schema.fields)
        made = self._rng.random()
        if made < 0.1 or field.type not in _WRITERS:
            return f"{field.name} {self._rng.choice(('==', '!='))} null"
        if field.type is FieldType.BOOLEAN:
            return self._rng.choice(("{0}", "!{0}", "{0} == true", "false != {0}")).format(field.name)
        if made < 0.25 and field.type in (FieldType.TEXT, FieldType.INTEGER):
            items = ", ".join(self._constant(field) for _ in range(self._rng.randrange(4)))
            return f"{field.name} in [{items}]"
        if made < 0.45 and field.type is FieldType.TEXT:
            return self._text(field)
        pair = [field.name, self._constant(field)]
        if self._rng.random() < 0.3:
            pair.reverse()
        return f"{pair[0]} {self._rng.choice(ORDERS)} {pair[1]}"

    def _text(self, field: Field) -> str:
        value = self._rng.choice(self._values(field)) or ""
        start = self._rng.randrange(len(value) + 1)
        part = value[start : start + self._rng.randrange(4)]
        name = self._rng.choice(("startsWith", "endsWith", "contains"))
        return f"isBlank({field.name})" if self._rng.random() < 0.2 else f"{field.name}.{name}({_text(part)})"

    def _constant(self, field: Field) -> str:
        value = self._rng.choice(self._values(field))
        return "null" if value is None else _WRITERS[field.type](self._rng, value)


def _text(value: str) -> str:
    plain = all(" " <= char <= "~" and char not in "'\\" for char in value)
    return f"'{value}'" if plain else "'" + "".join(f"\\U{ord(char):08x}" for char in value) + "'"


def _number(rng: random.Random, value: Any) -> str:
    form = rng.random()
    if form < 0.2:
        return repr(float(value) + rng.choice((0.5, -0.25, 0.0, 0.1)))
    text = f"{value}"
    return text if text not in ("inf", "-inf", "nan") else "1.5"


def _moment(rng: random.Random, value: dt.datetime) -> str:
    text = value.replace(tzinfo=None).isoformat()
    text = text if rng.random() < 0.7 else text[:19]
    return f"timestamp('{text}Z')"


def _local(rng: random.Random, value: dt.datetime) -> str:
    return f"localTime('{value.isoformat()}')" if rng.random() < 0.9 else f"date('{value.date()}')"


def _date(rng: random.Random, value: dt.date) -> str:
    clock = rng.choice(("00:00:00", "10:30:00"))
    return f"date('{value}')" if rng.random() < 0.8 else f"timestamp('{value}T{clock}Z')"


_WRITERS: dict[FieldType, Callable[[random.Random, Any], str]] = {
    FieldType.TEXT: lambda _, value: _text(value),
    FieldType.INTEGER: _number,
    FieldType.DECIMAL: _number,
    FieldType.FLOAT: _number,
    FieldType.BOOLEAN: lambda _, value: str(value).lower(),
    FieldType.DATE: _date,
    FieldType.DATETIME: _moment,
    FieldType.LOCAL_DATETIME: _local,
}
