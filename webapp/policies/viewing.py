"""View as, at the level of records: whose rights count while somebody views the console as a role or a user."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from flask import Flask, g
from flask_login import current_user

from webapp.access import viewing
from webapp.access.viewing import SeenAs
from webapp.policies.who import Who, who_of
from webapp.web.request import house


def register(app: Flask) -> None:
    """Let the rights of the other one count, from the beginning of each request on."""
    app.before_request(_put_on)


def _put_on() -> None:
    target = viewing.seen_as()
    if target is not None:
        with house().db.read() as tx:
            g.viewing_as = seen(tx, target, current_user.id)


def seen(tx: sa.Connection, target: SeenAs, viewer_id: int) -> Who:
    """Return whose rights count: the other user, or the viewer with nothing but the role.

    What the viewer may not see is left out, unless an administrator views.
    """
    own = who_of(tx, viewer_id)
    alone = replace(own, roles=(target.name,), by_group={})
    other = alone if target.kind == viewing.ROLE else who_of(tx, target.id)
    return replace(other, seen_as=f"{target.kind} {target.name}", limit=own if target.narrowed else None)
