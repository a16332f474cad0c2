"""The connector `salesforce`: REST for a few records, jobs of the Bulk API for many, change events for what changed."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import Any
from urllib.parse import quote

import msgspec
import polars as pl

from connectors.builtin.rest import Rest
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_options import RestOptions
from connectors.builtin.rest_read import Reading
from connectors.builtin.rest_write import Writing
from connectors.builtin.salesforce_begun import Begun
from connectors.builtin.salesforce_changes import EventLog, listened
from connectors.builtin.salesforce_jobs import Jobs
from connectors.builtin.salesforce_read import SalesforceReading
from connectors.builtin.salesforce_settings import SPEC, SalesforceOptions, entity_of, quoted
from connectors.builtin.salesforce_stream import Stream
from connectors.builtin.salesforce_write import Bulk
from connectors.errors import RecordRejected
from connectors.lookups import whole
from connectors.spi import Capture, Failure, Fence, Page, ReadRequest, WriteResult
from connectors.value_text import PLAIN
from rules.schema import Change, FieldType, Op, Schema

_TOGETHER = 200
"""So many records are looked up by one query."""
_LONGEST = 8_000
"""Bytes of a query as it stands in an address; servers take addresses of 8 KB, and Salesforce 16 KB."""


class Salesforce(Rest):
    """One organisation of Salesforce."""

    spec = SPEC

    @cached_property
    def own(self) -> SalesforceOptions:
        """Return what is special to Salesforce among the settings; raises `Misconfigured`."""
        return SalesforceOptions.of(self.settings)

    @cached_property
    def options(self) -> RestOptions:
        """Return the parsed settings; raises `Misconfigured`, also for those that only Salesforce has."""
        SalesforceOptions.of(self.settings)
        return RestOptions.of(self.settings)

    @cached_property
    def begun(self) -> Begun:
        """Return what is remembered of jobs that write."""
        return Begun()

    def change_log(self, name: str, capture: Capture) -> EventLog:
        """Return the change events of an object."""
        described = self._object(name)
        return EventLog(_entity(described), capture, described.key, self._stream)

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the objects have new change events."""
        del pause  # a poll takes the time that Salesforce is made for
        return listened({name: _entity(self._object(name)) for name in names}, self._stream)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values, many by a query."""
        described = self._object(name)
        self._settle(described)
        question = entity_of(described)
        wanted = values.drop_nulls().unique(maintain_order=True)
        if question is None or key not in schema:
            return super().lookup(name, schema, key, values)
        fields = ",".join(described.paths.get(n, n) for n in dict.fromkeys((*schema.names, key)))
        pages: list[Page] = []
        literals = (_literal(value, schema[key].type) for value in wanted.to_list())
        for among in _slices(literals, _LONGEST - _length(question.of(fields))):
            soql = question.only(f"{described.paths.get(key, key)} IN ({','.join(among)})").of(fields)
            some = msgspec.structs.replace(described, query={**described.query, "q": soql})
            pages += Reading(self.calls, some, ReadRequest(name, schema)).pages()
        found = pl.concat([schema.empty(), *(page.records for page in pages)])
        # Salesforce compares texts without their case
        found = found.filter(found[key].cast(wanted.dtype).is_in(wanted.implode()))
        bad = next((RecordRejected(r.message, field=r.field, object_name=name) for p in pages for r in p.rejects), None)
        alone = schema.select((key,))
        return whole(found, alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write records: a change with many of them by a job, others side by side."""
        described, least = self._object(name), self.own.bulk_from
        jobs = Jobs(self.calls, name, "ingest", self.own.bulk_minutes)
        bulk = Bulk(jobs, _entity(described), described, schema, self.own.external_ids.get(name, ""), self.begun)
        single = Writing(self.calls, described, schema, self.memory, fence)
        large = [bool(least) and c.records.height >= least and bulk.fits(c) for c in changes]
        failures, keys = list[Failure](), list[pl.Series | None]()
        ways = self.begun.begin(fence, large)
        self.begun.creating = any(way and change.op is Op.CREATE for way, change in zip(ways, changes, strict=True))
        for many, part in groupby(zip(ways, changes, strict=True), lambda both: both[0]):
            some = [change for _, change in part]
            result = bulk.write(some, len(keys)) if many else single.write(some)
            failures += [replace(failure, change=failure.change + len(keys)) for failure in result.failures]
            keys += result.keys
        return WriteResult(tuple(failures), tuple(keys))

    def applied(self, fence: Fence) -> bool | None:
        """Return None: Salesforce cannot tell. Jobs of a worker before may be under way, which look-ups wait for."""
        self.begun.asked_about(fence)
        return super().applied(fence)

    def remembers(self, fence: Fence) -> Collection[Any] | None:
        """Return the keys of the new records that it knows by itself; None: those of jobs, which it waits for."""
        return None if self.begun.knows(fence) else super().remembers(fence)

    def _settle(self, described: RestObject) -> None:
        """Wait for the jobs that a worker before may have begun: what they create is seen only then."""
        if self.begun.inherited and self.own.bulk_from:
            jobs = Jobs(self.calls, described.name, "ingest", self.own.bulk_minutes)
            for job in jobs.under_way(_entity(described)):
                jobs.ended(job, doubles=True)

    def _pages(self, request: ReadRequest) -> Iterator[Page]:
        return SalesforceReading(self.calls, self._object(request.object), request, self.own).pages()

    def _stream(self) -> Stream:
        return Stream(self.calls, self.own, self.context)


def _entity(described: RestObject) -> str:
    question = entity_of(described)
    return described.name if question is None else question.entity


def _length(text: str) -> int:
    return len(quote(text, safe=""))


def _slices(literals: Iterable[str], room: int) -> Iterator[list[str]]:
    """Yield literals in lists that are neither too many nor too long for one query."""
    some, used = list[str](), 0
    for literal in literals:
        length = _length(f"{literal},")
        if some and (len(some) == _TOGETHER or used + length > room):
            yield some
            some, used = [], 0
        some.append(literal)
        used += length
    if some:
        yield some


def _literal(value: Any, kind: FieldType) -> str:
    text = PLAIN.text(value) or ""
    return quoted(text) if kind is FieldType.TEXT else text
