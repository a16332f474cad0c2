"""What happens before a page is shown: API keys are read, first passwords changed, refusals told to the audit log."""

from __future__ import annotations

from typing import Any

from flask import Flask, flash, g, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from rules.text import msg
from webapp.access import keys, pace, services, viewing
from webapp.extensions import Actor
from webapp.web import problems
from webapp.web.api import ApiError
from webapp.web.language import translated
from webapp.web.protection import PROBES, SENDING, bearer
from webapp.web.request import actor, house

_FREE = {
    "static",
    "SessionView.login",
    "SessionView.logout",
    "SessionView.language",
    "AccountView.show",
    "AccountView.password",
}


_STILL = {"SessionView.login", "SessionView.logout", "SessionView.language", "BackView.end"}
"""What may be sent while somebody views as another."""
_DEEDS = {"ConsentView.connect", "ConsentView.callback"}
"""What does something although nothing is sent: other sites lead back to it."""


_SETTING_UP = {
    "FactorView.show",
    "PasskeyView.show",
    "PasskeyView.begin",
    "PasskeyView.add",
    "ProofView.show",
    "ProofView.begin",
    "ProofView.done",
    "CompanyView.again",
    "CompanyView.back",
    "SamlView.again",
    "SamlView.back",
}
"""Where a second factor is set up."""


def register(app: Flask) -> None:
    """Install the checks."""
    app.before_request(take_key)
    app.before_request(insist_on_own_password)
    app.before_request(only_look)
    app.before_request(insist_on_second_factor)
    app.after_request(tell_refusal)
    app.jinja_env.globals["seen_as"] = viewing.seen_as


def keep_the_pace() -> None:
    """Refuse to answer who asks too often, so that the others are answered; before anything else is done."""
    if bearer() is None and request.endpoint != "static" and request.path not in PROBES:
        who = actor()
        _pace(f"user:{who.id}" if who.id else f"address:{who.address}")


def _pace(who: str) -> None:
    wait = pace.seconds_to_wait(house(), who)
    if wait:
        raise TooManyRequests(retry_after=wait)


def take_key() -> None:
    """Take the API key of a request to the API, if it carries one; the cookie counts for nothing then."""
    token = bearer()
    if token is None or request.path == "/metrics":  # what that takes is no API key
        return
    if not request.path.startswith(("/api/v1/", "/scim/v2/")):
        raise ApiError(401, "API keys are for /api/v1/ and /scim/v2/ only.")
    address = request.remote_addr or ""
    row = keys.find(house(), token)
    _pace(f"key:{row.id}" if row else f"address:{address}")
    if row is None:
        text = "The API key is unknown, expired or revoked, or its owner is disabled or has to sign in again."
        raise ApiError(401, text)
    g.api_actor = Actor("key", row.name, str(row.id), address, g.get("request_id"))
    g.api_user_id = row.user_id
    g.api_scopes = frozenset(row.scopes)


def insist_on_own_password() -> Response | None:
    """Lead a user with a password that somebody else knows to the page where it is changed."""
    if "api_user_id" in g or request.endpoint in _FREE or not current_user.is_authenticated:
        return None
    if not current_user.must_change_password:
        return None
    if request.path.startswith(("/api/", "/scim/")):
        raise ApiError(403, "Change the first password in the console before using the API.")
    flash(_("Choose a password of your own before you go on."), "warning")
    return redirect(url_for("AccountView.show"))


def insist_on_second_factor() -> Response | None:
    """Lead a user without a second factor to the page where it is set up, in installations that ask for one."""
    if not house().settings.require_second_factor or "api_user_id" in g or not current_user.is_authenticated:
        return None
    if current_user.second_factor or current_user.must_change_password or request.endpoint in _FREE:
        return None
    if request.path.startswith(("/api/", "/scim/")):
        raise ApiError(403, "Set up a second factor in the console before using the API.")
    if request.endpoint in _SETTING_UP:
        return None
    return redirect(url_for("FactorView.show"))


def only_look() -> Any:
    """Refuse everything that could change something while somebody views as another."""
    asks = request.method in SENDING or request.endpoint in _DEEDS
    target = viewing.seen_as() if asks and request.endpoint not in _STILL else None
    if target is None:
        return None
    return problems.shown(403, translated(msg(viewing.REFUSAL, name=target.name)))


def tell_refusal(response: Response) -> Response:
    """Write a refusal to the audit log, with the page but not its parameters."""
    known = "api_actor" in g or (request.endpoint != "static" and bool(current_user) and current_user.is_authenticated)
    if response.status_code == 403 and known:
        services.denied(house(), actor(), request.path)
    return response
