"""Reading the lists of a web service as pages of typed records, all of them or what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Asked, Batch, State
from connectors.builtin.rest_parents import batches
from connectors.builtin.rest_since import asked_since
from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.spi import Cursor, Page, Position, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType
from rules.text import msg

_ENOUGH = 8 * 1024 * 1024
"""Bytes of records that become a page at the latest."""


class Reading:
    """One scan of an object."""

    def __init__(self, calls: Calls, described: RestObject, request: ReadRequest) -> None:
        self.calls = calls
        self.described = described
        self.request = request
        self.schema = request.schema
        self.columns = Columns(self.schema, described)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        return self._changed(self.request.cursor) if self.request.cursor else self._all(Asked(), self.request.after)

    def _all(self, asked: Asked, behind: Position | None) -> Iterator[Page]:
        """Yield the list in the service's own order; a position is an answer's state and the records taken from it.

        Small answers are put together to pages, because a page costs more than a record.
        """
        after = {"state": None, "skip": 0, "first": 1, "done": False, **(behind or {})}
        skip, part, size, given = int(after["skip"]), list[Raw](), 0, False
        source = iter(()) if after["done"] else self.batches(asked, after["state"])
        for batch in source:
            taken, skip = skip, 0
            while taken < len(batch.records):
                piece = batch.records[taken : taken + self.request.page_size - len(part)]
                part += piece
                taken += len(piece)
                size += len(memoryview(piece[0])) * len(piece)  # about: records of a list are alike
                if len(part) == self.request.page_size or size > _ENOUGH:
                    after |= {"state": batch.state, "skip": taken, "done": False}
                    if taken == len(batch.records):
                        after |= {"state": batch.next, "skip": 0, "done": batch.next is None}
                    yield self._page(part, after)
                    part, size, given = [], 0, True
            after |= {"state": batch.next, "skip": 0, "done": batch.next is None}
        if part or not given:
            yield self._page(part, after | {"done": True})

    def batches(self, asked: Asked, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on; a service that is asked in another way has its own."""
        return batches(self.calls, self.described, asked, state)

    def _page(self, part: list[Raw], after: dict[str, Any]) -> Page:
        """Return the page of records that ends at a place, and count them there."""
        page = self.columns.page(part, after["first"])
        after["first"] += len(part)
        return replace(page, position=dict(after))

    def _changed(self, cursor: Cursor) -> Iterator[Page]:
        """Yield the records from the cursor's value on, sorted; what is new is held in memory for that.

        Services promise no order, so a position is the value and the tie of the last record given.
        """
        self._check_cursor(cursor)
        since = _value(cursor.since, self.schema[cursor.field])
        kept, rejects = list[pl.DataFrame](), tuple[Reject, ...]()
        for page in self._all(asked_since(self.described.since, since), None):
            rejects += page.rejects
            found = page.records
            if since is not None:  # a service that ignores its filter sends everything
                found = found.filter(pl.col(cursor.field).is_null() | (pl.col(cursor.field) >= since))
            kept.append(found)
        records = pl.concat(kept).sort(cursor.field, cursor.tie, nulls_last=False)
        after = self.request.after
        if after and not after.get("none"):
            records, rejects = self._behind(records, cursor, after), ()
        yield from self._sorted(records, cursor, rejects)

    def _sorted(self, records: pl.DataFrame, cursor: Cursor, rejects: tuple[Reject, ...]) -> Iterator[Page]:
        position: dict[str, Any] = dict(self.request.after or {"none": True})
        for start in range(0, records.height, self.request.page_size):
            part = records.slice(start, self.request.page_size)
            value, tie = (PLAIN.text(part[name][-1]) for name in (cursor.field, cursor.tie))
            position = {"value": value, "tie": tie}
            yield Page(part, position, rejects)
            rejects = ()
        if not records.height:
            yield Page(records, position, rejects)

    def _behind(self, records: pl.DataFrame, cursor: Cursor, after: Mapping[str, Any]) -> pl.DataFrame:
        value, tie = _value(after["value"], self.schema[cursor.field]), _value(after["tie"], self.schema[cursor.tie])
        field, later = pl.col(cursor.field), pl.col(cursor.tie) > tie
        if value is None:
            return records.filter(field.is_not_null() | later)
        return records.filter((field > value) | ((field == value) & later))

    def _check_cursor(self, cursor: Cursor) -> None:
        for name in (cursor.field, cursor.tie):
            if name not in self.schema:
                raise Misconfigured(
                    msg("The object '{name}' has no field '{field}'.", name=self.described.name, field=name),
                    msg("Choose another field to find changes by."),
                    object_name=self.described.name,
                )


def _value(value: Any, field: Field) -> Any:
    """Return a value in the field's type, also from its JSON form."""
    if not isinstance(value, str) or field.type is FieldType.TEXT:
        return value
    return cast(pl.Series(field.name, [value], pl.String), field)[0]
