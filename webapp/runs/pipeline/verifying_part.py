"""Which records of the first side a comparison looks at: all, a part of them, or a sample.

Where only some are looked at, the second side is not read: nobody could tell which of its records have no partner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.spi import Page, ReadRequest
from rules.language.library import Library
from rules.reconcile.one_way import key_text
from webapp.runs.pipeline.part import Part
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.verifying_ends import End
from webapp.runs.pipeline.verifying_pages import Result


class Chosen:
    """What the parameters of a comparison choose; `tell` is given of how many records that cannot be said."""

    def __init__(
        self, parameters: Mapping[str, Any] | None, library: Library, retry: Retry, tell: Callable[[int], None]
    ) -> None:
        self._given, self._library = parameters or {}, library
        self._retry, self._tell = retry, tell

    @property
    def whole(self) -> bool:
        """Tell whether all records of both sides are looked at."""
        return not self._given

    def pages(self, end: End, request: ReadRequest) -> Iterator[Page]:
        """Yield the chosen records of a side."""
        sample = self._given.get("sample")
        if sample:
            return self._sample(end, request, int(sample))
        if self._given:
            part = Part(self._given, end.schema, self._library)
            return part.pages(end.connector, request, self._retry, self._tell)
        return pages(end.connector, request, self._retry)

    def _sample(self, end: End, request: ReadRequest, wanted: int) -> Iterator[Page]:
        """Yield about so many records, spread over all by their keys; the same ones as long as the side is the same."""
        step = max(1, (self.records(end) or 0) // wanted)
        left = wanted
        for page in pages(end.connector, request, self._retry):
            keys = key_text(page.records[end.key])
            taken = (keys.hash() % step == 0).fill_null(value=False).arg_true().head(left)
            left -= len(taken)
            yield Page(page.records[taken], page.position)
            if not left:
                return

    def records(self, end: End) -> int | None:
        """Return how many records a side says it has."""
        found = self._retry(end.connector.objects)
        return next((one.records for one in found if one.name == end.object), None)


def beside(result: Result, second: End) -> Result:
    """Return the partners that were met for a page as what was found on the second side, which is not read itself."""
    rows = result.partner.is_not_null().arg_true()
    none = pl.repeat(None, len(rows), dtype=pl.UInt64, eager=True)
    keys = result.partner[rows]
    return replace(
        result,
        side=second.name,
        records=result.records[rows],
        keys=keys,
        partner=pl.repeat(None, len(rows), dtype=pl.String, eager=True),
        found=result.found[rows],
        first=none,
        second=none,
        unread=0,
        fields=(),
        one_way_only=0,
        waits=result.waits[rows],
    )
