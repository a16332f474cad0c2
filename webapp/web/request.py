"""The house and the actor behind the request at hand."""

from __future__ import annotations

from flask import current_app, g, has_request_context, request
from flask_login import current_user

from webapp.extensions import SYSTEM, Actor, House
from webapp.web.storable import LARGEST


def whole_number(text: str) -> int:
    """Return the number that a parameter of an address says; raises `ValueError` where no database can hold it."""
    found = int(text)
    if abs(found) > LARGEST:
        raise ValueError(text)
    return found


def house() -> House:
    """Return the house of this application."""
    return current_app.extensions["syncline"]  # type: ignore[no-any-return]


def actor() -> Actor:
    """Return who makes this request; Syncline itself outside of one."""
    if not has_request_context():
        return SYSTEM
    origin = {"address": request.remote_addr, "request_id": g.get("request_id")}
    if "api_actor" in g:
        return g.api_actor  # type: ignore[no-any-return]
    if current_user and current_user.is_authenticated:
        return Actor("user", current_user.username, str(current_user.id), **origin)
    return Actor("user", "anonymous", None, **origin)
