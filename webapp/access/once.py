"""What counts only once: a challenge that was answered, an assertion that was taken. It is noted when it is used."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from webapp.access import models
from webapp.access.passwords import digest


def used(tx: sa.Connection, what: str, now: datetime, until: datetime) -> bool:
    """Note that something was used, until it would have expired anyway; False where it had been used before."""
    table = models.access_once
    tx.execute(sa.delete(table).where(table.c.until < now))
    try:
        with tx.begin_nested():
            tx.execute(sa.insert(table).values(digest=digest(what), until=until))
    except sa.exc.IntegrityError:
        return False
    return True
