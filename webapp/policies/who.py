"""Who asks: a user with roles, groups and attributes, or Syncline itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import sqlalchemy as sa
from flask import g, has_request_context
from flask_login import current_user

from webapp.access import groups, models, viewing
from webapp.access.users import full_name
from webapp.web.request import house


@dataclass(frozen=True)
class Who:
    """A user as permissions see them; `seen_as` says as whom or what role somebody else looks at things."""

    user_id: int | None
    username: str
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    seen_as: str = ""
    email: str = ""
    name: str = ""
    groups: tuple[str, ...] = ()
    by_group: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role -> the groups that bring it."""
    limit: Who | None = None
    """Who else has to be permitted it: somebody that views as another and must not see more than both."""
    system: bool = False
    """Syncline itself: maintenance that shows nothing to anybody."""

    def asked(self, name: str) -> str | None:
        """Return what `user.name` is in a condition; None where it is not known."""
        own = {"username": self.username, "email": self.email, "name": self.name}
        value = own[name] if name in own else self.attributes.get(name)
        text = value if isinstance(value, str) else ""
        return text if text.strip() and "\x00" not in text else None

    def listed(self, name: str) -> tuple[str, ...] | None:
        """Return what `... in user.name` looks into: roles, groups, or the parts of an attribute between commas."""
        if name in ("roles", "groups"):
            return self.roles if name == "roles" else self.groups
        text = self.asked(name)
        return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


SYSTEM_WHO = Who(None, "Syncline", system=True)
NOBODY = Who(None, "")


def who_of(tx: sa.Connection, user_id: int) -> Who:
    """Return a user with all roles, held or brought by groups; `NOBODY` where there is no such active user."""
    return _user(tx, user_id, _active())


def known(tx: sa.Connection, user_id: int) -> Who:
    """Return a user as `who_of` does, also one who is disabled."""
    return _user(tx, user_id, _users())


@cache
def _users() -> sa.Select[*tuple[Any, ...]]:
    columns = (models.user, models.access_profile.c.attributes)
    source = models.user.outerjoin(models.access_profile, models.access_profile.c.user_id == models.user.c.id)
    return sa.select(*columns).select_from(source).where(models.user.c.id == sa.bindparam("user_id"))


@cache
def _active() -> sa.Select[*tuple[Any, ...]]:
    return _users().where(models.user.c.active)


def _user(tx: sa.Connection, user_id: int, query: sa.Select[*tuple[Any, ...]]) -> Who:
    row = tx.execute(query, {"user_id": user_id}).one_or_none()
    if row is None:
        return NOBODY
    direct, brought = groups.roles_of(tx, user_id)
    return Who(
        row.id,
        row.username,
        tuple(sorted({*direct, *brought})),
        dict(row.attributes or {}),
        email=row.email or "",
        name=full_name(row.first_name or "", row.last_name or ""),
        groups=groups.names_of(tx, user_id),
        by_group=brought,
    )


def current_who() -> Who:
    """Return who makes this request, or as whom they look at things; `SYSTEM_WHO` outside of a request."""
    if not has_request_context():
        return SYSTEM_WHO
    if "policy_who" not in g:
        g.policy_who = _asking()
    return g.policy_who  # type: ignore[no-any-return]


def _asking() -> Who:
    user_id = g.get("api_user_id")
    if user_id is None:
        user_id = current_user.id if current_user and current_user.is_authenticated else None
    if user_id is None:
        return NOBODY
    seen_as = viewing.seen_as()
    with house().db.read() as tx:
        own = who_of(tx, int(user_id))
        return own if seen_as is None else _viewed(tx, seen_as, own)


def _viewed(tx: sa.Connection, target: viewing.SeenAs, own: Who) -> Who:
    """Return as whom somebody views; who is not an administrator sees only what both see."""
    who = who_of(tx, target.id) if target.kind == viewing.USER else Who(None, "", (target.name,))
    return replace(who, seen_as=target.name, limit=own if target.narrowed else None)
