"""The credentials that the settings of a connection ask for, and how their tokens are fetched."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import msgspec

from connectors.builtin.rest_address import absolute
from connectors.builtin.rest_auth import (
    Credentials,
    Placed,
    Signature,
    SignedCredentials,
    TokenCredentials,
    basic,
    form_basic,
)
from connectors.builtin.rest_settings import SPEC
from connectors.builtin.rest_tokens import Desk, InvalidGrant, Token, token_of, until
from connectors.errors import AuthFailed, Misconfigured
from rules.text import Message, msg

Settings = Mapping[str, Any]
_JWT_SECONDS = 300
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def credentials_of(settings: Settings, desk: Desk) -> Credentials:
    """Return the credentials of a connection; raises `Misconfigured` where a setting is missing or wrong."""
    kind = str(settings.get("authentication") or "none")
    if kind not in _KINDS:
        raise Misconfigured(msg("There is no authentication '{kind}'.", kind=kind))
    return _KINDS[kind](settings, desk)


def given(settings: Settings, name: str) -> str:
    """Return a setting that has to be there and can stand in a header."""
    return sendable(needed(settings, name), name)


def sendable(text: str, name: str) -> str:
    """Return a text that can stand in a header."""
    if not (text.isascii() and text.isprintable()):
        raise Misconfigured(
            msg("The setting '{setting}' has a character that cannot be sent.", setting=label(name)),
            msg("Look for line breaks, blanks at the ends and characters that are not ASCII."),
        )
    return text


def label(name: str) -> Message:
    """Return what a setting is called in the form."""
    return msg(next(setting.label for setting in SPEC.settings if setting.name == name))


def document(settings: Settings, name: str) -> dict[str, Any]:
    """Return a setting that is a JSON object."""
    value = settings.get(name)
    try:
        if isinstance(value, (str, bytes)):
            value = msgspec.json.decode(value or "{}")
        return msgspec.convert({} if value is None else value, dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(
            msg("The setting '{setting}' is not a JSON object.", setting=label(name)),
            msg("Write it as {example}.", example='{"name": "value"}'),
        ) from error


def needed(settings: Settings, name: str) -> str:
    """Return a setting that has to be there; raises `Misconfigured`."""
    value = str(settings.get(name) or "").strip()
    if not value:
        raise Misconfigured(
            msg("The authentication needs the setting '{setting}'.", setting=label(name)),
            msg("Enter it and try again."),
        )
    return value


def _none(_settings: Settings, _desk: Desk) -> Credentials:
    return Credentials()


def _basic(settings: Settings, _desk: Desk) -> Credentials:
    return Credentials({"Authorization": basic(settings.get("user") or "", settings.get("password") or "")})


def _bearer(settings: Settings, _desk: Desk) -> Credentials:
    return Credentials({"Authorization": f"Bearer {given(settings, 'token')}"})


def _key_header(settings: Settings, _desk: Desk) -> Credentials:
    return Credentials({given(settings, "key_name"): given(settings, "key")})


def _key_user(settings: Settings, _desk: Desk) -> Credentials:
    return Credentials({"Authorization": basic(given(settings, "key"), "x")})


def _key_query(settings: Settings, _desk: Desk) -> Credentials:
    return Credentials(query={given(settings, "key_name"): given(settings, "key")})


def _hmac(settings: Settings, _desk: Desk) -> Credentials:
    headers = {str(settings.get("hmac_header") or "X-Signature"): "{signature}"}
    headers |= {name: str(value) for name, value in document(settings, "hmac_headers").items()}
    default = Signature("")
    return SignedCredentials(
        Signature(
            needed(settings, "hmac_key"), str(settings.get("hmac_key_id") or ""),
            str(settings.get("hmac_algorithm") or default.algorithm), str(settings.get("hmac_text") or default.text),
            headers, settings.get("hmac_encoding") == "base64",
        )
    )  # fmt: skip


def client_parts(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and form fields by which an OAuth 2 client says who it is."""
    client, secret = needed(settings, "client_id"), str(settings.get("client_secret") or "")
    if settings.get("client_auth") == "body" or not secret:
        return {}, {"client_id": client, **({"client_secret": secret} if secret else {})}
    return {"Authorization": form_basic(client, secret)}, {}


def token_call(desk: Desk, settings: Settings, fields: Mapping[str, Any]) -> httpx.Response:
    """Return the answer of the token address to a form; the client says who it is."""
    headers, who = client_parts(settings) if settings.get("client_id") else ({}, {})
    more = {name: value for name, value in fields.items() if value}
    return desk.ask("POST", needed(settings, "token_url"), headers=headers, data={**more, **who})


def _oauth2_client(settings: Settings, desk: Desk) -> Credentials:
    needed(settings, "client_id")
    needed(settings, "token_url")

    def fetch(_before: Token | None) -> Token:
        fields = {"grant_type": "client_credentials", "scope": settings.get("scope"),
                  "audience": settings.get("audience")}  # fmt: skip
        return token_of(token_call(desk, settings, fields), "access_token", "expires_in")

    return TokenCredentials(_name(settings, "client_id", "client_secret", "scope", "audience"), fetch, Placed())


def _oauth2_code(settings: Settings, desk: Desk) -> Credentials:
    needed(settings, "token_url")
    return TokenCredentials(
        _name(settings, "client_id", "client_secret", "scope", "refresh_token"), Refreshing(settings, desk), Placed()
    )


@dataclass(frozen=True)
class Refreshing:
    """Renews the token of a person who has consented; a new refresh token is kept before anything else is done."""

    settings: Settings
    desk: Desk

    def __call__(self, before: Token | None) -> Token:
        """Return a new token; raises `AuthFailed` where the consent is not valid any more."""
        given_first = str(self.settings.get("refresh_token") or "")
        refresh = (before.refresh if before else "") or given_first
        if not refresh:
            raise AuthFailed(
                msg("Nobody has consented to this connection yet."),
                msg("Choose Connect on the page of the connection."),
            )
        try:
            return self._renewed(refresh)
        except InvalidGrant as error:
            stored = self._stored()
            if stored not in ("", refresh):  # another process was faster
                return self._renewed(stored)
            raise AuthFailed(error.message, msg("Choose Connect on the page of the connection.")) from error

    def _renewed(self, refresh: str) -> Token:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh}
        token = token_of(token_call(self.desk, self.settings, fields), "access_token", "expires_in")
        if token.refresh and token.refresh != refresh and self.desk.context.secrets is not None:
            self.desk.context.secrets.put("refresh_token", token.refresh)
        return token if token.refresh else Token(token.value, token.until, refresh)

    def _stored(self) -> str:
        kept = self.desk.context.secrets
        return "" if kept is None else kept.get("refresh_token") or ""


def _jwt(settings: Settings, desk: Desk) -> Credentials:
    needed(settings, "jwt_key")
    claims, headers = document(settings, "jwt_claims"), document(settings, "jwt_headers")

    def fetch(_before: Token | None) -> Token:
        now = int(time.time())
        mine = {"iat": now, "exp": now + _JWT_SECONDS, "jti": uuid.uuid4().hex, **claims}
        signed = _signed(settings, mine, headers)
        if not settings.get("token_url"):
            return Token(signed, until(float(mine["exp"]) - now))
        fields = {"grant_type": _JWT_BEARER, "assertion": signed, "scope": settings.get("scope")}
        return token_of(token_call(desk, settings, fields), "access_token", "expires_in")

    return TokenCredentials(
        _name(settings, "jwt_key", "jwt_claims", "jwt_algorithm", "jwt_headers", "scope"), fetch, Placed()
    )


def _signed(settings: Settings, claims: dict[str, Any], headers: dict[str, Any]) -> str:
    algorithm = str(settings.get("jwt_algorithm") or "RS256")
    try:
        return jwt.encode(claims, str(settings["jwt_key"]), algorithm=algorithm, headers=headers or None)
    except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError):  # their texts can show the key
        raise Misconfigured(
            msg("The key cannot sign with {algorithm}.", algorithm=algorithm),
            msg("Paste a private key in PEM form with its BEGIN and END lines, and choose the signature it is for."),
        ) from None


def _session(settings: Settings, desk: Desk) -> Credentials:
    url = absolute(str(settings.get("base_url") or ""), needed(settings, "login_path"))
    path = str(settings.get("token_member") or "")
    place = str(settings.get("token_place") or "header") if path else "cookie"
    name = str(settings.get("token_name") or ("Authorization" if place == "header" else "")) if path else ""
    if place == "query":
        name = given(settings, "token_name")
    template = document(settings, "login_body")
    method = str(settings.get("login_method") or "POST")

    def fetch(_before: Token | None) -> Token:
        body = _filled(template, {**settings, **_signature_of_login(settings)})
        response = desk.ask(method, url, **({"params": body} if method == "GET" else {"json": body}))
        if path:
            return token_of(response, path, str(settings.get("expires_member") or ""))
        return _cookies(response)

    who = ("login_path", "login_method", "login_body", "login_text", "user", "password", "client_id", "client_secret",
           "key", "token_member")  # fmt: skip
    return TokenCredentials(_name(settings, *who), fetch, Placed(place, name, _before(settings)))


def _before(settings: Settings) -> str:
    """Return what stands before the token; a word is set apart by a blank, which a form takes away."""
    prefix = str(settings.get("token_prefix") or "")
    return f"{prefix} " if prefix[-1:].isalnum() else prefix


def _signature_of_login(settings: Settings) -> dict[str, str]:
    """Return the time, and what the login signs with the client secret."""
    now = time.time()
    times = {"timestamp": str(int(now)), "timestamp_ms": str(int(now * 1000))}
    text = str(settings.get("login_text") or "")
    if not text:
        return times
    signed = str(_filled(text, {**settings, **times})).encode()
    digest = hmac.digest(str(settings.get("client_secret") or "").encode(), signed, "sha256")
    return {**times, "signature": b64encode(digest).decode()}


def _cookies(response: httpx.Response) -> Token:
    text = "; ".join(f"{cookie.name}={cookie.value}" for cookie in response.cookies.jar)
    if not text:
        raise AuthFailed(
            msg("The login set no cookie."), msg("Name the member of its answer that holds the token, in the settings.")
        )
    return Token(text)


def _filled(value: Any, settings: Settings) -> Any:
    """Return a part of the login with the settings that it names."""
    if isinstance(value, dict):
        return {name: _filled(item, settings) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, settings) for item in value]
    if not isinstance(value, str):
        return value
    names = ("user", "password", "client_id", "client_secret", "key", "token", "timestamp", "timestamp_ms", "signature")
    return re.sub(
        r"\{([a-z_]+)\}", lambda f: str(settings.get(f[1]) or "") if f[1] in names else f[0], value
    )  # fmt: skip


def _name(settings: Settings, *names: str) -> str:
    """Return a name for the tokens of these settings that does not tell them."""
    told = [str(settings.get(name) or "") for name in ("authentication", "base_url", "token_url", *names)]
    return hashlib.sha256("\n".join(f"{len(text)}:{text}" for text in told).encode()).hexdigest()


_KINDS: Mapping[str, Callable[[Settings, Desk], Credentials]] = {
    "none": _none, "basic": _basic, "bearer": _bearer, "key_header": _key_header, "key_query": _key_query,
    "key_user": _key_user,
    "oauth2_client": _oauth2_client, "oauth2_code": _oauth2_code, "jwt": _jwt, "hmac": _hmac, "session": _session,
}  # fmt: skip
