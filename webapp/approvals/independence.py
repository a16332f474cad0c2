"""Who is a second person: not the author under another name, and nobody whom the author could be."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from rules.text import msg
from webapp.approvals import hooks
from webapp.approvals.errors import NotDecided
from webapp.approvals.hooks import Person
from webapp.approvals.proposals import APPROVE, Proposal, is_author
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM

BEFORE = timedelta(days=1)
"""Whom the author let in within this time before the proposal may have been let in for it."""
_LET_IN = (Tag.USER_CREATED, Tag.PASSWORD_CHANGED, Tag.FACTOR_REMOVED, Tag.USER_UPDATED)


def require_second(tx: sa.Connection, found: Proposal, person: Person | None) -> Person:
    """Return the person if it may approve a proposal; raises `NotDecided`."""
    if person is None or not person.active:
        raise NotDecided(msg("Only a user can approve, in the console or with a key of one's own."))
    if person.owner is not None:
        raise NotDecided(msg("A service account is no person. Somebody who signs in has to approve this."))
    if is_author(found, person) or _made_its_key(tx, found, person):
        raise NotDecided(msg("You have proposed this yourself. A second person has to approve it."))
    require_permissions(found, person)
    if _let_in_by_author(tx, found, person):
        raise NotDecided(
            msg(
                "{author}, who proposed this, has made your account or changed how you sign in. "
                "Another person has to approve it.",
                author=found.author,
            )
        )
    return person


def require_permissions(found: Proposal, person: Person) -> None:
    """Raise `NotDecided` where a person lacks what deciding this proposal takes."""
    for action, room in (APPROVE, found.applier.permission):
        if (action, room) not in person.permissions:
            raise NotDecided(msg("Deciding this takes the permission '{action}' in {room}.", action=action, room=room))


def require_author(tx: sa.Connection, found: Proposal) -> None:
    """Raise `NotDecided` where the author may not do the deed any more."""
    if found.author_kind in {"cli", "system"}:
        return
    author = hooks.the_people().acting(tx, found.actor)
    if author is None or not author.active or found.applier.permission not in author.permissions:
        text = "{author}, who proposed this, may not do it any more. Reject it; somebody else can propose it again."
        raise NotDecided(msg(text, author=found.author))


def _made_its_key(tx: sa.Connection, found: Proposal, person: Person) -> bool:
    """Tell whether the proposal was made with a key that this person has made, for whatever account."""
    if found.author_kind != "key":
        return False
    event = audit_event.c
    made = (event.tag == Tag.KEY_CREATED.value, event.subject_kind == "key", event.subject == found.author)
    query = sa.select(event.id).where(*made, event.actor_kind == "user", event.actor_id == str(person.id))
    return tx.scalar(query.limit(1)) is not None


def _let_in_by_author(tx: sa.Connection, found: Proposal, person: Person) -> bool:
    """Tell whether the author has made this account, or got hold of it, around or since the proposal."""
    event = audit_event.c
    query = sa.select(event.id).where(
        event.tag.in_([tag.value for tag in _LET_IN]),
        event.subject_kind == "user",
        sa.func.lower(event.subject) == person.username.lower(),
        event.at >= found.created_at - BEFORE,
        _by_author(tx, found),
    )
    return tx.scalar(query.limit(1)) is not None


def _by_author(tx: sa.Connection, found: Proposal) -> sa.ColumnElement[bool]:
    event = audit_event.c
    if found.author_kind == SYSTEM.kind:  # users whom the company's provider brings are not its accomplices
        return sa.false()
    if found.author_user is None:
        return sa.and_(event.actor_kind == found.author_kind, event.actor_name == found.author)
    keys = hooks.the_people().keys_of(tx, found.author_user)
    return sa.or_(
        sa.and_(event.actor_kind == "user", event.actor_id == str(found.author_user)),
        sa.and_(event.actor_kind == "key", event.actor_id.in_(keys)),
    )
