"""Encrypting, decrypting and encrypting anew what is stored already: batch by batch, while everything goes on.

Each record and each entry of its history says by itself whether it is encrypted and under which key, so reading never
waits for this work. A batch is one transaction: what it reads in one form it writes in the form that the definition in
force wants, with its progress, so that another process goes on where one has died. Writers hold the definition's row,
so that behind a batch nobody writes an older form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities import bulk, ddl, encryption, history, numbers, storage, versions
from webapp.entities.diff import differences
from webapp.entities.history import Author
from webapp.entities.model import Entity
from webapp.entities.models import entity_history, entity_sealing
from webapp.entities.plan import Plan
from webapp.entities.sealed import index_key, owner_of
from webapp.extensions import Actor, ForPeople, House
from webapp.vault.at_rest import LATE
from webapp.vault.journal import sweep
from webapp.vault.services import delete, names, overwrite

BATCH = 1000
JOURNAL = "$journal"
"""What stands for runs, cases, events and imports in the place of an entity."""
SETTLED = 2 * LATE
"""Seconds between two looks at whether anybody still writes these without encrypting."""


class NothingEncrypted(ForPeople):
    """No field of an entity is encrypted, so it needs no new key."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The entity '{name}' has no encrypted field.")


@dataclass(frozen=True)
class Progress:
    """How far the work on an entity is: records and entries done, and about how many there are."""

    done: int
    total: int
    begun_at: datetime

    @property
    def percent(self) -> int:
        """Return the part that is done."""
        return 100 if not self.total else min(99, self.done * 100 // self.total)


def begin(tx: sa.Connection, entity: Entity, author: Author) -> None:
    """Note that what is stored of an entity has to get the form of its definition, from the beginning."""
    entries = sa.select(sa.func.count()).select_from(entity_history).where(entity_history.c.entity == entity.name)
    total = numbers.records(tx, entity)[0] + (tx.scalar(entries) or 0)
    _wait(tx, entity.name, total, author)


def begin_journal(tx: sa.Connection, author: Author) -> None:
    """Note that what runs, cases, events and imports have kept so far is to be encrypted."""
    _wait(tx, JOURNAL, 0, author)


def _wait(tx: sa.Connection, name: str, total: int, author: Author) -> None:
    tx.execute(sa.delete(entity_sealing).where(entity_sealing.c.entity == name))
    values = {"record_id": 0, "history_id": 0, "done": 0, "total": total, "begun_at": author.at}
    tx.execute(sa.insert(entity_sealing).values(entity=name, actor=author.actor.name[:128], **values))


def progress(tx: sa.Connection, name: str) -> Progress | None:
    """Return how far the work on an entity is, None where there is none."""
    row = tx.execute(sa.select(entity_sealing).where(entity_sealing.c.entity == name)).one_or_none()
    return None if row is None else Progress(row.done, row.total, row.begun_at)


def work(house: House, batch: int = BATCH) -> bool:
    """Do one batch of the work that waits; tell whether there was any."""
    settled = house.clock() - timedelta(seconds=SETTLED)
    due = sa.or_(entity_sealing.c.entity != JOURNAL, entity_sealing.c.begun_at <= settled)
    with house.db.read() as tx:
        name = tx.scalar(sa.select(entity_sealing.c.entity).where(due).order_by(entity_sealing.c.begun_at).limit(1))
    if name is None:
        return False
    if name == JOURNAL:
        _journal(house)
        return True
    with house.db.begin() as tx:
        entity = _entity(tx, name)
        row = _waiting(tx, name)
        if row is None:
            return False
        overwrite(tx)
        moved = {} if entity is None else _batch(tx, entity, row, batch)
        if moved:
            moved["done"] += row.done
            tx.execute(sa.update(entity_sealing).where(entity_sealing.c.entity == name).values(moved))
    if not moved:
        _end(house, name, row.begun_at)
    return True


def _journal(house: House) -> None:
    """Encrypt what runs and the like have kept, behind everybody who may not have known that they have to.

    Counted from when the work is seen, since the definition may have taken long to come into force. Every process knows
    at the second look; at the third one all transactions of before that have ended, or it is looked again.
    """
    with house.db.begin() as tx:
        row = _waiting(tx, JOURNAL)
        if row is None:
            return
        oldest, newest = _transactions(tx)
        if not row.history_id or oldest < row.history_id:
            step = {"history_id": row.history_id or newest} if row.done else {"done": 1}
            mine = sa.update(entity_sealing).where(entity_sealing.c.entity == JOURNAL)
            tx.execute(mine.values(begun_at=house.clock(), **step))
            return
    sweep(house)
    with house.db.begin() as tx:
        tx.execute(sa.delete(entity_sealing).where(entity_sealing.c.entity == JOURNAL))


def _transactions(tx: sa.Connection) -> tuple[int, int]:
    """Return the oldest transaction that writes, and the next one to come; on SQLite there is only this one."""
    if tx.dialect.name == "sqlite":
        return 1, 1
    query = "SELECT txid_snapshot_xmin(now.it), txid_snapshot_xmax(now.it) FROM (SELECT txid_current_snapshot() it) now"
    row = tx.exec_driver_sql(query).one()
    return int(row[0]), int(row[1])


def _waiting(tx: sa.Connection, name: str) -> Any:
    """Return the work on an entity, None where another process does it."""
    query = sa.select(entity_sealing).where(entity_sealing.c.entity == name)
    return tx.execute(query.with_for_update(skip_locked=True)).one_or_none()


def _entity(tx: sa.Connection, name: str) -> Entity | None:
    try:
        return storage.current(tx, name, lock=True)
    except storage.NoEntity:
        return None


def _batch(tx: sa.Connection, entity: Entity, row: Any, batch: int) -> dict[str, Any]:
    """Do the next records, then the next entries of the history; return how far that is, nothing at the end."""
    return _records(tx, entity, row.record_id, batch) or _entries(tx, entity, row.history_id, batch)


def _records(tx: sa.Connection, entity: Entity, last: int, batch: int) -> dict[str, Any]:
    """Write the next records as the definition wants them; neither their version nor their history changes."""
    table = storage.table(tx, entity)
    columns = [table.c[field.name] for field in entity.fields if field.sealed]
    query = sa.select(table.c.id, *columns).where(table.c.id > last).order_by(table.c.id).limit(batch)
    rows = tx.execute(query.with_for_update()).all() if columns else []
    if not rows:
        return {}
    values = map(list, zip(*rows, strict=True))
    bulk.update(tx, table, dict(zip(("id", *(column.name for column in columns)), values, strict=True)))
    return {"record_id": rows[-1].id, "done": len(rows)}


def _entries(tx: sa.Connection, entity: Entity, last: int, batch: int) -> dict[str, Any]:
    """Write the next entries of the history, of records that are deleted, too."""
    log = entity_history.c
    mine = sa.select(entity_history).where(log.entity == entity.name, log.id > last).order_by(log.id).limit(batch)
    rows = [history.opened(tx, row) for row in tx.execute(mine).mappings()]
    if not rows:
        return {}
    places = [(row["record_id"], row["version"]) for row in rows]
    told = {side: history.texts(tx, entity, side, places, [row[side] for row in rows]) for side in history.SIDES}
    bulk.update(tx, entity_history, {"id": [row["id"] for row in rows], **told})
    return {"history_id": rows[-1]["id"], "done": len(rows)}


def _end(house: House, name: str, begun_at: datetime) -> None:
    """Say that all is done, and let go of the columns and keys that nothing needs any more."""
    with house.db.begin() as tx:
        versions.lock(tx, name)
        row = _waiting(tx, name)
        if row is None or row.begun_at != begun_at:
            return
        tx.execute(sa.delete(entity_sealing).where(entity_sealing.c.entity == name))
        entity = _entity(tx, name)
        if entity is None:
            return
        author = Author(Actor("user", row.actor), house.clock())
        left = _unsealed(tx, entity, author)
        _forget_keys(tx, left, author)
        after = {"encrypted": sorted(left.encrypted), "records_and_entries": row.done}
        record(tx, author.actor, author.at, Event(Tag.ENTITY_RESEALED, Subject("entity", name), None, after))
    if house.db.is_sqlite:
        with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # older pages leave the log, too


def _unsealed(tx: sa.Connection, entity: Entity, author: Author) -> Entity:
    """Drop the columns of tokens of fields that are decrypted, as a new version; return the entity as it is then."""
    fields = tuple(field if field.encrypted else replace(field, sealed="") for field in entity.fields)
    if fields == entity.fields:
        return entity
    new = replace(entity, fields=fields)
    versions.store(tx, new, author)
    ddl.apply(tx, Plan(entity, new, (), differences(entity, new)), author)
    return new


def _forget_keys(tx: sa.Connection, entity: Entity, author: Author) -> None:
    owner = owner_of(entity.name)
    needed = {entity.key, *(index_key(field.sealed) for field in entity.fields)}
    for secret in names(tx, owner):
        if secret not in needed:
            delete(tx, owner, secret, author.actor, author.at)


def renew(house: House, name: str, actor: Actor) -> None:
    """Have all that is encrypted of an entity encrypted under a new key; raises `NoEntity` and `NothingEncrypted`."""
    with house.db.begin() as tx:
        versions.lock(tx, name)
        old = storage.current(tx, name)
        if not old.encrypted:
            raise NothingEncrypted(name)
        new, author = replace(old, key=encryption.fresh_key()), Author(actor, house.clock())
        versions.store(tx, new, author)
        encryption.provide(tx, new, author)
        begin(tx, new, author)
        record(tx, actor, author.at, Event(Tag.ENTITY_REKEYED, Subject("entity", name), None, {"key": new.key}))
