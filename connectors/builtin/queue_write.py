"""From changes to messages: one for each record, with its key and an id that is the same when it is sent again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from connectors.builtin.queue_message import Outgoing
from connectors.builtin.queue_options import PayloadOptions
from connectors.builtin.queue_payload import Payload
from connectors.casting import SHOWN, short
from connectors.json_records import encode
from connectors.spi import Failure, Fence, WriteResult
from connectors.value_text import PLAIN
from rules.schema import Change, Field, FieldType, Op, Schema
from rules.text import Message as Text
from rules.text import msg


class Writing:
    """The messages of one call of `write`."""

    def __init__(self, options: PayloadOptions, schema: Schema, fence: Fence | None) -> None:
        self.options, self.schema = options, schema
        self.payload = Payload(options)
        self._scope = uuid.uuid4().hex if fence is None else f"{fence.scope}:{fence.run}:{fence.chunk}"

    def messages(self, changes: Sequence[Change]) -> tuple[list[Outgoing], list[Failure]]:
        """Return the messages to be sent, in their order, and the records that no message can hold."""
        outgoing: list[Outgoing] = []
        failures: list[Failure] = []
        for number, change in enumerate(changes):
            bad = {} if change.op is Op.DELETE else self._bad(change)
            failures += [Failure(number, row, text, field) for row, (field, text) in sorted(bad.items())]
            for row, record in enumerate(change.records.iter_rows(named=True)):
                if row not in bad:
                    outgoing.append(self._message(change, (number, row), record))
        return outgoing, failures

    def result(self, outgoing: Sequence[Outgoing], failures: list[Failure], refused: Mapping[int, Text]) -> WriteResult:
        """Return what became of the messages."""
        failures += [Failure(outgoing[n].change, outgoing[n].row, text) for n, text in sorted(refused.items())]
        return WriteResult(tuple(failures))

    def _message(self, change: Change, place: tuple[int, int], record: Mapping[str, Any]) -> Outgoing:
        key = PLAIN.text(record.get(change.key))
        own = f"{self._scope}:{place[0]}:{place[1]}"
        return Outgoing(own, change.op, key, self._body(change, record), *place)

    def _body(self, change: Change, record: Mapping[str, Any]) -> bytes:
        if change.op is not Op.DELETE:
            return self.payload.body(record, self.schema)
        name = self.options.deleted_field
        if not name:
            return b""
        if self.options.format == "json":
            return self._json_mark(change, record, name)
        mark = Schema((*(f for f in self.schema.fields if f.name != name), Field(name)))
        return self.payload.body({change.key: record[change.key], name: "true"}, mark)

    def _json_mark(self, change: Change, record: Mapping[str, Any], name: str) -> bytes:
        kind = self.schema[name].type if name in self.schema else FieldType.BOOLEAN
        value = record[change.key]
        plain = value if isinstance(value, int) else PLAIN.text(value)
        return encode({change.key: plain, name: True if kind is FieldType.BOOLEAN else "true"})

    def _bad(self, change: Change) -> dict[int, tuple[str, Text]]:
        """Return the rows that cannot be written, with the field and the reason."""
        found = dict(self.payload.unstorable(change.records))
        for name in change.records.columns:
            column, field = change.records[name], self.schema[name]
            if column.dtype == pl.Float64 and self.options.format == "json":
                bad = (~column.is_finite()).fill_null(value=False)
                text = msg("Field '{field}' holds no number that JSON has.", field=name)
                found |= dict.fromkeys(bad.arg_true().to_list(), (name, text))
            if not field.nullable:
                empty = msg("Field '{field}' is empty, but it must have a value.", field=name)
                found |= dict.fromkeys(column.is_null().arg_true().to_list(), (name, empty))
            if field.length is not None and column.dtype == pl.String:
                long = (column.str.len_chars() > field.length).fill_null(value=False)
                found |= {row: (name, self._long(column[row], field)) for row in long.arg_true().to_list()}
        return found

    def _long(self, value: str, field: Field) -> Text:
        return msg(
            "Field '{field}' holds '{value}', which is longer than {length} characters.",
            field=field.name, value=short(value, SHOWN), length=field.length,
        )  # fmt: skip
