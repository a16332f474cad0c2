"""The connector `rest`: web services that speak JSON or XML over HTTP, described object by object (`rest_objects`)."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import httpx
import polars as pl

from connectors.builtin.delta_links import listened
from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_columns import flattened
from connectors.builtin.rest_delta import DeltaLog
from connectors.builtin.rest_listing import values_of_raws
from connectors.builtin.rest_lookup import FEW, Items
from connectors.builtin.rest_lost import Memory
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_options import RestOptions
from connectors.builtin.rest_paging import Asked, Batch
from connectors.builtin.rest_parents import batches
from connectors.builtin.rest_read import Reading
from connectors.builtin.rest_settings import SPEC
from connectors.builtin.rest_write import Writing
from connectors.builtin.web_service import server_of
from connectors.casting import SHOWN, short
from connectors.errors import ObjectMissing
from connectors.json_records import sample_of
from connectors.sampling import schema_of
from connectors.spi import Capture, Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from connectors.told_changes import ToldLog, captured
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_SAMPLED = 1_000


class Rest(Connector):
    """One web service."""

    spec = SPEC

    @cached_property
    def options(self) -> RestOptions:
        """Return the parsed settings; raises `Misconfigured`."""
        return RestOptions.of(self.settings)

    @cached_property
    def calls(self) -> Calls:
        """Return what makes the calls."""
        return Calls(self.options, self.context)

    @cached_property
    def memory(self) -> Memory:
        """Return what is remembered of writes."""
        return Memory()

    @cached_property
    def items(self) -> Items:
        """Return what looks up single records."""
        return Items(self.calls, self.memory)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._found),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects."""
        self._found()
        found = self.options.objects.values()
        return sorted(
            (ObjectInfo(o.name, "resource", o.label, writable=o.writable) for o in found), key=lambda info: info.name
        )

    def schema(self, name: str) -> Schema:
        """Return the given fields of an object, or those that a sample of its records shows."""
        described = self._object(name)
        given = described.schema()
        if given is not None:
            return given
        records: list[dict[str, Any]] = []
        complete = False
        for batch in islice(batches(self.calls, described, Asked()), 100):
            records += _objects(batch)
            complete = batch.next is None
            if len(records) >= _SAMPLED:
                break
        return schema_of(sample_of(records, complete=complete), (described.key,) if described.key else ())

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of an object page by page: all, or what was changed, or what the service tells of."""
        capture = request.capture
        if capture is None:
            return self._pages(request)
        return captured(self, self.change_log(request.object, capture), request, capture, self._pages)

    def change_log(self, name: str, capture: Capture) -> ToldLog:
        """Return what the service tells of the changes of an object."""
        return DeltaLog(self.calls, self._object(name), capture)

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the objects were changed: the service is asked from time to time."""
        return listened({name: self.change_log(name, Capture("", "")) for name in names}, pause)

    def _pages(self, request: ReadRequest) -> Iterator[Page]:
        return Reading(self.calls, self._object(request.object), request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values: one call each if they are few, else from the list."""
        described = self._object(name)
        wanted = values.drop_nulls().unique(maintain_order=True)
        if not len(wanted):
            return schema.empty()
        found_alone = described.item or (described.find is not None and described.find.field == described.key)
        if not found_alone or key != described.key or len(wanted) > FEW:
            return super().lookup(name, schema, key, values)
        found = self.items.found(described, schema, key, wanted)
        return super().lookup(name, schema, key, values) if found is None else found

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write records side by side; those that the service refuses are returned."""
        return Writing(self.calls, self._object(name), schema, self.memory, fence).write(changes)

    def applied(self, fence: Fence) -> bool | None:
        """Return None: a service cannot tell. Who asks may write the chunk once more, which is remembered."""
        self.memory.asked_about(fence)
        return None

    def remembers(self, fence: Fence) -> Collection[Any] | None:
        """Return the keys of the records that it has created of a chunk."""
        return self.memory.created(fence)

    def close(self) -> None:
        """Close the connections to the service."""
        if "calls" in self.__dict__:
            self.calls.close()

    def _object(self, name: str) -> RestObject:
        if name not in self.options.objects:
            raise ObjectMissing(
                msg("The connection describes no object '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings."),
                object_name=name,
            )
        return self.options.objects[name]

    def _described(self) -> Message:
        count = len(self.options.objects)
        doubtful = [o.name for o in self.options.objects.values() if o.create and not o.find]
        if self.options.idempotency_header or not doubtful:
            return msg("Objects described: {count}.", count=count)
        return msg(
            "Objects described: {count}. New records of {names} are created at least once: twice if an answer gets "
            "lost. A header against double writing, or the member 'find' of the object, prevents it.",
            count=count, names=short(", ".join(doubtful), 2 * SHOWN),
        )  # fmt: skip

    def _found(self) -> Message:
        return server_of(httpx.URL(self.options.base_url), self.context)

    def _listed(self) -> Message:
        first = next(iter(self.options.objects.values()), None)
        if first is None:
            return msg("No object is described yet, so nothing was read.")
        batch = next(batches(self.calls, first, Asked()))
        fields = sample_of(_objects(batch), complete=False).columns.columns
        return msg(
            "'{name}' answers; the first page has {count} records with the fields: {fields}.",
            name=first.name, count=len(batch.records), fields=short(", ".join(fields), 2 * SHOWN) or "-",
        )  # fmt: skip


def _objects(batch: Batch) -> list[dict[str, Any]]:
    """Return the records of an answer that are objects, with plain values in place of typed objects."""
    return [flattened(record, {}) for record in values_of_raws(batch.records) if isinstance(record, dict)]
