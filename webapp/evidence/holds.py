"""Legal holds: what must stay in the audit log whatever its retention says, and nobody may erase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.approvals import gate
from webapp.approvals.deeds import RETENTION, Applier, Deed, Document, Order, register
from webapp.audit.models import audit_event
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.models import audit_hold
from webapp.extensions import Actor, House

DEED = "hold"


class Held(Exception):
    """A hold cannot be placed or released, or it forbids what was asked for."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Scope:
    """What a hold covers: all events, or those about a kind of subject, one subject, one record."""

    kind: str | None = None
    name: str | None = None
    record: str | None = None


@dataclass(frozen=True)
class Hold:
    """A hold; it counts until it is released."""

    name: str
    reason: str
    scope: Scope
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


def place(house: House, name: str, reason: str, scope: Scope, actor: Actor) -> None:
    """Place a hold; raises `Held` where the name is taken or no reason is given."""
    at = house.clock()
    if not name.strip() or not reason.strip():
        raise Held(msg("A legal hold needs a name and a reason."))
    values = {"subject_kind": scope.kind, "subject": scope.name, "record_key": scope.record}
    _require_room({"name": name, **values})
    with house.db.begin() as tx:
        if tx.scalar(sa.select(audit_hold.c.id).where(audit_hold.c.name == name)) is not None:
            raise Held(msg("There is a legal hold '{name}' already. Choose another name.", name=name))
        row = {"name": name, "reason": reason, **values, "placed_by": actor.name, "placed_at": at}
        tx.execute(sa.insert(audit_hold).values(row))
        record(tx, actor, at, Event(Tag.HOLD_PLACED, Subject("hold", name), after=values, reason=reason))


def _require_room(values: Mapping[str, str | None]) -> None:
    """Refuse what is longer than anything of the log can be, and would never hold an event."""
    for name, value in values.items():
        most = getattr(audit_hold.c[name].type, "length", 0)
        if value and len(value) > most:
            raise Held(msg("'{text}...' is too long: {count} characters at the most.", text=value[:30], count=most))


def release(house: House, name: str, actor: Actor) -> None:
    """Release a hold; raises `Held` where there is none that counts."""
    with house.db.begin() as tx:
        release_in(tx, name, actor, house.clock())


def release_in(tx: sa.Connection, name: str, actor: Actor, at: datetime) -> None:
    """Do what `release` does within the caller's transaction."""
    mine = (audit_hold.c.name == name, audit_hold.c.released_at.is_(None))
    before = read(tx, name)
    if before is None:
        raise Held(msg("There is no legal hold '{name}' that counts.", name=name))
    gate.require(tx, Deed(DEED, name, (RETENTION,), {**before, "state": "released"}))
    tx.execute(sa.update(audit_hold).where(*mine).values(released_by=actor.name, released_at=at))
    record(tx, actor, at, Event(Tag.HOLD_RELEASED, Subject("hold", name)))


def read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return a hold that counts as a document, kept from others until the transaction ends; None if there is none."""
    mine = (audit_hold.c.name == name, audit_hold.c.released_at.is_(None))
    row = tx.execute(sa.select(audit_hold).where(*mine).with_for_update()).one_or_none()
    if row is None:
        return None
    scope = {"kind": row.subject_kind, "subject": row.subject, "record": row.record_key}
    return {"name": name, "reason": row.reason, **scope, "state": "counts"}


def listing(tx: sa.Connection) -> list[Hold]:
    """Return all holds, those that count first."""
    rows = tx.execute(sa.select(audit_hold).order_by(audit_hold.c.released_at.is_not(None), audit_hold.c.name))
    return [
        Hold(
            row.name,
            row.reason,
            Scope(row.subject_kind, row.subject, row.record_key),
            row.placed_by,
            row.placed_at,
            row.released_by,
            row.released_at,
        )
        for row in rows
    ]


def held(tx: sa.Connection) -> sa.ColumnElement[bool]:
    """Return the condition for events that a hold keeps."""
    active = [hold.scope for hold in listing(tx) if hold.released_at is None]
    return sa.or_(sa.false(), *(_covers(scope) for scope in active))


def refuse_held(tx: sa.Connection, scope: Scope) -> None:
    """Raise `Held` where a hold covers a subject, or where nothing of the log can be about it."""
    _require_room({"subject_kind": scope.kind, "subject": scope.name, "record_key": scope.record})
    for hold in listing(tx):
        wanted = (hold.scope.kind, hold.scope.name, hold.scope.record)
        own = (scope.kind, scope.name, scope.record)
        if hold.released_at is None and all(part in (None, mine) for part, mine in zip(wanted, own, strict=True)):
            text = N_("The legal hold '{name}' keeps this ({reason}). It has to be released first.")
            raise Held(msg(text, name=hold.name, reason=hold.reason))


def _covers(scope: Scope) -> sa.ColumnElement[bool]:
    column = audit_event.c
    pairs = ((column.subject_kind, scope.kind), (column.subject, scope.name), (column.record_key, scope.record))
    return sa.and_(sa.true(), *(own == value for own, value in pairs if value is not None))


def _approved(order: Order) -> None:
    release_in(order.tx, order.subject, order.actor, order.house.clock())


def _title(subject: str, _after: Document | None, _detail: Document) -> Message:
    return msg("Release the legal hold {name}", name=subject)


register(
    Applier(DEED, N_("Legal hold"), ("update", "Audit"), read, _approved, _title, lambda _name: "/audit/holds", (Held,))
)
