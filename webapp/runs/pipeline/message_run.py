"""A run whose source holds messages: each page is acknowledged once what became of it is durable.

A message is no record that stays: it cannot be looked up, what it does not name is not gone, and what it says is gone
is taken away at once, in the order of the messages. Messages that come again after a crash find their records as they
left them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from connectors.errors import Retriable
from connectors.spi import Connector, Page, ReadRequest
from rules.documents.sync import SideName
from rules.reconcile.tombstones import told
from rules.schema import Schema
from rules.text import N_, msg
from webapp.runs.pipeline.absent import Absent
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.told import deleted_keys
from webapp.runs.pipeline.writing import Target


class MessageExecution(Execution):
    """One worker's work on one run that reads messages."""

    def __init__(self, *run: Any) -> None:
        super().__init__(*run)
        self.full = False  # one key may have several messages, and there is no whole of them

    def _work(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        planner.full = False
        self._reader = reader
        super()._work(reader, planner, target)

    def _start(self, reader: Connector, schema: Schema) -> None:
        """Read what is there: what was acknowledged is not."""

    def _correlate(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        """Partners are looked up page by page."""

    def _recollect(self, planner: Planner) -> None:
        super()._recollect(planner)
        self._parked = None  # a parked message is replayed from what was kept of it

    def _remove_absent(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        """Nothing is gone only because no message names it."""

    def _sent(self, reader: Connector, request: ReadRequest, *_: object) -> Iterator[Page]:
        """Yield the pages one by one: a broker holds back messages while others are not acknowledged."""
        return pages(reader, replace(request, consume=self._consumes), self.retry)

    @property
    def _consumes(self) -> bool:
        return self.claim.live and self.claim.kind == "sync"

    def _handle(self, page: Page, _no: int, high: object, planner: Planner, target: Target[Links]) -> None:
        """Do what a page says, first of its records, then of those that are gone, and acknowledge it."""
        before = self.journal.place[0] or {}
        within = page if page.deleted is None else replace(page, position=before)
        super()._handle(within, self.journal.chunks + 1, high, planner, target)
        gone = self._gone(page, planner, target)
        if gone is not None:
            self._finish_absent(gone, planner, target, target.links)
        if self._consumes:
            self._acknowledge(page)

    def _gone(self, page: Page, planner: Planner, target: Target[Links]) -> Chunk | None:
        """Return what is done about the records that a page says are gone, None where that is nothing."""
        if page.deleted is None or not told(self.rule, SideName(self.sides.source_name)):
            return None
        ends = (self._reader, self._receiver(planner, target))
        absent = Absent(self.rule, planner, *ends, self.retry, self.house.settings.page_size)
        if absent.action is None:
            return None
        chunk = absent.chunk(deleted_keys(page, self.sides.source_key), target.links, self.journal.chunks + 1)
        return replace(chunk, position=dict(page.position))

    def _acknowledge(self, page: Page) -> None:
        try:
            self._reader.acknowledge(self.sides.source.object, page.position)
        except Retriable as error:
            text = N_("Messages could not be acknowledged and will come again, which changes nothing: {problem}")
            self.journal.log("warning", msg(text, problem=error.message))
