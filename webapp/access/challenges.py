"""What a passkey was asked to sign, kept in the cookie until the browser answers, each for one purpose."""

from __future__ import annotations

from flask import session
from werkzeug.wrappers import Response

from webapp.access import passkeys
from webapp.access.errors import Refused
from webapp.web.language import translated
from webapp.web.request import house

_KEY = "passkey"


def asked(purpose: str, found: tuple[str, str]) -> Response:
    """Return what the browser is asked for, and keep the challenge."""
    options, challenge = found
    session[_KEY] = [purpose, challenge, house().clock().timestamp()]
    return Response(options, mimetype="application/json")


def kept(purpose: str) -> str:
    """Return the challenge that was kept for a purpose, once; an empty text where there is none, or it is too old."""
    what, challenge, since = session.pop(_KEY, None) or ("", "", 0.0)
    late = house().clock().timestamp() - since > passkeys.PATIENCE.total_seconds()
    return "" if late or what != purpose else str(challenge)


def refused(error: Refused) -> Response:
    """Return why nothing is asked of a passkey."""
    return Response(translated(error.message), 409, mimetype="text/plain")
