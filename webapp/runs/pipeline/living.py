"""A system as a rule sees it whose records, or whose list of changes, say that some of them are gone.

Records that are marked as deleted are not there: neither reads nor look-ups show them, so that everything else sees a
record that is marked as it sees one that is gone. Pages name them apart (`Page.deleted`), as those of a connector do
that tells of deletions itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.changes import ChangeLog
from connectors.spi import Capture, Connector, Fence, ObjectInfo, Page, Position, ReadRequest, Step, WriteResult
from rules.predicate import Predicate
from rules.schema import Change, Schema
from webapp.runs.pipeline.part import Part


@dataclass(frozen=True)
class Marked:
    """What tells that a record of an object is deleted, and the fields that this takes."""

    part: Part
    fields: frozenset[str]

    def wider(self, schema: Schema) -> Schema:
        """Return the schema with the fields that tell whether a record is deleted."""
        more = [name for name in self.part.schema.names if name in self.fields and name not in schema]
        return Schema((*schema.fields, *(self.part.schema[name] for name in more)), schema.key)

    def split(self, records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the records that are there, and those that are deleted.

        One of which it cannot be said is there.
        """
        dead, _ = self.part.mask(records)
        return records.filter(~dead), records.filter(dead)


class Living(Connector):
    """A system without its deleted records; everything else is done by the system itself."""

    def __init__(self, system: Connector, marks: Mapping[str, Marked], *, only_deleted: bool = False) -> None:
        self.system, self.marks, self.only_deleted = system, marks, only_deleted
        self.spec = system.spec  # type: ignore[misc] # its own
        self.settings, self.context = system.settings, system.context

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["system"], name)

    def deleted(self) -> Living:
        """Return the same system for reading what is deleted only: it need not send the other records."""
        return Living(self.system, self.marks, only_deleted=True)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield pages whose deleted records are named apart; they count as left out."""
        mark = self.marks.get(request.object)
        if mark is None:
            yield from self.system.read(request)
            return
        asked = replace(request, schema=mark.wider(request.schema))
        if self.only_deleted and request.cursor is None and request.capture is None:
            asked = mark.part.request(self.system, asked)
        for page in self.system.read(asked):
            there, dead = mark.split(page.records)
            left = page.left_out + dead.height
            dead = dead if page.deleted is None else pl.concat([dead.select(page.deleted.columns), page.deleted])
            yield replace(
                page,
                records=there.select(request.schema.names),
                deleted=dead.select(request.schema.names),
                left_out=left,
            )

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records that are there."""
        mark = self.marks.get(name)
        if mark is None:
            return self.system.lookup(name, schema, key, values)
        return mark.split(self.system.lookup(name, mark.wider(schema), key, values))[0].select(schema.names)

    def left_out(self, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records that the request's filter leaves out and that are there."""
        mark = self.marks.get(request.object)
        if mark is None:
            return self.system.left_out(request, key, values)
        found = self.system.left_out(replace(request, schema=mark.wider(request.schema)), key, values)
        return mark.split(found)[0].select(request.schema.names)

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return an object's log of changes."""
        return self.system.change_log(name, capture)

    def acknowledge(self, name: str, position: Position) -> None:
        """Let the system give up messages."""
        self.system.acknowledge(name, position)

    def check(self) -> Iterator[Step]:
        """Test the connection."""
        return self.system.check()

    def objects(self) -> list[ObjectInfo]:
        """Return the system's objects."""
        return self.system.objects()

    def schema(self, name: str) -> Schema:
        """Return the fields of an object."""
        return self.system.schema(name)

    def filterable(self, request: ReadRequest) -> Predicate | None:
        """Return what of a filter the system does itself."""
        return self.system.filterable(request)

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write to the system."""
        return self.system.write(name, schema, changes, fence)

    def applied(self, fence: Fence) -> bool | None:
        """Ask the system whether a write is durable."""
        return self.system.applied(fence)

    def arrived(self, fence: Fence) -> bool | None:
        """Ask the system whether a write is durable, for who takes over."""
        return self.system.arrived(fence)

    def remembers(self, fence: Fence) -> Collection[Any] | None:
        """Ask the system which new records of a chunk it knows by itself."""
        return self.system.remembers(fence)

    def finish(self, name: str) -> None:
        """Let the system put in place what was written."""
        self.system.finish(name)

    def close(self) -> None:
        """Close the system."""
        self.system.close()
