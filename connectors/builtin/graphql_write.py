"""Writing records to a GraphQL service: one mutation a record, never sent twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from connectors.builtin.graphql_calls import GraphAnswer, GraphCalls, failed, filled
from connectors.builtin.graphql_objects import GraphCall, GraphObject
from connectors.builtin.rest_words import said_of
from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.json_records import json_values, member, text_of
from connectors.spi import Failure
from rules.schema import Change, Op, Schema
from rules.text import Message, msg


class GraphWriting:
    """The writes of one call of `write`."""

    def __init__(self, graph: GraphCalls, described: GraphObject, schema: Schema) -> None:
        self.graph = graph
        self.described = described
        self.schema = schema

    def change(self, number: int, change: Change) -> tuple[list[Failure], pl.Series | None]:
        """Write the records of a change; return the refused ones, and for creations the keys."""
        call = self._call(change.op)
        failures: list[Failure] = []
        keys: list[Any] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            answer = self._asked(call, change, record)
            problem = self._problem(answer, call, record.get(change.key))
            if problem:
                failures.append(Failure(number, row, problem))
            keys.append(None if problem else self._key(answer, call, change, record))
        if change.op is not Op.CREATE or change.key not in self.schema:
            return failures, None
        return failures, pl.Series(change.key, keys, self.schema[change.key].dtype)

    def _call(self, op: Op) -> GraphCall:
        calls = {Op.CREATE: self.described.create, Op.UPDATE: self.described.update, Op.DELETE: self.described.delete}
        call = calls[op]
        if call is None:
            raise Misconfigured(
                msg("The object '{name}' has no description of how to {deed} records.",
                    name=self.described.name, deed=op.value),
                msg("Add it in the connection's settings."),
                object_name=self.described.name,
            )  # fmt: skip
        return call

    def _asked(self, call: GraphCall, change: Change, record: Mapping[str, Any]) -> GraphAnswer:
        values = json_values(record, self.schema)
        body = {name: value for name, value in values.items() if change.op is Op.CREATE or name != change.key}
        known = {**values, "record": body, "key": values.get(change.key)}
        return self.graph.ask(call.query, filled(call.variables, known), self.described.name, changes=True)

    def _problem(self, answer: GraphAnswer, call: GraphCall, key: Any) -> Message | None:
        """Return what is wrong with the record, as errors of the answer or as errors in its data."""
        if answer.errors:
            if not isinstance(answer.data, dict) and not any(error.path for error in answer.errors):
                raise failed(answer.errors, self.described.name)  # the mutation itself is wrong
            said = "; ".join(error.said for error in answer.errors[:3])
            return msg("The service refuses the record: {said}", said=said)
        said = said_of(_at(answer.data, call.errors)) if call.errors else ""
        if said:
            return msg("The service refuses the record: {said}", said=said)
        if call.record and _at(answer.data, call.record) is None:
            return msg("The service answers without the record {key}.", key=text_of(key) or "-")
        return None

    def _key(self, answer: GraphAnswer, call: GraphCall, change: Change, record: Mapping[str, Any]) -> Any:
        found = _at(_at(answer.data, call.record), change.key)
        if found is None:
            return record.get(change.key)
        return cast(pl.Series(change.key, [text_of(found)], pl.String), self.schema[change.key])[0]


def _at(value: Any, path: str) -> Any:
    try:
        return member(value, path)
    except KeyError:
        return None
