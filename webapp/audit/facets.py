"""What the events of a filter are made of: who, what kind, which things, which days. Looked at are the newest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from webapp.audit.models import audit_event
from webapp.audit.queries import Filter, conditions, heeded

LOOKED_AT = 20_000
SHOWN = 8


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


def facets(tx: sa.Connection, wanted: Filter) -> Facets:
    """Return what the events of a filter are made of."""
    names = ("actor_name", "tag", "subject_kind", "subject")
    columns = (*(audit_event.c[name] for name in names), sa.cast(sa.func.date(audit_event.c.at), sa.Text).label("day"))
    found = (
        sa.select(*columns)
        .where(*conditions(heeded(tx, wanted)))
        .order_by(audit_event.c.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    things = _counted(tx, found.c.subject_kind, found.c.subject)
    days = sorted(_counted(tx, found.c.day, most=LOOKED_AT))
    return Facets(
        tuple(_counted(tx, found.c.actor_name)),
        tuple(_counted(tx, found.c.tag)),
        tuple(_counted(tx, found.c.subject_kind)),
        tuple(((kind, name), count) for kind, name, count in things),
        tuple((str(day), count) for day, count in days)[-90:],
        sum(count for _, count in days),
    )


def _counted(tx: sa.Connection, *columns: sa.ColumnElement[Any], most: int = SHOWN) -> list[Any]:
    count = sa.func.count().label("events")
    query = sa.select(*columns, count).group_by(*columns).order_by(count.desc(), *columns).limit(most)
    return [tuple(row) for row in tx.execute(query)]
