"""Records that are only copied: the bytes that came from one table go into another as they are.

The columns of the last pages that were read by COPY are remembered with their bytes. A column that is about to be
written and lies in the very memory of one of these has its values, whoever has passed it on: nothing in a column ever
changes, and what is remembered is not freed. Where all columns of a page are written, and packing their values would
store the same, its bytes are sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from connectors.builtin.database_types import Column, Table
from rules.schema import FieldType

_PAGES = 3
"""One that is being written, one that is decided about, and the one that was read ahead."""
_OWN = {"bigint", "integer", "smallint", "double precision", "boolean", "date", "time without time zone", "bytea"}
_OWN |= {"timestamp without time zone", "timestamp with time zone", "jsonb"}
_TEXTS = {"text", "character varying", "character"}
_NEWEST = pl.CompatLevel.newest()


@dataclass(frozen=True)
class Came:
    """A page as it came: its rows without head and tail, their columns, and where the values of each lie."""

    rows: memoryview
    columns: Sequence[Column]
    places: Mapping[Hashable, int]
    arrays: Sequence[pa.Array] = field(repr=False)
    """Keeps the memory that the columns are known by."""

    @property
    def names(self) -> list[str]:
        """Return the names of the columns."""
        return [column.name for column in self.columns]

    def holds(self, records: pl.DataFrame, table: Table) -> bool:
        """Tell whether records are just those of this page, in the forms of a table that they are meant for."""
        if records.width != len(self.columns) or records.height != len(self.arrays[0]):
            return False
        found = ((values.name, self.places.get(_memory(values.to_arrow(compat_level=_NEWEST)))) for values in records)
        return all(
            at is not None and self.columns[at].name == name and _is_same(self.columns[at], table.by_name[name])
            for name, at in found
        )


_lately: deque[Came] = deque(maxlen=_PAGES)


def remember(rows: memoryview, columns: Sequence[Column], made: Sequence[pl.Series]) -> None:
    """Remember the rows of a page, their columns, and what has been made of the first ones of these."""
    arrays = [values.to_arrow(compat_level=_NEWEST) for values in made]
    _lately.append(Came(rows, columns, {_memory(array): at for at, array in enumerate(arrays)}, arrays))


def copied(records: pl.DataFrame, table: Table) -> Came | None:
    """Return the page that records came as, where its bytes may be sent in their place."""
    return next((came for came in tuple(_lately) if came.holds(records, table)), None)


def _memory(values: pa.Array) -> Hashable:
    return values.type, len(values), values.offset, *(0 if part is None else part.address for part in values.buffers())


def _is_same(source: Column, target: Column) -> bool:
    """Tell whether the bytes of a source's field, and the packed values, are stored as the same by a target."""
    if source.field.type is FieldType.TEXT:
        return target.native in _TEXTS
    if source.native == "numeric":  # without digits of its own the target would store those that came
        return target.native == "numeric" and target.field.scale is not None
    return source.native == target.native and source.native in _OWN
