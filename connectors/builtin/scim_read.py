"""Reading resources of a SCIM server as pages of typed records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.builtin.scim_model import MODIFIED, Kind
from connectors.builtin.scim_service import Service, literal
from connectors.casting import Places, short, typed
from connectors.errors import Fatal, ObjectMissing
from connectors.json_records import encode
from connectors.sorted_changes import since_of, sorted_changes
from connectors.spi import Cursor, Page, ReadRequest, Reject
from rules.schema import Schema
from rules.text import msg


class Rows:
    """Makes records of resources."""

    def __init__(self, kind: Kind, schema: Schema) -> None:
        self.kind, self.schema = kind, schema
        missing = next((name for name in schema.names if name not in kind.attributes), None)
        if missing is not None:
            raise ObjectMissing(
                msg("The object '{name}' has no field '{field}'.", name=kind.name, field=missing),
                msg("Read the fields of the connection again."),
                object_name=kind.name,
            )

    def page(self, resources: Sequence[Any], first: int = 1) -> Page:
        """Return resources as a page of typed records; what does not fit becomes a reject."""
        good = [(number, r) for number, r in enumerate(resources, first) if isinstance(r, dict)]
        bad = [
            Reject(_place(number), _shown(r), msg("This is not a JSON object with fields."))
            for number, r in enumerate(resources, first) if not isinstance(r, dict)
        ]  # fmt: skip
        places = Places(lambda row: _place(good[row][0]), lambda row: _shown(good[row][1]))
        raw = pl.DataFrame([
            pl.Series(name, [self.kind.attributes[name].text(r) for _, r in good], pl.String)
            for name in self.schema.names
        ])  # fmt: skip
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects), first)


class Reading:
    """One scan of an object."""

    def __init__(self, service: Service, request: ReadRequest) -> None:
        self.service, self.request = service, request
        self.kind = service.kind(request.object)
        self.rows = Rows(self.kind, request.schema)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        cursor = self.request.cursor
        return self._all() if cursor is None else sorted_changes(self._changed(cursor), self.request, cursor)

    def _all(self) -> Iterator[Page]:
        after = {"start": 1, "skip": 0, "total": None, **(self.request.after or {})}
        if after.get("done"):
            yield Page(self.request.schema.empty(), after)
            return
        skip, size = int(after["skip"]), self.request.page_size
        for found, start, total in self.service.pages(self.kind, "", int(after["start"]), after["total"]):
            for place in range(skip, max(len(found), 1), size):
                part = found[place : place + size]
                whole = place + size >= len(found)
                position = {"start": start + len(found) if whole else start, "skip": 0 if whole else place + size,
                            "total": total, "done": whole and start + len(found) > total}  # fmt: skip
                yield replace(self.rows.page(part, start + place), position=position)
            skip = 0

    def _changed(self, cursor: Cursor) -> Iterator[Page]:
        """Yield the resources that a cursor may select; a service that refuses the filter sends all."""
        since = since_of(self.request, cursor)
        attribute = self.kind.attributes[cursor.field]
        wanted = ""
        if since is not None and ".".join(attribute.parts) == MODIFIED:
            wanted = f"{MODIFIED} ge {literal(since)}"
        try:
            first, *rest = self.service.pages(self.kind, wanted)
        except Fatal as error:
            if not wanted or type(error) is not Fatal:
                raise
            first, *rest = self.service.pages(self.kind)
        for found, start, _ in (first, *rest):
            yield self.rows.page(found, start)


def _place(number: int) -> str:
    return f"record {number}"


def _shown(resource: Any) -> str:
    return short(encode(resource).decode(), 300)
