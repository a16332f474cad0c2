"""Reading the lists of a web service as pages of typed records, all of them or what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Asked, Batch, State
from connectors.builtin.rest_parents import batches
from connectors.builtin.rest_since import asked_since
from connectors.sorted_changes import Sought, since_of, sorted_changes
from connectors.spi import Cursor, Page, Position, ReadRequest

_ENOUGH = 8 * 1024 * 1024
"""Bytes of records that become a page at the latest."""


class Reading:
    """One scan of an object."""

    def __init__(self, calls: Calls, described: RestObject, request: ReadRequest) -> None:
        self.calls = calls
        self.described = described
        self.request = request
        self.columns = Columns(request.schema, described)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        return self._changed(self.request.cursor) if self.request.cursor else self._all(Asked(), self.request.after)

    def _all(self, asked: Asked, behind: Position | None) -> Iterator[Page]:
        """Yield the list in the service's own order; a position is an answer's state and the records taken from it.

        Small answers are put together to pages, because a page costs more than a record.
        """
        after = {"state": None, "skip": 0, "first": 1, "done": False, **(behind or {})}
        skip, part, size, given = int(after["skip"]), list[Raw](), 0, False
        source = iter(()) if after["done"] else self.batches(asked, after["state"])
        for batch in source:
            taken, skip = skip, 0
            while taken < len(batch.records):
                piece = batch.records[taken : taken + self.request.page_size - len(part)]
                part += piece
                taken += len(piece)
                size += len(memoryview(piece[0])) * len(piece)  # about: records of a list are alike
                if len(part) == self.request.page_size or size > _ENOUGH:
                    after |= {"state": batch.state, "skip": taken, "done": False}
                    if taken == len(batch.records):
                        after |= {"state": batch.next, "skip": 0, "done": batch.next is None}
                    yield self._page(part, after)
                    part, size, given = [], 0, True
            after |= {"state": batch.next, "skip": 0, "done": batch.next is None}
        if part or not given:
            yield self._page(part, after | {"done": True})

    def batches(self, asked: Asked, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on; a service that is asked in another way has its own."""
        return batches(self.calls, self.described, replace(asked, ahead=True), state)

    def _page(self, part: list[Raw], after: dict[str, Any]) -> Page:
        """Return the page of records that ends at a place, and count them there."""
        page = self.columns.page(part, after["first"])
        after["first"] += len(part)
        return replace(page, position=dict(after))

    def _changed(self, cursor: Cursor) -> Iterator[Page]:
        """Yield the records from the cursor's value on; a service that ignores its filter sends everything."""
        asked = asked_since(self.described.since, since_of(self.request, cursor))
        yield from sorted_changes(self._all(asked, None), self.request, cursor, self.sought(asked))

    def sought(self, asked: Asked) -> Sought:
        """Return what the service leaves out if it does what it is asked."""
        parameters = "&".join(f"{name}={value}" for name, value in {**asked.query, **asked.body}.items())
        return Sought(parameters, self.described.since.lookback if self.described.since else 0)
