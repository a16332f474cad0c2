"""OAuth 2 with a person's consent (authorisation code with PKCE, RFC 7636): the two calls before there are tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from connectors.builtin.rest_signing_in import needed, token_call
from connectors.builtin.rest_tokens import Desk, token_of
from connectors.errors import AuthFailed, Misconfigured
from connectors.spi import Context
from rules.text import msg

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Consent:
    """A request for consent: the address that the person goes to, and what proves that the answer belongs to it."""

    address: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def asks_for_consent(settings: Settings) -> bool:
    """Tell whether a connection works only after a person has consented."""
    return settings.get("authentication") == "oauth2_code"


def consent(settings: Settings, callback: str) -> Consent:
    """Return a new request for consent, whose answer comes to the address `callback`; raises `Misconfigured`."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    parts = urlsplit(needed(settings, "authorize_url"))
    if parts.scheme not in ("http", "https"):
        raise Misconfigured(
            msg("'{url}' is not a web address.", url=str(settings["authorize_url"]).partition("?")[0]),
            msg("Begin it with https:// or http://."),
        )
    asked = {
        "response_type": "code", "client_id": needed(settings, "client_id"), "redirect_uri": callback, "state": state,
        "code_challenge": proof_of(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    if settings.get("scope"):
        asked["scope"] = str(settings["scope"])
    query = urlencode({**dict(parse_qsl(parts.query)), **asked})
    return Consent(urlunsplit(parts._replace(query=query, fragment="")), state, verifier)


def proof_of(verifier: str) -> str:
    """Return what is sent ahead of a verifier (RFC 7636, S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def redeem(settings: Settings, context: Context, code: str, callback: str, verifier: str) -> str:
    """Return the refresh token for the code that came back; raises `ConnectorError`."""
    desk = Desk(context, str(settings.get("certificate") or ""), bool(settings.get("verify", True)))
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    token = token_of(token_call(desk, settings, fields), "access_token", "expires_in")
    if not token.refresh:
        raise AuthFailed(
            msg("The service gave no refresh token, so the consent would end with this hour."),
            msg("Ask for lasting access: many services want the scope offline_access for it, others "
                "access_type=offline in the address for consent."),
        )  # fmt: skip
    return token.refresh
