"""Laws of change capture: no change is missed or comes twice, and records are those of a plain read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from connectors.spi import Capture, Connector, Context, Page, ReadRequest
from connectors.testing_sample import KEY, ConformanceBase, Settings, joined, same
from rules.schema import Schema


class CaptureLaws(ConformanceBase):
    """What a read by the system's log of changes tells."""

    @pytest.fixture(autouse=True)
    def _needs_capture(self, request: pytest.FixtureRequest) -> None:
        if "captured" in request.node.name and not self.connector.spec.capabilities.capture:
            pytest.skip("the connector has no log of changes")

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        """Update records and delete those with the keys `removed`, by the system's own means."""
        raise NotImplementedError

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        """Give a record another key, by the system's own means."""
        raise NotImplementedError

    @pytest.fixture
    def capture(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> Iterator[Capture]:
        """Return a place in the log behind a first read, which gave all records."""
        capture = Capture(f"syncline_conformance_{id(self) % 10_000_000}", KEY)
        log = source.change_log(self.object_name, capture)
        assert log.missing() == []
        log.keep()
        pages = self.captured(source, sample, capture)
        assert same(joined(pages).sort(KEY), seeded.sort(KEY))
        yield _behind(capture, pages)
        log.drop()

    def captured(
        self, source: Connector, schema: Schema, capture: Capture, after: Any = None, size: int = 1000
    ) -> list[Page]:
        """Read by the log, checking what holds for each page."""
        request = ReadRequest(self.object_name, schema, after=after, page_size=size, capture=capture)
        pages = list(source.read(request))
        assert pages, "a read yields at least one page"
        for page in pages:
            assert dict(page.records.schema) == schema.dtypes()
            assert page.deleted is None or dict(page.deleted.schema) == schema.dtypes()
            assert page.records.height + (0 if page.deleted is None else page.deleted.height) <= size
            assert json.loads(json.dumps(page.position)) == page.position
            assert page.captured is not None or capture.since is None
        assert pages[-1].captured is not None
        return pages

    def test_captured_nothing_new(self, source: Connector, capture: Capture, sample: Schema) -> None:
        """Behind a first read there is nothing, and the place is known to the log."""
        pages = self.captured(source, sample, capture)
        assert joined(pages).is_empty()
        assert _deleted(pages) == []
        assert source.change_log(self.object_name, capture).state(dict(capture.since or {})).lost is None

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_captured_records_are_those_of_a_plain_read(
        self, settings: Settings, source: Connector, capture: Capture, sample: Schema, size: int
    ) -> None:
        """All types, nulls, extreme values and 4-byte characters come by the log as they are read otherwise."""
        before = joined(self.pages(source, sample)).sort(KEY)
        keys = before[KEY].sort()
        turned = before.with_columns(keys.reverse()).sort(KEY)  # every record gets the values of another one
        self.change(settings, turned[2:], keys[:2])
        pages = self.captured(source, sample, capture, size=size)
        assert same(joined(pages).sort(KEY), joined(self.pages(source, sample)).sort(KEY))
        assert sorted(_deleted(pages)) == keys[:2].to_list()
        assert joined(self.captured(source, sample, _behind(capture, pages))).is_empty()

    def test_captured_again_until_the_place_moves(
        self, settings: Settings, source: Connector, capture: Capture, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """What is read from the same place is the same, as often as it is read."""
        self.change(settings, seeded[:1], seeded[KEY][1:3])
        first, second = (self.captured(source, sample, capture) for _ in range(2))
        assert same(joined(first), joined(second))
        assert _deleted(first) == _deleted(second)
        assert sorted(_deleted(first)) == sorted(seeded[KEY][1:3])

    def test_captured_keys_may_change(
        self, settings: Settings, source: Connector, capture: Capture, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A record that got another key is gone under the old one and there under the new one."""
        self.rename(settings, seeded[KEY][0], 77_777)
        pages = self.captured(source, sample, capture)
        assert _deleted(pages) == [seeded[KEY][0]]
        assert joined(pages)[KEY].to_list() == [77_777]

    def test_captured_behind_every_page(
        self, settings: Settings, context: Context, source: Connector, capture: Capture, sample: Schema
    ) -> None:
        """Another connector goes on behind any page and is told exactly the rest."""
        before = joined(self.pages(source, sample)).sort(KEY)
        self.change(settings, before[3:], before[KEY][:3])
        pages = self.captured(source, sample, capture, size=2)
        for number, page in enumerate(pages, 1):
            with self.connect(settings, context) as second:
                rest = self.captured(second, sample, capture, json.loads(json.dumps(page.position)), size=2)
            parts = pages[number:]
            assert _deleted(rest) == _deleted(parts), f"resumed behind page {number}"
            assert joined(rest)[KEY].to_list() == [key for part in parts for key in part.records[KEY]]

    def test_captured_whole_behind_every_page(
        self, settings: Settings, context: Context, source: Connector, capture: Capture, sample: Schema
    ) -> None:
        """A first read goes on behind any page, too, and ends at the same place in the log."""
        pages = self.captured(source, sample, replace(capture, since=None), size=3)
        for number, page in enumerate(pages, 1):
            with self.connect(settings, context) as second:
                whole = replace(capture, since=None)
                rest = self.captured(second, sample, whole, json.loads(json.dumps(page.position)), size=3)
            keys = [key for part in pages[number:] for key in part.records[KEY]]
            assert joined(rest)[KEY].to_list() == keys
            places = [part.captured for part in (*pages, *rest) if part.captured is not None]
            assert {json.dumps(place) for place in places} == {json.dumps(pages[-1].captured)}


def _behind(capture: Capture, pages: list[Page]) -> Capture:
    return replace(capture, since=json.loads(json.dumps(pages[-1].captured)))


def _deleted(pages: list[Page]) -> list[Any]:
    return [key for page in pages if page.deleted is not None for key in page.deleted[KEY]]
