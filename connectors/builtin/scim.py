"""The connector `scim`: services whose users and groups are provisioned by SCIM 2.0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import httpx
import polars as pl

from connectors.builtin.scim_options import SPEC
from connectors.builtin.scim_read import Reading, Rows
from connectors.builtin.scim_service import Service
from connectors.builtin.scim_write import Writing
from connectors.builtin.web_service import server_of
from connectors.casting import SHOWN, short
from connectors.errors import RecordRejected
from connectors.spi import Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_FEW = 50
"""So many records are looked up one by one; for more the whole list is read."""


class Scim(Connector):
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
        """Return the described objects, or all kinds of resources."""
        self._listed()
        found = self.service.kinds.values()
        return sorted((ObjectInfo(k.name, "resources", k.label) for k in found), key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the attributes of an object's resources, those of parts and extensions as fields of their own."""
        return self.service.kind(name).schema

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the resources of an object page by page."""
        return Reading(self.service, request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the resources whose key is among the values: one call each if they are few, else from the list."""
        kind = self.service.kind(name)
        wanted = values.drop_nulls().unique(maintain_order=True)
        if len(wanted) > _FEW:
            return super().lookup(name, schema, key, values)
        rows, attribute = Rows(kind, schema), kind.attributes[key]
        page = rows.page([found for value in wanted for found in self.service.meeting(kind, attribute, value)])
        if page.rejects:
            first = page.rejects[0]
            raise RecordRejected(first.message, field=first.field, object_name=name)
        return page.records

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
        names = short(", ".join(self.service.kinds), 2 * SHOWN)
        return msg("Resources of the service: {names}.", names=names or "-")

    def _listed(self) -> Message:
        first = next(iter(self.service.kinds.values()))
        _, _, total = next(self.service.pages(first))
        return msg("'{name}' answers; it has {count} records.", name=first.name, count=total)
