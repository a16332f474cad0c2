"""SQLite with a log of deletions: a connector that tells what is gone, as later ones of change logs do.

What was deleted from `thing` stands in `thing_gone`: the key, and when that was, under the name of the cursor's field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import polars as pl

from connectors.builtin.sqlite import SQLite
from connectors.spi import ConnectorSpec, Cursor, ObjectInfo, Page, Position, ReadRequest
from rules.schema import Schema

ENDING = "_gone"


class Logged(SQLite):
    """Tells of deletions behind all records of a read by cursor."""

    spec: ClassVar[ConnectorSpec] = replace(
        SQLite.spec, name="logged", capabilities=replace(SQLite.spec.capabilities, deletions=True)
    )

    def objects(self) -> list[ObjectInfo]:
        return [one for one in super().objects() if not one.name.endswith(ENDING)]

    def read(self, request: ReadRequest) -> Iterator[Page]:
        cursor, after, log = request.cursor, request.after or {}, f"{request.object}{ENDING}"
        told = cursor is not None and cursor.field in self.schema(log).names
        if "gone" not in after:
            yield from super().read(request)
        if told and cursor is not None:
            yield from self._gone(request, cursor, after.get("gone"))

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        log = f"{name}{ENDING}"
        fields = self.schema(log)
        gone = super().lookup(log, fields, fields.names[0], values.cast(pl.Int64).alias(fields.names[0]))
        found = super().lookup(name, schema, key, values)
        return found.filter(~found[key].is_in(gone[fields.names[0]].implode()))

    def _gone(self, request: ReadRequest, cursor: Cursor, after: Position | None) -> Iterator[Page]:
        log = f"{request.object}{ENDING}"
        fields = self.schema(log)
        since = Cursor(cursor.field, fields.names[0], cursor.since)
        for page in super().read(ReadRequest(log, fields, since, after, request.page_size)):
            names = [name for name in fields.names if name in request.schema]
            rows = pl.concat([request.schema.empty(), page.records.select(names)], how="diagonal_relaxed")
            deleted = rows.cast(pl.Schema(request.schema.dtypes()))
            yield Page(request.schema.empty(), {"gone": dict(page.position)}, deleted=deleted)
