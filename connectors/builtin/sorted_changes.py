"""What changed, of systems that promise no order: all they send is held in memory, sorted, and given out in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.spi import Page, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType
from rules.text import msg


class Changes:
    """One read by a cursor; a position is the value and the tie of the last record given."""

    def __init__(self, request: ReadRequest, name: str) -> None:
        if request.cursor is None:
            raise ValueError("the request has no cursor")
        self.request = request
        self.cursor = request.cursor
        for field in (self.cursor.field, self.cursor.tie):
            if field not in request.schema:
                raise Misconfigured(
                    msg("The object '{name}' has no field '{field}'.", name=name, field=field),
                    msg("Choose another field to find changes by."),
                    object_name=name,
                )

    def pages(self, read: Callable[[Any], Iterable[Page]]) -> Iterator[Page]:
        """Yield the records from the cursor's value on, sorted, at least one page.

        Args:
            read: Returns the pages of what the system has since a value; it may give more than that.
        """
        since = self._value(self.cursor.since, self.cursor.field)
        found = list(read(since))
        rejects = tuple(reject for page in found for reject in page.rejects)
        records = pl.concat([page.records for page in found]).sort(self.cursor.field, self.cursor.tie, nulls_last=False)
        if since is not None:
            records = records.filter(pl.col(self.cursor.field).is_null() | (pl.col(self.cursor.field) >= since))
        after = self.request.after
        if after and not after.get("none"):
            records, rejects = self._behind(records, after), ()
        yield from self._slices(records, rejects)

    def _slices(self, records: pl.DataFrame, rejects: tuple[Reject, ...]) -> Iterator[Page]:
        position: dict[str, Any] = dict(self.request.after or {"none": True})
        for start in range(0, records.height, self.request.page_size):
            part = records.slice(start, self.request.page_size)
            value, tie = (PLAIN.text(part[name][-1]) for name in (self.cursor.field, self.cursor.tie))
            position = {"value": value, "tie": tie}
            yield Page(part, position, rejects)
            rejects = ()
        if not records.height:
            yield Page(records, position, rejects)

    def _behind(self, records: pl.DataFrame, after: Mapping[str, Any]) -> pl.DataFrame:
        value, tie = self._value(after["value"], self.cursor.field), self._value(after["tie"], self.cursor.tie)
        field, later = pl.col(self.cursor.field), pl.col(self.cursor.tie) > tie
        if value is None:
            return records.filter(field.is_not_null() | later)
        return records.filter((field > value) | ((field == value) & later))

    def _value(self, value: Any, name: str) -> Any:
        """Return a value in the field's type, also from its JSON form."""
        field: Field = self.request.schema[name]
        if not isinstance(value, str) or field.type is FieldType.TEXT:
            return value
        return cast(pl.Series(field.name, [value], pl.String), field)[0]
