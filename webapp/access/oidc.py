"""Sign-in by the company's own identity provider: OpenID Connect Core 1.0, authorisation code with PKCE.

Who somebody is, and which groups they are in, is the provider's to say; `SYNCLINE_OIDC_ROLES` says which roles a group
holds. A user is made at the first sign-in and gets the roles of the groups anew at each.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt

from config import oidc_secret
from connectors.builtin.rest_oauth import proof_of
from connectors.errors import ConnectorError
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import msg
from webapp.access import identities
from webapp.access.identities import NotAdmitted
from webapp.extensions import House
from webapp.setting_values import is_private

_KEPT = 600.0
"""Seconds for which the provider's description and keys are kept; an unknown key asks again at once."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has."""
_LEEWAY = 60
_LIMITS = Limits(size=2**20, seconds=10.0)
ELSEWHERE = msg("The sign-in was begun elsewhere or has taken too long. Try again.")
TOKEN = "id_token"  # noqa: S105 - the name of a claim of ours
"""Under which the ID token itself lies beside its claims."""
_SCOPES = "openid profile email"


@dataclass(frozen=True)
class Begun:
    """What the browser is sent to, and what is kept until it comes back."""

    url: str
    kept: dict[str, str]


@dataclass(frozen=True)
class Provider:
    """The provider as it describes itself, with its keys by number."""

    told: Mapping[str, Any]
    keys: Mapping[str, jwt.PyJWK]
    read_at: float


_known: dict[str, Provider] = {}
_lock = Lock()


def begin(house: House, callback: str, *, anew: bool = False) -> Begun:
    """Return where to send the browser; raises `NotAdmitted` where the provider does not answer.

    Args:
        house: The house.
        callback: Where the browser comes back.
        anew: Whether the provider has to ask for a password again, even where somebody is signed in there.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    asked = {
        "response_type": "code",
        "client_id": house.settings.oidc_client_id,
        "redirect_uri": callback,
        "scope": _SCOPES,
        "state": state,
        "nonce": nonce,
        "code_challenge": proof_of(verifier),
        "code_challenge_method": "S256",
    }
    if house.settings.company_factor_classes:
        asked["acr_values"] = " ".join(house.settings.company_factor_classes)
    if anew:
        asked |= {"prompt": "login", "max_age": "0"}
    address = _address(_provider(house), "authorization_endpoint")
    return Begun(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}",
                 {"state": state, "nonce": nonce, "verifier": verifier})  # fmt: skip


def finish(house: House, kept: Mapping[str, str], answer: Mapping[str, str], callback: str) -> dict[str, Any]:
    """Return what the provider says of who has signed in there; raises `NotAdmitted`."""
    if not kept.get("state") or not _same(kept["state"], answer.get("state", "")):
        raise NotAdmitted(ELSEWHERE)
    if answer.get("error"):
        told = answer.get("error_description") or answer["error"]
        raise NotAdmitted(msg("The identity provider has not let you in: {text}", text=told[:200]))
    tokens = _tokens(house, answer.get("code", ""), callback, kept["verifier"])
    token = str(tokens.get("id_token", ""))
    claims = checked(house, token, kept["nonce"])
    more = _more(house, str(tokens.get("access_token", "")), claims["sub"])
    return {**more, "amr": None, "acr": None, **claims, TOKEN: token}  # how it has asked is in what it signs


def shown_since(claims: Mapping[str, Any], then: float) -> bool:
    """Tell whether the provider says that somebody has shown who they are since a time; one that is silent does not."""
    at = shown_at(claims)
    return at is not None and at.timestamp() >= then - _LEEWAY


def shown_at(claims: Mapping[str, Any]) -> datetime | None:
    """Return when the provider says that somebody has shown who they are; None where it is silent."""
    at = claims.get("auth_time")
    try:
        return datetime.fromtimestamp(at, UTC) if isinstance(at, (int, float)) else None
    except (ValueError, OverflowError, OSError):
        return None


def leave(house: House, token: str, onwards: str) -> str:
    """Return where the browser ends the provider's own session as well; empty where the provider has no such place."""
    try:
        address = _provider(house).told.get("end_session_endpoint")
    except NotAdmitted:  # it is away
        return ""
    if not address or not is_private(str(address)):
        return ""
    asked = {"id_token_hint": token, "client_id": house.settings.oidc_client_id, "post_logout_redirect_uri": onwards}
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def checked(house: House, token: str, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token that is meant for us and for this sign-in; raises `NotAdmitted`."""
    settings = house.settings
    try:
        head = jwt.get_unverified_header(token)
        if str(head.get("typ") or "JWT").upper() != "JWT":  # an access token, or one that ends a session
            raise jwt.InvalidTokenError(f"{head['typ']} is another kind of token")
        key = _key(house, head.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token, key.key, algorithms=_ALGORITHMS,
            audience=settings.oidc_client_id, issuer=settings.oidc_issuer, leeway=_LEEWAY,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )  # fmt: skip
    except (jwt.PyJWTError, KeyError, TypeError) as error:
        raise NotAdmitted(
            msg("The answer of the identity provider cannot be trusted: {text}", text=str(error))
        ) from None
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if several and claims.get("azp") != settings.oidc_client_id:
        raise NotAdmitted(msg("The answer of the identity provider is meant for another application."))
    if not _same(str(claims.get("nonce", "")), nonce) or not claims["sub"]:
        raise NotAdmitted(msg("The answer of the identity provider belongs to another sign-in. Try again."))
    return claims


def roles_of(house: House, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the roles that somebody's groups hold; raises `NotAdmitted` where there are none."""
    told = claims.get(house.settings.oidc_groups, [])
    groups = {told} if isinstance(told, str) else set(map(str, told)) if isinstance(told, list) else set()
    return identities.roles_of(groups, house.settings.oidc_roles)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _provider(house: House, *, anew: bool = False) -> Provider:
    issuer = house.settings.oidc_issuer
    with _lock:
        known = _known.get(issuer)
    if known is not None and not anew and time.monotonic() - known.read_at < _KEPT:
        return known
    told = _json(house, "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if told.get("issuer") != issuer:
        raise NotAdmitted(msg("The identity provider calls itself {name}.", name=str(told.get("issuer"))[:200]))
    keys = _json(house, "GET", _secure(str(told.get("jwks_uri", ""))))
    try:
        found = {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(keys).keys if key.public_key_use != "enc"}
    except jwt.PyJWTError as error:
        raise NotAdmitted(msg("The keys of the identity provider cannot be read: {text}", text=str(error))) from None
    provider = Provider(told, found, time.monotonic())
    with _lock:
        _known[issuer] = provider
    return provider


def _key(house: House, number: str | None) -> jwt.PyJWK:
    keys = _provider(house).keys
    if number is None and len(keys) == 1:
        return next(iter(keys.values()))
    if number not in keys:
        keys = _provider(house, anew=True).keys  # it may have a new one
    return keys[str(number)]


def _tokens(house: House, code: str, callback: str, verifier: str) -> Mapping[str, Any]:
    provider, settings = _provider(house), house.settings
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    ways = provider.told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    auth = None
    if "client_secret_basic" in ways:
        auth = (quote_plus(settings.oidc_client_id), quote_plus(oidc_secret()))  # RFC 6749, 2.3.1
    else:
        fields |= {"client_id": settings.oidc_client_id, "client_secret": oidc_secret()}
    return _json(house, "POST", _address(provider, "token_endpoint"), data=fields, auth=auth)


def _more(house: House, token: str, subject: str) -> Mapping[str, Any]:
    """Return what the provider tells of a user beside the ID token; what is not about that user does not count."""
    provider = _provider(house)
    if not token or not provider.told.get("userinfo_endpoint"):
        return {}
    found = _json(house, "GET", _address(provider, "userinfo_endpoint"), headers={"Authorization": f"Bearer {token}"})
    return found if found.get("sub") == subject else {}


def _address(provider: Provider, name: str) -> str:
    return _secure(str(provider.told.get(name, "")))


def _secure(address: str) -> str:
    if not is_private(address):
        raise NotAdmitted(msg("The identity provider gives an address that is not encrypted: {url}", url=address[:200]))
    return address


def _json(house: House, method: str, url: str, **more: Any) -> dict[str, Any]:
    context = Context(egress_allow=house.settings.egress_allow, timeout=5.0)
    try:
        with client(context, limits=_LIMITS) as http:
            answer = http.request(method, url, **more)
            if answer.status_code != 200:
                text = msg("The identity provider answers with status {status}.", status=answer.status_code)
                raise NotAdmitted(text)
            found = answer.json()
    except ConnectorError as error:
        raise NotAdmitted(msg("The identity provider cannot be reached. {text}", text=error.message)) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotAdmitted(msg("The identity provider does not answer in JSON."))
    return found
