"""Looking up records by key: a call for each of a few, else from the list; and why "not found" is not simply believed.

Some services answer 404 to every single record although their lists work: a wrong path, a permission, a fault. A rule
that believed it would create all these records again. So before the first "not found" of an object counts, a record
that the list shows is asked for in the same way; and where many are missing at once, the list itself decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import polars as pl

from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_guarded import record_in, tag_of
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_lost import Memory, Seen, found_by
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Asked, Walk
from connectors.errors import Misconfigured, RecordRejected
from connectors.http_client import shown
from connectors.http_crew import Job
from connectors.json_records import decode, encode, member, text_of
from connectors.value_text import PLAIN
from rules.schema import Schema
from rules.text import msg

FEW = 50
"""So many records are looked up one by one; for more the whole list is read."""

BELIEVED = 5
"""So many missing records of one look-up are believed, if a record of the list is found in the same way."""


class Items:
    """Single records of one connection."""

    def __init__(self, calls: Calls, memory: Memory) -> None:
        self.calls = calls
        self.memory = memory
        self._proven: set[str] = set()

    def found(self, described: RestObject, schema: Schema, key: str, wanted: pl.Series) -> pl.DataFrame | None:
        """Return the records whose key is wanted; None if the list has to decide which there are.

        Raises:
            RecordRejected: One of them cannot be read.
            Misconfigured: The service does not find what its own list shows.
        """
        texts = [PLAIN.text(value) or "" for value in wanted]
        answers = list(self.calls.together(self._item(described, text) for text in texts))
        found = [answer for answer in answers if answer is not None]
        missing = len(answers) - len(found)
        if found:
            self._proven.add(described.name)
        if missing > BELIEVED:
            return None
        if missing and described.name not in self._proven:
            self._prove(described)
        return self._typed(described, schema, key, found, wanted)

    def _typed(
        self, described: RestObject, schema: Schema, key: str, found: Sequence[Mapping[str, Any]], wanted: pl.Series
    ) -> pl.DataFrame:
        page = Columns(schema, described).page([encode(record) for record in found])
        if page.rejects:
            reject = page.rejects[0]
            raise RecordRejected(reject.message, field=reject.field, object_name=described.name)
        keys = page.records[key]
        if not keys.is_in(wanted.cast(keys.dtype).implode()).fill_null(value=False).all():
            raise RecordRejected(msg("The service answers with another record than the one asked for."), field=key)
        return page.records

    def _prove(self, described: RestObject) -> None:
        """Ask for the first record of the list as for a single one; an empty list proves nothing and needs no proof."""
        first = self._first(described)
        if first is not None and next(iter(self.calls.together([self._item(described, first)]))) is None:
            raise Misconfigured(
                msg("The service does not find the record '{key}' of '{name}' by itself, although its list shows it.",
                    key=first, name=described.name),
                msg("So it cannot be known which records there are. Correct the member 'item' of the object, or leave "
                    "it out."),
                object_name=described.name,
            )  # fmt: skip
        self._proven.add(described.name)

    def _first(self, described: RestObject) -> str | None:
        if described.parent is not None:
            return None
        batch = next(Walk(self.calls, described, Asked()).batches())
        return next(filter(None, (_key(record, described) for record in batch.records)), None)

    def _item(self, described: RestObject, key: str) -> Job[Mapping[str, Any] | None]:
        if not described.item:
            return (yield from found_by(self.calls, described, {described.key: key}))
        path = described.item.replace("{key}", quote(key, safe=""))
        request = Request(path, object_name=described.name, xml=described.format == "xml")
        response = yield from self.calls.responding(request)
        told = self.calls.told(response, request)
        if told.missing:
            return None
        if not told.good:
            raise told.error()
        record = record_in(value_of(response, request), described.item_record)
        if record is None:
            raise Misconfigured(
                msg("There is no record at '{path}' in the answer of {url}.",
                    path=described.item_record or "-", url=shown(response.url)),
                msg("Correct the member 'item_record' of the object '{name}'.", name=described.name),
                object_name=described.name,
            )  # fmt: skip
        tag = tag_of(described, response, record) if described.etag else ""
        if tag:
            self.memory.see(described.name, key, Seen(tag, record))
        return record


def _key(record: Raw, described: RestObject) -> str | None:
    try:
        return text_of(member(decode(record), described.paths.get(described.key, described.key)))
    except (KeyError, msgspec.DecodeError):
        return None
