"""The table as a space for its analysis: one axis an input and one of days, each cut into pieces that can occur.

Pieces are bits of whole numbers here, rows too: a row is a box, the product of the pieces that its cells cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from rules.decisions.columns import Column, build_column
from rules.decisions.lines import DAYS
from rules.decisions.plan import Front
from rules.decisions.sets import Cover
from rules.documents.decision_table import DecisionTable
from rules.schema import FieldType

Pieces = int
RowBits = int


@dataclass(frozen=True)
class Axis:
    """One dimension; `viable` are its pieces that can occur, `input` is its column (None: the days)."""

    input: int | None
    name: str
    column: Column
    viable: Pieces

    @cached_property
    def rows(self) -> tuple[Pieces, ...]:
        """Return for each row the pieces that it covers and that can occur."""
        return tuple(_as_int(flags) & self.viable for flags in self.column.covered.T)

    @cached_property
    def classes(self) -> dict[RowBits, Pieces]:
        """Return the sets of rows that occur on the axis, and the pieces where they do."""
        found: dict[RowBits, Pieces] = {}
        for piece, flags in enumerate(self.column.covered):
            if self.viable >> piece & 1:
                rows = _as_int(flags)
                found[rows] = found.get(rows, 0) | 1 << piece
        return found


def _as_int(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def build_axes(front: Front, columns: Sequence[Column], as_of: date | None) -> tuple[Axis, ...]:
    """Return the axes of a table; the days from `as_of` on, where rows have dates."""
    axes = [_axis(front, number, column) for number, column in enumerate(columns)]
    if any(row.since or row.until for row in front.table.rows):
        axes.append(_days(front.table, as_of))
    return tuple(axes)


def _axis(front: Front, number: int, column: Column) -> Axis:
    viable = (1 << column.nan) - 1
    field, source = front.fields[number], front.sources[number]
    if source is None and not field.nullable:
        viable &= ~(1 << column.null)
    if column.type is FieldType.FLOAT:
        viable |= 1 << column.nan
    if column.allowed is not None:
        viable &= _as_int(column.allowed)
    return Axis(number, front.table.inputs[number].name, column, viable)


def _days(table: DecisionTable, as_of: date | None) -> Axis:
    covers = []
    for row in table.rows:
        since = None if row.since is None else DAYS.at(date.fromisoformat(row.since))
        until = None if row.until is None else DAYS.at(date.fromisoformat(row.until))
        covers.append(Cover(((since, until),)))
    limit = None if as_of is None else Cover(((DAYS.at(as_of), None),))
    column = build_column(DAYS, FieldType.DATE, covers, limit)
    viable = (1 << column.null) - 1
    if column.allowed is not None:
        viable &= _as_int(column.allowed)
    return Axis(None, "", column, viable)
