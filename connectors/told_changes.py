"""Reading by what a web service tells of its changes: which keys it names, and what their records are now.

Services tell it in answers that follow each other, each of which can be asked for again. The last word of an answer on
a key counts: a record that is said to be gone is; any other one is read as it is now, and is passed over where it is
gone by then, since a later answer tells of that.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.casting import cast, complaint
from connectors.changes import ChangeLog, Mark
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


class ToldLog(ChangeLog):
    """A log of changes that is read by what a service tells."""

    @abstractmethod
    def start(self) -> Mark:
        """Return a place such that all that is changed later is behind it."""

    @abstractmethod
    def tellings(self, since: Mark) -> Generator[Telling]:
        """Yield what was changed behind a place, answer by answer."""


def captured(
    connector: Connector,
    log: ToldLog,
    request: ReadRequest,
    capture: Capture,
    pages: Callable[[ReadRequest], Iterator[Page]],
) -> Iterator[Page]:
    """Yield what a request for changes wants: all records when it is made first, later what was changed.

    Args:
        connector: Looks records up.
        log: Tells which ones were changed.
        request: What was asked for.
        capture: Its capture.
        pages: Reads all records.
    """
    if capture.since is None or "from" in (request.after or {}):
        return everything(pages, request, log.start)
    return Told(connector, log.tellings).pages(request, capture, dict(capture.since))


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
    tellings: Callable[[Mark], Generator[Telling]]

    def pages(self, request: ReadRequest, capture: Capture, since: Mark) -> Iterator[Page]:
        """Yield the records that were changed behind a place, and name those that are gone."""
        after = request.after or {}
        at: Mark = dict(after["at"]) if after else since
        if after.get("over"):
            yield Page(request.schema.empty(), after, captured=at)
            return
        if "last_key" in after:
            telling, last_key = self._resumed(after, at)
            yield from self._parts(telling, request, capture, last_key)
            if telling.last:
                return
            at = telling.behind
        for telling in self.tellings(at):
            yield from self._parts(telling, request, capture)

    def _resumed(self, after: Mapping[str, Any], at: Mark) -> tuple[Telling, str | None]:
        """Ask for an answer again that was read in part; return it with the key behind which it is read on.

        The service may have changed by now. The first answer's place to go on from stays: whatever has changed behind
        it is told there, also of keys that were read before. Where both answers are whole, the second one has all keys
        of the first. One of several parts may have passed some on to another part: it is read from its beginning.
        """
        with closing(self.tellings(at)) as tellings:
            again = next(tellings)
        if _digest(again.keys) != after["seen"] and not (after["last"] and again.last):
            return again, None
        return replace(again, behind=dict(after["behind"]), last=after["last"]), after["last_key"]

    def _parts(
        self, telling: Telling, request: ReadRequest, capture: Capture, last_key: str | None = None
    ) -> Iterator[Page]:
        keys = sorted(item for item in telling.keys.items() if last_key is None or item[0] > last_key)
        size, seen = request.page_size, _digest(telling.keys)
        for start in range(0, max(len(keys), 1), size):
            part = keys[start : start + size]
            position: Mark = {"at": telling.behind, "over": telling.last}
            if start + size < len(keys):
                left = {"behind": telling.behind, "last": telling.last, "seen": seen, "last_key": part[-1][0]}
                position = {"at": telling.at, "over": False, **left}
            page = self._page(part, request, capture.key)
            yield replace(page, position=position, captured=position["at"])

    def _page(self, keys: Sequence[tuple[str, bool]], request: ReadRequest, key: str) -> Page:
        field, schema = request.schema[key], request.schema
        texts = pl.Series(key, [text for text, _ in keys], pl.String)
        values, gone = cast(texts, field), pl.Series([gone for _, gone in keys], dtype=pl.Boolean)
        bad = [Reject(f"{key} {t}", t, complaint(t, field), key) for t in texts.filter(values.is_null()).to_list()]
        records, rejects = self._found(request.object, schema, key, values.filter(~gone).drop_nulls())
        # in the order of their keys as texts, whatever order they are found in
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


def _digest(keys: Mapping[str, bool]) -> str:
    """Return a short text by which an answer is known again."""
    told = "\n".join(f"{gone:d}{key}" for key, gone in sorted(keys.items()))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
