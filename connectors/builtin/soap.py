"""The connector `soap`: SOAP services by their WSDL, described object by object (`soap_objects`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

import httpx
import polars as pl

from connectors.builtin.soap_answer import Untyped
from connectors.builtin.soap_calls import Calls
from connectors.builtin.soap_lookup import Lookup
from connectors.builtin.soap_objects import SoapObject
from connectors.builtin.soap_options import SPEC, SoapOptions
from connectors.builtin.soap_paging import Walk
from connectors.builtin.soap_propose import proposed
from connectors.builtin.soap_read import Reading
from connectors.builtin.soap_shape import Shape
from connectors.builtin.soap_write import Writing
from connectors.builtin.web_service import server_of
from connectors.casting import SHOWN, short
from connectors.errors import ObjectMissing, RecordRejected
from connectors.json_records import sample_of
from connectors.sampling import JSON_KIND, schema_of
from connectors.spi import Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_SAMPLED = 1_000
_FEW = 50
"""So many records are looked up one by one; for more the whole list is read."""


class Soap(Connector):
    """One SOAP service."""

    spec = SPEC

    @cached_property
    def options(self) -> SoapOptions:
        """Return the parsed settings; raises `Misconfigured`."""
        return SoapOptions.of(self.settings)

    @cached_property
    def calls(self) -> Calls:
        """Return what makes the calls."""
        return Calls(self.options, self.context)

    @cached_property
    def described(self) -> dict[str, SoapObject]:
        """Return the described objects, or those that the WSDL suggests."""
        return dict(self.options.objects) or proposed(self.calls.service)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._read_settings),
                (N_("Read the WSDL"), self._read_wsdl),
                (N_("Find the server"), self._found),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects; raises where the WSDL does not have what they need."""
        self._found()
        shapes = [self._shape(name) for name in sorted(self.described)]
        return [ObjectInfo(s.described.name, "resource", s.described.label, writable=bool(s.described.writes))
                for s in shapes]  # fmt: skip

    def schema(self, name: str) -> Schema:
        """Return the fields of an object by the WSDL's types, or by a sample where the WSDL allows anything."""
        shape = self._shape(name)
        if shape.typed:
            return shape.schema()
        records: list[dict[str, Any]] = []
        complete = False
        for batch in islice(Walk(self.calls, shape.described, Untyped(), {}).batches(), 100):
            records += [record for record in batch.rows if isinstance(record, dict)]
            complete = batch.next is None
            if len(records) >= _SAMPLED:
                break
        sample = sample_of(records, complete=complete)
        nested = {name: kinds for name, kinds in sample.kinds.items() if JSON_KIND in kinds}  # XML has no other kinds
        return schema_of(replace(sample, kinds=nested), (shape.described.key,) if shape.described.key else ())

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of an object page by page."""
        return Reading(self.calls, self._shape(request.object), request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values: one call each if they are few, else from the list."""
        shape = self._shape(name)
        get = shape.described.get
        wanted = values.drop_nulls().unique(maintain_order=True)
        if not len(wanted):
            return schema.empty()
        if get is None or key != shape.described.key or len(wanted) > _FEW:
            return super().lookup(name, schema, key, values)
        page = Lookup(self.calls, shape, schema).page(get, wanted.to_list())
        if page.rejects:
            raise RecordRejected(page.rejects[0].message, field=page.rejects[0].field, object_name=name)
        if not page.records[key].is_in(wanted.cast(page.records[key].dtype).implode()).fill_null(value=False).all():
            raise RecordRejected(msg("The service answers with another record than the one asked for."), field=key)
        return page.records

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write record by record or in batches; the records that the service refuses are returned."""
        del fence  # no SOAP service keeps what it was told of fences
        writing = Writing(self.calls, self._shape(name), schema)
        done = [writing.change(number, change) for number, change in enumerate(changes)]
        return WriteResult(tuple(f for failures, _ in done for f in failures), tuple(keys for _, keys in done))

    def close(self) -> None:
        """Log out and close the connections to the service."""
        if "calls" in self.__dict__:
            self.calls.close()

    def _shape(self, name: str) -> Shape:
        if name not in self.described:
            raise ObjectMissing(
                msg("The connection describes no object '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings."),
                object_name=name,
            )
        return Shape(self.calls.service, self.described[name])

    def _read_settings(self) -> Message:
        return msg("Objects described: {count}.", count=len(self.options.objects))

    def _read_wsdl(self) -> Message:
        service = self.calls.read_wsdl(fresh=True)
        shapes = [self._shape(name) for name in self.described]
        return msg(
            "The WSDL has {operations} operations; objects: {objects}. Ports: {ports}.",
            operations=len(service.operations), ports=", ".join(service.ports),
            objects=short(", ".join(shape.described.name for shape in shapes), 2 * SHOWN) or "-",
        )  # fmt: skip

    def _found(self) -> Message:
        return server_of(httpx.URL(self.calls.service.address), self.context)

    def _listed(self) -> Message:
        first = next(iter(self.described.values()), None)
        if first is None:
            return msg("No object is described yet, so nothing was read.")
        batch = next(Walk(self.calls, first, Untyped(), {}).batches())
        found = [record for record in batch.rows if isinstance(record, dict)]
        fields = sample_of(found, complete=False).columns.columns
        return msg(
            "'{name}' answers; the first page has {count} records with the fields: {fields}.",
            name=first.name, count=len(found), fields=short(", ".join(fields), 2 * SHOWN) or "-",
        )  # fmt: skip
