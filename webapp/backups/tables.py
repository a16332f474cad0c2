"""Which tables make up an installation: Flask-AppBuilder's, the rooms', and one for each entity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from webapp.access.models import FAB_METADATA
from webapp.entities import search, storage
from webapp.entities.columns import Exact
from webapp.entities.model import Entity
from webapp.extensions import UtcDateTime
from webapp.migrations.tables import all_tables


@dataclass(frozen=True)
class Stored:
    """A table and, where it holds an entity's records, the entity."""

    table: sa.Table
    entity: Entity | None = None

    @property
    def name(self) -> str:
        """Return the table's name."""
        return self.table.name

    @cached_property
    def plain(self) -> sa.Table:
        """Return the table as the database has it: what our types encrypt stays encrypted."""
        return sa.Table(self.name, sa.MetaData(), *(_plain(column) for column in self.table.columns))

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """Return the columns that are kept; what a search needs is made anew."""
        return [column for column in self.plain.columns if column.name != search.COLUMN]


def _plain(column: sa.Column[Any]) -> sa.Column[Any]:
    kind: Any = column.type
    if isinstance(kind, sa.types.TypeDecorator) and not isinstance(kind, (UtcDateTime, Exact)):
        kind = kind.impl_instance
    return sa.Column(column.name, kind, primary_key=column.primary_key)


def rooms() -> list[Stored]:
    """Return the tables that every installation has, those that others refer to first."""
    return [Stored(table) for metadata in (FAB_METADATA, all_tables()) for table in metadata.sorted_tables]


def of_entities(tx: sa.Connection) -> list[Stored]:
    """Return the tables of the entities in force."""
    asked = [(storage.table(tx, entity), entity) for entity in storage.every(tx)]
    return [Stored(table.info.get("stored", table), entity) for table, entity in asked]  # encrypted fields stay so
