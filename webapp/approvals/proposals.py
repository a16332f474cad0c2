"""Proposals: making one, reading them, talking about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.approvals import hooks, settings
from webapp.approvals.deeds import Applier, Deed, Shown, appliers, digest, plain_difference
from webapp.approvals.errors import ApprovalMissing, NotDecided
from webapp.approvals.hooks import Person, Told
from webapp.approvals.models import approval, approval_comment
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.vault import services as vault
from webapp.vault.services import Owner

WAITING, APPLIED, REJECTED, WITHDRAWN = "waiting", "applied", "rejected", "withdrawn"
EXPIRED, STALE, OVERRIDDEN = "expired", "stale", "overridden"
STATES = (WAITING, APPLIED, OVERRIDDEN, REJECTED, WITHDRAWN, EXPIRED, STALE)
LONGEST = 2000
"""Characters of a reason or a comment."""
APPROVE: hooks.Pair = ("approve", "Approvals")
CREATE: hooks.Pair = ("create", "Approvals")


@dataclass(frozen=True)
class Proposal:
    """A proposal as it is stored; one that waits for longer than it may has expired."""

    id: int
    kind: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    detail: Mapping[str, Any]
    before_digest: str
    secrets: tuple[str, ...]
    reason: str
    author_kind: str
    author_id: str | None
    author_user: int | None
    author: str
    state: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decision: str

    @property
    def applier(self) -> Applier:
        """Return who knows this kind of deed."""
        return appliers[self.kind]

    @property
    def actor(self) -> Actor:
        """Return the author as who acts."""
        return Actor(self.author_kind, self.author, self.author_id)

    @property
    def title(self) -> Message:
        """Return what is to be done, in words."""
        return self.applier.title(self.subject, self.after, self.detail)

    @property
    def url(self) -> str:
        """Return the page of what it is about."""
        return self.applier.url(self.subject)

    def shown(self) -> Shown:
        """Return the difference in words; a secret is named and never shown."""
        return self.applier.shown(self.before or {}, self.after or {})


@dataclass(frozen=True)
class Comment:
    """What somebody said about a proposal."""

    at: datetime
    author: str
    text: str


def owner(number: int) -> Owner:
    """Return the owner of a proposal's secrets in the vault."""
    return Owner("approval", str(number))


def propose(house: House, deed: Deed, actor: Actor) -> Proposal:
    """Store what somebody wishes to do, so that a second person can approve it; one that waits already is returned."""
    with house.db.begin() as tx:
        return propose_in(tx, house, deed, actor)


def propose_in(tx: sa.Connection, house: House, deed: Deed, actor: Actor) -> Proposal:
    """Do what `propose` does within the caller's transaction; raises `NotDecided` where the actor may not propose."""
    person = hooks.the_people().acting(tx, actor)
    _may_propose(person, actor)
    now, before = house.clock(), appliers[deed.kind].read(tx, deed.subject)
    same = _same(tx, deed, digest(before), actor, now)
    if same is not None:
        return same
    values = {
        "kind": deed.kind,
        "subject": deed.subject,
        "before": before,
        "after": deed.after,
        "detail": dict(deed.detail),
        "before_digest": digest(before),
        "secrets": sorted(deed.secrets),
        "reason": deed.reason[:LONGEST],
        "author_kind": actor.kind,
        "author_id": actor.id,
        "author_user": None if person is None else person.behind,
        "author": actor.name,
        "state": WAITING,
        "created_at": now,
        "expires_at": now + timedelta(days=settings.current(tx).days),
    }
    key = tx.execute(sa.insert(approval).values(**values)).inserted_primary_key
    found = get(tx, int(key[0]) if key else 0)
    for name, value in deed.secrets.items():
        vault.put(tx, vault.keyring(house), owner(found.id), name, value, actor, now)
    _announce(tx, found, actor, now)
    return found


def _may_propose(person: Person | None, actor: Actor) -> None:
    if person is None and actor.kind in {"cli", "system"}:
        return
    if person is None or CREATE not in person.permissions:
        raise NotDecided(msg("This needs a second person, and you may not propose it: you lack 'create' in Approvals."))


def _same(tx: sa.Connection, deed: Deed, before: str, actor: Actor, now: datetime) -> Proposal | None:
    """Return the author's own proposal of the same deed that waits; new secrets cannot be compared."""
    if deed.secrets:
        return None
    mine = (approval.c.author_kind == actor.kind, approval.c.author == actor.name, approval.c.before_digest == before)
    query = sa.select(approval).where(waiting(now), *mine, *_about(deed.kind, deed.subject))
    found = (of(row) for row in tx.execute(query).mappings())
    wanted = (digest(deed.after), digest(deed.detail))
    return next((p for p in found if not p.secrets and (digest(p.after), digest(p.detail)) == wanted), None)


def _announce(tx: sa.Connection, found: Proposal, actor: Actor, now: datetime) -> None:
    shown = plain_difference(found.before or {}, found.after or {})
    told = {"kind": found.kind, "about": found.subject}
    event = Event(
        Tag.APPROVAL_PROPOSED,
        Subject("approval", str(found.id)),
        before=dict(shown.before) or None,
        after={**told, **shown.after},
        reason=found.reason or None,
    )
    record(tx, actor, now, event)
    text = msg("{who} asks for your approval: {what}", who=found.author, what=found.title)
    names = tuple(one.username for one in approvers(tx, found))
    hooks.tell(tx, Told(f"approval/{found.id}/proposed", names, text, f"/approvals/{found.id}", now))


def approvers(tx: sa.Connection, found: Proposal) -> list[Person]:
    """Return the users who hold what approving this takes, without its author."""
    held = hooks.the_people().holders(tx, (APPROVE, found.applier.permission))
    return [one for one in held if not is_author(found, one)]


def is_author(found: Proposal, person: Person) -> bool:
    """Tell whether a person has made the proposal, in whatever session, by whatever key or service account."""
    if found.author_user is not None and found.author_user in (person.id, person.behind):
        return True
    return found.author_kind == "user" and found.author.lower() == person.username.lower()


def waiting(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition for proposals that can be decided."""
    return sa.and_(approval.c.state == WAITING, approval.c.expires_at > now)


def _about(kind: str, subject: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (approval.c.kind == kind, approval.c.subject == subject)


def get(tx: sa.Connection, number: int, *, alone: bool = False) -> Proposal:
    """Return a proposal; `alone` keeps others from deciding it until the transaction ends. Raises `ApprovalMissing`."""
    query = sa.select(approval).where(approval.c.id == number)
    row = tx.execute(query.with_for_update() if alone else query).mappings().one_or_none()
    if row is None:
        raise ApprovalMissing
    return of(row)


def of(row: sa.RowMapping) -> Proposal:
    """Return a proposal from its row."""
    return Proposal(**{**row, "secrets": tuple(row["secrets"])})


def latest(tx: sa.Connection, *conditions: sa.ColumnElement[bool], after: int = 0, limit: int = 50) -> list[Proposal]:
    """Return proposals that meet conditions, the newest first, those of known kinds; `after` is the last one seen."""
    query = sa.select(approval).where(approval.c.kind.in_(list(appliers)), *conditions)
    if after:
        query = query.where(approval.c.id < after)
    return [of(row) for row in tx.execute(query.order_by(approval.c.id.desc()).limit(limit)).mappings()]


def last_about(tx: sa.Connection, kind: str, subject: str) -> Proposal | None:
    """Return the latest proposal about a subject."""
    return next(iter(latest(tx, *_about(kind, subject), limit=1)), None)


def comments(tx: sa.Connection, number: int) -> list[Comment]:
    """Return what was said about a proposal, the first first."""
    table = approval_comment.c
    query = sa.select(table.at, table.author, table.text).where(table.approval_id == number).order_by(table.id)
    return [Comment(*row) for row in tx.execute(query)]


def comment(house: House, number: int, text: str, actor: Actor) -> None:
    """Say something about a proposal; raises `NotDecided` for an empty or too long text."""
    said = text.strip()
    if not 1 <= len(said) <= LONGEST:
        raise NotDecided(msg("Write a comment of at most {count} characters.", count=LONGEST))
    now = house.clock()
    with house.db.begin() as tx:
        get(tx, number)
        values = {"approval_id": number, "at": now, "author": actor.name, "text": said}
        tx.execute(sa.insert(approval_comment).values(**values))
        record(tx, actor, now, Event(Tag.APPROVAL_COMMENTED, Subject("approval", str(number)), after={"text": said}))
