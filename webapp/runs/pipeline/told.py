"""Which records are gone by what is told of them while their side is read: by events, or because they are marked.

What a side tells is read once by itself, before anything is decided (two-way) or after all else is done (one way), from
where the run's cursor starts, so that it takes no scan of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.spi import Capture, Connector, Cursor, Page, ReadRequest
from rules.reconcile.one_way import key_text
from rules.schema import Schema
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.living import Living
from webapp.runs.pipeline.reading import Start, begun, pages
from webapp.runs.pipeline.retry import Retry

Matters = Callable[[pl.Series], pl.Series]
"""Gives a mask of the keys whose records have a partner."""


@dataclass(frozen=True)
class Told:
    """One side that tells which of its records are gone."""

    connector: Connector
    object: str
    schema: Schema
    key: str
    page_size: int
    retry: Retry

    def keys(self, heed: Callable[[], None]) -> KeySet | None:
        """Return the keys that the side holds; None where some cannot be read. Between pages `heed` is called."""
        request = ReadRequest(self.object, self.schema.select((self.key,)), page_size=self.page_size)
        found = KeySet()
        for page in pages(self.connector, request, self.retry):
            if page.rejects:
                return None
            found.add(key_text(page.records[self.key]))
            heed()
        return found

    def gone(self, start: Start | None, matters: Matters | None = None) -> pl.Series | None:
        """Return the keys of the records that are gone and have not come back; only those that matter, by a mask.

        None where a log of changes does not name them: it is read for the first time, or all were deleted at once.
        """
        if isinstance(start, Capture) and start.since is None:
            return None
        needed = {self.key, start.field, start.tie} if isinstance(start, Cursor) else {self.key}
        fields = self.schema.select(tuple(name for name in self.schema.names if name in needed))
        source = self.connector.deleted() if isinstance(self.connector, Living) else self.connector
        found: dict[str, None] = {}
        request = begun(ReadRequest(self.object, fields, page_size=self.page_size), start)
        for page in pages(source, request, self.retry):
            if page.emptied:
                return None
            keys = deleted_keys(page, self.key)
            found |= dict.fromkeys(keys if matters is None else keys.filter(matters(keys)))
            if found:
                for key in key_text(page.records[self.key]).drop_nulls():
                    found.pop(key, None)
        return pl.Series(list(found), dtype=pl.String)


class Notices:
    """What a side that is read by a run tells of deletions, beside what was known of them before it was read.

    `events` says that a record may be told of although it is deleted further on; such records are not there.
    """

    def __init__(self, key: str, known: pl.Series, matters: Matters, *, events: bool, resumed: bool) -> None:
        self.key, self._matters = key, matters
        self._known = set(known.to_list())
        self._ahead = set(self._known) if events else set()
        self.late = resumed and bool(self._known)
        """Something was told when partners may have been met already, so that the next run has to hear it again."""

    def there(self, page: Page) -> Page:
        """Return a page without records that are deleted further on; these count as left out."""
        keys = key_text(page.records[self.key])
        records = page.records
        if self._ahead:
            records = records.filter(~keys.is_in(list(self._ahead)).fill_null(value=False))
        told = deleted_keys(page, self.key)
        self._ahead -= set(told.to_list())
        self.late |= page.emptied or not set(told.filter(self._matters(told)).to_list()) <= self._known
        hidden = page.records.height - records.height
        return replace(page, records=records, left_out=page.left_out + hidden) if hidden else page


def deleted_keys(page: Page, key: str) -> pl.Series:
    """Return the keys of the records that a page says are gone."""
    return pl.Series([], dtype=pl.String) if page.deleted is None else key_text(page.deleted[key]).drop_nulls()


def note_high(journal: Journal, high: Any) -> None:
    """Note how far a page without records has moved the cursor, by the deletions that it tells of."""
    if high is not None:
        journal.place = (journal.place[0], high)
        journal.note(high=high)
