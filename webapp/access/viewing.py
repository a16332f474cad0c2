"""View as: who may change roles sees the console as a role or a user does, to find out what they see.

It is a state of the session, kept where the session is, so that an old cookie does not bring it back. Nothing can be
changed meanwhile, and nobody sees more than they may: an administrator sees exactly what the other one sees, all others
only what both may see. API keys know nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import g
from flask_login import current_user

from rules.text import N_, msg
from webapp.access import groups, models, roles, services
from webapp.access.errors import Missing, Refused
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.web.request import house
from webapp.web.storable import natural

NEEDED = ("can_update", "Roles")
"""What one has to hold oneself, at every request."""
ROLE, USER = "role", "user"

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class SeenAs:
    """Whom somebody views as; `narrowed` says that what the viewer may not do is left out."""

    kind: str
    id: int
    name: str
    narrowed: bool

    @property
    def text(self) -> str:
        """Return how it is written in a session and in an event: `role:7`."""
        return f"{self.kind}:{self.id}"


def seen_as() -> SeenAs | None:
    """Return whom the user of this request views as; None for an API key and for who is simply oneself."""
    if "seen_as" not in g:
        wanted = None if "api_user_id" in g or not current_user.is_authenticated else current_user.seen_as
        g.seen_as = None
        if wanted:
            with house().db.read() as tx:
                g.seen_as = find(tx, wanted, current_user.id)
    return g.seen_as  # type: ignore[no-any-return]


def find(tx: sa.Connection, wanted: str, viewer_id: int) -> SeenAs | None:
    """Return whom a session's text names; None if there is no such role or user, or the viewer may not view as one."""
    held = services.permissions_of(tx, viewer_id)
    kind, _, text = wanted.partition(":")
    number = natural(text)
    name = None if number is None else _name(tx, kind, number)
    if NEEDED not in held or number is None or name is None:
        return None
    return SeenAs(kind, number, name, narrowed=not _is_admin(tx, viewer_id))


def permissions(tx: sa.Connection, target: SeenAs, own: Pairs) -> Pairs:
    """Return the permissions that hold while somebody whose own ones are given views as another."""
    theirs = services.permissions_of(tx, target.id) if target.kind == USER else _of_role(tx, target.id)
    return theirs & own if target.narrowed else theirs


def begin(house: House, viewer: Any, wanted: str, actor: Actor) -> SeenAs:
    """Let the signed-in `viewer` view as the role or user from the next request on; raises `Missing`, `Refused`."""
    with house.db.begin() as tx:
        target = find(tx, wanted, viewer.id)
        if target is None:
            raise Missing
        if target.kind == USER and target.id == viewer.id:
            raise Refused("", msg("You see the console as yourself already."))
        _write(tx, viewer.session_id, target.text)
        after = {"kind": target.kind, "narrowed": target.narrowed}
        record(tx, actor, house.clock(), Event(Tag.VIEWING_BEGAN, Subject(target.kind, target.name), after=after))
    return target


def end(house: House, viewer: Any, actor: Actor) -> None:
    """Make the viewer be seen as nobody but oneself again."""
    target = seen_as()
    with house.db.begin() as tx:
        _write(tx, viewer.session_id, None)
        if target is not None:
            record(tx, actor, house.clock(), Event(Tag.VIEWING_ENDED, Subject(target.kind, target.name)))
    g.pop("seen_as", None)


def _write(tx: sa.Connection, session_id: int, text: str | None) -> None:
    table = models.access_session
    tx.execute(sa.update(table).where(table.c.id == session_id).values(seen_as=text))


def _name(tx: sa.Connection, kind: str, number: int) -> str | None:
    if kind == ROLE:
        return tx.scalar(sa.select(models.role.c.name).where(models.role.c.id == number))
    query = sa.select(models.user.c.username).where(models.user.c.id == number, models.user.c.active)
    return tx.scalar(query) if kind == USER else None


def _of_role(tx: sa.Connection, role_id: int) -> Pairs:
    query = models.granted().where(models.role_permission.c.role_id == role_id)
    return frozenset((row[0], row[1]) for row in tx.execute(query))


def _is_admin(tx: sa.Connection, user_id: int) -> bool:
    role = models.role
    query = sa.select(role.c.id).where(role.c.name == roles.ADMIN, role.c.id.in_(groups.role_ids_of(user_id)))
    return tx.scalar(query) is not None


REFUSAL = N_(
    "You view the console as {name}, and nothing can be changed meanwhile. Go back to yourself at the top of the page."
)
