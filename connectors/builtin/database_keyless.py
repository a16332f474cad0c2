"""Where a read is in an object without a key.

Without a key the only order in which each row has one place is that of everything that is read of it. A position must
not be a count of rows: others delete and insert before it meanwhile, and then rows are left out or come again. So a
position holds the values of the last row, and how many rows that are read as the same were given with it. Rows behind
these values follow, and rows with these values beyond that number, whatever has happened before the place.

Values may be of types without an order, large, equal without being the same (1.0 and 1.00, texts under a collation) or
null. So rows are sorted by a cell of each column: a short text, never null, compared byte by byte. It is the text of
the value, or the SHA-256 of that text where it is long; behind the first columns all others share one digest. Rows with
the same cells are read as the same, so that it does not matter which of them were given. Cells also keep positions
small.

No index serves this order, so a page of its own for each position would sort the whole object once for each page.
Instead one query reads all from a place on in one pass, and shows what was there when it began. What cannot be helped:
a record that others change while a read rests, so that it sorts before the place, is met by the next full read only. A
read by cursor sorts by the cursor first, which moves what is changed to the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Self

import sqlalchemy as sa

from connectors.builtin.database_flavor import Flavor
from connectors.builtin.database_types import Column, position_value, wire_value
from connectors.errors import Fatal
from connectors.spi import Position
from rules.schema import Field, FieldType
from rules.text import msg

_SINGLE = 16
"""So many columns have a cell of their own."""
_SHORT = 60
"""The longest text that is its own cell."""
_LONGEST = 64
_TEXT = "text"


@dataclass(frozen=True)
class Place:
    """The sort values of the last row that was given, and how many rows with the same cells were given."""

    values: tuple[Any, ...] = ()
    given: int = 0

    @classmethod
    def of(cls, position: Position) -> Self:
        """Return the place of a position, or the beginning."""
        return cls(tuple(wire_value(value) for value in position.get("values", ())), int(position.get("given", 0)))

    def to_json(self) -> Position:
        """Return the place as a part of a position."""
        return {"values": [position_value(value) for value in self.values], "given": self.given}

    def leading(self, cells: Sequence[Sequence[Any]], most: int) -> int:
        """Return how many of the first rows, at most so many, have the cells of this place."""
        return sum(1 for _ in takewhile(self._same, cells[:most]))

    def moved(self, rows: Sequence[Sequence[Any]], cells: int) -> Place:
        """Return the place behind further rows, whose sort values end in so many cells."""
        last = Place(tuple(rows[-1]))
        same = sum(1 for _ in takewhile(last._same, (row[-cells:] for row in reversed(rows))))
        before = self.given if same == len(rows) and self._same(rows[-1][-cells:]) else 0
        return Place(last.values, before + same)

    def _same(self, cells: Sequence[Any]) -> bool:
        return bool(self.values) and self.values[-len(cells) :] == tuple(cells)


def cells(columns: Sequence[Column], flavor: Flavor) -> tuple[Column, ...]:
    """Return the cells of columns as columns that are made of them; many columns share the last one."""
    single, others = columns[:_SINGLE], columns[_SINGLE:]
    made = [_made([column], _cell(flavor.plain(column), flavor)) for column in single]
    if others:
        # of one length each, so that nothing can move from one to the next
        joined = _joined([flavor.sha256(flavor.plain(column)) for column in others])
        made.append(_made(others, flavor.sha256(joined)))
    return tuple(made)


def begun(position: Position, order: Sequence[Column], object_name: str) -> Place:
    """Return the place of a position; raises `Fatal` if records were sorted by other columns then."""
    if position and position["sorted"] != sorted_by(order):
        raise Fatal(
            msg("The fields of '{object}' have changed while it was being read.", object=object_name),
            msg("Start the run anew: it has no key by which the read could go on."),
            object_name=object_name,
        )
    return Place.of(position)


def sorted_by(order: Sequence[Column]) -> str:
    """Return a short mark of sort columns with their types."""
    return hashlib.sha256("\n".join(column.name for column in order).encode()).hexdigest()[:16]


def _made(of: Sequence[Column], cell: sa.ColumnElement[Any]) -> Column:
    name = ", ".join(f"{column.name} {column.native}" for column in of)
    return Column(Field(name, FieldType.TEXT, nullable=False), _TEXT, cast=_TEXT, made=cell)


def _cell(plain: sa.ColumnElement[Any], flavor: Flavor) -> sa.ColumnElement[Any]:
    cell = sa.case((sa.func.length(plain) <= _SHORT, plain), else_=flavor.sha256(plain))
    # MySQL reserves room for the longest text there may be when it sorts
    return sa.func.substr(cell, 1, _LONGEST)


def _joined(texts: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Join by halves: databases limit how deep an expression is, and how many arguments a function has."""
    if len(texts) == 1:
        return texts[0]
    half = len(texts) // 2
    return _joined(texts[:half]).concat(_joined(texts[half:]))
