"""Bring an entity's table from one definition to the next, through Alembic's operations on the live connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from webapp.entities import bulk, fitting, indexes, search, storage
from webapp.entities.columns import column_type
from webapp.entities.diff import FieldChange
from webapp.entities.history import Author
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity as entity_table
from webapp.entities.plan import Plan
from webapp.entities.records import default_value


def apply(tx: sa.Connection, plan: Plan, author: Author) -> None:
    """Carry out a plan that is not blocked."""
    if plan.old is None:
        create(tx, plan.new)
    else:
        _Change(tx, plan.old, plan.new, author).run(plan.changes)


def drop(tx: sa.Connection, entity: Entity) -> None:
    """Drop the table of an entity; the highest id is kept, so that a later entity of this name goes on behind it."""
    op = _operations(tx)
    table = storage.table(tx, entity)
    last = tx.scalar(sa.select(sa.func.max(table.c.id))) or 0
    row = sa.update(entity_table).where(entity_table.c.name == entity.name)
    tx.execute(
        row.values(last_id=sa.case((entity_table.c.last_id > last, entity_table.c.last_id), else_=last), records=0)
    )
    op.drop_table(entity.table_name)
    if tx.dialect.name == "sqlite" and entity.searchable:
        op.execute(f'DROP TABLE "{search.index_name(entity)}"')


def _operations(tx: sa.Connection) -> Operations:
    return Operations(MigrationContext.configure(tx))


def create(tx: sa.Connection, entity: Entity, *, references: bool = True) -> None:
    """Make the empty table of an entity; without `references` its records may come before those that they refer to."""
    op = _operations(tx)
    start = (tx.scalar(sa.select(entity_table.c.last_id).where(entity_table.c.name == entity.name)) or 0) + 1
    columns = [c._copy() for c in storage.stored(tx, entity).columns]  # noqa: SLF001 - SQLAlchemy has no public copy
    for column in columns:
        if column.identity is not None:
            column.identity.start = start
    op.create_table(entity.table_name, *columns)
    if references:
        refer(tx, entity)
    for name in [n for n, _, _ in storage.index_names(entity)]:
        _create_index(tx, entity, name)
    if entity.searchable:
        _create_search(op, tx, entity)


def refer(tx: sa.Connection, entity: Entity) -> None:
    """Have the database hold an entity's references to what they refer to."""
    _foreign_keys(_operations(tx), tx, entity, [f for f in entity.fields if f.kind is Kind.REFERENCE])


def _create_index(tx: sa.Connection, entity: Entity, name: str) -> None:
    index = next(i for i in storage.stored(tx, entity).indexes if i.name == name)
    tx.execute(sa.schema.CreateIndex(index))


def _create_search(op: Operations, tx: sa.Connection, entity: Entity) -> None:
    if tx.dialect.name == "sqlite":
        op.execute(search.sqlite_ddl(entity))
    else:
        op.create_index(search.index_name(entity), entity.table_name, [search.COLUMN], postgresql_using="gin")


def _foreign_keys(op: Operations, tx: sa.Connection, entity: Entity, fields: list[EntityField]) -> None:
    """Only PostgreSQL has them: SQLite's one writer makes the checks of `references` enough, and its rebuilds safe."""
    if tx.dialect.name == "sqlite":
        return
    for field in fields:
        ondelete = "SET NULL" if field.on_delete == "clear" else None
        op.create_foreign_key(
            foreign_key(entity, field), entity.table_name, f"e_{field.entity}", [field.name], ["id"], ondelete=ondelete
        )


def foreign_key(entity: Entity, field: EntityField) -> str:
    """Return the name of a reference's constraint."""
    return storage.index_name(entity, field.name, unique=False).replace("ix_", "fk_", 1)


class _Change:
    """One change of one table; the steps stand in the order in which they can be done."""

    def __init__(self, tx: sa.Connection, old: Entity, new: Entity, author: Author) -> None:
        self.tx, self.old, self.new, self.author = tx, old, new, author
        self.op = _operations(tx)
        self.sqlite = tx.dialect.name == "sqlite"
        self.table = new.table_name

    def run(self, changes: tuple[FieldChange, ...]) -> None:
        altered = [c for c in changes if c.old and c.new]
        self._drop_indexes(changes)
        for change in altered:
            self._rename(change)
        for change in altered:
            self._alter(change)
        for change in changes:
            if change.new is None and change.old is not None:
                self._drop_columns(change.old)
            elif change.old is None and change.new is not None:
                self._add(change.new)
        self._fill(changes)
        self._nullability(changes)
        added = [
            c.new for c in changes if c.new and c.new.kind is Kind.REFERENCE and _pointer(c.old) != _pointer(c.new)
        ]
        _foreign_keys(self.op, self.tx, self.new, added)
        self._create_indexes()
        self._search(changes)

    def _drop_indexes(self, changes: tuple[FieldChange, ...]) -> None:
        """Drop what is no longer wanted, and every index over a column that changes; it is made anew."""
        touched = {f.name for c in changes for f in (c.old, c.new) if f}
        kept = {(n, cols, u) for n, cols, u in storage.index_names(self.new) if not touched & set(cols)}
        for name, columns, unique in storage.index_names(self.old):
            if (name, columns, unique) not in kept:
                self.op.execute(f'DROP INDEX IF EXISTS "{name}"')
        if not self.sqlite:
            for change in changes:
                if change.old and change.old.kind is Kind.REFERENCE and _pointer(change.old) != _pointer(change.new):
                    self.op.drop_constraint(foreign_key(self.old, change.old), self.table, type_="foreignkey")

    def _create_indexes(self) -> None:
        have = {i["name"] for i in sa.inspect(self.tx).get_indexes(self.table)}
        later = indexes.waits(self.tx, self.new)
        for name, _, unique in storage.index_names(self.new):
            if name not in have and (unique or not later):
                _create_index(self.tx, self.new, name)

    def _rename(self, change: FieldChange) -> None:
        old, new = change.old, change.new
        if old is None or new is None:
            return
        if change.renamed and old.kind is Kind.MONEY:
            self._rename_column(old.currency_name, new.currency_name)
        before, after = self._main(self.old, old), self._main(self.new, new)
        if before[0] != after[0]:
            self._rename_column(before[0], after[0])
        for column in after[1:] if len(before) == 1 else ():
            self.op.add_column(self.table, storage.stored(self.tx, self.new).c[column]._copy())  # noqa: SLF001 - as above
        for column in before[1:] if len(after) == 1 else ():
            self.op.drop_column(self.table, column)

    def _main(self, entity: Entity, field: EntityField) -> list[str]:
        """Return the columns that hold a field, without a currency: the one of plain values comes first."""
        seal = storage.seal_of(entity, field.name)
        return [field.name] if seal is None else [column.name for column in seal.columns()]

    def _rename_column(self, old: str, new: str) -> None:
        self.op.execute(f'ALTER TABLE "{self.table}" RENAME COLUMN "{old}" TO "{new}"')

    def _alter(self, change: FieldChange) -> None:
        old, new = change.old, change.new
        if old is None or new is None or new.sealed:  # then its type stays
            return
        held = _renamed(old, new.name)
        if change.rewrites(self.tx.dialect.name):
            self._rewrite(held, new)
        elif not self.sqlite and str(column_type(held.fields[0])) != str(column_type(new.fields[0])):
            self.op.alter_column(self.table, new.name, type_=column_type(new.fields[0]))
        self._currency(held, new)

    def _rewrite(self, old: EntityField, new: EntityField) -> None:
        """Convert the values into a second column, which then takes the first one's name."""
        waiting = f"n__{new.name}"[:63]
        self.op.add_column(self.table, sa.Column(waiting, column_type(new.fields[0]), nullable=True))
        columns: list[sa.Column[Any]] = [sa.Column(f.name, column_type(f)) for f in old.fields]
        second = sa.Column(waiting, column_type(new.fields[0]))
        table = sa.Table(self.table, sa.MetaData(), sa.Column("id", sa.BigInteger), *columns, second)
        for page in fitting.converted(self.tx, table, old, new):
            bulk.update(self.tx, table, {waiting: page.values, "id": page.ids})
        self.op.drop_column(self.table, old.name)
        self._rename_column(waiting, new.name)

    def _currency(self, old: EntityField, new: EntityField) -> None:
        if old.kind is not Kind.MONEY and new.kind is Kind.MONEY:
            self.op.add_column(self.table, sa.Column(new.currency_name, column_type(new.fields[1]), nullable=True))
        if old.kind is Kind.MONEY and new.kind is not Kind.MONEY:
            self.op.drop_column(self.table, old.currency_name)
        if new.kind is Kind.MONEY and new.currency and new.currency != old.currency:
            table = sa.table(self.table, sa.column(new.name), sa.column(new.currency_name))
            self.tx.execute(
                sa.update(table).where(table.c[new.name].is_not(None)).values({new.currency_name: new.currency})
            )

    def _drop_columns(self, old: EntityField) -> None:
        for column in (*self._main(self.old, old), *(f.name for f in old.fields[1:])):
            self.op.drop_column(self.table, column)

    def _add(self, new: EntityField) -> None:
        columns = storage.stored(self.tx, self.new).c
        for name in (*self._main(self.new, new), *(f.name for f in new.fields[1:])):
            self.op.add_column(self.table, sa.Column(name, columns[name].type, nullable=True))

    def _fill(self, changes: tuple[FieldChange, ...]) -> None:
        """Set required fields that are empty to their default; the records count as changed."""
        for change in changes:
            new = change.new
            if (
                new is None
                or not new.required
                or new.computed
                or (change.old and change.old.required)
                or new.default is None
            ):
                continue
            table = storage.table(self.tx, self.new)
            if new.sealed:
                self._fill_sealed(table, new)
                continue
            values: dict[str, Any] = {new.name: default_value(new, self.author.at)}
            if new.kind is Kind.MONEY:
                values[new.currency_name] = new.currency
            stamps = {
                "updated_at": self.author.at,
                "updated_by": self.author.actor.name[:128],
                "version": table.c.version + 1,
            }
            self.tx.execute(sa.update(table).where(table.c[new.name].is_(None)).values({**values, **stamps}))

    def _fill_sealed(self, table: sa.Table, new: EntityField) -> None:
        """Do the same for an encrypted field, of which each record has its own token."""
        empty = sa.select(table.c.id, table.c.version).where(table.c[new.name].is_(None)).order_by(table.c.id)
        while rows := self.tx.execute(empty.limit(fitting.PAGE)).all():
            values = {new.name: default_value(new, self.author.at), "updated_at": self.author.at}
            values |= {new.currency_name: new.currency} if new.kind is Kind.MONEY else {}
            values["updated_by"] = self.author.actor.name[:128]
            columns = {name: [value] * len(rows) for name, value in values.items()}
            versions = [row.version + 1 for row in rows]
            bulk.update(self.tx, table, {**columns, "version": versions, "id": [row.id for row in rows]})

    def _nullability(self, changes: tuple[FieldChange, ...]) -> None:
        """Set NOT NULL as the definition says; SQLite rebuilds the table for that (Alembic's batch mode)."""
        wanted = {c.name: bool(c.nullable) for c in storage.columns(self.new)}
        before = {c.name: bool(c.nullable) for c in storage.columns(self.old)}
        moved = [(self._main(self.old, c.old)[0], self._main(self.new, c.new)[0]) for c in changes if c.old and c.new]
        before |= {new: before[old] for old, new in moved if new not in before and new not in self.new.schema}
        touched = {name for c in changes if c.new for name in self._main(self.new, c.new)}
        touched |= {column.name for c in changes if c.new for column in c.new.fields[1:]}
        fresh = {c.new.name for c in changes if c.new and (c.old is None or c.rewrites(self.tx.dialect.name))}
        names = [
            n for n in wanted if n in touched and wanted[n] != (True if n in fresh or n not in before else before[n])
        ]
        if not names:
            return
        if not self.sqlite:
            for name in names:
                self.op.alter_column(self.table, name, nullable=wanted[name])
            return
        self._rebuild()

    def _rebuild(self) -> None:
        columns = storage.columns(self.new)
        current = sa.Table(self.table, sa.MetaData(), *columns)
        with self.op.batch_alter_table(self.table, copy_from=current, recreate="always"):
            pass

    def _search(self, changes: tuple[FieldChange, ...]) -> None:
        """Build the search index anew where the fields it covers, or their values, change."""
        touched = {f.name for c in changes for f in (c.old, c.new) if f and f.searchable}
        if self.old.searchable == self.new.searchable and not touched:
            return
        if self.old.searchable:
            self._drop_search()
        if self.new.searchable:
            if not self.sqlite:
                self.op.execute(f'ALTER TABLE "{self.table}" ADD COLUMN {search.COLUMN} tsvector')
            self._index_all()
            if not self.sqlite:
                _create_search(self.op, self.tx, self.new)

    def _drop_search(self) -> None:
        if self.sqlite:
            self.op.execute(f'DROP TABLE "{search.index_name(self.old)}"')
        else:
            self.op.execute(f'ALTER TABLE "{self.table}" DROP COLUMN {search.COLUMN}')

    def _index_all(self) -> None:
        if self.sqlite:
            _create_search(self.op, self.tx, self.new)
        table = storage.table(self.tx, self.new)
        last = 0
        while True:
            query = sa.select(table.c.id, *(table.c[n] for n in self.new.searchable)).where(table.c.id > last)
            rows = self.tx.execute(query.order_by(table.c.id).limit(fitting.PAGE)).all()
            if not rows:
                return
            ids, texts = [r[0] for r in rows], [tuple(r[1:]) for r in rows]
            last = ids[-1]
            if self.sqlite:
                search.store(self.tx, self.new, ids, texts)
            else:
                bulk.update(self.tx, table, {search.COLUMN: [search.vector(t) for t in texts], "id": ids})


def _pointer(field: EntityField | None) -> tuple[str, str, str] | None:
    if field is None or field.kind is not Kind.REFERENCE:
        return None
    return field.name, field.entity, field.on_delete


def _renamed(field: EntityField, name: str) -> EntityField:
    return replace(field, name=name)
