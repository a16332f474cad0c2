"""Change capture from PostgreSQL, against a real server with logical replication."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Capture, Context, Page, ReadRequest
from tests.connectors.databases import promptly, rows, run, settings_of

TABLE = "CREATE TABLE t (id integer PRIMARY KEY, name text, n numeric, at timestamptz, j jsonb)"


class Captured:
    """A reader of one table by its log, that keeps where it is as a rule does."""

    def __init__(self, url: str, table: str = "t", key: str = "id") -> None:
        self.url, self.table = url, table
        self.source = PostgreSQL(settings_of(url), Context(timeout=5))
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


@pytest.fixture
def t(postgres_url: str) -> Iterator[Captured]:
    promptly(postgres_url)
    run(postgres_url, TABLE)
    captured = Captured(postgres_url)
    yield captured
    captured.close()


def test_all_then_what_is_new(t: Captured) -> None:
    """A first read gives all records, later ones what was created, updated and deleted since, and nothing twice."""
    run(t.url, "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert [r["id"] for r in t.first()] == [1, 2, 3]
    assert t.next() == ([], [], False)
    run(t.url, "INSERT INTO t (id, name) VALUES (4, 'd')", "UPDATE t SET name = 'B' WHERE id = 2")
    run(t.url, "DELETE FROM t WHERE id = 1", "UPDATE t SET name = 'BB' WHERE id = 2")
    records, deleted, _ = t.next()
    assert sorted((r["id"], r["name"]) for r in records) == [(2, "BB"), (4, "d")]
    assert deleted == [1]
    assert t.next() == ([], [], False)
