"""Connections in the database: rows read and written inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.spi import Step
from rules.text import Message
from webapp.connections.catalogue import HUB
from webapp.connections.errors import ConnectionMissing
from webapp.connections.models import connection, connection_object


@dataclass(frozen=True)
class ConnectionRow:
    """A stored connection; its secrets are references. The hub has no row and version 0."""

    id: int
    name: str
    label: str
    connector: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    granted_roots: tuple[Path, ...] = ()
    note: str = ""
    preset: str = ""
    limits: Mapping[str, int] | None = None
    version: int = 0
    created_at: datetime | None = None
    created_by: str = ""
    updated_at: datetime | None = None
    updated_by: str = ""
    last_check: tuple[Step, ...] = ()
    last_check_at: datetime | None = None
    discovered_at: datetime | None = None

    @property
    def builtin(self) -> bool:
        """Tell whether this is the hub."""
        return self.name == HUB

    @property
    def title(self) -> str:
        """Return what a person calls it."""
        return self.label or self.name

    @property
    def state(self) -> str:
        """Return what the last test said: ok, failed, untested; the hub is always ok."""
        if self.builtin:
            return "ok"
        if not self.last_check:
            return "untested"
        return "ok" if all(step.ok for step in self.last_check) else "failed"


THE_HUB = ConnectionRow(0, HUB, "Syncline", HUB)


def list_connections(tx: sa.Connection) -> list[ConnectionRow]:
    """Return all connections, the hub first, then by name."""
    return [THE_HUB, *map(_row, tx.execute(sa.select(connection).order_by(connection.c.name)))]


def known_objects(tx: sa.Connection, limit: int = 500) -> list[tuple[str, str]]:
    """Return (connection, object) of what was discovered so far, by name."""
    query = sa.select(connection.c.name, connection_object.c.name).join(
        connection_object, connection_object.c.connection_id == connection.c.id
    )
    ordered = query.order_by(connection.c.name, connection_object.c.name).limit(limit)
    return [(row[0], row[1]) for row in tx.execute(ordered)]


def find_connection(tx: sa.Connection, name: str) -> ConnectionRow | None:
    """Return the connection called `name`, or None."""
    if name == HUB:
        return THE_HUB
    found = tx.execute(sa.select(connection).where(connection.c.name == name)).one_or_none()
    return None if found is None else _row(found)


def get_connection(tx: sa.Connection, name: str) -> ConnectionRow:
    """Return the connection called `name`; raises `ConnectionMissing`."""
    found = find_connection(tx, name)
    if found is None:
        raise ConnectionMissing(name)
    return found


def insert(tx: sa.Connection, values: Mapping[str, Any]) -> None:
    """Store a new connection."""
    tx.execute(sa.insert(connection).values(**values, version=1))


def replace(tx: sa.Connection, row: ConnectionRow, values: Mapping[str, Any]) -> bool:
    """Store new values in place of `row`; False if somebody else was faster. What was found by the old is forgotten."""
    same = sa.and_(connection.c.id == row.id, connection.c.version == row.version)
    changed = tx.execute(sa.update(connection).where(same).values(**values, version=row.version + 1)).rowcount
    return bool(changed)


def remove(tx: sa.Connection, row: ConnectionRow) -> None:
    """Delete a connection; what was found in it goes with it."""
    tx.execute(sa.delete(connection).where(connection.c.id == row.id))


def note_check(tx: sa.Connection, row: ConnectionRow, steps: list[Step], at: datetime) -> None:
    """Keep the steps of a test; no new version, since nothing was configured."""
    plain = [{"name": s.name, "ok": s.ok, "detail": s.detail.to_json()} for s in steps]
    same = sa.and_(connection.c.id == row.id, connection.c.version == row.version)
    tx.execute(sa.update(connection).where(same).values(last_check=plain, last_check_at=at))


def _row(row: sa.Row[Any]) -> ConnectionRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["granted_roots"] = tuple(Path(text) for text in values["granted_roots"])
    values["last_check"] = tuple(
        Step(s["name"], s["ok"], Message.from_json(s["detail"])) for s in values["last_check"] or ()
    )
    return ConnectionRow(**values)
