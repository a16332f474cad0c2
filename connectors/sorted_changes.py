"""What changed, for systems that promise no order: it is held in memory, sorted, and given page by page.

A position is the value and the tie of the last record given, so that a later read goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.spi import Cursor, Page, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType
from rules.text import msg


def since_of(request: ReadRequest, cursor: Cursor) -> Any:
    """Return the value that a cursor begins at, in its field's type; raises `Misconfigured` for an unknown field."""
    for name in (cursor.field, cursor.tie):
        if name not in request.schema:
            raise Misconfigured(
                msg("The object '{name}' has no field '{field}'.", name=request.object, field=name),
                msg("Choose another field to find changes by."),
                object_name=request.object,
            )
    return _value(cursor.since, request.schema[cursor.field])


def sorted_changes(pages: Iterable[Page], request: ReadRequest, cursor: Cursor) -> Iterator[Page]:
    """Yield the records that a cursor selects, sorted by its field and then by its tie.

    Args:
        pages: All records that may be meant, in any order; those that are not are left out here.
        request: What was asked for.
        cursor: Its cursor.
    """
    since = since_of(request, cursor)
    held, rejects = [request.schema.empty()], list[Reject]()
    for page in pages:
        rejects += page.rejects
        part = page.records
        if since is not None:
            part = part.filter(pl.col(cursor.field).is_null() | (pl.col(cursor.field) >= since))
        held.append(part)
    records = pl.concat(held).sort(cursor.field, cursor.tie, nulls_last=False)
    after = request.after
    if after and not after.get("none"):
        records, rejects = _behind(records, request, cursor, after), []
    yield from _sliced(records, request, cursor, tuple(rejects))


def _sliced(records: pl.DataFrame, request: ReadRequest, cursor: Cursor, rejects: tuple[Reject, ...]) -> Iterator[Page]:
    position: dict[str, Any] = dict(request.after or {"none": True})
    for start in range(0, records.height, request.page_size):
        part = records.slice(start, request.page_size)
        value, tie = (PLAIN.text(part[name][-1]) for name in (cursor.field, cursor.tie))
        position = {"value": value, "tie": tie}
        yield Page(part, position, rejects)
        rejects = ()
    if not records.height:
        yield Page(records, position, rejects)


def _behind(records: pl.DataFrame, request: ReadRequest, cursor: Cursor, after: Mapping[str, Any]) -> pl.DataFrame:
    value = _value(after["value"], request.schema[cursor.field])
    field, later = pl.col(cursor.field), pl.col(cursor.tie) > _value(after["tie"], request.schema[cursor.tie])
    if value is None:
        return records.filter(field.is_not_null() | later)
    return records.filter((field > value) | ((field == value) & later))


def _value(value: Any, field: Field) -> Any:
    """Return a value in the field's type, also from its JSON form."""
    if not isinstance(value, str) or field.type is FieldType.TEXT:
        return value
    return cast(pl.Series(field.name, [value], pl.String), field)[0]
