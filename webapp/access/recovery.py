"""Recovery codes, for who has lost the second factor: of each only the digest is kept, and each lets in once."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from webapp.access import models
from webapp.access.passwords import digest

CODES = 10
_LENGTH = 24  # 118 bits, so that a plain digest of them tells nobody anything
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike."""


def left(tx: sa.Connection, user_id: int) -> int:
    """Return how many recovery codes a user has left."""
    table = models.access_recovery
    return tx.scalar(sa.select(sa.func.count()).where(table.c.user_id == user_id)) or 0


def make(tx: sa.Connection, user_id: int) -> tuple[str, ...]:
    """Return new recovery codes, to be shown once; the old ones count no more."""
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(CODES)]
    forget(tx, user_id)
    tx.execute(sa.insert(models.access_recovery), [{"user_id": user_id, "digest": digest(code)} for code in codes])
    return tuple("-".join(code[at : at + 4] for at in range(0, _LENGTH, 4)) for code in codes)


def use(tx: sa.Connection, user_id: int, code: str) -> bool:
    """Tell whether a code lets in; it does so no more after that."""
    table = models.access_recovery
    mine = sa.delete(table).where(table.c.user_id == user_id, table.c.digest == digest(code))
    return tx.execute(mine).rowcount > 0


def forget(tx: sa.Connection, user_id: int) -> None:
    """Remove all codes of a user."""
    tx.execute(sa.delete(models.access_recovery).where(models.access_recovery.c.user_id == user_id))
