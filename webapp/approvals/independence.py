"""Who is a second person: not the author under another name, and nobody whom the author could be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.approvals import hooks
from webapp.approvals.errors import NotDecided
from webapp.approvals.hooks import Person
from webapp.approvals.proposals import APPROVE, Proposal, is_author
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import Actor

BEFORE = timedelta(days=1)
"""Whom the author let in within this time before the proposal may have been let in for it."""
_LET_IN = (
    Tag.USER_CREATED, Tag.PASSWORD_CHANGED, Tag.FACTOR_REMOVED, Tag.PASSKEY_REMOVED, Tag.IDENTITY_LINKED,
    Tag.USER_UPDATED,
)  # fmt: skip


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
    if in_the_same_hands(tx, found.actor, Actor("user", person.username), _since(found)):
        raise NotDecided(
            msg(
                "You, or somebody who has let you in, have made the account of {author}, who proposed this, or changed "
                "how it signs in. Another person has to approve it.",
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
    """Tell whether the proposal was made with a key that this person has had in hand, for whatever account."""
    return found.author_kind == "key" and person.username.lower() in _hands(tx, found.actor, _since(found))


def _let_in_by_author(tx: sa.Connection, found: Proposal, person: Person) -> bool:
    """Tell whether the author has let this person in around or since the proposal, or has let in who did."""
    author, mine = _hands(tx, found.actor, _since(found)), {person.username.lower()}
    return bool(author & _behind(tx, mine, _since(found), lambda _row: True))


def in_the_same_hands(tx: sa.Connection, one: Actor, other: Actor, since: datetime) -> bool:
    """Tell whether a person who was behind one actor since a time can have been behind another one as well."""
    theirs, mine = _hands(tx, one, since), _hands(tx, other, since)
    theirs |= {*_users(_behind(tx, theirs, since, _takes_over))}
    return bool(theirs & (mine | _behind(tx, mine, since, _takes_over)))


def _since(found: Proposal) -> datetime:
    return found.created_at - BEFORE


def _hands(tx: sa.Connection, actor: Actor, since: datetime) -> set[str]:
    """Return who can have acted as an actor: users by name in small letters, the command line by its own."""
    if actor.kind == "user":
        return {actor.name.lower()}
    if actor.kind == "key":
        return hooks.the_people().key_hands(tx, actor, since)
    return {f"cli {actor.name.lower()}"} if actor.kind == "cli" else set()  # whom the company's provider brings: nobody


def _users(hands: set[str]) -> list[str]:
    """Return the users of those hands: a user's name holds no space."""
    return [name for name in hands if " " not in name]


def _behind(tx: sa.Connection, names: set[str], since: datetime, counts: Callable[[Any], bool]) -> set[str]:
    """Return who has let in some users since a time, and who has let in those."""
    event, found, open_ = audit_event.c, set[str](), _users(names)
    about = (event.tag.in_([tag.value for tag in _LET_IN]), event.subject_kind == "user", event.at >= since)
    query = sa.select(event.tag, event.actor_kind, event.actor_name, event.actor_id, event.after).where(*about)
    while open_:
        for row in tx.execute(query.where(sa.func.lower(event.subject) == open_.pop())).all():
            if counts(row):
                new = _hands(tx, Actor(row.actor_kind, row.actor_name, row.actor_id), since) - found - names
                found |= new
                open_ += _users(new)
    return found


def _takes_over(row: Any) -> bool:
    """Tell whether who has done this can sign in as that user: another name or role alone gives nobody an account."""
    return row.tag != Tag.USER_UPDATED.value or bool({"active", "email"} & set(row.after or {}))
