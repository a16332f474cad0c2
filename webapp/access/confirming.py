"""Asking somebody who is signed in for the password once more, before what a stranger at the desk must not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request
from flask_login import current_user

from rules.text import msg
from webapp.access import services, throttle
from webapp.access.errors import Refused
from webapp.web.request import actor, house

T = TypeVar("T")
FIELD = "current"


def confirmed(work: Callable[[str | None], T]) -> T:
    """Return what `work` returns for the password that was sent; raises `Refused`, also for whoever tries too many.

    Who signs in by the company has no password here: `work` gets None then, and the page asks for a fresh proof before.
    """
    if not current_user.has_password:
        return work(None)
    name, address = current_user.username, request.remote_addr or ""
    wait = throttle.seconds_to_wait(house(), name, address)
    if wait:
        raise Refused(FIELD, msg("Too many failed attempts. Try again in {seconds} seconds.", seconds=wait))
    try:
        return work(request.form.get(FIELD, ""))
    except Refused as error:
        if error.field == FIELD:
            throttle.failed(house(), name, address)
            services.wrong(house(), current_user.id, actor(), "wrong password, signed in")
        raise
