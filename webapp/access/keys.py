"""API keys: made once, stored as a digest, limited to their scopes and to what their owner may do."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import g, request

from webapp.access import models
from webapp.extensions import Actor, House
from webapp.web.api import ApiError
from webapp.web.protection import bearer
from webapp.web.request import house

PREFIX = "syn_"
_TOUCH = timedelta(minutes=1)


def digest(key: str) -> str:
    """Return what is stored of a key; it is long and random, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def authenticate_request() -> None:
    """Take the API key of a request to the API, if it carries one."""
    token = bearer()
    if token is None:
        return
    if not request.path.startswith("/api/"):
        raise ApiError(401, "API keys are for /api/ only.")
    row = find(house(), token)
    if row is None:
        raise ApiError(401, "The API key is unknown, expired or revoked, or its owner is disabled.")
    g.api_actor = Actor("key", row.name, str(row.id), request.remote_addr, g.get("request_id"))
    g.api_user_id = row.user_id
    g.api_scopes = frozenset(row.scopes)


def find(house: House, token: str) -> Any:
    """Return the row of a valid key, else None; remembers its use."""
    key, user, now = models.access_key, models.user, house.clock()
    query = sa.select(key).join(user, user.c.id == key.c.user_id).where(key.c.digest == digest(token), user.c.active)
    with house.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None or row.revoked_at or (row.expires_at and row.expires_at <= now):
        return None
    if row.last_used_at is None or row.last_used_at < now - _TOUCH:
        with house.db.begin() as tx:
            tx.execute(sa.update(key).where(key.c.id == row.id).values(last_used_at=now))
    return row
