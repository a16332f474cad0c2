"""The versions of definitions: which there are, and how another one comes."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.entities.documents import stored_document
from webapp.entities.history import Author
from webapp.entities.model import Entity
from webapp.entities.models import entity as entity_table
from webapp.entities.models import entity_version


def every(tx: sa.Connection, name: str) -> list[sa.RowMapping]:
    """Return every version of a definition, latest first."""
    query = sa.select(entity_version).where(entity_version.c.name == name)
    return list(tx.execute(query.order_by(entity_version.c.version.desc())).mappings())


def changed(tx: sa.Connection) -> dict[str, sa.RowMapping]:
    """Return when and by whom the definition in force of each entity was made."""
    columns = (entity_version.c.name, entity_version.c.at, entity_version.c.actor)
    same = sa.and_(entity_version.c.name == entity_table.c.name, entity_version.c.version == entity_table.c.version)
    rows = tx.execute(sa.select(*columns).join_from(entity_version, entity_table, same)).mappings()
    return {row["name"]: row for row in rows}


def lock(tx: sa.Connection, name: str) -> None:
    """Wait for writers of the entity's records, and keep new ones out until the definition is in force."""
    tx.execute(sa.select(entity_table.c.version).where(entity_table.c.name == name).with_for_update())


def store(tx: sa.Connection, new: Entity, author: Author) -> int:
    """Put a definition in force and return the number of its version."""
    last = tx.scalar(sa.select(sa.func.max(entity_version.c.version)).where(entity_version.c.name == new.name))
    version = (last or 0) + 1
    if last is None:
        tx.execute(sa.insert(entity_table).values(name=new.name, version=version, state="active"))
    else:
        tx.execute(
            sa.update(entity_table).where(entity_table.c.name == new.name).values(version=version, state="active")
        )
    values = {
        "name": new.name,
        "version": version,
        "definition": stored_document(new),
        "at": author.at,
        "actor": author.actor.name[:128],
    }
    tx.execute(sa.insert(entity_version).values(values))
    return version
