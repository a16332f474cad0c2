"""Where a run's records come from: the source system, or the quarantine when records are replayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.errors import Retriable
from connectors.spi import Capture, Connector, Cursor, Page, ReadRequest, Reject
from rules.documents.sync import Detect, DetectBy
from rules.schema import Schema
from rules.text import Message
from webapp.extensions import Database
from webapp.runs.models import quarantine
from webapp.runs.pipeline.codec import from_texts, typed_value
from webapp.runs.pipeline.overlap import closed
from webapp.runs.pipeline.retry import Retry

FIRST = 1_000
PAGE_BYTES = 4 * 1024 * 1024

Start = Cursor | Capture
"""Where a read begins that does not read everything."""


def cursor_of(detect: Detect, key: str, since: Any) -> Cursor | None:
    """Return the cursor to read with: it starts one overlap before the value that the last run ended at."""
    if detect.by is not DetectBy.CURSOR or detect.field is None:
        return None
    start = since - detect.overlap_time if isinstance(since, datetime) else since
    if isinstance(since, date) and not isinstance(since, datetime):
        start = since - max(detect.overlap_time, timedelta(days=1))
    return Cursor(detect.field, detect.tie or key, start)


def begun(request: ReadRequest, start: Start | None) -> ReadRequest:
    """Return a request that reads from a start on."""
    return replace(request, capture=start) if isinstance(start, Capture) else replace(request, cursor=start)


def high_of(schema: Schema, start: Start | None, stored: Any) -> Any:
    """Return how far a run has read, as `highest` compares it."""
    return typed_value(schema, start.field, stored) if isinstance(start, Cursor) else stored


def pages(source: Connector, request: ReadRequest, retry: Retry, room: int = PAGE_BYTES) -> Iterator[Page]:
    """Yield the pages of a source; a read that breaks off goes on behind the last page.

    The first page is a small one. It tells how large the records are, and the next ones hold as many as fit into
    `room` bytes, at most what the request asks for.
    """
    after, size = request.after, min(request.page_size, FIRST)
    failures = 0
    while True:
        try:
            with closed(source.read(replace(request, after=after, page_size=size))) as read:
                for page in read:
                    for note in page.notes:
                        retry.note(note)
                    yield page
                    after, failures = page.position, 0
                    fits = _fitting(page, size, (request.page_size, room))
                    if fits != size:
                        size = fits
                        break
                else:
                    return
        except Retriable as error:
            failures += 1
            if failures > retry.times:
                raise
            retry.pause(error, failures)


def _fitting(page: Page, size: int, most: tuple[int, int]) -> int:
    """Return how many records to read at a time: as before, unless a full page is far too small or too large.

    `most` are the most records, and the most bytes.
    """
    if page.records.height < size:
        return size
    bytes_each = max(1, int(page.records.estimated_size()) // page.records.height)
    fits = max(1, min(most[0], most[1] // bytes_each))
    return fits if fits >= 2 * size or fits * 2 <= size else size


def whole(source: Connector, request: ReadRequest, retry: Retry) -> pl.DataFrame:
    """Return all records that a request reads."""
    return pl.concat([page.records for page in pages(source, request, retry)])


def highest(page: Page, cursor: Start | None, high: Any) -> Any:
    """Return the highest cursor value, or the furthest place in a log, read so far."""
    if cursor is None:
        return high
    if isinstance(cursor, Capture):
        return high if page.captured is None else dict(page.captured)
    told = [page.records] if page.deleted is None else [page.records, page.deleted]
    values = [v for v in (*(frame[cursor.field].max() for frame in told), high) if v is not None]
    return max(values) if values else None


def replayed(db: Database, ids: tuple[int, ...], schema: Schema, size: int, done: int) -> Iterator[Page]:
    """Yield the quarantined records `ids` behind the first `done`, as a person corrected them.

    What was settled or discarded since is left out: the target may hold newer values by now.
    """
    for start in range(done, len(ids), size):
        part = ids[start : start + size]
        with db.read() as tx:
            rows = tx.execute(
                sa.select(quarantine).where(quarantine.c.id.in_(part), quarantine.c.state == "open")
            ).all()
        found = {row.id: row for row in rows}
        for number, entry in enumerate(part, start + 1):
            if entry in found:
                yield _single(found[entry], schema, number)


def _single(row: sa.Row[Any], schema: Schema, number: int) -> Page:
    """Return a page of one record: one that fails must not shift the numbers of the others."""
    text, position = row.edited or row.record, {"replayed": number}
    if text is None:
        return Page(schema.empty(), position, (Reject(row.place, row.raw or "", Message.from_json(row.reason)),))
    records, errors = from_texts([text], schema)
    if errors:
        name, message = errors[0]
        return Page(schema.empty(), position, (Reject(row.place, text, message, name),))
    return Page(records.select(schema.names), position)
