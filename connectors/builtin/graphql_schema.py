"""The fields of an object by the schema of a GraphQL service, and the mistakes of its queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import graphql
from graphql.language import DocumentNode, FieldNode, FragmentSpreadNode, OperationDefinitionNode, SelectionSetNode

from connectors.errors import Misconfigured
from rules.schema import Field, FieldType, Schema
from rules.text import msg

_TYPES = {
    "Int": FieldType.INTEGER, "Float": FieldType.FLOAT, "Boolean": FieldType.BOOLEAN, "Long": FieldType.INTEGER,
    "BigInt": FieldType.INTEGER, "Int64": FieldType.INTEGER, "UnsignedInt64": FieldType.INTEGER,
    "Decimal": FieldType.DECIMAL, "BigDecimal": FieldType.DECIMAL, "Money": FieldType.DECIMAL,
    "Date": FieldType.DATE, "LocalDate": FieldType.DATE, "ISO8601Date": FieldType.DATE,
    "Time": FieldType.TIME, "LocalTime": FieldType.TIME,
    "DateTime": FieldType.DATETIME, "ISO8601DateTime": FieldType.DATETIME, "Timestamp": FieldType.DATETIME,
    "DateTimeOffset": FieldType.DATETIME, "Instant": FieldType.DATETIME,
    "LocalDateTime": FieldType.LOCAL_DATETIME,
    "JSON": FieldType.JSON, "JSONObject": FieldType.JSON, "JSONString": FieldType.JSON,
    "Base64": FieldType.BINARY, "Bytes": FieldType.BINARY,
}  # fmt: skip
"""Scalars by their usual names; others are text."""

_MOST_TOKENS = 20_000


def parsed(query: str, where: str) -> DocumentNode:
    """Return a query taken apart; raises `Misconfigured` with the place of a mistake."""
    try:
        return graphql.parse(query, max_tokens=_MOST_TOKENS)
    except graphql.GraphQLSyntaxError as error:
        line, column = error.locations[0] if error.locations else (1, 1)
        raise _wrong(where, f"{error.message} ({line}:{column})") from None
    except RecursionError:
        raise _wrong(where, "nested too deeply") from None


def checked(schema: graphql.GraphQLSchema, query: str, where: str) -> None:
    """Check a query against the schema of the service; raises `Misconfigured` with the first mistake."""
    errors = graphql.validate(schema, parsed(query, where))
    if errors:
        raise Misconfigured(
            msg("The query in '{where}' does not fit the schema of the service: {problem}.",
                where=where, problem=errors[0].message.rstrip(".")),
            msg("Correct it in the connection's settings."),
        )  # fmt: skip


def schema_of_answer(introspected: dict[str, Any]) -> graphql.GraphQLSchema | None:
    """Return the schema that a service told of itself, None where it is not one."""
    try:
        return graphql.build_client_schema(introspected)  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError, graphql.GraphQLError):
        return None


def fields_of_query(schema: graphql.GraphQLSchema, query: str, records: str, key: str) -> Schema | None:
    """Return the fields that a query asks for of each record, None where the records cannot be found in it."""
    document = parsed(query, "query")
    operation = next((d for d in document.definitions if isinstance(d, OperationDefinitionNode)), None)
    if operation is None or schema.query_type is None:
        return None
    walk = _Walk(schema, document)
    place: _Place | None = _Place(schema.query_type, operation.selection_set)
    for name in filter(None, records.split(".")):
        place = walk.below(place, name) if place else None
    for names in (("edges", "node"), ("nodes",)):
        inner = place
        for name in names:
            inner = walk.below(inner, name) if inner else None
        place = inner or place
    if place is None or place.selected is None:
        return None
    fields = [field for node, parent in walk.fields(place) if (field := walk.field(node, parent, key)) is not None]
    unique = {field.name: field for field in fields}
    return Schema(tuple(unique.values()), (key,) if key in unique else ())


@dataclass(frozen=True)
class _Place:
    """A type in the schema, and what a query selects of it."""

    type: Any
    selected: SelectionSetNode | None


@dataclass
class _Walk:
    """Goes down a query and a schema together."""

    schema: graphql.GraphQLSchema
    document: DocumentNode

    def below(self, place: _Place, name: str) -> _Place | None:
        """Return the place that an answer's member leads to."""
        for node, parent in self.fields(place):
            if _name(node) == name:
                found = _definition(parent, node)
                return _Place(graphql.get_named_type(found.type), node.selection_set) if found else None
        return None

    def fields(self, place: _Place, depth: int = 0) -> Iterator[tuple[FieldNode, Any]]:
        """Yield the fields that are selected at a place, those of fragments too, each with the type it is of."""
        if place.selected is None or depth > 20:
            return
        for node in place.selected.selections:
            if isinstance(node, FieldNode):
                yield node, place.type
                continue
            fragment: Any = self._fragment(node.name.value) if isinstance(node, FragmentSpreadNode) else node
            if fragment is None:
                continue
            condition = fragment.type_condition
            kind = self.schema.get_type(condition.name.value) if condition else place.type
            yield from self.fields(_Place(kind, fragment.selection_set), depth + 1)

    def field(self, node: FieldNode, parent: Any, key: str) -> Field | None:
        """Return a selected member of a record as a field."""
        name, found = _name(node), _definition(parent, node)
        if found is None:
            return Field(name, nullable=name != key) if node.name.value == "__typename" else None
        kind = _type(found.type)
        precision = 38 if kind is FieldType.DECIMAL else None
        return Field(name, kind, nullable=name != key, precision=precision)

    def _fragment(self, name: str) -> Any:
        found = (d for d in self.document.definitions if isinstance(d, graphql.FragmentDefinitionNode))
        return next((d for d in found if d.name.value == name), None)


def _name(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _definition(parent: Any, node: FieldNode) -> Any:
    return getattr(parent, "fields", {}).get(node.name.value)


def _type(kind: Any) -> FieldType:
    bare = graphql.get_nullable_type(kind)
    if not graphql.is_leaf_type(bare):
        return FieldType.JSON
    return FieldType.TEXT if graphql.is_enum_type(bare) else _TYPES.get(bare.name, FieldType.TEXT)


def _wrong(where: str, problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The query in '{where}' is wrong: {problem}.", where=where, problem=problem.rstrip(".")),
        msg("Correct it in the connection's settings."),
    )
