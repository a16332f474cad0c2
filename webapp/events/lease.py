"""Who works on events: one process at a time, held by a lease; its token locks an older holder out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from webapp.events.models import event_lease
from webapp.extensions import House

_ONE = event_lease.c.id == 1


class Lost(Exception):
    """Another process works on events now."""


@dataclass(frozen=True)
class Lease:
    """The right to work on events, and how far they have been worked on."""

    token: int
    position: int
    clock: datetime | None


def hold(house: House, holder: str) -> Lease | None:
    """Return the lease, taken or kept; None while another holds it."""
    now = house.clock()
    with house.db.read() as tx:
        row = tx.execute(sa.select(event_lease).where(_ONE)).one_or_none()
    if row is None:
        _make(house)
        return hold(house, holder)
    mine = row.holder == holder
    span = timedelta(seconds=house.settings.lease_seconds)
    # a lease that would last longer than any was given before the clock was set back
    if not mine and row.until is not None and now < row.until <= now + 2 * span:
        return None
    if not mine or row.until is None or not now + span / 2 <= row.until <= now + span:
        values = {"holder": holder, "until": now + span, "token": row.token + (not mine)}
        with house.db.begin() as tx:
            taken = sa.update(event_lease).where(_ONE, event_lease.c.token == row.token)
            if tx.execute(taken.values(values)).rowcount != 1:
                return None
    return Lease(row.token + (not mine), row.position, row.clock)


def confirm(tx: sa.Connection, lease: Lease, position: int, clock: datetime) -> None:
    """Note how far events have been worked on, in the caller's transaction; raises `Lost`."""
    mine = sa.update(event_lease).where(_ONE, event_lease.c.token == lease.token)
    if tx.execute(mine.values(position=position, clock=clock)).rowcount != 1:
        raise Lost


def give_up(house: House, holder: str) -> None:
    """Let another process take over at once."""
    with house.db.begin() as tx:
        tx.execute(sa.update(event_lease).where(_ONE, event_lease.c.holder == holder).values(until=None, holder=None))


def next_ticket(tx: sa.Connection) -> int:
    """Return a number that is higher than any before it."""
    tx.execute(sa.update(event_lease).where(_ONE).values(ticket=event_lease.c.ticket + 1))
    return int(tx.scalar(sa.select(event_lease.c.ticket).where(_ONE)) or 0)


def _make(house: House) -> None:
    with contextlib.suppress(sa.exc.IntegrityError), house.db.begin() as tx:
        tx.execute(sa.insert(event_lease).values(id=1, token=0, position=0, ticket=0))
