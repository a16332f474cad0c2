"""Reading the lists of a web service as pages of typed records, all of them or what changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Walk
from connectors.casting import Places, cast, short, typed
from connectors.errors import Misconfigured
from connectors.json_records import columns_of, encode
from connectors.spi import Cursor, Page, Position, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType
from rules.text import msg


class Reading:
    """One scan of an object."""

    def __init__(self, calls: Calls, described: RestObject, request: ReadRequest) -> None:
        self.calls = calls
        self.described = described
        self.request = request
        self.schema = request.schema
        self._as_json = [field.name for field in self.schema.fields if field.type is FieldType.JSON]

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        return self._changed(self.request.cursor) if self.request.cursor else self._all({}, self.request.after)

    def _all(self, query: Mapping[str, str], behind: Position | None) -> Iterator[Page]:
        """Yield the list in the service's own order; a position is an answer's state and the records taken from it."""
        after = dict(behind or {})
        skip, first = int(after.get("skip", 0)), int(after.get("first", 1))
        state = after.get("state")
        empty = True
        if not after.get("done"):
            for batch in Walk(self.calls, self.described, query).batches(state):
                for page in self._slices(batch.records, skip, first):
                    done = page.position["taken"] >= len(batch.records)
                    position = {
                        "state": batch.next if done else batch.state,
                        "skip": 0 if done else page.position["taken"],
                        "first": page.position["first"],
                        "done": done and batch.next is None,
                    }
                    first, empty = position["first"], False
                    yield replace(page, position=position)
                skip = 0
        if empty:
            yield Page(self.schema.empty(), {**after, "done": True, "first": first})

    def _slices(self, records: Sequence[Any], skip: int, first: int) -> Iterator[Page]:
        for start in range(skip, len(records), self.request.page_size):
            part = records[start : start + self.request.page_size]
            page = self.typed(part, first)
            first += len(part)
            yield replace(page, position={"taken": start + len(part), "first": first})

    def typed(self, records: Sequence[Any], first: int = 1) -> Page:
        """Return JSON values as a page of typed records; what is no object or does not fit becomes a reject."""
        good = [(number, r) for number, r in enumerate(records, first) if isinstance(r, dict)]
        bad = [
            Reject(_place(number), _shown(r), msg("This is not a JSON object with fields."))
            for number, r in enumerate(records, first)
            if not isinstance(r, dict)
        ]
        places = Places(lambda row: _place(good[row][0]), lambda row: _shown(good[row][1]))
        raw = columns_of([r for _, r in good], self.schema.names, self._as_json)
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects), first)

    def _changed(self, cursor: Cursor) -> Iterator[Page]:
        """Yield the records from the cursor's value on, sorted; what the service sends is held in memory for that.

        Services promise no order, so a position is the value and the tie of the last record given.
        """
        self._check_cursor(cursor)
        since = _value(cursor.since, self.schema[cursor.field])
        pages = list(self._all(self._query(since), None))
        rejects = tuple(reject for page in pages for reject in page.rejects)
        records = pl.concat([page.records for page in pages]).sort(cursor.field, cursor.tie, nulls_last=False)
        if since is not None:
            records = records.filter(pl.col(cursor.field).is_null() | (pl.col(cursor.field) >= since))
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

    def _query(self, since: Any) -> dict[str, str]:
        asked = self.described.since
        if asked is None or since is None:
            return {}
        if asked.seconds and isinstance(since, dt.datetime):
            moment = since if since.tzinfo else since.replace(tzinfo=dt.UTC)
            return {asked.parameter: str(int(moment.timestamp()))}
        return {asked.parameter: PLAIN.text(since) or ""}

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


def _place(number: int) -> str:
    return f"record {number}"


def _shown(record: Any) -> str:
    return short(encode(record).decode(), 300)
