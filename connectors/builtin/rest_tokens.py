"""Tokens that a service gives out: fetched once, shared by all threads of this process, renewed before they expire."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from connectors.builtin.rest_words import said_of
from connectors.errors import AuthFailed, ConnectorError, RateLimited, Unavailable
from connectors.http_client import client, shown, trust_store
from connectors.json_records import decode, member
from connectors.spi import Context
from rules.text import msg

FOR_EVER = float("inf")
_MOST = 1_000
_EARLIER = 60.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""


@dataclass(frozen=True)
class Token:
    """A token, until when it is valid (`time.monotonic`), and what renews it, where that changes."""

    value: str = field(repr=False)
    until: float = FOR_EVER
    refresh: str = field(default="", repr=False)


class Tokens:
    """The tokens of this process by whom they are for; only one thread fetches one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, Token] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}

    def get(self, name: str, fetch: Callable[[Token | None], Token]) -> Token:
        """Return the valid token called `name`; else what `fetch` makes, which is given the one before."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            known = self._known.get(name)
            if known is not None and known.until > time.monotonic():
                return known
            token = fetch(known)
            with self._guard:
                self._known[name] = token
                while len(self._known) > _MOST:
                    gone, _ = self._known.popitem(last=False)
                    self._locks.pop(gone, None)
            return token

    def expire(self, name: str, value: str) -> None:
        """Note that a token is not valid any more, if it has not been renewed meanwhile."""
        with self._guard:
            known = self._known.get(name)
            if known is not None and known.value == value:
                self._known[name] = Token(value, 0.0, known.refresh)


TOKENS = Tokens()


@dataclass(frozen=True)
class Desk:
    """Where tokens are asked for: one call, with answers that say what went wrong and no secrets."""

    context: Context
    certificate: str = field(default="", repr=False)
    verify: bool = True

    def ask(self, method: str, url: str, **parts: Any) -> httpx.Response:
        """Return the successful answer of a call; raises `ConnectorError`.

        Args:
            method: GET or POST.
            url: The whole address.
            parts: `headers`, `params`, `json`, `data` as httpx has them.
        """
        trust = trust_store(self.certificate, verify=self.verify)
        headers = {"Accept": "application/json", **(parts.pop("headers", None) or {})}
        with client(self.context, trust=trust) as http:
            response = http.request(method, url, headers=headers, **parts)
        if response.is_success:
            return response
        raise _refused(response)


class InvalidGrant(AuthFailed):
    """What was to be exchanged for a token is not valid (any more)."""


def token_of(response: httpx.Response, path: str, expires: str) -> Token:
    """Return the token that an answer holds at `path`, with its seconds at `expires`; raises `AuthFailed`."""
    value = value_of(response)
    found = _at(value, path)
    if not isinstance(found, (str, int)) or isinstance(found, bool) or not str(found):
        raise AuthFailed(
            msg("{url} gave no token: there is nothing at '{path}' in its answer: {said}",
                url=shown(response.url), path=path, said=said_of(value) or "-"),
            msg("Check user, password, token or key of the connection, and what they may do."),
        )  # fmt: skip
    refresh = _at(value, "refresh_token")
    return Token(str(found), until(_at(value, expires)), refresh if isinstance(refresh, str) else "")


def until(seconds: Any) -> float:
    """Return when to renew a token that is valid for so many seconds, or up to a Unix time (also in milliseconds)."""
    try:
        left = float(seconds)
    except (TypeError, ValueError):
        return FOR_EVER
    if left > 1e11:
        left /= 1000
    if left > 1e9:
        left -= time.time()
    return time.monotonic() + max(left - min(_EARLIER, left / 10), 0.0)


def value_of(response: httpx.Response) -> Any:
    """Return the JSON value of an answer, None if it is not JSON."""
    try:
        return decode(response.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _at(value: Any, path: str) -> Any:
    try:
        return member(value, path) if path else None
    except KeyError:
        return None


def _refused(response: httpx.Response) -> ConnectorError:
    url, status = shown(response.url), response.status_code
    value = value_of(response)
    said = said_of(value) or response.reason_phrase or "-"
    if status == 429:
        return RateLimited(msg("{url} asks to wait {seconds} seconds.", url=url, seconds=30), after=30.0)
    if status >= 500:
        return Unavailable(
            msg("{url} reports an error of its own ({status}): {said}", url=url, status=status, said=said),
            msg("Try again later."),
        )
    kind = InvalidGrant if isinstance(value, Mapping) and value.get("error") == "invalid_grant" else AuthFailed
    return kind(
        msg("{url} refuses our credentials ({status}): {said}", url=url, status=status, said=said),
        msg("Check user, password, token or key of the connection, and what they may do."),
    )
