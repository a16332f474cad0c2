"""Making an installation ready: tables, permissions, the first user. Done once a start, by one process at a time."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from webapp.access import roles
from webapp.access.models import FAB_METADATA
from webapp.access.services import ensure_admin
from webapp.access.session_key import session_key
from webapp.connections import services as connections
from webapp.extensions import ForPeople, House
from webapp.migrations import services as migrations
from webapp.vault import people
from webapp.vault import services as vault


@dataclass(frozen=True)
class Initialised:
    """What was done: the revisions before and after, and the first administrator's name and password if made now."""

    before: str | None
    after: str
    password: str | None
    username: str


class NotInitialised(ForPeople):
    """The database has not been prepared."""


def initialise(house: House) -> Initialised:
    """Bring database, keys and folders to what this version needs; does nothing that has been done already.

    Others may work on the database meanwhile, also those of the version before.
    """
    before, after = migrations.beside_others(lambda: _tables(house))
    vault.prepare(house)
    session_key(house.settings)
    people.register(house)
    connections.prepare(house)
    return Initialised(before, after, _first_admin(house), house.settings.admin_name)


def _tables(house: House) -> tuple[str | None, str]:
    with house.db.begin() as tx:
        migrations.lock(tx)
        FAB_METADATA.create_all(tx)
        revisions = migrations.upgrade(tx)
        roles.sync(tx)
        notice_the_gone(tx)
    return revisions


GONE = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 3, "tcp_user_timeout": 10_000}
"""How PostgreSQL finds out in ten seconds that one of our machines is gone; seconds, and milliseconds for the last."""


def notice_the_gone(tx: sa.Connection) -> None:
    """Let PostgreSQL end our sessions whose machine is gone: they hold locks, by default for more than two hours.

    It is a setting of our user in our database, so that it holds behind a pooler, too. What somebody has set stays.
    """
    if tx.dialect.name != "postgresql":
        return
    ours = sa.text("SELECT name FROM pg_settings WHERE source = 'default' AND name = ANY(:names)")
    free = set(tx.scalars(ours, {"names": list(GONE)}))
    place = tx.dialect.identifier_preparer.quote_identifier(str(tx.scalar(sa.text("SELECT current_database()"))))
    for name in sorted(free):
        tx.exec_driver_sql(f"ALTER ROLE CURRENT_USER IN DATABASE {place} SET {name} = {GONE[name]}")


def _first_admin(house: House) -> str | None:
    try:
        return ensure_admin(house)
    except sa.exc.IntegrityError:  # another process was faster; it shows the password
        return None


def require(house: House) -> None:
    """Check that this version may work on the database; raises `NotInitialised`, or what `migrations` raises."""
    with house.db.read() as connection:
        if migrations.current(connection) is None:
            raise NotInitialised(
                f"SYNCLINE_DATA: there is no installation in {house.settings.data}. "
                "Run 'syncline init' or 'syncline up' first, or set SYNCLINE_DATA to the data folder of one."
            )
        migrations.require(connection)
