"""The connector `odata`: services that speak OData 2 or 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import httpx
import polars as pl

from connectors.builtin.odata_delta import ODataLog, tracked
from connectors.builtin.odata_model import ENTITY_KEY
from connectors.builtin.odata_options import SPEC
from connectors.builtin.odata_read import Reading, Rows, Walk
from connectors.builtin.odata_service import Service, Subject
from connectors.builtin.odata_write import Writing
from connectors.builtin.web_service import server_of
from connectors.casting import SHOWN, short
from connectors.changes import ChangeLog
from connectors.errors import RecordRejected
from connectors.spi import Capture, Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from connectors.told_changes import Told
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_CHUNK = 20
_LONGEST = 1500


class OData(Connector):
    """One service."""

    spec = SPEC

    @cached_property
    def service(self) -> Service:
        """Return the service that the settings name."""
        return Service(self.settings, self.context)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._found),
                (N_("Read what the service offers"), self._offered),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects, or all entity sets."""
        found = self.service.subjects.values()
        infos = (
            ObjectInfo(s.name, "entities", s.described.label or s.set.label, writable=s.set.writable) for s in found
        )
        return sorted(infos, key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the properties of an object's entities."""
        subject = self.service.subject(name)
        labels, schema = subject.described.labels, subject.set.schema
        named = (replace(field, label=labels.get(field.name, field.label)) for field in schema.fields)
        return replace(schema, fields=tuple(named)) if labels else schema

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the entities of an object page by page: all, or what was changed, or what the service tells of."""
        capture = request.capture
        if capture is None:
            return Reading(self.service, request).pages()
        log = ODataLog(self.service, request.object, capture)
        if capture.since is None or "state" in (request.after or {}):
            return tracked(log, request)
        return Told(self, log.tellings).pages(request, capture, dict(capture.since))

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return what the service tells of the changes of an object."""
        return ODataLog(self.service, name, capture)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the entities whose key is among the values, some in a call."""
        subject = self.service.subject(name)
        rows = Rows(subject, schema)
        wanted = values.drop_nulls().unique(maintain_order=True)
        entities = [e for test in _tests(subject, key, wanted) for e in self._meeting(subject, rows, test)]
        page = rows.page(entities)
        found = page.records.filter(pl.col(key).is_in(wanted.cast(schema[key].dtype).implode()))
        missing = wanted.filter(~wanted.is_in(found[key].cast(wanted.dtype).implode()))
        if page.rejects and not missing.is_empty():
            first = page.rejects[0]
            raise RecordRejected(first.message, field=first.field, object_name=name)
        return found

    def _meeting(self, subject: Subject, rows: Rows, test: str) -> Iterator[Any]:
        for batch in Walk(self.service, subject, rows.names, test).batches():
            yield from batch.entities

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write; the records that the service refuses are returned."""
        del fence  # a service has no place for it
        return WriteResult(*Writing(self.service, name, schema).write(changes))

    def close(self) -> None:
        """Close the connections to the service."""
        if "service" in self.__dict__:
            self.service.close()

    def _described(self) -> Message:
        count = len(self.service.options.objects)
        return msg("Objects described: {count}.", count=count)

    def _found(self) -> Message:
        return server_of(httpx.URL(self.service.calls.options.base_url), self.context)

    def _offered(self) -> Message:
        version, count = "2" if self.service.model.old else "4", len(self.service.model.sets)
        names = short(", ".join(self.service.subjects), 2 * SHOWN)
        return msg(
            "OData {version} with {count} entity sets: {names}.", version=version, count=count, names=names or "-"
        )

    def _listed(self) -> Message:
        first = next(iter(self.service.subjects.values()), None)
        if first is None:
            return msg("No object is there, so nothing was read.")
        batch = next(Walk(self.service, first, first.set.key).batches())
        return msg("'{name}' answers; the first page has {count} records.", name=first.name, count=len(batch.entities))


def _tests(subject: Subject, key: str, values: pl.Series) -> Iterator[str]:
    """Yield filters for some of the values each, short enough for an address."""
    parts: list[str] = []
    for value in values:
        if key == ENTITY_KEY and len(subject.set.key) > 1:
            part = f"({_conjunction(value)})"
        else:
            part = f"{key} eq {subject.set.properties[key].kind.literal(value)}"
        if parts and (len(parts) == _CHUNK or sum(map(len, parts)) + len(part) > _LONGEST):
            yield " or ".join(parts)
            parts = []
        parts.append(part)
    if parts:
        yield " or ".join(parts)


def _conjunction(key: str) -> str:
    """Return a key such as `a='x',b=1` as a filter."""
    made, quoted, start = [], False, 0
    for place, letter in enumerate(key + ","):
        quoted ^= letter == "'"
        if letter == "," and not quoted:
            name, _, literal = key[start:place].partition("=")
            made.append(f"{name} eq {literal}")
            start = place + 1
    return " and ".join(made)
