"""Storing, reading and rotating secrets.

`put` and `rotate` agree by a lock of the database: a secret is never sealed under a key that is being retired.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.vault.errors import KeyUnavailable, SecretMissing, VaultError
from webapp.vault.models import vault_secret
from webapp.vault.places import open_provider
from webapp.vault.providers import KeyProvider
from webapp.vault.sealing import Owner, Sealed, rewrap, seal, unseal

__all__ = [
    "LARGEST",
    "Owner",
    "delete",
    "forget",
    "get",
    "keyring",
    "lock",
    "names",
    "overwrite",
    "prepare",
    "put",
    "rotate",
]

LARGEST = 64 * 1024
"""Characters of the longest secret: room for a certificate chain."""

BATCH = 100
_LOCK = 0x5EC4E7
_Place = tuple[str, str, str]
_FIRST: _Place = ("", "", "")
"""Before the place of any secret: kind and name of its owner, its own name."""


def keyring(house: House) -> KeyProvider:
    """Return the keys of this installation."""
    return open_provider(house.settings)


def prepare(house: House) -> None:
    """Make or check the key at start, so that a wrong key file is found before a run needs it.

    Raises:
        KeyUnavailable: It says what to do.
    """
    with house.db.read() as tx:
        _refuse_new_key(tx, keyring(house))
    _ = keyring(house).current


def put(  # noqa: PLR0913, PLR0917 - what is stored, whose it is, and who says so
    tx: sa.Connection, keys: KeyProvider, owner: Owner, name: str, value: str, actor: Actor, at: datetime
) -> None:
    """Store a secret, in place of an earlier one; audited without the value."""
    if not value or len(value) > LARGEST:
        raise VaultError(
            msg("The secret {secret} is empty or too long.", secret=owner.path(name)),
            msg("Enter up to {largest} characters.", largest=LARGEST),
        )
    lock(tx, shared=True)
    _refuse_new_key(tx, keys)
    sealed = asdict(seal(keys, owner.path(name), value))
    changed = tx.execute(sa.update(vault_secret).where(_is(owner, name)).values(**sealed, updated_at=at)).rowcount
    if not changed:
        place = {"owner_kind": owner.kind, "owner_name": owner.name, "name": name}
        tx.execute(sa.insert(vault_secret).values(**place, **sealed, created_at=at, updated_at=at))
    subject = Subject(owner.kind, owner.name)
    record(tx, actor, at, Event(Tag.SECRET_SET, subject, after={"secret": name, "replaced": bool(changed)}))


def get(tx: sa.Connection, keys: KeyProvider, owner: Owner, name: str) -> str:
    """Return a secret in clear; raises `SecretMissing`, `SecretDamaged` or `KeyUnavailable`."""
    row = tx.execute(sa.select(vault_secret).where(_is(owner, name))).one_or_none()
    if row is None:
        raise SecretMissing(
            msg("The secret {secret} is not in the vault.", secret=owner.path(name)), msg("Enter it again.")
        )
    return unseal(keys, owner.path(name), _sealed(row))


def sealed_of(tx: sa.Connection, kind: str, owners: Collection[str], name: str) -> dict[str, Sealed]:
    """Return the secret of this name of each of some owners of a kind, as it is stored; those without are left out."""
    query = sa.select(vault_secret).where(
        vault_secret.c.owner_kind == kind, vault_secret.c.owner_name.in_(owners), vault_secret.c.name == name
    )
    return {row.owner_name: _sealed(row) for row in tx.execute(query)}


def delete(tx: sa.Connection, owner: Owner, name: str, actor: Actor, at: datetime) -> bool:
    """Remove a secret and tell whether there was one; audited."""
    overwrite(tx)
    gone = tx.execute(sa.delete(vault_secret).where(_is(owner, name))).rowcount
    if gone:
        record(tx, actor, at, Event(Tag.SECRET_DELETED, Subject(owner.kind, owner.name), before={"secret": name}))
    return bool(gone)


def overwrite(tx: sa.Connection) -> None:
    """Let SQLite overwrite what this connection deletes."""
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA secure_delete = ON")


def forget(tx: sa.Connection, owner: Owner, actor: Actor, at: datetime) -> int:
    """Remove all secrets of an owner and return how many there were; audited one by one."""
    return sum(delete(tx, owner, name, actor, at) for name in names(tx, owner))


def names(tx: sa.Connection, owner: Owner) -> tuple[str, ...]:
    """Return the names of an owner's secrets, sorted."""
    of_owner = sa.and_(vault_secret.c.owner_kind == owner.kind, vault_secret.c.owner_name == owner.name)
    return tuple(tx.execute(sa.select(vault_secret.c.name).where(of_owner).order_by(vault_secret.c.name)).scalars())


def owners(tx: sa.Connection, kind: str) -> tuple[str, ...]:
    """Return the names of the owners of a kind that have secrets, sorted."""
    column = vault_secret.c.owner_name
    return tuple(
        tx.execute(sa.select(column).distinct().where(vault_secret.c.owner_kind == kind).order_by(column)).scalars()
    )


def rotate(house: House, actor: Actor) -> int:
    """Bring all data keys under a new key and return how many were rewrapped.

    The work goes in batches, each its own transaction. Stopped half-way, the next call goes on with the same new key;
    the old keys are kept until nothing needs them.
    """
    keys = keyring(house)
    with house.db.begin() as tx:
        lock(tx, shared=False)
        before = keys.current
        if not _stale(tx, before, 1):
            keys.renew()
        target = keys.current
    done, last = 0, _FIRST
    while (batch := _rewrap_some(house, keys, target, last)) or last != _FIRST:
        done += len(batch)
        last = batch[-1] if batch else _FIRST  # at the end once more from the first, for what came in between
    with house.db.begin() as tx:
        lock(tx, shared=False)
        used = set(tx.execute(sa.select(vault_secret.c.key_id).distinct()).scalars())
        retired = keys.retire(used)
        after = {"key": target, "secrets": done, "retired": list(retired)}
        record(tx, actor, house.clock(), Event(Tag.KEYS_ROTATED, Subject("vault", "keys"), after=after))
    return done


def _rewrap_some(house: House, keys: KeyProvider, target: str, last: _Place) -> list[_Place]:
    """Rewrap a batch of secrets behind the last one and return their places."""
    with house.db.begin() as tx:
        lock(tx, shared=False)
        rows = _stale(tx, target, BATCH, last)
        for row in rows:
            owner = Owner(row.owner_kind, row.owner_name)
            moved = rewrap(keys, owner.path(row.name), _sealed(row))
            values = {"key_id": moved.key_id, "wrapped_key": moved.wrapped_key}
            tx.execute(sa.update(vault_secret).where(_is(owner, row.name)).values(**values))
    return [(row.owner_kind, row.owner_name, row.name) for row in rows]


def _stale(tx: sa.Connection, current: str, limit: int, last: _Place = _FIRST) -> list[Any]:
    order = (vault_secret.c.owner_kind, vault_secret.c.owner_name, vault_secret.c.name)
    query = sa.select(vault_secret).where(vault_secret.c.key_id != current, sa.tuple_(*order) > last)
    return list(tx.execute(query.order_by(*order).limit(limit)).all())


def _refuse_new_key(tx: sa.Connection, keys: KeyProvider) -> None:
    """Refuse to make a first key where secrets exist: the key that protects them has been lost or left behind."""
    if keys.exists():
        return
    used = tx.execute(sa.select(vault_secret.c.key_id).limit(1)).scalar()
    if used is not None:
        raise KeyUnavailable(
            msg("The key {key} that protects the stored secrets is missing.", key=used),
            msg("Put the key file back from a backup, or set {setting} to it.", setting="SYNCLINE_KEY_FILE"),
        )


def lock(tx: sa.Connection, *, shared: bool) -> None:
    """Hold the vault until the transaction ends; SQLite's writers are alone anyway."""
    if tx.dialect.name == "postgresql":
        function = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        tx.execute(sa.select(function(_LOCK)))


def _is(owner: Owner, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        vault_secret.c.owner_kind == owner.kind,
        vault_secret.c.owner_name == owner.name,
        vault_secret.c.name == name,
    )


def _sealed(row: Any) -> Sealed:
    return Sealed(row.algorithm, row.key_id, bytes(row.wrapped_key), bytes(row.nonce), bytes(row.ciphertext))
