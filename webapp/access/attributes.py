"""What is known of users beside their names: texts such as a country, which conditions of rows compare with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import models, users
from webapp.access.errors import Refused
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

OWN = ("username", "email", "name", "roles", "groups")
"""What conditions know of every user; no attribute takes such a name."""
MOST, LONGEST = 50, 500
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

Attributes = Mapping[str, str]


def attributes_of(tx: sa.Connection, user_id: int) -> dict[str, str]:
    """Return the attributes of a user."""
    profile = models.access_profile
    return dict(tx.scalar(sa.select(profile.c.attributes).where(profile.c.user_id == user_id)) or {})


def set_attributes(house: House, user_id: int, wanted: Attributes, actor: Actor) -> None:
    """Give a user these attributes and no others; raises `Missing` and `Refused`."""
    with house.db.begin() as tx:
        users.owned(tx, user_id, actor)
        users.refuse_oneself(tx, user_id, actor)
        set_attributes_in(tx, user_id, wanted, actor, house.clock())
        users.require_reach(tx, actor, user_id)


def set_attributes_in(tx: sa.Connection, user_id: int, wanted: Attributes, actor: Actor, at: datetime) -> None:
    """Do what `set_attributes` does within the caller's transaction, for who has been checked."""
    user, before = users.get_user(tx, user_id), attributes_of(tx, user_id)
    after = {name: text.strip() for name, text in wanted.items() if text.strip()}
    _check(after)
    if before == after:
        return
    profile = models.access_profile
    tx.execute(sa.update(profile).where(profile.c.user_id == user_id).values(attributes=after or None))
    told = ({"attributes": before}, {"attributes": after})
    subject = Subject("user", user.username)
    record(tx, actor, at, Event(Tag.USER_UPDATED, subject, before=told[0], after=told[1], personal=("attributes",)))


def told(wanted: Iterable[tuple[str, str]], claims: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes that a directory tells of a user; what it does not mention is left out.

    Args:
        wanted: Attributes and what the directory calls each, whatever the case of its letters.
        claims: What it says; several values become one text, with commas between them.
    """
    known = {name.lower(): value for name, value in claims.items()}
    return {name: _text(known[claim.lower()]) for name, claim in wanted if claim.lower() in known}


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""


def take_over(tx: sa.Connection, user_id: int, found: Attributes, actor: Actor, at: datetime) -> None:
    """Give a user the attributes that a directory tells; others stay. Raises `Refused`."""
    if found:
        set_attributes_in(tx, user_id, {**attributes_of(tx, user_id), **found}, actor, at)


def _check(attributes: Attributes) -> None:
    if len(attributes) > MOST:
        raise Refused("attributes", msg("A user has at most {count} attributes.", count=MOST))
    for name, text in attributes.items():
        if not _NAME.fullmatch(name) or name in OWN:
            raise Refused(
                "attributes", msg("'{name}' cannot be an attribute. Use small letters and digits.", name=name)
            )
        if len(text) > LONGEST or "\x00" in text:
            raise Refused("attributes", msg("Use at most {count} characters for '{name}'.", count=LONGEST, name=name))
