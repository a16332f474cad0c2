"""What was deleted from an entity since a moment, as its history knows it: the hub tells rules so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.casting import cast
from connectors.json_records import columns_of
from connectors.spi import Page, ReadRequest
from rules.schema import FieldType, Schema
from webapp.entities import history, storage
from webapp.entities.model import Entity
from webapp.entities.models import entity_history

GONE = "gone"
"""The member of a position that says that the records are done and the deletions come."""

CHANGED = "updated_at"


def since_of(request: ReadRequest) -> datetime | None:
    """Return the moment from which deletions are wanted; None for all, where the cursor is not the time of change."""
    cursor = request.cursor
    if cursor is None or cursor.field != CHANGED or cursor.since is None:
        return None
    moment = datetime.fromisoformat(cursor.since) if isinstance(cursor.since, str) else cursor.since
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def page(tx: sa.Connection, entity: Entity, request: ReadRequest, after: Mapping[str, Any]) -> Page | None:
    """Return the next deletions behind a position, oldest first, None where there are no more."""
    query = _query(tx, entity, since_of(request), after.get(GONE)).limit(request.page_size)
    rows = tx.execute(query).mappings().all()
    if not rows:
        return None
    position = {**after, GONE: {"at": rows[-1]["at"].isoformat(), "id": rows[-1]["id"]}}
    held = [_held(history.opened(tx, row)) for row in rows]
    return Page(request.schema.empty(), position, deleted=_frame(request.schema, held))


def _query(
    tx: sa.Connection, entity: Entity, since: datetime | None, behind: Mapping[str, Any] | None
) -> sa.Select[Any]:
    """Return the last deletion of each record that is not there any more."""
    log, table = entity_history.c, storage.table(tx, entity)
    mine = sa.and_(log.entity == entity.name, log.after.is_(sa.null()))
    latest = sa.select(sa.func.max(log.id)).where(mine).group_by(log.record_id)
    if since is not None:
        latest = latest.where(log.at >= since)
    there = sa.select(table.c.id).where(table.c.id == log.record_id).exists()
    query = sa.select(entity_history).where(log.id.in_(latest), ~there)
    if behind is not None:
        moment = datetime.fromisoformat(behind["at"])
        query = query.where((log.at > moment) | ((log.at == moment) & (log.id > behind["id"])))
    return query.order_by(log.at, log.id)


def _frame(schema: Schema, held: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return deleted records as rows of the schema: what they held last, and when they were deleted."""
    as_json = [field.name for field in schema.fields if field.type is FieldType.JSON]
    raw = columns_of(held, schema.names, as_json)
    return pl.DataFrame([cast(raw[field.name], field) for field in schema.fields])


def _held(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**(entry["before"] or {}), "id": entry["record_id"], CHANGED: entry["at"].astimezone(UTC).isoformat()}
