"""What the events of a filter are made of: who, what kind, which things, which days. Looked at are the newest ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from webapp.audit.models import audit_event
from webapp.audit.queries import Filter, conditions, heeded

LOOKED_AT = 20_000
SHOWN = 8
QUARTER = 900
"""Seconds."""


@dataclass(frozen=True)
class Facets:
    """Counts of the newest `LOOKED_AT` events, the largest first; `days` by date, the oldest first."""

    actors: tuple[tuple[str, int], ...]
    tags: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[str, int], ...]
    subjects: tuple[tuple[tuple[str, str], int], ...]
    days: tuple[tuple[str, int], ...]
    events: int

    @property
    def highest(self) -> int:
        """Return the largest count of a day."""
        return max((count for _, count in self.days), default=1)


def facets(tx: sa.Connection, wanted: Filter, zone: ZoneInfo) -> Facets:
    """Return what the events of a filter are made of; days are those of a time zone."""
    names = ("actor_name", "tag", "subject_kind", "subject")
    seconds = sa.cast(sa.extract("epoch", audit_event.c.at), sa.Numeric(20, 6))  # PostgreSQL 13 has a float
    columns = (*(audit_event.c[name] for name in names), (seconds - seconds % QUARTER).label("quarter"))
    found = (
        sa.select(*columns)
        .where(*conditions(heeded(tx, wanted)))
        .order_by(audit_event.c.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    things = _counted(tx, found.c.subject_kind, found.c.subject)
    days = _days(_counted(tx, found.c.quarter, most=LOOKED_AT), zone)
    return Facets(
        tuple(_counted(tx, found.c.actor_name)),
        tuple(_counted(tx, found.c.tag)),
        tuple(_counted(tx, found.c.subject_kind)),
        tuple(((kind, name), count) for kind, name, count in things),
        tuple(days[-90:]),
        sum(count for _, count in days),
    )


def _days(quarters: list[Any], zone: ZoneInfo) -> list[tuple[str, int]]:
    """Return the events by day, from those by quarter of an hour: with one begins a day in each time zone."""
    found: Counter[str] = Counter()
    for second, count in quarters:
        found[str(datetime.fromtimestamp(int(second), zone).date())] += count
    return sorted(found.items())


def _counted(tx: sa.Connection, *columns: sa.ColumnElement[Any], most: int = SHOWN) -> list[Any]:
    count = sa.func.count().label("events")
    query = sa.select(*columns, count).group_by(*columns).order_by(count.desc(), *columns).limit(most)
    return [tuple(row) for row in tx.execute(query)]
