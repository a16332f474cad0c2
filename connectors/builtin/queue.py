"""Connections to message brokers: what all of them do with messages, whichever way these are carried.

An object is a queue, a stream or a topic. What is read stays there until it is acknowledged; a scan ends with the
messages that were there when it began. What is written are messages with the key of their record.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

import polars as pl

from connectors.builtin.queue_message import Broker, D, Scan
from connectors.builtin.queue_options import PayloadOptions, objects_of
from connectors.builtin.queue_read import MESSAGE_FIELDS, Reading
from connectors.builtin.queue_write import Writing
from connectors.errors import ConnectorError, Misconfigured, ObjectMissing
from connectors.sampling import schema_of
from connectors.spi import Connector, Fence, ObjectInfo, Page, Position, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from rules.schema import Change, Schema
from rules.text import N_, msg

SAMPLED = 100


@dataclass
class _Scanned:
    """A scan that goes on, and the position that it has reached, None within a batch."""

    scan: Scan
    position: Position | None
    consume: bool


class Queue(Connector, Generic[D]):
    """One message broker."""

    described: type[D]

    @abstractmethod
    def connected(self) -> Broker[D]:
        """Return the broker of this connection, which connects when it is first asked for something."""

    @cached_property
    def broker(self) -> Broker[D]:
        """Return the broker; raises `Misconfigured`."""
        return self.connected()

    @cached_property
    def options(self) -> PayloadOptions:
        """Return how messages are read and written."""
        return PayloadOptions.of(self.settings)

    @cached_property
    def named(self) -> dict[str, D]:
        """Return the objects that the settings describe; raises `Misconfigured`."""
        return objects_of(self.settings.get("objects"), self.described)

    @cached_property
    def _scans(self) -> dict[str, _Scanned]:
        return {}

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        try:
            steps = self.broker.steps()
        except ConnectorError as error:
            yield Step(N_("Read the settings"), ok=False, detail=error.advice)
            return
        yield from stepwise(steps)

    def objects(self) -> list[ObjectInfo]:
        """Return the objects with the messages that wait in them."""
        return sorted(self.broker.objects(), key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the given fields of an object, or those that its first messages show."""
        described = self._object(name)
        messages = self.broker.sample(described, SAMPLED)
        reading = self._reading(described, None)
        given = described.schema(self.options.key)
        if given is not None:
            return Schema((*given.fields, *self._own_fields(reading)), given.key)
        rows = [row for row in reading.rows(messages) if row.problem is None and not row.gone]
        sample = reading.payload.sample([reading.shown(row) for row in rows])
        found = schema_of(sample, (reading.key,) if reading.key else (), detect=self.options.detect)
        own = {field.name: field for field in self._own_fields(reading)}
        fields = [own.get(field.name, field) for field in found.fields]
        return Schema(tuple(fields), found.key)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the messages that are there, in their order; a scan goes on behind the last page it has given."""
        described = self._object(request.object)
        if request.cursor is not None:
            raise Misconfigured(
                msg("Messages are not found by a field: each is read until it is acknowledged."),
                msg("Let the rule read all there is."),
                object_name=request.object,
            )
        going = self._going(described, request)
        reading, empty = self._reading(described, request.schema), True
        at: Position = request.after or {}
        while True:
            try:
                batch = going.scan.take(request.page_size)
            except ConnectorError:
                self._leave(request.object)
                raise
            if batch is None:
                break
            places = at, {"mark": batch.mark}
            for page in reading.pages(batch.messages, request.schema, request.page_size, places):
                going.position = page.position if page.position is places[1] else None
                yield page
            at, empty = places[1], False
        if empty:
            yield Page(request.schema.empty(), at)

    def acknowledge(self, name: str, position: Position) -> None:
        """Give up the messages up to a position; without one, nothing was taken."""
        going, mark = self._scans.get(name), position.get("mark")
        if going is not None and going.consume and mark is not None:
            going.scan.acknowledge(mark)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:  # noqa: ARG002
        """Refuse: what a message said before it was acknowledged cannot be asked for again."""
        raise Misconfigured(
            msg("The messages of '{name}' cannot be looked up: they are only read in their order.", name=name),
            msg("Use a rule that flows from it or to it, without asking for single records."),
            object_name=name,
        )

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Send a message for each record; those that the broker does not take are returned."""
        described = self._object(name)
        writing = Writing(self.options, schema, fence)
        outgoing, failures = writing.messages(changes)
        refused = self.broker.send(described, outgoing)
        return writing.result(outgoing, [*failures], refused)

    def applied(self, fence: Fence) -> bool:  # noqa: ARG002 - a broker cannot be asked
        """Say no: what is sent again has the same ids, by which it is recognised."""
        return False

    def close(self) -> None:
        """Close the connection; what is not acknowledged stays where it is."""
        for name in list(self._scans):
            self._leave(name)
        if "broker" in self.__dict__:
            self.broker.close()

    def _object(self, name: str) -> D:
        if name in self.named:
            return self.named[name]
        if name not in {info.name for info in self.broker.objects()}:
            raise ObjectMissing(
                msg("There is no '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings, or choose another one."),
                object_name=name,
            )
        return self.described(name=name)

    def _reading(self, described: D, schema: Schema | None) -> Reading:
        key = described.key or self.options.key
        if not key and schema is not None and len(schema.key) == 1:
            key = schema.key[0]
        return Reading(self.options, key)

    def _own_fields(self, reading: Reading) -> list[Any]:
        if self.options.message_fields:
            return list(MESSAGE_FIELDS)
        return [field for field in MESSAGE_FIELDS if field.name == reading.key]

    def _going(self, described: D, request: ReadRequest) -> _Scanned:
        """Return the scan that has reached the request's position, else a new one."""
        going = self._scans.get(described.name)
        here = request.after is not None and going is not None and going.position == request.after
        if going is not None and here and going.consume == request.consume:
            return going
        self._leave(described.name)
        after: Position = request.after or {}
        scan = self.broker.scan(described, after.get("mark"), consume=request.consume)
        self._scans[described.name] = going = _Scanned(scan, after, request.consume)
        return going

    def _leave(self, name: str) -> None:
        going = self._scans.pop(name, None)
        if going is not None:
            going.scan.close()
