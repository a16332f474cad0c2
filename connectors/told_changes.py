"""Reading by what a web service tells of its changes: which keys it names, and what their records are now.

Services tell it in answers that follow each other, each of which can be asked for again. The last word of an answer on
a key counts: a record that is said to be gone is; any other one is read as it is now, and is passed over where it is
gone by then, since a later answer tells of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.casting import cast, complaint
from connectors.changes import Mark
from connectors.errors import RecordRejected
from connectors.spi import Capture, Connector, Page, ReadRequest, Reject
from rules.schema import Schema

_AT_A_TIME = 50
"""So many records are looked up together; services find more of them by reading their whole list."""
_MOST = 20
"""So many times, before the whole list is read after all."""


@dataclass(frozen=True)
class Telling:
    """One answer: the keys that it names as texts, each with whether its record is gone.

    `at` asks for the answer again, `behind` is where one goes on that has all of it; `last` tells that nothing follows.
    """

    keys: Mapping[str, bool]
    at: Mark
    behind: Mark
    last: bool


def everything(
    pages: Callable[[ReadRequest], Iterator[Page]], request: ReadRequest, start: Callable[[], Mark]
) -> Iterator[Page]:
    """Yield all records, as a first read does; a later one goes on from where the log stood before the first page."""
    after = request.after or {}
    mark: Mark = dict(after["from"]) if after else start()
    for page in pages(replace(request, capture=None, after=after.get("read"))):
        yield replace(page, position={"from": mark, "read": dict(page.position)}, captured=mark)


@dataclass(frozen=True)
class Told:
    """Reads one object by what its service tells."""

    connector: Connector
    tellings: Callable[[Mark], Iterator[Telling]]

    def pages(self, request: ReadRequest, capture: Capture, since: Mark) -> Iterator[Page]:
        """Yield the records that were changed behind a place, and name those that are gone."""
        after = request.after or {}
        at: Mark = dict(after["at"]) if after else since
        if after.get("over"):
            yield Page(request.schema.empty(), after, captured=at)
            return
        done = int(after.get("done", 0))
        for telling in self.tellings(at):
            # another answer than the one that was read in part is read from its beginning
            yield from self._parts(telling, request, capture, done if telling.at == at else 0)
            done = 0

    def _parts(self, telling: Telling, request: ReadRequest, capture: Capture, done: int) -> Iterator[Page]:
        keys, size = list(telling.keys.items()), request.page_size
        for start in range(done, max(len(keys), done + 1), size):
            behind = min(start + size, len(keys))
            ended = behind >= len(keys)
            place = telling.behind if ended else telling.at
            position = {"at": place, "done": 0 if ended else behind, "over": ended and telling.last}
            page = self._page(keys[start:behind], request, capture.key)
            yield replace(page, position=position, captured=place)

    def _page(self, keys: Sequence[tuple[str, bool]], request: ReadRequest, key: str) -> Page:
        field, schema = request.schema[key], request.schema
        texts = pl.Series(key, [text for text, _ in keys], pl.String)
        values, gone = cast(texts, field), pl.Series([gone for _, gone in keys], dtype=pl.Boolean)
        bad = [Reject(f"{key} {t}", t, complaint(t, field), key) for t in texts.filter(values.is_null()).to_list()]
        records, rejects = self._found(request.object, schema, key, values.filter(~gone).drop_nulls())
        # in the order in which the service names them, whatever order they are found in
        records = values.to_frame().join(records, on=key, how="inner", maintain_order="left").select(schema.names)
        dead = values.filter(gone).drop_nulls()
        frame = schema.empty().clear(dead.len()).with_columns(dead).select(schema.names)
        return Page(records, {}, (*bad, *rejects), deleted=None if dead.is_empty() else frame)

    def _found(self, name: str, schema: Schema, key: str, values: pl.Series) -> tuple[pl.DataFrame, list[Reject]]:
        size = _AT_A_TIME if len(values) <= _AT_A_TIME * _MOST else len(values)
        found, rejects = [schema.empty()], list[Reject]()
        for start in range(0, len(values), max(size, 1)):
            part = values.slice(start, size)
            try:
                found.append(self.connector.lookup(name, schema, key, part).select(schema.names))
            except RecordRejected:
                found += [self._single(name, schema, key, value, rejects) for value in part.to_list()]
        return pl.concat(found), rejects

    def _single(self, name: str, schema: Schema, key: str, value: Any, rejects: list[Reject]) -> pl.DataFrame:
        """Return the record of a key; one that cannot be read is rejected by its own key."""
        alone = pl.Series(key, [value], schema[key].dtype)
        try:
            return self.connector.lookup(name, schema, key, alone).select(schema.names)
        except RecordRejected as error:
            rejects.append(Reject(f"{key} {value}", str(value), error.message, error.field, str(value)))
            return schema.empty()
