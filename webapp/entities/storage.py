"""The tables that hold records: built from the stored definition, cached by name and version.

A definition is read at most once a process and version, so that a change is in force everywhere at the next request.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from rules.schema import Field
from webapp.entities import search
from webapp.entities.columns import column_type
from webapp.entities.documents import build
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity as entity_table
from webapp.entities.models import entity_version
from webapp.entities.sealed import PLAIN_COLUMN, Seal, Sealed, index_column, is_exact, plain_column

_MAX_NAME = 63
_definitions: WeakKeyDictionary[sa.Pool, dict[tuple[str, int], Entity]] = WeakKeyDictionary()


IndexSpec = tuple[str, tuple[str, ...], bool]
"""Name, columns, unique."""


class NoEntity(LookupError):
    """There is no entity of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no entity '{name}'.")
        self.name = name


def current(tx: sa.Connection, name: str, *, lock: bool = False) -> Entity:
    """Return the entity in force; raises `NoEntity`.

    With `lock` no definition change can come between until the transaction ends (PostgreSQL; on SQLite the
    transaction itself is the lock).
    """
    query = sa.select(entity_table.c.version).where(entity_table.c.name == name, entity_table.c.state == "active")
    version = tx.scalar(query.with_for_update(read=True) if lock else query)
    if version is None:
        raise NoEntity(name)
    return definition(tx, name, version)


def every(tx: sa.Connection) -> list[Entity]:
    """Return the entities in force, sorted by name."""
    query = sa.select(entity_table.c.name, entity_table.c.version).where(entity_table.c.state == "active")
    return [definition(tx, row.name, row.version) for row in tx.execute(query.order_by(entity_table.c.name)).all()]


def definition(tx: sa.Connection, name: str, version: int) -> Entity:
    """Return one version of an entity's definition."""
    known = _definitions.setdefault(tx.engine.pool, {})
    found = known.get((name, version))
    if found is None:
        query = sa.select(entity_version.c.definition)
        stored = query.where(entity_version.c.name == name, entity_version.c.version == version)
        found = build(tx.execute(stored).one().definition, version)
        if not tx.get_execution_options().get("syncline_write"):
            known[name, version] = found  # only what is committed may be remembered
    return found


def table(tx: sa.Connection, entity: Entity) -> sa.Table:
    """Return the table that holds the entity's records."""
    return build_table(entity, tx.dialect.name)


def stored(tx: sa.Connection, entity: Entity) -> sa.Table:
    """Return that table as the database has it, for changes of the table itself."""
    return build_stored(entity, tx.dialect.name)


@lru_cache(maxsize=500)
def build_table(entity: Entity, dialect: str) -> sa.Table:
    """Return the table of an entity on a dialect, as it is asked: encrypted fields look like any other."""
    physical = build_stored(entity, dialect)
    if not any(field.sealed for field in entity.fields):
        return physical
    asked = [column(entity, field) for field in entity.schema.fields]
    result = sa.Table(entity.table_name, sa.MetaData(), *asked, info={"stored": physical})
    if search.COLUMN in physical.c:
        result.append_column(sa.Column(search.COLUMN, postgresql.TSVECTOR()))
    return result


@lru_cache(maxsize=500)
def build_stored(entity: Entity, dialect: str) -> sa.Table:
    """Return the table of an entity as the database has it, with its indexes, in a metadata of its own."""
    result = sa.Table(entity.table_name, sa.MetaData(), *columns(entity))
    for index_name, names, unique in index_names(entity):
        make_index(result, index_name, names, unique=unique)
    if dialect == "postgresql" and entity.searchable:
        result.append_column(sa.Column(search.COLUMN, postgresql.TSVECTOR()))
        sa.Index(search.index_name(entity), result.c[search.COLUMN], postgresql_using="gin")
    return result


def columns(entity: Entity) -> list[sa.Column[Any]]:
    """Return new columns of the entity's table as the database has it."""
    made: list[sa.Column[Any]] = []
    for field in entity.schema.fields:
        seal = seal_of(entity, field.name)
        made += [column(entity, field)] if seal is None else seal.columns()
    return made


def column(entity: Entity, field: Field) -> sa.Column[Any]:
    """Return a new column for a field."""
    owner, seal = entity.owner_of.get(field.name), seal_of(entity, field.name)
    nullable = field.nullable or (owner is not None and owner.computed != "")
    identity = () if field.name != "id" else (sa.Identity(always=False),)
    kind = column_type(field) if seal is None else Sealed(seal)
    return sa.Column(field.name, kind, *identity, nullable=nullable, primary_key=field.name == "id")


def seal_of(entity: Entity, name: str) -> Seal | None:
    """Return how a column is kept that is encrypted, or on the way; of money that is the amount."""
    owner = entity.by_name.get(name)
    if owner is None or not owner.sealed:
        return None
    return Seal(entity.name, owner.sealed, entity.key, owner.fields[0], owner.encrypted)


def index_names(entity: Entity) -> list[IndexSpec]:
    """Return (name, columns, unique) of every index; a list is sorted by (column, id)."""
    found: list[IndexSpec] = [(index_name(entity, "updated_at", unique=False), ("updated_at", "id"), False)]
    for field in entity.fields:
        found += field_indexes(entity, field)
    for validation in entity.validations:
        if validation.unique:  # no field's name begins with an underscore
            found.append(
                (
                    index_name(entity, f"_{validation.name}", unique=False),
                    stored_names(entity, validation.unique),
                    False,
                )
            )
    return found


def field_indexes(entity: Entity, field: EntityField) -> list[IndexSpec]:
    """Return the indexes that a field calls for."""
    if field.sealed:
        return _sealed_indexes(entity, field)
    found: list[IndexSpec] = []
    if field.unique:
        names = (field.name, field.currency_name) if field.kind is Kind.MONEY else (field.name,)
        found.append((index_name(entity, field.name, unique=True), names, True))
    if field.has_index:
        found.append((index_name(entity, field.name, unique=False), (field.name, "id"), False))
    return found


def _sealed_indexes(entity: Entity, field: EntityField) -> list[IndexSpec]:
    """Return those of an encrypted field; what is not encrypted (yet) is looked for, too."""
    if not is_exact(field.sealed):
        return []
    more = (field.currency_name,) if field.unique and field.kind is Kind.MONEY else ()
    names = (index_column(field.sealed), plain_column(field.sealed))
    return [(index_name(entity, name, unique=field.unique), (name, *more), field.unique) for name in names]


def stored_names(entity: Entity, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns by which the database finds records that have the same values in some fields."""
    return tuple(_compared(name, seal_of(entity, name)) for name in names)


def _compared(name: str, seal: Seal | None) -> str:
    if seal is None:
        return name
    return seal.index if seal.exact else seal.plain


def make_index(table: sa.Table, name: str, names: tuple[str, ...], *, unique: bool) -> sa.Index:
    """Return an index on the table; of columns that are mostly empty, over the records that have a value."""
    first = table.c[names[0]]
    some = first.is_not(None) if names[0].startswith(PLAIN_COLUMN) else None
    return sa.Index(name, *(table.c[n] for n in names), unique=unique, sqlite_where=some, postgresql_where=some)


def index_name(entity: Entity, field: str, *, unique: bool) -> str:
    """Return the name of an index, short enough for PostgreSQL."""
    name = f"{'uq' if unique else 'ix'}_{entity.table_name}_{field}"
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:50]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
