"""Reading the lists of a SOAP service as pages of typed records, all of them or what changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.builtin.soap_calls import Calls
from connectors.builtin.soap_paging import Walk
from connectors.builtin.soap_shape import Shape
from connectors.casting import Places, short, typed
from connectors.json_records import encode
from connectors.sorted_changes import Sought, since_of, sorted_changes
from connectors.spi import Page, Position, ReadRequest
from connectors.value_text import PLAIN
from rules.schema import Schema


class Reading:
    """One scan of an object."""

    def __init__(self, calls: Calls, shape: Shape, request: ReadRequest) -> None:
        self.calls = calls
        self.shape = shape
        self.request = request
        self.schema = request.schema
        self.columns = shape.columns(request.schema)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        cursor = self.request.cursor
        if cursor is None:
            return self._all({}, self.request.after)
        asked = self._asked(since_of(self.request, cursor))
        sought = Sought("&".join(f"{name}={value}" for name, value in asked.items()))
        return sorted_changes(self._all(asked, None), self.request, cursor, sought)

    def typed(self, rows: pl.DataFrame, first: int = 1) -> Page:
        """Return rows as a page of typed records; what does not fit becomes a reject."""
        raw = self.shape.texts(rows, self.schema, self.calls.options.zone)
        places = Places(lambda row: f"record {first + row}", lambda row: _shown(rows.row(row), self.schema))
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, tuple(rejects), first)

    def _all(self, asked: Mapping[str, Any], behind: Position | None) -> Iterator[Page]:
        """Yield the list in the service's own order; a position is an answer's state and the records taken from it."""
        after = dict(behind or {})
        skip, first = int(after.get("skip", 0)), int(after.get("first", 1))
        empty = True
        if not after.get("done"):
            for batch in Walk(self.calls, self.shape.described, self.columns, asked).batches(after.get("state")):
                for start in range(skip, len(batch.rows), self.request.page_size):
                    part = pl.DataFrame(batch.rows[start : start + self.request.page_size])
                    taken, first = start + len(part), first + len(part)
                    whole = taken >= len(batch.rows)
                    position = {"state": batch.next if whole else batch.state, "skip": 0 if whole else taken,
                                "first": first, "done": whole and batch.next is None}  # fmt: skip
                    yield replace(self.typed(part, first - len(part)), position=position)
                    empty = False
                skip = 0
        if empty:
            yield Page(self.schema.empty(), {**after, "done": True, "first": first})

    def _asked(self, since: Any) -> dict[str, Any]:
        """Return the parameters that ask for what changed since a value."""
        asked = self.shape.described.read.since
        if asked is None or since is None:
            return {}
        return {asked.parameter: asked.text.replace("{since}", _written(since, asked.format, self.calls.options.zone))}


def _written(since: Any, form: str, zone: str) -> str:
    """Return a cursor's value as a service wants it."""
    if isinstance(since, dt.datetime) and form != "moment":
        moment = since if since.tzinfo else since.replace(tzinfo=dt.UTC)
        if form == "seconds":
            return str(int(moment.timestamp()))
        local = moment.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None)
        since = local.date() if form == "date" else local
    return PLAIN.text(since) or ""


def _shown(row: tuple[Any, ...], schema: Schema) -> str:
    found = {name: value for name, value in zip(schema.names, row, strict=True) if value is not None}
    return short(encode(found).decode(), 300)
