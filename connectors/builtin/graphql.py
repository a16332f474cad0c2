"""The connector `graphql`: services that answer queries at one address, described object by object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import graphql
import httpx
import msgspec
import polars as pl

from connectors.builtin.graphql_calls import GraphCalls, filled
from connectors.builtin.graphql_lists import GraphLists, GraphReading
from connectors.builtin.graphql_objects import GraphCall, GraphObject, graph_objects_of
from connectors.builtin.graphql_schema import checked, fields_of_query, parsed, schema_of_answer
from connectors.builtin.graphql_write import GraphWriting
from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_options import RestOptions
from connectors.builtin.rest_paging import Asked
from connectors.builtin.rest_settings import SPEC as REST
from connectors.builtin.web_service import sampled, server_of
from connectors.errors import ConnectorError, ObjectMissing, RecordRejected, Retriable
from connectors.json_records import encode, json_values, member
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    Fence,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    SettingKind,
    Step,
    WriteResult,
)
from connectors.steps import stepwise
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_FEW = 50
"""So many records are looked up one by one; for more the whole list is read."""

_UNCLEAR: Any = object()

_OWN = ("base_url", "objects", "errors", "concurrency", "idempotency_header")
_SHARED = tuple(setting for setting in REST.settings if setting.name not in _OWN)


class GraphQL(Connector):
    """One GraphQL service."""

    spec = ConnectorSpec(
        name="graphql",
        label=N_("GraphQL"),
        category=N_("Web services"),
        summary=N_("Reads with queries and writes with mutations of a GraphQL service."),
        capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True),
        settings=(
            Setting("base_url", N_("Address"), SettingKind.URL, required=True,
                    placeholder="https://api.example.com/graphql",
                    help=N_("The one address that all queries go to.")),
            Setting("objects", N_("Objects"), SettingKind.JSON, required=True,
                    placeholder='[{"name": "customers", "query": "{ customers { id name } }", "records": "customers"}]',
                    help=N_("A list that describes each object: its query, where the records are, and how to write.")),
            *_SHARED,
        ),
    )  # fmt: skip

    @cached_property
    def described(self) -> dict[str, GraphObject]:
        """Return the objects by name; raises `Misconfigured`, also for a query that is none."""
        found = graph_objects_of(self.settings.get("objects") or [])
        for one in found.values():
            for place, query in one.queries:
                parsed(query, f"{one.name}.{place}")
        return found

    @cached_property
    def graph(self) -> GraphCalls:
        """Return what asks the service."""
        return GraphCalls(Calls(RestOptions.of({**self.settings, "objects": []}), self.context))

    @cached_property
    def service_schema(self) -> graphql.GraphQLSchema | None:
        """Return the schema that the service tells of itself, None if it does not; raises what a call raises."""
        try:
            answer = self.graph.ask(graphql.get_introspection_query(descriptions=False), {}, "schema")
        except Retriable:
            raise
        except ConnectorError:
            return None  # many services keep their schema to themselves
        return schema_of_answer(answer.data) if isinstance(answer.data, dict) and not answer.errors else None

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._settings_read),
                (N_("Find the server"), self._found),
                (N_("Compare the queries with the schema"), self._compared),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects."""
        self._found()
        found = self.described.values()
        return sorted((ObjectInfo(o.name, "query", o.label, writable=o.writable) for o in found), key=lambda i: i.name)

    def schema(self, name: str) -> Schema:
        """Return the given fields, or those that the service's schema tells of the query, or those of a sample."""
        described = self._object(name)
        given = described.schema()
        if given is None and self.service_schema is not None:
            given = fields_of_query(self.service_schema, described.query, described.records, described.key)
        if given is not None:
            return given
        return sampled(GraphLists(self.graph, described).batches(Asked(), None), described.key)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of an object page by page."""
        return GraphReading(self.graph, self._object(request.object), request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values: one query each if they are few, else from the list."""
        described = self._object(name)
        wanted = values.drop_nulls().unique(maintain_order=True)
        if not len(wanted):
            return schema.empty()
        if described.item is None or key != described.key or len(wanted) > _FEW:
            return super().lookup(name, schema, key, values)
        plain = [json_values({key: value}, schema)[key] for value in wanted]
        found = [self._item(described.item, value, name) for value in plain]
        if _UNCLEAR in found:  # the error may mean anything: the list knows
            return super().lookup(name, schema, key, values)
        page = Columns(schema).page([msgspec.Raw(encode(one)) for one in found if one is not None])
        if page.rejects:
            raise RecordRejected(page.rejects[0].message, field=page.rejects[0].field, object_name=name)
        if not page.records[key].is_in(wanted.cast(page.records[key].dtype).implode()).fill_null(value=False).all():
            raise RecordRejected(msg("The service answers with another record than the one asked for."), field=key)
        return page.records

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:  # noqa: ARG002 - a service keeps no fences
        """Write one record after the other; those that the service refuses are returned."""
        writing = GraphWriting(self.graph, self._object(name), schema)
        done = [writing.change(number, change) for number, change in enumerate(changes)]
        return WriteResult(tuple(f for failures, _ in done for f in failures), tuple(keys for _, keys in done))

    def close(self) -> None:
        """Close the connections to the service."""
        if "graph" in self.__dict__:
            self.graph.calls.close()

    def _object(self, name: str) -> GraphObject:
        if name not in self.described:
            raise ObjectMissing(
                msg("The connection describes no object '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings."),
                object_name=name,
            )
        return self.described[name]

    def _item(self, call: GraphCall, key: Any, name: str) -> Any:
        """Return one record, None where the service has none, `_UNCLEAR` where it answers with an error."""
        answer = self.graph.ask(call.query, filled(call.variables, {"key": key}), name)
        if answer.errors:
            return _UNCLEAR
        try:
            found = member(answer.data or {}, call.record)
        except KeyError:
            found = None
        return found if isinstance(found, dict) else None

    def _settings_read(self) -> Message:
        return msg("Objects described: {count}.", count=len(self.described))

    def _found(self) -> Message:
        return server_of(httpx.URL(self.graph.url), self.context)

    def _compared(self) -> Message:
        schema = self.service_schema
        if schema is None:
            return msg("The service does not tell its schema, so the fields come from a sample of the records.")
        for one in self.described.values():
            for place, query in one.queries:
                checked(schema, query, f"{one.name}.{place}")
        return msg("All queries fit the schema of the service.")

    def _listed(self) -> Message:
        first = next(iter(self.described.values()), None)
        if first is None:
            return msg("No object is described yet, so nothing was read.")
        batch = next(GraphLists(self.graph, first).batches(Asked(), None))
        return msg("'{name}' answers; the first page has {count} records.", name=first.name, count=len(batch.records))
