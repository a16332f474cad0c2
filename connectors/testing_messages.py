"""Laws of messages: they come again until they are acknowledged, in their order, and none is lost or kept for ever."""

from __future__ import annotations

import json

import polars as pl
import pytest

from connectors.spi import Connector, Context, Page, ReadRequest
from connectors.testing_sample import KEY, TITLE, ConformanceBase, Settings, joined, same
from rules.schema import Change, Op, Schema

POISON = "this is {no record"


class MessageLaws(ConformanceBase):
    """Reading and acknowledging messages."""

    @pytest.fixture(autouse=True)
    def _needs_messages(self, request: pytest.FixtureRequest) -> None:
        if "messages" in request.node.name.split("_") and not self.connector.spec.capabilities.messages:
            pytest.skip("the connector has no messages")

    def poison(self, settings: Settings) -> None:
        """Send a message with the text `POISON` by the system's own means."""
        raise NotImplementedError

    def consumed(self, source: Connector, schema: Schema, after: Page | None = None, size: int = 3) -> list[Page]:
        """Read to the end what is to be acknowledged."""
        place = None if after is None else json.loads(json.dumps(after.position))
        return list(source.read(ReadRequest(self.object_name, schema, after=place, page_size=size, consume=True)))

    def test_messages_come_again(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """What is not acknowledged is read again by the next connection, in the same order."""
        for _ in range(2):
            with self.connect(settings, context) as source:
                assert same(joined(self.consumed(source, sample)), seeded)

    def test_messages_that_are_acknowledged_are_gone(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """What is acknowledged is not read again; all else is, also behind the place that was acknowledged."""
        rest, page = seeded, None
        while rest.height:
            with self.connect(settings, context) as source:
                pages = self.consumed(source, sample, page)
                assert same(joined(pages), rest)
                page = pages[0]
                source.acknowledge(self.object_name, json.loads(json.dumps(page.position)))
                rest = rest.tail(-page.records.height)
        with self.connect(settings, context) as source:
            assert same(joined(self.consumed(source, sample)), sample.empty())

    def test_messages_acknowledged_behind_each_page(
        self, settings: Settings, context: Context, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A read whose pages are acknowledged while it goes on meets each message once."""
        request = ReadRequest(self.object_name, sample, page_size=2, consume=True)
        met = []
        for page in source.read(request):
            met.append(page.records)
            source.acknowledge(self.object_name, page.position)
        assert same(pl.concat(met), seeded)
        assert self.content(settings, context, sample).is_empty()

    def test_messages_that_are_looked_at_stay(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A read that does not consume takes nothing away, whatever is acknowledged."""
        with self.connect(settings, context) as source:
            for page in self.pages(source, sample, size=3):
                source.acknowledge(self.object_name, page.position)
        assert same(self.content(settings, context, sample), seeded.sort(KEY))

    def test_messages_that_come_later_wait(
        self, settings: Settings, context: Context, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A read ends with the messages that were there when it began; the next one goes on behind them."""
        late = seeded.head(1).with_columns(pl.lit(999, dtype=pl.Int64).alias(KEY))
        reading = source.read(ReadRequest(self.object_name, sample, page_size=3, consume=True))
        pages = [next(reading)]
        with self.connect(settings, context) as other:
            other.write(self.object_name, sample, [Change(Op.CREATE, KEY, late)])
        pages += reading
        assert same(joined(pages), seeded)
        source.acknowledge(self.object_name, pages[-1].position)
        assert same(self.content(settings, context, sample), late)

    def test_messages_of_one_key_are_one_record(
        self, settings: Settings, context: Context, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A page holds the last word of each key: a later message takes the place of an earlier one, and counts."""
        again = seeded.head(1).with_columns(pl.lit("later").alias(TITLE))
        source.write(self.object_name, sample, [Change(Op.CREATE, KEY, again)])
        page = self.consumed(source, sample, size=1000)[0]
        assert same(page.records, pl.concat([seeded.tail(-1), again]))
        assert page.left_out == 1

    def test_messages_name_what_is_deleted(
        self, settings: Settings, context: Context, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A message that says so names its record as deleted; it takes the place of what was said before."""
        keys = seeded.select(KEY).head(2)
        source.write(self.object_name, sample, [Change(Op.DELETE, KEY, keys)])
        pages = self.consumed(source, sample, size=1000)
        assert pages[0].deleted is not None
        assert dict(pages[0].deleted.schema) == sample.dtypes()
        assert pages[0].deleted[KEY].to_list() == keys[KEY].to_list()
        assert same(joined(pages), seeded.tail(-2))
        assert not any(page.rejects for page in pages)

    def test_messages_that_cannot_be_read(
        self, settings: Settings, context: Context, source: Connector, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A message that is no record is told with its whole text, at the same place each time, until acknowledged."""
        self.poison(settings)
        told = []
        for _ in range(2):
            with self.connect(settings, context) as other:
                pages = self.consumed(other, sample)
                told.append([reject for page in pages for reject in page.rejects])
                assert same(joined(pages), seeded)
        assert [reject.raw for reject in told[0]] == [POISON]
        assert str(told[0][0].message)
        assert [reject.place for reject in told[0]] == [reject.place for reject in told[1]]
        pages = self.consumed(source, sample)
        source.acknowledge(self.object_name, pages[-1].position)
        assert not self.consumed(source, sample)[0].rejects
