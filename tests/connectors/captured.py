"""A reader of one table by its database's log of changes, and a copy of the table that follows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_captured import CapturedDatabase
from connectors.spi import Capture, Context, Page, ReadRequest
from tests.connectors.databases import rows, settings_of


class Captured:
    """A reader of one table by its log, that keeps where it is as a rule does."""

    def __init__(self, kind: type[CapturedDatabase], url: str, table: str = "t", key: str = "id") -> None:
        self.url, self.table = url, table
        self.source = kind(settings_of(url), Context(timeout=5))
        self.capture = Capture(f"syncline_test_{url[-12:]}", key)
        self.log = self.source.log(table, self.capture)

    def pages(self, size: int = 1000, after: Any = None, since: Any = None) -> list[Page]:
        capture = replace(self.capture, since=since) if since else self.capture
        request = ReadRequest(self.table, self.source.schema(self.table), after=after, page_size=size, capture=capture)
        return list(self.source.read(request))

    def first(self) -> list[dict[str, Any]]:
        """Read all and return it."""
        self.log.keep()
        pages = self.pages()
        self.capture = replace(self.capture, since=json.loads(json.dumps(pages[-1].captured)))
        return self._shown(pages)[0]

    def next(self, size: int = 1000) -> tuple[list[dict[str, Any]], list[Any], bool]:
        """Read what is new and return records, deleted keys, and whether all were deleted at once."""
        pages = self.pages(size)
        self.capture = replace(self.capture, since=json.loads(json.dumps(pages[-1].captured)))
        return self._shown(pages)

    def _shown(self, pages: list[Page]) -> tuple[list[dict[str, Any]], list[Any], bool]:
        records = pl.concat([page.records for page in pages]).rows(named=True)
        key = self.capture.key
        deleted = [k for page in pages if page.deleted is not None for k in page.deleted[key]]
        return records, deleted, any(page.emptied for page in pages)

    def close(self) -> None:
        self.log.drop()
        self.source.close()


def applied(pages: list[Page], replica: dict[Any, Any]) -> tuple[dict[Any, Any], set[Any]]:
    """Return a copy with what pages say, and the keys that they say are gone."""
    replica, gone = dict(replica), set[Any]()
    for page in pages:
        for record in page.records.iter_rows(named=True):
            replica[record["id"]] = record
        for key in page.deleted["id"] if page.deleted is not None else ():
            gone.add(key)
            replica.pop(key, None)
    return replica, gone


def transaction(url: str, deeds: list[str], *, commit: bool) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for deed in deeds:
            connection.exec_driver_sql(deed)
        if not commit:
            raise ZeroDivisionError


def follow(t: Captured, replica: dict[Any, Any], size: int) -> None:
    pages = t.pages(size)
    t.capture = replace(t.capture, since=json.loads(json.dumps(pages[-1].captured)))
    known, _ = applied(pages, replica)
    if any(page.emptied for page in pages):
        there = {row[0] for row in rows(t.url, "SELECT id FROM t")}
        known = {key: record for key, record in known.items() if key in there}
    replica.clear()
    replica.update(known)
