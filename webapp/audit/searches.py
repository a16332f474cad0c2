"""Saved searches of the audit log: private, or shared with all who may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from webapp.audit.models import audit_search
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House


@dataclass(frozen=True)
class Search:
    """A saved search; `query` are the parameters of the page."""

    id: int
    name: str
    owner: str
    shared: bool
    query: Mapping[str, str]


def of(tx: sa.Connection, owner: str) -> list[Search]:
    """Return one's own searches and those that others share, by name."""
    mine = sa.or_(audit_search.c.owner == owner, audit_search.c.shared)
    rows = tx.execute(sa.select(audit_search).where(mine).order_by(audit_search.c.name, audit_search.c.id))
    return [Search(row.id, row.name, row.owner, row.shared, row.query) for row in rows]


def save(house: House, name: str, query: Mapping[str, str], actor: Actor, *, shared: bool) -> None:
    """Keep a search under a name; an own one of this name is replaced."""
    mine = (audit_search.c.owner == actor.name, audit_search.c.name == name)
    values = {"query": dict(query), "shared": shared}
    with house.db.begin() as tx:
        known = tx.execute(sa.select(audit_search.c.shared).where(*mine)).one_or_none()
        if known is None:
            tx.execute(sa.insert(audit_search).values(owner=actor.name, name=name, **values))
        else:
            tx.execute(sa.update(audit_search).where(*mine).values(values))
        if shared or (known and known.shared):
            record(tx, actor, house.clock(), Event(Tag.SEARCH_SAVED, Subject("search", name), after=values))


def delete(house: House, number: int, actor: Actor) -> bool:
    """Forget an own search; False where one has none of this number."""
    mine = (audit_search.c.id == number, audit_search.c.owner == actor.name)
    with house.db.begin() as tx:
        row = tx.execute(sa.delete(audit_search).where(*mine).returning(audit_search)).one_or_none()
        if row is not None and row.shared:
            event = Event(Tag.SEARCH_DELETED, Subject("search", row.name), before={"query": row.query})
            record(tx, actor, house.clock(), event)
    return row is not None
