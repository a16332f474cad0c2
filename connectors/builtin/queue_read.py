"""From batches of messages to pages: typed records, what is deleted, and messages that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.builtin.queue_message import Message
from connectors.builtin.queue_options import DELETED, PayloadOptions
from connectors.builtin.queue_payload import Payload, Record, Unreadable, text_of_body
from connectors.casting import Places, typed
from connectors.json_records import columns_of, text_of
from connectors.spi import Page, Position, Reject
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType, Schema
from rules.text import Message as Text
from rules.text import msg

MESSAGE_FIELDS = (
    Field("message_id", nullable=False),
    Field("message_key"),
    Field("message_time", FieldType.DATETIME),
    Field("message_headers", FieldType.JSON),
)
"""What a message says of itself, where it is asked for."""
_NAMES = frozenset(field.name for field in MESSAGE_FIELDS)
_ROW = "__row"


@dataclass(frozen=True)
class Row:
    """One record of a message, or that it is gone, or why it cannot be read; `number` is its place among several."""

    message: Message
    record: Record
    gone: bool = False
    problem: Text | None = None
    number: int | None = None

    @property
    def place(self) -> str:
        """Return where the record is, the same when the message is delivered again."""
        own = f"message {self.message.id}"
        return own if self.number is None else f"{own}, record {self.number}"


class Reading:
    """Makes pages of one object's messages."""

    def __init__(self, options: PayloadOptions, key: str) -> None:
        self.options, self.key = options, key
        self.payload = Payload(options)

    def rows(self, messages: Sequence[Message]) -> Iterator[Row]:
        """Yield the records of messages in their order."""
        for message in messages:
            yield from self._rows(message)

    def shown(self, row: Row) -> Record:
        """Return a record with what its message says of itself, as far as that is asked for."""
        message, record = row.message, dict(row.record)
        if self.options.message_fields or self.key in _NAMES:
            own = {
                "message_id": message.id,
                "message_key": message.key,
                "message_time": None if message.time is None else PLAIN.text(message.time),
                "message_headers": dict(message.headers),
            }
            record |= own if self.options.message_fields else {self.key: own[self.key]}
        if self.key and record.get(self.key) is None and message.key is not None:
            record[self.key] = message.key
        return record

    def pages(
        self, messages: Sequence[Message], schema: Schema, size: int, places: tuple[Position, Position]
    ) -> Iterator[Page]:
        """Yield the pages of a batch; `places` are the positions before and behind it.

        Only the last page of a batch is behind it: a message is given up as a whole.
        """
        rows = list(self.rows(messages))
        for start in range(0, max(1, len(rows)), size):
            last = start + size >= len(rows)
            yield self._page(rows[start : start + size], schema, places[1] if last else places[0])

    def _rows(self, message: Message) -> Iterator[Row]:
        if not message.body.strip() or (self.options.format == "json" and message.body.strip() == b"null"):
            empty = None if message.key and self.key else msg("The message is empty and has no key.")
            yield Row(message, {}, gone=empty is None, problem=empty)
            return
        try:
            records = self.payload.records(message.body)
        except Unreadable as error:
            yield Row(message, {}, problem=error.message)
            return
        for number, record in enumerate(records, 1):
            yield Row(message, record, self._gone(record), number=number if len(records) > 1 else None)

    def _gone(self, record: Record) -> bool:
        name = self.options.deleted_field
        return bool(name) and (text_of(record.get(name)) or "").strip().lower() in DELETED

    def _page(self, rows: Sequence[Row], schema: Schema, position: Position) -> Page:
        there, rejects = self._typed([r for r in rows if r.problem is None and not r.gone], schema)
        gone, unkeyed = self._typed([r for r in rows if r.gone], self._keyed(schema))
        broken = [
            (row, Reject(row.place, text_of_body(row.message.body), row.problem))
            for row in rows
            if row.problem is not None
        ]
        order = {id(row): number for number, row in enumerate(rows)}
        told = sorted([*rejects, *unkeyed, *broken], key=lambda pair: order[id(pair[0])])
        last = self._last(there, gone, order, schema)
        records, deleted = (_kept(frame, chosen, order, last) for frame, chosen in (there, gone))
        deleted = deleted.select(pl.col(n).cast(d) for n, d in schema.dtypes().items())
        return Page(
            records, position, tuple(reject for _, reject in told), left_out=there[0].height - records.height,
            deleted=deleted if deleted.height else None,
        )  # fmt: skip

    def _typed(
        self, rows: Sequence[Row], schema: Schema
    ) -> tuple[tuple[pl.DataFrame, list[Row]], list[tuple[Row, Reject]]]:
        """Return the records that fit with their rows, and rejects that hold their whole messages for the others."""
        as_json = [field.name for field in schema.fields if field.type is FieldType.JSON]
        records = [self.payload.columns(self.shown(row), schema) for row in rows]
        raw = columns_of(records, schema.names, as_json)
        named = Places(lambda row: rows[row].place, lambda row: text_of_body(rows[row].message.body))
        frame, rejects, kept = typed(raw, schema, named)
        bad = (~kept).arg_true().to_list()
        whole = [
            (rows[row], replace(r, raw=text_of_body(rows[row].message.body)))
            for r, row in zip(rejects, bad, strict=True)
        ]
        return (frame, [row for row, keep in zip(rows, kept, strict=True) if keep]), whole

    def _keyed(self, schema: Schema) -> Schema:
        """Return the schema of deleted records: nothing but their key has to be there."""
        fields = (replace(f, nullable=f.name != self.key) for f in schema.fields)
        return Schema(tuple(fields), schema.key)

    def _last(
        self,
        there: tuple[pl.DataFrame, list[Row]],
        gone: tuple[pl.DataFrame, list[Row]],
        order: Mapping[int, int],
        schema: Schema,
    ) -> frozenset[int] | None:
        """Return the numbers of the rows that have the last word of their keys; None where records have none."""
        if self.key not in schema:
            return None
        words: dict[Any, int] = {}
        for frame, rows in (there, gone):
            for value, row in zip(frame[self.key], rows, strict=True):
                number = order[id(row)]
                if value is not None:
                    words[value] = max(number, words.get(value, number))
        unkeyed = (order[id(row)] for value, row in zip(there[0][self.key], there[1], strict=True) if value is None)
        return frozenset([*words.values(), *unkeyed])


def _kept(
    frame: pl.DataFrame, rows: Sequence[Row], order: Mapping[int, int], last: frozenset[int] | None
) -> pl.DataFrame:
    if last is None:
        return frame
    return frame.filter(pl.Series([order[id(row)] in last for row in rows], dtype=pl.Boolean))
