"""Laws of reading ranges of keys."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import polars as pl
import pytest

from connectors.ranges import Ranged, ranges
from connectors.spi import Connector, ReadRequest
from connectors.testing_read import ReadLaws
from connectors.testing_sample import KEY, joined, same
from rules.predicate import Compare, Test
from rules.schema import Schema


class RangeLaws(ReadLaws):
    """Reading an object range by range."""

    @pytest.fixture(autouse=True)
    def _needs_ranges(self, request: pytest.FixtureRequest) -> None:
        if "ranges" in request.node.name and not self.connector.spec.capabilities.ranges:
            pytest.skip("the connector reads no ranges")

    @pytest.mark.parametrize("every", [1, 2, 3, 1000])
    @pytest.mark.parametrize("size", [2, 1000])
    def test_ranges_are_the_whole(
        self, source: Connector, seeded: pl.DataFrame, sample: Schema, every: int, size: int
    ) -> None:
        """All ranges together are the whole, each record in one of them, with so many records each."""
        cuts = cast(Ranged, source).cuts(self.object_name, KEY, every)
        assert list(cuts) == pl.Series(cuts).unique().sort().to_list()
        requests = (ReadRequest(self.object_name, sample, page_size=size, within=one) for one in ranges(KEY, cuts))
        found = [joined(list(source.read(request))) for request in requests]
        assert same(pl.concat(found), joined(self.pages(source, sample)))
        assert {one.height for one in found[:-1]} <= {every}
        assert 0 < found[-1].height <= every

    def test_ranges_go_with_filters_and_places(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """A read of a range goes on behind each of its pages, and counts what a filter leaves out of it."""
        (middle,) = cast(Ranged, source).cuts(self.object_name, KEY, -(-seeded.height // 2))
        for within in ranges(KEY, [middle]):
            request = ReadRequest(self.object_name, sample, page_size=2, within=within)
            pages = list(source.read(request))
            for number, page in enumerate(pages, 1):
                rest = joined(list(source.read(replace(request, after=page.position))))
                assert same(rest, pl.concat([sample.empty(), *(later.records for later in pages[number:])]))
            filtered = replace(
                request, filter=source.filterable(replace(request, filter=Compare(KEY, Test.MORE, middle)))
            )
            told = list(source.read(filtered))
            assert joined(told).height + sum(page.left_out for page in told) == joined(pages).height
