"""Addresses of calls: paths below the base address, with their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from connectors.errors import Misconfigured, RecordRejected
from connectors.http_client import web_address
from rules.text import msg

_WHOLE = re.compile(r"^https?://")
_PLAIN = re.compile(r"[A-Za-z0-9/%:@!$&'()*+,;=~._-]*")
_UP = {".", ".."}
_KEPT = "/%:@!$&'()*+,;=~._-"


def entered(text: str) -> str:
    """Return the address that a person has entered; raises `Misconfigured` for none, and for one with a password."""
    url = web_address(text)
    if url is None:
        raise Misconfigured(
            msg("'{address}' is not a web address.", address=text), msg("Begin it with https:// or http://.")
        )
    if url.userinfo:
        raise Misconfigured(
            msg("The address must not hold a user or a password."), msg("Enter them in their own fields.")
        )
    return text


def absolute(base: str, path: str) -> str:
    """Return the whole address of a path below the base address."""
    return path if _WHOLE.match(path) else f"{base.rstrip('/')}/{path.lstrip('/')}"


def address(base: str, path: str, query: Mapping[str, str]) -> str:
    """Return the whole address of a path with parameters; those of the path that are given anew are replaced.

    Raises `RecordRejected` where a key that stands in the path would lead out of its place.
    """
    whole, mark, own = absolute(base, path).partition("#")[0].partition("?")
    if not _UP.isdisjoint(whole.split("/")):
        raise RecordRejected(msg("The address {url} leads up from where it should be, so it is not asked.", url=whole))
    if not _PLAIN.fullmatch(whole):
        whole = quote(whole, safe=_KEPT + "[]")
    if not query:
        return whole + mark + quote(own, safe=_KEPT + "?[]")
    kept = [(name, value) for name, value in parse_qsl(own, keep_blank_values=True) if name not in query]
    return f"{whole}?{urlencode([*kept, *query.items()])}"
