"""What a service says in its own words about what is wrong."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from connectors.casting import short
from connectors.http_reply import Reply
from connectors.json_records import decode

_MEMBERS = ("message", "error_description", "detail", "title", "error", "errors", "errmsg", "msg", "reason")


def said_by(reply: Reply) -> str:
    """Return the service's own words in an answer, short."""
    try:
        found = said_of(decode(reply.content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = re.sub(r"<[^>]*>", " ", reply.text)
    return short(" ".join((found or reply.reason_phrase or "-").split()), 200)


def said_of(value: Any) -> str:
    """Return the words in a JSON value."""
    if isinstance(value, str):
        return short(value, 200)
    if isinstance(value, list):
        return "; ".join(filter(None, map(said_of, value[:3])))
    if isinstance(value, dict):
        named = [said_of(value[name]) for name in _MEMBERS if value.get(name)]
        if any(named):
            return next(filter(None, named))
        return "; ".join(f"{name}: {said_of(item)}" for name, item in list(value.items())[:3] if said_of(item))
    return ""
