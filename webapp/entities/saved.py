"""Saved views of lists: filters, search, sort and columns under a name, for oneself or for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities.models import entity_view
from webapp.extensions import Actor, House


def views(tx: sa.Connection, name: str, owner: str) -> list[sa.RowMapping]:
    """Return the views of an entity's list that a person sees: their own and the shared ones, by name."""
    mine = sa.or_(entity_view.c.owner == owner, entity_view.c.shared)
    query = sa.select(entity_view).where(entity_view.c.entity == name, mine).order_by(entity_view.c.name)
    return list(tx.execute(query).mappings())


def save(house: House, name: str, title: str, query: Mapping[str, Any], actor: Actor, *, shared: bool) -> int:
    """Keep a view under `title`; an own view of this title is replaced. Returns its id."""
    with house.db.begin() as tx:
        own = sa.and_(entity_view.c.entity == name, entity_view.c.owner == actor.name, entity_view.c.name == title)
        before = tx.execute(sa.select(entity_view).where(own)).mappings().first()
        values = {"query": dict(query), "shared": shared}
        if before:
            tx.execute(sa.update(entity_view).where(own).values(values))
            view_id = int(before["id"])
        else:
            values |= {"entity": name, "owner": actor.name, "name": title}
            key = tx.execute(sa.insert(entity_view).values(values)).inserted_primary_key
            view_id = int(key[0]) if key else 0
        if shared or (before and before["shared"]):
            after = {"name": title, **values["query"], "shared": shared}  # type: ignore[dict-item]
            record(tx, actor, house.clock(), Event(Tag.VIEW_SAVED, Subject("entity", name), None, after))
        return view_id


def remove(house: House, view_id: int, actor: Actor) -> str | None:
    """Delete one's own view; returns the entity's name, None where there is no such view."""
    with house.db.begin() as tx:
        own = sa.and_(entity_view.c.id == view_id, entity_view.c.owner == actor.name)
        found = tx.execute(sa.select(entity_view).where(own)).mappings().first()
        if found is None:
            return None
        tx.execute(sa.delete(entity_view).where(own))
        if found["shared"]:
            event = Event(Tag.VIEW_DELETED, Subject("entity", found["entity"]), {"name": found["name"]}, None)
            record(tx, actor, house.clock(), event)
        return str(found["entity"])
