"""How requests to a web service say who we are: fixed credentials, signatures, and tokens that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.builtin.rest_tokens import TOKENS, Token
from connectors.errors import Misconfigured
from connectors.http_flight import Sent
from rules.text import msg

HIDDEN = "•••"
_SHORTEST = 4
_PLACES = re.compile(r"\{([a-z0-9_]+)\}")
_HASHES = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class Credentials:
    """Credentials that are sent as they are, in headers or in the address; also the base of all others."""

    def __init__(self, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self._query = dict(query or {})

    @property
    def secret_parameters(self) -> frozenset[str]:
        """Return the parameters of an address that hold secrets."""
        return frozenset(self._query)

    def query(self) -> Mapping[str, str]:
        """Return what is added to an address."""
        return self._query

    def headers(self, sent: Sent) -> Mapping[str, str]:  # noqa: ARG002 - signatures need it
        """Return the headers that are added to a request."""
        return self._headers

    def renew(self) -> bool:
        """Throw away a token that the service does not take any more; tell whether there is another to be had."""
        return False

    def hide(self, text: str) -> str:
        """Return a text without our secrets, should the service have repeated one."""
        for secret in self._secrets():
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, HIDDEN)
        return text

    def _secrets(self) -> list[str]:
        values = [*self._headers.values(), *self._query.values()]
        return [*values, *(value.partition(" ")[2] for value in values)]


@dataclass(frozen=True)
class Placed:
    """Where a token is sent: `place` is header, query or cookie (with an empty name: the token is the whole header)."""

    place: str = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "


class TokenCredentials(Credentials):
    """A token that is fetched when it is first needed and renewed when it expires."""

    def __init__(self, name: str, fetch: Callable[[Token | None], Token], placed: Placed) -> None:
        super().__init__()
        self._name = name
        self._fetch = fetch
        self._placed = placed
        self._used = ""

    @property
    def secret_parameters(self) -> frozenset[str]:
        """Return the parameters of an address that hold secrets."""
        return frozenset({self._placed.name} if self._placed.place == "query" else ())

    def query(self) -> Mapping[str, str]:
        """Return what is added to an address."""
        return {self._placed.name: self._placed.prefix + self._token()} if self._placed.place == "query" else {}

    def headers(self, sent: Sent) -> Mapping[str, str]:  # noqa: ARG002 - as the base class has it
        """Return the headers that are added to a request."""
        placed = self._placed
        if placed.place == "query":
            return {}
        if placed.place == "cookie":
            return {"Cookie": f"{placed.name}={self._token()}" if placed.name else self._token()}
        return {placed.name: placed.prefix + self._token()}

    def renew(self) -> bool:
        """Throw away the token that was used last."""
        TOKENS.expire(self._name, self._used)
        return True

    def _token(self) -> str:
        self._used = TOKENS.get(self._name, self._fetch).value
        if not (self._used.isascii() and self._used.isprintable()):
            raise Misconfigured(
                msg("The service gave a token with characters that cannot be sent."),
                msg("Check where the token is in the answer, in the connection's settings."),
            )
        return self._used

    def _secrets(self) -> list[str]:
        return [self._used]


@dataclass(frozen=True)
class Signature:
    """How requests are signed with a shared key."""

    key: str = field(repr=False)
    key_id: str = ""
    algorithm: str = "sha256"
    text: str = "{timestamp}{method}{path}{body}"
    headers: Mapping[str, str] = field(default_factory=dict)
    base64: bool = False


class SignedCredentials(Credentials):
    """Requests that carry a signature of themselves."""

    def __init__(self, signature: Signature, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._signature = signature
        self._clock = clock

    def headers(self, sent: Sent) -> Mapping[str, str]:
        """Return the headers that are added to a request."""
        how = self._signature
        values = self._values(sent)
        text = _filled(how.text.replace("\\n", "\n"), values)
        made = hmac.new(how.key.encode(), text.encode(), _HASHES[how.algorithm]).digest()
        values["signature"] = base64.b64encode(made).decode() if how.base64 else made.hex()
        return {name: _filled(value, values) for name, value in how.headers.items()}

    def _values(self, sent: Sent) -> dict[str, str]:
        parts, now, body = urlsplit(sent.url), self._clock(), sent.body or b""
        return {
            "timestamp": str(int(now)), "timestamp_ms": str(int(now * 1000)), "date": formatdate(now, usegmt=True),
            "nonce": secrets.token_hex(16), "method": sent.method, "path": parts.path, "query": parts.query,
            "body": body.decode("utf-8", "replace"), "body_sha256": hashlib.sha256(body).hexdigest(),
            "key_id": self._signature.key_id, "host": parts.netloc,
        }  # fmt: skip

    def _secrets(self) -> list[str]:
        return [self._signature.key]


def basic(user: str, password: str) -> str:
    """Return what stands in the Authorization header for a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def form_basic(user: str, password: str) -> str:
    """Return the same for a client of OAuth 2, whose id and secret are encoded like a form first (RFC 6749, 2.3.1)."""
    return basic(quote(user, safe=""), quote(password, safe=""))


def _filled(template: str, values: Mapping[str, Any]) -> str:
    return _PLACES.sub(lambda found: str(values.get(found[1], found[0])), template)
