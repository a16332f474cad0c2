"""The connector `rest`: web services that speak JSON over HTTP, described object by object (`rest_objects`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl

from connectors.builtin.rest_calls import Calls, Request, json_of, refused
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_options import RestOptions
from connectors.builtin.rest_paging import Walk
from connectors.builtin.rest_read import Reading
from connectors.builtin.rest_settings import SPEC
from connectors.builtin.rest_write import Writing
from connectors.casting import SHOWN, short
from connectors.egress import check_host
from connectors.errors import ConnectorError, Misconfigured, ObjectMissing, RecordRejected
from connectors.http_client import shown
from connectors.json_records import member, sample_of
from connectors.sampling import schema_of
from connectors.spi import Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.value_text import PLAIN
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_SAMPLED = 1_000
_FEW = 50
"""So many records are looked up one by one; for more the whole list is read."""


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

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        for name, do in (
            (N_("Read the settings"), self._described),
            (N_("Find the server"), self._found),
            (N_("Read a list"), self._listed),
        ):
            try:
                detail = do()
            except ConnectorError as error:
                yield Step(name, ok=False, detail=error.advice)
                return
            yield Step(name, ok=True, detail=detail)

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
        for batch in islice(Walk(self.calls, described, {}).batches(), 100):
            records += [record for record in batch.records if isinstance(record, dict)]
            complete = batch.next is None
            if len(records) >= _SAMPLED:
                break
        return schema_of(sample_of(records, complete=complete), (described.key,) if described.key else ())

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of an object page by page."""
        return Reading(self.calls, self._object(request.object), request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values: one call each if they are few, else from the list."""
        described = self._object(name)
        wanted = values.drop_nulls().unique(maintain_order=True)
        if not len(wanted):
            return schema.empty()
        if not described.item or key != described.key or len(wanted) > _FEW:
            return super().lookup(name, schema, key, values)
        found = [record for value in wanted if (record := self._item(described, value)) is not None]
        page = Reading(self.calls, described, ReadRequest(name, schema)).typed(found)
        if page.rejects:
            raise RecordRejected(page.rejects[0].message, field=page.rejects[0].field, object_name=name)
        if not page.records[key].is_in(wanted.cast(page.records[key].dtype).implode()).fill_null(value=False).all():
            raise RecordRejected(msg("The service answers with another record than the one asked for."), field=key)
        return page.records

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write one record after the other; the records that the service refuses are returned."""
        writing = Writing(self.calls, self._object(name), schema, fence)
        done = [writing.change(number, change) for number, change in enumerate(changes)]
        return WriteResult(tuple(f for failures, _ in done for f in failures), tuple(keys for _, keys in done))

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

    def _item(self, described: RestObject, value: Any) -> dict[str, Any] | None:
        path = described.item.replace("{key}", quote(PLAIN.text(value) or "", safe=""))
        request = Request(path, object_name=described.name)
        response = self.calls.response(request)
        if response.status_code in (404, 410):
            return None
        if not response.is_success:
            raise refused(response, request)
        try:
            found = member(json_of(response, request), described.item_record)
        except KeyError:
            found = None
        if isinstance(found, dict):
            return found
        raise Misconfigured(
            msg("There is no record at '{path}' in the answer of {url}.",
                path=described.item_record or "-", url=shown(response.url)),
            msg("Correct the member 'item_record' of the object '{name}'.", name=described.name),
            object_name=described.name,
        )  # fmt: skip

    def _described(self) -> Message:
        count = len(self.options.objects)
        return msg("Objects described: {count}.", count=count)

    def _found(self) -> Message:
        url = httpx.URL(self.options.base_url)
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        address = check_host(url.host, port, self.context.egress_allow)
        return msg("{host} has the address {address}.", host=url.host, address=address)

    def _listed(self) -> Message:
        first = next(iter(self.options.objects.values()), None)
        if first is None:
            return msg("No object is described yet, so nothing was read.")
        batch = next(Walk(self.calls, first, {}).batches())
        fields = sample_of([r for r in batch.records if isinstance(r, dict)], complete=False).columns.columns
        return msg(
            "'{name}' answers; the first page has {count} records with the fields: {fields}.",
            name=first.name, count=len(batch.records), fields=short(", ".join(fields), 2 * SHOWN) or "-",
        )  # fmt: skip
