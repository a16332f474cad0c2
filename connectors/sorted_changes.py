"""What changed, for systems that promise no order: it is held in memory, sorted, and given page by page.

A position is the value and the tie of the last record given, so that a later read goes on behind it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.spi import Cursor, Page, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType
from rules.text import Message, msg


@dataclass(frozen=True)
class Sought:
    """What a service was asked to leave out: the filter as it was sent, and how many seconds earlier than the cursor.

    A filter of days, or one in another time zone, may let through a day more.
    """

    filter: str = ""
    earlier: int = 0

    def ignored(self, values: pl.Series, since: Any) -> int:
        """Return how many records have come although the filter excludes them without doubt."""
        if not self.filter or since is None:
            return 0
        if isinstance(since, dt.date):
            try:
                since -= dt.timedelta(days=1, seconds=self.earlier)
            except OverflowError:  # nothing is earlier
                return 0
        if isinstance(since, dt.datetime) and since.tzinfo is not None:
            since = since.astimezone(dt.UTC)  # as the column has it
        return int((values < since).sum())

    def told(self, name: str, count: int) -> tuple[Message, ...]:
        """Return the note that says so."""
        if not count:
            return ()
        text = msg("The service ignored the filter '{filter}' of '{object}': {count} records were left out here.",
                   filter=self.filter, object=name, count=count)  # fmt: skip
        return (text,)


ANYTHING = Sought()


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


def sorted_changes(
    pages: Iterable[Page], request: ReadRequest, cursor: Cursor, sought: Sought = ANYTHING
) -> Iterator[Page]:
    """Yield the records that a cursor selects, sorted by its field and then by its tie.

    Args:
        pages: All records that may be meant, in any order; those that are not are left out here.
        request: What was asked for.
        cursor: Its cursor.
        sought: What the service was asked to leave out; where it has not done so, the first page notes it.
    """
    since = since_of(request, cursor)
    held, rejects, ignored = [request.schema.empty()], list[Reject](), 0
    for page in pages:
        rejects += page.rejects
        part = page.records
        ignored += sought.ignored(part[cursor.field], since)
        if since is not None:
            part = part.filter(pl.col(cursor.field).is_null() | (pl.col(cursor.field) >= since))
        held.append(part)
    records = pl.concat(held).sort(cursor.field, cursor.tie, nulls_last=False)
    after = request.after
    if after and not after.get("none"):
        records, rejects = _behind(records, request, cursor, after), []
    notes = sought.told(request.object, ignored)
    for page in _sliced(records, request, cursor, tuple(rejects)):
        yield replace(page, notes=notes)
        notes = ()


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
