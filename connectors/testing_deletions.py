"""Laws of telling what was deleted: it is named once, by its key, and no read behind a page loses it."""

from __future__ import annotations

import json

import polars as pl
import pytest

from connectors.spi import Connector, Context, Cursor, Page
from connectors.testing_read import ReadLaws
from connectors.testing_sample import KEY, VERSION, Settings
from rules.schema import Schema

_SINCE = 3


class DeletionLaws(ReadLaws):
    """What a read by cursor tells of deletions."""

    @pytest.fixture(autouse=True)
    def _needs_deletions(self, request: pytest.FixtureRequest) -> None:
        able = self.connector.spec.capabilities
        if "deletion" in request.node.name and (able.messages or not able.deletions):
            pytest.skip("the connector tells of no deletions")

    def delete(self, settings: Settings, keys: pl.Series, version: int) -> None:
        """Delete records by the system's own means; `version` is what a cursor over the version field sees of it."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_deletions_are_named(
        self, settings: Settings, source: Connector, seeded: pl.DataFrame, sample: Schema, size: int
    ) -> None:
        """Deleted records are named by their keys, as rows of the schema, and are not among the records."""
        gone = seeded[KEY].head(4)
        self.delete(settings, gone, 99)
        for wanted in (sample, sample.select((KEY, VERSION))):
            pages = self.pages(source, wanted, Cursor(VERSION, KEY, _SINCE), size=size)
            for page in pages:
                assert page.deleted is None or dict(page.deleted.schema) == wanted.dtypes()
                assert page.deleted is None or page.deleted.height <= size
            assert sorted(_deleted(pages)) == sorted(gone)
            assert not set(gone) & {key for page in pages for key in page.records[KEY]}

    def test_deletions_since_a_cursor(
        self, settings: Settings, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A later read tells of what was deleted since, and of all else not again."""
        first, second = seeded[KEY][:2], seeded[KEY][2:3]
        self.delete(settings, first, 50)
        self.delete(settings, second, 60)
        assert _deleted(self.pages(source, sample, Cursor(VERSION, KEY, 51))) == second.to_list()

    def test_deletions_behind_every_page(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """Another connector goes on behind any page and is told exactly the rest."""
        self.delete(settings, seeded[KEY].head(4), 99)
        cursor = Cursor(VERSION, KEY, _SINCE)
        with self.connect(settings, context) as first:
            pages = self.pages(first, sample, cursor, size=2)
        for number, page in enumerate(pages, 1):
            with self.connect(settings, context) as second:
                rest = self.pages(second, sample, cursor, json.loads(json.dumps(page.position)), size=2)
            assert _deleted(rest) == _deleted(pages[number:]), f"resumed behind page {number}"


def _deleted(pages: list[Page]) -> list[int]:
    return [key for page in pages if page.deleted is not None for key in page.deleted[KEY]]
